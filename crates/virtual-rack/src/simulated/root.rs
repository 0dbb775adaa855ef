//! The root directory of one boot: the fetched ramdisk and the rack's firmware in it. Removed when the boot ends.

use std::{
    ffi::OsStr,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fchmod, linkat, mkdirat, mknodat,
        openat2, symlinkat, unlinkat,
    },
    io::Errno,
};
use tempfile::TempDir;

use super::{Machine, ramdisk};

/// Why there is no root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The kernel would say so on its console.
    #[error(transparent)]
    Ramdisk(#[from] ramdisk::RamdiskError),
    /// The rack's own trouble.
    #[error("cannot make a board's root directory: {0}")]
    Io(#[from] io::Error),
}

/// Unpacks the ramdisk and adds the firmware.
pub async fn make(
    machine: &Machine,
    ramdisk: &[u8],
    version: &str,
    command_line: &str,
) -> Result<RootDir, RootError> {
    let ramdisk = ramdisk.to_vec();
    let roots = machine.roots.clone();
    let firmware = std::sync::Arc::clone(&machine.firmware);
    let facts = super::firmware::Facts {
        version: version.to_owned(),
        command_line: command_line.to_owned(),
        machine: machine.config.machine.clone(),
        host_name: machine.board.name.clone(),
        cpus: machine.config.cpus,
    };
    let made = tokio::task::spawn_blocking(move || {
        let root = RootDir::new(&roots)?;
        ramdisk::unpack(&ramdisk, &root)?;
        firmware.install(&root, &facts)?;
        Ok(root)
    });
    match made.await {
        Ok(made) => made,
        Err(error) => Err(io::Error::other(error).into()),
    }
}

/// A directory in which paths are looked up as in a chroot: no link leads out of it.
pub struct RootDir {
    dir: Option<TempDir>,
    path: PathBuf,
    fd: OwnedFd,
}

impl RootDir {
    /// A new empty one below `roots`.
    pub fn new(roots: &Path) -> io::Result<RootDir> {
        let dir = tempfile::Builder::new().prefix("root-").tempdir_in(roots)?;
        let path = dir.path().to_owned();
        let fd = rustix::fs::open(
            &path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        fchmodat_path(&path)?;
        Ok(RootDir {
            dir: Some(dir),
            path,
            fd,
        })
    }

    /// Where it is on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn look_up(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        openat2(
            &self.fd,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        )
    }

    /// The directory that holds `path`, made if need be, and the last name.
    fn parent<'p>(&self, path: &'p str) -> io::Result<(OwnedFd, &'p OsStr)> {
        let path = Path::new(path);
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let parent = path.parent().and_then(Path::to_str).unwrap_or_default();
        if parent.is_empty() {
            return Ok((self.look_up(".", OFlags::PATH | OFlags::DIRECTORY)?, name));
        }
        match self.look_up(parent, OFlags::PATH | OFlags::DIRECTORY) {
            Err(Errno::NOENT) => {
                self.dir(parent, 0o755)?;
                Ok((
                    self.look_up(parent, OFlags::PATH | OFlags::DIRECTORY)?,
                    name,
                ))
            }
            found => Ok((found?, name)),
        }
    }

    /// Makes a directory, and those above it; one that exists stays.
    pub fn dir(&self, path: &str, mode: u32) -> io::Result<()> {
        if self.look_up(path, OFlags::PATH | OFlags::DIRECTORY).is_ok() {
            return Ok(());
        }
        let (parent, name) = self.parent(path)?;
        match mkdirat(&parent, name, Mode::from_raw_mode(0o700)) {
            // A dangling link, as in archives that link to a directory which comes later.
            Err(Errno::EXIST) => return Ok(()),
            made => made?,
        }
        // The rack must be able to remove it, whoever it runs as.
        let fd = self.look_up(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(fchmod(fd, Mode::from_raw_mode(mode | 0o700))?)
    }

    fn unlink(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
        match unlinkat(parent, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            done => Ok(done?),
        }
    }

    /// Makes a file, in place of one that exists.
    pub fn file(&self, path: &str, body: &[u8], mode: u32) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        Self::unlink(&parent, name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600))?;
        fchmod(&fd, Mode::from_raw_mode(mode | 0o600))?;
        io::Write::write_all(&mut std::fs::File::from(fd), body)
    }

    /// Gives a file that exists other contents.
    pub fn refill(&self, path: &str, body: &[u8]) -> io::Result<()> {
        let fd = self.look_up(path, OFlags::WRONLY | OFlags::TRUNC)?;
        io::Write::write_all(&mut std::fs::File::from(fd), body)
    }

    /// Makes a symbolic link, in place of what exists.
    pub fn symlink(&self, path: &str, target: &str) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        match symlinkat(target, &parent, name) {
            Err(Errno::EXIST) => {
                match unlinkat(&parent, name, AtFlags::empty()) {
                    // A directory with things in it is kept, as cpio does.
                    Err(Errno::ISDIR) => return Ok(()),
                    done => done?,
                }
                Ok(symlinkat(target, &parent, name)?)
            }
            made => Ok(made?),
        }
    }

    /// Another name for a file of this root.
    pub fn hard_link(&self, existing: &str, path: &str) -> io::Result<()> {
        let (from, old) = self.parent(existing)?;
        let (parent, name) = self.parent(path)?;
        Self::unlink(&parent, name)?;
        Ok(linkat(&from, old, &parent, name, AtFlags::empty())?)
    }

    /// Another name for a file of the host; a copy where that is another file system.
    pub fn link_from_host(&self, host: &Path, path: &str) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        Self::unlink(&parent, name)?;
        match linkat(CWD, host, &parent, name, AtFlags::empty()) {
            Err(Errno::XDEV) => self.file(path, &std::fs::read(host)?, 0o755),
            made => Ok(made?),
        }
    }

    /// Makes a FIFO, in place of what exists.
    pub fn fifo(&self, path: &str) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        Self::unlink(&parent, name)?;
        Ok(mknodat(
            &parent,
            name,
            FileType::Fifo,
            Mode::from_raw_mode(0o666),
            0,
        )?)
    }

    /// Whether something is there.
    pub fn exists(&self, path: &str) -> bool {
        self.look_up(path, OFlags::PATH).is_ok()
    }
}

/// The board's `/` is for everybody on it; the run directory above is not.
fn fchmodat_path(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::chmod(path, Mode::from_raw_mode(0o755))?)
}

impl Drop for RootDir {
    fn drop(&mut self) {
        let Some(dir) = self.dir.take() else {
            return;
        };
        let remove = move || {
            let path = dir.keep();
            // Programs of the board that was just cut off may still make files for some milliseconds.
            for _ in 0..100 {
                match std::fs::remove_dir_all(&path) {
                    Ok(()) => return,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                    Err(_) => std::thread::sleep(std::time::Duration::from_millis(20)),
                }
            }
            tracing::warn!("cannot remove {}", path.display());
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}
