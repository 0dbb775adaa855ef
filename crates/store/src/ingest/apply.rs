//! Taking one run's batch: what follows on what is stored, in the order in which it happens.

use basalt_model::{BoardState, Health, JobState, LeaseState, Outcome, UtcMicros};
use serde_json::json;

use super::standing::Standing;
use super::{
    EventRow, LeaseAnswer, LogBatch, RunBatch, RunDisposition, RunEnded, RunFate, RunFinished,
    RunReport,
};
use crate::board::note_power;
use crate::database::Transaction;
use crate::database::value::{Value, values};
use crate::feed::News;
use crate::job::finish;
use crate::statements::{board, ingest as sql, job};
use crate::{JobEnd, StoreError, WebhookEvent};

/// A group commit that goes on.
pub(super) struct Work<'a, 'b> {
    pub(super) transaction: &'a mut Transaction<'b>,
    pub(super) now: UtcMicros,
    pub(super) news: News,
    /// Rows that are inserted for all runs together.
    pub(super) events: Vec<Vec<Value>>,
    pub(super) tail: Vec<Vec<Value>>,
}

/// When a job goes back to the queue.
#[derive(Clone, Copy)]
pub(super) enum Requeue {
    /// If it had fewer runs than so many, this one included.
    Below(u32),
    /// In any case, and the run does not count.
    Free,
}

/// How a run ends.
pub(super) struct Ending<'a> {
    /// What its lease becomes, if it still holds.
    pub(super) lease: LeaseState,
    /// How its job ends, if it does.
    pub(super) end: &'a JobEnd,
    /// Whether the job goes back to the queue.
    pub(super) requeue: Option<Requeue>,
    /// Why, where it did not end by itself.
    pub(super) reason: Option<&'a str>,
    /// Nothing more is taken of it.
    pub(super) fenced: bool,
}

impl Work<'_, '_> {
    /// Takes a run's batch.
    pub(super) async fn take(
        &mut self,
        batch: &RunBatch,
        standing: &mut Standing,
    ) -> Result<RunReport, StoreError> {
        if standing.dispatcher != batch.dispatcher || standing.epoch != batch.epoch {
            return Ok(standing.report(RunFate::NotOwner));
        }
        if standing.fenced {
            return Ok(standing.report(RunFate::Fenced));
        }
        if standing.ended.is_some() {
            return Ok(standing.report(RunFate::Taken));
        }
        match &batch.answer {
            Some(LeaseAnswer::Refused {
                code,
                message,
                max_attempts,
                end,
            }) if standing.lease_state == LeaseState::Granted => {
                let reason = format!("{code}: {message}");
                let ending = Ending {
                    lease: LeaseState::Refused,
                    end,
                    requeue: Some(max_attempts.map_or(Requeue::Free, Requeue::Below)),
                    reason: Some(&reason),
                    fenced: true,
                };
                self.end(standing, &ending).await?;
                return Ok(standing.report(RunFate::Taken));
            }
            _ => {}
        }
        // Whoever sends what the run did has accepted it, even if that word was lost.
        let accepts = batch.answer == Some(LeaseAnswer::Accepted) || !batch.events.is_empty();
        if accepts && standing.lease_state == LeaseState::Granted {
            self.accept(standing).await?;
        }
        self.append(standing, &batch.events, &batch.logs).await?;
        if let Some(finished) = &batch.finished
            && standing.finished.is_none()
            && standing.events_seq >= finished.seq
        {
            self.finished(standing, finished).await?;
        }
        if let Some(ended) = &batch.ended
            && standing.events_seq >= ended.seq
            && standing.log_line >= ended.log_line
        {
            self.ended(standing, ended).await?;
        }
        Ok(standing.report(RunFate::Taken))
    }

    async fn accept(&mut self, standing: &mut Standing) -> Result<(), StoreError> {
        let now = self.now;
        let transaction = &mut *self.transaction;
        transaction
            .execute(sql::LEASE_ACTIVE, values![standing.lease, now])
            .await?;
        transaction
            .execute(sql::ACCEPTED, values![standing.run, now])
            .await?;
        transaction
            .execute(
                board::RUNNING,
                values![standing.board_id, now, standing.lease],
            )
            .await?;
        let data = json!({ "state": BoardState::Running });
        self.news.board(&standing.board, data);
        standing.lease_state = LeaseState::Active;
        // A job that is being canceled stays so, until its run has ended.
        let count = transaction
            .execute(job::RUNNING, values![standing.job, now, standing.run])
            .await?;
        if count > 0 {
            standing.job_state = JobState::Running;
            let data = json!({ "state": JobState::Running });
            self.news
                .job(
                    standing.job,
                    Some(standing.run),
                    Some(&standing.board),
                    data,
                )
                .and_webhooks(WebhookEvent::JobStarted);
        }
        Ok(())
    }

    /// Appends what follows without a hole on what is stored.
    async fn append(
        &mut self,
        standing: &mut Standing,
        events: &[EventRow],
        logs: &[LogBatch],
    ) -> Result<(), StoreError> {
        let before = (standing.events_seq, standing.log_line);
        for event in events {
            if event.seq == standing.events_seq + 1 {
                standing.events_seq = event.seq;
                self.events
                    .push(values![standing.run, event.seq, event.utc, &event.json,]);
            }
        }
        for batch in logs {
            if batch.from_line == standing.log_line + 1 && batch.lines > 0 {
                standing.log_line += batch.lines;
                standing.log_cursor = Some(batch.cursor.clone());
                standing.tail_bytes += batch.data.len() as u64;
                self.tail.push(values![
                    standing.run,
                    batch.from_line,
                    batch.lines,
                    batch.levels,
                    batch.first,
                    batch.last,
                    batch.data.as_ref(),
                ]);
            }
        }
        if before != (standing.events_seq, standing.log_line) {
            self.transaction
                .execute(
                    sql::CURSORS,
                    values![
                        standing.run,
                        standing.events_seq,
                        standing.log_line,
                        standing.log_cursor.as_ref(),
                        standing.tail_bytes,
                    ],
                )
                .await?;
        }
        Ok(())
    }

    /// The run's work on its board is over.
    async fn finished(
        &mut self,
        standing: &mut Standing,
        finished: &RunFinished,
    ) -> Result<(), StoreError> {
        let now = self.now;
        self.transaction
            .execute(
                sql::FINISHED,
                values![standing.run, finished.at, finished.outcome, finished.power],
            )
            .await?;
        standing.finished = Some(finished.at);
        standing.outcome = Some(finished.outcome);
        if finished.power != standing.power {
            let board = standing.board_id;
            note_power(self.transaction, board, finished.power, finished.at, now).await?;
            standing.power = finished.power;
            let data = json!({ "power": finished.power });
            self.news.board(&standing.board, data);
        }
        self.release(standing, LeaseState::Ended, None).await
    }

    /// Everything of the run has arrived.
    async fn ended(&mut self, standing: &mut Standing, ended: &RunEnded) -> Result<(), StoreError> {
        let run = standing.run;
        self.transaction
            .execute(sql::RESULTS_INSERT, values![run, &ended.results])
            .await?;
        let cases = ended.cases.iter().zip(0_u32..).map(|(case, ordinal)| {
            values![
                run,
                ordinal,
                &case.suite,
                &case.case,
                case.result,
                case.attempt,
                crate::json_text(case),
            ]
        });
        self.transaction
            .insert(sql::CASES_INSERT, 7, cases.collect())
            .await?;
        let latency = ended.latency.iter().zip(0_u32..).map(|(row, ordinal)| {
            values![
                run,
                ordinal,
                standing.board_id,
                standing.job,
                &row.suite,
                &row.phase,
                &row.measure,
                &row.loads,
                row.verdict,
                row.samples,
                row.max_us,
                row.p9999_us,
                row.p9999_at_least,
                row.limit_us,
                &row.kernel,
                row.timebase.as_ref(),
                row.measured,
                &row.record,
                row.min_us,
                row.avg_ns,
                row.p99_us,
                row.p99_at_least,
                row.kernel_version.as_ref(),
                row.image_sha256.as_ref(),
            ]
        });
        self.transaction
            .insert(sql::LATENCY_INSERT, 24, latency.collect())
            .await?;
        let ending = Ending {
            lease: LeaseState::Ended,
            end: &ended.end,
            requeue: ended.requeue.map(Requeue::Below),
            reason: None,
            fenced: false,
        };
        self.end(standing, &ending).await?;
        Ok(())
    }

    /// Ends a run: its board is free, its job ends or waits again.
    pub(super) async fn end(
        &mut self,
        standing: &mut Standing,
        ending: &Ending<'_>,
    ) -> Result<RunDisposition, StoreError> {
        self.release(standing, ending.lease, ending.reason).await?;
        let canceling = standing.job_state == JobState::Canceling;
        let again = ending.requeue.is_some_and(|requeue| match requeue {
            Requeue::Below(most) => standing.attempts < most,
            Requeue::Free => true,
        });
        let canceled = JobEnd {
            outcome: Outcome::Canceled,
            health: Health::Canceled,
            failure: None,
        };
        let disposition = if again && !canceling {
            let is_free = matches!(ending.requeue, Some(Requeue::Free));
            self.requeue(standing, is_free).await?;
            RunDisposition::Requeued
        } else {
            // What was given up because of the lab had been asked to end anyway.
            let end = match ending.requeue.is_some() && canceling {
                true => &canceled,
                false => ending.end,
            };
            let (job, run, board) = (standing.job, Some(standing.run), Some(&standing.board));
            finish(
                self.transaction,
                job,
                run,
                board,
                end,
                &mut self.news,
                self.now,
            )
            .await?;
            standing.job_state = JobState::Finished;
            RunDisposition::Finished(end.outcome)
        };
        let word = match disposition {
            RunDisposition::Requeued => "requeued",
            RunDisposition::Finished(_) => "finished",
        };
        self.transaction
            .execute(
                sql::ENDED,
                values![
                    standing.run,
                    self.now,
                    word,
                    ending.reason,
                    ending.fenced,
                    standing.outcome.unwrap_or(ending.end.outcome),
                ],
            )
            .await?;
        standing.ended = Some(self.now);
        standing.fenced = ending.fenced;
        standing.disposition = Some(disposition);
        Ok(disposition)
    }

    async fn requeue(&mut self, standing: &mut Standing, is_free: bool) -> Result<(), StoreError> {
        let count = self
            .transaction
            .execute(job::REQUEUE, values![standing.job, i64::from(is_free)])
            .await?;
        if count > 0 {
            standing.job_state = JobState::Scheduling;
            let data = json!({ "state": JobState::Scheduling });
            self.news.job(standing.job, Some(standing.run), None, data);
        }
        Ok(())
    }

    /// Ends a lease that still holds its board.
    async fn release(
        &mut self,
        standing: &mut Standing,
        state: LeaseState,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        if !standing.lease_state.holds_board() {
            return Ok(());
        }
        let now = self.now;
        self.transaction
            .execute(
                sql::LEASE_ENDED,
                values![standing.lease, state, now, reason],
            )
            .await?;
        standing.lease_state = state;
        let count = self
            .transaction
            .execute(board::FREE, values![standing.board_id, now, standing.lease])
            .await?;
        if count > 0 {
            standing.board_freed = true;
            let data = json!({ "state": BoardState::Idle });
            self.news.board(&standing.board, data);
        }
        Ok(())
    }
}
