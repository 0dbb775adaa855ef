//! A run's events on disk (decisions D5, D7, D8): append, read back, torn tails.
//!
//! A journal is one file: eight bytes of magic, then records of `length: u32`, `crc32c: u32`
//! (both little-endian, the checksum over the JSON) and the event's JSON. A record that the
//! machine's end cut short is cut off at open; a record that is whole but damaged is an error,
//! because silently losing what was acknowledged is worse than stopping.
//!
//! What is not done here: the meaning of events (the runner folds them) and console bytes (they
//! are in the console's segments; the journal holds spans).

mod reader;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use basalt_clock::Clock;
use basalt_model::{Event, EventBody, ParseEventError, RunId};

pub use reader::{Reader, Record};

/// First bytes of a journal; the last one is the version of the framing.
const MAGIC: &[u8; 8] = b"basaltj\x01";

/// No event is larger; a longer length is damage.
const LARGEST_RECORD: u32 = 16 << 20;

/// What can go wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refused.
    #[error("journal {path}: cannot {doing}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It does not begin as a journal does.
    #[error("{path} is not a journal, or one of a later release")]
    NotAJournal {
        /// Which file.
        path: PathBuf,
    },
    /// A record in the middle is damaged.
    #[error("journal {path}: the record at byte {offset} is damaged")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// Why its JSON is not an event, where its checksum is right.
        #[source]
        source: Option<ParseEventError>,
    },
}

/// How much a journal has cost, for tests that guard it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// `fdatasync` calls.
    pub syncs: u64,
    /// Bytes appended.
    pub bytes: u64,
}

/// An open journal. One process writes it at a time; its owner holds the run's lock.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    run: RunId,
    next_seq: u64,
    clock: Clock,
    dirty: bool,
    cost: Cost,
}

impl Journal {
    /// Makes a new, empty journal; fails where one exists.
    pub fn create(path: &Path, run: RunId, clock: Clock) -> Result<Self, JournalError> {
        let io = |doing| {
            move |source| JournalError::Io {
                path: path.to_owned(),
                doing,
                source,
            }
        };
        let mut file = OpenOptions::new()
            .write(true)
            .read(true)
            .create_new(true)
            .open(path)
            .map_err(io("create"))?;
        file.write_all(MAGIC).map_err(io("write"))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            run,
            next_seq: 1,
            clock,
            dirty: true,
            cost: Cost {
                syncs: 0,
                bytes: MAGIC.len() as u64,
            },
        })
    }

    /// Opens a journal to go on with it, and returns what it holds. A torn tail is cut off.
    ///
    /// `run` is the id to go on with where the journal is still empty.
    pub fn open(path: &Path, run: RunId, clock: Clock) -> Result<(Self, Vec<Event>), JournalError> {
        let io = |doing| {
            move |source| JournalError::Io {
                path: path.to_owned(),
                doing,
                source,
            }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(io("open"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io("read"))?;
        let (events, whole) = parse(path, &bytes)?;
        if whole < bytes.len() as u64 || bytes.is_empty() {
            file.set_len(whole).map_err(io("cut the torn tail of"))?;
        }
        file.seek(SeekFrom::Start(whole)).map_err(io("seek in"))?;
        if whole == 0 {
            file.write_all(MAGIC).map_err(io("write"))?;
        }
        let journal = Self {
            path: path.to_owned(),
            file,
            run: events.last().map_or(run, |event| event.run),
            next_seq: events.last().map_or(1, |event| event.seq + 1),
            clock,
            dirty: true,
            cost: Cost::default(),
        };
        Ok((journal, events))
    }

    /// Appends one event and returns it. It is in the operating system's hands, not yet on the
    /// disk: see [`Journal::sync`].
    pub fn append(&mut self, body: EventBody) -> Result<Event, JournalError> {
        let event = Event {
            run: self.run,
            seq: self.next_seq,
            stamp: self.clock.now(),
            boot_id: self.clock.boot_id().clone(),
            body,
        };
        let json = event.to_json();
        let mut record = Vec::with_capacity(json.len() + 8);
        record.extend_from_slice(&(json.len() as u32).to_le_bytes());
        record.extend_from_slice(&crc32c::crc32c(json.as_bytes()).to_le_bytes());
        record.extend_from_slice(json.as_bytes());
        // One write a record: a killed process leaves whole records behind.
        self.file
            .write_all(&record)
            .map_err(|source| JournalError::Io {
                path: self.path.clone(),
                doing: "append to",
                source,
            })?;
        self.next_seq += 1;
        self.dirty = true;
        self.cost.bytes += record.len() as u64;
        Ok(event)
    }

    /// Makes everything appended so far durable. Does nothing where nothing was appended.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        if !self.dirty {
            return Ok(());
        }
        self.file.sync_data().map_err(|source| JournalError::Io {
            path: self.path.clone(),
            doing: "make durable",
            source,
        })?;
        self.dirty = false;
        self.cost.syncs += 1;
        Ok(())
    }

    /// Whether something was appended since the last [`Journal::sync`].
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The run whose journal this is.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// What this journal has cost since it was opened.
    pub fn cost(&self) -> Cost {
        self.cost
    }
}

/// Reads a journal without changing it; a torn tail is left out.
pub fn read(path: &Path) -> Result<Vec<Event>, JournalError> {
    let bytes = std::fs::read(path).map_err(|source| JournalError::Io {
        path: path.to_owned(),
        doing: "read",
        source,
    })?;
    parse(path, &bytes).map(|(events, _)| events)
}

/// The events in `bytes`, and how many bytes are whole.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<Event>, u64), JournalError> {
    if bytes.len() < MAGIC.len() && MAGIC.starts_with(bytes) {
        return Ok((Vec::new(), 0));
    }
    if !bytes.starts_with(MAGIC) {
        return Err(JournalError::NotAJournal {
            path: path.to_owned(),
        });
    }
    let mut events = Vec::new();
    let mut offset = MAGIC.len();
    while let Some(header) = bytes.get(offset..offset + 8) {
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let checksum = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        let end = offset + 8 + length as usize;
        let damaged = |source| JournalError::Damaged {
            path: path.to_owned(),
            offset: offset as u64,
            source,
        };
        let Some(json) = bytes.get(offset + 8..end) else {
            // Runs past the end of the file: torn, unless the length itself is nonsense.
            if length > LARGEST_RECORD {
                return Err(damaged(None));
            }
            break;
        };
        if crc32c::crc32c(json) != checksum {
            // A last record may be torn inside too: a file system may keep the length of a write
            // and not all its blocks.
            if end == bytes.len() {
                break;
            }
            return Err(damaged(None));
        }
        events.push(Event::from_json(json).map_err(|source| damaged(Some(source)))?);
        offset = end;
    }
    Ok((events, offset as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_model::event::Level;

    fn run() -> RunId {
        "0193a1b2-7c00-7000-8000-000000000001".parse().unwrap()
    }

    fn log(message: &str) -> EventBody {
        EventBody::Log {
            level: Level::Info,
            message: message.into(),
        }
    }

    #[test]
    fn a_journal_cut_at_any_byte_of_its_last_record_goes_on_after_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut journal = Journal::create(&path, run(), Clock::system()).unwrap();
        journal.append(log("one")).unwrap();
        let whole = std::fs::metadata(&path).unwrap().len();
        journal.append(log("two")).unwrap();
        drop(journal);
        let bytes = std::fs::read(&path).unwrap();
        for cut in whole..bytes.len() as u64 {
            std::fs::write(&path, &bytes[..cut as usize]).unwrap();
            let (mut journal, events) = Journal::open(&path, run(), Clock::system()).unwrap();
            assert_eq!(events.len(), 1, "cut at {cut}");
            assert_eq!(journal.append(log("again")).unwrap().seq, 2);
            drop(journal);
            assert_eq!(read(&path).unwrap().len(), 2);
        }
    }

    #[test]
    fn damage_in_the_middle_is_an_error_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut journal = Journal::create(&path, run(), Clock::system()).unwrap();
        journal.append(log("one")).unwrap();
        journal.append(log("two")).unwrap();
        drop(journal);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[MAGIC.len() + 12] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = Journal::open(&path, run(), Clock::system()).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { offset: 8, .. }));
    }

    #[test]
    fn another_file_is_not_taken_for_a_journal() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        std::fs::write(&path, "something else").unwrap();
        assert!(matches!(
            Journal::open(&path, run(), Clock::system()),
            Err(JournalError::NotAJournal { .. })
        ));
    }

    #[test]
    fn syncing_costs_only_what_was_appended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut journal = Journal::create(&path, run(), Clock::system()).unwrap();
        journal.append(log("one")).unwrap();
        journal.sync().unwrap();
        journal.sync().unwrap();
        assert_eq!(journal.cost().syncs, 1);
    }
}
