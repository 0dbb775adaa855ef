//! What a console said, as append-only files of records.
//!
//! A console has a directory. Each file in it is a segment, named by the stream offset of its
//! first data byte: twenty decimal digits and `.seg`. A stream offset counts data bytes since the
//! console was first captured; other records take no room in it.
//!
//! A segment is a header and records, integers little-endian:
//!
//! ```text
//! header   magic "BasaltCo" | version u32 | reserved u32
//! record   length u32 | crc32c u32 | kind u8 | utc_us i64 | boot_ns u64 | payload
//! ```
//!
//! `length` is the payload's, the sum covers everything after itself. Payloads: kind 1 is data as
//! it was read; 2 (gap), 3 (source), 4 (input) and 5 (start) are JSON objects. Readers pass over
//! kinds that they do not know.
//!
//! A record is written by one call and announced afterwards. What a crash cut short is cut off
//! when the file is opened for appending again. What is not done here: fsync (the keeper asks for
//! the files that need it) and the removal of old segments.

mod export;
mod reader;
mod record;
mod writer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use export::{ExportError, Exported, GapSpan, end_offset, export, read_all};
pub use reader::{ReadError, SegmentReader};
pub use record::{Body, GapRecord, InputRecord, Record, SourceRecord, StartRecord};
pub use writer::{OpenError, Recovered, SegmentWriter, Synced};

use basalt_model::Stamp;
use bytes::Bytes;

/// The version of the format.
pub const VERSION: u32 = 1;
/// How large a segment may grow before the next is begun. Whoever begins to read in the midst of a
/// console looks over one segment from its start, and each run does so a few times.
pub const DEFAULT_SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// The longest payload. A longer length is damage.
pub const MAX_PAYLOAD: usize = 1024 * 1024;

const MAGIC: &[u8; 8] = b"BasaltCo";
const HEADER: usize = 16;

/// A piece of a console's story, as readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where in the stream: of the first byte of data, else of the next byte of data.
    pub offset: u64,
    /// When the keeper read or wrote it.
    pub stamp: Stamp,
    /// What.
    pub body: ChunkBody,
}

impl Chunk {
    /// The offset after it.
    pub fn end(&self) -> u64 {
        match &self.body {
            ChunkBody::Data(bytes) => self.offset + bytes.len() as u64,
            ChunkBody::Gap(_) | ChunkBody::Source(_) | ChunkBody::Input(_) => self.offset,
        }
    }
}

/// What a [`Chunk`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkBody {
    /// Bytes, as they were read.
    Data(Bytes),
    /// What was said here was not read.
    Gap(GapRecord),
    /// The way to the console opened or closed.
    Source(SourceRecord),
    /// Somebody typed. Written before the source got it.
    Input(InputRecord),
}

fn header() -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header
}

/// What is wrong with a file that should be a segment.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The magic is another.
    #[error("not a console segment")]
    Magic,
    /// Written by a later release.
    #[error("console segment of version {0}; this build reads up to {VERSION}")]
    Version(u32),
}

/// Checks a whole header. `Ok(false)` if there is not enough of it yet.
fn check_header(bytes: &[u8]) -> Result<bool, HeaderError> {
    let Some((header, _)) = bytes.split_at_checked(HEADER) else {
        return Ok(false);
    };
    if header[..8] != *MAGIC {
        return Err(HeaderError::Magic);
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if version > VERSION {
        return Err(HeaderError::Version(version));
    }
    Ok(true)
}

fn segment_path(dir: &Path, start: u64) -> PathBuf {
    dir.join(format!("{start:020}.seg"))
}

/// The starts of all segments of a console, ascending. Empty if there is no directory yet.
fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut starts = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let Some(digits) = name.to_str().and_then(|name| name.strip_suffix(".seg")) else {
            continue;
        };
        if digits.len() == 20 {
            starts.extend(digits.parse::<u64>());
        }
    }
    starts.sort_unstable();
    Ok(starts)
}
