//! Jobs: submitted, looked at, ended, repeated.

use basalt_api::{Definition, Diagnostic, Job, JobQuery, JobSummary, Page, RunSummary, Validation};
use basalt_link::Down;
use basalt_model::{JobId, JobState, Outcome, RunId, Sha256, UserName};
use basalt_store::{Canceled, JobFilter, NewJob, Wants};
use sha2::Digest;

use super::{limit, number, patiently};
use crate::actor::Actor;
use crate::app::App;
use crate::authorize::{Action, authorize};
use crate::error::UseCaseError;
use crate::planning::{ReadJob, Suited, is_error};
use crate::scheduling::{Message, of_new_job};

/// The longest key of a client.
const LONGEST_KEY: usize = 255;
/// The longest reason that is kept.
const LONGEST_REASON: usize = 1000;

/// A job in the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Submitted {
    /// The job.
    pub job: Job,
    /// The same request had been taken before: this is its job.
    pub replayed: bool,
    /// What is odd about its text.
    pub diagnostics: Vec<Diagnostic>,
}

impl App {
    /// Puts a job into the queue. With a key, the same request asked again gives the same job.
    ///
    /// # Errors
    /// [`UseCaseError::Invalid`] with every mistake; [`UseCaseError::Conflict`] if the key belongs
    /// to another request, or the lab is stopping.
    pub async fn submit(
        &self,
        actor: &Actor,
        definition: &str,
        idempotency_key: Option<&str>,
    ) -> Result<Submitted, UseCaseError> {
        self.put_in_queue(actor, definition, idempotency_key, None)
            .await
    }

    async fn put_in_queue(
        &self,
        actor: &Actor,
        definition: &str,
        idempotency_key: Option<&str>,
        repeats: Option<JobId>,
    ) -> Result<Submitted, UseCaseError> {
        authorize(actor, Action::Submit)?;
        let submitter = submitter(actor)?;
        if self.is_stopping() {
            return Err(UseCaseError::conflict(
                "the lab is stopping and takes no jobs",
            ));
        }
        let (read, suited) = self.look_at(definition)?;
        let Some(job) = read.definition.as_ref().filter(|_| suited.is_valid()) else {
            return Err(refused(suited.mistakes));
        };
        let key = key(idempotency_key)?;
        let new = NewJob {
            definition: definition.to_owned(),
            definition_sha256: read.sha256,
            name: job.job_name.clone(),
            priority: i64::from(job.priority),
            submitter,
            wants: Wants {
                device_type: job.device_type.as_ref().map(|wanted| wanted.value.clone()),
                board: job
                    .device
                    .as_ref()
                    .map(|wanted| basalt_model::BoardName::new(wanted.value.clone())),
                tags: job.tags.clone(),
            },
            resubmit_of: repeats,
            idempotency_key: key,
            request_sha256: request(definition, repeats),
        };
        let (job, replayed) = match patiently!(self.store.submit(&new, self.now()))? {
            basalt_store::Submitted::New { job, feed } => {
                let queued = of_new_job(&job, &suited);
                self.scheduling
                    .tell(Message::Queued(Box::new(queued)))
                    .await;
                self.tell_feed(&feed);
                tracing::info!(job.id = %job.id, job.name = job.name, user.name = %job.submitter, "a job was submitted");
                (job, false)
            }
            basalt_store::Submitted::Replayed(job) => (job, true),
            basalt_store::Submitted::Conflict { job } => {
                return Err(UseCaseError::Conflict {
                    message: format!(
                        "this idempotency key belongs to job {job}, which was another request"
                    ),
                    hint: Some("use a new key for a new job".into()),
                });
            }
        };
        Ok(Submitted {
            job: self.view_job(actor, job).await?,
            replayed,
            diagnostics: suited.mistakes,
        })
    }

    /// Reads a job and holds it against the lab.
    fn look_at(&self, definition: &str) -> Result<(std::sync::Arc<ReadJob>, Suited), UseCaseError> {
        if definition.len() > basalt_yaml::MAX_BYTES {
            return Err(UseCaseError::bad_request(format!(
                "a job has at most {} bytes",
                basalt_yaml::MAX_BYTES
            )));
        }
        let read = self.planning.read(definition);
        let suited = self.planning.suit(&read, &self.lab().lab);
        Ok((read, suited))
    }

    /// What would happen to a job if it were submitted.
    ///
    /// # Errors
    /// He may not.
    pub async fn validate(
        &self,
        actor: &Actor,
        definition: &str,
    ) -> Result<Validation, UseCaseError> {
        authorize(actor, Action::Submit)?;
        let (_, suited) = self.look_at(definition)?;
        Ok(Validation {
            valid: suited.is_valid(),
            candidates: suited
                .candidates
                .into_iter()
                .map(|one| basalt_api::Candidate {
                    board: one.board,
                    suitable: one.unsuitable.is_none(),
                    reason: one.unsuitable,
                })
                .collect(),
            diagnostics: suited.mistakes,
        })
    }

    /// Jobs, the newest first.
    ///
    /// # Errors
    /// A wish makes no sense.
    pub async fn jobs(
        &self,
        actor: &Actor,
        query: &JobQuery,
    ) -> Result<Page<JobSummary>, UseCaseError> {
        authorize(actor, Action::See)?;
        let filter = filter(actor, query)?;
        let before = number(query.cursor.as_deref())?.map(JobId);
        let page = self
            .store
            .jobs(&filter, before, limit(query.limit)?)
            .await?;
        Ok(Page {
            items: page.jobs.into_iter().map(summary).collect(),
            next: page.next.map(|id| id.to_string()),
        })
    }

    /// A job.
    ///
    /// # Errors
    /// There is none of this number.
    pub async fn job(&self, actor: &Actor, id: JobId) -> Result<Job, UseCaseError> {
        authorize(actor, Action::See)?;
        let job = self.find_job(id).await?;
        self.view_job(actor, job).await
    }

    pub(super) async fn find_job(&self, id: JobId) -> Result<basalt_store::Job, UseCaseError> {
        let job = self.store.job(id).await?;
        job.ok_or_else(|| UseCaseError::not_found("job", id))
    }

    async fn view_job(&self, actor: &Actor, job: basalt_store::Job) -> Result<Job, UseCaseError> {
        let runs = match job.attempts {
            0 => Vec::new(),
            _ => self.store.runs_of_job(job.id).await?,
        };
        let may_cancel = job.state != JobState::Finished
            && job.state != JobState::Canceling
            && authorize(
                actor,
                Action::Cancel {
                    submitter: &job.submitter,
                },
            )
            .is_ok();
        let reason = reason(&job);
        Ok(Job {
            id: job.id,
            name: job.name,
            state: job.state,
            health: job.health,
            outcome: job.outcome,
            reason,
            failure: job.failure,
            submitter: job.submitter,
            priority: priority(job.priority),
            device_type: job.wants.device_type.or(job.device_type),
            wanted_board: job.wants.board,
            tags: job.wants.tags,
            board: job.board,
            dispatcher: runs.last().map(|run| run.dispatcher.clone()),
            run: job.run,
            runs: runs.into_iter().map(super::runs::summary).collect(),
            definition_sha256: job.definition_sha256,
            resubmission_of: job.resubmit_of,
            canceled_by: job.canceled_by.map(UserName::new),
            cancel_reason: job.cancel_reason,
            may_cancel,
            submitted_utc_us: job.submitted,
            started_utc_us: job.started,
            finished_utc_us: job.finished,
        })
    }

    /// A job's text.
    ///
    /// # Errors
    /// There is no such job.
    pub async fn job_definition(
        &self,
        actor: &Actor,
        id: JobId,
    ) -> Result<Definition, UseCaseError> {
        authorize(actor, Action::See)?;
        let text = self.store.job_definition(id).await?;
        let text = text.ok_or_else(|| UseCaseError::not_found("job", id))?;
        Ok(Definition {
            job: id,
            sha256: Sha256(sha2::Sha256::digest(text.as_bytes()).into()),
            text,
        })
    }

    /// A job's runs, the first one first.
    ///
    /// # Errors
    /// There is no such job.
    pub async fn job_runs(
        &self,
        actor: &Actor,
        id: JobId,
    ) -> Result<Vec<RunSummary>, UseCaseError> {
        authorize(actor, Action::See)?;
        self.find_job(id).await?;
        let runs = self.store.runs_of_job(id).await?;
        Ok(runs.into_iter().map(super::runs::summary).collect())
    }

    /// A job's last run.
    ///
    /// # Errors
    /// There is no such job, or it has had no run.
    pub async fn last_run(&self, actor: &Actor, id: JobId) -> Result<RunId, UseCaseError> {
        authorize(actor, Action::See)?;
        let job = self.find_job(id).await?;
        job.run
            .ok_or_else(|| UseCaseError::not_found("run of job", id))
    }

    /// Ends a job before its time. One that waits is finished at once; a run of one ends when its
    /// dispatcher has ended it. One that is finished stays as it is.
    ///
    /// # Errors
    /// He may not, or there is no such job.
    pub async fn cancel(
        &self,
        actor: &Actor,
        id: JobId,
        reason: Option<&str>,
    ) -> Result<Job, UseCaseError> {
        authorize(actor, Action::See)?;
        let job = self.find_job(id).await?;
        authorize(
            actor,
            Action::Cancel {
                submitter: &job.submitter,
            },
        )?;
        let reason: String = reason
            .unwrap_or("asked for")
            .chars()
            .filter(|one| !one.is_control())
            .take(LONGEST_REASON)
            .collect();
        let who = actor.label();
        let canceled = patiently!(self.store.request_cancel(id, &who, &reason, self.now()))?;
        match canceled {
            Canceled::Finished(feed) => {
                self.tell_feed(&feed);
                self.scheduling.tell(Message::Gone(id)).await;
            }
            Canceled::Ending { run, feed, .. } => {
                self.tell_feed(&feed);
                if let Some(run) = self.store.run(run).await? {
                    let job = self.find_job(id).await?;
                    // Where it does not hear this, it hears it again.
                    self.registry
                        .send(&run.dispatcher, cancel_message(&job, run.id));
                }
            }
            Canceled::Already => {}
            Canceled::Unknown => return Err(UseCaseError::not_found("job", id)),
        }
        self.job(actor, id).await
    }

    /// Submits a job's text once more.
    ///
    /// # Errors
    /// As [`App::submit`].
    pub async fn resubmit(
        &self,
        actor: &Actor,
        id: JobId,
        idempotency_key: Option<&str>,
    ) -> Result<Submitted, UseCaseError> {
        authorize(actor, Action::Submit)?;
        let text = self.store.job_definition(id).await?;
        let text = text.ok_or_else(|| UseCaseError::not_found("job", id))?;
        self.put_in_queue(actor, &text, idempotency_key, Some(id))
            .await
    }
}

/// What a dispatcher is told of a job that is to end.
pub(crate) fn cancel_message(job: &basalt_store::Job, run: RunId) -> Down {
    let who = job.canceled_by.as_deref().unwrap_or("somebody");
    let reason = job.cancel_reason.as_deref().unwrap_or("asked for");
    Down::Cancel {
        run,
        reason: format!("canceled by {who}: {reason}"),
    }
}

fn submitter(actor: &Actor) -> Result<UserName, UseCaseError> {
    actor
        .user()
        .cloned()
        .ok_or_else(|| UseCaseError::bad_request("a job needs an account that submits it"))
}

fn refused(diagnostics: Vec<Diagnostic>) -> UseCaseError {
    let errors = diagnostics.iter().filter(|one| is_error(one)).count();
    UseCaseError::Invalid {
        message: match errors {
            1 => "the job has 1 mistake".to_owned(),
            errors => format!("the job has {errors} mistakes"),
        },
        diagnostics,
    }
}

/// The client's key, or one that nobody else has.
fn key(given: Option<&str>) -> Result<String, UseCaseError> {
    let Some(key) = given else {
        return Ok(uuid::Uuid::now_v7().to_string());
    };
    if key.is_empty() || key.len() > LONGEST_KEY || key.chars().any(char::is_control) {
        return Err(UseCaseError::BadRequest {
            message: "this is no idempotency key".into(),
            hint: Some(format!("use 1 to {LONGEST_KEY} printable characters")),
        });
    }
    Ok(key.to_owned())
}

fn request(definition: &str, repeats: Option<JobId>) -> Sha256 {
    let mut digest = sha2::Sha256::new();
    digest.update(definition.as_bytes());
    if let Some(job) = repeats {
        digest.update(b"\0");
        digest.update(job.0.to_be_bytes());
    }
    Sha256(digest.finalize().into())
}

fn filter(actor: &Actor, query: &JobQuery) -> Result<JobFilter, UseCaseError> {
    let mut filter = JobFilter {
        board: query.board.clone(),
        device_type: query.device_type.clone().filter(|text| !text.is_empty()),
        text: query.q.clone().filter(|text| !text.is_empty()),
        ..JobFilter::default()
    };
    for word in words(query.state.as_deref()) {
        match word {
            "queued" => filter
                .states
                .extend([JobState::Submitted, JobState::Scheduling]),
            "active" => filter.states.extend(
                JobState::ALL
                    .iter()
                    .filter(|state| **state != JobState::Finished),
            ),
            word => filter.states.push(known(
                word,
                "state",
                JobState::ALL.iter().map(|one| one.as_str()),
            )?),
        }
    }
    for word in words(query.outcome.as_deref()) {
        let all = Outcome::ALL.iter().map(|one| one.as_str());
        filter.outcomes.push(known(word, "outcome", all)?);
    }
    filter.submitter = match query.submitter.as_deref() {
        None | Some("") => None,
        Some("me") => actor.user().cloned(),
        Some(name) => Some(UserName::new(name)),
    };
    Ok(filter)
}

fn words(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

fn known<T: std::str::FromStr>(
    word: &str,
    what: &str,
    all: impl Iterator<Item = &'static str>,
) -> Result<T, UseCaseError> {
    word.parse().map_err(|_| UseCaseError::BadRequest {
        message: format!("{word:?} is no {what} of a job"),
        hint: Some(format!("they are {}", all.collect::<Vec<_>>().join(", "))),
    })
}

fn priority(priority: i64) -> i32 {
    i32::try_from(priority).unwrap_or(0)
}

fn reason(job: &basalt_store::Job) -> Option<String> {
    match &job.failure {
        Some(failure) => Some(failure.sentence()),
        None => job
            .canceled_by
            .as_ref()
            .map(|who| match &job.cancel_reason {
                Some(reason) => format!("canceled by {who}: {reason}"),
                None => format!("canceled by {who}"),
            }),
    }
}

/// A job as it stands in lists.
pub(super) fn summary(job: basalt_store::Job) -> JobSummary {
    let reason = reason(&job);
    JobSummary {
        id: job.id,
        name: job.name,
        state: job.state,
        health: job.health,
        outcome: job.outcome,
        reason,
        submitter: job.submitter,
        priority: priority(job.priority),
        device_type: job.wants.device_type.or(job.device_type),
        board: job.board,
        run: job.run,
        attempts: job.attempts,
        submitted_utc_us: job.submitted,
        started_utc_us: job.started,
        finished_utc_us: job.finished,
    }
}
