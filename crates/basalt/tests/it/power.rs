//! `basalt power`, with a relay that answers and a board that somebody else has.

use std::time::Duration;

use basalt_lab::profile::{Relay, RelayDriver};
use basalt_model::{BoardName, DispatcherName, RelayName, UtcMicros};
use basalt_runner::host::HostState;

use crate::support::{Lab, said};

#[test]
fn a_board_is_switched_and_read_back() {
    let lab = Lab::new();
    let power = |what: &str| {
        said(&mut lab.basalt(&["power", what, "b1"]))
            .expect(0)
            .stdout
    };
    assert_eq!(power("read"), "b1: off\n");
    assert_eq!(power("on"), "b1: on\n");
    assert_eq!(power("cycle"), "b1: on\n");
    assert_eq!(power("off"), "b1: off\n");
    let asked = lab.relay.asked();
    let switched: Vec<&str> = asked
        .iter()
        .map(String::as_str)
        .filter(|command| command.contains(' '))
        .collect();
    assert_eq!(
        switched,
        ["Power1 On", "Power1 Off", "Power1 On", "Power1 Off"]
    );
    assert_eq!(
        asked.iter().filter(|command| *command == "Power1").count(),
        5
    );
}

#[test]
fn switching_tells_whoever_comes_back_that_the_board_is_another() {
    let lab = Lab::new();
    said(&mut lab.basalt(&["power", "on", "b1"])).expect(0);
    let host = HostState::open(&lab.state()).unwrap();
    let lock = host
        .take(&BoardName::new("b1"), "test", UtcMicros(1))
        .unwrap();
    assert_eq!(lock.highest_epoch().0, 1);
}

#[test]
fn a_board_that_somebody_has_is_not_switched_and_his_name_is_said() {
    let lab = Lab::new();
    let host = HostState::open(&lab.state()).unwrap();
    let held = host
        .take(&BoardName::new("b1"), "run 7 of job \"x\"", UtcMicros(1))
        .unwrap();
    for what in ["on", "off", "cycle"] {
        let refused = said(&mut lab.basalt(&["power", what, "b1"])).expect(75);
        assert!(
            refused.stderr.contains("held by run 7 of job \"x\""),
            "{}",
            refused.stderr
        );
    }
    assert_eq!(lab.relay.asked(), Vec::<String>::new());
    assert_eq!(
        said(&mut lab.basalt(&["power", "read", "b1"]))
            .expect(0)
            .stdout,
        "b1: off\n"
    );
    drop(held);
    said(&mut lab.basalt(&["power", "on", "b1"])).expect(0);
}

#[test]
fn an_outlet_that_another_lab_or_account_has_is_not_switched() {
    let lab = Lab::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let relay = Relay {
        name: RelayName::new("theirs"),
        dispatcher: DispatcherName::new("main"),
        driver: RelayDriver::Tasmota {
            url: format!("http://127.0.0.1:{}", lab.relay.port),
            credentials: None,
        },
        timeout: Duration::from_secs(1),
    };
    let host = HostState::open(elsewhere.path()).unwrap();
    let held = host
        .take(&BoardName::new("x"), "run 1", UtcMicros(1))
        .unwrap()
        .with_outlet(&relay, 1)
        .unwrap();
    let refused = said(&mut lab.basalt(&["power", "off", "b1"])).expect(75);
    let own = format!("in use by process {} of user", std::process::id());
    assert!(refused.stderr.contains(&own), "{}", refused.stderr);
    assert_eq!(lab.relay.asked(), Vec::<String>::new());
    drop(held);
    said(&mut lab.basalt(&["power", "off", "b1"])).expect(0);
}

#[test]
fn a_run_is_refused_while_somebody_has_the_board_and_leaves_nothing_behind() {
    let lab = Lab::new();
    let job = lab.path().join("job.yaml");
    std::fs::write(
        &job,
        "job_name: boot\ndevice_type: simulated\n\
         timeouts: {job: {minutes: 5}, action: {minutes: 1}}\npriority: medium\n\
         visibility: public\nactions:\n  - deploy:\n      to: tftp\n      \
         kernel: {url: \"http://127.0.0.1/k\", type: image}\n      \
         ramdisk: {url: \"http://127.0.0.1/r\"}\n  - boot:\n      method: u-boot\n      \
         commands: ramdisk\n      prompts: ['# ']\n",
    )
    .unwrap();
    lab.write(
        "boards/b1.yaml",
        &(std::fs::read_to_string(lab.path().join("boards/b1.yaml")).unwrap()
            + "network: {mac: \"52:54:00:00:00:01\", address: 127.0.0.2/8}\n"),
    );
    let host = HostState::open(&lab.state()).unwrap();
    let _held = host
        .take(
            &BoardName::new("b1"),
            "basalt console (grace)",
            UtcMicros(1),
        )
        .unwrap();
    let output = lab.path().join("results");
    let mut run = lab.basalt(&["run", "--board", "b1"]);
    let refused = said(run.arg(&job).arg("--output").arg(&output)).expect(75);
    assert!(
        refused.stderr.contains("basalt console (grace)"),
        "{}",
        refused.stderr
    );
    assert!(!output.exists());
}

#[test]
fn a_relay_that_is_not_there_is_an_answer_and_not_a_crash() {
    let lab = Lab::new();
    lab.write(
        "relays/pdu.yaml",
        "version: 1\nname: pdu\ndriver: tasmota\nurl: http://127.0.0.1:1\ntimeout: 1s\n",
    );
    let failed = said(&mut lab.basalt(&["power", "read", "b1"])).expect(1);
    assert!(
        failed.stderr.contains("relay pdu, outlet 1"),
        "{}",
        failed.stderr
    );
    let nobody = said(&mut lab.basalt(&["power", "read", "b7"])).expect(64);
    assert!(
        nobody.stderr.contains("did you mean `b1`?"),
        "{}",
        nobody.stderr
    );
}

#[test]
fn one_state_directory_does_not_serve_two_labs() {
    let (one, other) = (Lab::new(), Lab::new());
    said(&mut one.basalt(&["power", "read", "b1"])).expect(0);
    other.write(
        "lab.yaml",
        "version: 1\nname: other\ndispatcher: {address: 127.0.0.1}\n",
    );
    let mut command = crate::support::basalt();
    command
        .args(["power", "read", "b1", "--lab"])
        .arg(other.path());
    let refused = said(command.arg("--state").arg(one.state())).expect(64);
    assert!(
        refused.stderr.contains("belongs to the lab `test`"),
        "{}",
        refused.stderr
    );
}
