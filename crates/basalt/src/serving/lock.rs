//! One server at a state directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;

/// The file in the server's directory: locked while a server runs, its process in it. Taken before
/// anything is listened on or opened.
const FILE: &str = "serve.lock";

/// Another server serves here.
#[derive(Debug, thiserror::Error)]
#[error("another server (pid {pid}) serves this lab from {directory}")]
pub struct Taken {
    /// Its process, or what is in its place.
    pid: String,
    /// The server's directory.
    directory: String,
}

/// The place of the one server; given back when this is dropped, or the process ends.
#[derive(Debug)]
pub struct Lock {
    // Held for its lock.
    _file: File,
}

impl Lock {
    /// Takes the place in the server's directory, which is made where needed.
    ///
    /// # Errors
    /// [`Taken`], or what the operating system says.
    pub fn take(directory: &Path) -> anyhow::Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let path = directory.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let pid = match pid.trim() {
                    "" => "unknown".to_owned(),
                    pid => pid.to_owned(),
                };
                let directory = directory.display().to_string();
                return Err(Taken { pid, directory }.into());
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        // Also proves that the state can be written before anything is started.
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()))
            .and_then(|()| file.sync_data())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_told_who_is_there() {
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().join("server");
        let lock = Lock::take(&directory).unwrap();
        let error = Lock::take(&directory).unwrap_err();
        assert!(error.is::<Taken>());
        let pid = format!("(pid {})", std::process::id());
        assert!(error.to_string().contains(&pid), "{error}");
        drop(lock);
        Lock::take(&directory).unwrap();
    }
}
