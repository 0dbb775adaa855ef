use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use basalt_model::PowerState;
use basalt_power::{Pace, RelayHandle};

use crate::wire::{Manner, Tasmota, handle, pace, relay};

#[tokio::test]
async fn two_owners_with_one_lock_file_never_overlap() {
    let directory = tempfile::tempdir().unwrap();
    let device = Tasmota::start(Manner::Obeys).await;
    let relay = relay(&device.url);
    let off_time = Duration::from_millis(100);
    let cycles: Vec<_> = (0..4)
        .map(|_| {
            let handle = handle(&relay, directory.path());
            tokio::spawn(async move { handle.cycle(1, off_time).await })
        })
        .collect();
    for cycle in cycles {
        assert_eq!(cycle.await.unwrap().unwrap(), PowerState::On);
    }
    let asked = device.asked();
    assert_eq!(asked.len(), 16);
    for cycle in asked.chunks(4) {
        assert_eq!(cycle, ["Power1%20Off", "Power1", "Power1%20On", "Power1"]);
    }
    assert_eq!(device.most_open(), 1);
}

#[tokio::test]
async fn another_process_is_waited_for_and_then_named() {
    let directory = tempfile::tempdir().unwrap();
    let device = Tasmota::start(Manner::Obeys).await;
    let relay = relay(&device.url);
    let lock = directory.path().join("relay-pdu1.lock");
    std::fs::write(&lock, "process 4711 (cycle outlet 1)").unwrap();

    let mut holder = Command::new("flock")
        .arg(&lock)
        .args(["-c", "echo held; read ended"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = holder.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");

    let impatient = Pace {
        lock_wait: Duration::from_millis(50),
        ..pace()
    };
    let error = RelayHandle::spawn_with(&relay, directory.path(), impatient)
        .set(1, true)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "relay pdu1, outlet 1, asked to switch on: in use by process 4711 (cycle outlet 1); \
         waited 50ms"
    );
    assert!(device.asked().is_empty());

    let patient = handle(&relay, directory.path());
    let waiting = tokio::spawn(async move { patient.set(1, true).await });
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), PowerState::On);
}
