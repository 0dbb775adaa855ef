//! One client of the keeper.
//!
//! Requests are taken in order; what takes long (typing, syncing) is answered by a task of its
//! own. All lines to the client pass one bounded channel: a client that does not read holds up
//! only its own tasks.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::owner::{self, Command};
use super::registry::{AddError, ConnectionId, Registry};
use super::standstill;
use crate::lines::LineReader;
use crate::protocol::{
    Answer, ConsoleView, KeptConsole, MAX_LINE, MAX_WRITE, Message, Operation, Refusal, Request,
    VERSION,
};

/// How long a client may take to say hello.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// Between two announcements of one console to one client.
const ANNOUNCE_PAUSE: Duration = Duration::from_millis(1);
/// How long a client may take to read its last answers.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves a client until it goes or the keeper ends.
pub(super) async fn serve(stream: UnixStream, registry: Arc<Registry>) {
    let connection = registry.connected();
    // Also when this task is aborted, so that no claim outlives its connection.
    let guard = Guard {
        registry: Arc::clone(&registry),
        connection,
    };
    let (reader, writer) = stream.into_split();
    let (lines, outgoing) = mpsc::channel(16);
    let mut tasks = JoinSet::new();
    tasks.spawn(send_lines(writer, outgoing));
    let mut client = Client {
        registry,
        connection,
        lines,
        tasks: JoinSet::new(),
        greeted: false,
    };
    let mut requests = LineReader::new(reader, MAX_LINE);
    let farewell = client.registry.farewell().clone();
    let hello_until = tokio::time::Instant::now() + HELLO_LIMIT;
    loop {
        let greeted = client.greeted;
        let line = tokio::select! {
            line = next_request(&mut requests) => line,
            () = farewell.cancelled() => break,
            () = tokio::time::sleep_until(hello_until), if !greeted => break,
            Some(_) = client.tasks.join_next(), if !client.tasks.is_empty() => continue,
            // The client can no longer be written to.
            Some(_) = tasks.join_next() => break,
        };
        match line {
            Some(line) if client.handle(&line).await.is_ok() => {}
            _ => break,
        }
    }
    // Typing and the claim end with the client; what was answered is still sent.
    client.tasks.shutdown().await;
    drop(guard);
    drop(client);
    let farewell = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
        tracing::debug!("a client of the console keeper did not read its last answers");
    }
}

struct Guard {
    registry: Arc<Registry>,
    connection: ConnectionId,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.registry.disconnected(self.connection);
    }
}

/// The next request; `None` when the client is gone or sends what is no line.
async fn next_request(requests: &mut LineReader<OwnedReadHalf>) -> Option<Vec<u8>> {
    match requests.next().await {
        Ok(line) => line,
        Err(error) => {
            tracing::warn!(error = %error, "a client of the console keeper is cut off");
            None
        }
    }
}

async fn send_lines(mut writer: OwnedWriteHalf, mut outgoing: mpsc::Receiver<String>) {
    while let Some(mut line) = outgoing.recv().await {
        line.push('\n');
        // A client that is gone needs no answers; its requests end in the same moment.
        if writer.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The client is gone or must go.
struct Gone;

struct Client {
    registry: Arc<Registry>,
    connection: ConnectionId,
    lines: mpsc::Sender<String>,
    tasks: JoinSet<()>,
    greeted: bool,
}

impl Client {
    async fn handle(&mut self, line: &[u8]) -> Result<(), Gone> {
        let request: Request = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(error) => {
                let refusal = Refusal::Request {
                    reason: error.to_string(),
                };
                answer(&self.lines, 0, Err(refusal)).await?;
                return Err(Gone);
            }
        };
        let id = request.id;
        if let Operation::Hello { version, client } = request.op {
            if version != VERSION {
                let refusal = Refusal::Version {
                    keeper: VERSION,
                    client: version,
                };
                answer(&self.lines, id, Err(refusal)).await?;
                return Err(Gone);
            }
            self.greeted = true;
            tracing::debug!(client = %client, "client connected to the console keeper");
            let hello = Answer::Hello {
                version: VERSION,
                pid: std::process::id(),
                boot_id: self.registry.boot_id().to_owned(),
            };
            return answer(&self.lines, id, Ok(hello)).await;
        }
        if !self.greeted {
            let refusal = Refusal::Request {
                reason: "the first request must be hello".into(),
            };
            answer(&self.lines, id, Err(refusal)).await?;
            return Err(Gone);
        }
        match self.operate(id, request.op).await {
            Some(result) => answer(&self.lines, id, result).await,
            None => Ok(()),
        }
    }

    /// Does what is asked; `None` if a task will answer.
    async fn operate(&mut self, id: u64, op: Operation) -> Option<Result<Answer, Refusal>> {
        let registry = &self.registry;
        Some(match op {
            // Answered before.
            Operation::Hello { .. } => Ok(Answer::Done),
            Operation::Status => {
                standstill::look(registry).await;
                Ok(Answer::Status {
                    status: registry.status(),
                })
            }
            Operation::Claim { console, writer } => registry
                .claim(self.connection, &console, writer)
                .map(|()| Answer::Done),
            Operation::Release { console } => registry
                .release(self.connection, &console)
                .map(|()| Answer::Done),
            Operation::Add { consoles } => add(registry, &consoles),
            Operation::Shutdown => {
                // The answer is in the channel before the keeper hears of it.
                let sent = answer(&self.lines, id, Ok(Answer::Done)).await;
                registry.shutdown().cancel();
                return sent.err().map(|Gone| Ok(Answer::Done));
            }
            Operation::Watch {
                console,
                source_only,
            } => match registry.view(&console) {
                Ok(mut view) => {
                    let now = view.borrow_and_update().clone();
                    let lines = self.lines.clone();
                    self.tasks
                        .spawn(push_events(id, console, source_only, now, view, lines));
                    return None;
                }
                Err(refusal) => Err(refusal),
            },
            Operation::Sync { console } => match registry.commands(&console) {
                Ok(commands) => {
                    let (sender, receiver) = oneshot::channel();
                    self.spawn_command(id, commands, Command::Sync(sender), async move {
                        match receiver.await {
                            Ok(result) => result.map(|end| Answer::Synced { end }),
                            Err(_) => Err(ending()),
                        }
                    })
                    .await;
                    return None;
                }
                Err(refusal) => Err(refusal),
            },
            Operation::Write {
                console,
                base64,
                character_delay_us,
            } => match self.prepare_write(&console, &base64) {
                Ok((commands, writer, bytes)) => {
                    let delay = Duration::from_micros(character_delay_us);
                    let (job, receiver) = owner::job(writer, bytes, delay);
                    self.spawn_command(id, commands, Command::Type(job), async move {
                        match receiver.await {
                            Ok(result) => result.map(|()| Answer::Done),
                            Err(_) => Err(Refusal::Lost {
                                console,
                                reason: "the source closed".into(),
                            }),
                        }
                    })
                    .await;
                    return None;
                }
                Err(refusal) => Err(refusal),
            },
        })
    }

    fn prepare_write(
        &self,
        console: &str,
        base64: &str,
    ) -> Result<(mpsc::Sender<Command>, String, Bytes), Refusal> {
        let (commands, writer) = self.registry.typist(self.connection, console)?;
        let bytes = STANDARD.decode(base64).map_err(|error| Refusal::Request {
            reason: format!("what is to be typed is not base64: {error}"),
        })?;
        if bytes.len() > MAX_WRITE {
            return Err(Refusal::Request {
                reason: format!("at most {MAX_WRITE} bytes can be typed at once"),
            });
        }
        Ok((commands, writer, bytes.into()))
    }

    /// Hands a command over in the order of the requests, and answers when it is done.
    async fn spawn_command(
        &mut self,
        id: u64,
        commands: mpsc::Sender<Command>,
        command: Command,
        outcome: impl Future<Output = Result<Answer, Refusal>> + Send + 'static,
    ) {
        // An owner that is gone drops the command, and with it the sender that `outcome` awaits.
        let _ = commands.send(command).await;
        let lines = self.lines.clone();
        self.tasks.spawn(async move {
            let result = outcome.await;
            // Gone clients need no answer.
            let _ = answer(&lines, id, result).await;
        });
    }
}

fn add(registry: &Registry, consoles: &[KeptConsole]) -> Result<Answer, Refusal> {
    match registry.add(consoles) {
        Ok(()) => Ok(Answer::Done),
        Err(AddError::Name(error)) => Err(Refusal::Request {
            reason: error.to_string(),
        }),
        Err(AddError::Ending) => Err(ending()),
        Err(AddError::Segments { console, source }) => Err(Refusal::Host {
            reason: format!(
                "cannot keep console {console}: {source}{}",
                std::error::Error::source(&source)
                    .map(|cause| format!(": {cause}"))
                    .unwrap_or_default()
            ),
        }),
    }
}

/// Answers a watch and sends its events. Between two lines only the newest view counts, and a board
/// that talks all the time is announced once in a while, not with every few bytes.
async fn push_events(
    id: u64,
    console: String,
    source_only: bool,
    mut known: ConsoleView,
    mut view: watch::Receiver<ConsoleView>,
    lines: mpsc::Sender<String>,
) {
    let first = Answer::View {
        console: console.clone(),
        view: known.clone(),
    };
    if answer(&lines, id, Ok(first)).await.is_err() {
        return;
    }
    while view.changed().await.is_ok() {
        if source_only && view.borrow_and_update().source == known.source {
            continue;
        }
        let now = view.borrow_and_update().clone();
        let mut messages = Vec::new();
        if !source_only && (now.end, now.records) != (known.end, known.records) {
            messages.push(Message::Appended {
                console: console.clone(),
                end: now.end,
                records: now.records,
            });
        }
        if now.source != known.source {
            messages.push(Message::Source {
                console: console.clone(),
                source: now.source.clone(),
            });
        }
        known = now;
        for message in messages {
            if send(&lines, &message).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(ANNOUNCE_PAUSE).await;
    }
}

fn ending() -> Refusal {
    Refusal::Host {
        reason: "the keeper is ending".into(),
    }
}

async fn answer(
    lines: &mpsc::Sender<String>,
    id: u64,
    result: Result<Answer, Refusal>,
) -> Result<(), Gone> {
    let message = match result {
        Ok(result) => Message::Answer { id, result },
        Err(refusal) => Message::Refused { id, refusal },
    };
    send(lines, &message).await
}

async fn send(lines: &mpsc::Sender<String>, message: &Message) -> Result<(), Gone> {
    match serde_json::to_string(message) {
        Ok(line) => lines.send(line).await.map_err(|_| Gone),
        // Messages are structs of strings, numbers and paths; only a path can fail.
        Err(error) => {
            tracing::error!(error = %error, "a message of the console keeper cannot be written");
            Err(Gone)
        }
    }
}
