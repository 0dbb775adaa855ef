//! What everything in the server shares.

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use basalt_clock::Clock;
use basalt_link::Down;
use basalt_model::{DispatcherName, UtcMicros};
use basalt_store::{FeedEntry, Run, RunEnded, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Keep, Limits};
use crate::folds::Folds;
use crate::hub::Hub;
use crate::ingest::{Ingest, Item, Kind};
use crate::lab_in_force::LabInForce;
use crate::planning::Planning;
use crate::registry::Registry;
use crate::scheduling::Scheduling;

/// What everything in the server shares: axum's state for the faces, `self` of every use case.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Shared>);

/// The shared things themselves.
pub struct Shared {
    /// The host's clocks.
    pub clock: Clock,
    /// Where everything is kept.
    pub store: Store,
    /// Wakes followers.
    pub hub: Hub,
    /// Heartbeats and their limits.
    pub limits: Limits,
    /// The address that people use, without a slash at its end.
    pub public_url: String,
    /// The server's own directory.
    pub state: PathBuf,
    /// SHA-256 of the server's certificate, where that is signed by itself.
    pub certificate_sha256: Option<String>,
    /// Hosts that webhooks may be sent to although they are not public.
    pub webhook_hosts: Vec<String>,
    /// How long things are kept.
    pub keep: Keep,
    /// Jobs against boards.
    pub planning: Planning,
    /// The connected dispatchers.
    pub registry: Registry,
    /// The task that gives boards to jobs.
    pub scheduling: Scheduling,
    /// The dispatcher that was started beside this server.
    pub embedded: Option<DispatcherName>,
    /// Which server this is, among several over one database; the same after a restart.
    pub(crate) server_id: String,
    pub(crate) lab: watch::Sender<Arc<LabInForce>>,
    /// One lab at a time is put into force.
    pub(crate) applying: tokio::sync::Mutex<()>,
    pub(crate) ingest: Ingest,
    pub(crate) folds: Folds,
    /// Cancelled when connections are to end: streams to clients end by it.
    pub closing: CancellationToken,
    pub(crate) stopping: AtomicBool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("public_url", &self.public_url)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl App {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// The wall clock.
    pub fn now(&self) -> UtcMicros {
        self.clock.now().utc
    }

    /// The lab that is in force.
    pub fn lab(&self) -> Arc<LabInForce> {
        self.lab.borrow().clone()
    }

    /// How many events have been folded since the start to show what runs come to so far: those of
    /// a run once, while it is looked at.
    pub fn events_folded(&self) -> u64 {
        self.folds.events()
    }

    /// No new jobs are taken.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Wakes those who follow the feed.
    pub(crate) fn tell_feed(&self, entries: &[FeedEntry]) {
        if let Some(last) = entries.iter().map(|entry| entry.id).max() {
            self.hub.feed(last.0);
        }
    }

    /// Sends the lab in force to a dispatcher.
    pub(crate) fn send_lab(&self, dispatcher: &DispatcherName) {
        self.registry.send(dispatcher, self.lab_message());
    }

    /// The lab in force as a message.
    pub(crate) fn lab_message(&self) -> Down {
        let lab = self.lab();
        Down::Lab {
            revision: lab.revision,
            name: lab.lab.name.clone(),
            files: lab.texts(),
        }
    }

    /// The end of a run that this server finds out by itself.
    pub(crate) fn own_end(&self, run: &Run, ended: RunEnded) -> Item {
        let link = self.registry.link(&run.dispatcher);
        Item {
            dispatcher: run.dispatcher.clone(),
            close: link.map_or_else(CancellationToken::new, |link| link.close),
            kind: Kind::Ended(run.id, Box::new(ended)),
        }
    }
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
