//! What waits, and why.

use std::collections::HashMap;

use basalt_api::{CandidateBoard, Explanation, JobSummary, Queue, QueueEntry};
use basalt_model::{JobId, JobState};
use basalt_scheduler::{Candidate, Holder, Reason};

use super::jobs::summary;
use super::limit;
use crate::actor::Actor;
use crate::app::App;
use crate::authorize::{Action, authorize};
use crate::error::UseCaseError;

impl App {
    /// Why a job waits.
    ///
    /// # Errors
    /// There is no such job.
    pub async fn why(&self, actor: &Actor, id: JobId) -> Result<Explanation, UseCaseError> {
        authorize(actor, Action::See)?;
        let job = self.find_job(id).await?;
        if !job.state.is_queued() {
            return Ok(Explanation {
                job: id,
                state: job.state,
                position: None,
                sentence: does_not_wait(&job),
                boards: Vec::new(),
            });
        }
        let Some(explanation) = self.scheduling.explain(id).await? else {
            // It left the queue, or came back into it, between the two looks.
            return Ok(Explanation {
                job: id,
                state: job.state,
                position: None,
                sentence: format!("job {id} is about to be looked at."),
                boards: Vec::new(),
            });
        };
        let now = explanation.now;
        Ok(Explanation {
            job: id,
            state: job.state,
            position: explanation
                .place
                .and_then(|place| u32::try_from(place.position).ok()),
            sentence: format!("{explanation}."),
            boards: explanation
                .candidates
                .iter()
                .map(|candidate| candidate_board(candidate, now))
                .collect(),
        })
    }

    /// The head of the queue.
    ///
    /// # Errors
    /// The scheduler is busy.
    pub async fn queue(&self, actor: &Actor, most: u32) -> Result<Queue, UseCaseError> {
        authorize(actor, Action::See)?;
        let head = self.scheduling.queue(limit(Some(most))? as usize).await?;
        let mut known: HashMap<JobId, JobSummary> = HashMap::new();
        for (job, _) in &head.first {
            if let Some(found) = self.store.job(job.id).await? {
                known.insert(job.id, summary(found));
            }
        }
        let mut items = Vec::new();
        for (job, explanation) in head.first {
            // One that left the queue between the two looks.
            let Some(summary) = known.remove(&job.id) else {
                continue;
            };
            let place = explanation.place.map_or(0, |place| place.position);
            items.push(QueueEntry {
                position: u32::try_from(place).unwrap_or(u32::MAX),
                job: job.id,
                name: summary.name,
                submitter: summary.submitter,
                priority: i32::from(job.priority),
                submitted_utc_us: job.submitted,
                device_type: job.wants.device_type,
                wanted_board: job.wants.board,
                tags: job.wants.tags,
                reason: explanation.to_string(),
            });
        }
        Ok(Queue {
            waiting: head.waiting as u64,
            items,
        })
    }
}

fn does_not_wait(job: &basalt_store::Job) -> String {
    let board = job
        .board
        .as_ref()
        .map_or_else(String::new, |board| format!(" on {board}"));
    match (job.state, job.outcome) {
        (JobState::Finished, Some(outcome)) => {
            format!("job {} is finished: {outcome}.", job.id)
        }
        (JobState::Finished, None) => format!("job {} is finished.", job.id),
        (JobState::Scheduled, _) => format!(
            "job {} has its board{board}; its dispatcher has not accepted it yet.",
            job.id
        ),
        (JobState::Canceling, _) => format!("job {} is being ended{board}.", job.id),
        _ => format!("job {} runs{board}.", job.id),
    }
}

fn candidate_board(candidate: &Candidate, now: basalt_model::UtcMicros) -> CandidateBoard {
    let worst = candidate.reasons.first();
    let (kind, utc_us, held_by) = match worst {
        None => ("free", None, None),
        Some(Reason::Unsuitable { .. }) => ("unsuitable", None, None),
        Some(Reason::Health { since, .. }) => ("health", Some(*since), None),
        Some(Reason::DispatcherUnknown { .. }) => ("dispatcher-offline", None, None),
        Some(Reason::DispatcherMode { since, .. }) => {
            ("dispatcher-maintenance", Some(*since), None)
        }
        Some(Reason::DispatcherOffline { since, .. }) => ("dispatcher-offline", Some(*since), None),
        Some(Reason::DispatcherClosed { since, .. }) => ("dispatcher-closed", Some(*since), None),
        Some(Reason::Fenced { until, .. }) => ("fenced", Some(*until), None),
        Some(Reason::Held { by, since, .. }) => {
            let job = match by {
                Holder::Job(job) => Some(*job),
                Holder::Other(_) => None,
            };
            ("held", Some(*since), job)
        }
        Some(Reason::Decided { job }) => ("held", None, Some(*job)),
    };
    CandidateBoard {
        board: candidate.board.clone(),
        kind: kind.to_owned(),
        reason: candidate.sentence(now),
        utc_us,
        held_by,
    }
}
