//! One decision made true: plan, guarded transaction, assignment.
//!
//! A server that is killed between the transaction and the assignment leaves a lease that no
//! dispatcher has accepted; it is assigned again when its dispatcher says hello.

use std::time::Duration;

use basalt_link::{Assignment, Down};
use basalt_model::{DispatcherName, Epoch, LeaseId, RunId};
use basalt_scheduler::Decision;
use basalt_store::{GrantRequest, Granted, LeaderTerm, NoLonger, Run};
use uuid::Uuid;

use crate::App;
use crate::error::causes;
use crate::patience::Patience;

/// A grant is tried for so long while the store is away; then the truth is read again.
const LIMIT: Duration = Duration::from_secs(60);

/// How a grant ended.
#[derive(Debug)]
pub(super) enum GrantEnd {
    /// The board is the job's, and the dispatcher knows if it is there.
    Done,
    /// The job cannot run on this board.
    Unsuitable(String),
    /// The job or the board is not what it was.
    NoLonger,
    /// The dispatcher gets no runs, or has the board no more.
    DispatcherNotActive(DispatcherName),
    /// Another server leads.
    NotLeader,
    /// The store is away, or broken.
    Failed(String),
}

pub(super) async fn grant(app: &App, decision: &Decision, term: LeaderTerm) -> GrantEnd {
    let Decision { job, board } = decision;
    let text = match app.store.job_definition(*job).await {
        Ok(Some(text)) => text,
        Ok(None) => return GrantEnd::NoLonger,
        Err(error) => return GrantEnd::Failed(causes(&error)),
    };
    let lab = app.lab();
    let plan = match app.planning.plan(&text, &lab.lab, board) {
        Ok(plan) => plan,
        Err(reason) => return GrantEnd::Unsuitable(reason),
    };
    let dispatcher = plan.dispatcher.name.clone();
    let request = GrantRequest {
        job: *job,
        board: board.clone(),
        run: RunId::from_uuid(Uuid::now_v7()),
        lease: LeaseId::from_uuid(Uuid::now_v7()),
        dispatcher: dispatcher.clone(),
        leader_term: term,
    };
    let mut patience = Patience::new(LIMIT);
    let (epoch, attempt) = loop {
        match app.store.grant(&request, app.now()).await {
            Ok(Granted::Yes {
                epoch,
                attempt,
                feed,
            }) => {
                app.tell_feed(&feed);
                break (epoch, attempt);
            }
            Ok(Granted::NoLonger(why)) => {
                tracing::debug!(job.id = %job, board.name = %board, ?why, "a grant came too late");
                return match why {
                    NoLonger::JobNotQueued | NoLonger::BoardNotFree => GrantEnd::NoLonger,
                    NoLonger::DispatcherNotActive => GrantEnd::DispatcherNotActive(dispatcher),
                    NoLonger::NotLeader => GrantEnd::NotLeader,
                };
            }
            Err(error) if error.is_transient() && patience.wait().await => {}
            Err(error) => return GrantEnd::Failed(causes(&error)),
        }
    };
    let submitter = match app.store.job(*job).await {
        Ok(Some(job)) => job.submitter,
        // It stands in the store; the dispatcher's next hello brings it there.
        Ok(None) | Err(_) => return GrantEnd::Done,
    };
    let assignment = Assignment {
        run: request.run,
        lease: request.lease,
        job: *job,
        attempt,
        board: board.clone(),
        epoch,
        revision: lab.revision,
        job_name: plan.job_name.clone(),
        job_text: text,
        plan: plan_json(&plan),
        submitter,
    };
    tracing::info!(
        job.id = %job, run.id = %request.run, board.name = %board, dispatcher.name = %dispatcher,
        "gave a board to a job"
    );
    app.registry
        .send(&dispatcher, Down::Assign(Box::new(assignment)));
    GrantEnd::Done
}

/// The assignment of a run that its dispatcher has not accepted yet, made again.
///
/// # Errors
/// Why it cannot be assigned any more: the lab has changed, or the store does not answer.
pub(crate) async fn assignment(app: &App, run: &Run) -> Result<Assignment, AssignError> {
    let (Some(job), Some(text)) = (
        app.store.job(run.job).await?,
        app.store.job_definition(run.job).await?,
    ) else {
        return Err(AssignError::Impossible("its job is gone".into()));
    };
    let lab = app.lab();
    let plan = app
        .planning
        .plan(&text, &lab.lab, &run.board)
        .map_err(AssignError::Impossible)?;
    if plan.dispatcher.name != run.dispatcher {
        return Err(AssignError::Impossible(format!(
            "its board belongs to the dispatcher {} now",
            plan.dispatcher.name
        )));
    }
    Ok(Assignment {
        run: run.id,
        lease: run.lease,
        job: run.job,
        attempt: run.attempt,
        board: run.board.clone(),
        epoch: Epoch(run.epoch.0),
        revision: lab.revision,
        job_name: plan.job_name.clone(),
        job_text: text,
        plan: plan_json(&plan),
        submitter: job.submitter,
    })
}

/// Why an assignment cannot be made again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssignError {
    /// The run has to be given up.
    #[error("{0}")]
    Impossible(String),
    /// Later perhaps.
    #[error(transparent)]
    Store(#[from] basalt_store::StoreError),
}

fn plan_json(plan: &basalt_plan::Plan) -> serde_json::Value {
    match serde_json::to_value(plan) {
        Ok(value) => value,
        // Plain data with string keys.
        Err(error) => unreachable!("a plan is JSON: {error}"),
    }
}
