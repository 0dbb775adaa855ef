//! A run's events and its part of the console, from its files, in the order in which they came.

use std::path::{Path, PathBuf};

use basalt_console::layout::console_dir;
use basalt_console::segment::{Chunk, ChunkBody, ReadError, SegmentReader};
use basalt_journal::{JournalError, Reader};
use basalt_model::{Event, ParseEventError};
use basalt_runner::Grown;

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// An event, and its JSON as the journal holds it.
    Event(Box<Event>, Vec<u8>),
    /// Something of the console.
    Console(Chunk),
    /// The console cannot be read here; it goes on at the run's end of it.
    Unreadable(ReadError),
}

/// A run's files cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Its journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An event in it.
    #[error("event {seq} cannot be read")]
    Event {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: ParseEventError,
    },
}

/// Follows the files of one run.
#[derive(Debug)]
pub struct Source {
    journal_path: PathBuf,
    journal: Option<Reader>,
    /// What comes before this event is passed over.
    from_seq: u64,
    event: Option<(Box<Event>, Vec<u8>)>,
    console_dir: PathBuf,
    /// The console is read from the moment at which the run had it.
    console: Option<SegmentReader>,
    chunk: Option<Chunk>,
    /// The run has its console: it may be read once the caller says from where.
    granted: bool,
}

impl Source {
    /// A source whose first event is `from_seq`.
    pub fn new(run: &Path, state: &Path, board: &str, from_seq: u64) -> Self {
        Self {
            journal_path: run.join("journal"),
            journal: None,
            from_seq,
            event: None,
            console_dir: console_dir(state, board),
            console: None,
            chunk: None,
            granted: false,
        }
    }

    /// The next thing of a run that has grown so far, or `None` until it grows more.
    /// `console_offset`: the console's byte that is wanted next.
    pub fn next(&mut self, grown: Grown, console_offset: u64) -> Result<Option<Next>, SourceError> {
        self.peek_event(grown.seq)?;
        let is_ready = match self.peek_chunk(grown, console_offset) {
            Ok(is_ready) => is_ready,
            Err(error) => {
                // The next look begins where the caller says.
                self.console = None;
                return Ok(Some(Next::Unreadable(error)));
            }
        };
        let console_first = match (&self.event, &self.chunk) {
            (Some((event, _)), Some(chunk)) if is_ready => chunk.stamp.boot <= event.stamp.boot,
            _ => is_ready,
        };
        if console_first {
            return Ok(self.chunk.take().map(Next::Console));
        }
        let Some((event, json)) = self.event.take() else {
            return Ok(None);
        };
        self.granted |= is_grant(&json);
        Ok(Some(Next::Event(event, json)))
    }

    fn peek_event(&mut self, last: u64) -> Result<(), SourceError> {
        if self.event.is_some() || last == 0 {
            return Ok(());
        }
        let journal = match &mut self.journal {
            Some(journal) => journal,
            None => self.journal.insert(Reader::open(&self.journal_path)?),
        };
        while journal.next_seq() <= last {
            let Some(record) = journal.next_record()? else {
                return Ok(());
            };
            if record.seq < self.from_seq {
                self.granted |= is_grant(record.json);
                continue;
            }
            let event = Event::from_json(record.json).map_err(|source| SourceError::Event {
                seq: record.seq,
                source,
            })?;
            self.event = Some((Box::new(event), record.json.to_vec()));
            return Ok(());
        }
        Ok(())
    }

    /// Looks for what the console says next, as far as the run has looked at it itself.
    fn peek_chunk(&mut self, grown: Grown, from: u64) -> Result<bool, ReadError> {
        if !self.granted || from > grown.console {
            return Ok(false);
        }
        let end = grown.console;
        if self.chunk.is_none() {
            let console = self
                .console
                .get_or_insert_with(|| SegmentReader::open(&self.console_dir, from));
            self.chunk = console.next_announced(end)?;
            if self.chunk.is_none() {
                console.check_announced(end)?;
            }
        }
        let Some(chunk) = &mut self.chunk else {
            return Ok(false);
        };
        if chunk.end() <= end {
            return Ok(true);
        }
        // What comes behind the run's end is not its own.
        if grown.finished
            && chunk.offset < end
            && let ChunkBody::Data(bytes) = &mut chunk.body
        {
            bytes.truncate((end - chunk.offset) as usize);
            return Ok(true);
        }
        Ok(false)
    }
}

/// Whether an event grants the run its board, by its JSON: the kind stands there as a word.
fn is_grant(json: &[u8]) -> bool {
    const WORD: &[u8] = b"\"kind\":\"lease_granted\"";
    json.windows(WORD.len()).any(|window| window == WORD)
}
