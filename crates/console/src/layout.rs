//! Where a keeper's files lie below its state directory.
//!
//! ```text
//! STATE/keeper.lock            held while a keeper runs
//! STATE/keeper.pid             its process id
//! STATE/keeper.sock            its socket
//! STATE/consoles/NAME/*.seg    what a console said
//! ```

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// The directory of one console's segments.
pub fn console_dir(state_dir: &Path, console: &str) -> PathBuf {
    state_dir.join("consoles").join(console)
}

/// The file that is locked while a keeper runs.
pub fn lock_path(state_dir: &Path) -> PathBuf {
    state_dir.join("keeper.lock")
}

/// The file with the running keeper's process id.
pub fn pid_path(state_dir: &Path) -> PathBuf {
    state_dir.join("keeper.pid")
}

/// The keeper's socket.
pub fn socket_path(state_dir: &Path) -> PathBuf {
    state_dir.join(SOCKET)
}

const SOCKET: &str = "keeper.sock";

/// The name cannot be a directory's.
#[derive(Debug, thiserror::Error)]
#[error(
    "console name {0:?} must be 1 to 100 letters, digits, `.`, `_` or `-`, and not start with `.`"
)]
pub struct ConsoleNameError(pub String);

/// Checks that a console's name can stand in a path: it comes over a socket too.
pub fn check_name(name: &str) -> Result<(), ConsoleNameError> {
    let fits = (1..=100).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fits {
        Ok(())
    } else {
        Err(ConsoleNameError(name.to_owned()))
    }
}

/// The process id of the keeper that wrote its file last, whether it still runs or not.
pub fn last_pid(state_dir: &Path) -> Option<u32> {
    std::fs::read_to_string(pid_path(state_dir))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// A path that fits into a socket's address.
///
/// `sun_path` holds 107 bytes and a terminating zero (`unix(7)`). A state directory may lie deeper
/// than that, so the directory is opened and named through `/proc/self/fd`.
pub(crate) struct SocketAddress {
    /// Keeps the descriptor in the path valid.
    _directory: Option<File>,
    /// The directory as a short path.
    directory: PathBuf,
}

impl SocketAddress {
    /// Opens the directory where that is needed.
    pub(crate) fn new(state_dir: &Path) -> io::Result<Self> {
        // Room for the temporary name that the keeper binds first.
        if state_dir.as_os_str().len() + SOCKET.len() + 16 <= 107 {
            return Ok(Self {
                _directory: None,
                directory: state_dir.to_owned(),
            });
        }
        let directory = File::open(state_dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        Ok(Self {
            _directory: Some(directory),
            directory: path,
        })
    }

    /// The socket's path.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(SOCKET)
    }

    /// Where it is bound before it has its permissions.
    pub(crate) fn unfinished_path(&self) -> PathBuf {
        self.directory.join("keeper.sock.new")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leaves_its_directory_is_refused() {
        for name in ["", ".", "..", "a/b", ".hidden", "a\0", "ä"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name("qemu-arm64.0_a").is_ok());
    }
}
