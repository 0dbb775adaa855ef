//! Giving a board to a job: one guarded transaction (decisions D1, D16).

use basalt_model::{BoardName, DispatcherName, Epoch, JobId, LeaseId, RunId, UtcMicros};

use crate::{FeedEntry, Store, StoreError};

/// The number of a reign over the scheduler; grants of an older one are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderTerm(pub i64);

/// A decision of the scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRequest {
    /// Who gets the board.
    pub job: JobId,
    /// The board.
    pub board: BoardName,
    /// The new run's id. Asking again with the same id is safe.
    pub run: RunId,
    /// The new lease's id.
    pub lease: LeaseId,
    /// The board's dispatcher.
    pub dispatcher: DispatcherName,
    /// The lead under which this was decided.
    pub leader_term: LeaderTerm,
}

/// The answer.
#[derive(Clone, Debug)]
pub enum Granted {
    /// The board is the job's.
    Yes {
        /// The lease's epoch.
        epoch: Epoch,
        /// Which run of the job this is, from 1.
        attempt: u32,
        /// What listeners are told.
        feed: Vec<FeedEntry>,
    },
    /// It cannot be any more.
    NoLonger(NoLonger),
}

/// What changed between the decision and the grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLonger {
    /// The job is not queued any more: canceled, or granted elsewhere.
    JobNotQueued,
    /// The board is held, or not usable any more.
    BoardNotFree,
    /// The board belongs to another dispatcher, or its dispatcher gets no runs.
    DispatcherNotActive,
    /// Somebody else leads the scheduler.
    NotLeader,
}

impl Store {
    /// Gives a board to a job: job scheduled, board reserved, epoch counted up, lease granted, run
    /// made.
    pub async fn grant(
        &self,
        request: &GrantRequest,
        now: UtcMicros,
    ) -> Result<Granted, StoreError> {
        Err(StoreError::NotYet)
    }
}
