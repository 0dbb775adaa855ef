//! Who gets what.

use basalt_model::{BoardHealth, DispatcherMode, DispatcherName, DispatcherState, JobId};
use basalt_scheduler::{BoardFacts, Change, Holder, Occupancy, QueuedJob, Wants};

use crate::{at, board, board_name, dispatcher, given, job, lab, queue};

#[test]
fn the_higher_priority_is_served_first_then_the_older_then_the_lower_number() {
    let mut scheduler = lab([]);
    let with = |id, priority, submitted| QueuedJob {
        priority,
        submitted: at(submitted),
        ..job(id)
    };
    queue(
        &mut scheduler,
        [
            with(1, 50, 30),
            with(2, 50, 20),
            with(3, 100, 40),
            with(5, 50, 20),
            with(4, 0, 1),
        ],
    );
    let order: Vec<i64> = scheduler.queue().map(|job| job.id.0).collect();
    assert_eq!(order, [3, 2, 5, 1, 4]);
    for (expected, name) in [3, 2, 5, 1, 4].into_iter().zip(["a", "b", "c", "d", "e"]) {
        scheduler.apply(Change::Board(board(name)));
        assert_eq!(
            given(&mut scheduler, at(50)),
            [format!("{expected} {name}")]
        );
    }
    assert_eq!(scheduler.waiting(), 0);
}

#[test]
fn a_job_gets_only_boards_with_its_type_name_and_tags() {
    let tagged = |name: &str, tags: &[&str]| BoardFacts {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..board(name)
    };
    let other = BoardFacts {
        device_type: "u".into(),
        ..board("o")
    };
    let mut scheduler = lab([tagged("a", &["rt", "fast"]), tagged("b", &["rt"]), other]);
    let wanting = |id, wants| QueuedJob { wants, ..job(id) };
    let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
    let any = Wants::default();
    queue(
        &mut scheduler,
        [
            wanting(
                1,
                Wants {
                    device_type: Some("none".into()),
                    ..any.clone()
                },
            ),
            wanting(
                2,
                Wants {
                    board: Some(board_name("b")),
                    tags: tags(&["fast"]),
                    ..any.clone()
                },
            ),
            wanting(
                3,
                Wants {
                    tags: tags(&["fast", "rt"]),
                    ..any.clone()
                },
            ),
            wanting(
                4,
                Wants {
                    board: Some(board_name("b")),
                    ..any.clone()
                },
            ),
            wanting(
                5,
                Wants {
                    device_type: Some("t".into()),
                    ..any.clone()
                },
            ),
            wanting(6, any),
        ],
    );
    assert_eq!(given(&mut scheduler, at(9)), ["3 a", "4 b", "6 o"]);
    assert_eq!(scheduler.waiting(), 3);
}

#[test]
fn a_job_spares_boards_with_tags_and_takes_the_one_that_was_idle_longest() {
    let idle = |name: &str, since, tags: &[&str]| BoardFacts {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        occupancy_since: at(since),
        ..board(name)
    };
    let mut scheduler = lab([idle("a", 1, &["rt"]), idle("b", 9, &[]), idle("c", 5, &[])]);
    queue(&mut scheduler, (1..=4).map(job));
    assert_eq!(given(&mut scheduler, at(10)), ["1 c", "2 b", "3 a"]);
}

#[test]
fn a_job_is_not_held_up_by_one_before_it_that_wants_other_boards() {
    let mut scheduler = lab([board("a")]);
    let stuck = QueuedJob {
        priority: 100,
        wants: Wants {
            board: Some(board_name("b")),
            ..Wants::default()
        },
        ..job(1)
    };
    queue(&mut scheduler, [stuck, job(2)]);
    assert_eq!(given(&mut scheduler, at(3)), ["2 a"]);
}

#[test]
fn only_healthy_idle_boards_are_given() {
    for health in BoardHealth::ALL {
        let mut scheduler = lab([BoardFacts {
            health: *health,
            ..board("a")
        }]);
        queue(&mut scheduler, [job(1)]);
        let is_given = !given(&mut scheduler, at(2)).is_empty();
        let expected = matches!(health, BoardHealth::Good | BoardHealth::Unknown);
        assert_eq!(is_given, expected, "{health}");
        scheduler.apply(Change::Board(board("a")));
        assert_eq!(given(&mut scheduler, at(3)).is_empty(), expected);
    }
    for occupancy in [
        Occupancy::Reserved(Holder::Job(JobId(9))),
        Occupancy::Running(Holder::Other("alice".into())),
    ] {
        let mut scheduler = lab([BoardFacts {
            occupancy,
            ..board("a")
        }]);
        queue(&mut scheduler, [job(1)]);
        assert!(given(&mut scheduler, at(2)).is_empty());
    }
}

#[test]
fn a_board_is_given_only_while_its_dispatcher_is_online_active_and_known() {
    let mut scheduler = lab([BoardFacts {
        dispatcher: DispatcherName::new("east"),
        ..board("a")
    }]);
    queue(&mut scheduler, [job(1)]);
    assert!(given(&mut scheduler, at(2)).is_empty());
    let east = dispatcher("east");
    for (state, mode) in [
        (DispatcherState::Offline, DispatcherMode::Active),
        (DispatcherState::Online, DispatcherMode::Maintenance),
        (DispatcherState::Online, DispatcherMode::Retired),
    ] {
        scheduler.apply(Change::Dispatcher(basalt_scheduler::DispatcherFacts {
            state,
            mode,
            ..east.clone()
        }));
        assert!(given(&mut scheduler, at(2)).is_empty(), "{state} {mode}");
    }
    scheduler.apply(Change::Dispatcher(east.clone()));
    scheduler.apply(Change::DispatcherGone(east.name.clone()));
    assert!(given(&mut scheduler, at(2)).is_empty());
    scheduler.apply(Change::Dispatcher(east));
    assert_eq!(given(&mut scheduler, at(2)), ["1 a"]);
}

#[test]
fn a_board_of_a_dispatcher_that_was_silent_is_given_only_after_its_time() {
    let mut scheduler = lab([board("a")]);
    scheduler.apply(Change::Dispatcher(basalt_scheduler::DispatcherFacts {
        boards_usable_from: Some(at(100)),
        ..dispatcher("main")
    }));
    queue(&mut scheduler, [job(1)]);
    assert_eq!(scheduler.next_wake(), Some(at(100)));
    assert!(given(&mut scheduler, at(99)).is_empty());
    assert_eq!(given(&mut scheduler, at(100)), ["1 a"]);
    assert_eq!(scheduler.next_wake(), None);
}

#[test]
fn a_time_that_is_taken_back_or_moved_holds_no_more() {
    let mut scheduler = lab([board("a")]);
    let until = |seconds: Option<i64>| {
        Change::Dispatcher(basalt_scheduler::DispatcherFacts {
            boards_usable_from: seconds.map(at),
            ..dispatcher("main")
        })
    };
    queue(&mut scheduler, [job(1)]);
    scheduler.apply(until(Some(100)));
    scheduler.apply(until(Some(200)));
    assert!(given(&mut scheduler, at(150)).is_empty());
    scheduler.apply(until(None));
    assert_eq!(scheduler.next_wake(), None);
    assert_eq!(given(&mut scheduler, at(150)), ["1 a"]);
}

#[test]
fn what_was_decided_stays_taken_until_a_change_says_otherwise() {
    let mut scheduler = lab([board("a")]);
    queue(&mut scheduler, [job(1), job(2)]);
    assert_eq!(given(&mut scheduler, at(3)), ["1 a"]);
    assert!(given(&mut scheduler, at(4)).is_empty());
    // The same facts again, with another health: nothing about who has it.
    scheduler.apply(Change::Board(BoardFacts {
        health: BoardHealth::Unknown,
        ..board("a")
    }));
    assert!(given(&mut scheduler, at(4)).is_empty());
    // The grant was made, and later the run is over.
    scheduler.apply(Change::Board(BoardFacts {
        occupancy: Occupancy::Reserved(Holder::Job(JobId(1))),
        occupancy_since: at(4),
        ..board("a")
    }));
    scheduler.apply(Change::JobGone(JobId(1)));
    assert!(given(&mut scheduler, at(4)).is_empty());
    scheduler.apply(Change::Board(BoardFacts {
        occupancy_since: at(5),
        ..board("a")
    }));
    assert_eq!(given(&mut scheduler, at(5)), ["2 a"]);
}

#[test]
fn a_grant_that_was_refused_puts_job_and_board_back() {
    let mut scheduler = lab([board("a")]);
    queue(&mut scheduler, [job(1)]);
    assert_eq!(given(&mut scheduler, at(2)), ["1 a"]);
    queue(&mut scheduler, [job(1)]);
    assert_eq!(given(&mut scheduler, at(3)), ["1 a"]);
    // Canceled before it was granted.
    scheduler.apply(Change::JobGone(JobId(1)));
    queue(&mut scheduler, [job(2)]);
    assert_eq!(given(&mut scheduler, at(3)), ["2 a"]);
}

#[test]
fn a_job_keeps_its_place_when_it_comes_back_and_moves_with_its_priority() {
    let mut scheduler = lab([]);
    queue(&mut scheduler, [job(1), job(2), job(3)]);
    let urgent = QueuedJob {
        priority: 90,
        ..job(3)
    };
    queue(&mut scheduler, [job(1), urgent]);
    let order: Vec<i64> = scheduler.queue().map(|job| job.id.0).collect();
    assert_eq!(order, [3, 1, 2]);
}

#[test]
fn a_board_that_cannot_run_a_job_is_left_to_others() {
    let mut scheduler = lab([board("a"), board("b")]);
    let picky = QueuedJob {
        unsuitable: [(board_name("a"), "it has no network".to_owned())].into(),
        ..job(1)
    };
    queue(&mut scheduler, [picky, job(2)]);
    assert_eq!(given(&mut scheduler, at(3)), ["1 b", "2 a"]);
}

#[test]
fn a_board_that_changes_its_type_or_goes_is_given_accordingly() {
    let mut scheduler = lab([BoardFacts {
        device_type: "u".into(),
        ..board("a")
    }]);
    queue(&mut scheduler, [job(1)]);
    assert!(given(&mut scheduler, at(2)).is_empty());
    scheduler.apply(Change::Board(board("a")));
    scheduler.apply(Change::BoardGone(board_name("a")));
    assert!(given(&mut scheduler, at(2)).is_empty());
    scheduler.apply(Change::Board(board("a")));
    assert_eq!(given(&mut scheduler, at(2)), ["1 a"]);
}

#[test]
fn a_change_survives_its_json() {
    for change in [
        Change::JobQueued(job(1)),
        Change::Board(BoardFacts {
            occupancy: Occupancy::Running(Holder::Job(JobId(3))),
            ..board("a")
        }),
        Change::Dispatcher(dispatcher("main")),
        Change::BoardGone(board_name("a")),
    ] {
        let json = serde_json::to_string(&change).unwrap();
        assert_eq!(serde_json::from_str::<Change>(&json).unwrap(), change);
    }
}
