//! The keeper's socket, for whoever asks or writes.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex as AsyncMutex, oneshot, watch};
use tokio::task::JoinHandle;

use crate::layout::{SocketAddress, socket_path};
use crate::lines::LineReader;
use crate::protocol::{
    Answer, ConsoleView, KeptConsole, MAX_LINE, MAX_WRITE, Message, Operation, Refusal, Request,
    Status, VERSION,
};

/// How long a keeper may take to answer who only asks.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// The same for what a run cannot do without. A keeper that is there and does not answer stands
/// still: it goes on with its host, and captures what the board said meanwhile.
pub(crate) const STANDSTILL_LIMIT: Duration = Duration::from_secs(60);

/// A keeper cannot be met.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens.
    #[error("cannot connect to the console keeper at {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It does not say hello.
    #[error("the console keeper at {} does not welcome its client", path.display())]
    Hello {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: RequestError,
    },
}

/// A keeper did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It went away. Whether it did what it was asked is not known.
    #[error("the console keeper went away")]
    Gone,
    /// It does not answer. Whether it did what it was asked is not known.
    #[error("the console keeper has not answered for {} s", .0.as_secs())]
    Timeout(Duration),
    /// It answered something else.
    #[error("the console keeper's answer does not belong to the request")]
    Unexpected,
    /// The caller asks for too much at once.
    #[error("{0} bytes cannot be typed at once; the most is {MAX_WRITE}")]
    TooLong(usize),
}

/// A connection to a keeper. Claims made on it end when it is dropped.
#[derive(Debug)]
pub struct KeeperClient {
    shared: Arc<Shared>,
    writer: AsyncMutex<OwnedWriteHalf>,
    next_id: AtomicU64,
    pid: u32,
    reader: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Nothing comes any more.
    gone: bool,
    pending: HashMap<u64, oneshot::Sender<Result<Answer, Refusal>>>,
    views: HashMap<String, watch::Sender<ConsoleView>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeeperClient {
    /// Connects to the keeper of a state directory and says hello. `client`: who this is, for
    /// people.
    pub async fn connect(state_dir: &Path, client: &str) -> Result<Self, ConnectError> {
        let path = socket_path(state_dir);
        let connect = async {
            let address = SocketAddress::new(state_dir)?;
            UnixStream::connect(address.path()).await
        };
        let stream = connect.await.map_err(|source| ConnectError::Connect {
            path: path.clone(),
            source,
        })?;
        let (reader, writer) = stream.into_split();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                gone: false,
                pending: HashMap::new(),
                views: HashMap::new(),
            }),
        });
        let mut connection = Self {
            reader: tokio::spawn(receive(reader, Arc::clone(&shared))),
            shared,
            writer: AsyncMutex::new(writer),
            next_id: AtomicU64::new(1),
            pid: 0,
        };
        let hello = Operation::Hello {
            version: VERSION,
            client: client.to_owned(),
        };
        match connection.ask(hello, ANSWER_LIMIT).await {
            Ok(Answer::Hello { pid, .. }) => connection.pid = pid,
            Ok(_) => {
                return Err(ConnectError::Hello {
                    path,
                    source: RequestError::Unexpected,
                });
            }
            Err(source) => return Err(ConnectError::Hello { path, source }),
        }
        Ok(connection)
    }

    /// The keeper's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the keeper has gone away.
    pub fn is_gone(&self) -> bool {
        self.shared.state().gone
    }

    /// What is kept, and how it goes.
    pub async fn status(&self) -> Result<Status, RequestError> {
        match self.ask(Operation::Status, ANSWER_LIMIT).await? {
            Answer::Status { status } => Ok(status),
            _ => Err(RequestError::Unexpected),
        }
    }

    /// A console's view, kept up to date until the keeper goes away (then it is closed).
    pub async fn watch(&self, console: &str) -> Result<watch::Receiver<ConsoleView>, RequestError> {
        self.watch_what(console, false).await
    }

    /// As [`KeeperClient::watch`], for who only wants to know how the way to the console is: what is
    /// appended may not be told.
    pub async fn watch_source(
        &self,
        console: &str,
    ) -> Result<watch::Receiver<ConsoleView>, RequestError> {
        self.watch_what(console, true).await
    }

    async fn watch_what(
        &self,
        console: &str,
        source_only: bool,
    ) -> Result<watch::Receiver<ConsoleView>, RequestError> {
        let operation = Operation::Watch {
            console: console.to_owned(),
            source_only,
        };
        let Answer::View { .. } = self.ask(operation, STANDSTILL_LIMIT).await? else {
            return Err(RequestError::Unexpected);
        };
        // The receiving task has put the view there before it went on to the events after it.
        let state = self.shared.state();
        let sender = state.views.get(console).ok_or(RequestError::Gone)?;
        Ok(sender.subscribe())
    }

    /// Takes the right to type at a console.
    pub async fn claim(&self, console: &str, writer: &str) -> Result<(), RequestError> {
        let operation = Operation::Claim {
            console: console.to_owned(),
            writer: writer.to_owned(),
        };
        self.ask_done(operation, STANDSTILL_LIMIT).await
    }

    /// Gives the right to type back.
    pub async fn release(&self, console: &str) -> Result<(), RequestError> {
        let operation = Operation::Release {
            console: console.to_owned(),
        };
        self.ask_done(operation, ANSWER_LIMIT).await
    }

    /// Types at a claimed console; returns when the source has accepted every byte. A refusal
    /// other than [`Refusal::Lost`] means that nothing was typed.
    pub async fn write(
        &self,
        console: &str,
        bytes: &[u8],
        character_delay: Duration,
    ) -> Result<(), RequestError> {
        if bytes.len() > MAX_WRITE {
            return Err(RequestError::TooLong(bytes.len()));
        }
        let operation = Operation::Write {
            console: console.to_owned(),
            base64: STANDARD.encode(bytes),
            character_delay_us: character_delay.as_micros() as u64,
        };
        // A serial port at 4800 baud takes 2 ms for a byte.
        let per_byte = character_delay + Duration::from_millis(2);
        let limit = STANDSTILL_LIMIT + per_byte * bytes.len() as u32;
        self.ask_done(operation, limit).await
    }

    /// Makes durable what a console has said so far; returns the offset up to which it is.
    pub async fn sync(&self, console: &str) -> Result<u64, RequestError> {
        let operation = Operation::Sync {
            console: console.to_owned(),
        };
        match self.ask(operation, STANDSTILL_LIMIT).await? {
            Answer::Synced { end } => Ok(end),
            _ => Err(RequestError::Unexpected),
        }
    }

    /// Has these consoles kept too.
    pub async fn add(&self, consoles: &[KeptConsole]) -> Result<(), RequestError> {
        let operation = Operation::Add {
            consoles: consoles.to_vec(),
        };
        self.ask_done(operation, STANDSTILL_LIMIT).await
    }

    /// Ends the keeper.
    pub async fn shutdown(&self) -> Result<(), RequestError> {
        self.ask_done(Operation::Shutdown, ANSWER_LIMIT).await
    }

    async fn ask_done(&self, op: Operation, limit: Duration) -> Result<(), RequestError> {
        match self.ask(op, limit).await? {
            Answer::Done => Ok(()),
            _ => Err(RequestError::Unexpected),
        }
    }

    async fn ask(&self, op: Operation, limit: Duration) -> Result<Answer, RequestError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.shared.state();
            if state.gone {
                return Err(RequestError::Gone);
            }
            state.pending.insert(id, sender);
        }
        let asked = async {
            let request = Request { id, op };
            let mut line = serde_json::to_vec(&request).map_err(|_| RequestError::Unexpected)?;
            line.push(b'\n');
            let sent = self.writer.lock().await.write_all(&line).await;
            sent.map_err(|_| RequestError::Gone)?;
            match receiver.await {
                Ok(result) => Ok(result?),
                Err(_) => Err(RequestError::Gone),
            }
        };
        let result = tokio::time::timeout(limit, asked).await;
        self.shared.state().pending.remove(&id);
        result.unwrap_or(Err(RequestError::Timeout(limit)))
    }
}

impl Drop for KeeperClient {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Takes what the keeper sends until it goes.
async fn receive(reader: OwnedReadHalf, shared: Arc<Shared>) {
    let mut lines = LineReader::new(reader, MAX_LINE);
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(error) => {
                tracing::debug!(error = %error, "the console keeper's socket failed");
                break;
            }
        };
        match serde_json::from_slice(&line) {
            Ok(message) => shared.state().take(message),
            // A later keeper of the same version may say more than this build knows.
            Err(error) => {
                tracing::debug!(error = %error, "a message of the console keeper is not understood");
            }
        }
    }
    let mut state = shared.state();
    state.gone = true;
    // Dropping the senders is how those who wait learn it.
    state.pending.clear();
    state.views.clear();
}

impl State {
    fn take(&mut self, message: Message) {
        match message {
            Message::Answer { id, result } => {
                if let Answer::View { console, view } = &result {
                    match self.views.get(console) {
                        Some(sender) => {
                            sender.send_replace(view.clone());
                        }
                        None => {
                            let sender = watch::channel(view.clone()).0;
                            self.views.insert(console.clone(), sender);
                        }
                    }
                }
                if let Some(sender) = self.pending.remove(&id) {
                    // Whoever asked may have given up.
                    let _ = sender.send(Ok(result));
                }
            }
            Message::Refused { id, refusal } => {
                if let Some(sender) = self.pending.remove(&id) {
                    let _ = sender.send(Err(refusal));
                }
            }
            Message::Appended {
                console,
                end,
                records,
            } => {
                if let Some(view) = self.views.get(&console) {
                    view.send_modify(|view| {
                        view.end = end;
                        view.records = records;
                    });
                }
            }
            Message::Source { console, source } => {
                if let Some(view) = self.views.get(&console) {
                    view.send_modify(|view| view.source = source);
                }
            }
        }
    }
}
