//! Streams that outlive their connections.
//!
//! A cut is healed by connecting again with the last id that came (`Last-Event-ID`), so that
//! nothing is missed and nothing comes twice.

use std::collections::VecDeque;
use std::time::Duration;

use basalt_api::{FeedEvent, LogLine};
use basalt_model::{JobId, RunId};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::{Method, header};
use tokio::time::{Instant, sleep};

use crate::connection::Client;
use crate::error::ClientError;
use crate::sse::{Parser, ServerEvent};

/// First pause before another try.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server that has been away for so long is given up.
const PATIENCE: Duration = Duration::from_secs(600);

struct Follower {
    client: Client,
    path: String,
    last_id: Option<String>,
    connection: Option<(BoxStream<'static, reqwest::Result<Bytes>>, Parser)>,
    ready: VecDeque<ServerEvent>,
    pause: Duration,
    away_since: Option<Instant>,
}

impl Follower {
    fn new(client: Client, path: String, last_id: Option<String>) -> Self {
        Self {
            client,
            path,
            last_id,
            connection: None,
            ready: VecDeque::new(),
            pause: FIRST_PAUSE,
            away_since: None,
        }
    }

    /// The next event; connects, and connects again, where needed.
    async fn next(&mut self) -> Result<ServerEvent, ClientError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                if event.id.is_some() {
                    self.last_id.clone_from(&event.id);
                }
                return Ok(event);
            }
            if let Err(error) = self.read().await {
                self.bear(error).await?;
            }
        }
    }

    async fn read(&mut self) -> Result<(), ClientError> {
        let (stream, parser) = match &mut self.connection {
            Some(connection) => connection,
            None => {
                let mut request = self
                    .client
                    .request(Method::GET, &self.path)
                    .header(header::ACCEPT, "text/event-stream");
                if let Some(id) = &self.last_id {
                    request = request.header("Last-Event-ID", id);
                }
                let response = self.client.send(request).await?;
                self.connection
                    .insert((response.bytes_stream().boxed(), Parser::default()))
            }
        };
        match stream.next().await {
            Some(Ok(bytes)) => {
                self.pause = FIRST_PAUSE;
                self.away_since = None;
                let mut events = Vec::new();
                parser
                    .feed(&bytes, &mut events)
                    .map_err(|error| ClientError::Settings(error.to_string()))?;
                // Of blocks with events the id is taken over when the event is.
                if events.is_empty()
                    && let Some(id) = parser.complete_id()
                {
                    self.last_id = Some(id.clone());
                }
                self.ready.extend(events);
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a followed stream broke; connecting again");
                self.connection = None;
            }
            None => {
                self.connection = None;
                // A server that ends streams at once must not be asked in a busy loop.
                sleep(FIRST_PAUSE).await;
            }
        }
        Ok(())
    }

    async fn bear(&mut self, error: ClientError) -> Result<(), ClientError> {
        self.connection = None;
        let since = *self.away_since.get_or_insert_with(Instant::now);
        if !error.is_passing() || since.elapsed() > PATIENCE {
            return Err(error);
        }
        tracing::debug!(%error, "the server is away; asking again");
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// The lines of a run's log, as they come.
pub struct LogStream(Follower);

impl LogStream {
    /// The next line; `None` after the last one of a run that has ended.
    pub async fn next(&mut self) -> Result<Option<LogLine>, ClientError> {
        loop {
            let event = self.0.next().await?;
            match event.event.as_str() {
                "line" | "message" => return Ok(Some(parsed(&self.0.client, &event)?)),
                "end" => return Ok(None),
                // Later servers may say more.
                _ => {}
            }
        }
    }
}

/// What happens in the lab, as it happens.
pub struct FeedStream(Follower);

impl FeedStream {
    /// The next event; `None` where the server cannot say what was missed (its history is shorter,
    /// or it is another lab's): whoever follows asks for what he needs anew.
    pub async fn next(&mut self) -> Result<Option<FeedEvent>, ClientError> {
        loop {
            let event = self.0.next().await?;
            match event.event.as_str() {
                "message" => return parsed(&self.0.client, &event).map(Some),
                "reset" => return Ok(None),
                // Later servers may say more.
                _ => {}
            }
        }
    }
}

fn parsed<T: serde::de::DeserializeOwned>(
    client: &Client,
    event: &ServerEvent,
) -> Result<T, ClientError> {
    serde_json::from_str(&event.data).map_err(|error| ClientError::NotBasalt {
        server: client.server().to_owned(),
        status: 200,
        said: format!("an event of a stream that cannot be read: {error}"),
    })
}

impl Client {
    /// The log of a run from the line after `after` on.
    pub fn follow_log(&self, run: RunId, after: u64) -> LogStream {
        let last = (after > 0).then(|| after.to_string());
        LogStream(Follower::new(
            self.clone(),
            format!("/api/v1/runs/{run}/log/stream"),
            last,
        ))
    }

    /// What happens to a job (or in the whole lab) from the event after `after` on; `None`: from
    /// now on.
    pub fn follow(&self, job: Option<JobId>, after: Option<i64>) -> FeedStream {
        let path = match job {
            Some(job) => format!("/api/v1/events?job={job}"),
            None => "/api/v1/events".into(),
        };
        FeedStream(Follower::new(
            self.clone(),
            path,
            after.map(|id| id.to_string()),
        ))
    }
}
