//! Which assignments are taken, and what becomes of those that are.

use basalt_link::{Down, RefusalCode};
use basalt_model::{BoardName, Epoch, UtcMicros};
use basalt_runner::host::HostState;

use crate::desk::Desk;
use crate::site::{Dispatcher, Site, until};

#[test]
fn an_assignment_is_refused_by_its_epoch_its_board_and_its_holder() {
    let site = Site::start(2);
    let host = HostState::open(&site.state()).unwrap();
    let board = BoardName::new("b0");
    let lock = host.take(&board, "the test", UtcMicros(1)).unwrap();
    lock.accept(Epoch(5)).unwrap();
    let desk = Desk::open(&site);
    let _dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    let job = site.job(0);

    let held = desk.assign(&site, "b0", 6, &job);
    let (code, message) = desk.wait_answer(held).unwrap_err();
    assert_eq!(code, RefusalCode::BoardHeld);
    assert!(message.contains("held by the test"), "{message}");

    let mut unknown = desk.assignment(&site, held, "b1", 1, &job);
    unknown.run = basalt_model::RunId::from_uuid(uuid::Uuid::now_v7());
    unknown.board = BoardName::new("nobody");
    let run = unknown.run;
    desk.say(Down::Assign(Box::new(unknown)));
    assert_eq!(
        desk.wait_answer(run).unwrap_err().0,
        RefusalCode::UnknownBoard
    );

    let mut rewired = desk.assignment(&site, held, "b1", 1, &job);
    rewired.run = basalt_model::RunId::from_uuid(uuid::Uuid::now_v7());
    rewired.plan["board"]["power"]["outlet"] = 1.into();
    let run = rewired.run;
    desk.say(Down::Assign(Box::new(rewired)));
    assert_eq!(
        desk.wait_answer(run).unwrap_err().0,
        RefusalCode::OtherRevision
    );

    drop(lock);
    let greetings = desk.hellos().len();
    let old = desk.assign(&site, "b0", 5, &job);
    assert_eq!(desk.wait_answer(old).unwrap_err().0, RefusalCode::OldEpoch);
    // The server learns which epoch the host has seen.
    let epochs = until("another greeting", || {
        match desk.hellos().get(greetings)? {
            basalt_link::Up::Hello { epochs, .. } => Some(epochs.clone()),
            other => panic!("{other:?}"),
        }
    });
    let seen = epochs.iter().find(|seen| seen.board == board).unwrap();
    assert_eq!(seen.epoch, Epoch(5));
    for board in ["b0", "b1"] {
        assert_eq!(site.rack.counter(board, "power_on"), 0);
    }
    assert!(!site.run_path(held).exists());
}

#[test]
fn a_run_that_is_canceled_ends_with_the_reason_and_its_board_off() {
    let site = Site::start(1);
    let desk = Desk::open(&site);
    let _dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    site.rack.hold("b0", "Linux version");
    let run = desk.assign(&site, "b0", 1, &site.job(0));
    site.rack.wait_held("b0");
    let reason = "alice needs the board".to_owned();
    desk.say(Down::Cancel { run, reason });
    let told = desk.wait_ended(run);
    assert_eq!(told.failure(), Some("canceled"));
    let said = format!("{:?}", told.finished());
    assert!(said.contains("alice needs the board"), "{said}");
    site.rack.let_go("b0");
    site.wait_off("b0");
}

#[test]
fn a_run_that_the_server_gives_up_ends_without_a_word_and_its_board_off() {
    let site = Site::start(1);
    let mut desk = Desk::open(&site);
    let _dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    site.rack.hold("b0", "Linux version");
    let run = desk.assign(&site, "b0", 1, &site.job(0));
    site.rack.wait_held("b0");
    desk.discard(run);
    desk.go_away();
    desk.come_back();
    site.wait_done(run);
    assert_eq!(desk.told(run).ended, 0);
    site.rack.let_go("b0");
    site.wait_off("b0");
}

#[test]
fn the_same_assignment_twice_is_one_run() {
    let site = Site::start(1);
    let desk = Desk::open(&site);
    let _dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    let run = basalt_model::RunId::from_uuid(uuid::Uuid::now_v7());
    let assignment = desk.assignment(&site, run, "b0", 1, &site.job(0));
    desk.say(Down::Assign(Box::new(assignment.clone())));
    desk.wait_answer(run).unwrap();
    desk.say(Down::Assign(Box::new(assignment)));
    desk.wait_ended(run);
    assert_eq!(site.rack.counter("b0", "power_on"), 1);
}
