//! Why a job waits, as a person reads it.

use basalt_model::{
    BoardHealth, DispatcherMode, DispatcherName, DispatcherState, JobId, UtcMicros,
};
use basalt_scheduler::{
    BoardFacts, Change, DispatcherFacts, Holder, Occupancy, QueuedJob, Scheduler, Wants,
};

use crate::{at, board, board_name, dispatcher, given, job, lab, queue};

fn said(scheduler: &Scheduler, id: i64, now: UtcMicros) -> String {
    scheduler.explain(JobId(id), now).unwrap().to_string()
}

#[test]
fn each_board_is_named_with_what_is_in_the_way_the_soonest_first() {
    let on = |name: &str, dispatcher: &str| BoardFacts {
        dispatcher: DispatcherName::new(dispatcher),
        ..board(name)
    };
    let mut scheduler = lab([
        BoardFacts {
            health: BoardHealth::Maintenance,
            health_since: at(4_000),
            health_reason: Some("fan broken".into()),
            ..board("qemu-2")
        },
        BoardFacts {
            occupancy: Occupancy::Running(Holder::Job(JobId(12))),
            occupancy_since: at(9_800),
            ..board("qemu-1")
        },
        on("qemu-3", "north"),
        on("qemu-4", "nowhere"),
        on("qemu-5", "south"),
    ]);
    scheduler.apply(Change::Dispatcher(DispatcherFacts {
        boards_usable_from: Some(at(10_090)),
        ..dispatcher("south")
    }));
    let north = DispatcherFacts {
        state: DispatcherState::Offline,
        state_since: at(9_990),
        boards_usable_from: Some(at(10_060)),
        ..dispatcher("north")
    };
    scheduler.apply(Change::Dispatcher(north));
    queue(&mut scheduler, [job(13), job(14), job(15)]);
    assert_eq!(given(&mut scheduler, at(10_000)), Vec::<String>::new());
    insta::assert_snapshot!(said(&scheduler, 14, at(10_000)), @"job 14 is 2 of 3 in the queue, behind 1 other for the same boards: qemu-1 has been held by job 12 for 3 min 20 s; qemu-5 may still be driven by its dispatcher south, which was silent, and is kept back for another 1 min 30 s; qemu-3 has a dispatcher, north, that has been offline for 10 s; qemu-4 has a dispatcher, nowhere, that has never connected; qemu-2 has been in maintenance for 1 h 40 min (fan broken)");
}

#[test]
fn the_other_reasons_read_like_this() {
    let now = at(400_000);
    let boards = [
        BoardFacts {
            occupancy: Occupancy::Reserved(Holder::Job(JobId(12))),
            occupancy_since: at(399_998),
            ..board("reserved")
        },
        BoardFacts {
            occupancy: Occupancy::Running(Holder::Other("alice".into())),
            occupancy_since: at(396_000),
            ..board("lent")
        },
        BoardFacts {
            health: BoardHealth::Bad,
            health_since: at(1),
            ..board("bad")
        },
        BoardFacts {
            health: BoardHealth::Looping,
            health_since: at(399_000),
            occupancy: Occupancy::Running(Holder::Job(JobId(11))),
            occupancy_since: at(399_990),
            ..board("looping")
        },
        BoardFacts {
            health: BoardHealth::Retired,
            ..board("retired")
        },
        BoardFacts {
            dispatcher: DispatcherName::new("east"),
            ..board("served")
        },
        BoardFacts {
            dispatcher: DispatcherName::new("west"),
            ..board("gone")
        },
        BoardFacts {
            dispatcher: DispatcherName::new("south"),
            ..board("waiting")
        },
        board("picky"),
    ];
    let names: Vec<_> = boards.iter().map(|board| board.name.clone()).collect();
    let mut scheduler = lab(boards);
    for (name, mode, reason) in [
        ("east", DispatcherMode::Maintenance, Some("new disk")),
        ("west", DispatcherMode::Retired, None),
    ] {
        scheduler.apply(Change::Dispatcher(DispatcherFacts {
            mode,
            mode_since: at(399_940),
            mode_reason: reason.map(str::to_owned),
            ..dispatcher(name)
        }));
    }
    scheduler.apply(Change::Dispatcher(DispatcherFacts {
        closed: Some(basalt_scheduler::Closed {
            reason: "its disk is full".into(),
            since: at(399_990),
        }),
        ..dispatcher("south")
    }));
    let why = "`kernel` needs the type `uimage`".to_owned();
    queue(
        &mut scheduler,
        [QueuedJob {
            unsuitable: [(board_name("picky"), why)].into(),
            ..job(1)
        }],
    );
    let explanation = scheduler.explain(JobId(1), now).unwrap();
    assert_eq!(explanation.candidates.len(), names.len());
    let sentences: Vec<String> = explanation
        .candidates
        .iter()
        .map(|candidate| candidate.sentence(now))
        .collect();
    insta::assert_snapshot!(sentences.join("\n"), @"
    lent has been held by alice for 1 h 06 min
    reserved has been reserved for job 12 for 2 s
    waiting has a dispatcher, south, that has taken no runs for 10 s: its disk is full
    gone has a retired dispatcher, west
    served has a dispatcher, east, in maintenance for 1 min 00 s (new disk)
    bad has been out of order for 4 days
    looping has been proving its health for 16 min 40 s and has been held by job 11 for 10 s
    retired is retired
    picky cannot run it: `kernel` needs the type `uimage`
    ");
    // A sentence does not name them all.
    assert!(
        explanation
            .to_string()
            .ends_with("; and 4 more boards are not free"),
        "{explanation}"
    );
    let json = serde_json::to_string(&explanation).unwrap();
    assert_eq!(
        serde_json::from_str::<basalt_scheduler::Explanation>(&json).unwrap(),
        explanation
    );
}

#[test]
fn a_job_that_no_board_fits_is_told_what_is_wrong() {
    let tagged = BoardFacts {
        tags: vec!["rt".into()],
        ..board("a")
    };
    let mut scheduler = lab([tagged]);
    let any = Wants::default();
    let tag = |name: &str| vec![name.to_owned()];
    let wants = [
        Wants {
            board: Some(board_name("z")),
            ..any.clone()
        },
        Wants {
            board: Some(board_name("a")),
            device_type: Some("u".into()),
            ..any.clone()
        },
        Wants {
            board: Some(board_name("a")),
            tags: tag("fast"),
            ..any.clone()
        },
        Wants {
            device_type: Some("u".into()),
            ..any.clone()
        },
        Wants {
            device_type: Some("t".into()),
            tags: tag("fast"),
            ..any.clone()
        },
        Wants {
            tags: vec!["rt".into(), "fast".into()],
            ..any
        },
    ];
    let jobs = (1..)
        .zip(wants)
        .map(|(id, wants)| QueuedJob { wants, ..job(id) });
    queue(&mut scheduler, jobs);
    let sentences: Vec<String> = (1..=6).map(|id| said(&scheduler, id, at(9))).collect();
    insta::assert_snapshot!(sentences.join("\n"), @"
    job 1 is 1 of 6 in the queue, and cannot start: there is no board z
    job 2 is 2 of 6 in the queue, and cannot start: board a is of type t, not u
    job 3 is 3 of 6 in the queue, and cannot start: board a lacks the tag fast
    job 4 is 4 of 6 in the queue, and cannot start: no board is of type u
    job 5 is 5 of 6 in the queue, and cannot start: no board of type t has the tag fast
    job 6 is 6 of 6 in the queue, and cannot start: no board has the tags rt, fast
    ");
}

#[test]
fn the_place_counts_those_before_it_and_among_them_the_rivals() {
    let other = BoardFacts {
        device_type: "u".into(),
        occupancy: Occupancy::Running(Holder::Job(JobId(90))),
        ..board("b")
    };
    let mut scheduler = lab([
        BoardFacts {
            occupancy: Occupancy::Running(Holder::Job(JobId(91))),
            ..board("a")
        },
        other,
    ]);
    let of_other_type = |id| QueuedJob {
        wants: Wants {
            device_type: Some("u".into()),
            ..Wants::default()
        },
        ..job(id)
    };
    let exact = |id| QueuedJob {
        wants: Wants {
            board: Some(board_name("a")),
            ..Wants::default()
        },
        ..job(id)
    };
    queue(
        &mut scheduler,
        [of_other_type(1), exact(2), job(3), exact(4)],
    );
    let place = scheduler.explain(JobId(3), at(9)).unwrap().place.unwrap();
    assert_eq!((place.position, place.of, place.rivals), (3, 4, 1));
}

#[test]
fn a_job_that_is_about_to_start_and_one_that_is_not_there_are_told_apart() {
    let mut scheduler = lab([board("a")]);
    queue(&mut scheduler, [job(1), job(2)]);
    assert_eq!(
        said(&scheduler, 1, at(3)),
        "job 1 is 1 of 2 in the queue: a is free"
    );
    given(&mut scheduler, at(3));
    assert_eq!(said(&scheduler, 1, at(3)), "job 1 is about to get a");
    assert_eq!(
        said(&scheduler, 2, at(3)),
        "job 2 is 1 of 1 in the queue: a is about to be given to job 1"
    );
    assert_eq!(scheduler.explain(JobId(3), at(3)), None);
}
