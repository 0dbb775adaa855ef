//! Waiting for a job's end.

use std::time::Duration;

use basalt_api::Job;
use basalt_client::{Client, ClientError};
use basalt_model::{JobId, JobState};
use tokio::time::{Instant, sleep, timeout_at};

use crate::exit::Exit;
use crate::signals::{Ask, Signals};
use crate::terminal::{Terminal, one_line};

/// How often a job is asked for although its feed is silent: the feed only wakes us earlier.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// A server that has been away for so long is given up.
const PATIENCE: Duration = Duration::from_secs(600);

/// Ctrl-C and its like while something is waited for: whoever waits may leave, the job goes on.
pub struct Leaving(Signals);

/// Somebody left.
pub struct Left(Ask);

impl Leaving {
    pub fn catch() -> anyhow::Result<Self> {
        Ok(Self(Signals::catch()?))
    }

    /// What comes first: the end of the work, or somebody who does not want to wait for it.
    pub async fn unless_left<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Left> {
        tokio::select! {
            done = work => Ok(done),
            ask = self.0.next() => Err(Left(ask)),
        }
    }
}

impl Left {
    /// Says that the job is not canceled by that.
    pub fn tell(&self, job: JobId, terminal: &Terminal) -> Exit {
        terminal.note(&format!(
            "job {job} goes on; `basalt logs {job} --follow` shows it, `basalt cancel {job}` ends it"
        ));
        self.exit()
    }

    /// What shells say of a program that a signal ended.
    pub fn exit(&self) -> Exit {
        Exit::left(self.0.number())
    }
}

/// Follows a job through its states.
pub struct Watch<'c> {
    client: &'c Client,
    job: JobId,
    feed: basalt_client::FeedStream,
    away_since: Option<Instant>,
    told: String,
}

impl<'c> Watch<'c> {
    pub fn new(client: &'c Client, job: JobId) -> Self {
        Self {
            client,
            job,
            feed: client.follow(Some(job), None),
            away_since: None,
            told: String::new(),
        }
    }

    /// Which job.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// The job as it is now; a server that is away is waited for.
    pub async fn ask(&mut self) -> Result<Job, ClientError> {
        loop {
            match self.client.job(self.job).await {
                Ok(job) => {
                    self.away_since = None;
                    return Ok(job);
                }
                Err(error) => {
                    let since = *self.away_since.get_or_insert_with(Instant::now);
                    if !error.is_passing() || since.elapsed() > PATIENCE {
                        return Err(error);
                    }
                    sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    /// Waits until something may have changed.
    pub async fn change(&mut self) {
        let next = timeout_at(Instant::now() + ASK_EVERY, self.feed.next()).await;
        if let Ok(Err(error)) = next {
            tracing::debug!(%error, "the feed cannot be followed; asking instead");
            sleep(ASK_EVERY).await;
        }
    }

    /// Says once why the job waits.
    pub async fn tell_why(&mut self, job: &Job, terminal: &Terminal) {
        if !job.state.is_queued() {
            return;
        }
        if let Ok(why) = self.client.why(self.job).await
            && why.sentence != self.told
        {
            terminal.note(&one_line(&why.sentence));
            self.told = why.sentence;
        }
    }

    /// The job, once it is finished.
    pub async fn end(&mut self, terminal: Option<&Terminal>) -> Result<Job, ClientError> {
        loop {
            let job = self.ask().await?;
            if job.state == JobState::Finished {
                return Ok(job);
            }
            if let Some(terminal) = terminal {
                self.tell_why(&job, terminal).await;
            }
            self.change().await;
        }
    }
}
