//! A run that the server has not said to forget.

use std::path::PathBuf;

use basalt_runner::{Ending, Grown};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::acceptance::Previous;
use crate::lease::LeaseRecord;
use crate::uplink::Acked;

/// A run that the server has not said to forget.
pub struct Entry {
    /// Its lease.
    pub lease: LeaseRecord,
    /// Its directory.
    pub path: PathBuf,
    /// How far its files have grown.
    pub grown: watch::Receiver<Grown>,
    /// It is over and its results are written.
    pub ended: watch::Sender<bool>,
    /// Ends it from outside.
    pub ending: Ending,
    /// What the server has of it.
    pub acked: watch::Sender<Acked>,
    /// Tells the server, over the connection of this moment.
    pub uplink: Option<AbortHandle>,
    /// The last event that was on disk when this process found it; `None` once the server was told
    /// of it by this process.
    pub found_at: Option<u64>,
    /// The server is not to be told of it any more: why, for people.
    pub dropped: Option<Dropped>,
}

/// Why the server is not told of a run any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It said so itself.
    Discarded,
    /// What it knows is not what is on this disk.
    Contradicted,
}

impl Entry {
    pub fn new(lease: LeaseRecord, path: PathBuf, grown: watch::Receiver<Grown>) -> Self {
        Self {
            lease,
            path,
            grown,
            ended: watch::Sender::new(false),
            ending: Ending::new(),
            acked: watch::Sender::new(Acked::default()),
            uplink: None,
            found_at: None,
            dropped: None,
        }
    }

    /// Whether it is over.
    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// For whoever gets the board next.
    pub fn previous(&self) -> Previous {
        Previous {
            grown: self.grown.clone(),
            ended: self.ended.subscribe(),
            ending: self.ending.clone(),
        }
    }

    /// The server is told no more.
    pub fn silence(&mut self) {
        if let Some(uplink) = self.uplink.take() {
            uplink.abort();
        }
    }
}
