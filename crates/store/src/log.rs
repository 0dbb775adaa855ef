//! Reading a run's log: batches from the tail or from sealed objects, never the whole log.

use basalt_model::{RunId, UtcMicros};
use bytes::Bytes;

use crate::{Store, StoreError};

/// Some lines of a log, encoded as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// The number of its first line.
    pub from_line: u64,
    /// How many lines it has.
    pub lines: u64,
    /// Bit n is set if a line has level n.
    pub levels: u32,
    /// Time of its first line.
    pub first: UtcMicros,
    /// Time of its last line.
    pub last: UtcMicros,
    /// The lines, encoded.
    pub data: Bytes,
}

/// Goes through a run's log, ascending; holds one frame at a time.
pub struct LogReader {
    store: Store,
    run: RunId,
    next_line: u64,
    levels: u32,
}

impl LogReader {
    /// The next chunk; `None` at the end of what is stored.
    pub async fn next(&mut self) -> Result<Option<LogChunk>, StoreError> {
        let _ = (&self.store, self.run, self.next_line, self.levels);
        Err(StoreError::NotYet)
    }
}

impl Store {
    /// Reads a run's log from the chunk that holds line `from` on. Chunks without a line of the
    /// levels in `levels` are left out; `u32::MAX` asks for all.
    pub fn read_log(&self, run: RunId, from: u64, levels: u32) -> LogReader {
        LogReader {
            store: self.clone(),
            run,
            next_line: from,
            levels,
        }
    }
}
