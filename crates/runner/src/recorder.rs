//! The one writer of a run's journal: appends, folds, and tells whoever watches.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use basalt_journal::{Journal, JournalError};
use basalt_model::event::Level;
use basalt_model::{Event, EventBody};
use tokio::sync::Notify;

use crate::state::RunState;
use crate::watcher::Watcher;

/// How long an event that asks for nothing better may wait for the disk (decision D7).
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Journal, state and watchers of one run.
#[derive(Debug)]
pub struct Recorder {
    journal: Arc<Mutex<Journal>>,
    dirty: Arc<Notify>,
    state: RunState,
    watcher: Watcher,
    syncer: tokio::task::JoinHandle<()>,
}

impl Recorder {
    /// Takes a journal and what it held. Must be called within a tokio runtime.
    pub fn new(journal: Journal, events: &[Event], watcher: Watcher) -> Self {
        let journal = Arc::new(Mutex::new(journal));
        let dirty = Arc::new(Notify::new());
        let syncer = tokio::spawn(sync_lazily(journal.clone(), dirty.clone()));
        Self {
            journal,
            dirty,
            state: RunState::of(events),
            watcher,
            syncer,
        }
    }

    /// The fold over everything recorded so far.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Appends an event; durable within a second.
    pub fn record(&mut self, body: EventBody) -> Result<(), JournalError> {
        let event = lock(&self.journal).append(body)?;
        self.dirty.notify_one();
        self.state.apply(&event);
        self.watcher.event(event);
        Ok(())
    }

    /// Appends an event and makes it durable before it returns.
    pub fn record_durably(&mut self, body: EventBody) -> Result<(), JournalError> {
        self.record(body)?;
        self.sync()
    }

    /// Makes everything recorded durable.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        lock(&self.journal).sync()
    }

    /// A line of the run's own log.
    pub fn log(&mut self, level: Level, message: impl Into<String>) -> Result<(), JournalError> {
        self.record(EventBody::Log {
            level,
            message: message.into(),
        })
    }

    /// Who watches; to tell of what is not kept.
    pub fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// What the journal has cost since it was opened.
    pub fn cost(&self) -> basalt_journal::Cost {
        lock(&self.journal).cost()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.syncer.abort();
    }
}

fn lock(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    // A panic while appending leaves at worst a torn record, which the next open cuts.
    journal
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Makes the journal durable a second after something was appended; asleep while nothing is.
async fn sync_lazily(journal: Arc<Mutex<Journal>>, dirty: Arc<Notify>) {
    loop {
        dirty.notified().await;
        tokio::time::sleep(SYNC_EVERY).await;
        let journal = journal.clone();
        let synced = tokio::task::spawn_blocking(move || {
            let mut journal = lock(&journal);
            if journal.is_dirty() {
                journal.sync()
            } else {
                Ok(())
            }
        });
        if let Ok(Err(error)) = synced.await {
            // The run itself finds out at its next durable event; this is the earlier word.
            tracing::error!(error = %error, "the run's journal cannot be made durable");
        }
    }
}
