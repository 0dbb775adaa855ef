//! What a run is given, and what it comes to.

use std::sync::Arc;

use basalt_artifacts::Cache;
use basalt_console::BoardConsole;
use basalt_journal::JournalError;
use basalt_model::{Epoch, Failure, Outcome, PowerState};

use crate::ending::Ending;
use crate::host::{BoardLock, HostError, HostState};
use crate::shared::Shared;
use crate::watcher::Watcher;

/// What a run needs of its host.
pub struct Resources {
    /// Locks and state of the lab on this host.
    pub host: HostState,
    /// The board, taken.
    pub lock: BoardLock,
    /// The lease's epoch, where a server grants it; else the run takes the next one of this host.
    pub epoch: Option<Epoch>,
    /// Downloads.
    pub cache: Cache,
    /// What this run has in common with others of its process.
    pub shared: Shared,
    /// Attaches the board's console, starting the keeper where there is none.
    pub attach: Attach,
    /// Who watches.
    pub watcher: Watcher,
    /// Which files are left behind for people.
    pub leaves: Leaves,
    /// Ends the run from outside.
    pub ending: Ending,
}

/// What a finished run leaves in its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Everything, durable: the directory is all that there is.
    Everything,
    /// What a server is sent. It has the console's bytes from the log; what is lost before it was
    /// sent is made again from the journal.
    WhatIsSent,
}

/// Attaches a console at an offset (`None`: at its end) as the writer of this name.
pub type Attach = Arc<
    dyn Fn(
            Option<u64>,
            String,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<BoardConsole, String>> + Send>>
        + Send
        + Sync,
>;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Summary {
    /// In our words.
    pub outcome: Outcome,
    /// Why it is incomplete.
    pub failure: Option<Failure>,
    /// What the relay said at the end.
    pub power: PowerState,
}

/// Why a run could not even be begun or gone on with.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal.
    #[error("the run's journal cannot be used")]
    Journal(#[from] JournalError),
    /// The lab's state on this host.
    #[error("the lab's state cannot be used")]
    Host(#[from] HostError),
    /// The results.
    #[error("the results cannot be written")]
    Results(#[source] std::io::Error),
    /// The run was planned otherwise.
    #[error("the run's plan is not the one that its journal was begun with")]
    AnotherPlan,
}
