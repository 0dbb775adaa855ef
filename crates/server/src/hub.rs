//! Wakes those who follow: a run's log, or the feed of everything.
//!
//! What comes through here is a hint that there is something new, and how far it goes. What it is,
//! is read from the store; a follower that was not woken looks there every second anyway
//! ([`POLL`]), so that several servers over one store need no other channel.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use basalt_model::RunId;
use tokio::sync::watch;

/// How long a follower waits before it looks for itself.
pub const POLL: Duration = Duration::from_secs(1);

/// With so many runs, those that nobody follows any more are looked for.
const PRUNE_ABOVE: usize = 256;

/// How far a run has come, as far as this server has committed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunProgress {
    /// The last event's sequence number; 0 before the first.
    pub last_seq: u64,
    /// The last log line's number; 0 before the first.
    pub last_line: u64,
    /// Nothing follows.
    pub ended: bool,
}

/// Wakes followers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hub {
    runs: Arc<Mutex<HashMap<RunId, watch::Sender<RunProgress>>>>,
    feed: Arc<watch::Sender<i64>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            runs: Arc::default(),
            feed: Arc::new(watch::Sender::new(0)),
        }
    }
}

impl Hub {
    /// Follows a run. The first value is what this server knows, which may be nothing: read the
    /// store first, then wait for a change or for [`POLL`].
    pub fn follow_run(&self, run: RunId) -> watch::Receiver<RunProgress> {
        let mut runs = self.lock();
        if runs.len() >= PRUNE_ABOVE {
            // Runs that ended before they were followed say nothing that would remove them.
            runs.retain(|_, sender| sender.receiver_count() > 0);
        }
        runs.entry(run).or_default().subscribe()
    }

    /// Follows the feed: the highest id that was committed by this server.
    pub fn follow_feed(&self) -> watch::Receiver<i64> {
        self.feed.subscribe()
    }

    /// Says how far a run has come; never backwards. Runs that nobody follows cost nothing.
    pub(crate) fn run(&self, run: RunId, progress: RunProgress) {
        let mut runs = self.lock();
        let Some(sender) = runs.get(&run) else {
            return;
        };
        if sender.receiver_count() == 0 {
            runs.remove(&run);
            return;
        }
        sender.send_if_modified(|known| {
            let next = RunProgress {
                last_seq: known.last_seq.max(progress.last_seq),
                last_line: known.last_line.max(progress.last_line),
                ended: known.ended || progress.ended,
            };
            let changed = next != *known;
            *known = next;
            changed
        });
        if progress.ended {
            // Who follows it now has his receiver; who comes later reads of its end in the store.
            runs.remove(&run);
        }
    }

    /// Says that the feed goes up to `id`.
    pub(crate) fn feed(&self, id: i64) {
        self.feed.send_if_modified(|known| {
            let changed = id > *known;
            *known = id.max(*known);
            changed
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, watch::Sender<RunProgress>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_follower_is_woken_and_a_run_that_nobody_follows_is_forgotten() {
        let hub = Hub::default();
        let run = RunId::from_uuid(uuid::Uuid::now_v7());
        let progress = |last_line| RunProgress {
            last_line,
            ..RunProgress::default()
        };
        let mut follower = hub.follow_run(run);
        hub.run(run, progress(7));
        follower.changed().await.unwrap();
        assert_eq!(follower.borrow_and_update().last_line, 7);
        hub.run(run, progress(3));
        assert!(!follower.has_changed().unwrap(), "it never goes backwards");
        drop(follower);
        hub.run(run, progress(8));
        assert!(hub.lock().is_empty());
    }

    #[tokio::test]
    async fn a_follower_hears_of_the_end() {
        let hub = Hub::default();
        let run = RunId::from_uuid(uuid::Uuid::now_v7());
        let mut follower = hub.follow_run(run);
        hub.run(
            run,
            RunProgress {
                ended: true,
                ..RunProgress::default()
            },
        );
        follower.changed().await.unwrap();
        assert!(follower.borrow().ended);
    }
}
