//! Reading a run's log: batches from the tail or from sealed objects, never the whole log.

use std::collections::VecDeque;

use basalt_model::{RunId, UtcMicros};
use bytes::Bytes;

use crate::database::value::{Row, values};
use crate::sealed::{self, Frame};
use crate::statements::log as sql;
use crate::{Store, StoreError};

const DOING: &str = "read a run's log";
/// How many batches of the tail are read at once.
const TAIL_BATCHES: u32 = 16;
/// A batch that is neither sealed nor in the tail was sealed between the two looks.
const LOOKS: usize = 5;

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

impl LogChunk {
    /// The number of the line after its last one.
    pub fn end(&self) -> u64 {
        self.from_line + self.lines
    }
}

/// Goes through a run's log, ascending; holds one frame, or a few batches of the tail, at a time.
pub struct LogReader {
    store: Store,
    run: RunId,
    next_line: u64,
    levels: u32,
    read: VecDeque<LogChunk>,
    part: Option<Part>,
}

/// The sealed part that is being read.
struct Part {
    object: String,
    offset: u64,
    from_line: u64,
    end_line: u64,
    frames: Vec<Frame>,
}

impl LogReader {
    /// The next chunk; `None` at the end of what is stored. Asked again later it goes on with what
    /// has come since.
    pub async fn next(&mut self) -> Result<Option<LogChunk>, StoreError> {
        loop {
            while let Some(chunk) = self.read.pop_front() {
                if chunk.end() <= self.next_line {
                    continue;
                }
                self.next_line = chunk.end();
                if chunk.levels & self.levels != 0 {
                    return Ok(Some(chunk));
                }
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// The number of the line that comes next.
    pub fn next_line(&self) -> u64 {
        self.next_line
    }

    /// Reads on, or skips what has no line of the levels; `false` at the end.
    async fn fill(&mut self) -> Result<bool, StoreError> {
        for _ in 0..LOOKS {
            if self.read_part().await? || self.open_part().await? || self.read_tail().await? {
                return Ok(true);
            }
            let row = self
                .store
                .database()
                .row(DOING, sql::LAST_LINE, values![self.run])
                .await?;
            let last = row.map_or(Ok(0), |mut row| row.take::<u64>())?;
            if last < self.next_line {
                return Ok(false);
            }
        }
        Err(self.damaged(format!("line {} is missing", self.next_line)))
    }

    /// From the open part: the next frame with a line of the levels.
    async fn read_part(&mut self) -> Result<bool, StoreError> {
        let Some(part) = &self.part else {
            return Ok(false);
        };
        if !(part.from_line..part.end_line).contains(&self.next_line) {
            self.part = None;
            return Ok(false);
        }
        let ahead = |frame: &&Frame| frame.from_line + frame.lines > self.next_line;
        let found = part
            .frames
            .iter()
            .filter(ahead)
            .find(|frame| frame.levels & self.levels != 0);
        let Some(frame) = found else {
            self.next_line = part.end_line;
            return Ok(true);
        };
        let begin = part.offset + frame.offset;
        let range = begin..begin + u64::from(frame.length);
        let compressed = self.store.objects().range(&part.object, range).await?;
        let batches =
            sealed::read_frame(frame, &compressed).map_err(|problem| self.damaged(problem))?;
        // What was skipped has no line that is asked for.
        self.next_line = self.next_line.max(frame.from_line);
        self.read.extend(batches);
        Ok(true)
    }

    /// Opens the part that holds the next line, if it is sealed.
    async fn open_part(&mut self) -> Result<bool, StoreError> {
        let row = self
            .store
            .database()
            .row(
                DOING,
                sql::OBJECT_WITH_LINE,
                values![self.run, self.next_line],
            )
            .await?;
        let Some(mut row) = row else {
            return Ok(false);
        };
        let (from_line, lines): (u64, u64) = (row.take()?, row.take()?);
        let object: String = row.take()?;
        let (offset, length, footer): (u64, u64, u64) = (row.take()?, row.take()?, row.take()?);
        if from_line + lines <= self.next_line {
            return Ok(false);
        }
        let end = offset + length;
        let footer = self
            .store
            .objects()
            .range(&object, end.saturating_sub(footer)..end)
            .await?;
        let frames = sealed::read_footer(&footer).map_err(|problem| self.damaged(problem))?;
        self.part = Some(Part {
            object,
            offset,
            from_line,
            end_line: from_line + lines,
            frames,
        });
        Ok(true)
    }

    /// From the tail in the database.
    async fn read_tail(&mut self) -> Result<bool, StoreError> {
        let rows = self
            .store
            .database()
            .rows(
                DOING,
                sql::TAIL_FROM_LINE,
                values![self.run, self.next_line, TAIL_BATCHES],
            )
            .await?;
        let batches = rows
            .into_iter()
            .map(read_batch)
            .collect::<Result<Vec<_>, _>>()?;
        let fits = batches
            .first()
            .is_some_and(|batch| batch.from_line <= self.next_line && self.next_line < batch.end());
        if fits {
            self.read.extend(batches);
        }
        Ok(fits)
    }

    fn damaged(&self, problem: String) -> StoreError {
        StoreError::Damaged {
            what: format!("the log of run {}", self.run),
            problem,
        }
    }
}

pub(crate) fn read_batch(mut row: Row) -> Result<LogChunk, StoreError> {
    Ok(LogChunk {
        from_line: row.take()?,
        lines: row.take()?,
        levels: row.take()?,
        first: row.take()?,
        last: row.take()?,
        data: row.take::<Vec<u8>>()?.into(),
    })
}

impl Store {
    /// Reads a run's log from the chunk that holds line `from` on (from the first one for 0).
    /// Chunks without a line of the levels in `levels` are left out; `u32::MAX` asks for all.
    pub fn read_log(&self, run: RunId, from: u64, levels: u32) -> LogReader {
        LogReader {
            store: self.clone(),
            run,
            next_line: from.max(1),
            levels,
            read: VecDeque::new(),
            part: None,
        }
    }
}
