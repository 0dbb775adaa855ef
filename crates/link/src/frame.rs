//! How messages stand on the wire: binary frames of at most 64 KiB.
//!
//! The first byte of a frame says what it is: 0 a control message, 1 events, 2 lines of a log. Its
//! highest bit says that the message goes on in the next frame of the same kind, so that a large
//! message needs no large frame and frames of other kinds can come between. What follows is
//!
//! - for control: one JSON object;
//! - for events: a JSON object `{run, from_seq, count}`, a newline, and `count` events as JSON, each
//!   ended by a newline;
//! - for a log: a JSON object `{run, from_line, count, cursor}`, a newline, and the lines as the
//!   sender's job log encodes them, which is not looked into here.
//!
//! Kinds of a later release are passed over with a warning, frames and control messages alike.

use std::marker::PhantomData;

use basalt_model::RunId;
use bytes::{BufMut, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::message::Control;

/// The largest frame, its first byte included.
pub const LARGEST_FRAME: usize = 64 * 1024;
/// The largest message. A journal's record is at most 16 MiB; the rest is for its header.
pub const LARGEST_MESSAGE: usize = 17 << 20;

const CONTROL: u8 = 0;
const EVENTS: u8 = 1;
const LOG: u8 = 2;
const KINDS: usize = 3;
/// Set in a frame's first byte where the next frame of its kind goes on with the message.
const GOES_ON: u8 = 0x80;

/// A message of either direction; `C` is [`Up`](crate::Up) or [`Down`](crate::Down).
#[derive(Clone, Debug, PartialEq)]
pub enum Message<C> {
    /// Goes before everything else.
    Control(C),
    /// Events of a run.
    Events(Events),
    /// Lines of a run's log.
    Log(LogBatch),
}

/// Events of one run, in order and without holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// The run.
    pub run: RunId,
    /// The sequence number of the first.
    pub from_seq: u64,
    /// How many.
    pub count: u32,
    /// The events as JSON, each ended by a newline.
    pub lines: Bytes,
}

impl Events {
    /// Takes events as JSON texts without newlines, as a journal holds them.
    pub fn new<'e>(run: RunId, from_seq: u64, events: impl IntoIterator<Item = &'e [u8]>) -> Self {
        let mut lines = BytesMut::new();
        let mut count = 0;
        for event in events {
            lines.put_slice(event);
            lines.put_u8(b'\n');
            count += 1;
        }
        Self {
            run,
            from_seq,
            count,
            lines: lines.freeze(),
        }
    }

    /// The sequence number of the last one; `from_seq - 1` where there is none.
    pub fn last_seq(&self) -> u64 {
        (self.from_seq + u64::from(self.count)).saturating_sub(1)
    }

    /// The events, each as JSON.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.lines
            .split(|byte| *byte == b'\n')
            .take(self.count as usize)
    }
}

/// Lines of one run's log, in order and without holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogBatch {
    /// The run.
    pub run: RunId,
    /// The number of the first line.
    pub from_line: u64,
    /// How many lines.
    pub count: u32,
    /// Where the log goes on after them (`report::joblog::Cursor` as JSON): the server keeps it
    /// with the lines and gives it back in `welcome`.
    pub cursor: Option<serde_json::Value>,
    /// The lines, as `report::joblog` encodes them.
    pub batch: Bytes,
}

impl LogBatch {
    /// The number of the last line; `from_line - 1` where there is none.
    pub fn last_line(&self) -> u64 {
        (self.from_line + u64::from(self.count)).saturating_sub(1)
    }
}

#[derive(Serialize, Deserialize)]
struct EventsHead {
    run: RunId,
    from_seq: u64,
    count: u32,
}

#[derive(Serialize, Deserialize)]
struct LogHead {
    run: RunId,
    from_line: u64,
    count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<serde_json::Value>,
}

/// A message cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// It is larger than the other side takes.
    #[error("a message of {length} bytes is larger than the {LARGEST_MESSAGE} that a link takes")]
    TooLarge {
        /// Its length.
        length: usize,
    },
    /// It is no JSON: a bug.
    #[error("a message cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// A message as frames, in order.
///
/// # Errors
/// It is too large.
pub fn encode<C: Serialize>(message: &Message<C>) -> Result<Vec<Bytes>, EncodeError> {
    let mut body = BytesMut::new();
    // The first byte of the first frame.
    body.put_u8(0);
    let kind = match message {
        Message::Control(control) => {
            serde_json::to_writer((&mut body).writer(), control)?;
            CONTROL
        }
        Message::Events(events) => {
            let head = EventsHead {
                run: events.run,
                from_seq: events.from_seq,
                count: events.count,
            };
            serde_json::to_writer((&mut body).writer(), &head)?;
            body.put_u8(b'\n');
            body.put_slice(&events.lines);
            EVENTS
        }
        Message::Log(log) => {
            let head = LogHead {
                run: log.run,
                from_line: log.from_line,
                count: log.count,
                cursor: log.cursor.clone(),
            };
            serde_json::to_writer((&mut body).writer(), &head)?;
            body.put_u8(b'\n');
            body.put_slice(&log.batch);
            LOG
        }
    };
    let length = body.len() - 1;
    if length > LARGEST_MESSAGE {
        return Err(EncodeError::TooLarge { length });
    }
    if body.len() <= LARGEST_FRAME {
        body[0] = kind;
        return Ok(vec![body.freeze()]);
    }
    let body = body.freeze().slice(1..);
    let pieces = body.chunks(LARGEST_FRAME - 1);
    let last = pieces.len() - 1;
    Ok(pieces
        .enumerate()
        .map(|(index, piece)| {
            let mut frame = BytesMut::with_capacity(piece.len() + 1);
            frame.put_u8(if index == last { kind } else { kind | GOES_ON });
            frame.put_slice(piece);
            frame.freeze()
        })
        .collect())
}

/// The other side does not keep to the protocol; the connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// An empty frame.
    #[error("a frame is empty")]
    Empty,
    /// A frame is too long.
    #[error("a frame of {length} bytes is longer than {LARGEST_FRAME}")]
    FrameTooLong {
        /// Its length.
        length: usize,
    },
    /// The pieces of a message come to too much.
    #[error("a message is longer than {LARGEST_MESSAGE} bytes")]
    MessageTooLong,
    /// It is not what it says to be.
    #[error("{what} cannot be read")]
    Json {
        /// Control message or header.
        what: &'static str,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// No header line, or another number of events than it says.
    #[error("{0}")]
    Shape(&'static str),
}

/// Puts messages together from frames.
#[derive(Debug)]
pub struct Decoder<C> {
    /// What came of a message so far, by kind.
    pieces: [BytesMut; KINDS],
    control: PhantomData<fn() -> C>,
}

impl<C> Default for Decoder<C> {
    fn default() -> Self {
        Self {
            pieces: Default::default(),
            control: PhantomData,
        }
    }
}

impl<C: Control> Decoder<C> {
    /// Takes a frame; gives the message that it ends.
    ///
    /// # Errors
    /// The other side does not keep to the protocol.
    pub fn push(&mut self, frame: Bytes) -> Result<Option<Message<C>>, DecodeError> {
        if frame.len() > LARGEST_FRAME {
            let length = frame.len();
            return Err(DecodeError::FrameTooLong { length });
        }
        let first = *frame.first().ok_or(DecodeError::Empty)?;
        let kind = first & !GOES_ON;
        let payload = frame.slice(1..);
        let Some(pieces) = self.pieces.get_mut(usize::from(kind)) else {
            tracing::warn!(
                frame.kind = kind,
                "passed over a frame of a kind that a later release may know"
            );
            return Ok(None);
        };
        if pieces.len() + payload.len() > LARGEST_MESSAGE {
            return Err(DecodeError::MessageTooLong);
        }
        if first & GOES_ON != 0 {
            pieces.put_slice(&payload);
            return Ok(None);
        }
        let body = if pieces.is_empty() {
            payload
        } else {
            pieces.put_slice(&payload);
            std::mem::take(pieces).freeze()
        };
        match kind {
            CONTROL => control(&body).map(|control| control.map(Message::Control)),
            EVENTS => events(body).map(|events| Some(Message::Events(events))),
            _ => log(body).map(|log| Some(Message::Log(log))),
        }
    }

    /// Whether a message has begun and not ended.
    pub fn is_in_a_message(&self) -> bool {
        self.pieces.iter().any(|pieces| !pieces.is_empty())
    }
}

fn control<C: Control>(body: &[u8]) -> Result<Option<C>, DecodeError> {
    #[derive(Deserialize)]
    struct Kind {
        kind: String,
    }
    let what = "a control message";
    let control: C =
        serde_json::from_slice(body).map_err(|source| DecodeError::Json { what, source })?;
    if !control.is_unknown() {
        return Ok(Some(control));
    }
    let Kind { kind } =
        serde_json::from_slice(body).map_err(|source| DecodeError::Json { what, source })?;
    tracing::warn!(
        control.kind = kind,
        "passed over a control message that a later release may know"
    );
    Ok(None)
}

fn events(body: Bytes) -> Result<Events, DecodeError> {
    let (head, lines) = split_head(&body, "the header of events")?;
    let EventsHead {
        run,
        from_seq,
        count,
    } = head;
    let found = lines.iter().filter(|byte| **byte == b'\n').count();
    if found != count as usize || lines.last().is_some_and(|last| *last != b'\n') {
        return Err(DecodeError::Shape(
            "there are not as many events as their header says",
        ));
    }
    if from_seq.checked_add(u64::from(count)).is_none() {
        return Err(DecodeError::Shape("the events' numbers have no end"));
    }
    Ok(Events {
        run,
        from_seq,
        count,
        lines,
    })
}

fn log(body: Bytes) -> Result<LogBatch, DecodeError> {
    let (head, batch) = split_head(&body, "the header of a log")?;
    let LogHead {
        run,
        from_line,
        count,
        cursor,
    } = head;
    if from_line.checked_add(u64::from(count)).is_none() {
        return Err(DecodeError::Shape("the lines' numbers have no end"));
    }
    Ok(LogBatch {
        run,
        from_line,
        count,
        cursor,
        batch,
    })
}

fn split_head<H: DeserializeOwned>(
    body: &Bytes,
    what: &'static str,
) -> Result<(H, Bytes), DecodeError> {
    let end = body
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or(DecodeError::Shape("a stream's frame has no header line"))?;
    let head = serde_json::from_slice(&body[..end])
        .map_err(|source| DecodeError::Json { what, source })?;
    Ok((head, body.slice(end + 1..)))
}

#[cfg(test)]
mod tests;
