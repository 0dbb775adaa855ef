//! What the runs of one process have in common: boot servers, owners of relays, and what is known of
//! kernels. A process that runs one job has one all the same.

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use basalt_lab::profile::Relay;
use basalt_model::{RelayName, Sha256};
use basalt_netboot::nfs::NfsServer;
use basalt_netboot::tftp::TftpServer;
use basalt_power::RelayHandle;
use tokio::time::Instant;

/// Kernels whose identity is remembered; more than a lab tests in a day.
const MOST_KERNELS: usize = 4096;

/// How often the process looks at the clock.
const LOOK: Duration = Duration::from_millis(500);
/// A look that comes later than this comes after a standstill.
const STANDSTILL: Duration = Duration::from_secs(2);

/// Shared by the runs of one process; clones are the same.
#[derive(Clone, Debug)]
pub struct Shared {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    tftp: HashMap<SocketAddrV4, Arc<TftpServer>>,
    nfs: HashMap<SocketAddrV4, Arc<NfsServer>>,
    relays: HashMap<RelayName, (Relay, RelayHandle)>,
    kernels: HashMap<Sha256, Option<String>>,
    /// How often this process stood still, and when it looked last.
    standstills: u64,
    looked: Instant,
}

impl Inner {
    /// Looks at the clock: a look that comes late comes after a standstill.
    fn look(&mut self) -> u64 {
        let now = Instant::now();
        if now.duration_since(self.looked) >= LOOK + STANDSTILL {
            self.standstills += 1;
        }
        self.looked = now;
        self.standstills
    }
}

impl Shared {
    /// Nothing is bound or asked before it is needed. Must be called within a tokio runtime.
    pub fn start() -> Self {
        let inner = Arc::new(Mutex::new(Inner {
            tftp: HashMap::new(),
            nfs: HashMap::new(),
            relays: HashMap::new(),
            kernels: HashMap::new(),
            standstills: 0,
            looked: Instant::now(),
        }));
        tokio::spawn(look_often(Arc::downgrade(&inner)));
        Self { inner }
    }

    /// How often this process stood still: stopped by a signal, starved, or asleep with its host.
    /// Deadlines that passed meanwhile say nothing of a board.
    pub(crate) fn standstills(&self) -> u64 {
        self.inner().look()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// The TFTP server of an address, bound at the first call and kept: a port that is given back
    /// between two runs may be somebody else's.
    pub(crate) fn tftp(&self, listen: SocketAddrV4) -> std::io::Result<Arc<TftpServer>> {
        let mut inner = self.inner();
        if let Some(server) = inner.tftp.get(&listen) {
            return Ok(server.clone());
        }
        let server = Arc::new(TftpServer::bind(listen)?);
        inner.tftp.insert(listen, server.clone());
        Ok(server)
    }

    /// The NFS server of an address, as [`Shared::tftp`].
    pub(crate) fn nfs(&self, listen: SocketAddrV4) -> std::io::Result<Arc<NfsServer>> {
        let mut inner = self.inner();
        if let Some(server) = inner.nfs.get(&listen) {
            return Ok(server.clone());
        }
        let server = Arc::new(NfsServer::bind(listen)?);
        inner.nfs.insert(listen, server.clone());
        Ok(server)
    }

    /// The owner of a relay: one a process, begun anew where the lab describes it otherwise now.
    /// `lock_dir` is where owners in other processes are kept out.
    pub fn relay(&self, relay: &Relay, lock_dir: &Path) -> RelayHandle {
        let mut inner = self.inner();
        if let Some((known, handle)) = inner.relays.get(&relay.name)
            && known == relay
        {
            return handle.clone();
        }
        let handle = RelayHandle::spawn(relay, lock_dir);
        let entry = (relay.clone(), handle.clone());
        inner.relays.insert(relay.name.clone(), entry);
        handle
    }

    /// What a kernel calls itself, where it was looked at before: it takes unpacking to find out.
    pub(crate) fn kernel(&self, sha256: Sha256) -> Option<Option<String>> {
        self.inner().kernels.get(&sha256).cloned()
    }

    pub(crate) fn remember_kernel(&self, sha256: Sha256, identity: Option<String>) {
        let mut inner = self.inner();
        if inner.kernels.len() >= MOST_KERNELS {
            inner.kernels.clear();
        }
        inner.kernels.insert(sha256, identity);
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    // Whatever panicked under it left whole entries.
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at the clock until nobody needs it any more.
async fn look_often(inner: Weak<Mutex<Inner>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        lock(&inner).look();
    }
}
