//! Follows a journal that somebody else appends to.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::{JournalError, LARGEST_RECORD, MAGIC};

/// Bytes that are read from the file at once, where a record is not longer.
const READ_SIZE: usize = 16 * 1024;

/// Reads a journal from its beginning on while it grows. Never waits: at the end it says `None` and
/// can be asked again. A record that is not whole yet is not there yet.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: File,
    /// Where in the file `buffer` begins.
    at: u64,
    buffer: Vec<u8>,
    used: usize,
    next_seq: u64,
}

/// One event as the journal holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'r> {
    /// Its place in the run.
    pub seq: u64,
    /// The event's JSON: [`basalt_model::Event::from_json`] reads it.
    pub json: &'r [u8],
}

impl Reader {
    /// Opens a journal; it may be empty still.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let file = File::open(path).map_err(|source| JournalError::Io {
            path: path.to_owned(),
            doing: "open",
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            at: 0,
            buffer: Vec::new(),
            used: 0,
            next_seq: 1,
        })
    }

    /// The place of the event that comes next.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Passes over what comes before `seq`, as far as it is there; looks into nothing of it.
    pub fn skip_to(&mut self, seq: u64) -> Result<(), JournalError> {
        while self.next_seq < seq {
            match self.record()? {
                Some(length) => self.advance(length),
                None => break,
            }
        }
        Ok(())
    }

    /// The next event, or `None` at the end for now.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, JournalError> {
        let Some(length) = self.record()? else {
            return Ok(None);
        };
        let start = self.used + 8;
        let end = start + length;
        let checksum = number(&self.buffer[self.used + 4..start]);
        if crc32c::crc32c(&self.buffer[start..end]) != checksum {
            // What was appended last may be there in part.
            if self.ends_at(end)? {
                return Ok(None);
            }
            return Err(self.damaged());
        }
        let seq = self.next_seq;
        self.advance(length);
        Ok(Some(Record {
            seq,
            json: &self.buffer[start..end],
        }))
    }

    /// The length of the next record's JSON once all of it is in the buffer.
    fn record(&mut self) -> Result<Option<usize>, JournalError> {
        if self.at == 0 && self.used == 0 {
            if !self.has(MAGIC.len())? {
                return Ok(None);
            }
            if !self.buffer.starts_with(MAGIC) {
                return Err(JournalError::NotAJournal {
                    path: self.path.clone(),
                });
            }
            self.used = MAGIC.len();
        }
        if !self.has(8)? {
            return Ok(None);
        }
        let length = number(&self.buffer[self.used..self.used + 4]);
        if length > LARGEST_RECORD {
            return Err(self.damaged());
        }
        let length = length as usize;
        Ok(self.has(8 + length)?.then_some(length))
    }

    fn advance(&mut self, length: usize) {
        self.used += 8 + length;
        self.next_seq += 1;
    }

    /// Reads on until so many bytes are there behind what was used; false where they are not.
    fn has(&mut self, bytes: usize) -> Result<bool, JournalError> {
        while self.buffer.len() - self.used < bytes {
            if self.used > 0 {
                self.buffer.drain(..self.used);
                self.at += self.used as u64;
                self.used = 0;
            }
            let before = self.buffer.len();
            self.buffer
                .resize(before + READ_SIZE.max(bytes - before), 0);
            let read = self
                .file
                .read_at(&mut self.buffer[before..], self.at + before as u64);
            let count = *read.as_ref().unwrap_or(&0);
            self.buffer.truncate(before + count);
            read.map_err(|source| JournalError::Io {
                path: self.path.clone(),
                doing: "read",
                source,
            })?;
            if count == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn ends_at(&self, end: usize) -> Result<bool, JournalError> {
        let metadata = self.file.metadata().map_err(|source| JournalError::Io {
            path: self.path.clone(),
            doing: "look at",
            source,
        })?;
        Ok(metadata.len() <= self.at + end as u64)
    }

    fn damaged(&self) -> JournalError {
        JournalError::Damaged {
            path: self.path.clone(),
            offset: self.at + self.used as u64,
            source: None,
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Journal;
    use basalt_clock::Clock;
    use basalt_model::event::Level;
    use basalt_model::{Event, EventBody, RunId};

    fn run() -> RunId {
        "0193a1b2-7c00-7000-8000-000000000001".parse().unwrap()
    }

    fn log(message: String) -> EventBody {
        EventBody::Log {
            level: Level::Info,
            message,
        }
    }

    #[test]
    fn a_reader_sees_every_event_once_it_is_whole_and_none_twice() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut journal = Journal::create(&path, run(), Clock::system()).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(reader.next_record().unwrap(), None);
        for seq in 1..=300 {
            // Some are longer than what is read at once.
            let message = "x".repeat(seq * 131);
            let event = journal.append(log(message)).unwrap();
            let record = reader.next_record().unwrap().unwrap();
            assert_eq!(record.seq, event.seq);
            assert_eq!(Event::from_json(record.json).unwrap(), event);
            assert_eq!(reader.next_record().unwrap(), None);
        }
        let mut late = Reader::open(&path).unwrap();
        late.skip_to(299).unwrap();
        assert_eq!(late.next_record().unwrap().unwrap().seq, 299);
        assert_eq!(late.next_record().unwrap().unwrap().seq, 300);
        assert_eq!(late.next_record().unwrap(), None);
    }

    #[test]
    fn a_record_that_is_there_in_part_is_not_there_yet() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut journal = Journal::create(&path, run(), Clock::system()).unwrap();
        journal.append(log("one".into())).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for cut in 0..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let mut reader = Reader::open(&path).unwrap();
            assert_eq!(reader.next_record().unwrap(), None, "cut at {cut}");
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(
                reader.next_record().unwrap().unwrap().seq,
                1,
                "cut at {cut}"
            );
        }
    }
}
