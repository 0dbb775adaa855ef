//! Processes that stand still for a while: what passed meanwhile is nobody's fault.

use std::time::{Duration, Instant};

use basalt_model::{EventBody, Outcome};
use rustix::process::Signal;

use crate::desk::{Desk, Told};
use crate::site::{Dispatcher, Site, keeper_pid, signal, until};

/// Longer than the boot loader waits for a key, and than the job waits for the boot loader.
const STANDSTILL: Duration = Duration::from_secs(8);

/// Runs a job; while its board is in the boot loader, a process stands still.
fn run_over_a_standstill(which: impl FnOnce(&Site, &Dispatcher) -> u32) -> Told {
    let site = Site::start(1);
    let desk = Desk::open(&site);
    let dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    let job = site.job(1).replace(
        "timeouts:\n",
        "timeouts:\n  actions: {bootloader-interrupt: {seconds: 6}}\n",
    );
    site.rack.hold("b0", "U-Boot");
    let run = desk.assign(&site, "b0", 1, &job);
    site.rack.wait_held("b0");
    let frozen = which(&site, &dispatcher);
    signal(frozen, Signal::STOP);
    site.rack.let_go("b0");
    let begun = Instant::now();
    until("the standstill to have been long enough", || {
        (begun.elapsed() >= STANDSTILL).then_some(())
    });
    signal(frozen, Signal::CONT);
    let told = desk.wait_ended(run);
    let passed = |body: &EventBody| {
        matches!(
            body,
            EventBody::Finished {
                outcome: Outcome::Pass,
                ..
            }
        )
    };
    assert!(told.has(passed), "{:?}", told.finished());
    site.wait_off("b0");
    told
}

#[test]
fn a_keeper_that_stood_still_costs_no_attempt_and_leaves_a_gap() {
    let told = run_over_a_standstill(|site, _| keeper_pid(site));
    let gap = told.events.iter().any(|event| {
        matches!(&event.body, EventBody::ConsoleGap { reason, .. } if reason.contains("stood still"))
    });
    assert!(gap, "{:#?}", told.events);
}

#[test]
fn a_dispatcher_that_stood_still_costs_no_attempt() {
    run_over_a_standstill(|_, dispatcher| dispatcher.pid());
}
