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

#[test]
fn whenever_a_dispatcher_is_killed_every_run_ends_once_and_is_told_whole() {
    const BOARDS: usize = 3;
    const KILLS: u64 = 6;
    let site = Site::start(BOARDS);
    let desk = Desk::open(&site);
    let mut dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    let job = site.job(2);
    let mut runs = Vec::new();
    for kill in 0..KILLS {
        if kill % 2 == 0 {
            for board in 0..BOARDS {
                let epoch = kill / 2 + 1;
                runs.push(desk.assign(&site, &format!("b{board}"), epoch, &job));
            }
        }
        // After another number of events each time, wherever that is in the runs.
        let newest = runs[runs.len() - 1 - usize::try_from(kill).unwrap() % BOARDS];
        let events = 3 + 11 * kill as usize;
        desk.wait("events", newest, |told| {
            told.events.len() >= events || told.ended > 0
        });
        dispatcher.kill();
        dispatcher = Dispatcher::start(&site, &desk.endpoint());
        if kill % 2 == 1 {
            for run in &runs {
                desk.wait_ended(*run);
            }
        }
    }
    for run in runs {
        let told = desk.wait_ended(run);
        assert!(told.has(is_pass), "{:?}", told.finished());
        assert_same_as_journal(&told, &site.wait_done(run));
    }
    for board in 0..BOARDS {
        site.wait_off(&format!("b{board}"));
    }
}
