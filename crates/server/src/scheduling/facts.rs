//! What the store knows, as the scheduler wants it.

use std::collections::{BTreeMap, HashSet};

use basalt_model::{BoardName, BoardState, DispatcherState, JobId};
use basalt_scheduler::{
    BoardFacts, Change, Closed, DispatcherFacts, Holder, Occupancy, QueuedJob, Wants,
};
use basalt_store::{Board, Dispatcher, Job, StoreError};

use crate::App;
use crate::planning::Suited;

/// Of so many different texts it is found out at once which boards cannot run them; of further ones
/// when it is their turn.
const TEXTS: usize = 200;

/// Everything that there is to schedule.
pub(super) async fn everything(app: &App) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    for dispatcher in app.store.dispatchers().await? {
        changes.push(Change::Dispatcher(of_dispatcher(app, &dispatcher)));
    }
    for board in app.store.boards(false).await? {
        changes.push(Change::Board(of_board(&board)));
    }
    let mut texts = HashSet::new();
    for job in app.store.queued_jobs().await? {
        let known = texts.contains(&job.definition_sha256);
        let unsuitable = if known || texts.len() < TEXTS {
            texts.insert(job.definition_sha256);
            unsuitable(app, job.id).await?
        } else {
            BTreeMap::new()
        };
        changes.push(Change::JobQueued(QueuedJob {
            id: job.id,
            priority: priority(job.priority),
            submitted: job.submitted,
            wants: wants(job.wants),
            unsuitable,
        }));
    }
    Ok(changes)
}

/// A job that waits.
pub(super) async fn of_job(app: &App, job: &Job) -> Result<QueuedJob, StoreError> {
    Ok(QueuedJob {
        id: job.id,
        priority: priority(job.priority),
        submitted: job.submitted,
        wants: wants(job.wants.clone()),
        unsuitable: unsuitable(app, job.id).await?,
    })
}

/// A job that was submitted just now.
pub(crate) fn of_new_job(job: &Job, suited: &Suited) -> QueuedJob {
    QueuedJob {
        id: job.id,
        priority: priority(job.priority),
        submitted: job.submitted,
        wants: wants(job.wants.clone()),
        unsuitable: refusals(suited),
    }
}

async fn unsuitable(app: &App, job: JobId) -> Result<BTreeMap<BoardName, String>, StoreError> {
    let Some(text) = app.store.job_definition(job).await? else {
        return Ok(BTreeMap::new());
    };
    let lab = app.lab();
    let read = app.planning.read(&text);
    Ok(refusals(&app.planning.suit(&read, &lab.lab)))
}

fn refusals(suited: &Suited) -> BTreeMap<BoardName, String> {
    suited
        .candidates
        .iter()
        .filter_map(|one| Some((one.board.clone(), one.unsuitable.clone()?)))
        .collect()
}

/// A job's language has 0 to 100.
fn priority(priority: i64) -> u8 {
    u8::try_from(priority.clamp(0, 100)).unwrap_or(0)
}

fn wants(wants: basalt_store::Wants) -> Wants {
    Wants {
        device_type: wants.device_type,
        board: wants.board,
        tags: wants.tags,
    }
}

/// A board.
pub(super) fn of_board(board: &Board) -> BoardFacts {
    let holder = board.job.map_or_else(
        || Holder::Other("a lease without a job".into()),
        Holder::Job,
    );
    BoardFacts {
        name: board.name.clone(),
        device_type: board.device_type.clone(),
        tags: board.tags.clone(),
        dispatcher: board.dispatcher.clone(),
        health: board.health,
        health_since: board.health_since,
        health_reason: board.health_reason.clone(),
        occupancy: match board.state {
            BoardState::Idle => Occupancy::Idle,
            BoardState::Reserved => Occupancy::Reserved(holder),
            BoardState::Running => Occupancy::Running(holder),
        },
        occupancy_since: board.state_since,
    }
}

/// A dispatcher. What this server sees of its link counts, not what another one wrote down.
pub(super) fn of_dispatcher(app: &App, dispatcher: &Dispatcher) -> DispatcherFacts {
    let standing = app.registry.standing(&dispatcher.name);
    let online = standing.connected && !standing.stopping;
    DispatcherFacts {
        name: dispatcher.name.clone(),
        state: match online {
            true => DispatcherState::Online,
            false => DispatcherState::Offline,
        },
        state_since: dispatcher.state_since,
        mode: dispatcher.mode,
        mode_since: dispatcher.mode_since,
        mode_reason: dispatcher.mode_reason.clone(),
        // A run that a silent dispatcher may still drive holds its board until it is given up.
        boards_usable_from: None,
        closed: standing
            .closed
            .map(|(reason, since)| Closed { reason, since }),
    }
}
