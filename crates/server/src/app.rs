//! What everything in the server shares.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use basalt_clock::Clock;

use crate::config::Limits;
use crate::hub::Hub;

/// What everything in the server shares: axum's state for the faces, `self` of every use case.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Shared>);

/// The shared things themselves.
#[derive(Debug)]
pub struct Shared {
    /// The host's clocks.
    pub clock: Clock,
    /// Wakes followers.
    pub hub: Hub,
    /// Heartbeats and their limits.
    pub limits: Limits,
    /// The address that people use, without a slash at its end.
    pub public_url: String,
    /// The server's own directory.
    pub state: PathBuf,
}

impl App {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
