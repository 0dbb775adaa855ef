//! Unpacked archives in the cache: a directory by the archive's digest, whole or not there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use basalt_model::Sha256;
use tracing::info;

use crate::cache::Cache;
use crate::decode::Compression;
use crate::request::Fetched;
use crate::unpack::{UnpackError, UnpackLimits, unpack_blocking, write_error};

/// How long another process that unpacks the same archive is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// How often its lock is tried.
const POLL: Duration = Duration::from_millis(100);

impl Cache {
    /// The directory with what a tar archive holds, `prefix` within it if given. Unpacked once;
    /// shared by all who ask, so nobody may write into it. An archive that is still compressed is
    /// recognised by its first bytes.
    ///
    /// An unpack that was interrupted is done again; a tree has its name only when it is whole and
    /// on the disk.
    pub async fn unpacked_tar(
        &self,
        archive: &Fetched,
        prefix: Option<&str>,
    ) -> Result<PathBuf, UnpackError> {
        let trees = self.trees();
        let (source, sha256) = (archive.path.clone(), archive.sha256);
        let work = {
            let trees = trees.clone();
            move || unpack_once(&trees, &source, sha256)
        };
        let tree = tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| write_error(&trees, io::Error::other(error)))??;
        match prefix {
            None => Ok(tree),
            Some(prefix) => below(&tree, prefix),
        }
    }
}

fn unpack_once(trees: &Path, archive: &Path, sha256: Sha256) -> Result<PathBuf, UnpackError> {
    let tree = trees.join(sha256.to_string());
    if tree.is_dir() {
        return Ok(tree);
    }
    let _lock = lock(&trees.join(format!("{sha256}.lock")), &tree)?;
    if tree.is_dir() {
        return Ok(tree);
    }
    let partial = trees.join(format!("{sha256}.partial"));
    remove_tree(&partial).map_err(|source| write_error(&partial, source))?;
    let head = head(archive).map_err(|source| write_error(archive, source))?;
    let compression = Compression::sniff(&head);
    let unpacked = unpack_blocking(archive, compression, &partial, UnpackLimits::default());
    let report = match unpacked {
        Ok(report) => report,
        Err(error) => {
            remove_tree(&partial).map_err(|source| write_error(&partial, source))?;
            return Err(error);
        }
    };
    info!(
        archive.sha256 = %sha256,
        entries = report.entries,
        bytes = report.bytes,
        skipped_devices = report.skipped_devices,
        skipped_others = report.skipped_others,
        owners_not_kept = report.owners_not_kept,
        "archive unpacked"
    );
    sync_tree(&partial)
        .and_then(|()| fs::rename(&partial, &tree))
        .map_err(|source| write_error(&tree, source))?;
    Ok(tree)
}

/// The lock of one tree. The kernel takes it back from a process that dies.
fn lock(path: &Path, tree: &Path) -> Result<File, UnpackError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|source| write_error(path, source))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(write_error(path, source)),
            Err(TryLockError::WouldBlock) if start.elapsed() > LONGEST_WAIT => {
                return Err(UnpackError::Busy {
                    path: tree.to_owned(),
                });
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(POLL),
        }
    }
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(8).read_to_end(&mut head)?;
    Ok(head)
}

fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Puts everything below this directory, and whatever else its file system holds, on the disk: one
/// call instead of one a file.
fn sync_tree(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

/// A directory below the tree. No link on the way is followed: on this host it would mean another
/// place than on the board.
fn below(tree: &Path, prefix: &str) -> Result<PathBuf, UnpackError> {
    let missing = || UnpackError::Prefix {
        prefix: prefix.to_owned(),
    };
    let mut path = tree.to_owned();
    for component in Path::new(prefix).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir => continue,
            Component::ParentDir | Component::Prefix(_) => return Err(missing()),
        }
        let metadata = fs::symlink_metadata(&path).map_err(|_| missing())?;
        if !metadata.is_dir() {
            return Err(missing());
        }
    }
    Ok(path)
}
