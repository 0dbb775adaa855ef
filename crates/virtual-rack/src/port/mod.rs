//! The serial port of a board. It belongs to the rack and outlives power cuts.
//!
//! A port has up to two endpoints, a raw TCP port (one client; a new one kicks the old) and a PTY. Each gets everything
//! that the board says while somebody reads there; what nobody reads is lost, as on a UART, and never kept for a later
//! reader. "Somebody reads" means: a TCP client is connected, or a process has the PTY open. A client that is
//! connected but does not take its bytes is waited for once for `patience`; then bytes are lost at once until it reads again.
//! What the kernel had accepted for a client that dies is logged as `tx` of that connection.

pub mod pty;
mod tcp;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::sync::mpsc;

use self::{
    pty::{Pty, PtyEvent, PtyServer, Written},
    tcp::TcpEnd,
};
use crate::{
    knobs::KnobPanel,
    log::{RackLog, b64},
};

/// Bytes of input that wait for a board that is busy, in chunks.
const INPUT_CHUNKS: usize = 1024;

/// A board's serial port.
pub struct Port {
    wire: Arc<Wire>,
    tcp: Option<Arc<TcpEnd>>,
    pty: Option<PtyEnd>,
    /// One writer at a time, so that all endpoints see one order.
    writing: tokio::sync::Mutex<()>,
}

/// What both endpoints share.
struct Wire {
    board: String,
    log: Arc<RackLog>,
    knobs: Arc<KnobPanel>,
    patience: Duration,
    input: Mutex<Option<mpsc::Sender<Vec<u8>>>>,
    connections: AtomicU64,
    traffic: Traffic,
}

struct PtyEnd {
    pty: Arc<Pty>,
    conn: Arc<AtomicU64>,
    stalled: std::sync::atomic::AtomicBool,
}

/// Bytes counted at a port.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Accepted by a console socket or PTY.
    pub tx: AtomicU64,
    /// Said by the board and read by nobody.
    pub lost: AtomicU64,
    /// Sent by console clients.
    pub rx: AtomicU64,
}

/// How a port is made.
pub struct PortSettings<'a> {
    /// The board's name.
    pub board: &'a str,
    /// Raw TCP port.
    pub tcp: Option<SocketAddr>,
    /// Link to the PTY.
    pub pty: Option<&'a Path>,
    /// How long a write waits for a connected client that does not read.
    pub patience: Duration,
}

impl Port {
    /// Binds the endpoints. The console exists from here on, whatever the board's power does.
    pub async fn open(
        settings: PortSettings<'_>,
        log: Arc<RackLog>,
        knobs: Arc<KnobPanel>,
        ptys: &PtyServer,
    ) -> std::io::Result<Arc<Port>> {
        let wire = Arc::new(Wire {
            board: settings.board.to_owned(),
            log,
            knobs,
            patience: settings.patience,
            input: Mutex::new(None),
            connections: AtomicU64::new(0),
            traffic: Traffic::default(),
        });
        let tcp = match settings.tcp {
            Some(address) => Some(TcpEnd::open(address, Arc::clone(&wire)).await?),
            None => None,
        };
        let pty = match settings.pty {
            Some(link) => Some(PtyEnd::open(link, &wire, ptys)?),
            None => None,
        };
        let port = Arc::new(Port {
            wire,
            tcp,
            pty,
            writing: tokio::sync::Mutex::new(()),
        });
        tokio::spawn(watch_presence(Arc::clone(&port)));
        Ok(port)
    }

    /// Where the TCP endpoint listens.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().map(|tcp| tcp.address())
    }

    /// The stable path of the PTY.
    pub fn pty_link(&self) -> Option<&Path> {
        self.pty.as_ref().map(|end| end.pty.link())
    }

    /// Byte counters.
    pub fn traffic(&self) -> &Traffic {
        &self.wire.traffic
    }

    /// How many clients came so far, over both endpoints.
    pub fn connections(&self) -> u64 {
        self.wire.connections.load(Ordering::Relaxed)
    }

    /// A powered board takes the input from here on; a former taker gets no more.
    pub fn attach(&self) -> mpsc::Receiver<Vec<u8>> {
        let (sender, receiver) = mpsc::channel(INPUT_CHUNKS);
        *self.wire.input() = Some(sender);
        receiver
    }

    /// No board listens any more; input vanishes.
    pub fn detach(&self) {
        *self.wire.input() = None;
    }

    /// The board says something. Returns when each endpoint has taken or lost it.
    pub async fn send(&self, bytes: &[u8]) {
        let _one = self.writing.lock().await;
        let kept;
        let mut bytes = bytes;
        if let Some((left, gone)) = self.wire.knobs.drop_bytes(true, bytes) {
            if !gone.is_empty() {
                self.wire
                    .event("knob-dropped", json!({"dir": "out", "b64": b64(&gone)}));
            }
            kept = left;
            bytes = &kept;
        }
        if bytes.is_empty() {
            return;
        }
        if let Some(tcp) = &self.tcp {
            tcp.send(bytes).await;
        }
        if let Some(end) = &self.pty {
            end.send(bytes, &self.wire).await;
        }
    }
}

impl Wire {
    fn input(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Vec<u8>>>> {
        self.input
            .lock()
            .expect("nothing panics while it holds the input")
    }

    fn event(&self, event: &str, mut fields: serde_json::Value) {
        fields["board"] = self.board.clone().into();
        self.log.event(event, fields);
    }

    fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn accepted(&self, to: &str, conn: u64, bytes: &[u8]) {
        self.traffic
            .tx
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.event("tx", json!({"to": to, "conn": conn, "b64": b64(bytes)}));
    }

    fn lost(&self, to: &str, bytes: &[u8], why: &str) {
        self.traffic
            .lost
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.event("lost", json!({"to": to, "b64": b64(bytes), "why": why}));
    }

    /// A client sent something.
    fn received(&self, from: &str, conn: u64, bytes: &[u8]) {
        self.traffic
            .rx
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let input = self.input().clone();
        self.event(
            "rx",
            json!({"from": from, "conn": conn, "b64": b64(bytes), "powered": input.is_some()}),
        );
        let mut bytes = bytes.to_vec();
        if let Some((left, gone)) = self.knobs.drop_bytes(false, &bytes) {
            if !gone.is_empty() {
                self.event("knob-dropped", json!({"dir": "in", "b64": b64(&gone)}));
            }
            bytes = left;
        }
        let count = bytes.len();
        if let Some(input) = input
            && count > 0
            && input.try_send(bytes).is_err()
        {
            self.event("rx-lost", json!({"n": count}));
        }
    }
}

impl PtyEnd {
    fn open(link: &Path, wire: &Arc<Wire>, server: &PtyServer) -> std::io::Result<PtyEnd> {
        let conn = Arc::new(AtomicU64::new(0));
        let owner = {
            let (wire, conn) = (Arc::clone(wire), Arc::clone(&conn));
            move |event: PtyEvent<'_>| {
                let number = conn.load(Ordering::Relaxed);
                match event {
                    PtyEvent::Opened => {
                        let number = wire.next_connection();
                        conn.store(number, Ordering::Relaxed);
                        wire.event("connect", json!({"conn": number, "peer": "pty"}));
                    }
                    PtyEvent::Input(bytes) => wire.received("pty", number, bytes),
                    PtyEvent::Closed(unread) => {
                        match unread {
                            Some([]) => {}
                            Some(bytes) => {
                                wire.event(
                                    "unread",
                                    json!({"to": "pty", "conn": number, "b64": b64(bytes)}),
                                );
                            }
                            None => wire.event(
                                "unread",
                                json!({"to": "pty", "conn": number, "unknown": true}),
                            ),
                        }
                        wire.event("disconnect", json!({"conn": number, "why": "closed"}));
                    }
                    PtyEvent::Failed(error) => {
                        wire.event(
                            "error",
                            json!({"what": format!("cannot replace the PTY: {error}")}),
                        );
                    }
                }
            }
        };
        let pty = Pty::open(link, server, Box::new(owner))?;
        Ok(PtyEnd {
            pty,
            conn,
            stalled: false.into(),
        })
    }

    async fn send(&self, bytes: &[u8], wire: &Wire) {
        let deadline = tokio::time::Instant::now() + wire.patience;
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.pty.write(rest) {
                Ok(Written::Accepted(count)) => {
                    self.stalled.store(false, Ordering::Relaxed);
                    wire.accepted("pty", self.conn.load(Ordering::Relaxed), &rest[..count]);
                    rest = &rest[count..];
                }
                Ok(Written::Nobody) => return wire.lost("pty", rest, "nobody"),
                Ok(Written::Full) => {
                    let patient = !self.stalled.load(Ordering::Relaxed);
                    if !patient || tokio::time::Instant::now() >= deadline {
                        self.stalled.store(true, Ordering::Relaxed);
                        return wire.lost("pty", rest, "full");
                    }
                    // A PTY master cannot be waited on for room without the runtime owning it.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Err(error) => {
                    wire.event("error", json!({"what": format!("PTY: {error}")}));
                    return wire.lost("pty", rest, "closed");
                }
            }
        }
    }
}

/// Follows the knob `console_gone`.
async fn watch_presence(port: Arc<Port>) {
    let mut changes = port.wire.knobs.watch();
    let mut gone = false;
    loop {
        let asked = port.wire.knobs.current().console_gone.is_some();
        if asked != gone {
            gone = asked;
            if gone {
                port.wire.knobs.count("console_gone");
            }
            if let Some(tcp) = &port.tcp {
                tcp.set_present(!gone);
            }
            if let Some(end) = &port.pty
                && let Err(error) = end.pty.set_present(!gone)
            {
                port.wire
                    .event("error", json!({"what": format!("PTY: {error}")}));
            }
            port.wire.event("console", json!({"present": !gone}));
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}
