//! What becomes of a job whose run ended because of the lab.

use basalt_link::RefusalCode;
use basalt_model::{Failure, Health, Outcome, Part};
use basalt_report::Results;
use basalt_store::{Fence, JobEnd};

/// A job has at most so many runs that end because of the lab.
pub const MOST_ATTEMPTS: u32 = 5;

/// Codes of failures that say nothing about the job: its run ended because its server was away, or
/// because the lab was stopped.
const LAB_ENDED_IT: &[&str] = &["server-away", "lab-stopped"];

/// How many runs a job may have had when a run of it is refused for this reason, before it is not
/// tried again; `None` where the run does not count. Most refusals cost the job nothing: no run
/// began, and another board or a later moment helps.
pub fn attempts_after_refusal(code: RefusalCode) -> Option<u32> {
    match code {
        RefusalCode::Host | RefusalCode::Other => Some(MOST_ATTEMPTS),
        RefusalCode::OldEpoch
        | RefusalCode::UnknownBoard
        | RefusalCode::BoardHeld
        | RefusalCode::OtherRevision
        | RefusalCode::Stopping
        | RefusalCode::Closed => None,
    }
}

/// How a job ends whose last run was refused.
pub fn end_after_refusal(code: RefusalCode, message: &str) -> JobEnd {
    JobEnd {
        outcome: Outcome::Incomplete,
        health: Health::Incomplete,
        failure: Some(Failure::infrastructure(
            Part::Host,
            "run-refused",
            format!(
                "the dispatcher did not take the run ({}): {message}",
                word(code)
            ),
        )),
    }
}

/// The code's word.
pub fn word(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::OldEpoch => "old-epoch",
        RefusalCode::UnknownBoard => "unknown-board",
        RefusalCode::BoardHeld => "board-held",
        RefusalCode::OtherRevision => "other-revision",
        RefusalCode::Stopping => "stopping",
        RefusalCode::Closed => "closed",
        RefusalCode::Host => "host",
        RefusalCode::Other => "other",
    }
}

/// `Some(n)` if the run ended because of the lab: its job goes back into the queue unless it had n
/// runs.
pub fn requeue(results: &Results) -> Option<u32> {
    let code = results
        .failure
        .as_ref()
        .map(|failure| failure.code.as_str());
    code.is_some_and(|code| LAB_ENDED_IT.contains(&code))
        .then_some(MOST_ATTEMPTS)
}

/// How a job ends by the results of its run.
pub fn end(results: &Results) -> JobEnd {
    JobEnd {
        outcome: results.outcome,
        health: match results.outcome {
            Outcome::Pass | Outcome::Fail | Outcome::Invalid => Health::Complete,
            Outcome::Incomplete => Health::Incomplete,
            Outcome::Canceled => Health::Canceled,
        },
        failure: results.failure.clone(),
    }
}

/// Gives a run up for this reason.
pub fn fence(reason: impl Into<String>) -> Fence {
    let reason = reason.into();
    Fence {
        max_attempts: MOST_ATTEMPTS,
        end: JobEnd {
            outcome: Outcome::Incomplete,
            health: Health::Incomplete,
            failure: Some(Failure::infrastructure(
                Part::Host,
                "run-lost",
                reason.clone(),
            )),
        },
        reason,
    }
}
