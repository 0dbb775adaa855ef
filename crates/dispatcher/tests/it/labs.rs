//! The lab: applied when the server sends it, in force without it.

use basalt_link::{Down, RefusalCode, Up};

use crate::desk::Desk;
use crate::site::{Dispatcher, Site, end_keeper, until};

#[test]
fn a_board_that_comes_with_a_revision_is_served_from_then_on() {
    let site = Site::start(2);
    let desk = Desk::open(&site);
    let whole = site.lab_texts();
    let part = whole.iter().filter(|file| file.path != "boards/b1.yaml");
    desk.lab(part.cloned().collect());
    let _dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    let early = desk.assign(&site, "b1", 1, &site.job(0));
    assert_eq!(
        desk.wait_answer(early).unwrap_err().0,
        RefusalCode::UnknownBoard
    );
    desk.say(Down::Lab {
        revision: 8,
        name: "test".into(),
        files: whole,
    });
    until("the revision to be in force", || {
        let applied = |up: &Up| matches!(up, Up::Applied { revision: 8, .. });
        desk.heard().iter().any(applied).then_some(())
    });
    let run = desk.assign(&site, "b1", 1, &site.job(0));
    desk.wait_answer(run).unwrap();
    assert!(desk.wait_ended(run).finished().is_some());
}

#[test]
fn a_lab_that_cannot_be_read_changes_nothing() {
    let site = Site::start(1);
    let desk = Desk::open(&site);
    let _dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    let mut broken = site.lab_texts();
    broken[0].text.push_str("levitation: 3\n");
    desk.expect_problems();
    desk.say(Down::Lab {
        revision: 8,
        name: "test".into(),
        files: broken,
    });
    let problems = until("an answer to the lab", || {
        desk.heard().into_iter().find_map(|up| match up {
            Up::Applied { revision, problems } if !problems.is_empty() => {
                assert_eq!(revision, 7, "what was in force stays");
                Some(problems)
            }
            _ => None,
        })
    });
    assert!(problems[0].contains("levitation"), "{problems:?}");
    let run = desk.assign(&site, "b0", 1, &site.job(0));
    desk.wait_answer(run).unwrap();
    desk.wait_ended(run);
}

#[test]
fn consoles_are_captured_although_the_server_is_away() {
    let site = Site::start(1);
    let mut desk = Desk::open(&site);
    let dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    desk.go_away();
    dispatcher.kill();
    end_keeper(&site.state());
    let opened = || {
        site.rack
            .log()
            .iter()
            .filter(|line| line["ev"] == "connect")
            .count()
    };
    let before = opened();
    let _next = Dispatcher::start(&site, &desk.endpoint());
    until("the board's console to be opened again", || {
        (opened() > before).then_some(())
    });
}
