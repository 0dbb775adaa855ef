//! What a change and a tick cost, counted in classes and boards that were looked at.

use basalt_model::JobId;
use basalt_scheduler::{BoardFacts, Change, Holder, Occupancy, QueuedJob, Scheduler};

use crate::{at, board, job, lab};

const BOARDS: i64 = 100;
const JOBS: i64 = 10_000;
const TYPES: i64 = 10;

/// Ten thousand jobs of all kinds before a hundred boards that are all in use.
fn busy_lab() -> Scheduler {
    let boards = (0..BOARDS).map(|number| BoardFacts {
        device_type: format!("type-{}", number % TYPES),
        occupancy: Occupancy::Running(Holder::Job(JobId(1_000_000 + number))),
        ..board(&format!("board-{number}"))
    });
    let mut scheduler = lab(boards);
    for id in 0..JOBS {
        let mut job = job(id);
        job.wants.device_type = Some(format!("type-{}", id % TYPES));
        job.priority = (id % 100) as u8;
        scheduler.apply(Change::JobQueued(job));
    }
    assert_eq!(scheduler.tick(at(1)), []);
    scheduler
}

#[test]
fn a_tick_that_can_give_nothing_looks_at_nothing() {
    let mut scheduler = busy_lab();
    let before = scheduler.looks();
    for second in 2..100 {
        assert_eq!(scheduler.tick(at(second)), []);
    }
    assert_eq!(scheduler.looks(), before);
}

#[test]
fn another_job_of_a_known_kind_costs_one_look() {
    let mut scheduler = busy_lab();
    let before = scheduler.looks();
    let mut job = job(JOBS);
    job.wants.device_type = Some("type-3".into());
    scheduler.apply(Change::JobQueued(job));
    assert_eq!(scheduler.tick(at(2)), []);
    assert_eq!(scheduler.looks() - before, 1);
}

#[test]
fn a_board_that_comes_free_costs_as_much_as_there_are_kinds_of_jobs_for_it() {
    let mut scheduler = busy_lab();
    // Five more kinds for one type: each with another board that cannot run it.
    for number in 0..5 {
        let mut job = job(JOBS + number);
        job.wants.device_type = Some("type-0".into());
        let name = crate::board_name(&format!("board-{}", number * 10));
        job.unsuitable = [(name, "no".to_owned())].into();
        scheduler.apply(Change::JobQueued(job));
    }
    scheduler.tick(at(2));
    let before = scheduler.looks();
    scheduler.apply(Change::Board(BoardFacts {
        device_type: "type-0".into(),
        ..board("board-90")
    }));
    let decisions = scheduler.tick(at(3));
    assert_eq!(decisions.len(), 1);
    // The board, its six classes as it comes and as it goes, and the decision among them.
    let looks = scheduler.looks() - before;
    assert!((1..=30).contains(&looks), "{looks} looks");
}

#[test]
fn a_dispatcher_that_says_the_same_again_costs_nothing() {
    let mut scheduler = busy_lab();
    let before = scheduler.looks();
    for _ in 0..1000 {
        scheduler.apply(Change::Dispatcher(crate::dispatcher("main")));
    }
    scheduler.tick(at(2));
    assert_eq!(scheduler.looks(), before);
}

#[test]
fn the_whole_queue_is_served_with_looks_in_proportion() {
    let mut scheduler = busy_lab();
    let before = scheduler.looks();
    let mut served = 0;
    while scheduler.waiting() > 0 {
        for number in 0..BOARDS {
            scheduler.apply(Change::Board(BoardFacts {
                device_type: format!("type-{}", number % TYPES),
                occupancy_since: at(served),
                ..board(&format!("board-{number}"))
            }));
            served += 1;
        }
        for decision in scheduler.tick(at(3)) {
            let facts = scheduler.board(&decision.board).cloned().unwrap();
            scheduler.apply(Change::Board(BoardFacts {
                occupancy: Occupancy::Running(Holder::Job(decision.job)),
                ..facts
            }));
            scheduler.apply(Change::JobGone(decision.job));
        }
    }
    let looks = scheduler.looks() - before;
    assert!(looks <= 10 * JOBS as u64, "{looks} looks");
    let unused: Vec<&QueuedJob> = scheduler.queue().collect();
    assert!(unused.is_empty());
}
