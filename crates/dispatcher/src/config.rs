//! What a dispatcher needs, and why it may not start.

use std::path::PathBuf;
use std::time::Duration;

use basalt_console::session::Restart;
use basalt_link::Dialer;
use basalt_model::DispatcherName;

use crate::instance::InstanceError;
use crate::news::Listener;

/// What a dispatcher needs.
pub struct DispatcherConfig {
    /// The state directory of the lab on this host.
    pub state: PathBuf,
    /// Its name: the one that its token was made for.
    pub name: DispatcherName,
    /// Its version, for people.
    pub build: String,
    /// The way to its server.
    pub server: Dialer,
    /// Starts the console keeper of the state directory, where none answers.
    pub keeper: Restart,
    /// What is kept of runs that the server has.
    pub retention: Retention,
    /// How fast things go.
    pub tempo: Tempo,
    /// Hears what happens to the link.
    pub listener: Listener,
}

impl std::fmt::Debug for DispatcherConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DispatcherConfig")
            .field("state", &self.state)
            .field("name", &self.name)
            .field("server", self.server.endpoint())
            .finish_non_exhaustive()
    }
}

/// What is kept of runs that the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// A run's directory is removed so long after the server said that it needs nothing of it.
    pub age: Duration,
    /// Together they may take so many bytes; the oldest are removed first.
    pub bytes: u64,
    /// So much room on the disk is kept for a time when there is none.
    pub reserve: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(7 * 24 * 3600),
            bytes: 10 << 30,
            reserve: 32 << 20,
        }
    }
}

/// How fast things go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tempo {
    /// What a run says is gathered for so long, unless it is urgent.
    pub gather: Duration,
    /// A line that the board has begun and not ended is sent after so long without more.
    pub idle: Duration,
    /// Pause before the second try to reach the server; it doubles each time.
    pub redial: Duration,
    /// Up to this. A local server, whose socket costs nothing to try, is never waited for longer
    /// than [`Tempo::redial_local`].
    pub redial_most: Duration,
    /// Up to this, where a person has to do something first.
    pub redial_refused: Duration,
    /// The longest pause before another try of a server on this host.
    pub redial_local: Duration,
    /// A connection over which nothing comes for so long is given up.
    pub silence: Duration,
    /// A dispatcher that ends waits for so long until the server has everything.
    pub farewell: Duration,
}

impl Default for Tempo {
    fn default() -> Self {
        Self {
            gather: Duration::from_millis(60),
            idle: Duration::from_millis(200),
            redial: Duration::from_millis(250),
            redial_most: Duration::from_secs(15),
            redial_refused: Duration::from_secs(60),
            redial_local: Duration::from_millis(250),
            silence: Duration::from_secs(20),
            farewell: Duration::from_secs(10),
        }
    }
}

/// Why a dispatcher does not start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DispatcherError {
    /// Another one is at the same state directory.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The state directory cannot be used.
    #[error("cannot {doing} {path}")]
    State {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The server does not let it in, and never did: a person has to do something.
    #[error(
        "the server does not let dispatcher {name} in: {reason}; make its token anew with \
         `basalt dispatchers add {name} > FILE`, and see that the lab names it"
    )]
    Refused {
        /// The dispatcher.
        name: DispatcherName,
        /// What the server said.
        reason: String,
    },
    /// The lab's state on this host cannot be used.
    #[error("the lab's state on this host cannot be used")]
    Host(#[from] basalt_runner::host::HostError),
}
