//! Which dispatcher runs at a state directory: one, and it says who it is.
//!
//! `STATE/dispatcher/dispatcher.lock` is held (flock) while a dispatcher runs, and holds its name,
//! its process and its server. A server that starts again finds its dispatcher by it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use basalt_model::{DispatcherName, UtcMicros};
use serde::{Deserialize, Serialize};

/// Where a dispatcher keeps its own files, below the state directory.
pub const DIRECTORY: &str = "dispatcher";
const LOCK: &str = "dispatcher.lock";
const VERSION: u32 = 1;

/// A dispatcher that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// 1.
    pub version: u32,
    /// Its name.
    pub name: DispatcherName,
    /// Its process.
    pub pid: u32,
    /// The server that it works for, as it was told.
    pub server: String,
    /// Since when.
    pub since: UtcMicros,
}

/// The state directory is another dispatcher's, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Another one is there.
    #[error(
        "dispatcher {} (pid {}) runs here already, for {}",
        instance.name,
        instance.pid,
        instance.server
    )]
    Running {
        /// Which.
        instance: Box<Instance>,
    },
    /// The operating system refused.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// The place of the one dispatcher; given back when this is dropped, or the process ends.
#[derive(Debug)]
pub struct Place {
    directory: PathBuf,
    // Held for its lock.
    _lock: File,
}

impl Place {
    /// Takes the place, or says who has it.
    pub fn take(
        state: &Path,
        name: &DispatcherName,
        server: &str,
        now: UtcMicros,
    ) -> Result<Self, InstanceError> {
        let directory = state.join(DIRECTORY);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(io("make", &directory))?;
        let path = directory.join(LOCK);
        let mut file = open(&path).map_err(io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let instance = Box::new(read(&mut file));
                return Err(InstanceError::Running { instance });
            }
            Err(TryLockError::Error(source)) => return Err(io("lock", &path)(source)),
        }
        let instance = Instance {
            version: VERSION,
            name: name.clone(),
            pid: std::process::id(),
            server: server.to_owned(),
            since: now,
        };
        let text = serde_json::to_vec(&instance).expect("an instance is plain data");
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(&text))
            .map_err(io("write", &path))?;
        Ok(Self {
            directory,
            _lock: file,
        })
    }

    /// A file of the dispatcher's own.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// The dispatcher that runs at a state directory now, if there is one.
pub fn running(state: &Path) -> Option<Instance> {
    let mut file = open(&state.join(DIRECTORY).join(LOCK)).ok()?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Some(read(&mut file)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    if !path.parent().is_some_and(Path::is_dir) {
        return Err(std::io::ErrorKind::NotFound.into());
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn read(file: &mut File) -> Instance {
    let mut text = String::new();
    file.read_to_string(&mut text)
        .ok()
        .and_then(|_| serde_json::from_str(&text).ok())
        // It took the lock a moment ago and has not written yet.
        .unwrap_or(Instance {
            version: VERSION,
            name: DispatcherName::new("that has just started"),
            pid: 0,
            server: "a server that it has not named yet".into(),
            since: UtcMicros(0),
        })
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> InstanceError {
    let path = path.to_owned();
    move |source| InstanceError::Io {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_dispatcher_is_told_who_is_there() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(running(state.path()), None);
        let name = DispatcherName::new("rack-1");
        let take = || Place::take(state.path(), &name, "unix:/s", UtcMicros(1));
        let place = take().unwrap();
        let instance = running(state.path()).unwrap();
        assert_eq!((&instance.name, instance.pid), (&name, std::process::id()));
        let error = take().unwrap_err().to_string();
        assert!(
            error.contains("rack-1") && error.contains("unix:/s"),
            "{error}"
        );
        drop(place);
        assert_eq!(running(state.path()), None);
        take().unwrap();
    }
}
