//! How a connection begins: what the dispatcher has against what the store knows.
//!
//! The connection before, if there is one, is ended first, and all that came over it is committed,
//! so that the cursors of `welcome` are where the dispatcher goes on and nothing comes twice.

use std::collections::HashSet;
use std::time::Duration;

use basalt_link::{Down, ProtocolRange, RunCursor, Standing, Up};
use basalt_model::{BoardName, DispatcherMode, DispatcherName, LeaseState, RunId};
use basalt_store::{Run, StoreError};
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::WINDOW_BYTES;
use crate::App;
use crate::ingest::{Item, Kind};
use crate::leases;
use crate::use_case::jobs::cancel_message;

/// How long the connection before may take to end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A dispatcher that is welcome.
pub(super) struct Greeted {
    /// What it is told before anything else.
    pub first: Vec<Down>,
    /// The runs that it has and goes on with.
    pub known: HashSet<RunId>,
    /// Its version.
    pub build: String,
}

/// Why a dispatcher is not welcome.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotWelcome {
    #[error("it speaks the protocols {}-{}, this server {}-{}", .0.min, .0.max, ProtocolRange::OURS.min, ProtocolRange::OURS.max)]
    Protocol(ProtocolRange),
    #[error("its token is for the dispatcher {token}, but it says to be {said}")]
    Name {
        token: DispatcherName,
        said: DispatcherName,
    },
    #[error("the lab has no dispatcher {0}")]
    Unknown(DispatcherName),
    #[error("the dispatcher {0} is retired")]
    Retired(DispatcherName),
    #[error("its connection before does not end")]
    Before,
    #[error("the server is stopping")]
    Stopping,
    #[error("the store is away")]
    Store(#[from] StoreError),
    #[error("it did not begin with hello")]
    NoHello,
}

impl NotWelcome {
    /// What it is told; nothing where trying again is all that there is to do.
    pub(super) fn message(&self) -> Option<Down> {
        let code = match self {
            Self::Protocol(_) => "protocol",
            Self::Name { .. } | Self::Unknown(_) => "unknown-dispatcher",
            Self::Retired(_) => "retired",
            Self::Before | Self::Stopping | Self::Store(_) | Self::NoHello => return None,
        };
        Some(Down::Refuse {
            code: code.into(),
            message: self.to_string(),
        })
    }
}

/// Holds a hello against what the store knows.
pub(super) async fn greet(
    app: &App,
    name: &DispatcherName,
    hello: Up,
) -> Result<Greeted, NotWelcome> {
    let Up::Hello {
        protocol,
        build,
        dispatcher,
        revision,
        epochs,
        runs,
        ..
    } = hello
    else {
        return Err(NotWelcome::NoHello);
    };
    let common = ProtocolRange::OURS
        .common(protocol)
        .ok_or(NotWelcome::Protocol(protocol))?;
    if dispatcher != *name {
        return Err(NotWelcome::Name {
            token: name.clone(),
            said: dispatcher,
        });
    }
    let lab = app.lab();
    if lab.lab.dispatcher(name).is_none() {
        return Err(NotWelcome::Unknown(name.clone()));
    }
    let all = app.store.dispatchers().await?;
    let mode = all.iter().find(|one| one.name == *name).map(|one| one.mode);
    if mode == Some(DispatcherMode::Retired) {
        return Err(NotWelcome::Retired(name.clone()));
    }
    end_the_one_before(app, name).await?;
    let epochs: Vec<_> = epochs
        .into_iter()
        .map(|one| (one.board, one.epoch))
        .collect();
    app.raise_epochs(name, &epochs).await?;

    let mut sorted = Sorted::default();
    for standing in &runs {
        sort(app, name, standing, &mut sorted).await?;
    }
    lost(app, name, &runs).await?;
    let mut first = vec![Down::Welcome {
        protocol: common,
        offline_limit_ms: milliseconds(app.limits.offline_limit),
        heartbeat_ms: milliseconds(app.limits.heartbeat),
        window_bytes: WINDOW_BYTES,
        revision: lab.revision,
        runs: sorted.cursors,
        discard: sorted.discard,
    }];
    if revision != Some(lab.revision) {
        first.push(app.lab_message());
    }
    if let Some(revision) = revision {
        app.registry.applied(name, revision, Vec::new());
    }
    first.extend(sorted.forget.into_iter().map(|run| Down::Forget { run }));
    first.extend(sorted.cancel);
    Ok(Greeted {
        first,
        known: sorted.known,
        build,
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn end_the_one_before(app: &App, name: &DispatcherName) -> Result<(), NotWelcome> {
    if let Some(before) = app.registry.link(name) {
        tracing::info!(dispatcher.name = %name, "a newer connection replaces the one before");
        before.close.cancel();
        time::timeout(END_LIMIT, before.done.cancelled())
            .await
            .map_err(|_| NotWelcome::Before)?;
    }
    app.ingest
        .settled(name)
        .await
        .map_err(|_| NotWelcome::Stopping)
}

/// What becomes of the runs that a dispatcher has.
#[derive(Default)]
struct Sorted {
    cursors: Vec<RunCursor>,
    discard: Vec<RunId>,
    forget: Vec<RunId>,
    cancel: Vec<Down>,
    known: HashSet<RunId>,
}

async fn sort(
    app: &App,
    name: &DispatcherName,
    standing: &Standing,
    sorted: &mut Sorted,
) -> Result<(), NotWelcome> {
    let id = standing.run;
    let run = app
        .store
        .run(id)
        .await?
        .filter(|run| run.dispatcher == *name && run.epoch == standing.epoch);
    let Some(run) = run else {
        tracing::warn!(dispatcher.name = %name, run.id = %id, "a dispatcher has a run that is not its own");
        sorted.discard.push(id);
        return Ok(());
    };
    if run.ended.is_some() {
        // Its end was committed, and the dispatcher did not hear of it; or it was given up.
        match standing.finished && run.finished.is_some() {
            true => sorted.forget.push(id),
            false => sorted.discard.push(id),
        }
        return Ok(());
    }
    if run.lease_state == LeaseState::Granted {
        // It is durable there, and the answer was lost.
        let accepted = Item {
            dispatcher: name.clone(),
            close: CancellationToken::new(),
            kind: Kind::Accepted(id),
        };
        app.ingest
            .put(accepted)
            .await
            .map_err(|_| NotWelcome::Stopping)?;
    }
    if let Some(job) = app.store.job(run.job).await?
        && job.state == basalt_model::JobState::Canceling
    {
        sorted.cancel.push(cancel_message(&job, id));
    }
    sorted.known.insert(id);
    sorted.cursors.push(cursor(&run));
    Ok(())
}

fn cursor(run: &Run) -> RunCursor {
    RunCursor {
        run: run.id,
        events_seq: run.events_seq,
        // It was JSON when it came.
        log: run
            .log_cursor
            .as_deref()
            .and_then(|cursor| serde_json::from_str(cursor).ok()),
    }
}

/// Gives up runs that the dispatcher had accepted and has no more.
async fn lost(app: &App, name: &DispatcherName, has: &[Standing]) -> Result<(), NotWelcome> {
    for run in leases::open_runs_of(app, name).await? {
        let has_it = has.iter().any(|standing| standing.run == run.id);
        let canceling = async || -> Result<bool, StoreError> {
            let job = app.store.job(run.job).await?;
            Ok(job.is_some_and(|job| job.state == basalt_model::JobState::Canceling))
        };
        // What it has not accepted is assigned again, unless nobody wants it any more.
        if has_it || (run.lease_state == LeaseState::Granted && !canceling().await?) {
            continue;
        }
        tracing::warn!(dispatcher.name = %name, run.id = %run.id, board.name = %run.board, "a dispatcher has lost a run");
        let reason = format!("the dispatcher {name} has lost it");
        leases::end_or_give_up(app, &run, &reason).await?;
    }
    Ok(())
}

/// Once the dispatcher can be spoken to: assigns again what it has not accepted. After that moment
/// everybody who grants something tells it himself; before, nobody could.
pub(super) async fn after(
    app: &App,
    name: &DispatcherName,
    known: &HashSet<RunId>,
) -> Result<(), StoreError> {
    for run in leases::open_runs_of(app, name).await? {
        let open = run.accepted.is_none() && run.finished.is_none();
        if open && !known.contains(&run.id) {
            leases::assign_again(app, &run).await?;
        }
    }
    Ok(())
}

impl App {
    /// A dispatcher has seen higher epochs than the store gave: its host drove the boards without a
    /// server meanwhile. The next lease gets a higher one.
    async fn raise_epochs(
        &self,
        name: &DispatcherName,
        epochs: &[(BoardName, basalt_model::Epoch)],
    ) -> Result<(), StoreError> {
        for (board, epoch) in epochs {
            let Some(known) = self.store.board(board).await? else {
                continue;
            };
            if known.dispatcher == *name && known.epoch < *epoch {
                tracing::info!(board.name = %board, epoch = epoch.0, "a board's epoch is raised to its dispatcher's");
                self.store.raise_epoch(board, *epoch).await?;
            }
        }
        Ok(())
    }
}
