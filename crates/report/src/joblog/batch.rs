//! Lines as they travel and are kept.
//!
//! A batch is one byte, the version 1, and then lines to its end. A line is its level (one byte),
//! then as variable-length integers (seven bits a byte, the lowest first): how far its number is
//! from the one after the line before, how many microseconds it is after the line before (both
//! zigzag, counted from 0 for the first), and the length of its text; then the text. So a line
//! costs its text and four to six bytes, and one batch says nothing about another.

use basalt_model::UtcMicros;

use super::line::{Line, Lines, LogLevel, LogLine};

/// The version of a batch.
const VERSION: u8 = 1;

/// The bytes are no batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// There is nothing at all.
    #[error("a batch of log lines has at least its version")]
    Empty,
    /// It was made by a later release.
    #[error("batch of log lines of version {0}; this build reads {VERSION}")]
    Version(u8),
    /// A line ends before its time, or is of a level that does not exist.
    #[error("line {index} of a batch of log lines is broken")]
    Line {
        /// Which line, counted from 0.
        index: usize,
    },
}

/// Makes a batch line by line.
#[derive(Clone, Debug)]
pub struct BatchWriter {
    bytes: Vec<u8>,
    lines: u64,
    first: u64,
    last: Place,
}

/// Where the line before was.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    number: u64,
    utc: i64,
}

impl Default for BatchWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchWriter {
    /// An empty batch.
    pub fn new() -> Self {
        Self {
            bytes: vec![VERSION],
            lines: 0,
            first: 0,
            last: Place::default(),
        }
    }

    /// Adds a line.
    pub fn push(&mut self, line: Line<'_>) {
        if self.lines == 0 {
            self.first = line.number;
        }
        self.lines += 1;
        self.bytes.push(line.level as u8);
        let expected = self.last.number.wrapping_add(1);
        self.integer(zigzag(line.number.wrapping_sub(expected) as i64));
        self.integer(zigzag(line.utc.0.wrapping_sub(self.last.utc)));
        self.integer(line.text.len() as u64);
        self.bytes.extend_from_slice(line.text);
        self.last = Place {
            number: line.number,
            utc: line.utc.0,
        };
    }

    fn integer(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// How many lines there are.
    pub fn count(&self) -> u64 {
        self.lines
    }

    /// The number of the first line; 0 without lines.
    pub fn first_number(&self) -> u64 {
        self.first
    }

    /// The number of the last line; 0 without lines.
    pub fn last_number(&self) -> u64 {
        self.last.number
    }

    /// The batch so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins anew; keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.truncate(1);
        self.lines = 0;
        self.first = 0;
        self.last = Place::default();
    }

    /// The batch; what comes next begins another.
    pub fn take(&mut self) -> Vec<u8> {
        let bytes = std::mem::replace(&mut self.bytes, vec![VERSION]);
        self.clear();
        bytes
    }
}

impl Lines for BatchWriter {
    fn line(&mut self, line: Line<'_>) {
        self.push(line);
    }
}

/// A batch that was found whole.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    lines: &'a [u8],
    count: u64,
    first: u64,
    last: u64,
}

impl<'a> Batch<'a> {
    /// Looks over all of a batch once, without copying it.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let (version, lines) = bytes.split_first().ok_or(BatchError::Empty)?;
        if *version != VERSION {
            return Err(BatchError::Version(*version));
        }
        let mut batch = Self {
            lines,
            count: 0,
            first: 0,
            last: 0,
        };
        let mut reader = BatchLines::new(lines);
        while !reader.rest.is_empty() {
            let line = reader.line().ok_or(BatchError::Line {
                index: usize::try_from(batch.count).unwrap_or(usize::MAX),
            })?;
            if batch.count == 0 {
                batch.first = line.number;
            }
            batch.last = line.number;
            batch.count += 1;
        }
        Ok(batch)
    }

    /// How many lines there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The number of the first line; 0 without lines.
    pub fn first_number(&self) -> u64 {
        self.first
    }

    /// The number of the last line; 0 without lines.
    pub fn last_number(&self) -> u64 {
        self.last
    }

    /// The lines, in their order.
    pub fn iter(&self) -> BatchLines<'a> {
        BatchLines::new(self.lines)
    }
}

impl<'a> IntoIterator for Batch<'a> {
    type Item = Line<'a>;
    type IntoIter = BatchLines<'a>;

    fn into_iter(self) -> BatchLines<'a> {
        self.iter()
    }
}

/// The lines of a [`Batch`], each where it lies.
#[derive(Clone, Debug)]
pub struct BatchLines<'a> {
    rest: &'a [u8],
    last: Place,
}

impl<'a> BatchLines<'a> {
    fn new(lines: &'a [u8]) -> Self {
        Self {
            rest: lines,
            last: Place::default(),
        }
    }

    fn line(&mut self) -> Option<Line<'a>> {
        let (level, rest) = self.rest.split_first()?;
        let level = LogLevel::of_number(*level)?;
        self.rest = rest;
        let expected = self.last.number.wrapping_add(1);
        let number = expected.wrapping_add(unzigzag(self.integer()?) as u64);
        let utc = self.last.utc.wrapping_add(unzigzag(self.integer()?));
        let length = usize::try_from(self.integer()?).ok()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        self.last = Place { number, utc };
        Some(Line {
            number,
            utc: UtcMicros(utc),
            level,
            text,
        })
    }

    fn integer(&mut self) -> Option<u64> {
        let mut value = 0;
        for (index, byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for BatchLines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        self.line()
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// The batch of these lines.
pub fn encode_batch(lines: &[LogLine]) -> Vec<u8> {
    let mut writer = BatchWriter::new();
    for line in lines {
        writer.push(line.as_line());
    }
    writer.take()
}

/// The lines of a batch, copied out of it.
///
/// # Errors
/// [`BatchError`].
pub fn decode_batch(bytes: &[u8]) -> Result<Vec<LogLine>, BatchError> {
    Ok(Batch::read(bytes)?.iter().map(LogLine::from).collect())
}
