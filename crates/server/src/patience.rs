//! How long to wait for a store that is away.

use std::time::Duration;

use tokio::time::{self, Instant};

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(2);

/// Pauses between attempts, each twice the one before, up to two seconds.
#[derive(Debug)]
pub(crate) struct Patience {
    pause: Duration,
    until: Option<Instant>,
}

impl Patience {
    /// For so long in all.
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            pause: FIRST,
            until: Some(Instant::now() + limit),
        }
    }

    /// As long as it takes.
    pub(crate) fn endless() -> Self {
        Self {
            pause: FIRST,
            until: None,
        }
    }

    /// Waits before the next attempt; `false` at once if there is to be none.
    pub(crate) async fn wait(&mut self) -> bool {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return false;
        }
        time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST);
        true
    }
}
