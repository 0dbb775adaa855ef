//! A part of a console's bytes, read at once: for results directories and reports.

use std::io::{self, Write};
use std::path::Path;

use super::{Chunk, ChunkBody, ReadError, SegmentReader};
use crate::layout::console_dir;

/// Everything from `from` to `to` (stream offsets, `to` exclusive), in order. Records without data
/// at `from` and at `to` are included.
pub fn read_all(
    state_dir: &Path,
    console: &str,
    from: u64,
    to: u64,
) -> impl Iterator<Item = Result<Chunk, ReadError>> + use<> {
    let mut reader = SegmentReader::open(&console_dir(state_dir, console), from);
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let mut chunk = match reader.next_chunk() {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return None,
            Err(error) => {
                ended = true;
                return Some(Err(error));
            }
        };
        if chunk.offset > to {
            ended = true;
            return None;
        }
        let start = chunk.offset;
        if let ChunkBody::Data(bytes) = &mut chunk.body {
            bytes.truncate((to - start) as usize);
            if bytes.is_empty() {
                ended = true;
                return None;
            }
        }
        Some(Ok(chunk))
    })
}

/// The stream offset after the last byte that a console has in its files.
pub fn end_offset(state_dir: &Path, console: &str) -> Result<u64, ReadError> {
    Ok(SegmentReader::open_at_end(&console_dir(state_dir, console))?.offset())
}

/// Where something is missing in exported bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapSpan {
    /// The stream offset between whose neighbours something is missing.
    pub offset: u64,
    /// Why.
    pub reason: String,
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// How many bytes.
    pub bytes: u64,
    /// What is missing in them.
    pub gaps: Vec<GapSpan>,
}

/// Bytes of a console could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// They could not be read.
    #[error("cannot export a console")]
    Read(#[from] ReadError),
    /// They could not be written.
    #[error("cannot write the exported console")]
    Write(#[source] io::Error),
}

/// Writes the raw bytes from `from` to `to` and says what is missing in them.
pub fn export(
    state_dir: &Path,
    console: &str,
    from: u64,
    to: u64,
    out: &mut impl Write,
) -> Result<Exported, ExportError> {
    let mut exported = Exported {
        bytes: 0,
        gaps: Vec::new(),
    };
    for chunk in read_all(state_dir, console, from, to) {
        let chunk = chunk?;
        match chunk.body {
            ChunkBody::Data(bytes) => {
                out.write_all(&bytes).map_err(ExportError::Write)?;
                exported.bytes += bytes.len() as u64;
            }
            ChunkBody::Gap(gap) => exported.gaps.push(GapSpan {
                offset: chunk.offset,
                reason: gap.reason,
            }),
            ChunkBody::Source(_) | ChunkBody::Input(_) => {}
        }
    }
    out.flush().map_err(ExportError::Write)?;
    Ok(exported)
}
