//! One board's console as a run uses it: read, type, and go on when source or keeper are lost.
//!
//! The session reads the segment files with a reader of its own and holds one connection to the
//! keeper, for wake-ups and for typing. When the keeper goes away the session says so once, has
//! it started again by the caller's hook, claims the console again, and goes on reading where it
//! was. What the keeper missed meanwhile comes as a gap.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use basalt_model::Stamp;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::{ConnectError, KeeperClient, RequestError, STANDSTILL_LIMIT};
use crate::layout::console_dir;
use crate::protocol::{ConsoleView, KeptConsole, Refusal, SourceState};
use crate::segment::{ChunkBody, ReadError, SegmentReader};

/// How long it may take until a keeper is there, started by the hook or found. One that is there and
/// stands still is waited for as long as for any other answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// The pause between attempts to connect to a keeper that is just starting.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);
/// How long a keeper may take to listen before another one is started.
const START_PAUSE: Duration = Duration::from_secs(1);
/// How long what comes in pieces is gathered before it is read.
const GATHER: Duration = Duration::from_millis(1);
/// How long a claim may still belong to a connection whose end the keeper has not noticed yet.
const CLAIM_LIMIT: Duration = Duration::from_secs(2);

/// Starts a keeper, or does nothing where one runs. Called when none answers; returns when it has
/// been started, listening or not.
pub type Restart =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>> + Send + Sync>;

/// What a session is attached to.
#[derive(Clone)]
pub struct Attachment {
    /// The keeper's directory.
    pub state_dir: PathBuf,
    /// The console; a keeper that does not keep it yet is told to.
    pub console: KeptConsole,
    /// Claims the console by this name, where the session types.
    pub writer: Option<String>,
    /// The first byte of data; nothing means from now on.
    pub from: Option<u64>,
    /// Starts a keeper.
    pub restart: Restart,
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("state_dir", &self.state_dir)
            .field("console", &self.console)
            .field("writer", &self.writer)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// A console cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No keeper could be met in time.
    #[error("no console keeper answers after {} s", after.as_secs())]
    Connect {
        /// How long it was waited for.
        after: Duration,
        /// What became of the last try.
        #[source]
        source: ConnectError,
    },
    /// The hook that starts a keeper failed.
    #[error("the console keeper cannot be started")]
    Restart(#[source] io::Error),
    /// Somebody else types at this console.
    #[error("console {console} is held by {holder}")]
    Held {
        /// Which.
        console: String,
        /// Who.
        holder: String,
    },
    /// The keeper did not do as asked.
    #[error("console {console}: the keeper does not {what}")]
    Request {
        /// Which.
        console: String,
        /// What it was asked.
        what: &'static str,
        /// Why it did not.
        #[source]
        source: RequestError,
    },
    /// The console's files cannot be read.
    #[error("console {console} cannot be read")]
    Read {
        /// Which.
        console: String,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// The source did not open in time.
    #[error("console {console} is down: {reason}")]
    Down {
        /// Which.
        console: String,
        /// Why.
        reason: String,
    },
    /// A task of this process failed.
    #[error("the task that connects to the console keeper failed")]
    Task(#[source] tokio::task::JoinError),
}

/// What happens at a console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The board said something.
    Data {
        /// The stream offset of its first byte.
        offset: u64,
        /// When it was read.
        stamp: Stamp,
        /// What.
        bytes: Bytes,
    },
    /// Something that the board said was not read.
    Gap {
        /// Where.
        offset: u64,
        /// When that was recorded.
        stamp: Stamp,
        /// Why.
        reason: String,
    },
    /// The way to the console is lost.
    SourceDown {
        /// Where.
        offset: u64,
        /// When.
        stamp: Stamp,
        /// Why.
        reason: String,
    },
    /// The way to the console is open.
    SourceUp {
        /// Where.
        offset: u64,
        /// When.
        stamp: Stamp,
    },
    /// Somebody typed.
    Input {
        /// Where in the board's output.
        offset: u64,
        /// When.
        stamp: Stamp,
        /// Who.
        writer: String,
        /// What.
        bytes: Bytes,
    },
    /// The keeper went away; it is being started again.
    KeeperLost,
    /// A keeper is there again.
    KeeperBack,
    /// The deadline has come.
    Timeout,
}

/// A board's console.
#[derive(Debug)]
pub struct BoardConsole {
    attachment: Attachment,
    reader: SegmentReader,
    line: Line,
    /// How often a keeper went away.
    losses: u64,
}

#[derive(Debug)]
enum Line {
    /// A keeper is there.
    Up(Connected),
    /// It went away; a task looks for the next one.
    Down(JoinHandle<Result<Connected, SessionError>>),
}

#[derive(Debug)]
struct Connected {
    client: KeeperClient,
    view: watch::Receiver<ConsoleView>,
}

impl BoardConsole {
    /// Connects to the keeper, starting one if none answers, has the console kept, and claims it
    /// where a writer is named.
    pub async fn attach(attachment: Attachment) -> Result<Self, SessionError> {
        let connected = connect(attachment.clone()).await?;
        let dir = console_dir(&attachment.state_dir, &attachment.console.name);
        let reader = match attachment.from {
            Some(from) => SegmentReader::open(&dir, from),
            None => SegmentReader::open_at_end(&dir).map_err(|source| SessionError::Read {
                console: attachment.console.name.clone(),
                source,
            })?,
        };
        Ok(Self {
            attachment,
            reader,
            line: Line::Up(connected),
            losses: 0,
        })
    }

    /// The stream offset of the next byte of data that [`BoardConsole::next`] will give.
    pub fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// How often a keeper went away since this was attached.
    pub fn losses(&self) -> u64 {
        self.losses
    }

    /// The console's name.
    pub fn name(&self) -> &str {
        &self.attachment.console.name
    }

    /// How the way to the console is, as far as a keeper says.
    pub fn source(&self) -> Option<SourceState> {
        match &self.line {
            Line::Up(connected) => Some(connected.view.borrow().source.clone()),
            Line::Down(_) => None,
        }
    }

    /// Waits until the way to the console is open. Events stay where they are.
    pub async fn wait_open(&mut self, deadline: Instant) -> Result<(), SessionError> {
        loop {
            let connected = self.connected().await?;
            let open = connected.view.wait_for(|view| view.source.open);
            let gone = match tokio::time::timeout_at(deadline, open).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(_)) => true,
                Err(_) => false,
            };
            if gone && Instant::now() < deadline {
                // The next keeper opens it too.
                self.lost();
                continue;
            }
            let reason = match gone {
                true => "the keeper went away".to_owned(),
                false => connected.view.borrow().source.reason.clone(),
            };
            return Err(SessionError::Down {
                console: self.name().to_owned(),
                reason,
            });
        }
    }

    /// The next event, or [`Event::Timeout`] at the deadline. What has come already is given even
    /// after the deadline, so a loop over this looks at its own deadline too. May be dropped and
    /// called again. An error means that the console cannot be followed any more.
    pub async fn next(&mut self, deadline: Instant) -> Result<Event, SessionError> {
        loop {
            // Looked at before the files: what comes after wakes.
            let announced = match &mut self.line {
                Line::Up(connected) => connected.view.borrow_and_update().end,
                Line::Down(_) => 0,
            };
            if let Some(event) = self.read(announced)? {
                return Ok(event);
            }
            match &mut self.line {
                Line::Up(connected) => {
                    let changed = connected.view.changed();
                    match tokio::time::timeout_at(deadline, changed).await {
                        // A board at 115200 baud says some ten bytes in this time: taken together
                        // they cost one look at the file instead of ten.
                        Ok(Ok(())) => tokio::time::sleep(GATHER).await,
                        Ok(Err(_)) => {
                            self.lost();
                            return Ok(Event::KeeperLost);
                        }
                        Err(_) => return Ok(Event::Timeout),
                    }
                }
                Line::Down(task) => match tokio::time::timeout_at(deadline, task).await {
                    Ok(result) => {
                        self.found(result)?;
                        return Ok(Event::KeeperBack);
                    }
                    Err(_) => return Ok(Event::Timeout),
                },
            }
        }
    }

    /// Types; returns when the source has accepted every byte. Where the keeper has gone, the next
    /// one is waited for first; where it goes while typing, that is an error, because nobody knows
    /// what has arrived.
    pub async fn write(
        &mut self,
        bytes: &[u8],
        character_delay: Duration,
    ) -> Result<(), SessionError> {
        let console = self.name().to_owned();
        let connected = self.connected().await?;
        let written = connected
            .client
            .write(&console, bytes, character_delay)
            .await;
        written.map_err(|source| SessionError::Request {
            console,
            what: "type",
            source,
        })
    }

    /// Makes durable what the console has said so far; returns the offset up to which it is.
    pub async fn sync(&mut self) -> Result<u64, SessionError> {
        let console = self.name().to_owned();
        let connected = self.connected().await?;
        let synced = connected.client.sync(&console).await;
        synced.map_err(|source| SessionError::Request {
            console,
            what: "make its files durable",
            source,
        })
    }

    /// Asks the keeper for a sign of life, again and again for as long as `patience`; how long it took
    /// to answer. A keeper that is gone is not waited for: that shows by itself.
    pub async fn ask_keeper(&mut self, patience: Duration) -> Duration {
        let begun = Instant::now();
        if let Line::Up(connected) = &self.line {
            while begun.elapsed() < patience {
                match connected.client.status().await {
                    Err(RequestError::Timeout(_)) => {}
                    Ok(_) | Err(_) => break,
                }
            }
        }
        begun.elapsed()
    }

    fn read(&mut self, announced: u64) -> Result<Option<Event>, SessionError> {
        let read = match &self.line {
            Line::Up(_) => self.reader.next_announced(announced),
            Line::Down(_) => self.reader.next_chunk(),
        };
        let next = read.and_then(|chunk| {
            if chunk.is_none() {
                self.reader.check_announced(announced)?;
            }
            Ok(chunk)
        });
        let chunk = next.map_err(|source| SessionError::Read {
            console: self.name().to_owned(),
            source,
        })?;
        Ok(chunk.map(|chunk| {
            let (offset, stamp) = (chunk.offset, chunk.stamp);
            match chunk.body {
                ChunkBody::Data(bytes) => Event::Data {
                    offset,
                    stamp,
                    bytes,
                },
                ChunkBody::Gap(gap) => Event::Gap {
                    offset,
                    stamp,
                    reason: gap.reason,
                },
                ChunkBody::Source(source) if source.open => Event::SourceUp { offset, stamp },
                ChunkBody::Source(source) => Event::SourceDown {
                    offset,
                    stamp,
                    reason: source.reason,
                },
                ChunkBody::Input(input) => Event::Input {
                    offset,
                    stamp,
                    writer: input.writer,
                    bytes: input.bytes,
                },
            }
        }))
    }

    /// The connection; waits for the next keeper where there is none.
    async fn connected(&mut self) -> Result<&mut Connected, SessionError> {
        if matches!(&self.line, Line::Up(connected) if connected.client.is_gone()) {
            self.lost();
        }
        if let Line::Down(task) = &mut self.line {
            // The task itself is bounded.
            let result = task.await;
            self.found(result)?;
        }
        match &mut self.line {
            Line::Up(connected) => Ok(connected),
            Line::Down(_) => unreachable!("a keeper was found just now"),
        }
    }

    fn lost(&mut self) {
        self.losses += 1;
        tracing::warn!(console = %self.name(), "the console keeper went away");
        self.line = Line::Down(tokio::spawn(connect(self.attachment.clone())));
    }

    fn found(
        &mut self,
        result: Result<Result<Connected, SessionError>, tokio::task::JoinError>,
    ) -> Result<(), SessionError> {
        match result.map_err(SessionError::Task).and_then(|found| found) {
            Ok(connected) => {
                self.line = Line::Up(connected);
                Ok(())
            }
            Err(error) => {
                // A task gives its result once; whoever asks again starts the next attempt.
                self.lost();
                Err(error)
            }
        }
    }
}

impl Drop for BoardConsole {
    fn drop(&mut self) {
        if let Line::Down(task) = &self.line {
            task.abort();
        }
    }
}

/// Meets a keeper, has the console kept, claims it and watches it. A keeper that goes away meanwhile
/// is started again.
async fn connect(attachment: Attachment) -> Result<Connected, SessionError> {
    let begun = Instant::now();
    let mut next_start = begun;
    loop {
        match connect_once(&attachment, begun, &mut next_start).await {
            Err(SessionError::Request {
                source: RequestError::Gone,
                ..
            }) if begun.elapsed() < CONNECT_LIMIT => tokio::time::sleep(CONNECT_PAUSE).await,
            result => return result,
        }
    }
}

async fn connect_once(
    attachment: &Attachment,
    begun: Instant,
    next_start: &mut Instant,
) -> Result<Connected, SessionError> {
    let client = meet(attachment, begun, next_start).await?;
    let console = &attachment.console.name;
    let failed = |what: &'static str| {
        move |source| SessionError::Request {
            console: console.clone(),
            what,
            source,
        }
    };
    client
        .add(std::slice::from_ref(&attachment.console))
        .await
        .map_err(failed("keep it"))?;
    if let Some(writer) = &attachment.writer {
        claim(&client, console, writer).await?;
    }
    let view = client
        .watch(console)
        .await
        .map_err(failed("tell its events"))?;
    Ok(Connected { client, view })
}

async fn meet(
    attachment: &Attachment,
    begun: Instant,
    next_start: &mut Instant,
) -> Result<KeeperClient, SessionError> {
    let who = attachment.writer.as_deref().unwrap_or("reader");
    loop {
        let error = match KeeperClient::connect(&attachment.state_dir, who).await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        let limit = match &error {
            ConnectError::Hello {
                source: RequestError::Timeout(_),
                ..
            } => STANDSTILL_LIMIT,
            ConnectError::Hello { .. } | ConnectError::Connect { .. } => CONNECT_LIMIT,
        };
        let failed = |source| SessionError::Connect {
            after: begun.elapsed(),
            source,
        };
        if begun.elapsed() >= limit {
            return Err(failed(error));
        }
        if Instant::now() >= *next_start {
            let restart = (attachment.restart)();
            match tokio::time::timeout_at(begun + limit, restart).await {
                Ok(result) => result.map_err(SessionError::Restart)?,
                Err(_) => return Err(failed(error)),
            }
            *next_start = Instant::now() + START_PAUSE;
            continue;
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
}

async fn claim(client: &KeeperClient, console: &str, writer: &str) -> Result<(), SessionError> {
    let until = Instant::now() + CLAIM_LIMIT;
    loop {
        match client.claim(console, writer).await {
            Ok(()) => return Ok(()),
            Err(RequestError::Refused(Refusal::Held { console, holder })) => {
                // Whoever was killed a moment ago may still stand there by name.
                if Instant::now() >= until {
                    return Err(SessionError::Held { console, holder });
                }
                tokio::time::sleep(CONNECT_PAUSE).await;
            }
            Err(source) => {
                return Err(SessionError::Request {
                    console: console.to_owned(),
                    what: "let it be claimed",
                    source,
                });
            }
        }
    }
}
