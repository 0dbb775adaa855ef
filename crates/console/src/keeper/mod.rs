//! The process that owns the consoles of a host: small, and outliving everybody who uses it.
//!
//! One task owns each console: it opens the source, appends what it reads to the segment files,
//! records every gap, and reopens. Clients meet the keeper at a Unix socket
//! ([`crate::protocol`]); they read the files themselves. At most one keeper runs over a state
//! directory: it holds `keeper.lock`.
//!
//! What is not done here: knowing boards or runs, deciding who may type (the first to claim does),
//! removing old segments.

mod connection;
mod owner;
mod recorder;
mod registry;
mod source;
mod standstill;
mod typing;

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::layout::{self, SocketAddress};
use crate::protocol::KeptConsole;
use crate::segment;
use registry::Registry;

pub use registry::AddError;

/// How long clients' tasks may take to end with the keeper.
const FAREWELL: Duration = Duration::from_secs(3);

/// What a keeper keeps, and where.
#[derive(Clone, Debug)]
pub struct KeeperConfig {
    /// Its directory; made if it is not there.
    pub state_dir: PathBuf,
    /// What it keeps from the start.
    pub consoles: Vec<KeptConsole>,
    /// It ends by itself when no client was connected for this long.
    pub linger: Option<Duration>,
    /// How large a segment may grow: [`segment::DEFAULT_SEGMENT_BYTES`] unless a test knows better.
    pub segment_bytes: u64,
}

impl KeeperConfig {
    /// A keeper that keeps nothing yet and never ends by itself.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            consoles: Vec::new(),
            linger: None,
            segment_bytes: segment::DEFAULT_SEGMENT_BYTES,
        }
    }
}

/// Why a keeper cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another one works in this directory.
    #[error("a console keeper (process {}) already runs in {}", pid_text(*pid), state_dir.display())]
    AlreadyRunning {
        /// Its process id, where it left one.
        pid: Option<u32>,
        /// The directory.
        state_dir: PathBuf,
    },
    /// The host refused.
    #[error("the console keeper cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A console cannot be kept.
    #[error("the console keeper cannot keep a console")]
    Console(#[from] AddError),
}

fn pid_text(pid: Option<u32>) -> String {
    pid.map_or_else(|| "of unknown id".into(), |pid| pid.to_string())
}

/// Why a keeper ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// `stop` was ready.
    Stopped,
    /// A client asked for it.
    Shutdown,
    /// Nobody was connected for as long as it lingers.
    Lingered,
}

/// Keeps consoles until `stop` is ready, a client says so, or it has lingered long enough. Every
/// record is durable when it returns.
pub async fn serve(
    config: KeeperConfig,
    stop: impl Future<Output = ()>,
) -> Result<Ended, ServeError> {
    let state_dir = config.state_dir.as_path();
    let at = |what: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| ServeError::Io { what, path, source }
    };
    fs::create_dir_all(state_dir).map_err(at("make", state_dir))?;
    let lock = lock(state_dir)?;
    let shutdown = CancellationToken::new();
    let registry = Arc::new(Registry::new(
        state_dir.to_owned(),
        config.segment_bytes,
        lock,
        shutdown.clone(),
    ));
    registry.add(&config.consoles)?;
    let socket = layout::socket_path(state_dir);
    let listener = listen(state_dir).map_err(at("listen at", &socket))?;
    tracing::info!(
        socket = %socket.display(),
        consoles = config.consoles.len(),
        "console keeper listens"
    );

    // Ends with this function.
    let mut watching = JoinSet::new();
    watching.spawn(standstill::watch(Arc::clone(&registry)));
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    let mut idle_since = Instant::now();
    let ended = loop {
        let idle = connections.is_empty();
        let lingered = async {
            match config.linger {
                Some(linger) if idle => tokio::time::sleep_until(idle_since + linger).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = &mut stop => break Ended::Stopped,
            () = shutdown.cancelled() => break Ended::Shutdown,
            () = lingered => break Ended::Lingered,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection::serve(stream, Arc::clone(&registry)));
                }
                Err(error) => {
                    // Out of descriptors, most likely; those who leave give theirs back.
                    tracing::error!(error = %error, "the console keeper cannot accept a client");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(result) = connections.join_next(), if !idle => {
                idle_since = Instant::now();
                if let Err(error) = result {
                    tracing::error!(error = %error, "a client's task of the console keeper failed");
                }
            }
        }
    };
    // Nobody new may come while the consoles close.
    drop(listener);
    remove(&socket);
    remove(&layout::pid_path(state_dir));
    // The lock is free before the clients learn of the end: whoever starts the next keeper may do
    // so at once.
    registry.stop().await;
    registry.farewell().cancel();
    let farewell = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
        tracing::warn!("a client of the console keeper did not read its last answers");
    }
    tracing::info!(reason = ?ended, "console keeper ended");
    Ok(ended)
}

/// Takes the lock and leaves the process id.
fn lock(state_dir: &Path) -> Result<File, ServeError> {
    let path = layout::lock_path(state_dir);
    let error = |what, path: &Path, source| ServeError::Io {
        what,
        path: path.to_owned(),
        source,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|source| error("open", &path, source))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(ServeError::AlreadyRunning {
                pid: layout::last_pid(state_dir),
                state_dir: state_dir.to_owned(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(error("lock", &path, source)),
    }
    let pid_path = layout::pid_path(state_dir);
    File::create(&pid_path)
        .and_then(|mut file| writeln!(file, "{}", std::process::id()))
        .map_err(|source| error("write", &pid_path, source))?;
    Ok(file)
}

/// Binds beside the socket's place and moves there, so that whoever connects meets the right
/// permissions, and a socket that a killed keeper left is replaced.
fn listen(state_dir: &Path) -> io::Result<UnixListener> {
    let address = SocketAddress::new(state_dir)?;
    let unfinished = address.unfinished_path();
    match fs::remove_file(&unfinished) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(&unfinished)?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
    fs::rename(&unfinished, address.path())?;
    Ok(listener)
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), error = %error, "cannot remove a file of the console keeper");
    }
}
