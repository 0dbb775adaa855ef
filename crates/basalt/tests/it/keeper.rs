//! `basalt keeper`: start, status, stop.

use std::io::Write;

use serde_json::Value;

use crate::support::{Lab, said, until};

fn status(lab: &Lab) -> Value {
    let said = said(&mut lab.basalt(&["keeper", "--status", "--json"]));
    serde_json::from_str(&said.stdout).unwrap()
}

#[test]
fn a_keeper_in_the_background_captures_and_ends_when_told() {
    let lab = Lab::new();
    let none = said(&mut lab.basalt(&["keeper", "--status"])).expect(1);
    assert_eq!(none.stdout, "no console keeper runs\n");
    let started = said(&mut lab.basalt(&["keeper", "--detach", "--linger", "10m"])).expect(0);
    assert!(
        started.stdout.contains("console keeper"),
        "{}",
        started.stdout
    );
    let (mut board, _) = lab.console.accept().unwrap();
    board.write_all(b"U-Boot 2023.01\r\n").unwrap();
    until("the console's bytes", || {
        (status(&lab)["consoles"]["b1"]["view"]["end"] == 16).then_some(())
    });
    let shown = said(&mut lab.basalt(&["keeper", "--status"]))
        .expect(0)
        .stdout;
    for word in ["b1", "tcp 127.0.0.1:", "16 B", "open since"] {
        assert!(shown.contains(word), "no {word} in\n{shown}");
    }
    // A second one finds that out and leaves the first alone.
    let pid = status(&lab)["pid"].clone();
    said(&mut lab.basalt(&["keeper", "--detach"])).expect(0);
    assert_eq!(status(&lab)["pid"], pid);
    let refused = said(&mut lab.basalt(&["keeper"])).expect(74);
    assert!(
        refused.stderr.contains("already runs"),
        "{}",
        refused.stderr
    );
    said(&mut lab.basalt(&["keeper", "--stop"])).expect(0);
    until("the keeper's end", || {
        (said(&mut lab.basalt(&["keeper", "--status"])).code == 1).then_some(())
    });
    let again = said(&mut lab.basalt(&["keeper", "--stop"])).expect(0);
    assert_eq!(again.stdout, "no console keeper runs\n");
    let log = std::fs::read_to_string(lab.state().join("keeper.log")).unwrap();
    assert!(log.contains("keeping 1 console"), "{log}");
}

#[test]
fn a_keeper_of_a_wrong_lab_says_what_is_wrong() {
    let lab = Lab::new();
    lab.write("boards/b1.yaml", "version: 1\nname: b1\n");
    let wrong = said(&mut lab.basalt(&["keeper", "--detach"])).expect(64);
    assert!(wrong.stderr.contains("boards/b1.yaml"), "{}", wrong.stderr);
}
