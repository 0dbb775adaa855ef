//! A reader of a console's segments, while they grow or afterwards.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use basalt_model::Stamp;

use super::record::{Body, Decoded, GapRecord, Record, decode};
use super::{Chunk, ChunkBody, HEADER, HeaderError, check_header, list, segment_path};

/// A console's segments cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refused.
    #[error("cannot read the console segments at {}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not a segment of this format.
    #[error("cannot read {}", path.display())]
    Header {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: HeaderError,
    },
    /// Bytes that the keeper announced are not in the file.
    #[error(
        "console segment {} is damaged at byte {position}: the keeper has written up to {announced}, readable is up to {offset}",
        path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where in the file.
        position: u64,
        /// The stream offset that can be read.
        offset: u64,
        /// The stream offset that was announced.
        announced: u64,
    },
}

/// Bytes that are read from a file at once: few where a console is followed as it speaks, many where
/// there is much.
const LEAST_READ: usize = 4 * 1024;
const MOST_READ: usize = 64 * 1024;

/// Reads a console's records one after another, from segment to segment. Never waits: at the end
/// it says `None` and can be asked again.
#[derive(Debug)]
pub struct SegmentReader {
    dir: PathBuf,
    /// Data before this is passed over.
    from: u64,
    /// The stream offset of the next record.
    offset: u64,
    current: Option<Current>,
    /// The stamp of the last record, for gaps that the reader itself finds.
    last: Stamp,
    /// Looks for the next segment by its expected name only, not through the directory.
    quick: bool,
}

#[derive(Debug)]
struct Current {
    file: File,
    path: PathBuf,
    start: u64,
    /// Where in the file `buffer` begins.
    buffer_at: u64,
    buffer: Vec<u8>,
    used: usize,
    /// How much is read at once next.
    read_size: usize,
}

enum Step {
    Record(Record),
    End,
    Damaged,
}

impl SegmentReader {
    /// A reader whose first data byte is at `from`. Records without data at the same offset are
    /// given too. The console need not exist yet.
    pub fn open(dir: &Path, from: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            from,
            offset: 0,
            current: None,
            last: Stamp::default(),
            quick: false,
        }
    }

    /// A reader that gives only what is appended from now on.
    pub fn open_at_end(dir: &Path) -> Result<Self, ReadError> {
        let mut reader = Self::open(dir, 0);
        if let Some(start) = reader.list()?.last() {
            reader.offset = *start;
            reader.enter(*start)?;
            while reader.next_chunk()?.is_some() {}
        }
        Ok(reader)
    }

    /// The stream offset of the next data byte that will be given.
    pub fn offset(&self) -> u64 {
        self.offset.max(self.from)
    }

    /// The next record, or `None` at the end for now.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, ReadError> {
        loop {
            if self.current.is_none() && !self.enter_first()? {
                return Ok(None);
            }
            if let Some(chunk) = self.jumped() {
                return Ok(Some(chunk));
            }
            match self.step()? {
                Step::Record(record) => {
                    if let Some(chunk) = self.take(record) {
                        return Ok(Some(chunk));
                    }
                }
                end => {
                    let next = match end {
                        Step::End if self.quick => self.expected(),
                        _ => self.following()?,
                    };
                    let Some(next) = next else {
                        return Ok(None);
                    };
                    // What was appended between the two looks is read before moving on.
                    if matches!(end, Step::End)
                        && let Step::Record(record) = self.step()?
                    {
                        match self.take(record) {
                            Some(chunk) => return Ok(Some(chunk)),
                            None => continue,
                        }
                    }
                    self.enter(next)?;
                }
            }
        }
    }

    /// As [`SegmentReader::next_chunk`], where a keeper says up to where it has written: the
    /// directory is looked through only if that cannot be reached otherwise. Called for every few
    /// bytes of a console that somebody waits for.
    pub fn next_announced(&mut self, announced: u64) -> Result<Option<Chunk>, ReadError> {
        self.quick = true;
        let chunk = self.next_chunk();
        self.quick = false;
        match chunk {
            Ok(None) if self.offset < announced => self.next_chunk(),
            other => other,
        }
    }

    /// What must be wrong if the keeper says that there is more than can be read.
    pub fn check_announced(&self, announced: u64) -> Result<(), ReadError> {
        match &self.current {
            Some(current) if self.offset < announced => Err(ReadError::Damaged {
                path: current.path.clone(),
                position: current.position(),
                offset: self.offset,
                announced,
            }),
            _ => Ok(()),
        }
    }

    /// Counts a record and cuts off what lies before `from`.
    fn take(&mut self, record: Record) -> Option<Chunk> {
        let offset = self.offset;
        self.last = record.stamp;
        let chunk = |offset, body| {
            Some(Chunk {
                offset,
                stamp: record.stamp,
                body,
            })
        };
        match record.body {
            Body::Data(bytes) => {
                self.offset += bytes.len() as u64;
                let skip = self.from.saturating_sub(offset).min(bytes.len() as u64);
                if skip as usize == bytes.len() {
                    return None;
                }
                chunk(offset + skip, ChunkBody::Data(bytes.slice(skip as usize..)))
            }
            _ if offset < self.from => None,
            Body::Gap(gap) => chunk(offset, ChunkBody::Gap(gap)),
            Body::Source(source) => chunk(offset, ChunkBody::Source(source)),
            Body::Input(input) => chunk(offset, ChunkBody::Input(input)),
            Body::Start(_) | Body::Unknown(_) => None,
        }
    }

    fn list(&self) -> Result<Vec<u64>, ReadError> {
        list(&self.dir).map_err(|source| ReadError::Io {
            path: self.dir.clone(),
            source,
        })
    }

    /// Enters the segment that holds `from`, or the first one that is still there.
    fn enter_first(&mut self) -> Result<bool, ReadError> {
        let starts = self.list()?;
        let before = starts.partition_point(|start| *start <= self.from);
        let Some(start) = starts.get(before.saturating_sub(1)).copied() else {
            return Ok(false);
        };
        self.offset = if before > 0 { start } else { self.from };
        self.enter(start)?;
        Ok(true)
    }

    fn enter(&mut self, start: u64) -> Result<(), ReadError> {
        let path = segment_path(&self.dir, start);
        let file = File::open(&path).map_err(|source| ReadError::Io {
            path: path.clone(),
            source,
        })?;
        self.current = Some(Current {
            file,
            path,
            start,
            buffer_at: 0,
            buffer: Vec::new(),
            used: 0,
            read_size: LEAST_READ,
        });
        Ok(())
    }

    /// The gap between what was to come and where the entered segment begins: the part between was
    /// damaged or is no longer kept.
    fn jumped(&mut self) -> Option<Chunk> {
        let start = match &self.current {
            Some(current) if current.position() == 0 && self.offset < current.start => {
                current.start
            }
            _ => return None,
        };
        let wanted = self.offset.max(self.from);
        self.offset = start;
        if wanted >= start {
            return None;
        }
        Some(Chunk {
            offset: start,
            stamp: self.last,
            body: ChunkBody::Gap(GapRecord {
                reason: format!(
                    "{} bytes of the console are damaged or no longer kept",
                    start - wanted
                ),
                from: self.last.utc,
                to: self.last.utc,
            }),
        })
    }

    /// The start of the segment after the current one.
    fn following(&self) -> Result<Option<u64>, ReadError> {
        let Some(current) = &self.current else {
            return Ok(None);
        };
        Ok(self
            .list()?
            .into_iter()
            .find(|start| *start > current.start))
    }

    /// The start of the segment after the current one, if it begins where this one ends.
    fn expected(&self) -> Option<u64> {
        let current = self.current.as_ref()?;
        let follows = self.offset > current.start && segment_path(&self.dir, self.offset).exists();
        follows.then_some(self.offset)
    }

    fn step(&mut self) -> Result<Step, ReadError> {
        match &mut self.current {
            Some(current) => current.step(),
            None => Ok(Step::End),
        }
    }
}

impl Current {
    /// Where in the file the next record stands.
    fn position(&self) -> u64 {
        self.buffer_at + self.used as u64
    }

    fn step(&mut self) -> Result<Step, ReadError> {
        if self.position() == 0 {
            if self.buffer.len() < HEADER {
                self.fill(HEADER)?;
            }
            match check_header(&self.buffer) {
                Ok(true) => self.used = HEADER,
                Ok(false) => return Ok(Step::End),
                Err(source) => {
                    return Err(ReadError::Header {
                        path: self.path.clone(),
                        source,
                    });
                }
            }
        }
        // What is buffered may be the torn end that a new keeper has cut off and written over, so
        // anything but a whole record is looked at once more in the file.
        let needed = match decode(&self.buffer[self.used..]) {
            Decoded::Record(record, taken) => {
                self.used += taken;
                return Ok(Step::Record(record));
            }
            Decoded::Short(needed) => needed,
            Decoded::Damaged => 0,
        };
        self.fill(needed)?;
        match decode(&self.buffer) {
            Decoded::Record(record, taken) => {
                self.used = taken;
                Ok(Step::Record(record))
            }
            // The beginning of a record is there: all of it may be.
            Decoded::Short(needed) if !self.buffer.is_empty() => {
                self.fill(needed)?;
                Ok(match decode(&self.buffer) {
                    Decoded::Record(record, taken) => {
                        self.used = taken;
                        Step::Record(record)
                    }
                    Decoded::Short(_) => Step::End,
                    Decoded::Damaged => Step::Damaged,
                })
            }
            Decoded::Short(_) => Ok(Step::End),
            Decoded::Damaged => Ok(Step::Damaged),
        }
    }

    /// Reads the file again from the current position: at least `needed` bytes, if it has them. A
    /// file that gives less than it was asked for has no more for now, and is not asked again.
    fn fill(&mut self, needed: usize) -> Result<(), ReadError> {
        let position = self.position();
        let asked = needed.max(self.read_size);
        self.buffer.resize(asked, 0);
        let mut filled = 0;
        while filled < self.buffer.len() {
            let count = self
                .file
                .read_at(&mut self.buffer[filled..], position + filled as u64)
                .map_err(|source| ReadError::Io {
                    path: self.path.clone(),
                    source,
                })?;
            filled += count;
            if count == 0 || filled >= needed {
                break;
            }
        }
        let is_full = filled == asked;
        self.buffer.truncate(filled);
        self.read_size = match is_full {
            true => (self.read_size * 4).min(MOST_READ),
            false => LEAST_READ,
        };
        self.buffer.shrink_to(self.read_size);
        self.buffer_at = position;
        self.used = 0;
        Ok(())
    }
}
