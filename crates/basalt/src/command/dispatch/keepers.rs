//! The console keepers that a dispatcher started: usually one, for all of its life.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use basalt_console::session::Restart;
use tokio::process::Child;
use tokio::time::{self, Instant};

use crate::keeping::{self, Keeping};

/// How long a keeper may take to end.
const END_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks for one that does not answer yet.
const LOOK: Duration = Duration::from_millis(20);

/// Starts keepers, and sees those that it started to their end where that is asked for.
#[derive(Debug)]
pub struct Keepers {
    keeping: Keeping,
    started: Arc<Mutex<Vec<Child>>>,
}

impl Keepers {
    /// None was started yet.
    pub fn new(keeping: Keeping) -> Self {
        Self {
            keeping,
            started: Arc::default(),
        }
    }

    /// As the hook of whoever needs a keeper.
    pub fn restart(&self) -> Restart {
        let (keeping, started) = (self.keeping.clone(), self.started.clone());
        Arc::new(move || {
            let launched = keeping.launch().map(|child| {
                let mut started = started.lock().unwrap_or_else(PoisonError::into_inner);
                // Those that have ended need nobody any more.
                started.retain_mut(|before| matches!(before.try_wait(), Ok(None)));
                started.push(child);
            });
            Box::pin(std::future::ready(launched))
        })
    }

    /// Returns once no keeper is left that was started here. One that the dispatcher asked for in
    /// its last moment does not answer yet when the dispatcher ends the others.
    pub async fn end(self) {
        let until = Instant::now() + END_LIMIT;
        let started =
            std::mem::take(&mut *self.started.lock().unwrap_or_else(PoisonError::into_inner));
        for mut child in started {
            while time::timeout(LOOK, child.wait()).await.is_err() {
                if Instant::now() >= until {
                    // It may have ended in this moment.
                    let _ = child.kill().await;
                    break;
                }
                if let Some(keeper) = keeping::meet(&self.keeping.state, "basalt dispatch").await {
                    // Its process tells whether it does.
                    let _ = keeper.shutdown().await;
                }
            }
        }
    }
}
