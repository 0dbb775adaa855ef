//! Jobs: submitted, listed, canceled, ended.

use basalt_model::{
    BoardName, Epoch, Failure, Health, JobId, JobState, Outcome, RunId, Sha256, UserName, UtcMicros,
};

use crate::{FeedEntry, Store, StoreError};

/// What a job asks of a board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// The type.
    pub device_type: Option<String>,
    /// This very board.
    pub board: Option<BoardName>,
    /// Every one of these.
    pub tags: Vec<String>,
}

/// A job to be submitted.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its text.
    pub definition: String,
    /// SHA-256 of the text.
    pub definition_sha256: Sha256,
    /// Its name.
    pub name: String,
    /// Higher goes first.
    pub priority: i64,
    /// Who submits it.
    pub submitter: UserName,
    /// What it asks for.
    pub wants: Wants,
    /// The job that this one repeats.
    pub resubmit_of: Option<JobId>,
    /// The submitter's key. Under one key of one submitter there is one job. Always one: where
    /// the client gave none, the caller makes one up, so that it can ask again itself when an
    /// answer of the database was lost.
    pub idempotency_key: String,
    /// SHA-256 of the whole request: under one key it must stay the same.
    pub request_sha256: Sha256,
}

/// The answer to a submission.
#[derive(Clone, Debug)]
pub enum Submitted {
    /// Stored now.
    New {
        /// The job.
        job: Job,
        /// What listeners are told.
        feed: Vec<FeedEntry>,
    },
    /// The same request was stored before.
    Replayed(Job),
    /// The key belongs to another request.
    Conflict {
        /// The job that has it.
        job: JobId,
    },
}

/// A job, without its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// SHA-256 of its text.
    pub definition_sha256: Sha256,
    /// Higher goes first.
    pub priority: i64,
    /// Who submitted it.
    pub submitter: UserName,
    /// When.
    pub submitted: UtcMicros,
    /// What it asks for.
    pub wants: Wants,
    /// The job that it repeats.
    pub resubmit_of: Option<JobId>,
    /// Where it stands.
    pub state: JobState,
    /// How many runs it had, the current one included.
    pub attempts: u32,
    /// Its current or last run.
    pub run: Option<RunId>,
    /// That run's board.
    pub board: Option<BoardName>,
    /// That board's type.
    pub device_type: Option<String>,
    /// When its current or last run was accepted.
    pub started: Option<UtcMicros>,
    /// When it finished.
    pub finished: Option<UtcMicros>,
    /// What it came to.
    pub outcome: Option<Outcome>,
    /// LAVA's health.
    pub health: Health,
    /// Why it did not reach its end.
    pub failure: Option<Failure>,
    /// Who asked for its end, and why.
    pub canceled_by: Option<String>,
    /// The reason given.
    pub cancel_reason: Option<String>,
}

/// Which jobs to list. Empty fields ask for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Any of these.
    pub states: Vec<JobState>,
    /// Any of these.
    pub outcomes: Vec<Outcome>,
    /// Its current or last board.
    pub board: Option<BoardName>,
    /// The type it asks for, or that of its board.
    pub device_type: Option<String>,
    /// Who submitted it.
    pub submitter: Option<UserName>,
    /// A part of its name, in any case of ASCII letters; or its number.
    pub text: Option<String>,
}

/// A page of jobs, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// List from below this one for the next page; `None` at the end.
    pub next: Option<JobId>,
}

/// A job that waits, as the scheduler needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedJob {
    /// Its number.
    pub id: JobId,
    /// Higher goes first.
    pub priority: i64,
    /// When it was submitted.
    pub submitted: UtcMicros,
    /// What it asks for.
    pub wants: Wants,
    /// SHA-256 of its text.
    pub definition_sha256: Sha256,
}

/// How a job ends.
#[derive(Clone, Debug, PartialEq)]
pub struct JobEnd {
    /// What it came to.
    pub outcome: Outcome,
    /// LAVA's health.
    pub health: Health,
    /// Why it did not reach its end.
    pub failure: Option<Failure>,
}

/// What asking for a job's end did.
#[derive(Clone, Debug)]
pub enum Canceled {
    /// It waited, and is finished now.
    Finished(Vec<FeedEntry>),
    /// It has a board: its run must be ended.
    Ending {
        /// The run.
        run: RunId,
        /// Its board.
        board: BoardName,
        /// Its lease's epoch.
        epoch: Epoch,
        /// What listeners are told; empty if it was being canceled already.
        feed: Vec<FeedEntry>,
    },
    /// It was finished before.
    Already,
    /// There is no such job.
    Unknown,
}

impl Store {
    /// Stores a job and puts it into the queue.
    pub async fn submit(&self, job: &NewJob, now: UtcMicros) -> Result<Submitted, StoreError> {
        Err(StoreError::NotYet)
    }

    /// A job.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// A job's text.
    pub async fn job_definition(&self, id: JobId) -> Result<Option<String>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// At most `limit` jobs, newest first, below `before`.
    pub async fn jobs(
        &self,
        filter: &JobFilter,
        before: Option<JobId>,
        limit: u32,
    ) -> Result<JobPage, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Every job that waits for a board, in the order of their numbers.
    pub async fn queued_jobs(&self) -> Result<Vec<QueuedJob>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// How many jobs stand where.
    pub async fn job_counts(&self) -> Result<Vec<(JobState, u64)>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Asks for a job's end. A waiting one ends here and now.
    pub async fn request_cancel(
        &self,
        job: JobId,
        actor: &str,
        reason: &str,
        now: UtcMicros,
    ) -> Result<Canceled, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Ends a job that waits, without a run (no board can ever run it). `None` if it does not
    /// wait any more.
    pub async fn finish_queued(
        &self,
        job: JobId,
        end: &JobEnd,
        now: UtcMicros,
    ) -> Result<Option<Vec<FeedEntry>>, StoreError> {
        Err(StoreError::NotYet)
    }
}
