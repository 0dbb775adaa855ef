//! A pseudo terminal that behaves like the device of a USB serial adapter.
//!
//! The rack holds the master side and does *not* hold the slave, because then the kernel says exactly whether
//! somebody has the device open: `poll` reports a hang-up on the master while nobody does. A client never sees that,
//! since the master stays open. When the last client closes, the pair is replaced by a new one and the stable link moves to it, as
//! if the adapter had been enumerated again: nothing that the client left unread reaches the next one, and line
//! settings and exclusive mode are fresh.
//!
//! One thread serves all pairs of the process. Without a client a pair is looked at every 20 ms; that is how late
//! the first byte of a new client may be noticed. A client that closes and opens again within that time, while nothing is written, is
//! taken for one client.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};

/// How often pairs without a client are looked at.
const TICK: Duration = Duration::from_millis(20);

/// What happened to a write.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// Nobody has the device open.
    Nobody,
    /// The client does not read and the kernel's buffer is full.
    Full,
    /// So many bytes were taken.
    Accepted(usize),
}

/// What a PTY tells its owner.
pub enum PtyEvent<'a> {
    /// A client wrote.
    Input(&'a [u8]),
    /// A client opened the device.
    Opened,
    /// The last client closed it; these bytes were in the kernel's buffer. `None`: the device was exclusive, so they cannot be told.
    Closed(Option<&'a [u8]>),
    /// The pair could not be replaced.
    Failed(io::Error),
}

type Owner = Box<dyn Fn(PtyEvent<'_>) + Send + Sync>;

/// One PTY behind a stable link.
pub struct Pty {
    link: PathBuf,
    owner: Owner,
    pair: Mutex<Option<Pair>>,
}

struct Pair {
    master: OwnedFd,
    slave: PathBuf,
    open: bool,
}

impl Pty {
    /// Makes the pair and the link, and has the thread serve it. Events come from that thread; the owner must not block.
    pub fn open(link: &Path, server: &PtyServer, owner: Owner) -> io::Result<Arc<Pty>> {
        let pty = Arc::new(Pty {
            link: link.to_owned(),
            owner,
            pair: Mutex::new(Some(Pair::make(link)?)),
        });
        server.add(&pty);
        Ok(pty)
    }

    /// The stable path.
    pub fn link(&self) -> &Path {
        &self.link
    }

    /// Writes what fits, without waiting.
    pub fn write(&self, bytes: &[u8]) -> io::Result<Written> {
        let guard = self.lock();
        let Some(pair) = guard.as_ref() else {
            return Ok(Written::Nobody);
        };
        if pair.hung_up()? {
            // Replaced before the next client comes, which may be sooner than the thread looks.
            drop(guard);
            self.look();
            return Ok(Written::Nobody);
        }
        match rustix::io::write(&pair.master, bytes) {
            Ok(0) => Ok(Written::Full),
            Ok(count) => Ok(Written::Accepted(count)),
            Err(rustix::io::Errno::AGAIN) => Ok(Written::Full),
            Err(rustix::io::Errno::IO) => Ok(Written::Nobody),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the device away (`false`) or brings it back, as pulling the adapter does.
    pub fn set_present(&self, present: bool) -> io::Result<()> {
        let mut guard = self.lock();
        if present == guard.is_some() {
            return Ok(());
        }
        if present {
            *guard = Some(Pair::make(&self.link)?);
        } else {
            *guard = None;
            std::fs::remove_file(&self.link)?;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Pair>> {
        self.pair
            .lock()
            .expect("nothing panics while it holds a PTY")
    }

    /// Looks once; says whether a client has the device open.
    fn look(&self) -> bool {
        let mut input = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        let open = {
            let mut guard = self.lock();
            let Some(pair) = guard.as_mut() else {
                return false;
            };
            // Asked before reading: what a client wrote before it closed is still there to read.
            let hung_up = pair.hung_up().unwrap_or(true);
            pair.read_all(&mut input);
            if !hung_up || !input.is_empty() {
                if !pair.open {
                    events.push(Event::Opened);
                }
                pair.open = true;
            }
            if !input.is_empty() {
                events.push(Event::Input(std::mem::take(&mut input)));
            }
            if hung_up && pair.open {
                events.push(Event::Closed(pair.unread()));
                match Pair::make(&self.link) {
                    Ok(fresh) => *pair = fresh,
                    Err(error) => {
                        pair.open = false;
                        events.push(Event::Failed(error));
                    }
                }
            }
            !hung_up
        };
        for event in events {
            (self.owner)(match &event {
                Event::Opened => PtyEvent::Opened,
                Event::Input(bytes) => PtyEvent::Input(bytes),
                Event::Closed(unread) => PtyEvent::Closed(unread.as_deref()),
                Event::Failed(error) => {
                    PtyEvent::Failed(io::Error::new(error.kind(), error.to_string()))
                }
            });
        }
        open
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // The run directory may be gone already; then so is the link.
        let _ = std::fs::remove_file(&self.link);
    }
}

enum Event {
    Opened,
    Input(Vec<u8>),
    Closed(Option<Vec<u8>>),
    Failed(io::Error),
}

impl Pair {
    fn make(link: &Path) -> io::Result<Pair> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        let name = ptsname(&master, Vec::new())?;
        let slave = PathBuf::from(name.to_string_lossy().into_owned());
        {
            // Opened and closed once: only from then on does the master report a hang-up.
            let end = open_slave(&slave)?;
            let mut settings = tcgetattr(&end)?;
            settings.make_raw();
            tcsetattr(&end, OptionalActions::Now, &settings)?;
        }
        let fresh = link.with_extension("new");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::os::unix::fs::symlink(&slave, &fresh)?;
        std::fs::rename(&fresh, link)?;
        Ok(Pair {
            master,
            slave,
            open: false,
        })
    }

    fn hung_up(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        poll(
            &mut fds,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        )?;
        Ok(fds[0].revents().contains(PollFlags::HUP))
    }

    fn read_all(&self, into: &mut Vec<u8>) {
        let mut buffer = [0; 4096];
        // EAGAIN and the EIO of a closed slave both mean that there is no more.
        while let Ok(count) = rustix::io::read(&self.master, &mut buffer) {
            if count == 0 {
                return;
            }
            into.extend_from_slice(&buffer[..count]);
        }
    }

    /// What the last client left in the kernel's buffer.
    fn unread(&self) -> Option<Vec<u8>> {
        let end = open_slave(&self.slave).ok()?;
        let mut settings = tcgetattr(&end).ok()?;
        settings.make_raw();
        tcsetattr(&end, OptionalActions::Now, &settings).ok()?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count) = rustix::io::read(&end, &mut buffer) {
            if count == 0 {
                break;
            }
            bytes.extend_from_slice(&buffer[..count]);
        }
        Some(bytes)
    }
}

fn open_slave(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// The thread that serves PTYs; it ends when this is dropped.
pub struct PtyServer {
    ptys: Arc<Mutex<Vec<Weak<Pty>>>>,
}

impl PtyServer {
    /// Starts the thread.
    pub fn start() -> io::Result<PtyServer> {
        let ptys: Arc<Mutex<Vec<Weak<Pty>>>> = Arc::default();
        let served = Arc::downgrade(&ptys);
        std::thread::Builder::new()
            .name("pty".into())
            .spawn(move || {
                while let Some(ptys) = served.upgrade() {
                    let now: Vec<Arc<Pty>> = {
                        let mut list = ptys.lock().expect("nothing panics while it holds the list");
                        list.retain(|pty| pty.strong_count() > 0);
                        list.iter().filter_map(Weak::upgrade).collect()
                    };
                    drop(ptys);
                    let open: Vec<Arc<Pty>> = now.into_iter().filter(|pty| pty.look()).collect();
                    wait_for_input(&open);
                }
            })?;
        Ok(PtyServer { ptys })
    }

    fn add(&self, pty: &Arc<Pty>) {
        self.ptys
            .lock()
            .expect("nothing panics while it holds the list")
            .push(Arc::downgrade(pty));
    }
}

/// Waits until one of these has something to say, a tick at most.
fn wait_for_input(open: &[Arc<Pty>]) {
    // Duplicates, since a pair may be replaced meanwhile by `set_present`.
    let masters: Vec<OwnedFd> = open
        .iter()
        .filter_map(|pty| {
            pty.lock()
                .as_ref()
                .and_then(|pair| pair.master.as_fd().try_clone_to_owned().ok())
        })
        .collect();
    let mut fds: Vec<PollFd<'_>> = masters
        .iter()
        .map(|master| PollFd::new(master, PollFlags::IN))
        .collect();
    let tick = Timespec {
        tv_sec: 0,
        tv_nsec: TICK.as_nanos() as i64,
    };
    // An interrupted wait is a short tick.
    let _ = poll(&mut fds, Some(&tick));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        sync::mpsc::{Receiver, channel},
    };

    fn pty(dir: &Path, server: &PtyServer) -> (Arc<Pty>, Receiver<String>) {
        let (sender, receiver) = channel();
        let owner = Box::new(move |event: PtyEvent<'_>| {
            let text = match event {
                PtyEvent::Input(bytes) => format!("input {}", String::from_utf8_lossy(bytes)),
                PtyEvent::Opened => "opened".into(),
                PtyEvent::Closed(unread) => {
                    format!("closed {}", String::from_utf8_lossy(unread.unwrap_or(b"?")))
                }
                PtyEvent::Failed(error) => format!("failed {error}"),
            };
            sender.send(text).unwrap();
        });
        (
            Pty::open(&dir.join("tty"), server, owner).unwrap(),
            receiver,
        )
    }

    fn next(receiver: &Receiver<String>) -> String {
        receiver.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    #[test]
    fn bytes_without_a_reader_are_never_seen_by_a_later_one() {
        let dir = tempfile::tempdir().unwrap();
        let server = PtyServer::start().unwrap();
        let (pty, events) = pty(dir.path(), &server);
        assert_eq!(pty.write(b"early").unwrap(), Written::Nobody);
        let open = || {
            std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(pty.link())
                .unwrap()
        };
        let mut first = open();
        assert_eq!(next(&events), "opened");
        assert_eq!(pty.write(b"abc").unwrap(), Written::Accepted(3));
        let mut byte = [0; 1];
        first.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"a");
        first.write_all(b"hello").unwrap();
        assert_eq!(next(&events), "input hello");
        drop(first);
        assert_eq!(next(&events), "closed bc");
        assert_eq!(pty.write(b"late").unwrap(), Written::Nobody);
        let mut second = open();
        assert_eq!(next(&events), "opened");
        assert_eq!(pty.write(b"z").unwrap(), Written::Accepted(1));
        second.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"z");
    }

    #[test]
    fn a_client_that_does_not_read_fills_the_buffer_and_blocks_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let server = PtyServer::start().unwrap();
        let (pty, events) = pty(dir.path(), &server);
        let _client = std::fs::File::open(pty.link()).unwrap();
        assert_eq!(next(&events), "opened");
        let mut total = 0;
        loop {
            match pty.write(&[b'x'; 4096]).unwrap() {
                Written::Accepted(count) => total += count,
                Written::Full => break,
                Written::Nobody => panic!("a client has it open"),
            }
            assert!(total < 10_000_000, "the kernel's buffer has no end");
        }
        assert!(total > 0);
    }
}
