//! What a server is told of a run: everything, once, whoever was away meanwhile.

use basalt_model::{EventBody, Outcome, PowerState};

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

#[test]
fn a_run_is_performed_told_byte_for_byte_and_forgotten() {
    let site = Site::start(1);
    let desk = Desk::open(&site);
    let dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    until("the relay to be read", || {
        (desk.power("b0") == Some(PowerState::Off)).then_some(())
    });
    assert_eq!(
        site.rack.counter("b0", "power_on"),
        0,
        "nothing was switched"
    );
    let run = desk.assign(&site, "b0", 1, &site.job(1));
    desk.wait_answer(run).unwrap();
    let told = desk.wait_ended(run);
    assert!(told.has(is_pass), "{:?}", told.finished());
    assert_eq!(told.repeated, 0);
    assert_same_as_journal(&told, &site.wait_done(run));
    // The rack knows what the board said; all of it was this run's.
    assert_eq!(
        String::from_utf8_lossy(&told.console()),
        String::from_utf8_lossy(&site.rack.said("b0"))
    );
    let names: Vec<&str> = told.files.keys().map(String::as_str).collect();
    assert!(names.contains(&"results.json"), "{names:?}");
    let raw = names.iter().find(|name| name.starts_with("raw/")).unwrap();
    let kept = std::fs::read(site.wait_done(run).join(raw)).unwrap();
    assert_eq!(told.files[*raw], kept);
    site.wait_off("b0");
    until("the board to be told off", || {
        (desk.power("b0") == Some(PowerState::Off)).then_some(())
    });
    dispatcher.kill();
}

#[test]
fn two_runs_at_once_share_servers_and_cache_and_do_not_disturb_each_other() {
    let site = Site::start(2);
    let desk = Desk::open(&site);
    let _dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    let job = site.job(1);
    let runs = [
        desk.assign(&site, "b0", 1, &job),
        desk.assign(&site, "b1", 1, &job),
    ];
    for run in runs {
        let told = desk.wait_ended(run);
        assert!(told.has(is_pass), "{:?}", told.finished());
        assert_eq!(told.repeated, 0);
        assert_same_as_journal(&told, &site.wait_done(run));
    }
    for board in ["b0", "b1"] {
        site.wait_off(board);
    }
    // The next run of the same board follows at once.
    let run = desk.assign(&site, "b0", 2, &site.job(0));
    desk.wait_answer(run).unwrap();
    assert!(desk.wait_ended(run).has(is_pass));
}

#[test]
fn a_server_that_was_away_hears_everything_once() {
    let site = Site::start(1);
    let mut desk = Desk::open(&site);
    let _dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    site.rack.hold("b0", "Linux version");
    let run = desk.assign(&site, "b0", 1, &site.job(2));
    site.rack.wait_held("b0");
    desk.wait("the kernel to be told", run, |told| {
        told.console()
            .windows(13)
            .any(|text| text == b"Linux version")
    });
    desk.go_away();
    site.rack.let_go("b0");
    // The run goes to its end without anybody to tell.
    until("the run's results", || {
        site.run_path(run)
            .join("results.json")
            .exists()
            .then_some(())
    });
    desk.come_back();
    let told = desk.wait_ended(run);
    assert!(told.has(is_pass), "{:?}", told.finished());
    assert_same_as_journal(&told, &site.wait_done(run));
    assert_eq!(
        String::from_utf8_lossy(&told.console()),
        String::from_utf8_lossy(&site.rack.said("b0"))
    );
    assert_eq!(desk.hellos().len(), 2);
}

#[test]
fn a_line_that_the_board_does_not_end_is_told_all_the_same() {
    let site = Site::start(1);
    let desk = Desk::open(&site);
    let _dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    site.rack.hold("b0", "Hit any key");
    let run = desk.assign(&site, "b0", 1, &site.job(0));
    site.rack.wait_held("b0");
    desk.wait("the loader's question", run, |told| {
        told.console().ends_with(b"Hit any key")
    });
    site.rack.let_go("b0");
    assert!(desk.wait_ended(run).has(is_pass));
}

#[test]
fn a_run_that_the_server_has_not_forgotten_is_told_as_ended_again() {
    let site = Site::start(1);
    let mut desk = Desk::open(&site);
    desk.hold();
    let _dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    let run = desk.assign(&site, "b0", 1, &site.job(0));
    desk.wait_ended(run);
    desk.go_away();
    desk.come_back();
    let told = desk.wait("the end to be told again", run, |told| told.ended > 1);
    assert_eq!(told.repeated, 0);
}
