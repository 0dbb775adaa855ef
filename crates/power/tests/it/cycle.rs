use std::time::Duration;

use basalt_model::PowerState;
use basalt_power::LONGEST_OFF_TIME;
use tokio::time::Instant;

use crate::wire::{BOUND, Manner, Tasmota, handle, relay};

const OFF_TIME: Duration = Duration::from_millis(150);

#[tokio::test]
async fn a_cycle_is_off_read_wait_on_read() {
    let directory = tempfile::tempdir().unwrap();
    let device = Tasmota::start(Manner::Obeys).await;
    let handle = handle(&relay(&device.url), directory.path());
    let start = Instant::now();
    assert_eq!(handle.cycle(1, OFF_TIME).await.unwrap(), PowerState::On);
    assert!(start.elapsed() >= OFF_TIME);
    assert_eq!(
        device.asked(),
        ["Power1%20Off", "Power1", "Power1%20On", "Power1"]
    );
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_break_a_cycle() {
    let directory = tempfile::tempdir().unwrap();
    let device = Tasmota::start(Manner::Obeys).await;
    let handle = handle(&relay(&device.url), directory.path());
    let caller = tokio::spawn({
        let handle = handle.clone();
        async move { handle.cycle(1, OFF_TIME).await }
    });
    device.wait_for(1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());

    // Asked in the off time, done after the cycle.
    let state = tokio::time::timeout(BOUND, handle.read(1)).await.unwrap();
    assert_eq!(state.unwrap(), PowerState::On);
    assert_eq!(
        device.asked(),
        ["Power1%20Off", "Power1", "Power1%20On", "Power1", "Power1"]
    );
}

#[tokio::test]
async fn a_cycle_ends_even_if_every_handle_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let device = Tasmota::start(Manner::Obeys).await;
    let handle = handle(&relay(&device.url), directory.path());
    let caller = tokio::spawn(async move { handle.cycle(1, OFF_TIME).await });
    device.wait_for(1).await;
    caller.abort();
    device.wait_for(4).await;
    assert!(device.is_on());
}

#[tokio::test]
async fn a_request_withdrawn_before_it_began_is_not_done() {
    let directory = tempfile::tempdir().unwrap();
    let device = Tasmota::start(Manner::Obeys).await;
    let handle = handle(&relay(&device.url), directory.path());
    let cycle = tokio::spawn({
        let handle = handle.clone();
        async move { handle.cycle(1, OFF_TIME).await }
    });
    device.wait_for(1).await;
    {
        let withdrawn = std::pin::pin!(handle.set(7, true));
        let immediately = tokio::time::timeout(Duration::ZERO, withdrawn).await;
        assert!(immediately.is_err());
    }
    cycle.await.unwrap().unwrap();
    handle.read(1).await.unwrap();
    assert!(!device.asked().iter().any(|asked| asked.contains("Power7")));
}

#[tokio::test]
async fn a_cycle_with_bad_parameters_switches_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let device = Tasmota::start(Manner::Obeys).await;
    let handle = handle(&relay(&device.url), directory.path());
    let too_long = LONGEST_OFF_TIME + Duration::from_secs(1);
    for (outlet, off_time, code) in [
        (0, OFF_TIME, "relay-bad-outlet"),
        (1, Duration::ZERO, "relay-bad-off-time"),
        (1, too_long, "relay-bad-off-time"),
    ] {
        let error = handle.cycle(outlet, off_time).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    assert!(device.asked().is_empty());
}

#[tokio::test]
async fn on_is_not_tried_where_off_cannot_be_verified() {
    let directory = tempfile::tempdir().unwrap();
    let device = Tasmota::start(Manner::SlowContact(u32::MAX)).await;
    let handle = handle(&relay(&device.url), directory.path());
    let error = handle.cycle(1, OFF_TIME).await.unwrap_err();
    assert_eq!(error.code(), "relay-state-mismatch");
    assert!(!device.asked().contains(&"Power1%20On".to_owned()));
}
