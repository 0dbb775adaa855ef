//! What all tasks of a dispatcher have in common.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use basalt_artifacts::Cache;
use basalt_clock::Clock;
use basalt_console::session::Restart;
use basalt_model::{BoardName, PowerState};
use basalt_runner::Shared;
use basalt_runner::host::HostState;
use tokio::sync::Semaphore;

use crate::config::Tempo;
use crate::reserve::Reserve;

/// So many runs are made on disk at the same time.
const ACCEPT_AT_ONCE: usize = 4;

/// What tasks tell the actor beside their end.
#[derive(Debug)]
pub enum Notice {
    /// A relay was asked, or a run has heard of it.
    Power {
        /// The board.
        board: BoardName,
        /// What it said.
        power: PowerState,
    },
    /// A console opened or closed.
    Console {
        /// The board.
        board: BoardName,
        /// It is open.
        open: bool,
        /// Why it is not.
        reason: String,
    },
}

/// Shared by all tasks.
pub struct Common {
    /// The state directory.
    pub state: PathBuf,
    /// Locks and epochs.
    pub host: HostState,
    /// Boot servers and relays.
    pub shared: Shared,
    /// The host's clocks.
    pub clock: Clock,
    /// Starts the console keeper.
    pub keeper: Restart,
    /// How fast things go.
    pub tempo: Tempo,
    /// Who may make a run on disk now: a hundred at once would wait for one disk, each with a thread.
    pub accepting: Semaphore,
    /// Room on the disk for bad times.
    pub reserve: Arc<Reserve>,
    cache: RwLock<Cache>,
}

impl Common {
    /// Opens what lies in the state directory. Must be called within a tokio runtime.
    pub fn new(
        state: &Path,
        host: HostState,
        cache: Cache,
        keeper: Restart,
        tempo: Tempo,
        reserve: Reserve,
    ) -> Self {
        Self {
            state: state.to_owned(),
            host,
            shared: Shared::start(),
            clock: Clock::system(),
            keeper,
            tempo,
            accepting: Semaphore::new(ACCEPT_AT_ONCE),
            reserve: Arc::new(reserve),
            cache: RwLock::new(cache),
        }
    }

    /// The downloads, with what the lab of this moment forbids.
    pub fn cache(&self) -> Cache {
        self.cache
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Other hosts are forbidden from now on.
    pub fn forbid(&self, hosts: Vec<String>) {
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        *cache = cache.clone().with_forbidden_hosts(hosts);
    }

    /// Where the runs are.
    pub fn runs(&self) -> PathBuf {
        self.state.join("runs")
    }

    /// Where owners of relays keep each other out.
    pub fn relay_locks(&self) -> PathBuf {
        self.state.join("boards")
    }
}
