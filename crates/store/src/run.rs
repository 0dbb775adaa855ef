//! Reading runs: their state, events, results, latencies.

use basalt_model::CaseResult;
use basalt_model::{
    BoardName, DispatcherName, Epoch, JobId, LeaseId, LeaseState, Outcome, PowerState, RunId,
    UtcMicros,
};

use crate::{EventRow, LatencyRow, RunDisposition, Store, StoreError};

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its job.
    pub job: JobId,
    /// Which run of the job it is, from 1.
    pub attempt: u32,
    /// Its board.
    pub board: BoardName,
    /// Its dispatcher.
    pub dispatcher: DispatcherName,
    /// Its lease.
    pub lease: LeaseId,
    /// Where the lease stands.
    pub lease_state: LeaseState,
    /// The lease's epoch.
    pub epoch: Epoch,
    /// When the board was granted.
    pub granted: UtcMicros,
    /// When the dispatcher accepted it.
    pub accepted: Option<UtcMicros>,
    /// When its last event was written.
    pub finished: Option<UtcMicros>,
    /// When everything of it had arrived, or it was given up.
    pub ended: Option<UtcMicros>,
    /// What it came to.
    pub outcome: Option<Outcome>,
    /// What the relay said about the board at its end.
    pub power: Option<PowerState>,
    /// What became of its job when it ended.
    pub disposition: Option<RunDisposition>,
    /// Why it was refused or given up.
    pub end_reason: Option<String>,
    /// Its last stored event.
    pub events_seq: u64,
    /// Its last stored line.
    pub log_line: u64,
    /// Where its sender goes on with the log.
    pub log_cursor: Option<String>,
}

/// A latency record of some run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLatency {
    /// The run.
    pub run: RunId,
    /// Its job.
    pub job: JobId,
    /// Its board.
    pub board: BoardName,
    /// The record; its `record` is empty in trends.
    pub row: LatencyRow,
}

/// Which points of a board's trend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrendFilter {
    /// Only this suite.
    pub suite: Option<String>,
    /// Not before.
    pub from: Option<UtcMicros>,
    /// Before.
    pub to: Option<UtcMicros>,
}

impl Store {
    /// A run.
    pub async fn run(&self, run: RunId) -> Result<Option<Run>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// The runs of a job, the first one first.
    pub async fn runs_of_job(&self, job: JobId) -> Result<Vec<Run>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Runs of a board, the newest first, before `before` (a grant's time), at most `limit`.
    pub async fn runs_of_board(
        &self,
        board: &BoardName,
        before: Option<UtcMicros>,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Every run that has not ended: what the server looks after when it starts.
    pub async fn open_runs(&self) -> Result<Vec<Run>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Events of a run from `seq` on, ascending, at most `limit`.
    pub async fn events(
        &self,
        run: RunId,
        seq: u64,
        limit: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// The results of a run as JSON; `None` before its end.
    pub async fn results(&self, run: RunId) -> Result<Option<String>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// The cases of a run, every attempt's, in their order.
    pub async fn cases(&self, run: RunId) -> Result<Vec<CaseResult>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// The latency records of a run, in their order, whole.
    pub async fn latency_of_run(&self, run: RunId) -> Result<Vec<StoredLatency>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// The newest `limit` points of a board's trend, ascending by time, without whole records.
    pub async fn latency_trend(
        &self,
        board: &BoardName,
        filter: &TrendFilter,
        limit: u32,
    ) -> Result<Vec<StoredLatency>, StoreError> {
        Err(StoreError::NotYet)
    }
}
