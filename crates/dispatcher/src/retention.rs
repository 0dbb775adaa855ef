//! Runs that the server needs nothing of any more: kept for a while, then removed.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::config::Retention;
use crate::lease::FORGOTTEN_FILE;

/// The server needs nothing of a run any more; its age counts from now.
pub fn forget(run: &Path) -> std::io::Result<()> {
    std::fs::write(run.join(FORGOTTEN_FILE), b"")
}

/// Moves a run aside that cannot be used: the server will not hear of it again, a person may.
pub fn move_aside(run: &Path) -> std::io::Result<PathBuf> {
    let name = run.file_name().unwrap_or_default().to_string_lossy();
    let aside = run.with_file_name(format!(".broken-{name}"));
    std::fs::rename(run, &aside)?;
    forget(&aside)?;
    Ok(aside)
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
    for entry in std::fs::read_dir(runs)? {
        let path = entry?.path();
        let Ok(mark) = path.join(FORGOTTEN_FILE).metadata() else {
            continue;
        };
        candidates.push(Candidate {
            forgotten: mark.modified()?,
            bytes: size(&path)?,
            path,
        });
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
        let now = SystemTime::now();
        let forget_at = |path: &Path, ago: u64| {
            forget(path).unwrap();
            let at = now - Duration::from_secs(ago);
            let mark = std::fs::File::options()
                .write(true)
                .open(path.join(FORGOTTEN_FILE))
                .unwrap();
            mark.set_modified(at).unwrap();
        };
        forget_at(&old, 50);
        forget_at(&new, 20);
        let keep = |age, bytes| Retention {
            age: Duration::from_secs(age),
            bytes,
        };
        assert_eq!(sweep(runs.path(), keep(60, 1000), now).unwrap(), 0);
        assert_eq!(sweep(runs.path(), keep(60, 150), now).unwrap(), 1);
        assert!(!old.exists() && new.exists());
        assert_eq!(sweep(runs.path(), keep(20, 1000), now).unwrap(), 1);
        assert!(needed.exists() && !new.exists());
    }
}
