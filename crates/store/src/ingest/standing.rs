//! Where runs stand at the begin of a group commit.

use std::collections::HashMap;

use basalt_model::{
    BoardName, DispatcherName, Epoch, JobId, JobState, LeaseId, LeaseState, Outcome, PowerState,
    RunId, UtcMicros,
};
use sqlx::AssertSqlSafe;

use super::{RunFate, RunReport};
use crate::database::value::{Row, Value};
use crate::database::{Transaction, placeholders};
use crate::run::disposition_of;
use crate::statements::ingest as sql;
use crate::{RunDisposition, StoreError};

/// Where one run stands; kept up while its batch is taken.
pub(super) struct Standing {
    pub(super) run: RunId,
    pub(super) job: JobId,
    pub(super) epoch: Epoch,
    pub(super) lease: LeaseId,
    pub(super) board_id: i64,
    pub(super) board: BoardName,
    pub(super) dispatcher: DispatcherName,
    pub(super) lease_state: LeaseState,
    pub(super) events_seq: u64,
    pub(super) log_line: u64,
    pub(super) log_cursor: Option<String>,
    pub(super) tail_bytes: u64,
    pub(super) finished: Option<UtcMicros>,
    pub(super) ended: Option<UtcMicros>,
    pub(super) disposition: Option<RunDisposition>,
    pub(super) outcome: Option<Outcome>,
    pub(super) fenced: bool,
    pub(super) job_state: JobState,
    /// How many runs the job has had, without those that cost it nothing.
    pub(super) attempts: u32,
    pub(super) power: PowerState,
    pub(super) board_freed: bool,
}

impl Standing {
    /// Reads where these runs stand; those that do not exist are left out.
    pub(super) async fn load(
        transaction: &mut Transaction<'_>,
        runs: &[RunId],
    ) -> Result<HashMap<RunId, Self>, StoreError> {
        let mut standings = HashMap::with_capacity(runs.len());
        let mut rest = runs;
        while !rest.is_empty() {
            // A few sizes only, so that few statements are prepared.
            let size = *[64, 16, 4, 1]
                .iter()
                .find(|size| **size <= rest.len())
                .unwrap_or(&1);
            let (some, others) = rest.split_at(size);
            rest = others;
            let statement = format!("{}{})", sql::RUNS, placeholders(0, size));
            let values = some.iter().map(|run| Value::from(*run)).collect();
            for row in transaction.rows(AssertSqlSafe(statement), values).await? {
                let standing = read(row)?;
                standings.insert(standing.run, standing);
            }
        }
        Ok(standings)
    }

    /// What is said of it after the commit.
    pub(super) fn report(&self, fate: RunFate) -> RunReport {
        RunReport {
            run: self.run,
            job: Some(self.job),
            fate,
            events_seq: self.events_seq,
            log_line: self.log_line,
            log_cursor: self.log_cursor.clone(),
            lease: self.lease_state,
            finished: self.finished.is_some(),
            ended: self.disposition,
            board: Some(self.board.clone()),
            board_freed: self.board_freed,
        }
    }
}

impl RunReport {
    pub(super) fn unknown(run: RunId) -> Self {
        Self {
            run,
            job: None,
            fate: RunFate::Unknown,
            events_seq: 0,
            log_line: 0,
            log_cursor: None,
            lease: LeaseState::Ended,
            finished: false,
            ended: None,
            board: None,
            board_freed: false,
        }
    }
}

fn read(mut row: Row) -> Result<Standing, StoreError> {
    let mut standing = Standing {
        run: row.take()?,
        job: row.take()?,
        epoch: row.take()?,
        lease: row.take()?,
        board_id: row.take()?,
        board: row.take()?,
        dispatcher: row.take()?,
        lease_state: row.take()?,
        events_seq: row.take()?,
        log_line: row.take()?,
        log_cursor: row.take()?,
        tail_bytes: row.take()?,
        finished: row.take()?,
        ended: row.take()?,
        disposition: None,
        outcome: None,
        fenced: false,
        job_state: JobState::Finished,
        attempts: 0,
        power: PowerState::Unknown,
        board_freed: false,
    };
    let disposition: Option<String> = row.take()?;
    standing.outcome = row.take()?;
    standing.fenced = row.take()?;
    standing.job_state = row.take()?;
    standing.attempts = row.take()?;
    standing.disposition = disposition_of(disposition.as_deref(), row.take()?);
    standing.power = row.take()?;
    Ok(standing)
}
