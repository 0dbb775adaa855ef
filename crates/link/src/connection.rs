//! Both ends of a connection: control first, then streams as far as their credit goes.
//!
//! The end that sends streams may have so many bytes of them unacknowledged as `welcome` says. It
//! holds nothing back: whoever wants to send waits until there is credit and the frame before is
//! on its way, so what waits is not in memory but where it came from, a cursor on a file. Runs take
//! turns in the order in which they ask.
//!
//! Acknowledgements are read by the [`Receiver`] of the same end, so it must be polled while
//! streams are sent.

mod ledger;
mod writer;

use std::error::Error;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::{Sink, SinkExt, Stream, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use crate::frame::{self, DecodeError, Decoder, EncodeError, Events, LogBatch, Message};
use crate::message::{Control, Down, Up};
use ledger::Ledger;

/// So many control messages may wait for the wire; then whoever sends waits too.
const WAITING_CONTROL: usize = 256;

/// What goes wrong below the messages: sockets, WebSocket, TLS.
pub type TransportError = Box<dyn Error + Send + Sync>;

/// Something that carries binary messages both ways.
pub struct Channel {
    incoming: Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>,
    outgoing: Pin<Box<dyn Sink<Bytes, Error = TransportError> + Send>>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Channel")
    }
}

impl Channel {
    /// Takes the halves of a WebSocket, its binary messages mapped to their bytes. The stream must
    /// pass over pings and pongs and end at a close message, not after it: whoever closes does not
    /// wait for the other side's farewell.
    pub fn new<R, W, E>(incoming: R, outgoing: W) -> Self
    where
        R: Stream<Item = Result<Bytes, E>> + Send + 'static,
        W: Sink<Bytes, Error = E> + Send + 'static,
        E: Into<TransportError> + 'static,
    {
        Self {
            incoming: Box::pin(incoming.map(|message| message.map_err(Into::into))),
            outgoing: Box::pin(outgoing.sink_map_err(Into::into)),
        }
    }

    /// The server's end.
    pub fn at_server(self, pace: Pace) -> (Sender<Down>, Receiver<Up>) {
        self.open(pace)
    }

    /// The dispatcher's end.
    pub fn at_dispatcher(self, pace: Pace) -> (Sender<Up>, Receiver<Down>) {
        self.open(pace)
    }

    /// Must be called within a tokio runtime: the writer is a task.
    fn open<Out: Control, In: Control>(self, pace: Pace) -> (Sender<Out>, Receiver<In>) {
        let (control, waiting_control) = mpsc::channel(WAITING_CONTROL);
        // One frame: the next one is taken from its file when this one is on its way.
        let (stream, waiting_stream) = mpsc::channel(1);
        let shared = Arc::new(Shared::default());
        tokio::spawn(
            writer::Writer {
                outgoing: self.outgoing,
                control: waiting_control,
                stream: waiting_stream,
                pace,
                shared: shared.clone(),
            }
            .run(),
        );
        let sender = Sender {
            control,
            stream,
            turn: Arc::new(Semaphore::new(1)),
            shared: shared.clone(),
            out: PhantomData,
        };
        let receiver = Receiver {
            incoming: self.incoming,
            decoder: Decoder::default(),
            heard: Instant::now(),
            pace,
            shared,
        };
        (sender, receiver)
    }
}

/// How long a connection may be silent before it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Nothing was heard for so long. Heartbeats and their answers are something.
    pub silence: Duration,
    /// The other side took nothing for so long.
    pub stall: Duration,
}

impl Default for Pace {
    /// Ten heartbeats of the default length: such a connection is not slow, it is gone.
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(20),
            stall: Duration::from_secs(20),
        }
    }
}

/// What sender, receiver and writer know together.
#[derive(Debug, Default)]
struct Shared {
    /// The connection is over, or is to be.
    closed: CancellationToken,
    /// Nobody hears acknowledgements any more, so no stream can be sent.
    deaf: CancellationToken,
    /// Why, where it was not told to.
    reason: OnceLock<String>,
    ledger: Ledger,
}

/// The connection is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the link is closed: {reason}")]
pub struct Closed {
    /// Why.
    pub reason: String,
}

impl Shared {
    /// Ends the connection for this end's other half too.
    fn end(&self, reason: impl Into<String>) {
        // The first reason is the cause of the others.
        let _ = self.reason.set(reason.into());
        self.closed.cancel();
    }

    fn why_closed(&self) -> Closed {
        let reason = self.reason.get().map_or("it was ended", String::as_str);
        Closed {
            reason: reason.to_owned(),
        }
    }
}

/// A message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The connection is closed.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// It cannot be sent over any connection.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The end that sends. Cheap to clone; when the last clone is dropped, what waits is sent and the
/// connection closed.
#[derive(Debug)]
pub struct Sender<C> {
    control: mpsc::Sender<Vec<Bytes>>,
    stream: mpsc::Sender<Vec<Bytes>>,
    /// Who may ask for credit next: first come, first served.
    turn: Arc<Semaphore>,
    shared: Arc<Shared>,
    out: PhantomData<fn(C)>,
}

impl<C> Clone for Sender<C> {
    fn clone(&self) -> Self {
        Self {
            control: self.control.clone(),
            stream: self.stream.clone(),
            turn: self.turn.clone(),
            shared: self.shared.clone(),
            out: PhantomData,
        }
    }
}

impl<C: Control> Sender<C> {
    /// Sends a control message, before all streams that wait. Returns once it is in the queue,
    /// which takes at most [`Pace::stall`].
    ///
    /// # Errors
    /// The connection is closed, or the message is too large for any.
    pub async fn send(&self, control: C) -> Result<(), SendError> {
        let frames = frame::encode(&Message::Control(control))?;
        self.control
            .send(frames)
            .await
            .map_err(|_| self.shared.why_closed().into())
    }

    /// Closes the connection at once; what waits is not sent.
    pub fn close(&self) {
        self.shared.closed.cancel();
    }

    /// Returns once the connection is closed for sending, and says why.
    pub async fn closed(&self) -> Closed {
        self.shared.closed.cancelled().await;
        self.shared.why_closed()
    }
}

impl Sender<Up> {
    /// Sends events of a run once there is credit for them.
    ///
    /// # Errors
    /// The connection is closed, or the events are too many for one message.
    pub async fn events(&self, events: Events) -> Result<(), SendError> {
        self.stream(Message::Events(events)).await
    }

    /// Sends lines of a run's log once there is credit for them.
    ///
    /// # Errors
    /// The connection is closed, or the lines are too many for one message.
    pub async fn log(&self, log: LogBatch) -> Result<(), SendError> {
        self.stream(Message::Log(log)).await
    }

    /// Bytes of streams that the server has not acknowledged.
    pub fn unacknowledged(&self) -> u64 {
        self.shared.ledger.unacknowledged()
    }

    async fn stream(&self, message: Message<Up>) -> Result<(), SendError> {
        let frames = frame::encode(&message)?;
        let closed = async {
            tokio::select! {
                () = self.shared.closed.cancelled() => {}
                () = self.shared.deaf.cancelled() => {}
            }
        };
        let sending = async {
            // The semaphore is never closed.
            let turn = self.turn.acquire().await;
            let place = self.stream.reserve().await;
            self.shared.ledger.take(&message, &frames).await;
            drop(turn);
            place.map(|place| place.send(frames))
        };
        tokio::select! {
            biased;
            () = closed => Err(self.shared.why_closed().into()),
            sent = sending => sent.map_err(|_| self.shared.why_closed().into()),
        }
    }
}

/// Nothing more will be heard.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The connection broke.
    #[error("the connection broke")]
    Transport(#[source] TransportError),
    /// The other side does not keep to the protocol.
    #[error("the other side does not keep to the protocol")]
    Decode(#[from] DecodeError),
    /// The connection ended within a message.
    #[error("the connection ended within a message")]
    Torn,
    /// Nothing was heard for too long.
    #[error("nothing was heard for {} s", silence.as_secs())]
    Silent {
        /// The limit.
        silence: Duration,
    },
    /// This end was closed.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// The end that hears.
pub struct Receiver<C> {
    incoming: Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>,
    decoder: Decoder<C>,
    /// When something was heard last.
    heard: Instant,
    pace: Pace,
    shared: Arc<Shared>,
}

impl<C> std::fmt::Debug for Receiver<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Receiver")
    }
}

impl Receiver<Up> {
    /// The next message of the dispatcher; `None` where it closed the connection. May be dropped
    /// and called again without losing anything.
    ///
    /// # Errors
    /// Nothing more will be heard.
    pub async fn next(&mut self) -> Result<Option<Message<Up>>, ReceiveError> {
        self.receive().await
    }
}

impl Receiver<Down> {
    /// The next message of the server; `None` where it closed the connection. Credit is given back
    /// on the way. May be dropped and called again without losing anything.
    ///
    /// # Errors
    /// Nothing more will be heard.
    pub async fn next(&mut self) -> Result<Option<Down>, ReceiveError> {
        loop {
            match self.receive().await? {
                Some(Message::Control(down)) => {
                    self.shared.ledger.hear(&down);
                    return Ok(Some(down));
                }
                Some(_) => tracing::warn!("passed over a stream, which no server sends yet"),
                None => return Ok(None),
            }
        }
    }
}

impl<C> Drop for Receiver<C> {
    fn drop(&mut self) {
        self.shared.deaf.cancel();
    }
}

impl<C: Control> Receiver<C> {
    async fn receive(&mut self) -> Result<Option<Message<C>>, ReceiveError> {
        let received = self.hear().await;
        match &received {
            Ok(Some(_)) => {}
            Ok(None) => self.shared.end("the other side ended it"),
            Err(error) => self.shared.end(error.to_string()),
        }
        received
    }

    async fn hear(&mut self) -> Result<Option<Message<C>>, ReceiveError> {
        loop {
            let incoming = time::timeout_at(self.heard + self.pace.silence, self.incoming.next());
            let incoming = tokio::select! {
                incoming = incoming => incoming,
                () = self.shared.closed.cancelled() => return Err(self.shared.why_closed().into()),
            };
            let Ok(incoming) = incoming else {
                let silence = self.pace.silence;
                return Err(ReceiveError::Silent { silence });
            };
            self.heard = Instant::now();
            match incoming {
                Some(Ok(frame)) => {
                    if let Some(message) = self.decoder.push(frame)? {
                        return Ok(Some(message));
                    }
                }
                Some(Err(error)) => return Err(ReceiveError::Transport(error)),
                None if self.decoder.is_in_a_message() => return Err(ReceiveError::Torn),
                None => return Ok(None),
            }
        }
    }
}
