//! From an assignment to a run on disk: everything that can be refused is, before anything is
//! promised.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use basalt_lab::profile::{BoardProfile, Relay};
use basalt_link::{Assignment, RefusalCode};
use basalt_plan::Plan;
use basalt_runner::directory::NewRun;
use basalt_runner::host::{BoardLock, HostError};
use basalt_runner::{Ending, Grown, RunDirectory};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::common::Common;
use crate::lease::{LEASE_FILE, LeaseRecord};
use crate::reserve::is_disk_full;

/// How long a run that ends may keep its board from the next one.
const HANDOVER: Duration = Duration::from_secs(60);
/// The moment between a run's last event and the return of its board.
const HANDOVER_PAUSE: Duration = Duration::from_millis(1);

/// The run that had the board before, if this process still knows it.
#[derive(Debug)]
pub struct Previous {
    /// How far it is.
    pub grown: watch::Receiver<Grown>,
    /// It has left the board and written its results.
    pub ended: watch::Receiver<bool>,
    /// Somebody asked it to end.
    pub ending: Ending,
}

/// What an assignment is held against.
#[derive(Debug)]
pub struct Asked {
    /// What the server wants.
    pub assignment: Box<Assignment>,
    /// The board and its relay, where this dispatcher serves it.
    pub board: Option<(BoardProfile, Relay)>,
    /// Who had the board last.
    pub previous: Option<Previous>,
}

/// A run that is on disk, and its board.
#[derive(Debug)]
pub struct Taken {
    /// Its lease.
    pub lease: LeaseRecord,
    /// Where it is.
    pub path: PathBuf,
    /// The run.
    pub directory: RunDirectory,
    /// Its board.
    pub lock: BoardLock,
}

/// Why a run is not taken.
#[derive(Debug)]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For people.
    pub message: String,
}

fn refusal(code: RefusalCode, message: impl Into<String>) -> Refusal {
    let message = message.into();
    Refusal { code, message }
}

/// What the host does not let happen. A disk that is full has room again some day; whoever watches
/// over the reserve may not have seen it yet.
fn of_host(error: &(dyn std::error::Error + 'static)) -> Refusal {
    let code = match is_disk_full(error) {
        true => RefusalCode::Closed,
        false => RefusalCode::Host,
    };
    refusal(code, chain(error))
}

/// Checks an assignment and makes its run; durable before this returns.
pub async fn accept(common: Arc<Common>, asked: Asked) -> Result<Taken, Refusal> {
    let Asked {
        assignment,
        board,
        previous,
    } = asked;
    let name = assignment.board.clone();
    let Some((board, relay)) = board else {
        let message = format!("board {name} is not served here");
        return Err(refusal(RefusalCode::UnknownBoard, message));
    };
    let highest = common.host.highest_epoch(&name);
    if assignment.epoch <= highest {
        let error = HostError::OldEpoch {
            board: name,
            epoch: assignment.epoch,
            highest,
        };
        return Err(refusal(RefusalCode::OldEpoch, error.to_string()));
    }
    if let Some(previous) = previous {
        hand_over(&common, &assignment, previous).await?;
    }
    let locks = common.clone();
    // Never closed: whoever waits gets his turn.
    let _turn = locks.accepting.acquire().await;
    let work = move || make(&common, &assignment, &board, &relay);
    match tokio::task::spawn_blocking(work).await {
        Ok(made) => made,
        Err(error) => Err(refusal(RefusalCode::Host, error.to_string())),
    }
}

/// Waits for a run that ends to leave the board.
async fn hand_over(
    common: &Common,
    assignment: &Assignment,
    mut previous: Previous,
) -> Result<(), Refusal> {
    let until = Instant::now() + HANDOVER;
    while !*previous.ended.borrow_and_update() {
        let finished = previous.grown.borrow().finished;
        if !finished && !previous.ending.is_asked() {
            break;
        }
        if finished && common.host.holder(&assignment.board).is_none() {
            return Ok(());
        }
        if Instant::now() >= until {
            break;
        }
        let pause = match finished {
            true => HANDOVER_PAUSE,
            false => Duration::from_millis(50),
        };
        // Whatever comes of the wait is looked at above; a sender that is gone has ended too.
        if let Ok(Err(_)) = tokio::time::timeout(pause, previous.ended.changed()).await {
            return Ok(());
        }
    }
    if *previous.ended.borrow() {
        return Ok(());
    }
    let message = format!("board {} has another run that goes on", assignment.board);
    Err(refusal(RefusalCode::BoardHeld, message))
}

/// Blocks on the disk.
fn make(
    common: &Common,
    assignment: &Assignment,
    board: &BoardProfile,
    relay: &Relay,
) -> Result<Taken, Refusal> {
    let plan: Plan = serde_json::from_value(assignment.plan.clone()).map_err(|error| {
        let message = format!("the plan cannot be read by this release: {error}");
        refusal(RefusalCode::OtherRevision, message)
    })?;
    let same = plan.board.name == assignment.board
        && plan.board.power == board.power
        && plan.board.console.source == board.console.source
        && plan.relay == *relay;
    if !same {
        let message = format!(
            "board {} is wired otherwise here than in revision {} of the lab",
            assignment.board, assignment.revision
        );
        return Err(refusal(RefusalCode::OtherRevision, message));
    }
    let now = common.clock.now().utc;
    let who = format!("run {} of job {}", assignment.run, assignment.job);
    let host = |error: HostError| match error {
        HostError::OldEpoch { .. } => refusal(RefusalCode::OldEpoch, error.to_string()),
        HostError::Held { .. } | HostError::OutletHeld { .. } => {
            refusal(RefusalCode::BoardHeld, error.to_string())
        }
        HostError::Io { .. } => of_host(&error),
    };
    let lock = common
        .host
        .take(&assignment.board, &who, now)
        .and_then(|lock| lock.with_outlet(&plan.relay, plan.board.power.outlet))
        .map_err(host)?;
    // Somebody of this host may have had the board since it was looked at.
    let highest = lock.highest_epoch();
    if assignment.epoch <= highest {
        return Err(host(HostError::OldEpoch {
            board: assignment.board.clone(),
            epoch: assignment.epoch,
            highest,
        }));
    }
    lock.accept(assignment.epoch).map_err(host)?;
    let lease = LeaseRecord::of(assignment);
    let path = common.runs().join(assignment.run.to_string());
    let new_run = NewRun {
        run: assignment.run,
        job_number: assignment.job.0.unsigned_abs(),
        job_text: &assignment.job_text,
        plan: &plan,
        now,
        beside: &[(
            LEASE_FILE,
            serde_json::to_vec_pretty(&lease).expect("a lease is plain data"),
        )],
    };
    let directory = RunDirectory::make(&path, new_run).map_err(|error| of_host(&error))?;
    Ok(Taken {
        lease,
        path,
        directory,
        lock,
    })
}

fn chain(error: &dyn std::error::Error) -> String {
    basalt_runner::session::chain(error)
}
