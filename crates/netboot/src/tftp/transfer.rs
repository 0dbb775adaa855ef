//! Drives one transfer: its own socket, the state machine, the file.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::Instant;

use super::event::{TransferEventKind, TransferFailure};
use super::negotiate::{Terms, negotiate};
use super::packet::{Packet, Request, encode_ack, encode_data, encode_error, encode_option_ack};
use super::receive::{ReceiveStep, Receiving};
use super::send::{SendStep, Sending};
use super::source::{BlockReader, FileSource, OpenSource};
use super::upload::PartFile;

/// What others want of a running transfer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wish {
    /// End, and why.
    pub stop: Option<TransferFailure>,
    /// How often the client has repeated its request.
    pub repeated: u64,
}

/// How a transfer went, whichever way it ended.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub bytes: u64,
    pub retransmits: u64,
}

/// The talk with one client over a socket of its own, whose port is our transfer identifier.
#[derive(Debug)]
pub(crate) struct Conversation {
    socket: UdpSocket,
    client: SocketAddrV4,
    started: Instant,
    wishes: watch::Receiver<Wish>,
    repeated: u64,
    /// Set once the client has answered on this socket.
    heard: Arc<AtomicBool>,
    /// The client's host has said that the port is closed. What it sent before may still lie in the queue.
    refused: bool,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

enum Heard {
    /// A datagram of this length is in `incoming`.
    Datagram(usize),
    RequestRepeated,
    Nothing,
}

impl Conversation {
    /// Opens a socket at the address that was asked, so that answers come from there; connected, so that the kernel passes
    /// on only what this client sends.
    pub fn open(
        local: Ipv4Addr,
        client: SocketAddrV4,
        wishes: watch::Receiver<Wish>,
        heard: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind((local, 0))?;
        socket.connect(client)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            client,
            started: Instant::now(),
            wishes,
            repeated: 0,
            heard,
            refused: false,
            incoming: Vec::new(),
            outgoing: Vec::new(),
        })
    }

    /// Time since the request.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Tells the client why it is over. It may not arrive; nothing depends on it.
    pub async fn say_failure(&self, failure: &TransferFailure) {
        if let Some((code, text)) = failure.error_packet()
            && let Err(error) = self.socket.send(&encode_error(code, &text)).await
        {
            tracing::debug!(tftp.client = %self.client, %error, "the client could not be told of the failure");
        }
    }

    async fn send(&mut self, packet: &[u8]) -> Result<(), TransferFailure> {
        match self.socket.send(packet).await {
            Ok(_) => Ok(()),
            Err(error) => self.weigh(&error),
        }
    }

    /// Sorts the errors of a connected UDP socket. Those that a full queue or a moment's lack of a route cause are losses
    /// like any other, and the time-out deals with them.
    fn weigh(&mut self, error: &io::Error) -> Result<(), TransferFailure> {
        match error.kind() {
            ErrorKind::ConnectionRefused => {
                self.refused = true;
                Ok(())
            }
            ErrorKind::WouldBlock
            | ErrorKind::Interrupted
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::OutOfMemory => Ok(()),
            _ if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => Ok(()),
            _ => Err(TransferFailure::Socket(error.to_string())),
        }
    }

    fn wish(&mut self) -> Result<bool, TransferFailure> {
        let wish = self.wishes.borrow_and_update();
        if let Some(failure) = &wish.stop {
            return Err(failure.clone());
        }
        let repeated = wish.repeated > self.repeated;
        self.repeated = wish.repeated;
        Ok(repeated)
    }

    /// What came already, without waiting.
    fn glance(&mut self) -> Result<Heard, TransferFailure> {
        if self.wishes.has_changed().unwrap_or(true) && self.wish()? {
            return Ok(Heard::RequestRepeated);
        }
        match self.socket.try_recv(&mut self.incoming) {
            Ok(length) => Ok(Heard::Datagram(length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock && self.refused => {
                Err(TransferFailure::ClientGone)
            }
            Err(error) => self.weigh(&error).map(|()| Heard::Nothing),
        }
    }

    /// Waits for a packet or a wish until `deadline`.
    async fn listen(&mut self, deadline: Duration) -> Result<Heard, TransferFailure> {
        if self.refused {
            return self.glance();
        }
        tokio::select! {
            changed = self.wishes.changed() => match changed {
                Ok(()) if self.wish()? => Ok(Heard::RequestRepeated),
                Ok(()) => Ok(Heard::Nothing),
                // The server is gone.
                Err(_) => Err(TransferFailure::RootClosed),
            },
            received = self.socket.recv(&mut self.incoming) => match received {
                Ok(length) => Ok(Heard::Datagram(length)),
                Err(error) => self.weigh(&error).map(|()| Heard::Nothing),
            },
            () = tokio::time::sleep_until(self.started + deadline) => Ok(Heard::Nothing),
        }
    }

    /// Sends a file to the client.
    pub async fn serve_download(
        &mut self,
        request: &Request,
        source: &FileSource,
        tally: &mut Tally,
        announce: impl FnOnce(TransferEventKind),
    ) -> Result<(), TransferFailure> {
        let source = source.clone();
        let opened = tokio::task::spawn_blocking(move || OpenSource::open(&source)).await;
        let opened = opened
            .map_err(|_| TransferFailure::Bug)?
            .map_err(TransferFailure::Source)?;
        let size = opened.size;
        let terms = negotiate(request, *self.client.ip(), Some(size));
        announce(started(Some(size), &terms));
        self.incoming.resize(LARGEST_ANSWER, 0);
        let mut reader = BlockReader::new(Arc::new(opened), terms.block_size);
        let mut machine = Sending::new(&terms, size);
        let outcome = loop {
            let heard = match machine.step(self.elapsed()) {
                SendStep::Finished => break Ok(()),
                SendStep::Failed(failure) => break Err(failure),
                SendStep::Wait(deadline) => self.listen(deadline).await,
                SendStep::Options => match self.send(&encode_option_ack(&terms.answer)).await {
                    Ok(()) => self.glance(),
                    Err(failure) => Err(failure),
                },
                SendStep::Block(number) => match reader.block(number).await {
                    Ok(payload) => self.send_block(number, &payload).await,
                    Err(reason) => Err(TransferFailure::Source(reason)),
                },
            };
            match heard {
                Ok(Heard::Nothing) => {}
                Ok(Heard::RequestRepeated) => machine.repeat_first_answer(),
                Ok(Heard::Datagram(length)) => match Packet::parse(&self.incoming[..length]) {
                    Ok(Packet::Ack(block)) => {
                        self.heard.store(true, Ordering::Relaxed);
                        machine.acknowledge(block, self.started.elapsed());
                        reader.forget(machine.acknowledged_blocks());
                    }
                    Ok(Packet::Error { code, text }) => {
                        machine.fail(TransferFailure::ClientError { code, text });
                    }
                    // Whatever else comes is not for this transfer.
                    Ok(_) | Err(_) => {}
                },
                Err(failure) => {
                    machine.fail(failure);
                }
            }
        };
        *tally = Tally {
            bytes: machine.acknowledged_bytes(),
            retransmits: machine.retransmits(),
        };
        outcome
    }

    async fn send_block(&mut self, number: u64, payload: &[u8]) -> Result<Heard, TransferFailure> {
        encode_data(&mut self.outgoing, number as u16, payload);
        let packet = std::mem::take(&mut self.outgoing);
        let sent = self.send(&packet).await;
        self.outgoing = packet;
        sent?;
        self.glance()
    }

    /// Takes a file from the client. `stored` is called when it is durable under its name; afterwards the client only
    /// hears the last acknowledgement again if it asks for it.
    pub async fn serve_upload(
        &mut self,
        request: &Request,
        target: (&std::path::Path, &str, u64),
        tally: &mut Tally,
        announce: impl FnOnce(TransferEventKind),
        mut stored: impl FnMut(Tally),
    ) -> Result<(), TransferFailure> {
        let (directory, name, limit) = target;
        let terms = negotiate(request, *self.client.ip(), None);
        if terms.announced_size.is_some_and(|size| size > limit) {
            return Err(TransferFailure::UploadLimit { limit });
        }
        let mut part = PartFile::create(directory, name, limit).await?;
        announce(started(terms.announced_size, &terms));
        // One byte more than agreed shows a block that is too long.
        self.incoming
            .resize((terms.block_size + 5).max(LARGEST_ANSWER), 0);
        let answer = encode_option_ack(&terms.answer);
        let mut machine = Receiving::new(terms);
        let outcome = loop {
            let heard = match machine.step(self.elapsed()) {
                ReceiveStep::Finished => break Ok(()),
                ReceiveStep::Failed(failure) => break Err(failure),
                ReceiveStep::Wait(deadline) => self.listen(deadline).await,
                ReceiveStep::Options => self.send(&answer).await.map(|()| Heard::Nothing),
                ReceiveStep::Ack(block) => {
                    self.send(&encode_ack(block)).await.map(|()| Heard::Nothing)
                }
                ReceiveStep::Commit => match part.commit().await {
                    Ok(()) => {
                        machine.committed(self.elapsed());
                        stored(Tally {
                            bytes: machine.bytes(),
                            retransmits: machine.retransmits(),
                        });
                        Ok(Heard::Nothing)
                    }
                    Err(failure) => Err(failure),
                },
            };
            match heard {
                Ok(Heard::Nothing) => {}
                Ok(Heard::RequestRepeated) => machine.repeat_first_answer(),
                Ok(Heard::Datagram(length)) => match Packet::parse(&self.incoming[..length]) {
                    Ok(Packet::Data { block, payload }) => {
                        self.heard.store(true, Ordering::Relaxed);
                        if machine.take_block(block, payload.len(), self.started.elapsed())
                            && let Err(failure) = part.append(payload).await
                        {
                            machine.fail(failure);
                        }
                    }
                    Ok(Packet::Error { code, text }) => {
                        machine.fail(TransferFailure::ClientError { code, text });
                    }
                    Ok(_) | Err(_) => {}
                },
                Err(failure) => {
                    machine.fail(failure);
                }
            }
        };
        *tally = Tally {
            bytes: machine.bytes(),
            retransmits: machine.retransmits(),
        };
        outcome
    }
}

/// Room for an acknowledgement or an ERROR packet, in bytes; a longer text is cut.
const LARGEST_ANSWER: usize = 1024;

fn started(size: Option<u64>, terms: &Terms) -> TransferEventKind {
    TransferEventKind::Started {
        size,
        block_size: terms.block_size,
        window: terms.window,
    }
}
