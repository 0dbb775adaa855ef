//! Events and bytes become lines.

use basalt_model::{Event, EventBody, UtcMicros};
use serde::{Deserialize, Serialize};

use super::line::{Line, Lines, LogLevel};
use super::words;

/// The version of the rules by which lines are made. A log that was begun under one version is
/// gone on with under the same.
pub const VERSION: u32 = 1;

/// No line is longer, bytes; what is longer goes on in the next.
pub const LONGEST_LINE: usize = 4096;

/// Everything that is needed to go on with a log after a restart: what comes next of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The [`VERSION`] of the rules.
    pub version: u32,
    /// Sequence of the next event.
    pub event_seq: u64,
    /// Offset of the console's next byte (counted since the console was first captured).
    pub console_offset: u64,
    /// Number of the next line.
    pub line: u64,
}

/// The log was begun under rules that this build does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("job log of version {0}; this build makes version {VERSION}")]
pub struct UnknownVersion(pub u32);

/// Makes the lines of one run's log.
///
/// The same events and bytes in the same order give the same lines, however the bytes are cut into
/// pieces, and wherever a fold is replaced by another that goes on from its [`Cursor`]. Only
/// [`Fold::flush`] is the caller's choice: it ends a line that the board has not ended.
#[derive(Clone, Debug)]
pub struct Fold {
    next: Cursor,
    /// Bytes of a line that is not complete; fewer than [`LONGEST_LINE`].
    partial: Vec<u8>,
    /// When its first byte was read.
    partial_utc: UtcMicros,
    /// Room for the text of an event.
    text: String,
}

impl Fold {
    /// A log from its beginning. `console_from` is where the board's console stands when the run
    /// gets it, or 0 where that is not known yet: [`EventBody::LeaseGranted`] tells.
    pub fn new(console_from: u64) -> Self {
        Self::at(Cursor {
            version: VERSION,
            event_seq: 1,
            console_offset: console_from,
            line: 1,
        })
    }

    /// Goes on where another fold was.
    ///
    /// # Errors
    /// [`UnknownVersion`].
    pub fn resume(cursor: Cursor) -> Result<Self, UnknownVersion> {
        match cursor.version {
            VERSION => Ok(Self::at(cursor)),
            other => Err(UnknownVersion(other)),
        }
    }

    fn at(next: Cursor) -> Self {
        Self {
            next,
            partial: Vec::new(),
            partial_utc: UtcMicros(0),
            text: String::new(),
        }
    }

    /// Where to go on after a restart; `None` while a line is begun, which only ends with
    /// [`Fold::flush`], with the board's newline or with the line of an event.
    pub fn cursor(&self) -> Option<Cursor> {
        self.partial.is_empty().then_some(self.next)
    }

    /// Whether a line is begun: what [`Fold::flush`] would end.
    pub fn has_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Sequence of the event that is wanted next.
    pub fn next_event(&self) -> u64 {
        self.next.event_seq
    }

    /// Offset of the byte that is wanted next. An event that grants the run another lease moves it
    /// on: what the board said meanwhile was not said to this run.
    pub fn console_offset(&self) -> u64 {
        self.next.console_offset
    }

    /// Number of the next line.
    pub fn next_line(&self) -> u64 {
        self.next.line
    }

    /// Takes what the board said, from [`Fold::console_offset`] on. `utc` is when the host read it.
    pub fn console(&mut self, utc: UtcMicros, bytes: &[u8], lines: &mut impl Lines) {
        self.next.console_offset += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = LONGEST_LINE - self.partial.len();
            let window = &rest[..rest.len().min(room)];
            let newline = window.iter().position(|byte| *byte == b'\n');
            if self.partial.is_empty() {
                // The usual case: the line lies in one piece and need not be copied.
                let end = match newline {
                    Some(at) => at + 1,
                    None if window.len() == LONGEST_LINE => whole_characters(window),
                    None => {
                        self.partial.extend_from_slice(rest);
                        self.partial_utc = utc;
                        return;
                    }
                };
                self.next.emit(utc, LogLevel::Target, &rest[..end], lines);
                rest = &rest[end..];
                continue;
            }
            let taken = newline.map_or(window.len(), |at| at + 1);
            self.partial.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            let end = match newline {
                Some(_) => self.partial.len(),
                None if self.partial.len() == LONGEST_LINE => whole_characters(&self.partial),
                None => return,
            };
            let text = &self.partial[..end];
            self.next
                .emit(self.partial_utc, LogLevel::Target, text, lines);
            self.partial.drain(..end);
            self.partial_utc = utc;
        }
    }

    /// Takes a gap in the capture: bytes that came at [`Fold::console_offset`] and were not read.
    pub fn gap(&mut self, utc: UtcMicros, reason: &str, lines: &mut impl Lines) {
        self.flush(lines);
        self.text.clear();
        words::push_tame(&mut self.text, "the console's bytes were lost here: ");
        words::push_tame(&mut self.text, reason);
        words::shorten(&mut self.text);
        self.next
            .emit(utc, LogLevel::Gap, self.text.as_bytes(), lines);
    }

    /// Takes an event. One that was taken before (its sequence is below [`Fold::next_event`]) is
    /// passed over.
    ///
    /// [`EventBody::ConsoleGap`] makes no line: the gap stands among the console's bytes, and comes
    /// by [`Fold::gap`].
    pub fn event(&mut self, event: &Event, lines: &mut impl Lines) {
        if event.seq < self.next.event_seq {
            return;
        }
        self.next.event_seq = event.seq + 1;
        self.text.clear();
        if let Some(level) = words::of_event(event, &mut self.text) {
            self.flush(lines);
            words::shorten(&mut self.text);
            let text = self.text.as_bytes();
            self.next.emit(event.stamp.utc, level, text, lines);
        }
        if let EventBody::LeaseGranted { console_from, .. } = event.body {
            self.next.console_offset = self.next.console_offset.max(console_from);
        }
    }

    /// Ends a line that is begun: the board has been silent in the midst of it. The rest of it
    /// becomes a line of its own.
    pub fn flush(&mut self, lines: &mut impl Lines) {
        if !self.partial.is_empty() {
            let utc = self.partial_utc;
            self.next.emit(utc, LogLevel::Target, &self.partial, lines);
            self.partial.clear();
        }
    }
}

impl Cursor {
    fn emit(&mut self, utc: UtcMicros, level: LogLevel, text: &[u8], lines: &mut impl Lines) {
        lines.line(Line {
            number: self.line,
            utc,
            level,
            text,
        });
        self.line += 1;
    }
}

/// How many of these bytes end with a whole UTF-8 character, so that a long line is not cut within
/// one. Bytes that are no UTF-8 are taken as they are.
fn whole_characters(bytes: &[u8]) -> usize {
    for back in 1..=3.min(bytes.len() - 1) {
        let at = bytes.len() - back;
        let length = match bytes[at] {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > back { at } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_spares_characters_and_takes_bytes_that_are_none() {
        assert_eq!(whole_characters(b"abc"), 3);
        assert_eq!(whole_characters("abä".as_bytes()), 4);
        assert_eq!(whole_characters(&"abä".as_bytes()[..3]), 2);
        assert_eq!(whole_characters(&"ab🦀".as_bytes()[..5]), 2);
        assert_eq!(whole_characters("ab🦀".as_bytes()), 6);
        assert_eq!(whole_characters(&[0x80; 5]), 5);
        assert_eq!(whole_characters(&[0xff; 5]), 5);
    }
}
