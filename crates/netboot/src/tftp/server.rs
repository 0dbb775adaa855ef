//! The listener: looks at requests, decides who gets what, starts transfers.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::event::{StrayRequest, TransferEventKind, TransferFailure};
use super::packet::{Direction, ErrorCode, Packet, Request, encode_error};
use super::root::{OpenRoot, OpenRootError, Root, RootSpec};
use super::task::TransferTask;
use super::transfer::{Conversation, Wish};
use crate::name::check_component;

/// Largest request that is read, in bytes. RFC 2347 allows 512.
const LARGEST_REQUEST: usize = 2048;
/// Transfers at the same time, so that a flood of requests cannot use up files and memory.
const MOST_TRANSFERS: usize = 1024;
/// Letters of an asked path that are repeated in events and messages.
const LONGEST_SHOWN_PATH: usize = 120;
/// Stray requests kept for a reader that is late.
const STRAY_BACKLOG: usize = 256;
/// Rest after the listening socket failed, so that a persistent error does not spin.
const RECEIVE_ERROR_PAUSE: Duration = Duration::from_millis(100);

/// A TFTP server. Dropping it stops listening and ends all transfers.
#[derive(Debug)]
pub struct TftpServer {
    shared: Arc<Shared>,
    local: SocketAddrV4,
    listener: JoinHandle<()>,
}

/// What the listener, the roots and the transfers share. Locked only where a request, a root or a transfer begins or ends.
#[derive(Debug)]
pub(crate) struct Shared {
    local: Ipv4Addr,
    registry: Mutex<Registry>,
    strays: broadcast::Sender<StrayRequest>,
}

#[derive(Debug, Default)]
struct Registry {
    closed: bool,
    roots: HashMap<String, Arc<OpenRoot>>,
    transfers: HashMap<SocketAddrV4, Running>,
    last_id: u64,
}

#[derive(Debug)]
struct Running {
    id: u64,
    root: String,
    file: String,
    request: Request,
    heard: Arc<AtomicBool>,
    wishes: watch::Sender<Wish>,
}

/// A request that is answered with an error.
struct Refusal {
    code: ErrorCode,
    reason: String,
    /// The roots whose owners should know: the one asked for, or those of the board that asks.
    told: Vec<Arc<OpenRoot>>,
}

impl TftpServer {
    /// Listens on `listen`; port 0 takes a free one. Must be called inside a tokio runtime.
    ///
    /// Give the address that boards use rather than 0.0.0.0 on a host with several: answers leave from the address
    /// given here, and with 0.0.0.0 the kernel chooses one.
    pub fn bind(listen: SocketAddrV4) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(listen)
            .map_err(|error| explain_bind_error(listen, &error))?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let SocketAddr::V4(local) = socket.local_addr()? else {
            return Err(io::Error::other("the TFTP socket has no IPv4 address"));
        };
        let shared = Arc::new(Shared {
            local: *local.ip(),
            registry: Mutex::default(),
            strays: broadcast::Sender::new(STRAY_BACKLOG),
        });
        let listener = tokio::spawn(listen_for_requests(Arc::clone(&shared), socket));
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

    /// Opens a root under a new random name.
    pub fn open_root(&self, spec: RootSpec) -> Result<Root, OpenRootError> {
        Root::open(Arc::clone(&self.shared), None, spec)
    }

    /// Opens a root under the name it had before a restart, because a board has been told that name already.
    pub fn reopen_root(&self, name: &str, spec: RootSpec) -> Result<Root, OpenRootError> {
        Root::open(Arc::clone(&self.shared), Some(name), spec)
    }

    /// Requests that no root can be told of: nobody's board asks, or for a root that is gone.
    pub fn stray_requests(&self) -> broadcast::Receiver<StrayRequest> {
        self.shared.strays.subscribe()
    }
}

impl Drop for TftpServer {
    fn drop(&mut self) {
        self.listener.abort();
        let mut registry = self.shared.registry();
        registry.closed = true;
        for running in registry.transfers.values() {
            running.stop(TransferFailure::RootClosed);
        }
    }
}

/// Says what is wrong with the address or port, and the ways out.
fn explain_bind_error(listen: SocketAddrV4, error: &io::Error) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "; port {} needs a right: start as root, grant it with `setcap cap_net_bind_service=+ep PROGRAM` or \
             `AmbientCapabilities=CAP_NET_BIND_SERVICE` in the unit, lower `sysctl net.ipv4.ip_unprivileged_port_start`, \
             or listen on a port from 1024 up if the boards can be told",
            listen.port()
        ),
        io::ErrorKind::AddrInUse => {
            "; another run serves its board from here, or another TFTP server runs (tftpd-hpa, dnsmasq, in.tftpd?)".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("; {} is not an address of this host", listen.ip())
        }
        _ => String::new(),
    };
    io::Error::new(
        error.kind(),
        format!("cannot listen for TFTP on UDP {listen}: {error}{advice}"),
    )
}

async fn listen_for_requests(shared: Arc<Shared>, socket: UdpSocket) {
    let mut buffer = vec![0; LARGEST_REQUEST];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok((length, SocketAddr::V4(client))) => (length, client),
            Ok((_, SocketAddr::V6(_))) => continue,
            Err(error) => {
                tracing::warn!(%error, "receiving TFTP requests failed");
                tokio::time::sleep(RECEIVE_ERROR_PAUSE).await;
                continue;
            }
        };
        let answer = match Packet::parse(&buffer[..length]) {
            Ok(Packet::Request(request)) => shared.take_request(client, request),
            // Packets of transfers have no business at this port, and answering them would invite loops.
            Ok(_) => None,
            Err(error) if buffer.starts_with(&[0, 1]) || buffer.starts_with(&[0, 2]) => {
                Some((ErrorCode::IllegalOperation, error.to_string()))
            }
            Err(_) => None,
        };
        if let Some((code, text)) = answer
            && let Err(error) = socket.send_to(&encode_error(code, &text), client).await
        {
            tracing::debug!(tftp.client = %client, %error, "a refusal could not be sent");
        }
    }
}

impl Shared {
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns false if the name is taken.
    pub fn add_root(&self, root: Arc<OpenRoot>) -> bool {
        match self.registry().roots.entry(root.name.clone()) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(root);
                true
            }
        }
    }

    /// Removes the root and ends its transfers; nothing if that is done already.
    pub fn remove_root(&self, root: &Arc<OpenRoot>) {
        let mut registry = self.registry();
        if registry
            .roots
            .get(&root.name)
            .is_some_and(|open| Arc::ptr_eq(open, root))
        {
            registry.roots.remove(&root.name);
            for running in registry
                .transfers
                .values()
                .filter(|running| running.root == root.name)
            {
                running.stop(TransferFailure::RootClosed);
            }
        }
    }

    /// The transfer has ended. Its client may have begun another, which stays.
    pub fn remove_transfer(&self, client: SocketAddrV4, id: u64) {
        let mut registry = self.registry();
        if registry
            .transfers
            .get(&client)
            .is_some_and(|running| running.id == id)
        {
            registry.transfers.remove(&client);
        }
    }

    /// Starts the transfer that is asked for, or returns the error to answer with.
    fn take_request(
        self: &Arc<Self>,
        client: SocketAddrV4,
        request: Request,
    ) -> Option<(ErrorCode, String)> {
        let mut registry = self.registry();
        if registry.closed {
            return None;
        }
        // A network may deliver a request twice, and a client repeats it when the answer is lost. Both belong to the
        // transfer that runs already, as long as the client has not answered on that one's port.
        if let Some(running) = registry.transfers.get(&client) {
            if running.request == request && !running.heard.load(Ordering::Relaxed) {
                running.wishes.send_modify(|wish| wish.repeated += 1);
                return None;
            }
            running.stop(TransferFailure::Replaced);
        }
        let direction = request.direction;
        let shown = shown_path(&request.path);
        match registry.admit(client, &request) {
            Ok((root, file)) => {
                let started = self.start(&mut registry, client, request, &root, &file);
                let error = started.err()?;
                let failure = TransferFailure::Socket(error.to_string());
                let (bytes, duration, retransmits) = (0, Duration::ZERO, 0);
                let kind = TransferEventKind::Failed {
                    bytes,
                    duration,
                    retransmits,
                    reason: failure.clone(),
                };
                root.report(client, direction, &file, kind);
                failure.error_packet()
            }
            Err(Refusal { code, reason, told }) => {
                drop(registry);
                if told.is_empty() {
                    // An error only says that nobody listens.
                    let _ = self.strays.send(StrayRequest {
                        client: *client.ip(),
                        path: shown,
                        reason: reason.clone(),
                    });
                } else {
                    for root in told {
                        let kind = TransferEventKind::Refused {
                            reason: reason.clone(),
                        };
                        root.report(client, direction, &shown, kind);
                    }
                }
                Some((code, reason))
            }
        }
    }

    fn start(
        self: &Arc<Self>,
        registry: &mut Registry,
        client: SocketAddrV4,
        request: Request,
        root: &Arc<OpenRoot>,
        file: &str,
    ) -> io::Result<()> {
        let (wishes, wished) = watch::channel(Wish::default());
        let heard = Arc::new(AtomicBool::new(false));
        let conversation = Conversation::open(self.local, client, wished, Arc::clone(&heard))?;
        if request.direction == Direction::Upload {
            let same = |running: &&Running| {
                running.root == root.name
                    && running.file == file
                    && running.request.direction == Direction::Upload
            };
            for running in registry.transfers.values().filter(same) {
                running.stop(TransferFailure::Replaced);
            }
        }
        registry.last_id += 1;
        let id = registry.last_id;
        root.running.send_modify(|count| *count += 1);
        let task = TransferTask {
            shared: Arc::clone(self),
            root: Arc::clone(root),
            id,
            client,
            direction: request.direction,
            file: file.to_owned(),
            reported: false,
        };
        let running = Running {
            id,
            root: root.name.clone(),
            file: file.to_owned(),
            request: request.clone(),
            heard,
            wishes,
        };
        registry.transfers.insert(client, running);
        tokio::spawn(task.run(conversation, request));
        Ok(())
    }
}

impl Registry {
    /// Decides whether the client gets what it asks for: the root and the file's name, checked.
    fn admit(
        &self,
        client: SocketAddrV4,
        request: &Request,
    ) -> Result<(Arc<OpenRoot>, String), Refusal> {
        let address = *client.ip();
        let refuse =
            |code, told: Vec<Arc<OpenRoot>>, reason: String| Err(Refusal { code, reason, told });
        let own = || {
            self.roots
                .values()
                .filter(|root| root.client == Some(address))
                .cloned()
                .collect::<Vec<_>>()
        };
        // Boot loaders differ in whether they put a slash in front.
        let path = request.path.trim_start_matches('/');
        let (root, file) = path.split_once('/').unwrap_or((path, ""));
        let Some(root) = self.roots.get(root) else {
            let reason = format!(
                "no such directory: {}; each lease has its own",
                shown_path(&request.path)
            );
            return refuse(ErrorCode::FileNotFound, own(), reason);
        };
        let told = vec![Arc::clone(root)];
        if !root.serves(address) {
            return refuse(
                ErrorCode::AccessViolation,
                told,
                format!("{address} may not use this directory"),
            );
        }
        if request.mode != "octet" {
            let reason = format!(
                "mode {} is not served, only octet (binary)",
                shown_path(&request.mode)
            );
            return refuse(ErrorCode::IllegalOperation, told, reason);
        }
        if let Err(error) = check_component(file) {
            return refuse(
                ErrorCode::AccessViolation,
                told,
                shorten(&error.to_string()),
            );
        }
        match request.direction {
            Direction::Download if root.file(file).is_none() => {
                let reason = format!(
                    // The first words are what boot loaders and their error lists know.
                    "File not found: {}; there are: {}",
                    shown_path(file),
                    root.file_names()
                );
                return refuse(ErrorCode::FileNotFound, told, reason);
            }
            Direction::Upload if root.uploads.is_none() => {
                let reason = "uploads are not allowed here".to_owned();
                return refuse(ErrorCode::AccessViolation, told, reason);
            }
            Direction::Download | Direction::Upload => {}
        }
        if self.transfers.len() >= MOST_TRANSFERS {
            return refuse(
                ErrorCode::NotDefined,
                told,
                format!("more than {MOST_TRANSFERS} transfers at once"),
            );
        }
        Ok((Arc::clone(root), file.to_owned()))
    }
}

impl Running {
    fn stop(&self, failure: TransferFailure) {
        self.wishes.send_modify(|wish| {
            wish.stop.get_or_insert(failure);
        });
    }
}

/// The path as asked for, fit for messages.
fn shown_path(path: &str) -> String {
    shorten(&path.escape_debug().to_string())
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= LONGEST_SHOWN_PATH {
        return text.to_owned();
    }
    text.chars()
        .take(LONGEST_SHOWN_PATH)
        .chain(['.', '.', '.'])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_needs_a_right_is_named_with_the_ways_out() {
        let listen = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 69);
        let text = explain_bind_error(listen, &io::ErrorKind::PermissionDenied.into()).to_string();
        for part in [
            "UDP 10.0.0.1:69",
            "port 69 needs a right",
            "cap_net_bind_service",
            "ip_unprivileged_port_start",
        ] {
            assert!(text.contains(part), "no {part:?} in {text:?}");
        }
    }
}
