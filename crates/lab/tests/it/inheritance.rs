//! What types take from the types that they extend.

use std::time::Duration;

use basalt_lab::profile::LimitOrigin;

use crate::{LAB, RELAY, board, file, good, refused};

#[test]
fn the_nearest_file_wins_and_maps_are_merged_by_key() {
    let lab = good(&[
        file("lab.yaml", LAB),
        file("relays/rack.yaml", RELAY),
        file(
            "device-types/mine.yaml",
            "\
version: 1
name: mine
extends: simulated
console: {character_delay: 2ms}
u_boot:
  prompt: 'mine> '
  prepare: [setenv a b]
  commands:
    usb: [usb start, '{BOOTX}']
    nfs: ['{BOOTX}']
timeouts: {bootloader-interrupt: 700ms}
limits:
  - {measure: cyclictest, limit: 50us}
",
        ),
        file(
            "boards/one.yaml",
            &format!(
                "{}limits:\n  - {{measure: cyclictest, load: [hackbench], limit: 90us}}\n",
                board(1)
                    .replace("simulated", "mine")
                    .replace("outlet: 1", "outlet: 1, off_time: 3s")
            ),
        ),
    ]);
    let board = &lab.boards[0];
    assert_eq!(board.power.off_time, Duration::from_secs(3));
    assert_eq!(board.console.character_delay, Duration::from_millis(2));
    let u_boot = board.u_boot.as_ref().unwrap();
    assert_eq!(u_boot.prompt, "mine> ");
    assert_eq!(u_boot.final_message, "Starting kernel");
    assert_eq!(u_boot.error_messages.len(), 18);
    let set = |name: &str| {
        let (_, lines) = u_boot.commands.iter().find(|(set, _)| set == name).unwrap();
        lines.iter().map(String::as_str).collect::<Vec<_>>()
    };
    assert_eq!(set("usb"), ["setenv a b", "usb start", "{BOOTX}"]);
    assert_eq!(set("nfs"), ["setenv a b", "{BOOTX}"]);
    assert_eq!(
        set("ramdisk")[..2],
        ["setenv a b", "tftpboot {KERNEL_ADDR} {KERNEL}"]
    );
    let timeout = |name: &str| {
        let (_, timeout) = board
            .timeouts
            .iter()
            .find(|(action, _)| action == name)
            .unwrap();
        *timeout
    };
    assert_eq!(timeout("bootloader-interrupt"), Duration::from_millis(700));
    assert_eq!(timeout("auto-login-action"), Duration::from_secs(10));
    let limits: Vec<_> = board
        .limits
        .iter()
        .map(|limit| (limit.load.len(), limit.limit.as_micros(), limit.origin))
        .collect();
    assert_eq!(
        limits,
        [(1, 90, LimitOrigin::Board), (0, 50, LimitOrigin::Type)]
    );
}

#[test]
fn circles_missing_parents_and_taken_names_are_named_at_their_places() {
    let extending = |name: &str, parent: &str| {
        file(
            &format!("device-types/{name}.yaml"),
            &format!("version: 1\nname: {name}\nextends: {parent}\n"),
        )
    };
    let found = refused(&[
        file("lab.yaml", LAB),
        extending("a", "b"),
        extending("b", "c"),
        extending("c", "b"),
        extending("orphan", "base-u-bot"),
        file("device-types/z.yaml", "version: 1\nname: simulated\n"),
        file("device-types/zz.yaml", "version: 1\nname: orphan\n"),
    ]);
    insta::assert_snapshot!(found.join("\n"), @r#"
    device-types/b.yaml:3:10: `b` extends itself: b -> c -> b (-)
    device-types/orphan.yaml:3:10: there is no type `base-u-bot` (did you mean `base-u-boot`?)
    device-types/z.yaml:2:7: `simulated` is a type that comes with Basalt (choose another name and write `extends: simulated`)
    device-types/zz.yaml:2:7: a second type `orphan`; the first is at device-types/orphan.yaml:2:7 (-)
    "#);
}

#[test]
fn what_no_file_of_a_chain_says_is_asked_for_once() {
    let found = refused(&[
        file("lab.yaml", LAB),
        file("relays/rack.yaml", RELAY),
        file(
            "boards/one.yaml",
            &board(1).replace("simulated", "base-u-boot"),
        ),
        file(
            "boards/two.yaml",
            &board(2).replace("simulated", "base-u-boot"),
        ),
    ]);
    insta::assert_snapshot!(found.join("\n"), @r#"
    boards/one.yaml:3:7: the type `base-u-boot` does not say `u_boot: prompt` (say it in the type's file, or extend a type that does)
    boards/one.yaml:3:7: the type `base-u-boot` does not say `u_boot: load_addresses` (say it in the type's file, or extend a type that does)
    "#);
}
