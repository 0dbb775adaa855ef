//! One record: its bytes and back.

use basalt_model::{BootNanos, Stamp, UtcMicros};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::MAX_PAYLOAD;

/// Bytes of a record before its payload.
pub(super) const RECORD_HEADER: usize = 25;

/// One record of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the keeper read or wrote it.
    pub stamp: Stamp,
    /// What it says.
    pub body: Body,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Bytes, as they were read; at most [`MAX_PAYLOAD`].
    Data(Bytes),
    /// Bytes were not read.
    Gap(GapRecord),
    /// The source opened or closed.
    Source(SourceRecord),
    /// Somebody typed.
    Input(InputRecord),
    /// A keeper began to append.
    Start(StartRecord),
    /// A kind that this build does not know.
    Unknown(u8),
}

/// What the console said in this time was not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapRecord {
    /// Why.
    pub reason: String,
    /// Since when.
    pub from: UtcMicros,
    /// Until when.
    pub to: UtcMicros,
}

/// The way to the console opened or closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// Whether it is open from here on.
    pub open: bool,
    /// Why it closed, or what was opened.
    pub reason: String,
}

/// Somebody typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRecord {
    /// Who.
    pub writer: String,
    /// What.
    pub bytes: Bytes,
}

/// A keeper began to append: from here on boot times belong to this boot of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRecord {
    /// The boot of the host.
    pub boot_id: String,
    /// The keeper's process.
    pub pid: u32,
}

#[derive(Serialize, Deserialize)]
struct InputPayload {
    writer: String,
    base64: String,
}

impl Record {
    /// Appends the record's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match &self.body {
            Body::Data(bytes) => encode_raw(self.stamp, KIND_DATA, bytes, out),
            Body::Gap(gap) => encode_json(self.stamp, KIND_GAP, gap, out),
            Body::Source(source) => encode_json(self.stamp, KIND_SOURCE, source, out),
            Body::Input(input) => {
                let payload = InputPayload {
                    writer: input.writer.clone(),
                    base64: STANDARD.encode(&input.bytes),
                };
                encode_json(self.stamp, KIND_INPUT, &payload, out);
            }
            Body::Start(start) => encode_json(self.stamp, KIND_START, start, out),
            Body::Unknown(kind) => encode_raw(self.stamp, *kind, &[], out),
        }
    }
}

const KIND_DATA: u8 = 1;
const KIND_GAP: u8 = 2;
const KIND_SOURCE: u8 = 3;
const KIND_INPUT: u8 = 4;
const KIND_START: u8 = 5;

/// Appends a data record without copying its bytes first.
pub(super) fn encode_data(stamp: Stamp, bytes: &[u8], out: &mut Vec<u8>) {
    encode_raw(stamp, KIND_DATA, bytes, out);
}

fn encode_json<T: Serialize>(stamp: Stamp, kind: u8, payload: &T, out: &mut Vec<u8>) {
    match serde_json::to_vec(payload) {
        Ok(json) => encode_raw(stamp, kind, &json, out),
        // The payloads are structs of strings and integers.
        Err(error) => unreachable!("a record's payload is JSON: {error}"),
    }
}

fn encode_raw(stamp: Stamp, kind: u8, payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.push(kind);
    out.extend_from_slice(&stamp.utc.0.to_le_bytes());
    out.extend_from_slice(&stamp.boot.0.to_le_bytes());
    out.extend_from_slice(payload);
    let sum = crc32c::crc32c(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
}

/// What stands at the start of some bytes.
pub(super) enum Decoded {
    /// A record that takes this many bytes.
    Record(Record, usize),
    /// The record is longer than the bytes; it needs this many.
    Short(usize),
    /// Not a record.
    Damaged,
}

/// Reads the record at the start of `bytes`.
pub(super) fn decode(bytes: &[u8]) -> Decoded {
    let Some((header, rest)) = bytes.split_at_checked(RECORD_HEADER) else {
        return Decoded::Short(RECORD_HEADER);
    };
    let length = u32::from_le_bytes(array(header, 0)) as usize;
    if length > MAX_PAYLOAD {
        return Decoded::Damaged;
    }
    let total = RECORD_HEADER + length;
    let Some(payload) = rest.get(..length) else {
        return Decoded::Short(total);
    };
    if crc32c::crc32c(&bytes[8..total]) != u32::from_le_bytes(array(header, 4)) {
        return Decoded::Damaged;
    }
    let stamp = Stamp {
        utc: UtcMicros(i64::from_le_bytes(array(header, 9))),
        boot: BootNanos(u64::from_le_bytes(array(header, 17))),
    };
    match decode_body(header[8], payload) {
        Some(body) => Decoded::Record(Record { stamp, body }, total),
        None => Decoded::Damaged,
    }
}

fn decode_body(kind: u8, payload: &[u8]) -> Option<Body> {
    Some(match kind {
        KIND_DATA => Body::Data(Bytes::copy_from_slice(payload)),
        KIND_GAP => Body::Gap(serde_json::from_slice(payload).ok()?),
        KIND_SOURCE => Body::Source(serde_json::from_slice(payload).ok()?),
        KIND_INPUT => {
            let input: InputPayload = serde_json::from_slice(payload).ok()?;
            Body::Input(InputRecord {
                writer: input.writer,
                bytes: STANDARD.decode(input.base64).ok()?.into(),
            })
        }
        KIND_START => Body::Start(serde_json::from_slice(payload).ok()?),
        unknown => Body::Unknown(unknown),
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}
