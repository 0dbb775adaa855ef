//! The raw TCP endpoint of a serial port: one client, a new one kicks the old.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::net::Shutdown;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
    time::{Instant, timeout_at},
};

use super::Wire;

/// Between attempts to bind the port again after it was taken away.
const REBIND: Duration = Duration::from_millis(50);

pub(super) struct TcpEnd {
    address: SocketAddr,
    wire: Arc<Wire>,
    client: Mutex<Option<Client>>,
    present: watch::Sender<bool>,
}

struct Client {
    conn: u64,
    stream: Arc<TcpStream>,
    reader: AbortHandle,
    stalled: bool,
}

impl TcpEnd {
    pub(super) async fn open(address: SocketAddr, wire: Arc<Wire>) -> io::Result<Arc<TcpEnd>> {
        let listener = TcpListener::bind(address).await?;
        let end = Arc::new(TcpEnd {
            address: listener.local_addr()?,
            wire,
            client: Mutex::new(None),
            present: watch::Sender::new(true),
        });
        tokio::spawn(Arc::clone(&end).listen(listener));
        Ok(end)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `false` closes the port and drops the client; `true` opens the same port again.
    pub(super) fn set_present(&self, present: bool) {
        self.present.send_replace(present);
    }

    async fn listen(self: Arc<Self>, first: TcpListener) {
        let mut present = self.present.subscribe();
        let mut listener = Some(first);
        loop {
            let Some(open) = &listener else {
                if present.wait_for(|present| *present).await.is_err() {
                    return;
                }
                match TcpListener::bind(self.address).await {
                    Ok(again) => listener = Some(again),
                    Err(error) => {
                        self.wire.event(
                            "error",
                            json!({"what": format!("cannot listen on {}: {error}", self.address)}),
                        );
                        tokio::time::sleep(REBIND).await;
                    }
                }
                continue;
            };
            tokio::select! {
                accepted = open.accept() => match accepted {
                    Ok((stream, peer)) => self.welcome(stream, peer),
                    Err(error) => {
                        self.wire.event("error", json!({"what": format!("accept: {error}")}));
                        tokio::time::sleep(REBIND).await;
                    }
                },
                gone = async { present.wait_for(|present| !present).await.is_ok() } => {
                    if !gone {
                        return;
                    }
                    listener = None;
                    self.dismiss(None, "console gone");
                }
            }
        }
    }

    fn client(&self) -> std::sync::MutexGuard<'_, Option<Client>> {
        self.client
            .lock()
            .expect("nothing panics while it holds the client")
    }

    fn welcome(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        self.dismiss(None, "kicked by a new client");
        if let Err(error) = stream.set_nodelay(true) {
            self.wire
                .event("error", json!({"what": format!("nodelay: {error}")}));
        }
        let stream = Arc::new(stream);
        // Locked before it is counted: whoever sees the count finds the client in place.
        let mut place = self.client();
        let conn = self.wire.next_connection();
        self.wire
            .event("connect", json!({"conn": conn, "peer": peer.to_string()}));
        let reader = tokio::spawn(Arc::clone(self).read(Arc::clone(&stream), conn)).abort_handle();
        *place = Some(Client {
            conn,
            stream,
            reader,
            stalled: false,
        });
    }

    /// Ends the client, or only connection `conn` if that is still the client.
    fn dismiss(&self, conn: Option<u64>, why: &str) {
        let client = {
            let mut place = self.client();
            if place
                .as_ref()
                .is_none_or(|client| conn.is_some_and(|conn| conn != client.conn))
            {
                return;
            }
            place.take()
        };
        if let Some(client) = client {
            client.reader.abort();
            // A peer that is gone already makes this fail, and that is what is wanted.
            let _ = rustix::net::shutdown(&client.stream, Shutdown::Both);
            self.wire
                .event("disconnect", json!({"conn": client.conn, "why": why}));
        }
    }

    async fn read(self: Arc<Self>, stream: Arc<TcpStream>, conn: u64) {
        let mut buffer = [0; 4096];
        let why = loop {
            if let Err(error) = stream.readable().await {
                break error.to_string();
            }
            match stream.try_read(&mut buffer) {
                Ok(0) => break "closed".to_owned(),
                Ok(count) => self.wire.received("tcp", conn, &buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => break error.to_string(),
            }
        };
        self.dismiss(Some(conn), &why);
    }

    pub(super) async fn send(&self, bytes: &[u8]) {
        let client = self
            .client()
            .as_ref()
            .map(|client| (client.conn, Arc::clone(&client.stream), client.stalled));
        let Some((conn, stream, stalled)) = client else {
            return self.wire.lost("tcp", bytes, "nobody");
        };
        let deadline = Instant::now() + self.wire.patience;
        let mut stalled = stalled;
        let mut rest = bytes;
        while !rest.is_empty() {
            match stream.try_write(rest) {
                Ok(count) => {
                    if stalled {
                        stalled = false;
                        self.mark_stalled(conn, false);
                    }
                    self.wire.accepted("tcp", conn, &rest[..count]);
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if stalled || timeout_at(deadline, stream.writable()).await.is_err() {
                        self.mark_stalled(conn, true);
                        return self.wire.lost("tcp", rest, "full");
                    }
                }
                Err(error) => {
                    self.wire.lost("tcp", rest, "closed");
                    return self.dismiss(Some(conn), &error.to_string());
                }
            }
        }
    }

    fn mark_stalled(&self, conn: u64, stalled: bool) {
        if let Some(client) = self.client().as_mut().filter(|client| client.conn == conn) {
            client.stalled = stalled;
        }
    }
}
