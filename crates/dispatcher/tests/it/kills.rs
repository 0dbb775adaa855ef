//! Dispatchers that are killed: no run is lost, none is told twice.

use basalt_link::Up;
use basalt_model::{EventBody, Outcome};

use crate::desk::{Desk, assert_same_as_journal};
use crate::site::{Dispatcher, Site};

fn is_pass(body: &EventBody) -> bool {
    matches!(
        body,
        EventBody::Finished {
            outcome: Outcome::Pass,
            ..
        }
    )
}

fn is_resume(body: &EventBody) -> bool {
    matches!(body, EventBody::Resumed { .. })
}

#[test]
fn a_run_goes_on_after_its_dispatcher_was_killed_in_a_boot_and_in_a_measurement() {
    let site = Site::start(2);
    let desk = Desk::open(&site);
    let dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    site.rack.hold("b0", "Linux version");
    let booting = desk.assign(&site, "b0", 1, &site.job(1));
    let measuring = desk.assign(&site, "b1", 1, &site.job(3));
    site.rack.wait_held("b0");
    desk.wait("a payload on the board", measuring, |told| {
        told.has(|body| matches!(body, EventBody::PayloadStarted { .. }))
    });
    dispatcher.kill();
    site.rack.let_go("b0");
    let _next = Dispatcher::start(&site, &desk.endpoint());
    for run in [booting, measuring] {
        let told = desk.wait_ended(run);
        assert!(told.has(is_pass), "{:?}", told.finished());
        assert!(told.has(is_resume));
        assert_same_as_journal(&told, &site.wait_done(run));
        let finished = told
            .events
            .iter()
            .filter(|event| matches!(event.body, EventBody::Finished { .. }));
        assert_eq!(finished.count(), 1);
    }
    let Up::Hello { runs, .. } = &desk.hellos()[1] else {
        panic!("no greeting");
    };
    assert_eq!(runs.len(), 2, "the next dispatcher says what it found");
    for board in ["b0", "b1"] {
        site.wait_off(board);
    }
}

#[test]
fn a_run_goes_on_without_its_server_and_is_told_when_that_is_back() {
    let site = Site::start(1);
    let mut desk = Desk::open(&site);
    let dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    let run = desk.assign(&site, "b0", 1, &site.job(2));
    desk.wait("a payload on the board", run, |told| {
        told.has(|body| matches!(body, EventBody::PayloadStarted { .. }))
    });
    desk.go_away();
    dispatcher.kill();
    let _next = Dispatcher::start(&site, &desk.endpoint());
    crate::site::until("the run's results", || {
        site.run_path(run)
            .join("results.json")
            .exists()
            .then_some(())
    });
    desk.come_back();
    let told = desk.wait_ended(run);
    assert!(told.has(is_pass), "{:?}", told.finished());
    assert!(told.has(is_resume));
    assert_same_as_journal(&told, &site.wait_done(run));
}
