//! Jobs: submitted, listed, canceled, ended.

pub(crate) mod list;

use basalt_model::{
    BoardName, Epoch, Failure, Health, JobId, JobState, Outcome, RunId, Sha256, UserName, UtcMicros,
};

use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::database::value::{Row, values};
use crate::database::{Transaction, one};
use crate::error::unknown;
use crate::feed::News;
use crate::statements::account::AUDIT_INSERT;
use crate::statements::job as sql;
use crate::{FeedEntry, Store, StoreError, WebhookEvent, json_text};

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
        let mut transaction = self.database().write("submit a job").await?;
        let key = transaction
            .row(sql::KEY, values![&job.submitter, &job.idempotency_key])
            .await?;
        if let Some(mut key) = key {
            let request: Sha256 = key.take()?;
            let id: JobId = key.take()?;
            if request != job.request_sha256 {
                transaction.roll_back().await?;
                return Ok(Submitted::Conflict { job: id });
            }
            let stored = read_job(one(transaction.row(sql::JOB, values![id]).await?)?)?;
            transaction.roll_back().await?;
            return Ok(Submitted::Replayed(stored));
        }
        transaction
            .execute(
                sql::DEFINITION_INSERT,
                values![job.definition_sha256, &job.definition],
            )
            .await?;
        let row = transaction
            .row(
                sql::INSERT,
                values![
                    &job.name,
                    job.definition_sha256,
                    job.priority,
                    &job.submitter,
                    now,
                    job.wants.device_type.as_ref(),
                    job.wants.board.as_ref(),
                    json_text(&job.wants.tags),
                    job.resubmit_of,
                ],
            )
            .await?;
        let id: JobId = one(row)?.take()?;
        transaction
            .execute(
                sql::KEY_INSERT,
                values![
                    &job.submitter,
                    &job.idempotency_key,
                    job.request_sha256,
                    id,
                    now,
                ],
            )
            .await?;
        let stored = read_job(one(transaction.row(sql::JOB, values![id]).await?)?)?;
        let mut news = News::default();
        news.job(id, None, None, json!({ "state": stored.state }))
            .and_webhooks(WebhookEvent::JobSubmitted);
        let feed = news.write(&mut transaction, now).await?;
        transaction.commit().await?;
        Ok(Submitted::New { job: stored, feed })
    }

    /// A job.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        let row = self
            .database()
            .row("read a job", sql::JOB, values![id])
            .await?;
        row.map(read_job).transpose()
    }

    /// A job's text.
    pub async fn job_definition(&self, id: JobId) -> Result<Option<String>, StoreError> {
        let row = self
            .database()
            .row("read a job's text", sql::DEFINITION, values![id])
            .await?;
        row.map(|mut row| row.take()).transpose()
    }

    /// At most `limit` jobs, newest first, below `before`.
    pub async fn jobs(
        &self,
        filter: &JobFilter,
        before: Option<JobId>,
        limit: u32,
    ) -> Result<JobPage, StoreError> {
        let (statement, values) = list::statement(filter, before, u64::from(limit) + 1);
        let rows = self
            .database()
            .rows("list jobs", AssertSqlSafe(statement), values)
            .await?;
        let mut jobs = rows
            .into_iter()
            .map(read_job)
            .collect::<Result<Vec<_>, _>>()?;
        // One more was asked for than is wanted: to know whether there is a next page.
        let next = (jobs.len() > limit as usize).then(|| {
            jobs.truncate(limit as usize);
            jobs.last().map(|job| job.id)
        });
        Ok(JobPage {
            jobs,
            next: next.flatten(),
        })
    }

    /// Every job that waits for a board, in the order of their numbers.
    pub async fn queued_jobs(&self) -> Result<Vec<QueuedJob>, StoreError> {
        let rows = self
            .database()
            .rows("list waiting jobs", sql::QUEUED, values![])
            .await?;
        rows.into_iter()
            .map(|mut row| {
                Ok(QueuedJob {
                    id: row.take()?,
                    priority: row.take()?,
                    submitted: row.take()?,
                    wants: Wants {
                        device_type: row.take()?,
                        board: row.take()?,
                        tags: row.take_json()?,
                    },
                    definition_sha256: row.take()?,
                })
            })
            .collect()
    }

    /// How many jobs stand where.
    pub async fn job_counts(&self) -> Result<Vec<(JobState, u64)>, StoreError> {
        let rows = self
            .database()
            .rows("count jobs", sql::COUNTS, values![])
            .await?;
        let mut counts: Vec<_> = JobState::ALL.iter().map(|state| (*state, 0)).collect();
        for mut row in rows {
            let state: JobState = row.take()?;
            let number: u64 = row.take()?;
            for count in counts.iter_mut().filter(|count| count.0 == state) {
                count.1 = number;
            }
        }
        Ok(counts)
    }

    /// Asks for a job's end. A waiting one ends here and now.
    pub async fn request_cancel(
        &self,
        job: JobId,
        actor: &str,
        reason: &str,
        now: UtcMicros,
    ) -> Result<Canceled, StoreError> {
        let mut transaction = self.database().write("cancel a job").await?;
        let Some(mut row) = transaction.row(sql::CANCEL_GUARD, values![job]).await? else {
            transaction.roll_back().await?;
            return Ok(Canceled::Unknown);
        };
        let state: JobState = row.take()?;
        let (run, board, epoch): (Option<RunId>, Option<BoardName>, Option<Epoch>) =
            (row.take()?, row.take()?, row.take()?);
        let mut news = News::default();
        let target = match (state, run, board, epoch) {
            (JobState::Finished, ..) => {
                transaction.roll_back().await?;
                return Ok(Canceled::Already);
            }
            (state, Some(run), Some(board), Some(epoch)) if state.has_board() => {
                Some((run, board, epoch))
            }
            _ => None,
        };
        if state == JobState::Canceling
            && let Some((run, board, epoch)) = target
        {
            transaction.roll_back().await?;
            let feed = Vec::new();
            return Ok(Canceled::Ending {
                run,
                board,
                epoch,
                feed,
            });
        }
        transaction
            .execute(
                sql::CANCEL,
                values![job, JobState::Canceling, actor, reason],
            )
            .await?;
        let detail = json!({ "reason": reason }).to_string();
        transaction
            .execute(
                AUDIT_INSERT,
                values![now, actor, "job.cancel", job.to_string(), detail],
            )
            .await?;
        match &target {
            Some((run, board, _)) => {
                let data = json!({ "state": JobState::Canceling });
                news.job(job, Some(*run), Some(board), data);
            }
            None => {
                let end = JobEnd {
                    outcome: Outcome::Canceled,
                    health: Health::Canceled,
                    failure: None,
                };
                finish(&mut transaction, job, run, None, &end, &mut news, now).await?;
            }
        }
        let feed = news.write(&mut transaction, now).await?;
        transaction.commit().await?;
        Ok(match target {
            Some((run, board, epoch)) => Canceled::Ending {
                run,
                board,
                epoch,
                feed,
            },
            None => Canceled::Finished(feed),
        })
    }

    /// Ends a job that waits, without a run (no board can ever run it). `None` if it does not
    /// wait any more.
    pub async fn finish_queued(
        &self,
        job: JobId,
        end: &JobEnd,
        now: UtcMicros,
    ) -> Result<Option<Vec<FeedEntry>>, StoreError> {
        let mut transaction = self.database().write("end a waiting job").await?;
        let row = transaction.row(sql::CANCEL_GUARD, values![job]).await?;
        let mut row = row.ok_or_else(|| unknown("job", job))?;
        let state: JobState = row.take()?;
        if !state.is_queued() {
            transaction.roll_back().await?;
            return Ok(None);
        }
        let run: Option<RunId> = row.take()?;
        let mut news = News::default();
        finish(&mut transaction, job, run, None, end, &mut news, now).await?;
        let feed = news.write(&mut transaction, now).await?;
        transaction.commit().await?;
        Ok(Some(feed))
    }
}

/// Ends a job, and tells of it.
pub(crate) async fn finish(
    transaction: &mut Transaction<'_>,
    job: JobId,
    run: Option<RunId>,
    board: Option<&BoardName>,
    end: &JobEnd,
    news: &mut News,
    now: UtcMicros,
) -> Result<(), StoreError> {
    let failure = end.failure.as_ref().map(json_text);
    let count = transaction
        .execute(
            sql::FINISH,
            values![job, end.outcome, end.health, failure, now],
        )
        .await?;
    if count > 0 {
        let data = json!({ "state": JobState::Finished, "outcome": end.outcome });
        news.job(job, run, board, data)
            .and_webhooks(WebhookEvent::JobFinished);
    }
    Ok(())
}

fn read_job(mut row: Row) -> Result<Job, StoreError> {
    Ok(Job {
        id: row.take()?,
        name: row.take()?,
        definition_sha256: row.take()?,
        priority: row.take()?,
        submitter: row.take()?,
        submitted: row.take()?,
        wants: Wants {
            device_type: row.take()?,
            board: row.take()?,
            tags: row.take_json()?,
        },
        resubmit_of: row.take()?,
        state: row.take()?,
        attempts: row.take()?,
        run: row.take()?,
        board: row.take()?,
        device_type: row.take()?,
        started: row.take()?,
        finished: row.take()?,
        outcome: row.take()?,
        health: row.take()?,
        failure: row.take_optional_json()?,
        canceled_by: row.take()?,
        cancel_reason: row.take()?,
    })
}
