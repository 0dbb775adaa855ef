//! Which dispatcher serves which board.

use crate::{LAB, RELAY, board, file, good};

#[test]
fn a_board_is_served_by_its_relays_dispatcher_and_the_labs_own_has_the_rest() {
    let lab = good(&[
        file("lab.yaml", &LAB.replace("{address", "{name: west, address")),
        file(
            "dispatchers/east.yaml",
            "version: 1\nname: east\naddress: 10.78.0.1\ntftp: 10.78.0.1:6969\n",
        ),
        file("relays/rack.yaml", RELAY),
        file(
            "relays/far.yaml",
            "version: 1\nname: far\ndispatcher: east\ndriver: lcus\npath: /dev/ttyUSB0\n",
        ),
        file("boards/one.yaml", &board(1)),
        file(
            "boards/two.yaml",
            &board(2)
                .replace("relay: rack", "relay: far")
                .replace("10.77.0.12", "10.78.0.12"),
        ),
    ]);
    assert_eq!(lab.default_dispatcher.as_str(), "west");
    let names: Vec<_> = lab
        .dispatchers
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["east", "west"]);
    let of = |index: usize| lab.dispatcher_of(&lab.boards[index]);
    assert_eq!(of(0).name.as_str(), "west");
    assert_eq!(of(1).tftp_listen.to_string(), "10.78.0.1:6969");
    let east = &lab.dispatchers[0].name;
    let boards: Vec<_> = lab
        .boards_of(east)
        .map(|board| board.name.as_str())
        .collect();
    assert_eq!(boards, ["sim-2"]);
}

#[test]
fn a_dispatcher_without_a_name_is_called_main() {
    let lab = good(&[file("lab.yaml", LAB), file("relays/rack.yaml", RELAY)]);
    assert_eq!(lab.default_dispatcher.as_str(), "main");
    assert_eq!(lab.relays[0].dispatcher.as_str(), "main");
    assert!(lab.dispatcher(&lab.default_dispatcher).is_some());
}
