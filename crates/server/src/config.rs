//! What a server is told at its start.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use basalt_lab::LabFile;
use tokio::net::{TcpListener, UnixListener};

/// What a server is told at its start. Listeners are bound already, so that their owner knows the
/// addresses and says what is wrong with them.
#[derive(Debug)]
pub struct ServerConfig {
    /// The server's own directory, `STATE/server`: made where needed, mode 0700.
    pub state: PathBuf,
    /// `sqlite:///path` or `postgres://…`; without it SQLite in `basalt.db` below `state`.
    pub database: Option<String>,
    /// Where it listens over TCP.
    pub tcp: Vec<TcpEntrance>,
    /// Where local clients and the embedded dispatcher come in.
    pub unix: Option<UnixListener>,
    /// The lab's files, to be put into force at start if they are not already.
    pub lab: Vec<LabFile>,
    /// Heartbeats and their limits.
    pub limits: Limits,
    /// The address that people use, without a slash at its end: `http://127.0.0.1:7270`.
    pub public_url: String,
    /// Where log objects and files of runs are kept: a directory; without it `objects` below
    /// `state`.
    pub objects: Option<PathBuf>,
    /// The lab's default dispatcher is started beside this server: it gets a token in `state`, and
    /// ends with the server where that is told to end.
    pub embedded: bool,
    /// SHA-256 of the server's certificate as hexadecimal digits, where that is signed by itself:
    /// goes into dispatchers' token files.
    pub certificate_sha256: Option<String>,
    /// Hosts that webhooks may be sent to although they are loopback, link-local or private.
    pub webhook_hosts: Vec<String>,
    /// How long things are kept.
    pub keep: Keep,
}

/// How long things are kept; what is not among these, and what has no time, is kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Deliveries of webhooks that were taken or given up.
    pub deliveries: Option<Duration>,
    /// The audit.
    pub audit: Option<Duration>,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            deliveries: Some(Duration::from_secs(30 * 24 * 3600)),
            audit: None,
        }
    }
}

/// A listener, with or without TLS.
#[derive(Debug)]
pub struct TcpEntrance {
    /// Bound.
    pub listener: TcpListener,
    /// How its TLS is spoken; plain without it.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// How a silent dispatcher is told from a slow one (decision D2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How often a dispatcher says that it lives.
    pub heartbeat: Duration,
    /// Without an acknowledgement for so long, a dispatcher ends its runs and switches off.
    pub offline_limit: Duration,
    /// How much longer the server waits before it gives a board to somebody else.
    pub margin: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(2),
            offline_limit: Duration::from_secs(120),
            margin: Duration::from_secs(30),
        }
    }
}

/// With these limits two could hold one board.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsafeLimits {
    /// One late heartbeat would end runs.
    #[error(
        "offline_limit ({offline_limit:?}) is shorter than three heartbeats ({heartbeat:?} each)"
    )]
    OfflineLimit {
        /// As given.
        offline_limit: Duration,
        /// As given.
        heartbeat: Duration,
    },
    /// Clocks differ in speed, and a board takes time to switch off.
    #[error("margin ({margin:?}) is shorter than a tenth of offline_limit ({offline_limit:?})")]
    Margin {
        /// As given.
        margin: Duration,
        /// As given.
        offline_limit: Duration,
    },
    /// A dispatcher would have to send without pause.
    #[error("heartbeat is zero")]
    Heartbeat,
}

impl Limits {
    /// Refuses limits with which two could hold one board.
    ///
    /// # Errors
    /// Which limit is too short, and against what.
    pub fn check(&self) -> Result<(), UnsafeLimits> {
        let Self {
            heartbeat,
            offline_limit,
            margin,
        } = *self;
        if heartbeat.is_zero() {
            return Err(UnsafeLimits::Heartbeat);
        }
        if offline_limit < heartbeat.saturating_mul(3) {
            return Err(UnsafeLimits::OfflineLimit {
                offline_limit,
                heartbeat,
            });
        }
        if margin < offline_limit / 10 {
            return Err(UnsafeLimits::Margin {
                margin,
                offline_limit,
            });
        }
        Ok(())
    }
}

/// How a server stops (decision D23).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// No new jobs; runs end, go back to the queue, boards are switched off.
    End,
    /// No new runs; those that go on end by themselves first.
    Drain,
    /// Runs go on without this server, for another one to find.
    Detach,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_with_which_two_could_hold_a_board_are_refused() {
        let limits = Limits::default();
        assert_eq!(limits.check(), Ok(()));
        let short = Limits {
            offline_limit: Duration::from_secs(5),
            ..limits
        };
        assert!(matches!(
            short.check(),
            Err(UnsafeLimits::OfflineLimit { .. })
        ));
        let narrow = Limits {
            margin: Duration::from_secs(11),
            ..limits
        };
        assert_eq!(
            narrow.check().unwrap_err().to_string(),
            "margin (11s) is shorter than a tenth of offline_limit (120s)"
        );
    }
}
