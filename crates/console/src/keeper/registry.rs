//! What a keeper keeps, and who may type where. Shared by the clients' tasks.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use basalt_clock::Clock;
use basalt_lab::profile::ConsoleSource;
use basalt_model::UtcMicros;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::owner::{Command, Owner};
use super::recorder::Counters;
use super::standstill::LastLook;
use crate::layout::{self, ConsoleNameError};
use crate::protocol::{ConsoleStatus, ConsoleView, KeptConsole, Refusal, Status};
use crate::segment::{OpenError, SegmentWriter};

/// How long a console may take to make everything durable at the end.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A console cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// Its name cannot be a directory's.
    #[error(transparent)]
    Name(#[from] ConsoleNameError),
    /// It would never be closed again.
    #[error("the console keeper is ending")]
    Ending,
    /// Its segments cannot be opened.
    #[error("cannot keep console {console}")]
    Segments {
        /// Which.
        console: String,
        /// Why.
        #[source]
        source: OpenError,
    },
}

/// Tells the connections of one keeper apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectionId(u64);

struct Entry {
    source: ConsoleSource,
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<ConsoleView>,
    counters: Arc<Counters>,
    claim: Option<(ConnectionId, String)>,
    task: JoinHandle<()>,
}

pub(super) struct Registry {
    state_dir: PathBuf,
    segment_bytes: u64,
    clock: Clock,
    shutdown: CancellationToken,
    farewell: CancellationToken,
    clients: AtomicUsize,
    next_connection: AtomicU64,
    entries: Mutex<BTreeMap<String, Entry>>,
    last_look: Mutex<LastLook>,
    /// The keeper's lock, until it ends. Owners hold it too.
    lock: Mutex<Option<Arc<File>>>,
}

impl Registry {
    pub(super) fn new(
        state_dir: PathBuf,
        segment_bytes: u64,
        lock: File,
        shutdown: CancellationToken,
    ) -> Self {
        let clock = Clock::system();
        Self {
            last_look: Mutex::new(LastLook::new(clock.now().utc)),
            state_dir,
            segment_bytes,
            clock,
            shutdown,
            farewell: CancellationToken::new(),
            clients: AtomicUsize::new(0),
            next_connection: AtomicU64::new(1),
            entries: Mutex::new(BTreeMap::new()),
            lock: Mutex::new(Some(Arc::new(lock))),
        }
    }

    pub(super) fn boot_id(&self) -> &str {
        &self.clock.boot_id().0
    }

    /// Ready when the keeper is to end.
    pub(super) fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Ready when everything is durable and the clients may go.
    pub(super) fn farewell(&self) -> &CancellationToken {
        &self.farewell
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // Nothing here panics half-way through a change.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<File>>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps consoles. All names are checked before any is opened.
    pub(super) fn add(&self, consoles: &[KeptConsole]) -> Result<(), AddError> {
        for console in consoles {
            layout::check_name(&console.name)?;
        }
        let mut entries = self.entries();
        if self.shutdown.is_cancelled() {
            return Err(AddError::Ending);
        }
        for console in consoles {
            match entries.get_mut(&console.name) {
                Some(entry) if entry.source == console.source => {}
                Some(entry) => {
                    let command = Command::Reopen(console.source.clone());
                    if let Err(error) = entry.commands.try_send(command) {
                        // Sixteen commands in the time of one loop: nobody who adds does that.
                        tracing::error!(console = %console.name, error = %error, "the console's task does not take its new source");
                        continue;
                    }
                    entry.source = console.source.clone();
                }
                None => {
                    let entry = self.open(console)?;
                    entries.insert(console.name.clone(), entry);
                }
            }
        }
        Ok(())
    }

    fn open(&self, console: &KeptConsole) -> Result<Entry, AddError> {
        let dir = layout::console_dir(&self.state_dir, &console.name);
        let opened =
            SegmentWriter::open(&dir, self.segment_bytes).map_err(|source| AddError::Segments {
                console: console.name.clone(),
                source,
            })?;
        let lock = self.lock().clone().ok_or(AddError::Ending)?;
        let counters = Arc::new(Counters::default());
        let (owner, commands, view) = Owner::new(
            console.name.clone(),
            console.source.clone(),
            opened,
            self.clock.clone(),
            Arc::clone(&counters),
            lock,
        );
        Ok(Entry {
            source: console.source.clone(),
            commands,
            view,
            counters,
            claim: None,
            task: tokio::spawn(owner.run()),
        })
    }

    /// Closes every console and gives the lock back; their records are durable afterwards.
    pub(super) async fn stop(&self) {
        self.shutdown.cancel();
        let entries = std::mem::take(&mut *self.entries());
        let mut closing = Vec::new();
        for (name, entry) in entries {
            // An owner that is gone already has dropped its receiver, and its task says why; one
            // that takes nothing any more is told by the limit below.
            let _ = tokio::time::timeout(STOP_LIMIT, entry.commands.send(Command::Stop)).await;
            closing.push((name, entry.task));
        }
        for (name, mut task) in closing {
            match tokio::time::timeout(STOP_LIMIT, &mut task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(console = %name, error = %error, "the console's task had failed");
                }
                Err(_) => {
                    tracing::error!(console = %name, "the console's segments were not synced in time");
                    task.abort();
                }
            }
        }
        self.lock().take();
    }

    pub(super) fn connected(&self) -> ConnectionId {
        self.clients.fetch_add(1, Ordering::Relaxed);
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// Ends a connection's claims.
    pub(super) fn disconnected(&self, connection: ConnectionId) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
        for entry in self.entries().values_mut() {
            entry.claim.take_if(|(holder, _)| *holder == connection);
        }
    }

    pub(super) fn claim(
        &self,
        connection: ConnectionId,
        console: &str,
        writer: String,
    ) -> Result<(), Refusal> {
        let mut entries = self.entries();
        let entry = entries
            .get_mut(console)
            .ok_or_else(|| no_console(console))?;
        match &entry.claim {
            Some((holder, name)) if *holder != connection => Err(Refusal::Held {
                console: console.to_owned(),
                holder: name.clone(),
            }),
            _ => {
                entry.claim = Some((connection, writer));
                Ok(())
            }
        }
    }

    pub(super) fn release(&self, connection: ConnectionId, console: &str) -> Result<(), Refusal> {
        let mut entries = self.entries();
        let entry = entries
            .get_mut(console)
            .ok_or_else(|| no_console(console))?;
        match entry.claim.take_if(|(holder, _)| *holder == connection) {
            Some(_) => Ok(()),
            None => Err(not_claimed(console)),
        }
    }

    /// Where this connection may type at a console, and by which name.
    pub(super) fn typist(
        &self,
        connection: ConnectionId,
        console: &str,
    ) -> Result<(mpsc::Sender<Command>, String), Refusal> {
        let entries = self.entries();
        let entry = entries.get(console).ok_or_else(|| no_console(console))?;
        match &entry.claim {
            Some((holder, writer)) if *holder == connection => {
                Ok((entry.commands.clone(), writer.clone()))
            }
            Some((_, holder)) => Err(Refusal::Held {
                console: console.to_owned(),
                holder: holder.clone(),
            }),
            None => Err(not_claimed(console)),
        }
    }

    pub(super) fn commands(&self, console: &str) -> Result<mpsc::Sender<Command>, Refusal> {
        let entries = self.entries();
        let entry = entries.get(console).ok_or_else(|| no_console(console))?;
        Ok(entry.commands.clone())
    }

    pub(super) fn all_commands(&self) -> Vec<mpsc::Sender<Command>> {
        let entries = self.entries();
        entries
            .values()
            .map(|entry| entry.commands.clone())
            .collect()
    }

    /// Since when and for how long the keeper stood still, if it did since the last look.
    pub(super) fn look(&self) -> Option<(UtcMicros, Duration)> {
        let mut last = self
            .last_look
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        last.again(self.clock.now().utc)
    }

    pub(super) fn view(&self, console: &str) -> Result<watch::Receiver<ConsoleView>, Refusal> {
        let entries = self.entries();
        let entry = entries.get(console).ok_or_else(|| no_console(console))?;
        Ok(entry.view.clone())
    }

    pub(super) fn status(&self) -> Status {
        let consoles = self
            .entries()
            .iter()
            .map(|(name, entry)| {
                let status = ConsoleStatus {
                    source: entry.source.clone(),
                    view: entry.view.borrow().clone(),
                    writer: entry.claim.as_ref().map(|(_, writer)| writer.clone()),
                    counters: entry.counters.values(),
                };
                (name.clone(), status)
            })
            .collect();
        Status {
            pid: std::process::id(),
            state_dir: self.state_dir.clone(),
            clients: self.clients.load(Ordering::Relaxed),
            consoles,
        }
    }
}

fn no_console(console: &str) -> Refusal {
    Refusal::NoConsole {
        console: console.to_owned(),
    }
}

fn not_claimed(console: &str) -> Refusal {
    Refusal::NotClaimed {
        console: console.to_owned(),
    }
}
