//! Runs that the server needs nothing of any more: kept for a while, then removed.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::config::Retention;

/// Where runs go that the server has, and those that nothing can be made of, below that of the runs.
pub const DONE: &str = "done";
const BROKEN: &str = "broken";

/// The server needs nothing of a run any more; its age counts from now. Moved, not marked: making a
/// file costs more than a name.
pub fn forget(run: &Path) -> std::io::Result<PathBuf> {
    shift(run, DONE)
}

/// Moves a run aside that cannot be used: the server will not hear of it again, a person may.
pub fn move_aside(run: &Path) -> std::io::Result<PathBuf> {
    shift(run, BROKEN)
}

fn shift(run: &Path, place: &str) -> std::io::Result<PathBuf> {
    let name = run.file_name().unwrap_or_default();
    let place = run.with_file_name(place);
    let moved = place.join(name);
    match std::fs::rename(run, &moved) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(&place)?;
            std::fs::rename(run, &moved)?;
        }
        renamed => renamed?,
    }
    Ok(moved)
}

/// A run that may be removed.
#[derive(Debug)]
struct Candidate {
    path: PathBuf,
    forgotten: SystemTime,
    bytes: u64,
}

/// Removes what is too old, then the oldest of what is too much. Blocks.
pub fn sweep(runs: &Path, retention: Retention, now: SystemTime) -> std::io::Result<u64> {
    let mut candidates = Vec::new();
    for place in [DONE, BROKEN] {
        let entries = match std::fs::read_dir(runs.join(place)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            candidates.push(Candidate {
                forgotten: moved_at(&path)?,
                bytes: size(&path)?,
                path,
            });
        }
    }
    candidates.sort_by_key(|candidate| candidate.forgotten);
    let mut total: u64 = candidates.iter().map(|candidate| candidate.bytes).sum();
    let mut removed = 0;
    for candidate in candidates {
        let age = now
            .duration_since(candidate.forgotten)
            .unwrap_or(Duration::ZERO);
        if age < retention.age && total <= retention.bytes {
            break;
        }
        std::fs::remove_dir_all(&candidate.path)?;
        total -= candidate.bytes;
        removed += 1;
    }
    Ok(removed)
}

/// When a directory was moved to where it is: its status changed then, and not since.
fn moved_at(path: &Path) -> std::io::Result<SystemTime> {
    let metadata = path.metadata()?;
    let seconds = Duration::from_secs(metadata.ctime().try_into().unwrap_or(0));
    let nanoseconds = Duration::from_nanos(metadata.ctime_nsec().try_into().unwrap_or(0));
    Ok(SystemTime::UNIX_EPOCH + seconds + nanoseconds)
}

fn size(path: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        // Links are not followed.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            bytes += size(&entry.path())?;
        } else if kind.is_file() {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runs_that_the_server_forgot_are_removed_the_oldest_first() {
        let runs = tempfile::tempdir().unwrap();
        let make = |name: &str, bytes: usize| {
            let path = runs.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("console.bin"), vec![0; bytes]).unwrap();
            path
        };
        let (needed, old, new) = (make("needed", 10), make("old", 100), make("new", 100));
        let old = forget(&old).unwrap();
        let new = forget(&new).unwrap();
        let (old_at, new_at) = (moved_at(&old).unwrap(), moved_at(&new).unwrap());
        assert!(old_at <= new_at);
        let keep = |age, bytes| Retention {
            age: Duration::from_secs(age),
            bytes,
            reserve: 0,
        };
        let now = new_at + Duration::from_secs(20);
        assert_eq!(sweep(runs.path(), keep(60, 1000), now).unwrap(), 0);
        assert_eq!(sweep(runs.path(), keep(60, 150), now).unwrap(), 1);
        let left = usize::from(old.exists()) + usize::from(new.exists());
        assert_eq!(left, 1);
        assert_eq!(sweep(runs.path(), keep(20, 1000), now).unwrap(), 1);
        assert!(needed.exists() && !old.exists() && !new.exists());
    }
}
