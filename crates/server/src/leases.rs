//! Looks after leases: gives up the runs of silent dispatchers (decision D2), and repeats what a
//! dispatcher may not have heard.
//!
//! Everything here is found out from the store and the registry and may be done twice.

use std::time::Duration;

use basalt_link::Down;
use basalt_model::{DispatcherName, JobId, JobState, RunId};
use basalt_store::{Fence, Fenced, JobFilter, Run, RunDisposition, StoreError};
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::App;
use crate::error::causes;
use crate::hub::RunProgress;
use crate::ingest::end;
use crate::policy;
use crate::scheduling::{AssignError, Message, assignment};
use crate::use_case::jobs::cancel_message;

/// How often silence is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Every so many looks, what was said is said again where nobody answered.
const LOOKS_TO_REPEAT: u64 = 20;
/// An assignment that was not answered for so long is sent again, microseconds.
const UNANSWERED_US: i64 = 5_000_000;
/// Jobs that are being canceled are few.
const MOST_CANCELING: u32 = 500;

/// Runs until `stop`.
pub(crate) async fn run(app: App, stop: CancellationToken) {
    let mut looks: u64 = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = time::sleep(LOOK) => {}
        }
        looks += 1;
        silent(&app).await;
        if looks.is_multiple_of(LOOKS_TO_REPEAT)
            && let Err(error) = repeat(&app).await
        {
            tracing::warn!(error = %causes(&error), "cannot look after leases; trying again");
        }
    }
}

/// Gives up the runs of dispatchers that were silent for too long.
async fn silent(app: &App) {
    let lab = app.lab();
    let now = app.clock.now().boot;
    for dispatcher in &lab.lab.dispatchers {
        let name = &dispatcher.name;
        if !app.registry.give_up(name, &app.limits, now) {
            continue;
        }
        if let Err(error) = give_up_all(app, name).await {
            tracing::warn!(
                dispatcher.name = %name, error = %causes(&error),
                "cannot give up the runs of a silent dispatcher; trying again"
            );
            app.registry.not_given_up(name);
        }
    }
}

async fn give_up_all(app: &App, name: &DispatcherName) -> Result<(), StoreError> {
    let runs = open_runs_of(app, name).await?;
    for run in &runs {
        tracing::warn!(
            dispatcher.name = %name, run.id = %run.id, board.name = %run.board,
            "a dispatcher was silent for longer than its limit and the margin; its run is given up"
        );
        let silence = app.limits.offline_limit + app.limits.margin;
        let reason = format!(
            "the dispatcher {name} was not heard for {} s",
            silence.as_secs()
        );
        end_or_give_up(app, run, &reason).await?;
    }
    Ok(())
}

/// The runs of a dispatcher that have not ended.
pub(crate) async fn open_runs_of(app: &App, name: &DispatcherName) -> Result<Vec<Run>, StoreError> {
    let mut runs = app.store.open_runs().await?;
    runs.retain(|run| run.dispatcher == *name);
    Ok(runs)
}

/// Ends a run of which nothing more comes: by its own events where its last one is stored, else it
/// is given up.
pub(crate) async fn end_or_give_up(app: &App, run: &Run, reason: &str) -> Result<(), StoreError> {
    if run.finished.is_some() {
        match end::of_run(&app.store, run).await {
            Ok(ended) => {
                // What is missing are files, and lines of the log.
                let item = app.own_end(run, ended);
                if app.ingest.put(item).await.is_ok() {
                    return Ok(());
                }
            }
            Err(end::EndError::Store(error)) => return Err(error),
            Err(error) => {
                tracing::error!(run.id = %run.id, error = %causes(&error), "a run has no results");
            }
        }
    }
    give_up(app, run.id, &policy::fence(reason)).await
}

/// Gives a run up and tells everybody.
pub(crate) async fn give_up(app: &App, run: RunId, fence: &Fence) -> Result<(), StoreError> {
    match app.store.fence(run, fence, app.now()).await? {
        Fenced::Now {
            job,
            disposition,
            board,
            feed,
        } => {
            app.tell_feed(&feed);
            app.hub.run(
                run,
                RunProgress {
                    ended: true,
                    ..RunProgress::default()
                },
            );
            app.scheduling.tell(Message::Freed { board, job }).await;
            if disposition == RunDisposition::Requeued {
                app.scheduling.tell(Message::Job(job)).await;
            }
        }
        Fenced::Already | Fenced::Unknown => {}
    }
    Ok(())
}

/// Sends again what may not have been heard: assignments without an answer, ends that were asked
/// for.
async fn repeat(app: &App) -> Result<(), StoreError> {
    let now = app.now();
    for run in app.store.open_runs().await? {
        let unanswered = run.accepted.is_none()
            && run.finished.is_none()
            && now.0.saturating_sub(run.granted.0) > UNANSWERED_US;
        if unanswered && app.registry.link(&run.dispatcher).is_some() {
            assign_again(app, &run).await?;
        }
    }
    let filter = JobFilter {
        states: vec![JobState::Canceling],
        ..JobFilter::default()
    };
    for job in app.store.jobs(&filter, None, MOST_CANCELING).await?.jobs {
        cancel_again(app, job.id).await?;
    }
    Ok(())
}

/// Sends an assignment again, or gives its run up where it cannot be made again, or is not wanted
/// any more.
pub(crate) async fn assign_again(app: &App, run: &Run) -> Result<(), StoreError> {
    let job = app.store.job(run.job).await?;
    if job.is_some_and(|job| job.state == JobState::Canceling) {
        // Its dispatcher has not taken it, or will hear that it is to end when it says so.
        return Ok(());
    }
    match assignment(app, run).await {
        Ok(assignment) => {
            tracing::info!(run.id = %run.id, dispatcher.name = %run.dispatcher, "assigning a run again");
            app.registry
                .send(&run.dispatcher, Down::Assign(Box::new(assignment)));
            Ok(())
        }
        Err(AssignError::Store(error)) => Err(error),
        Err(AssignError::Impossible(reason)) => {
            let reason = format!("it cannot be assigned any more: {reason}");
            give_up(app, run.id, &policy::fence(reason)).await
        }
    }
}

/// Says again that a job's run is to end.
async fn cancel_again(app: &App, job: JobId) -> Result<(), StoreError> {
    let Some(job) = app.store.job(job).await? else {
        return Ok(());
    };
    if let Some(run) = job.run
        && let Some(run) = app.store.run(run).await?
        && run.ended.is_none()
    {
        let message = cancel_message(&job, run.id);
        app.registry.send(&run.dispatcher, message);
    }
    Ok(())
}
