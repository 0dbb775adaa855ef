//! A root file system that exists for one lease: a base tree with grafts, as one tree of nodes.

use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nfs3_server::nfs3_types::nfs3::{fattr3, ftype3, nfsstat3, nfstime3, specdata3};
use rustix::fs::{FileType, Stat};

use super::handle::{Handle, Seal};
use super::server::Shared;
use super::tree::{Tree, is_kind};
use crate::name::{NameError, check_component, random_name};

/// Letters of the random part of a path: 130 random bits. They also make the key of the handles.
const TOKEN_LENGTH: usize = 26;
/// Directories whose names are kept between two pages of a listing.
const REMEMBERED_LISTINGS: usize = 8;
/// The base tree's number; grafts follow from 1.
const BASE: u8 = 0;

/// What to export, and to whom.
#[derive(Debug, Clone)]
pub struct ExportSpec {
    /// The only address that is served; `None` serves everybody who knows the path.
    pub client: Option<Ipv4Addr>,
    /// The unpacked root directory. It must not change while it is exported.
    pub base: PathBuf,
    /// Directories that appear at the top, under a name of one component; they hide what the base has there.
    pub graft: Vec<(String, PathBuf)>,
}

/// Why a root file system cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The base or a graft cannot be opened.
    #[error("cannot export {path} over NFS: {source}", path = path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// What the host said.
        #[source]
        source: io::Error,
    },
    /// A graft has a name that cannot be served.
    #[error("cannot graft a directory into an NFS export: {0}")]
    GraftName(#[source] NameError),
    /// Two grafts have the same name, or there are more than 255.
    #[error("cannot graft {0:?} into an NFS export: repeated, or one too many")]
    Graft(String),
    /// The path of a former export is not one.
    #[error("cannot export again: {0:?} is not a path that this server gave out")]
    Path(String),
    /// The path is exported already.
    #[error("{0:?} is exported already")]
    AlreadyExported(String),
    /// The kernel gave no random bytes.
    #[error("cannot make a path for an NFS export: {0}")]
    Random(#[source] io::Error),
}

/// An open export. Dropping it closes it and ends the connections that need it.
#[derive(Debug)]
pub struct Export {
    inner: Arc<OpenExport>,
    shared: Arc<Shared>,
}

/// What boards have done with an export so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportActivity {
    /// Mounts that succeeded.
    pub mounts: u64,
    /// Bytes of file contents that were sent.
    pub bytes_read: u64,
}

/// The part of an export that connections share.
#[derive(Debug)]
pub(crate) struct OpenExport {
    pub token: String,
    pub client: Option<Ipv4Addr>,
    pub seal: Seal,
    pub mounts: AtomicU64,
    pub bytes_read: AtomicU64,
    /// The base, then the grafts.
    trees: Vec<Tree>,
    grafts: Vec<Box<[u8]>>,
    /// Subdirectories that the grafts add to the root's link count.
    added_links: u32,
    /// Owners are shown as root, because this process could not unpack them as they are.
    squash_owners: bool,
    listings: Mutex<VecDeque<(Node, Names)>>,
}

/// The names in a directory, in the order of their cookies.
pub(crate) type Names = Arc<Vec<Box<[u8]>>>;

/// A file of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    pub tree: u8,
    pub inode: u64,
}

impl Export {
    pub(crate) fn open(
        shared: Arc<Shared>,
        path: Option<&str>,
        spec: &ExportSpec,
    ) -> Result<Self, ExportError> {
        let token = match path {
            None => random_name(TOKEN_LENGTH).map_err(ExportError::Random)?,
            Some(path) => {
                let token = path
                    .strip_prefix("/r/")
                    .filter(|token| token.len() == TOKEN_LENGTH);
                let token =
                    token.filter(|token| token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
                token
                    .ok_or_else(|| ExportError::Path(path.to_owned()))?
                    .to_owned()
            }
        };
        let inner = Arc::new(OpenExport::new(token, spec)?);
        let export = Self { inner, shared };
        if !export.shared.add_export(Arc::clone(&export.inner)) {
            return Err(ExportError::AlreadyExported(export.path()));
        }
        Ok(export)
    }

    /// The path to mount, `/r/<random>`.
    pub fn path(&self) -> String {
        format!("/r/{}", self.inner.token)
    }

    /// What has happened so far.
    pub fn activity(&self) -> ExportActivity {
        ExportActivity {
            mounts: self.inner.mounts.load(Ordering::Relaxed),
            bytes_read: self.inner.bytes_read.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        self.shared.remove_export(&self.inner);
    }
}

impl OpenExport {
    fn new(token: String, spec: &ExportSpec) -> Result<Self, ExportError> {
        let open = |path: &PathBuf| {
            Tree::open(path).map_err(|source| ExportError::Open {
                path: path.clone(),
                source,
            })
        };
        let base = open(&spec.base)?;
        let mut trees = vec![base];
        let mut grafts: Vec<Box<[u8]>> = Vec::new();
        let mut added_links = 0;
        for (name, path) in &spec.graft {
            check_component(name).map_err(ExportError::GraftName)?;
            if grafts.len() == usize::from(u8::MAX)
                || grafts.iter().any(|graft| **graft == *name.as_bytes())
            {
                return Err(ExportError::Graft(name.clone()));
            }
            let hidden = trees[0].look_up(trees[0].root_inode, name.as_bytes());
            if !hidden.is_ok_and(|stat| is_kind(&stat, FileType::Directory)) {
                added_links += 1;
            }
            trees.push(open(path)?);
            grafts.push(name.as_bytes().into());
        }
        Ok(Self {
            seal: Seal::new(&token),
            token,
            client: spec.client,
            mounts: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
            trees,
            grafts,
            added_links,
            squash_owners: !rustix::process::geteuid().is_root(),
            listings: Mutex::default(),
        })
    }

    pub fn serves(&self, client: Ipv4Addr) -> bool {
        self.client.is_none_or(|only| only == client)
    }

    /// The top directory.
    pub fn root(&self) -> Node {
        Node {
            tree: BASE,
            inode: self.trees[0].root_inode,
        }
    }

    /// The file that a handle of this export names.
    pub fn node(&self, handle: &Handle) -> Result<Node, nfsstat3> {
        let (tree, inode) = self.seal.open(handle).ok_or(nfsstat3::NFS3ERR_BADHANDLE)?;
        if usize::from(tree) >= self.trees.len() {
            return Err(nfsstat3::NFS3ERR_STALE);
        }
        Ok(Node { tree, inode })
    }

    pub fn handle(&self, node: Node) -> Handle {
        self.seal.handle(node.tree, node.inode)
    }

    /// The attributes of a file. Blocks.
    pub fn attributes(&self, node: Node) -> Result<fattr3, nfsstat3> {
        self.tree(node)
            .stat(node.inode)
            .map(|stat| self.present(node, &stat))
    }

    /// Finds a name in a directory. Blocks.
    pub fn look_up(&self, directory: Node, name: &[u8]) -> Result<(Node, fattr3), nfsstat3> {
        let node = match name {
            b"." => directory,
            b".." if self.is_graft_root(directory) => self.root(),
            b".." => Node {
                inode: self.tree(directory).parent(directory.inode)?,
                ..directory
            },
            _ => match self.graft(directory, name) {
                Some(node) => node,
                None => {
                    let stat = self.tree(directory).look_up(directory.inode, name)?;
                    let node = Node {
                        inode: stat.st_ino,
                        ..directory
                    };
                    return Ok((node, self.present(node, &stat)));
                }
            },
        };
        let directory_attributes = self.attributes(directory)?;
        if !matches!(directory_attributes.type_, ftype3::NF3DIR) {
            return Err(nfsstat3::NFS3ERR_NOTDIR);
        }
        Ok((node, self.attributes(node)?))
    }

    /// All names in a directory in the order of their cookies, `.` and `..` first. Blocks.
    pub fn list(&self, directory: Node, continued: bool) -> Result<Names, nfsstat3> {
        let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        if continued && let Some((_, names)) = listings.iter().find(|(node, _)| *node == directory)
        {
            return Ok(Arc::clone(names));
        }
        drop(listings);
        let mut names: Vec<Box<[u8]>> = vec![Box::from(&b"."[..]), Box::from(&b".."[..])];
        names.extend(self.tree(directory).list(directory.inode)?);
        if directory == self.root() {
            names.retain(|name| !self.grafts.contains(name));
            names.extend(self.grafts.iter().cloned());
            names[2..].sort_unstable();
        }
        let names = Arc::new(names);
        listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        listings.retain(|(node, _)| *node != directory);
        listings.truncate(REMEMBERED_LISTINGS - 1);
        listings.push_front((directory, Arc::clone(&names)));
        Ok(names)
    }

    /// The target of a symbolic link. Blocks.
    pub fn read_link(&self, node: Node) -> Result<Vec<u8>, nfsstat3> {
        self.tree(node).read_link(node.inode)
    }

    /// Bytes of a file and whether they reach its end. Blocks.
    pub fn read(&self, node: Node, offset: u64, count: usize) -> Result<(Vec<u8>, bool), nfsstat3> {
        let (bytes, end) = self.tree(node).read(node.inode, offset, count)?;
        self.bytes_read
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok((bytes, end))
    }

    fn tree(&self, node: Node) -> &Tree {
        &self.trees[usize::from(node.tree)]
    }

    fn is_graft_root(&self, node: Node) -> bool {
        node.tree != BASE && node.inode == self.tree(node).root_inode
    }

    fn graft(&self, directory: Node, name: &[u8]) -> Option<Node> {
        if directory != self.root() {
            return None;
        }
        let index = self.grafts.iter().position(|graft| **graft == *name)?;
        let tree = u8::try_from(index + 1).ok()?;
        Some(Node {
            tree,
            inode: self.trees[index + 1].root_inode,
        })
    }

    fn present(&self, node: Node, stat: &Stat) -> fattr3 {
        let added_links = if node == self.root() {
            self.added_links
        } else {
            0
        };
        let directory = is_kind(stat, FileType::Directory);
        let mut mtime = time(stat.st_mtime, stat.st_mtime_nsec);
        if directory && mtime.seconds == 0 && mtime.nseconds == 0 {
            // nfs3_server makes the verifier of a listing from this time and takes zero for none, so the second page of a
            // directory of the epoch (reproducible images) would be refused.
            mtime.nseconds = 1;
        }
        fattr3 {
            type_: file_type(stat),
            mode: stat.st_mode & 0o7777,
            nlink: u32::try_from(stat.st_nlink)
                .unwrap_or(u32::MAX)
                .saturating_add(added_links)
                .max(1),
            uid: if self.squash_owners { 0 } else { stat.st_uid },
            gid: if self.squash_owners { 0 } else { stat.st_gid },
            size: u64::try_from(stat.st_size).unwrap_or(0),
            // POSIX counts blocks of 512 bytes here, whatever the file system's are.
            used: u64::try_from(stat.st_blocks)
                .unwrap_or(0)
                .saturating_mul(512),
            rdev: specdata3 {
                specdata1: rustix::fs::major(stat.st_rdev),
                specdata2: rustix::fs::minor(stat.st_rdev),
            },
            fsid: u64::from_le_bytes(self.seal.export),
            fileid: file_id(node),
            atime: time(stat.st_atime, stat.st_atime_nsec),
            mtime,
            ctime: time(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

/// A number that differs between all files of an export. Trees may lie on different file systems, whose inodes may be equal;
/// no file system in use gives out inodes that reach the top byte.
pub(crate) fn file_id(node: Node) -> u64 {
    node.inode ^ (u64::from(node.tree) << 56)
}

fn file_type(stat: &Stat) -> ftype3 {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => ftype3::NF3DIR,
        FileType::Symlink => ftype3::NF3LNK,
        FileType::BlockDevice => ftype3::NF3BLK,
        FileType::CharacterDevice => ftype3::NF3CHR,
        FileType::Fifo => ftype3::NF3FIFO,
        FileType::Socket => ftype3::NF3SOCK,
        FileType::RegularFile | FileType::Unknown => ftype3::NF3REG,
    }
}

/// NFSv3 has 32 bits of seconds; times before 1970 or after 2106 are shown as the nearest.
fn time(seconds: i64, nanoseconds: impl TryInto<u32>) -> nfstime3 {
    let clamped = seconds.clamp(0, i64::from(u32::MAX));
    nfstime3 {
        seconds: u32::try_from(clamped).unwrap_or(0),
        nseconds: nanoseconds.try_into().unwrap_or(0),
    }
}
