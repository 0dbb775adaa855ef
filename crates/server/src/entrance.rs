//! Where connections come in: TCP, TLS, a Unix socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::TcpEntrance;

/// How long a client may take for its TLS handshake, and for the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(15);
/// How long connections may take to end once the server stops.
const END_LIMIT: Duration = Duration::from_secs(5);
/// More connections at once wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 4096;
/// A client that acknowledges or takes nothing for so long is gone.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// A client to whom nothing is sent is asked after so long whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_PERIOD: Duration = Duration::from_secs(10);
const KEEPALIVE_COUNT: u32 = 3;
/// Pause after an accept that failed: usually there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a request came from: an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The Unix socket, which only its owner can open.
    Unix,
    /// TCP.
    Tcp {
        /// The client's address, or its proxy's.
        address: SocketAddr,
        /// The connection is encrypted.
        tls: bool,
    },
}

impl Peer {
    /// Whether nobody on a network can read along.
    pub fn is_private(self) -> bool {
        match self {
            Self::Unix => true,
            Self::Tcp { address, tls } => tls || address.ip().is_loopback(),
        }
    }
}

/// Something that connections come from.
pub(crate) enum Listener {
    /// TCP, perhaps with TLS.
    Tcp(TcpListener, Option<TlsAcceptor>),
    /// A Unix socket.
    Unix(UnixListener),
}

enum Connection {
    Tcp(TcpStream, SocketAddr, Option<TlsAcceptor>),
    Unix(UnixStream),
}

impl From<TcpEntrance> for Listener {
    fn from(entrance: TcpEntrance) -> Self {
        Self::Tcp(entrance.listener, entrance.tls.map(TlsAcceptor::from))
    }
}

impl Listener {
    async fn accept(&self) -> std::io::Result<Connection> {
        match self {
            Self::Tcp(listener, acceptor) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                give_up_on_the_silent(&stream)?;
                Ok(Connection::Tcp(stream, address, acceptor.clone()))
            }
            Self::Unix(listener) => Ok(Connection::Unix(listener.accept().await?.0)),
        }
    }
}

/// Has the kernel end a connection whose other end is gone without a word, or takes nothing: what
/// waits for it in memory waits no longer than this.
fn give_up_on_the_silent(stream: &TcpStream) -> std::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_PERIOD)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_COUNT)?;
    // It counts for what is sent and not acknowledged as for what finds the other end's window
    // closed (tcp(7)).
    let limit = u32::try_from(SILENCE_LIMIT.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(stream, limit)?;
    Ok(())
}

/// Accepts connections until it is told to stop, and sees them to their end.
#[derive(Clone, Debug)]
pub(crate) struct Entrance {
    router: Router,
    stop: CancellationToken,
    connections: TaskTracker,
    places: Arc<Semaphore>,
}

impl Entrance {
    pub(crate) fn new(router: Router, stop: CancellationToken) -> Self {
        Self {
            router,
            stop,
            connections: TaskTracker::new(),
            places: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
        }
    }

    /// Serves a listener until the server stops.
    pub(crate) async fn run(self, listener: Listener) {
        loop {
            let place = tokio::select! {
                place = self.places.clone().acquire_owned() => place,
                () = self.stop.cancelled() => return,
            };
            // The semaphore is never closed.
            let Ok(place) = place else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok(connection) => {
                    let this = self.clone();
                    self.connections.spawn(async move {
                        this.connection(connection).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(self, connection: Connection) {
        let (stream, address, acceptor) = match connection {
            Connection::Unix(stream) => return self.serve(stream, Peer::Unix).await,
            Connection::Tcp(stream, address, acceptor) => (stream, address, acceptor),
        };
        let tls = acceptor.is_some();
        let peer = Peer::Tcp { address, tls };
        let Some(acceptor) = acceptor else {
            return self.serve(stream, peer).await;
        };
        match time::timeout(HEAD_LIMIT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream, peer).await,
            Ok(Err(error)) => {
                tracing::debug!(%address, %error, "a client's TLS handshake failed");
            }
            Err(_) => tracing::debug!(%address, "a client's TLS handshake took too long"),
        }
    }

    async fn serve<S>(self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.router;
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            // A router is always ready, and a clone of it is an `Arc`.
            tower_service::Service::call(&mut router.clone(), request)
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_LIMIT);
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        tokio::select! {
            // What a client does wrong is its own affair.
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::trace!(%error, "a connection broke off");
                }
                return;
            }
            () = self.stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = time::timeout(END_LIMIT, connection).await;
    }

    /// Waits until every connection has ended; bounded, since each is.
    pub(crate) async fn ended(&self) {
        self.connections.close();
        self.connections.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_vanishes_or_never_reads_is_dropped_within_a_minute() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let entrance = Listener::Tcp(listener, None);
        let (client, accepted) = tokio::join!(TcpStream::connect(address), entrance.accept());
        let _client = client.unwrap();
        let Ok(Connection::Tcp(stream, ..)) = accepted else {
            panic!("no connection");
        };
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 60_000);
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        let silence = sockopt::tcp_keepidle(&stream).unwrap()
            + sockopt::tcp_keepintvl(&stream).unwrap() * sockopt::tcp_keepcnt(&stream).unwrap();
        assert_eq!(silence, Duration::from_secs(60));
    }
}
