//! Reading runs: their state, events, results, latencies.

use basalt_model::CaseResult;
use basalt_model::{
    BoardName, DispatcherName, Epoch, JobId, LeaseId, LeaseState, Outcome, PowerState, RunId,
    UtcMicros,
};

use sqlx::AssertSqlSafe;

use crate::database::value::{Row, values};
use crate::statements::run as sql;
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
        let row = self
            .database()
            .row("read a run", sql::RUN, values![run])
            .await?;
        row.map(read_run).transpose()
    }

    /// The runs of a job, the first one first.
    pub async fn runs_of_job(&self, job: JobId) -> Result<Vec<Run>, StoreError> {
        let rows = self
            .database()
            .rows("list a job's runs", sql::OF_JOB, values![job])
            .await?;
        rows.into_iter().map(read_run).collect()
    }

    /// Runs of a board, the newest first, before `before` (a grant's time), at most `limit`.
    pub async fn runs_of_board(
        &self,
        board: &BoardName,
        before: Option<UtcMicros>,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError> {
        let before = before.unwrap_or(UtcMicros(i64::MAX));
        let rows = self
            .database()
            .rows(
                "list a board's runs",
                sql::OF_BOARD,
                values![board, before, limit],
            )
            .await?;
        rows.into_iter().map(read_run).collect()
    }

    /// Every run that has not ended: what the server looks after when it starts.
    pub async fn open_runs(&self) -> Result<Vec<Run>, StoreError> {
        let rows = self
            .database()
            .rows("list runs that go on", sql::OPEN, values![])
            .await?;
        rows.into_iter().map(read_run).collect()
    }

    /// Events of a run from `seq` on, ascending, at most `limit`.
    pub async fn events(
        &self,
        run: RunId,
        seq: u64,
        limit: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        let rows = self
            .database()
            .rows("read a run's events", sql::EVENTS, values![run, seq, limit])
            .await?;
        rows.into_iter()
            .map(|mut row| {
                Ok(EventRow {
                    seq: row.take()?,
                    utc: row.take()?,
                    json: row.take()?,
                })
            })
            .collect()
    }

    /// The results of a run as JSON; `None` before its end.
    pub async fn results(&self, run: RunId) -> Result<Option<String>, StoreError> {
        let row = self
            .database()
            .row("read a run's results", sql::RESULTS, values![run])
            .await?;
        row.map(|mut row| row.take()).transpose()
    }

    /// The cases of a run, every attempt's, in their order.
    pub async fn cases(&self, run: RunId) -> Result<Vec<CaseResult>, StoreError> {
        let rows = self
            .database()
            .rows("read a run's cases", sql::CASES, values![run])
            .await?;
        rows.into_iter().map(|mut row| row.take_json()).collect()
    }

    /// The latency records of a run, in their order, whole.
    pub async fn latency_of_run(&self, run: RunId) -> Result<Vec<StoredLatency>, StoreError> {
        let rows = self
            .database()
            .rows("read a run's latencies", sql::LATENCY_OF_RUN, values![run])
            .await?;
        rows.into_iter().map(read_latency).collect()
    }

    /// The newest `limit` points of a board's trend, ascending by time, without whole records.
    pub async fn latency_trend(
        &self,
        board: &BoardName,
        filter: &TrendFilter,
        limit: u32,
    ) -> Result<Vec<StoredLatency>, StoreError> {
        let mut statement = sql::TREND.to_owned();
        let mut values = values![
            board,
            filter.from.unwrap_or(UtcMicros(i64::MIN)),
            filter.to.unwrap_or(UtcMicros(i64::MAX)),
        ];
        if let Some(suite) = &filter.suite {
            statement.push_str(" and l.suite = $4");
            values.push(suite.into());
        }
        values.push(limit.into());
        let last = values.len();
        statement.push_str(&format!(
            " order by l.measured_utc_us desc, l.run_id limit ${last}"
        ));
        let rows = self
            .database()
            .rows("read a board's latencies", AssertSqlSafe(statement), values)
            .await?;
        let mut points = rows
            .into_iter()
            .map(read_latency)
            .collect::<Result<Vec<_>, _>>()?;
        points.reverse();
        Ok(points)
    }
}

fn read_run(mut row: Row) -> Result<Run, StoreError> {
    let mut run = Run {
        id: row.take()?,
        job: row.take()?,
        attempt: row.take()?,
        board: row.take()?,
        dispatcher: row.take()?,
        lease: row.take()?,
        lease_state: row.take()?,
        epoch: row.take()?,
        granted: row.take()?,
        accepted: row.take()?,
        finished: row.take()?,
        ended: row.take()?,
        outcome: row.take()?,
        power: row.take()?,
        disposition: None,
        end_reason: None,
        events_seq: 0,
        log_line: 0,
        log_cursor: None,
    };
    let disposition: Option<String> = row.take()?;
    run.disposition = disposition_of(disposition.as_deref(), run.outcome);
    run.end_reason = row.take()?;
    run.events_seq = row.take()?;
    run.log_line = row.take()?;
    run.log_cursor = row.take()?;
    Ok(run)
}

/// What became of a run's job, from the words of its row.
pub(crate) fn disposition_of(
    word: Option<&str>,
    outcome: Option<Outcome>,
) -> Option<RunDisposition> {
    match word? {
        "requeued" => Some(RunDisposition::Requeued),
        _ => Some(RunDisposition::Finished(
            outcome.unwrap_or(Outcome::Incomplete),
        )),
    }
}

fn read_latency(mut row: Row) -> Result<StoredLatency, StoreError> {
    Ok(StoredLatency {
        run: row.take()?,
        job: row.take()?,
        board: row.take()?,
        row: LatencyRow {
            suite: row.take()?,
            phase: row.take()?,
            measure: row.take()?,
            loads: row.take()?,
            verdict: row.take()?,
            samples: row.take()?,
            max_us: row.take()?,
            p9999_us: row.take()?,
            p9999_at_least: row.take()?,
            limit_us: row.take()?,
            kernel: row.take()?,
            timebase: row.take()?,
            measured: row.take()?,
            min_us: row.take()?,
            avg_ns: row.take()?,
            p99_us: row.take()?,
            p99_at_least: row.take()?,
            kernel_version: row.take()?,
            image_sha256: row.take()?,
            record: row.take()?,
        },
    })
}
