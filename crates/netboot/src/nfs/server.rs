//! The listener: knows the exports, admits connections by address.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::export::{Export, ExportError, ExportSpec, OpenExport};
use super::handle::{ExportId, export_id};
use super::relay;

/// Connections at the same time, so that a flood cannot use up files and memory.
const MOST_CONNECTIONS: usize = 512;
/// Rest after accepting failed, so that a persistent error does not spin.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(100);

/// An NFSv3 server with its MOUNT service on the same TCP port. Dropping it stops listening and ends all connections.
#[derive(Debug)]
pub struct NfsServer {
    shared: Arc<Shared>,
    local: SocketAddrV4,
    listener: JoinHandle<()>,
}

/// What the listener, the exports and the connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    exports: Mutex<HashMap<ExportId, Arc<OpenExport>>>,
    /// Counts changes of `exports`.
    changes: watch::Sender<u64>,
}

impl NfsServer {
    /// Listens on `listen`; port 0 takes a free one. Must be called inside a tokio runtime.
    pub fn bind(listen: SocketAddrV4) -> io::Result<Self> {
        let explain = |error: io::Error| {
            let advice = match error.kind() {
                io::ErrorKind::AddrInUse => "; another NFS server runs here (nfsd, ganesha?)",
                io::ErrorKind::AddrNotAvailable => "; this is not an address of this host",
                io::ErrorKind::PermissionDenied => {
                    "; take a port from 1024 up, boards can be told any"
                }
                _ => "",
            };
            io::Error::new(
                error.kind(),
                format!("cannot listen for NFS on TCP {listen}: {error}{advice}"),
            )
        };
        let listener = std::net::TcpListener::bind(listen).map_err(explain)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let SocketAddr::V4(local) = listener.local_addr()? else {
            return Err(io::Error::other("the NFS socket has no IPv4 address"));
        };
        let shared = Arc::new(Shared {
            exports: Mutex::default(),
            changes: watch::Sender::new(0),
        });
        let listener = tokio::spawn(accept_connections(Arc::clone(&shared), listener));
        Ok(Self {
            shared,
            local,
            listener,
        })
    }

    /// Address and port that it listens on.
    pub fn local_addr(&self) -> SocketAddrV4 {
        self.local
    }

    /// Exports a root file system under a new random path.
    pub fn export(&self, spec: &ExportSpec) -> Result<Export, ExportError> {
        Export::open(Arc::clone(&self.shared), None, spec)
    }

    /// Exports under the path it had before a restart: a board that runs from it goes on, its file handles hold. The base and
    /// the grafts must be the same directories, the grafts in the same order.
    pub fn reexport(&self, path: &str, spec: &ExportSpec) -> Result<Export, ExportError> {
        Export::open(Arc::clone(&self.shared), Some(path), spec)
    }
}

impl Drop for NfsServer {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Shared {
    fn exports(&self) -> MutexGuard<'_, HashMap<ExportId, Arc<OpenExport>>> {
        self.exports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns false if it is there already.
    pub fn add_export(&self, export: Arc<OpenExport>) -> bool {
        match self.exports().entry(export.seal.export) {
            std::collections::hash_map::Entry::Occupied(_) => return false,
            std::collections::hash_map::Entry::Vacant(place) => place.insert(export),
        };
        self.changes.send_modify(|count| *count += 1);
        true
    }

    /// Removes it; nothing if another has its place.
    pub fn remove_export(&self, export: &Arc<OpenExport>) {
        let mut exports = self.exports();
        if exports
            .get(&export.seal.export)
            .is_some_and(|open| Arc::ptr_eq(open, export))
        {
            exports.remove(&export.seal.export);
            drop(exports);
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// The export, if the client may use it.
    pub fn export(&self, id: ExportId, client: Ipv4Addr) -> Option<Arc<OpenExport>> {
        self.exports()
            .get(&id)
            .filter(|export| export.serves(client))
            .cloned()
    }

    /// The export with this random path, if the client may use it.
    pub fn export_of_token(&self, token: &str, client: Ipv4Addr) -> Option<Arc<OpenExport>> {
        self.export(export_id(token), client)
            .filter(|export| export.token == token)
    }

    fn has_export_for(&self, client: Ipv4Addr) -> bool {
        self.exports().values().any(|export| export.serves(client))
    }

    /// Returns when no export is left that the client may use.
    pub async fn until_nothing_for(&self, client: Ipv4Addr) {
        let mut changes = self.changes.subscribe();
        while self.has_export_for(client) {
            // The sender lives in `self`.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

async fn accept_connections(shared: Arc<Shared>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    // Dropped with this task, it ends all connections.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (board, client) = match accepted {
            Ok((board, SocketAddr::V4(client))) => (board, *client.ip()),
            Ok((_, SocketAddr::V6(_))) => continue,
            Err(error) => {
                tracing::warn!(%error, "accepting NFS connections failed");
                tokio::time::sleep(ACCEPT_ERROR_PAUSE).await;
                continue;
            }
        };
        if !shared.has_export_for(client) {
            tracing::warn!(nfs.client = %client, "refused an NFS connection: nothing is exported to this address");
            continue;
        }
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(nfs.client = %client, "refused an NFS connection: there are {MOST_CONNECTIONS}");
            continue;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let _place = place;
            serve_connection(&shared, board, client).await;
        });
    }
}

async fn serve_connection(shared: &Arc<Shared>, board: TcpStream, client: Ipv4Addr) {
    tokio::select! {
        result = relay::serve(shared, board, client) => match result {
            Ok(()) => tracing::debug!(nfs.client = %client, "an NFS connection ended"),
            Err(error) => tracing::warn!(nfs.client = %client, %error, "an NFS connection broke"),
        },
        () = shared.until_nothing_for(client) => {
            tracing::debug!(nfs.client = %client, "an NFS connection was cut, its export is closed");
        }
    }
}
