//! What a plan decides.

use std::time::Duration;

use basalt_plan::plan::{BlockKind, Boot, Deploy, Phase, action};

use crate::{BOOT, DEPLOY, NETWORK, good, job, plan, shipped, simulated_lab, virtual_lab};

fn boots(plan: &basalt_plan::Plan) -> Vec<&Boot> {
    let boots = plan.blocks.iter().filter_map(|block| match &block.kind {
        BlockKind::Boot(boot) => Some(boot),
        _ => None,
    });
    boots.collect()
}

fn deploys(plan: &basalt_plan::Plan) -> Vec<&Deploy> {
    let deploys = plan.blocks.iter().filter_map(|block| match &block.kind {
        BlockKind::Deploy(deploy) => Some(deploy),
        _ => None,
    });
    deploys.collect()
}

fn phases(plan: &basalt_plan::Plan) -> Vec<&Phase> {
    let blocks = plan.blocks.iter().filter_map(|block| match &block.kind {
        BlockKind::Realtime(realtime) => Some(&realtime.phases),
        _ => None,
    });
    blocks.flatten().collect()
}

#[test]
fn every_action_of_every_block_has_a_deadline() {
    let lab = simulated_lab(NETWORK);
    let test = "- test: {definitions: [{from: inline, name: t, path: t.yaml, repository: {metadata: \
                {format: Lava-Test Test Definition 1.0, name: t}, run: {steps: ['true']}}}]}\n";
    let realtime =
        "- test: {realtime: [{name: a, measure: cyclictest, interval: 1ms, duration: 10s}]}\n";
    let plan = good(
        &lab,
        "sim-1",
        &job(&format!("{DEPLOY}{BOOT}{test}{realtime}")),
    );
    let mut names = Vec::new();
    for block in &plan.blocks {
        names.push(block.name.as_str());
        for (name, timeout) in &block.timeouts {
            names.push(name);
            assert!(*timeout <= block.timeout && !timeout.is_zero(), "{name}");
        }
    }
    names.push(action::FINALIZE);
    // The names that board types may use are the same.
    names.sort_unstable();
    let mut known = basalt_lab::timeouts::ACTIONS;
    known.sort_unstable();
    assert_eq!(names, known);
    let timeout = |block: usize, name: &str| plan.blocks[block].timeout_of(name);
    assert_eq!(timeout(0, action::OVERLAY), Duration::from_secs(30));
    assert_eq!(timeout(0, action::HTTP_DOWNLOAD), Duration::from_secs(600));
    assert_eq!(timeout(1, action::INTERRUPT), Duration::from_secs(5));
    assert_eq!(timeout(2, action::TEST_SHELL), Duration::from_secs(600));
    assert_eq!(timeout(3, action::PHASE), Duration::from_secs(600));
    assert_eq!(plan.finalize_timeout, Duration::from_secs(20));
}

#[test]
fn an_nfs_boot_types_the_root_and_gets_the_overlay_there() {
    let plan = good(&virtual_lab(), "qemu-1", &shipped("jobs/realtime-nfs.yaml"));
    let boot = boots(&plan)[0];
    assert!(boot.nfs);
    assert!(
        boot.commands.contains(
            &"setenv bootargs \"console=ttyAMA0,115200 panic=10 bootip={BOARD_IP}/{BOARD_PREFIX} \
              nfsroot={NFS_SERVER_IP}:{NFSROOTFS},port={NFS_PORT},mountport={NFS_PORT}\""
                .to_owned()
        ),
        "{:#?}",
        boot.commands
    );
    let deploy = deploys(&plan)[0];
    assert!(deploy.overlay_in_nfsroot && !deploy.overlay_in_ramdisk);
    assert!(deploy.downloads.last().unwrap().archive_tar);
}

#[test]
fn the_boot_command_follows_from_what_is_deployed() {
    let lab = simulated_lab(NETWORK);
    let header = DEPLOY.replace("initrd.gz'", "initrd.gz', header: u-boot");
    let dtb = format!("{DEPLOY}    dtb: {{url: 'http://host/board.dtb'}}\n");
    let zimage = DEPLOY.replace("type: image", "type: zimage");
    for (deploy, expected, lines) in [
        (
            DEPLOY,
            "booti {KERNEL_ADDR} {RAMDISK_ADDR}:${initrd_size} ${fdtcontroladdr}",
            2,
        ),
        (
            &header,
            "booti {KERNEL_ADDR} {RAMDISK_ADDR} ${fdtcontroladdr}",
            2,
        ),
        (
            &dtb,
            "booti {KERNEL_ADDR} {RAMDISK_ADDR}:${initrd_size} {DTB_ADDR}",
            3,
        ),
        (
            &zimage,
            "bootz {KERNEL_ADDR} {RAMDISK_ADDR}:${initrd_size} ${fdtcontroladdr}",
            2,
        ),
    ] {
        let plan = good(&lab, "sim-1", &job(&format!("{deploy}{BOOT}")));
        let boot = boots(&plan)[0];
        assert_eq!(boot.commands.last().unwrap(), expected);
        let fetched = boot
            .commands
            .iter()
            .filter(|line| line.starts_with("tftpboot"));
        assert_eq!(fetched.count(), lines);
        assert!(boot.commands.contains(&"setenv tftpdstp 6969".to_owned()));
        assert!(expected.starts_with(&boot.boot_command));
    }
}

#[test]
fn commands_of_the_jobs_own_are_typed_as_they_stand() {
    let own = "- boot: {method: u-boot, commands: ['tftp {KERNEL_ADDR} {KERNEL}', '{BOOTX}'], \
               prompts: ['# ']}\n";
    let plan = good(&simulated_lab(""), "sim-1", &job(&format!("{DEPLOY}{own}")));
    let boot = boots(&plan)[0];
    assert_eq!(boot.commands[0], "tftp {KERNEL_ADDR} {KERNEL}");
    assert!(!boot.nfs);
}

#[test]
fn suites_and_stages_count_over_the_whole_job() {
    let definition = "{from: inline, name: t, path: t.yaml, repository: {metadata: {format: \
                      Lava-Test Test Definition 1.0, name: t}, run: {steps: ['true']}}}";
    let actions = format!(
        "{DEPLOY}{BOOT}\
         - test: {{definitions: [{definition}]}}\n\
         - test: {{realtime: [{{name: a, measure: cyclictest, interval: 1ms, duration: 1s}}, \
           {{name: b, measure: cyclictest, interval: 1ms, duration: 1s}}]}}\n\
         - test: {{definitions: [{definition}]}}\n"
    );
    let plan = good(&simulated_lab(NETWORK), "sim-1", &job(&actions));
    let mut found = Vec::new();
    for block in &plan.blocks {
        match &block.kind {
            BlockKind::Test(test) => {
                let suites = test.definitions.iter().map(|it| it.suite.as_str());
                found.extend(suites.map(|suite| (test.stage, suite)));
            }
            BlockKind::Realtime(test) => {
                let suites = test.phases.iter().map(|it| it.suite.as_str());
                found.extend(suites.map(|suite| (test.stage, suite)));
            }
            _ => {}
        }
    }
    assert_eq!(found, [(0, "0_t"), (1, "1_a"), (1, "2_b"), (2, "3_t")]);
    let levels: Vec<&str> = plan
        .blocks
        .iter()
        .map(|block| block.level.as_str())
        .collect();
    assert_eq!(levels, ["1", "2", "3", "4", "5"]);
}

#[test]
fn limits_come_from_the_job_then_from_the_boards_files_for_exactly_these_loads() {
    let limits =
        format!("{NETWORK}limits:\n  - {{measure: cyclictest, load: [hackbench], limit: 900us}}\n");
    let lab = simulated_lab(&limits);
    let realtime = "- test:
    realtime:
      - {name: idle, measure: cyclictest, interval: 1ms, duration: 10s}
      - {name: load, measure: cyclictest, interval: 1ms, duration: 10s, load: [hackbench]}
      - {name: own, measure: cyclictest, interval: 1ms, duration: 10s, load: [hackbench], limit: 20us}
";
    let plan = good(&lab, "sim-1", &job(&format!("{DEPLOY}{BOOT}{realtime}")));
    let found: Vec<_> = phases(&plan)
        .into_iter()
        .map(|phase| {
            (
                phase.limit_us,
                phase.limit_source.as_str(),
                phase.histogram_us,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (None, "", 1000),
            (Some(900), "board", 1800),
            (Some(20), "job", 1000)
        ]
    );
    for phase in phases(&plan) {
        let at = phase.command.iter().position(|word| word == "-h").unwrap();
        assert_eq!(phase.command[at + 1], phase.histogram_us.to_string());
        assert!(!phase.command.iter().any(|word| word.starts_with("-b")));
    }
}

#[test]
fn attempts_come_from_the_block_then_from_the_context() {
    let attempts = |context: &str, retry: &str| {
        let boot = BOOT.replace("method", &format!("{retry}method"));
        let text =
            job(&format!("{DEPLOY}{boot}")).replace("actions:", &format!("{context}actions:"));
        let plan = good(&simulated_lab(NETWORK), "sim-1", &text);
        (
            plan.blocks[0].attempts,
            plan.blocks[1].attempts,
            plan.blocks[1].retry_interval,
        )
    };
    let second = Duration::from_secs(1);
    assert_eq!(attempts("", ""), (1, 1, second));
    assert_eq!(
        attempts("", "failure_retry: 3, failure_retry_interval: 7, "),
        (1, 3, Duration::from_secs(7))
    );
    assert_eq!(
        attempts("context: {failure_retry: 2}\n", ""),
        (2, 2, second)
    );
    assert_eq!(
        attempts("context: {failure_retry: 2, boot_retry: 4}\n", ""),
        (2, 4, second)
    );
    assert_eq!(
        attempts("context: {boot_retry: 4}\n", "failure_retry: 3, "),
        (1, 3, second)
    );
}

#[test]
fn the_context_changes_the_board_for_this_plan_only() {
    let context = "context: {extra_kernel_args: isolcpus=1, extra_nfsroot_args: ',nolock', \
                   booti_kernel_addr: 0x48000000, bootloader_prompt: 'U> ', arch: arm64, \
                   boot_character_delay: 20, monitor: x}\nactions:";
    let text = job(&format!("{DEPLOY}{BOOT}")).replace("actions:", context);
    let lab = simulated_lab(NETWORK);
    let (planned, complaints) = plan(&lab, "sim-1", &text);
    assert_eq!(complaints.len(), 1);
    assert!(
        complaints[0].contains("`monitor` changes nothing"),
        "{complaints:?}"
    );
    let planned = planned.unwrap();
    let u_boot = planned.board.u_boot.as_ref().unwrap();
    assert!(u_boot.kernel_args.ends_with(" isolcpus=1"));
    assert!(u_boot.nfs_args.ends_with("mountport={NFS_PORT},nolock"));
    assert_eq!(u_boot.prompt, "U> ");
    assert_eq!(
        planned.board.console.character_delay,
        Duration::from_millis(20)
    );
    let boot = boots(&planned)[0];
    assert_eq!(boot.load_addresses.kernel, "0x48000000");
    assert!(
        boot.commands
            .iter()
            .any(|line| line.ends_with("isolcpus=1\""))
    );
    assert_eq!(lab.boards[0].u_boot.as_ref().unwrap().prompt, "=> ");
}
