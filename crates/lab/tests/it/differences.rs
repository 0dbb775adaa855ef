//! What is another between two labs.

use basalt_lab::diff::{Action, Change, Subject};
use basalt_lab::{LabFile, diff};

use crate::{LAB, RELAY, board, file, good};

fn files() -> Vec<LabFile> {
    vec![
        file("lab.yaml", LAB),
        file("relays/rack.yaml", RELAY),
        file(
            "device-types/mine.yaml",
            "version: 1\nname: mine\nextends: simulated\n",
        ),
        file("boards/1.yaml", &board(1)),
        file("boards/2.yaml", &board(2).replace("simulated", "mine")),
        file("boards/3.yaml", &board(3).replace("simulated", "mine")),
    ]
}

fn said(old: &[LabFile], new: &[LabFile]) -> String {
    let changes = diff(&good(old), &good(new));
    let json = serde_json::to_string(&changes).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Change>>(&json).unwrap(), changes);
    let lines: Vec<String> = changes.iter().map(Change::to_string).collect();
    lines.join("\n")
}

#[test]
fn equal_labs_have_no_differences_however_their_files_are_called_and_written() {
    let mut same = files();
    same.reverse();
    same[0].path = "boards/other-name.yaml".into();
    same[0].text.push_str("# A remark.\n");
    assert_eq!(said(&files(), &same), "");
}

#[test]
fn what_was_added_and_removed_is_named_and_what_changed_is_said_from_old_to_new() {
    let mut new = files();
    new[0].text = LAB.replace("10.77.0.1}", "10.77.0.1, tftp: 10.77.0.1:6969}");
    new[1].text = format!("{RELAY}timeout: 9s\ncredentials: {{user: me, password: sesame}}\n");
    new[3].text = board(1).replace("tcp: 10.77.0.1:7001", "tcp: 10.77.0.1:7009")
        + "tags: [rt]\nlimits:\n  - {measure: cyclictest, limit: 400us}\n";
    new.remove(5);
    new.push(file(
        "dispatchers/east.yaml",
        "version: 1\nname: east\naddress: 10.78.0.1\n",
    ));
    new.push(file(
        "relays/far.yaml",
        "version: 1\nname: far\ndispatcher: east\ndriver: lcus\npath: /dev/ttyUSB0\n",
    ));
    new.push(file(
        "boards/4.yaml",
        &board(4)
            .replace("relay: rack", "relay: far")
            .replace("10.77.0.14", "10.78.0.14"),
    ));
    let forwards = said(&files(), &new);
    insta::assert_snapshot!(forwards, @"
    dispatcher east added: address: 10.78.0.1
    dispatcher main changed: TFTP: 10.77.0.1:69 → 10.77.0.1:6969
    relay far added: dispatcher: east; driver: lcus; at: /dev/ttyUSB0 at 9600
    relay rack changed: credentials: added; timeout: 5s → 9s
    board sim-1 changed: tags: none → rt; console: tcp 10.77.0.1:7001 → tcp 10.77.0.1:7009; limit cyclictest idle (board): now 400us
    board sim-3 removed
    board sim-4 added: type: simulated; tags: none; dispatcher: east; power: far:4; console: tcp 10.77.0.1:7004; network address: 10.78.0.14/24
    ");
    assert!(!forwards.contains("sesame"));
    let backwards = said(&new, &files());
    insta::assert_snapshot!(backwards, @"
    dispatcher east removed
    dispatcher main changed: TFTP: 10.77.0.1:6969 → 10.77.0.1:69
    relay far removed
    relay rack changed: timeout: 9s → 5s; credentials: removed
    board sim-1 changed: tags: rt → none; console: tcp 10.77.0.1:7009 → tcp 10.77.0.1:7001; limit cyclictest idle (board): no more (was 400us)
    board sim-3 added: type: mine; tags: none; dispatcher: main; power: rack:3; console: tcp 10.77.0.1:7003; network address: 10.77.0.13/24
    board sim-4 removed
    ");
    assert!(!backwards.contains("sesame"));
}

#[test]
fn another_password_is_a_difference_and_is_not_shown() {
    let with = |password: &str| {
        let mut files = files();
        files[1].text = format!("{RELAY}credentials: {{user: me, password: {password}}}\n");
        files
    };
    assert_eq!(
        said(&with("sesame"), &with("mellon")),
        "relay rack changed: credentials: changed"
    );
}

#[test]
fn what_a_type_changes_on_all_its_boards_is_said_once() {
    let mut new = files();
    new[2].text = "version: 1\nname: mine\nextends: simulated\npower: {off_time: 9s}\n".into();
    new[4].text = new[4].text.replace("7002", "7022");
    let changes = diff(&good(&files()), &good(&new));
    let subjects: Vec<_> = changes
        .iter()
        .map(|change| (change.subject, change.action, change.name.as_str()))
        .collect();
    assert_eq!(
        subjects,
        [
            (Subject::DeviceType, Action::Changed, "mine"),
            (Subject::Board, Action::Changed, "sim-2"),
        ]
    );
    insta::assert_snapshot!(said(&files(), &new), @"
    device type mine changed: off time: 100ms → 9s
    board sim-2 changed: console: tcp 10.77.0.1:7002 → tcp 10.77.0.1:7022
    ");
    // Only on one of them: it is that board's.
    let mut one = files();
    one[4].text = one[4].text.replace("outlet: 2", "outlet: 2, off_time: 9s");
    insta::assert_snapshot!(said(&files(), &one), @"board sim-2 changed: off time: 100ms → 9s");
}

#[test]
fn a_board_that_another_dispatcher_serves_is_said_to_be() {
    let mut new = files();
    new[0].text = LAB.replace("{address", "{name: west, address");
    insta::assert_snapshot!(said(&files(), &new), @"
    lab test changed: default dispatcher: main → west
    dispatcher main removed
    dispatcher west added: address: 10.77.0.1
    relay rack changed: dispatcher: main → west
    board sim-1 changed: dispatcher: main → west
    board sim-2 changed: dispatcher: main → west
    board sim-3 changed: dispatcher: main → west
    ");
}

#[test]
fn long_texts_are_said_to_be_others_without_being_shown() {
    let with = |argument: &str| {
        let mut files = files();
        files[2].text = format!(
            "version: 1\nname: mine\nextends: simulated\nu_boot:\n  kernel_args: '{argument} {}'\n",
            "quiet ".repeat(20)
        );
        files
    };
    assert_eq!(
        said(&with("a"), &with("b")),
        "device type mine changed: u-boot kernel arguments: changed"
    );
}
