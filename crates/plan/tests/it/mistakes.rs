//! What cannot run is refused, with its place.

use crate::{BOOT, DEPLOY, NETWORK, job, plan, simulated_lab};

fn refused(extra: &str, text: &str) -> String {
    let (plan, complaints) = plan(&simulated_lab(extra), "sim-1", text);
    assert_eq!(plan, None);
    complaints.join("\n")
}

const REALTIME: &str =
    "- test: {realtime: [{name: a, measure: cyclictest, interval: 1ms, duration: 10s}]}\n";

#[test]
fn another_board_than_the_job_wants() {
    let text = job(&format!("{DEPLOY}{BOOT}"))
        .replace("simulated", "panda")
        .replace("visibility", "device: other\ntags: [fast, big]\nvisibility");
    let extra = format!("{NETWORK}tags: [big, new]\n");
    insta::assert_snapshot!(refused(&extra, &text), @r#"
    2:14: the job wants a board of type `panda`, but `sim-1` is a `simulated` (-)
    2:14: the job wants a board with the tags `fast`, which `sim-1` lacks (its tags: `big`, `new`)
    3:9: the job wants the board `other`, not `sim-1` (-)
    "#);
}

#[test]
fn blocks_in_the_wrong_order() {
    let orders = [
        format!("{BOOT}{REALTIME}"),
        REALTIME.to_owned(),
        format!("{DEPLOY}{REALTIME}"),
        format!("{DEPLOY}{BOOT}{DEPLOY}{REALTIME}"),
    ];
    let found: Vec<String> = orders.iter().map(|it| refused(NETWORK, &job(it))).collect();
    insta::assert_snapshot!(found.join("\n"), @r#"
    6:3: nothing is deployed before this boot (put a `deploy` block before it)
    6:3: nothing is booted before this test (put a `deploy` and a `boot` block before it)
    10:3: what was deployed is not booted before this test (put a `boot` block before it)
    15:3: what was deployed is not booted before this test (put a `boot` block before it)
    "#);
}

#[test]
fn what_a_boot_needs_and_nobody_deploys() {
    let own = |commands: &str| BOOT.replace("ramdisk", commands);
    let no_ramdisk = DEPLOY.replace("    ramdisk: {url: 'http://host/initrd.gz'}\n", "");
    let no_kernel = DEPLOY.replace("    kernel: {url: 'http://host/Image', type: image}\n", "");
    let uninstalled = DEPLOY.replace("gz'}", "gz', install_overlay: false}");
    let jobs = [
        format!("{DEPLOY}{}", own("nfs")),
        format!("{DEPLOY}{}", own("ramdiks")),
        format!(
            "{DEPLOY}{}",
            own("['tftp {DTB_ADDR} {DTB}', 'x {NFSROOTFS} {FOO}']")
        ),
        format!("{no_ramdisk}{BOOT}"),
        format!("{no_kernel}{BOOT}"),
        format!("{uninstalled}{BOOT}{REALTIME}"),
    ];
    let found: Vec<String> = jobs.iter().map(|it| refused(NETWORK, &job(it))).collect();
    insta::assert_snapshot!(found.join("\n"), @r#"
    10:36: this boots from an NFS root, but the deploy before it has no `nfsrootfs` (-)
    10:36: the type `simulated` has no command set `ramdiks` (did you mean `ramdisk`?)
    10:3: nothing is known to put in for `{FOO}` in the boot commands (-)
    10:3: this boots from an NFS root, but the deploy before it has no `nfsrootfs` (-)
    10:3: these commands fetch a device tree, but the deploy before it has no `dtb` (-)
    9:36: this boots with a ramdisk, but the deploy before it has none (-)
    9:36: this boots a kernel, but the deploy before it has none (-)
    11:3: this test needs Basalt's files on the board, but nothing brings them there (the ramdisk or NFS root that is booted must be deployed without `install_overlay: false`)
    "#);
    let found = refused("", &job(&format!("{DEPLOY}{BOOT}")));
    insta::assert_snapshot!(found, @r#"
    10:36: the boot commands need `{BOARD_IP}`, but the file of `sim-1` has no `network` (-)
    "#);
}

#[test]
fn deadlines_that_cannot_be_met() {
    let phase =
        |name: &str| format!("{{name: {name}, measure: cyclictest, interval: 1ms, duration: 30s}}");
    let block = |stated: &str| {
        let phases = format!("{}, {}", phase("a"), phase("b"));
        let test = format!("- test: {{{stated}, realtime: [{phases}]}}\n");
        refused(NETWORK, &job(&format!("{DEPLOY}{BOOT}{test}")))
    };
    let found = [
        block("timeouts: {realtime-phase: {seconds: 30}}"),
        block("timeouts: {realtime: {seconds: 60}}"),
        block("timeout: {seconds: 80}, failure_retry: 3"),
    ];
    insta::assert_snapshot!(found.join("\n"), @r#"
    11:3: phase `a` measures for 30s, but `realtime-phase` has 30s (give it more time with this block's `timeout` or `timeouts`)
    11:3: phase `b` measures for 30s, but `realtime-phase` has 30s (give it more time with this block's `timeout` or `timeouts`)
    11:3: the phases measure for 1m together, but this block has 1m (give it more time with this block's `timeout` or `timeouts`)
    11:3: phase `a` measures for 30s, but `realtime-phase` has 26s666ms (give it more time with this block's `timeout` or `timeouts`)
    11:3: phase `b` measures for 30s, but `realtime-phase` has 26s666ms (give it more time with this block's `timeout` or `timeouts`)
    "#);
    let mut lab = simulated_lab(NETWORK);
    lab.boards[0].power.off_time = std::time::Duration::from_secs(60);
    let (_, complaints) = plan(&lab, "sim-1", &job(&format!("{DEPLOY}{BOOT}")));
    insta::assert_snapshot!(complaints.join("\n"), @r#"
    10:3: `reset-device` has 10s, but the board must stay off for 1m in a power cycle (-)
    "#);
}

#[test]
fn a_context_that_makes_no_sense() {
    let context =
        "context: {boot_retry: 0, bootloader_prompt: '(', booti_dtb_addr: here}\nactions:";
    let text = job(&format!("{DEPLOY}{BOOT}")).replace("actions:", context);
    insta::assert_snapshot!(refused(NETWORK, &text), @r#"
    5:23: `boot_retry`: must be at least 1 (-)
    5:45: `bootloader_prompt`: must be a regular expression: unclosed group (-)
    5:66: `booti_dtb_addr`: must be an address such as 0x48000000 (-)
    "#);
}
