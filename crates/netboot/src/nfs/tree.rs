//! A directory tree of the host, addressed by inode. Everything here blocks on the file system.
//!
//! The way from an inode back to its path is learned when the board looks names up. After a restart the board still holds
//! inodes that were learned by the process before; then the tree is walked once. The tree must not change while exported.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nfs3_server::nfs3_types::nfs3::nfsstat3;
use rustix::fs::{CWD, Dir, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// Longest name of one file on Linux, in bytes (`NAME_MAX`).
const LONGEST_NAME: usize = 255;
/// Deeper directories are not served; it also bounds the way up from an inode.
const DEEPEST: usize = 1000;

#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
    pub root_inode: u64,
    learned: Mutex<Learned>,
}

#[derive(Debug, Default)]
struct Learned {
    places: HashMap<u64, Place>,
    /// The whole tree has been walked; what is unknown now does not exist.
    complete: bool,
}

#[derive(Debug)]
struct Place {
    parent: u64,
    name: Box<[u8]>,
}

impl Tree {
    /// Opens the tree below a directory.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, directory, flags, Mode::empty())?;
        let root_inode = rustix::fs::fstat(&root)?.st_ino;
        Ok(Self {
            root,
            root_inode,
            learned: Mutex::default(),
        })
    }

    /// The attributes of an inode.
    pub fn stat(&self, inode: u64) -> Result<Stat, nfsstat3> {
        self.open_inode(inode, OFlags::PATH).map(|(_, stat)| stat)
    }

    /// Finds a name in a directory and returns the attributes. `.` and `..` are the caller's business.
    pub fn look_up(&self, directory: u64, name: &[u8]) -> Result<Stat, nfsstat3> {
        if name.len() > LONGEST_NAME {
            return Err(nfsstat3::NFS3ERR_NAMETOOLONG);
        }
        if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
            return Err(nfsstat3::NFS3ERR_NOENT);
        }
        let mut path = self.path(directory)?;
        path.push(b'/');
        path.extend_from_slice(name);
        let found = self
            .open_path(&path, OFlags::PATH)
            .map_err(|error| match error {
                // The directory is a symbolic link, which the board must follow itself.
                Errno::LOOP => nfsstat3::NFS3ERR_NOTDIR,
                other => status(other),
            })?;
        let stat = rustix::fs::fstat(&found).map_err(status)?;
        let place = Place {
            parent: directory,
            name: name.into(),
        };
        if stat.st_ino != self.root_inode {
            self.learned().places.insert(stat.st_ino, place);
        }
        Ok(stat)
    }

    /// The directory above. The root is above itself.
    pub fn parent(&self, directory: u64) -> Result<u64, nfsstat3> {
        if directory == self.root_inode {
            return Ok(directory);
        }
        self.path(directory)?;
        let learned = self.learned();
        learned
            .places
            .get(&directory)
            .map(|place| place.parent)
            .ok_or(nfsstat3::NFS3ERR_STALE)
    }

    /// The names in a directory, sorted, without `.` and `..`.
    pub fn list(&self, directory: u64) -> Result<Vec<Box<[u8]>>, nfsstat3> {
        let (opened, _) = self.open_inode(directory, OFlags::DIRECTORY)?;
        names_in(opened).map_err(status)
    }

    /// The target of a symbolic link.
    pub fn read_link(&self, inode: u64) -> Result<Vec<u8>, nfsstat3> {
        let (opened, stat) = self.open_inode(inode, OFlags::PATH)?;
        if !is_kind(&stat, rustix::fs::FileType::Symlink) {
            return Err(nfsstat3::NFS3ERR_INVAL);
        }
        let target = rustix::fs::readlinkat(&opened, c"", Vec::new()).map_err(status)?;
        Ok(target.into_bytes())
    }

    /// Up to `count` bytes of a regular file, and whether they reach its end.
    pub fn read(&self, inode: u64, offset: u64, count: usize) -> Result<(Vec<u8>, bool), nfsstat3> {
        // Looked at before it is opened: opening a device or FIFO would act on it.
        let stat = self.stat(inode)?;
        if is_kind(&stat, rustix::fs::FileType::Directory) {
            return Err(nfsstat3::NFS3ERR_ISDIR);
        }
        if !is_kind(&stat, rustix::fs::FileType::RegularFile) {
            return Err(nfsstat3::NFS3ERR_INVAL);
        }
        let (opened, stat) = self.open_inode(inode, OFlags::NONBLOCK)?;
        let file = File::from(opened);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let length = size.saturating_sub(offset).min(count as u64);
        let mut bytes = vec![0; length as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(nfsstat3::NFS3ERR_IO),
            }
        }
        bytes.truncate(filled);
        Ok((bytes, offset + filled as u64 >= size))
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens an inode by its path and makes sure that it is still the same.
    fn open_inode(&self, inode: u64, flags: OFlags) -> Result<(OwnedFd, Stat), nfsstat3> {
        let path = self.path(inode)?;
        let opened = self
            .open_path(&path, flags)
            .map_err(|error| match status(error) {
                nfsstat3::NFS3ERR_NOENT => nfsstat3::NFS3ERR_STALE,
                other => other,
            })?;
        let stat = rustix::fs::fstat(&opened).map_err(status)?;
        if stat.st_ino != inode {
            return Err(nfsstat3::NFS3ERR_STALE);
        }
        Ok((opened, stat))
    }

    /// Opens a path below the root; no symbolic link and no mount leads out of it.
    fn open_path(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve)
    }

    /// The path of an inode below the root, beginning with `.`.
    fn path(&self, inode: u64) -> Result<Vec<u8>, nfsstat3> {
        if let Some(path) = self.learned().path(inode, self.root_inode) {
            return Ok(path);
        }
        if self.learned().complete {
            return Err(nfsstat3::NFS3ERR_STALE);
        }
        let places = self.walk().map_err(status)?;
        let mut learned = self.learned();
        for (found, place) in places {
            learned.places.entry(found).or_insert(place);
        }
        learned.complete = true;
        learned
            .path(inode, self.root_inode)
            .ok_or(nfsstat3::NFS3ERR_STALE)
    }

    /// Every inode of the tree with its place.
    fn walk(&self) -> Result<HashMap<u64, Place>, Errno> {
        let mut places = HashMap::new();
        let mut pending = vec![(self.root_inode, b".".to_vec(), 0)];
        while let Some((parent, path, depth)) = pending.pop() {
            let directory = match self.open_path(&path, OFlags::DIRECTORY) {
                Ok(directory) => directory,
                // What may not be read cannot have been served either.
                Err(Errno::ACCESS | Errno::XDEV) => continue,
                Err(error) => return Err(error),
            };
            for name in names_in(directory)? {
                let mut child = path.clone();
                child.push(b'/');
                child.extend_from_slice(&name);
                let Ok(opened) = self.open_path(&child, OFlags::PATH) else {
                    continue;
                };
                let stat = rustix::fs::fstat(&opened)?;
                places.insert(stat.st_ino, Place { parent, name });
                if is_kind(&stat, rustix::fs::FileType::Directory) && depth < DEEPEST {
                    pending.push((stat.st_ino, child, depth + 1));
                }
            }
        }
        Ok(places)
    }
}

impl Learned {
    fn path(&self, inode: u64, root: u64) -> Option<Vec<u8>> {
        let mut names = Vec::new();
        let mut current = inode;
        while current != root {
            let place = self.places.get(&current)?;
            names.push(&place.name);
            current = place.parent;
            if names.len() > DEEPEST {
                return None;
            }
        }
        let mut path = b".".to_vec();
        for name in names.into_iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        Some(path)
    }
}

pub(crate) fn is_kind(stat: &Stat, kind: rustix::fs::FileType) -> bool {
    rustix::fs::FileType::from_raw_mode(stat.st_mode) == kind
}

fn names_in(directory: OwnedFd) -> Result<Vec<Box<[u8]>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::new(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(Box::from(name));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The protocol's word for an error of the host.
fn status(error: Errno) -> nfsstat3 {
    match error {
        Errno::NOENT => nfsstat3::NFS3ERR_NOENT,
        Errno::NOTDIR => nfsstat3::NFS3ERR_NOTDIR,
        Errno::ACCESS | Errno::PERM => nfsstat3::NFS3ERR_ACCES,
        Errno::NAMETOOLONG => nfsstat3::NFS3ERR_NAMETOOLONG,
        // A symbolic link where a directory was, or a mount: the tree is not the one that the handle was made for.
        Errno::LOOP | Errno::XDEV => nfsstat3::NFS3ERR_STALE,
        // The board asks again later rather than failing for good.
        Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM => nfsstat3::NFS3ERR_JUKEBOX,
        _ => nfsstat3::NFS3ERR_IO,
    }
}
