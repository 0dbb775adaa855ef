//! The format of a sealed part of a log: compressed frames, then a footer that says which lines
//! lie in which frame.
//!
//! ```text
//! part   = frame* footer
//! frame  = one zstd frame of batch*
//! batch  = u32 length of data, u64 first line, u64 lines, u32 levels, i64 first, i64 last, data
//! footer = "BSLG" u32 version(1) u32 frames
//!          (u64 first line, u64 lines, u32 levels, i64 first, i64 last,
//!           u64 offset in the part, u32 length, u32 length before compression)*
//!          u32 crc32c of the footer before it
//! ```
//! All numbers are little-endian; times are microseconds UTC. Several runs' parts may stand one
//! after the other in one object.

use basalt_model::UtcMicros;
use bytes::{Buf, BufMut, Bytes};

use crate::LogChunk;

const MAGIC: &[u8; 4] = b"BSLG";
const VERSION: u32 = 1;
/// A frame is closed when this much is in it: what reading one line costs.
const FRAME_BYTES: usize = 128 * 1024;
/// No frame becomes longer, whatever a footer says: a batch is at most a frame of the link.
const FRAME_LIMIT: usize = 64 * 1024 * 1024;
const LEVEL: i32 = 3;
const BATCH_HEADER: usize = 4 + 8 + 8 + 4 + 8 + 8;
const FRAME_ENTRY: usize = 8 + 8 + 4 + 8 + 8 + 8 + 4 + 4;

/// One frame, as the footer knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) from_line: u64,
    pub(crate) lines: u64,
    pub(crate) levels: u32,
    pub(crate) first: UtcMicros,
    pub(crate) last: UtcMicros,
    /// Where it begins in the part.
    pub(crate) offset: u64,
    pub(crate) length: u32,
    plain_length: u32,
}

/// A sealed part.
pub(crate) struct Sealed {
    /// Frames and footer.
    pub(crate) bytes: Vec<u8>,
    /// How much of it is the footer.
    pub(crate) footer_bytes: usize,
}

/// Seals batches, which follow on each other.
pub(crate) fn seal(batches: &[LogChunk]) -> std::io::Result<Sealed> {
    let mut bytes = Vec::new();
    let mut frames = Vec::new();
    let mut rest = batches;
    while !rest.is_empty() {
        let mut size = 0;
        let count = rest
            .iter()
            .take_while(|batch| {
                let room = size < FRAME_BYTES;
                size += batch.data.len() + BATCH_HEADER;
                room
            })
            .count();
        let (some, others) = rest.split_at(count);
        rest = others;
        let mut plain = Vec::new();
        for batch in some {
            plain.put_u32_le(batch.data.len() as u32);
            plain.put_u64_le(batch.from_line);
            plain.put_u64_le(batch.lines);
            plain.put_u32_le(batch.levels);
            plain.put_i64_le(batch.first.0);
            plain.put_i64_le(batch.last.0);
            plain.put_slice(&batch.data);
        }
        let compressed = zstd::bulk::compress(&plain, LEVEL)?;
        frames.push(Frame {
            from_line: some.first().map_or(0, |batch| batch.from_line),
            lines: some.iter().map(|batch| batch.lines).sum(),
            levels: some.iter().fold(0, |levels, batch| levels | batch.levels),
            first: some.first().map_or(UtcMicros(0), |batch| batch.first),
            last: some.last().map_or(UtcMicros(0), |batch| batch.last),
            offset: bytes.len() as u64,
            length: compressed.len() as u32,
            plain_length: plain.len() as u32,
        });
        bytes.extend_from_slice(&compressed);
    }
    let footer = write_footer(&frames);
    bytes.extend_from_slice(&footer);
    Ok(Sealed {
        bytes,
        footer_bytes: footer.len(),
    })
}

fn write_footer(frames: &[Frame]) -> Vec<u8> {
    let mut footer = Vec::with_capacity(16 + frames.len() * FRAME_ENTRY);
    footer.put_slice(MAGIC);
    footer.put_u32_le(VERSION);
    footer.put_u32_le(frames.len() as u32);
    for frame in frames {
        footer.put_u64_le(frame.from_line);
        footer.put_u64_le(frame.lines);
        footer.put_u32_le(frame.levels);
        footer.put_i64_le(frame.first.0);
        footer.put_i64_le(frame.last.0);
        footer.put_u64_le(frame.offset);
        footer.put_u32_le(frame.length);
        footer.put_u32_le(frame.plain_length);
    }
    footer.put_u32_le(crc32c::crc32c(&footer));
    footer
}

/// Reads a footer.
pub(crate) fn read_footer(mut footer: &[u8]) -> Result<Vec<Frame>, String> {
    let Some(body) = footer.len().checked_sub(4) else {
        return Err("the footer is too short".into());
    };
    let (checked, mut sum) = footer.split_at(body);
    if crc32c::crc32c(checked) != sum.get_u32_le() {
        return Err("the footer's checksum is wrong".into());
    }
    if !footer.starts_with(MAGIC) || body < 12 {
        return Err("there is no footer where it should be".into());
    }
    footer = &checked[MAGIC.len()..];
    let version = footer.get_u32_le();
    if version != VERSION {
        return Err(format!(
            "its version is {version}, this build reads {VERSION}"
        ));
    }
    let count = footer.get_u32_le() as usize;
    if footer.len() != count * FRAME_ENTRY {
        return Err("the footer's length does not fit its frames".into());
    }
    let frames = (0..count).map(|_| Frame {
        from_line: footer.get_u64_le(),
        lines: footer.get_u64_le(),
        levels: footer.get_u32_le(),
        first: UtcMicros(footer.get_i64_le()),
        last: UtcMicros(footer.get_i64_le()),
        offset: footer.get_u64_le(),
        length: footer.get_u32_le(),
        plain_length: footer.get_u32_le(),
    });
    Ok(frames.collect())
}

/// Reads a frame's batches.
pub(crate) fn read_frame(frame: &Frame, compressed: &[u8]) -> Result<Vec<LogChunk>, String> {
    let plain_length = frame.plain_length as usize;
    if plain_length > FRAME_LIMIT {
        return Err(format!(
            "a frame of {plain_length} bytes is not one of ours"
        ));
    }
    let plain = zstd::bulk::decompress(compressed, plain_length)
        .map_err(|error| format!("a frame cannot be decompressed: {error}"))?;
    let mut plain = Bytes::from(plain);
    let mut batches = Vec::new();
    while !plain.is_empty() {
        if plain.len() < BATCH_HEADER {
            return Err("a frame ends in the middle of a batch".into());
        }
        let length = plain.get_u32_le() as usize;
        let (from_line, lines, levels) =
            (plain.get_u64_le(), plain.get_u64_le(), plain.get_u32_le());
        let (first, last) = (UtcMicros(plain.get_i64_le()), UtcMicros(plain.get_i64_le()));
        if plain.len() < length {
            return Err("a frame ends in the middle of a batch".into());
        }
        batches.push(LogChunk {
            from_line,
            lines,
            levels,
            first,
            last,
            data: plain.split_to(length),
        });
    }
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches() -> Vec<LogChunk> {
        let sizes = [10, 100_000, 50_000, 1, 0, 200_000, 7];
        let mut from_line = 1;
        sizes
            .iter()
            .enumerate()
            .map(|(index, size)| {
                let lines = index as u64 + 1;
                let batch = LogChunk {
                    from_line,
                    lines,
                    levels: 1 << index,
                    first: UtcMicros(index as i64 * 10),
                    last: UtcMicros(index as i64 * 10 + 9),
                    data: (0..*size).map(|byte| (byte * 7 % 251) as u8).collect(),
                };
                from_line += lines;
                batch
            })
            .collect()
    }

    #[test]
    fn every_batch_comes_back_from_its_frame() {
        let batches = batches();
        let sealed = seal(&batches).unwrap();
        let footer = &sealed.bytes[sealed.bytes.len() - sealed.footer_bytes..];
        let frames = read_footer(footer).unwrap();
        assert!(frames.len() > 1, "one frame for all proves nothing");
        let mut read = Vec::new();
        for frame in &frames {
            let begin = frame.offset as usize;
            let bytes = &sealed.bytes[begin..begin + frame.length as usize];
            let of_frame = read_frame(frame, bytes).unwrap();
            let levels = of_frame.iter().fold(0, |levels, one| levels | one.levels);
            assert_eq!(
                (frame.from_line, frame.levels),
                (of_frame[0].from_line, levels)
            );
            read.extend(of_frame);
        }
        assert_eq!(read, batches);
    }

    #[test]
    fn a_changed_footer_is_refused_at_every_byte() {
        let sealed = seal(&batches()).unwrap();
        let footer = sealed.bytes[sealed.bytes.len() - sealed.footer_bytes..].to_vec();
        for index in 0..footer.len() {
            let mut changed = footer.clone();
            changed[index] ^= 0x10;
            assert!(read_footer(&changed).is_err(), "byte {index}");
        }
        for length in 0..footer.len() {
            assert!(read_footer(&footer[..length]).is_err(), "length {length}");
        }
    }
}
