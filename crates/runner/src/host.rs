//! What one host keeps for one lab: locks, epochs, the counter of jobs (decisions D1, D20).
//!
//! ```text
//! STATE/boards/NAME.lock    held (flock) while somebody has the board; says who
//! STATE/boards/NAME.epoch   the highest epoch granted
//! STATE/job-number          the last number given to a local job
//! STATE/cache/              downloads
//! STATE/consoles/           what the keeper captured
//! @basalt/outlet/…          (not a file) held while somebody has the outlet, whatever his lab
//! ```
//!
//! A lock dies with its process, whatever kills it; an epoch never goes back. Where a process is
//! killed while it starts another one, that one has its locks until it runs its own program, which
//! closes them: a lock whose holder is gone is waited for.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use basalt_lab::profile::{Relay, RelayDriver};
use basalt_model::{BoardName, Epoch, RelayName, UtcMicros};
use rustix::net::sockopt::socket_peercred;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How long a process that was begun may take to run its own program, at most.
const ORPHAN_LIMIT: Duration = Duration::from_secs(5);

/// How often a lock is tried whose holder is gone.
const ORPHAN_PAUSE: Duration = Duration::from_millis(10);

/// Who has a board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The version of this record.
    pub version: u32,
    /// The process.
    pub pid: u32,
    /// In words: `run 0193… of job "x"`, `basalt power`, `basalt console (alice)`.
    pub who: String,
    /// Since when.
    pub since: UtcMicros,
}

/// Why a board cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Somebody else has it.
    #[error("board {board} is held by {} (pid {}); wait for it or end it", holder.who, holder.pid)]
    Held {
        /// The board.
        board: BoardName,
        /// Who.
        holder: Box<Holder>,
    },
    /// A process under another lab or account switches the board's outlet.
    #[error(
        "outlet {outlet} of relay {relay}, which feeds board {board}, is in use by process {pid} of \
         user {uid}, under another lab or account of this host; wait for it or end it"
    )]
    OutletHeld {
        /// The board.
        board: BoardName,
        /// The relay, as this lab calls it.
        relay: RelayName,
        /// The outlet.
        outlet: u32,
        /// The process.
        pid: i32,
        /// Its user.
        uid: u32,
    },
    /// Another lease has the board since (decision D1).
    #[error("board {board} is past epoch {}: epoch {} was granted since", epoch.0, highest.0)]
    OldEpoch {
        /// The board.
        board: BoardName,
        /// The lease's.
        epoch: Epoch,
        /// The highest that was seen.
        highest: Epoch,
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

/// The state directory of one lab on this host.
#[derive(Clone, Debug)]
pub struct HostState {
    directory: PathBuf,
}

/// A board that is ours until this is dropped.
#[derive(Debug)]
pub struct BoardLock {
    board: BoardName,
    directory: PathBuf,
    // Held for its lock.
    _file: File,
    // Held for its name: see [`BoardLock::with_outlet`].
    outlet: Option<UnixListener>,
}

impl HostState {
    /// Opens the directory, making it where needed; only its owner may enter.
    pub fn open(directory: &Path) -> Result<Self, HostError> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory.join("boards"))
            .map_err(io("make", directory))?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Takes a board, or says who has it. Does not wait for anybody who lives; blocks for seconds at
    /// most where the holder is gone and its lock not yet.
    pub fn take(
        &self,
        board: &BoardName,
        who: &str,
        now: UtcMicros,
    ) -> Result<BoardLock, HostError> {
        let path = self.directory.join(format!("boards/{board}.lock"));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("open", &path))?;
        let until = Instant::now() + ORPHAN_LIMIT;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(std::fs::TryLockError::WouldBlock) => {
                    let holder = read_holder(&mut file);
                    if is_running(holder.pid) || Instant::now() >= until {
                        return Err(HostError::Held {
                            board: board.clone(),
                            holder: Box::new(holder),
                        });
                    }
                    std::thread::sleep(ORPHAN_PAUSE);
                }
                Err(std::fs::TryLockError::Error(source)) => return Err(io("lock", &path)(source)),
            }
        }
        let holder = Holder {
            version: 1,
            pid: std::process::id(),
            who: who.to_owned(),
            since: now,
        };
        let text = serde_json::to_vec(&holder).expect("a holder is plain data");
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(&text))
            .map_err(io("write", &path))?;
        Ok(BoardLock {
            board: board.clone(),
            directory: self.directory.join("boards"),
            _file: file,
            outlet: None,
        })
    }

    /// Who has the board now, if anybody.
    pub fn holder(&self, board: &BoardName) -> Option<Holder> {
        let path = self.directory.join(format!("boards/{board}.lock"));
        let mut file = OpenOptions::new().read(true).write(true).open(path).ok()?;
        match file.try_lock() {
            Err(std::fs::TryLockError::WouldBlock) => Some(read_holder(&mut file)),
            Ok(()) | Err(std::fs::TryLockError::Error(_)) => None,
        }
    }

    /// The highest epoch of a board that was seen on this host.
    pub fn highest_epoch(&self, board: &BoardName) -> Epoch {
        highest_epoch(&self.directory.join("boards"), board)
    }

    /// A number for a local job, never given before on this host for this lab.
    pub fn next_job_number(&self) -> Result<u64, HostError> {
        let path = self.directory.join("job-number");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("open", &path))?;
        file.lock().map_err(io("lock", &path))?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(io("read", &path))?;
        let number = text.trim().parse::<u64>().unwrap_or(0) + 1;
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(format!("{number}\n").as_bytes()))
            .map_err(io("write", &path))?;
        Ok(number)
    }
}

impl BoardLock {
    /// Takes the outlet itself too, against other labs and other accounts of this host, whose
    /// state directories are their own (decision D20, invariant 1).
    ///
    /// The lock is a Unix socket with an abstract name (`unix(7)`): it needs no file that all
    /// accounts could write, ends with its process, and tells whose it is (`SO_PEERCRED`).
    pub fn with_outlet(mut self, relay: &Relay, outlet: u32) -> Result<Self, HostError> {
        let name = outlet_name(relay, outlet);
        let path = PathBuf::from(format!("@{name}"));
        let address = SocketAddr::from_abstract_name(&name).map_err(io("name", &path))?;
        let until = Instant::now() + ORPHAN_LIMIT;
        loop {
            let error = match UnixListener::bind_addr(&address) {
                Ok(listener) => {
                    self.outlet = Some(listener);
                    return Ok(self);
                }
                Err(error) => error,
            };
            if error.kind() != std::io::ErrorKind::AddrInUse {
                return Err(io("take", &path)(error));
            }
            let asked =
                UnixStream::connect_addr(&address).and_then(|stream| Ok(socket_peercred(&stream)?));
            let holder = match asked {
                Ok(holder) => holder,
                // It was given back in between.
                Err(error)
                    if error.kind() == std::io::ErrorKind::ConnectionRefused
                        && Instant::now() < until =>
                {
                    std::thread::sleep(ORPHAN_PAUSE);
                    continue;
                }
                Err(error) => return Err(io("ask who holds", &path)(error)),
            };
            let pid = holder.pid.as_raw_nonzero().get();
            if is_running(pid.unsigned_abs()) || Instant::now() >= until {
                return Err(HostError::OutletHeld {
                    board: self.board,
                    relay: relay.name.clone(),
                    outlet,
                    pid,
                    uid: holder.uid.as_raw(),
                });
            }
            std::thread::sleep(ORPHAN_PAUSE);
        }
    }

    /// The board.
    pub fn board(&self) -> &BoardName {
        &self.board
    }

    /// The highest epoch granted so far.
    pub fn highest_epoch(&self) -> Epoch {
        highest_epoch(&self.directory, &self.board)
    }

    /// Grants the next epoch, where no server does; durable before this returns.
    pub fn grant(&self) -> Result<Epoch, HostError> {
        let epoch = Epoch(self.highest_epoch().0 + 1);
        self.keep(epoch)?;
        Ok(epoch)
    }

    /// Takes the epoch that a server has granted; durable before this returns. The highest one may
    /// come again: it is the same lease.
    ///
    /// # Errors
    /// [`HostError::OldEpoch`]: a later one was seen. Nothing may be done under this one.
    pub fn accept(&self, epoch: Epoch) -> Result<(), HostError> {
        let highest = self.highest_epoch();
        if epoch < highest {
            return Err(HostError::OldEpoch {
                board: self.board.clone(),
                epoch,
                highest,
            });
        }
        if epoch > highest {
            self.keep(epoch)?;
        }
        Ok(())
    }

    fn keep(&self, epoch: Epoch) -> Result<(), HostError> {
        let path = epoch_path(&self.directory, &self.board);
        let new = path.with_extension("epoch.new");
        File::create(&new)
            .and_then(|mut file| {
                file.write_all(format!("{}\n", epoch.0).as_bytes())?;
                file.sync_data()
            })
            .and_then(|()| std::fs::rename(&new, &path))
            .and_then(|()| File::open(&self.directory)?.sync_all())
            .map_err(io("write", &path))
    }
}

fn epoch_path(directory: &Path, board: &BoardName) -> PathBuf {
    directory.join(format!("{board}.epoch"))
}

fn highest_epoch(directory: &Path, board: &BoardName) -> Epoch {
    let text = std::fs::read_to_string(epoch_path(directory, board)).unwrap_or_default();
    Epoch(text.trim().parse().unwrap_or(0))
}

/// The same for everybody who switches the same outlet, whatever he calls it.
fn outlet_name(relay: &Relay, outlet: u32) -> String {
    let place = match &relay.driver {
        RelayDriver::Tasmota { url, .. } => format!("tasmota {}", url.trim_end_matches('/')),
        // What a command switches is known to the command alone: the relay's name must do.
        RelayDriver::Commands { .. } => format!("commands {}", relay.name),
        RelayDriver::Lcus { path, .. } => {
            let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            format!("lcus {}", path.display())
        }
    };
    let digest = Sha256::digest(format!("{place} {outlet}").as_bytes());
    let digest: String = digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("basalt/outlet/{digest}")
}

/// Whether there is such a process and it has not ended, as far as this one may see (proc(5)); the
/// unknown one (0) is taken for one that runs.
fn is_running(pid: u32) -> bool {
    if pid == 0 {
        return true;
    }
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The state stands behind the name, which may have brackets in it.
        Ok(stat) => stat
            .rsplit(')')
            .next()
            .is_none_or(|rest| !rest.starts_with(" Z") && !rest.starts_with(" X")),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_string(&mut text))
        .ok()
        .and_then(|_| serde_json::from_str(&text).ok())
        // The holder took the lock a moment ago and has not written yet.
        .unwrap_or(Holder {
            version: 1,
            pid: 0,
            who: "a process that has just started".into(),
            since: UtcMicros(0),
        })
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> HostError {
    let path = path.to_owned();
    move |source| HostError::Io {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use basalt_model::DispatcherName;

    use super::*;

    #[test]
    fn a_second_taker_is_told_who_has_the_board() {
        let directory = tempfile::tempdir().unwrap();
        let host = HostState::open(directory.path()).unwrap();
        let board = BoardName::new("b1");
        let lock = host.take(&board, "run 1", UtcMicros(5)).unwrap();
        let error = host.take(&board, "run 2", UtcMicros(6)).unwrap_err();
        assert!(error.to_string().contains("held by run 1"), "{error}");
        assert_eq!(host.holder(&board).unwrap().who, "run 1");
        drop(lock);
        assert_eq!(host.holder(&board), None);
        host.take(&board, "run 2", UtcMicros(7)).unwrap();
    }

    #[test]
    fn a_lock_that_outlives_its_holder_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let host = HostState::open(directory.path()).unwrap();
        let board = BoardName::new("b1");
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let holder = Holder {
            version: 1,
            pid: gone.id(),
            who: "run 1".into(),
            since: UtcMicros(5),
        };
        let path = directory.path().join("boards/b1.lock");
        std::fs::write(&path, serde_json::to_vec(&holder).unwrap()).unwrap();
        // What the process had begun to start has it too.
        let child = File::open(&path).unwrap();
        child.lock().unwrap();
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| host.take(&board, "run 2", UtcMicros(6)));
            let open = || {
                let links = std::fs::read_dir("/proc/self/fd").unwrap();
                let targets = links.filter_map(|link| std::fs::read_link(link.ok()?.path()).ok());
                targets.filter(|target| *target == path).count()
            };
            while open() < 2 && !taker.is_finished() {
                std::thread::yield_now();
            }
            drop(child);
            taker.join().unwrap().unwrap();
        });
    }

    #[test]
    fn two_labs_that_call_one_outlet_by_other_names_exclude_each_other() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let relay = |name: &str, url: &str| Relay {
            name: RelayName::new(name),
            dispatcher: DispatcherName::new("main"),
            driver: RelayDriver::Tasmota {
                url: url.into(),
                credentials: None,
            },
            timeout: std::time::Duration::from_secs(1),
        };
        let take = |directory: &Path, relay: &Relay, outlet| {
            let host = HostState::open(directory).unwrap();
            let lock = host
                .take(&BoardName::new("b1"), "run", UtcMicros(5))
                .unwrap();
            lock.with_outlet(relay, outlet)
        };
        let url = format!("http://relay-of-{}.invalid", std::process::id());
        let lock = take(one.path(), &relay("shelf", &url), 1).unwrap();
        let error = take(two.path(), &relay("rack", &format!("{url}/")), 1).unwrap_err();
        let own = std::process::id();
        assert!(
            error
                .to_string()
                .contains(&format!("in use by process {own} of user")),
            "{error}"
        );
        take(two.path(), &relay("rack", &url), 2).unwrap();
        drop(lock);
        take(two.path(), &relay("rack", &url), 1).unwrap();
    }

    #[test]
    fn an_epoch_of_a_server_is_kept_and_an_older_one_refused() {
        let directory = tempfile::tempdir().unwrap();
        let host = HostState::open(directory.path()).unwrap();
        let board = BoardName::new("b1");
        let lock = host.take(&board, "run 1", UtcMicros(5)).unwrap();
        lock.accept(Epoch(7)).unwrap();
        assert_eq!(host.highest_epoch(&board), Epoch(7));
        // The same lease, taken up again.
        lock.accept(Epoch(7)).unwrap();
        // Somebody without a server comes behind it.
        assert_eq!(lock.grant().unwrap(), Epoch(8));
        let error = lock.accept(Epoch(7)).unwrap_err();
        assert!(
            matches!(
                error,
                HostError::OldEpoch {
                    highest: Epoch(8),
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn epochs_and_job_numbers_only_grow() {
        let directory = tempfile::tempdir().unwrap();
        let host = HostState::open(directory.path()).unwrap();
        let board = BoardName::new("b1");
        let lock = host.take(&board, "run 1", UtcMicros(5)).unwrap();
        assert_eq!(lock.grant().unwrap(), Epoch(1));
        assert_eq!(lock.grant().unwrap(), Epoch(2));
        assert_eq!(lock.highest_epoch(), Epoch(2));
        assert_eq!(host.next_job_number().unwrap(), 1);
        assert_eq!(host.next_job_number().unwrap(), 2);
    }
}
