//! One user of a relay at a time on a host (decision D20): an advisory lock (flock) on a file,
//! which the kernel takes back from a process that dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

/// How often a held lock is tried. flock cannot be waited for with a bound.
const POLL: Duration = Duration::from_millis(20);

/// The most that is read of a holder's name.
const LONGEST_NAME: u64 = 200;

/// The relay's lock file.
pub(crate) struct HostLock {
    path: PathBuf,
}

/// The lock, held. Dropping it lets the next one in.
pub(crate) struct Held {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub(crate) enum LockError {
    Busy { holder: String, waited: Duration },
    System(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl HostLock {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock, and writes into the file who holds it and for what.
    pub(crate) async fn acquire(&self, purpose: &str, wait: Duration) -> Result<Held, LockError> {
        let mut file = match open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(directory) = self.path.parent() {
                    fs::create_dir_all(directory)?;
                }
                open(&self.path)?
            }
            opened => opened?,
        };
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(error.into()),
                Err(TryLockError::WouldBlock) if start.elapsed() >= wait => {
                    return Err(LockError::Busy {
                        holder: holder(&mut file)?,
                        waited: wait,
                    });
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(POLL).await,
            }
        }
        file.set_len(0)?;
        file.rewind()?;
        // In one piece: formatting into a file writes each word by itself.
        let words = format!("process {} ({purpose})", std::process::id());
        file.write_all(words.as_bytes())?;
        Ok(Held { _file: file })
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn holder(file: &mut File) -> io::Result<String> {
    let mut name = Vec::new();
    file.rewind()?;
    file.take(LONGEST_NAME).read_to_end(&mut name)?;
    let name: String = String::from_utf8_lossy(&name)
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    Ok(match name.trim() {
        "" => "another process".to_owned(),
        name => name.to_owned(),
    })
}
