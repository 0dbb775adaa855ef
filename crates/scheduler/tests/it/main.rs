//! The scheduler from outside: who gets what, why others wait, and what it costs.

mod cost;
mod explanations;
mod oracle;
mod rules;

use basalt_model::{
    BoardHealth, BoardName, DispatcherMode, DispatcherName, DispatcherState, JobId, UtcMicros,
};
use basalt_scheduler::{
    BoardFacts, Change, DispatcherFacts, Occupancy, QueuedJob, Scheduler, Wants,
};

const SECOND: i64 = 1_000_000;

fn at(seconds: i64) -> UtcMicros {
    UtcMicros(seconds * SECOND)
}

fn board_name(name: &str) -> BoardName {
    BoardName::new(name)
}

/// An idle board of type `t` on dispatcher `main`.
fn board(name: &str) -> BoardFacts {
    BoardFacts {
        name: board_name(name),
        device_type: "t".into(),
        tags: Vec::new(),
        dispatcher: DispatcherName::new("main"),
        health: BoardHealth::Good,
        health_since: at(0),
        health_reason: None,
        occupancy: Occupancy::Idle,
        occupancy_since: at(0),
    }
}

/// A dispatcher that is online and active.
fn dispatcher(name: &str) -> DispatcherFacts {
    DispatcherFacts {
        name: DispatcherName::new(name),
        state: DispatcherState::Online,
        state_since: at(0),
        mode: DispatcherMode::Active,
        mode_since: at(0),
        mode_reason: None,
        boards_usable_from: None,
        closed: None,
    }
}

/// A job of middle priority that wants any board of type `t`, submitted in the order of the numbers.
fn job(id: i64) -> QueuedJob {
    QueuedJob {
        id: JobId(id),
        priority: 50,
        submitted: at(id),
        wants: Wants {
            device_type: Some("t".into()),
            ..Wants::default()
        },
        unsuitable: Default::default(),
    }
}

/// A scheduler with dispatcher `main` and these boards.
fn lab(boards: impl IntoIterator<Item = BoardFacts>) -> Scheduler {
    let mut scheduler = Scheduler::new();
    scheduler.apply(Change::Dispatcher(dispatcher("main")));
    for board in boards {
        scheduler.apply(Change::Board(board));
    }
    scheduler
}

fn queue(scheduler: &mut Scheduler, jobs: impl IntoIterator<Item = QueuedJob>) {
    for job in jobs {
        scheduler.apply(Change::JobQueued(job));
    }
}

/// `1 a` for each decision of a tick.
fn given(scheduler: &mut Scheduler, now: UtcMicros) -> Vec<String> {
    scheduler
        .tick(now)
        .into_iter()
        .map(|decision| format!("{} {}", decision.job, decision.board))
        .collect()
}
