//! Unpacking archives that nobody vouches for.
//!
//! Every path is resolved below the destination by the kernel (`openat2` with `RESOLVE_IN_ROOT`):
//! an absolute link in the archive means the archive's own root, and nothing that the archive
//! says leads outside. Symbolic links are stored as text and must not climb above the root; hard
//! links lead to files of the same tree; device nodes, pipes and unknown entries are left out and
//! counted.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use tar::{Archive, EntryType};

use crate::decode::{Compression, reader};

/// What an archive may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Files, directories and links in it.
    pub entries: u64,
    /// Bytes of its files.
    pub bytes: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            entries: 2_000_000,
            bytes: 32 << 30,
        }
    }
}

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnpackReport {
    /// Files, directories and links that were made.
    pub entries: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Device nodes that were left out.
    pub skipped_devices: u64,
    /// Pipes and entries of unknown types that were left out.
    pub skipped_others: u64,
    /// Entries whose owner could not be kept: only root may give files away.
    pub owners_not_kept: u64,
}

/// Why an archive was not unpacked. What was unpacked so far is left behind.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A path or link that leads out of the tree.
    #[error("the archive's entry {entry:?} leads out of the tree ({target:?})")]
    Escapes {
        /// The entry.
        entry: PathBuf,
        /// The path or target that it states.
        target: PathBuf,
    },
    /// More entries or bytes than allowed.
    #[error("the archive has more than {limit} {unit}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// `entries` or `bytes`.
        unit: &'static str,
    },
    /// The archive is damaged, truncated or no archive.
    #[error("the archive cannot be read: {reason}")]
    Damaged {
        /// What the reader said.
        reason: String,
    },
    /// A compression that is not known.
    #[error("compression {word:?} is none of gz, xz, bz2, zstd")]
    Compression {
        /// The word.
        word: String,
    },
    /// The prefix is no directory of the archive.
    #[error("the archive has no directory {prefix:?}")]
    Prefix {
        /// The prefix.
        prefix: String,
    },
    /// Another process has been unpacking the same archive for too long.
    #[error("another process is unpacking the archive into {}", path.display())]
    Busy {
        /// The tree.
        path: PathBuf,
    },
    /// The destination cannot be written.
    #[error("writing {}", path.display())]
    Write {
        /// The entry or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl UnpackError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Escapes { .. } => "archive-escapes",
            Self::TooLarge { .. } => "archive-too-large",
            Self::Damaged { .. } => "archive-damaged",
            Self::Compression { .. } => "archive-compression",
            Self::Prefix { .. } => "archive-prefix",
            Self::Busy { .. } => "archive-busy",
            Self::Write { .. } => "archive-write",
        }
    }

    /// The job names an archive that cannot work; else it is the host.
    pub fn is_job_fault(&self) -> bool {
        !matches!(self, Self::Busy { .. } | Self::Write { .. })
    }
}

/// Unpacks a tar archive over a directory, which is made if it is missing. `compression` is one of
/// LAVA's words or nothing. Modes, times and, for root, owners are kept. Runs on a blocking
/// thread, to its end even if this future is dropped.
pub async fn unpack_tar(
    archive: &Path,
    compression: Option<&str>,
    destination: &Path,
    limits: UnpackLimits,
) -> Result<UnpackReport, UnpackError> {
    let compression = match compression {
        None => None,
        Some(word) => {
            let known = Compression::from_word(word);
            Some(known.ok_or_else(|| UnpackError::Compression {
                word: word.to_owned(),
            })?)
        }
    };
    let (archive, destination) = (archive.to_owned(), destination.to_owned());
    let work = move || unpack_blocking(&archive, compression, &destination, limits);
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(UnpackError::Damaged {
            reason: error.to_string(),
        }),
    }
}

pub(crate) fn unpack_blocking(
    archive: &Path,
    compression: Option<Compression>,
    destination: &Path,
    limits: UnpackLimits,
) -> Result<UnpackReport, UnpackError> {
    let file = File::open(archive).map_err(damaged)?;
    let source: Box<dyn Read + Send> = match compression {
        None => Box::new(file),
        Some(compression) => reader(file, compression),
    };
    fs::create_dir_all(destination).map_err(|source| write_error(destination, source))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(destination, flags, Mode::empty())
        .map_err(|error| write_error(destination, error.into()))?;
    let mut tree = Tree {
        root,
        is_root: rustix::process::geteuid().is_root(),
        limits,
        report: UnpackReport::default(),
        directories: BTreeMap::new(),
    };
    let mut archive = Archive::new(source);
    for entry in archive.entries().map_err(damaged)? {
        tree.add(entry.map_err(damaged)?)?;
    }
    tree.finish()
}

/// What a header says about an entry beside its contents.
#[derive(Clone, Copy)]
struct Attributes {
    mode: Mode,
    owner: Uid,
    group: Gid,
    time: i64,
}

struct Tree {
    root: OwnedFd,
    is_root: bool,
    limits: UnpackLimits,
    report: UnpackReport,
    /// Their attributes are set at the end: they may forbid writing, and writing changes times.
    directories: BTreeMap<PathBuf, Attributes>,
}

impl Tree {
    fn add(&mut self, mut entry: tar::Entry<'_, impl Read>) -> Result<(), UnpackError> {
        let stated = entry.path().map_err(damaged)?.into_owned();
        let path = inside(&stated).ok_or_else(|| UnpackError::Escapes {
            entry: stated.clone(),
            target: stated.clone(),
        })?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::XGlobalHeader | EntryType::XHeader => return Ok(()),
            EntryType::Char | EntryType::Block => {
                self.report.skipped_devices += 1;
                return Ok(());
            }
            EntryType::Regular
            | EntryType::Continuous
            | EntryType::GNUSparse
            | EntryType::Directory
            | EntryType::Symlink
            | EntryType::Link => {}
            _ => {
                self.report.skipped_others += 1;
                return Ok(());
            }
        }
        if self.report.entries >= self.limits.entries {
            return Err(UnpackError::TooLarge {
                limit: self.limits.entries,
                unit: "entries",
            });
        }
        self.report.entries += 1;
        let attributes = attributes(entry.header()).map_err(damaged)?;
        if kind == EntryType::Directory {
            self.directory(&path).map_err(writing(&path))?;
            self.directories.insert(path, attributes);
            return Ok(());
        }
        let Some(name) = path.file_name().map(Path::new) else {
            return Err(UnpackError::Damaged {
                reason: "an entry that is no directory has the root's name".to_owned(),
            });
        };
        let above = path.parent().unwrap_or(Path::new(""));
        let parent = self.directory(above).map_err(writing(&path))?;
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(write_error(&path, error.into())),
        }
        match kind {
            EntryType::Symlink => self.symlink(&mut entry, &parent, &path, name, attributes),
            EntryType::Link => self.link(&mut entry, &parent, &path, name),
            _ => self.file(&mut entry, &parent, &path, name, attributes),
        }
    }

    /// Opens a directory of the tree, making what is missing.
    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.open_directory(path) {
            Err(Errno::NOENT) if path.parent().is_some() => {}
            opened => return Ok(opened?),
        }
        let parent = self.directory(path.parent().unwrap_or(Path::new("")))?;
        if let Some(name) = path.file_name() {
            match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.open_directory(path)?)
    }

    fn open_directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        rustix::fs::openat2(
            &self.root,
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    }

    fn file(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        parent: &OwnedFd,
        path: &Path,
        name: &Path,
        attributes: Attributes,
    ) -> Result<(), UnpackError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))
            .map_err(|error| write_error(path, error.into()))?;
        let mut file = File::from(file);
        let mut left = entry.size();
        self.report.bytes = self.report.bytes.saturating_add(left);
        if self.report.bytes > self.limits.bytes {
            return Err(UnpackError::TooLarge {
                limit: self.limits.bytes,
                unit: "bytes",
            });
        }
        let mut buffer = vec![0; 1 << 16];
        while left > 0 {
            let count = entry.read(&mut buffer).map_err(damaged)?;
            if count == 0 {
                return Err(UnpackError::Damaged {
                    reason: format!("it ends in the middle of {}", path.display()),
                });
            }
            file.write_all(&buffer[..count]).map_err(writing(path))?;
            left = left.saturating_sub(count as u64);
        }
        self.describe(&file.into(), attributes)
            .map_err(writing(path))
    }

    fn symlink(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        parent: &OwnedFd,
        path: &Path,
        name: &Path,
        attributes: Attributes,
    ) -> Result<(), UnpackError> {
        let target = link_target(entry)?;
        if climbs(path.parent().unwrap_or(Path::new("")), &target) {
            return Err(UnpackError::Escapes {
                entry: path.to_owned(),
                target,
            });
        }
        rustix::fs::symlinkat(&target, parent, name)
            .map_err(|error| write_error(path, error.into()))?;
        if !self.is_root {
            return Ok(());
        }
        let (owner, group) = (attributes.owner, attributes.group);
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let given = rustix::fs::chownat(parent, name, Some(owner), Some(group), flags);
        self.count_owner(given).map_err(writing(path))
    }

    fn link(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        parent: &OwnedFd,
        path: &Path,
        name: &Path,
    ) -> Result<(), UnpackError> {
        let stated = link_target(entry)?;
        let escapes = || UnpackError::Escapes {
            entry: path.to_owned(),
            target: stated.clone(),
        };
        let target = inside(&stated).ok_or_else(escapes)?;
        let target_name = target.file_name().ok_or_else(escapes)?;
        let above = target.parent().unwrap_or(Path::new(""));
        let directory = self.open_directory(above);
        directory
            .and_then(|directory| {
                rustix::fs::linkat(&directory, target_name, parent, name, AtFlags::empty())
            })
            .map_err(|error| match error {
                Errno::NOENT => UnpackError::Damaged {
                    reason: format!(
                        "{} is a link to {}, which it does not hold",
                        path.display(),
                        stated.display()
                    ),
                },
                error => write_error(path, error.into()),
            })
    }

    /// Sets owner, mode and time; in this order, as a new owner clears the set-user-id bit.
    fn describe(&mut self, file: &OwnedFd, attributes: Attributes) -> io::Result<()> {
        if self.is_root {
            let (owner, group) = (attributes.owner, attributes.group);
            let given = rustix::fs::fchown(file, Some(owner), Some(group));
            self.count_owner(given)?;
        }
        rustix::fs::fchmod(file, attributes.mode)?;
        let time = Timespec {
            tv_sec: attributes.time,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        Ok(rustix::fs::futimens(file, &times)?)
    }

    fn count_owner(&mut self, given: Result<(), Errno>) -> io::Result<()> {
        match given {
            Ok(()) => Ok(()),
            // Root of a user namespace that has only some of the owners.
            Err(Errno::PERM | Errno::INVAL) => {
                self.report.owners_not_kept += 1;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn finish(mut self) -> Result<UnpackReport, UnpackError> {
        // The deepest first, so that the ones above stay open to us.
        for (path, attributes) in std::mem::take(&mut self.directories).into_iter().rev() {
            let directory = self
                .open_directory(&path)
                .map_err(|error| write_error(&path, error.into()))?;
            self.describe(&directory, attributes)
                .map_err(writing(&path))?;
        }
        Ok(self.report)
    }
}

fn attributes(header: &tar::Header) -> io::Result<Attributes> {
    let id = |id: u64| u32::try_from(id).map_err(|_| io::Error::other("an owner is out of range"));
    Ok(Attributes {
        mode: Mode::from_raw_mode(header.mode()? & 0o7777),
        owner: Uid::from_raw(id(header.uid()?)?),
        group: Gid::from_raw(id(header.gid()?)?),
        time: i64::try_from(header.mtime()?).unwrap_or(0),
    })
}

fn link_target(entry: &tar::Entry<'_, impl Read>) -> Result<PathBuf, UnpackError> {
    match entry.link_name().map_err(damaged)? {
        Some(target) if !target.as_os_str().is_empty() => Ok(target.into_owned()),
        _ => Err(UnpackError::Damaged {
            reason: "a link without a target".to_owned(),
        }),
    }
}

/// A path of an archive as a path below its root; none if it has `..` or a zero byte in it.
fn inside(stated: &Path) -> Option<PathBuf> {
    if stated.as_os_str().as_bytes().contains(&0) {
        return None;
    }
    let mut path = PathBuf::new();
    for component in stated.components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

/// Whether a link in this directory climbs above the root, read as text. Absolute ones begin at
/// the root of the board that will see them.
fn climbs(directory: &Path, target: &Path) -> bool {
    let mut depth = directory.components().count();
    for component in target.components() {
        match component {
            Component::RootDir => depth = 0,
            Component::Normal(_) => depth += 1,
            Component::ParentDir if depth == 0 => return true,
            Component::ParentDir => depth -= 1,
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    false
}

fn damaged(error: io::Error) -> UnpackError {
    UnpackError::Damaged {
        reason: error.to_string(),
    }
}

pub(crate) fn write_error(path: &Path, source: io::Error) -> UnpackError {
    UnpackError::Write {
        path: path.to_owned(),
        source,
    }
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> UnpackError + '_ {
    move |source| write_error(path, source)
}
