//! How a dispatcher stops (decision D23).

use basalt_link::{StopMode, Up};
use tokio::time::Instant;

use super::{Actor, Connection};
use crate::keeper;

/// A dispatcher that is stopping.
#[derive(Clone, Copy, Debug)]
pub struct Stopping {
    mode: StopMode,
    /// When the server has had time enough to hear the rest; set once no run goes on.
    until: Option<Instant>,
}

/// As long as nothing is to be waited for.
const NEVER: std::time::Duration = std::time::Duration::from_secs(3600);

impl Actor {
    /// No new runs from now on.
    pub(super) fn stop(&mut self, mode: StopMode, connection: Option<&Connection>) {
        tracing::info!(?mode, "the dispatcher is stopping");
        self.stopping = Some(Stopping { mode, until: None });
        if let Some(connection) = connection {
            connection.tell(Up::Stopping);
        }
        if mode == StopMode::End {
            for entry in self.runs.values() {
                if !entry.has_ended() {
                    entry.ending.lab_stopped();
                }
            }
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    pub(super) fn stop_mode(&self) -> Option<StopMode> {
        self.stopping.map(|stopping| stopping.mode)
    }

    /// When the farewell is over.
    pub(super) fn farewell(&self) -> Instant {
        let until = self.stopping.and_then(|stopping| stopping.until);
        until.unwrap_or_else(|| Instant::now() + NEVER)
    }

    /// How the dispatcher has stopped, once it has: all runs over, and the server told as far as it
    /// listens.
    pub(super) fn has_stopped(&mut self, is_connected: bool) -> Option<StopMode> {
        let farewell = self.config.tempo.farewell;
        let stopping = self.stopping.as_mut()?;
        if stopping.mode == StopMode::Detach {
            return Some(StopMode::Detach);
        }
        if !self.performing.is_empty() || !self.accepting.is_empty() {
            return None;
        }
        let now = Instant::now();
        let until = *stopping.until.get_or_insert(now + farewell);
        let is_told = self.runs.is_empty() || !is_connected || now >= until;
        is_told.then_some(stopping.mode)
    }

    /// The last steps. Runs that go on are left as a kill would leave them, which they all survive.
    pub(super) async fn leave(&mut self, mode: StopMode, connection: Option<Connection>) {
        drop(connection);
        self.accepting.shutdown().await;
        self.performing.shutdown().await;
        // It would start the next one.
        self.keeping.shutdown().await;
        if mode == StopMode::End {
            keeper::end(&self.common).await;
        }
        tracing::info!(?mode, "the dispatcher has stopped");
    }
}
