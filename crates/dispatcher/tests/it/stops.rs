//! How a dispatcher stops (decision D23).

use basalt_link::{Down, RefusalCode, StopMode};
use basalt_model::{EventBody, Outcome};
use rustix::process::Signal;

use crate::desk::{Desk, assert_same_as_journal};
use crate::site::{Dispatcher, Site, until};

fn is_pass(body: &EventBody) -> bool {
    matches!(
        body,
        EventBody::Finished {
            outcome: Outcome::Pass,
            ..
        }
    )
}

fn keeper_runs(site: &Site) -> bool {
    let Ok(pid) = std::fs::read_to_string(site.state().join("keeper.pid")) else {
        return false;
    };
    std::fs::read_to_string(format!("/proc/{}/comm", pid.trim())).is_ok()
}

#[test]
fn a_lab_that_ends_ends_its_runs_switches_off_and_leaves_no_process() {
    let site = Site::start(1);
    let desk = Desk::open(&site);
    let mut dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    site.rack.hold("b0", "Linux version");
    let run = desk.assign(&site, "b0", 1, &site.job(0));
    site.rack.wait_held("b0");
    assert!(keeper_runs(&site));
    desk.say(Down::Stop {
        mode: StopMode::End,
    });
    assert!(dispatcher.wait().success());
    let told = desk.told(run);
    assert_eq!(told.failure(), Some("lab-stopped"));
    assert_eq!(
        told.ended, 1,
        "the server was told before the dispatcher went"
    );
    site.rack.let_go("b0");
    site.wait_off("b0");
    assert!(!keeper_runs(&site), "it went before the dispatcher did");
}

#[test]
fn a_dispatcher_that_drains_finishes_what_it_has_and_takes_nothing_more() {
    let site = Site::start(2);
    let desk = Desk::open(&site);
    let mut dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    site.rack.hold("b0", "Linux version");
    let run = desk.assign(&site, "b0", 1, &site.job(1));
    site.rack.wait_held("b0");
    dispatcher.signal(Signal::USR1);
    until("the word that it is stopping", || {
        desk.heard()
            .iter()
            .any(|up| matches!(up, basalt_link::Up::Stopping))
            .then_some(())
    });
    let late = desk.assign(&site, "b1", 1, &site.job(0));
    assert_eq!(desk.wait_answer(late).unwrap_err().0, RefusalCode::Stopping);
    site.rack.let_go("b0");
    assert!(dispatcher.wait().success());
    let told = desk.told(run);
    assert!(told.has(is_pass), "{:?}", told.finished());
    assert_eq!(told.ended, 1);
}

#[test]
fn a_dispatcher_that_detaches_leaves_its_boards_on_and_the_next_one_goes_on() {
    let site = Site::start(1);
    let desk = Desk::open(&site);
    let mut dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    let run = desk.assign(&site, "b0", 1, &site.job(3));
    desk.wait("a payload on the board", run, |told| {
        told.has(|body| matches!(body, EventBody::PayloadStarted { .. }))
    });
    let boots = site.rack.counter("b0", "power_on");
    dispatcher.signal(Signal::TERM);
    assert!(dispatcher.wait().success());
    assert!(site.rack.has_power("b0"));
    let _next = Dispatcher::start(&site, &desk.endpoint());
    let told = desk.wait_ended(run);
    assert!(told.has(is_pass), "{:?}", told.finished());
    assert_same_as_journal(&told, &site.wait_done(run));
    assert_eq!(
        site.rack.counter("b0", "power_on"),
        boots,
        "the board went on"
    );
}
