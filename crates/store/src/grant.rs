//! Giving a board to a job: one guarded transaction (decisions D1, D16).

use basalt_model::{BoardName, DispatcherName, Epoch, JobId, LeaseId, RunId, UtcMicros};

use basalt_model::{BoardHealth, BoardState, DispatcherMode, JobState};
use serde_json::json;

use crate::database::Transaction;
use crate::database::value::values;
use crate::error::unknown;
use crate::feed::News;
use crate::statements::{account, board, job, run};
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
        let mut transaction = self.database().write("grant a board").await?;
        if let Some(mut row) = transaction.row(run::GRANTED, values![request.run]).await? {
            let made: (JobId, LeaseId, Epoch, u32) =
                (row.take()?, row.take()?, row.take()?, row.take()?);
            transaction.roll_back().await?;
            let (job, lease, epoch, attempt) = made;
            if (job, lease) != (request.job, request.lease) {
                return Ok(Granted::NoLonger(NoLonger::JobNotQueued));
            }
            let feed = Vec::new();
            return Ok(Granted::Yes {
                epoch,
                attempt,
                feed,
            });
        }
        match granted(&mut transaction, request, now).await? {
            Ok((epoch, attempt)) => {
                let mut news = News::default();
                let data = json!({ "state": JobState::Scheduled });
                news.job(request.job, Some(request.run), Some(&request.board), data);
                let data = json!({ "state": BoardState::Reserved });
                news.board(&request.board, data);
                let feed = news.write(&mut transaction, now).await?;
                transaction.commit().await?;
                Ok(Granted::Yes {
                    epoch,
                    attempt,
                    feed,
                })
            }
            Err(reason) => {
                transaction.roll_back().await?;
                Ok(Granted::NoLonger(reason))
            }
        }
    }
}

/// Checks every guard and writes the grant; the caller takes it back where a guard says no.
async fn granted(
    transaction: &mut Transaction<'_>,
    request: &GrantRequest,
    now: UtcMicros,
) -> Result<Result<(Epoch, u32), NoLonger>, StoreError> {
    let leader = transaction.row(account::LEADER, values![]).await?;
    let term = leader
        .map(|mut row| {
            row.take::<String>()?;
            row.take::<i64>()
        })
        .transpose()?;
    if term != Some(request.leader_term.0) {
        return Ok(Err(NoLonger::NotLeader));
    }
    let row = transaction
        .row(board::GRANT_GUARD, values![&request.board])
        .await?;
    let mut row = row.ok_or_else(|| unknown("board", &request.board))?;
    let board_id: i64 = row.take()?;
    let state: BoardState = row.take()?;
    let health: BoardHealth = row.take()?;
    let lease: Option<LeaseId> = row.take()?;
    let epoch = Epoch(row.take::<Epoch>()?.0 + 1);
    let device_type: i64 = row.take()?;
    let dispatcher_id: i64 = row.take()?;
    let dispatcher: DispatcherName = row.take()?;
    let mode: DispatcherMode = row.take()?;
    if dispatcher != request.dispatcher || mode != DispatcherMode::Active {
        return Ok(Err(NoLonger::DispatcherNotActive));
    }
    if state != BoardState::Idle || lease.is_some() || !health.takes_jobs() {
        return Ok(Err(NoLonger::BoardNotFree));
    }
    let row = transaction
        .row(
            job::GRANT,
            values![request.job, request.run, board_id, device_type],
        )
        .await?;
    let Some(mut row) = row else {
        return Ok(Err(NoLonger::JobNotQueued));
    };
    let attempt: u32 = row.take()?;
    let count = transaction
        .execute(
            board::GRANT_BOARD,
            values![
                board_id,
                now,
                epoch,
                request.lease,
                request.run,
                request.job
            ],
        )
        .await?;
    if count != 1 {
        return Ok(Err(NoLonger::BoardNotFree));
    }
    transaction
        .execute(
            run::INSERT,
            values![
                request.run,
                request.job,
                attempt,
                board_id,
                dispatcher_id,
                request.lease,
                epoch,
                now,
            ],
        )
        .await?;
    transaction
        .execute(
            run::LEASE_INSERT,
            values![
                request.lease,
                board_id,
                epoch,
                request.run,
                request.job,
                dispatcher_id,
                request.leader_term.0,
                now,
            ],
        )
        .await?;
    Ok(Ok((epoch, attempt)))
}
