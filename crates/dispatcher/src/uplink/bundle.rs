//! What of a run is on its way to the server next: a bundle of events, a bundle of log lines, and
//! the cursor from which the log goes on behind them.
//!
//! Pure: things of the run in, messages out. At most two messages are held.

use basalt_link::{Events, LogBatch};
use basalt_model::{Event, RunId, UtcMicros};
use basalt_report::joblog::{BatchWriter, Cursor, Fold, UnknownVersion};
use serde::{Deserialize, Serialize};

/// Events are sent at the latest when they are so many bytes.
const EVENT_BYTES: usize = 32 * 1024;
/// Lines are sent at the latest when they are so many bytes.
const LINE_BYTES: usize = 20 * 1024;
/// The console is folded in pieces of so many bytes: each line of them costs four bytes more, and a
/// message fits a frame.
const PIECE: usize = 8 * 1024;

/// Where a log goes on: the fold's own cursor, and how many gaps at its offset are in it already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogCursor {
    /// [`Cursor::version`].
    version: u32,
    /// [`Cursor::event_seq`].
    pub event_seq: u64,
    /// [`Cursor::console_offset`].
    pub console_offset: u64,
    /// [`Cursor::line`].
    pub line: u64,
    /// Gaps in the console at `console_offset` that have their line.
    #[serde(default)]
    gaps: u32,
}

impl LogCursor {
    fn of(cursor: Cursor, gaps: u32) -> Self {
        Self {
            version: cursor.version,
            event_seq: cursor.event_seq,
            console_offset: cursor.console_offset,
            line: cursor.line,
            gaps,
        }
    }

    fn fold(self) -> Cursor {
        Cursor {
            version: self.version,
            event_seq: self.event_seq,
            console_offset: self.console_offset,
            line: self.line,
        }
    }
}

/// A run's events and lines on their way.
#[derive(Debug)]
pub struct Bundle {
    run: RunId,
    /// Events up to here the server has.
    known_seq: u64,
    first_seq: u64,
    count: u32,
    events: Vec<u8>,
    fold: Fold,
    lines: BatchWriter,
    /// Where the log goes on behind what is in `lines`, or behind a part of it.
    cursor: LogCursor,
    /// Gaps since the last byte that was folded.
    gaps: u32,
    /// Gaps of the cursor that the console will tell again.
    told_again: u32,
}

impl Bundle {
    /// Goes on where the server is.
    pub fn new(
        run: RunId,
        known_seq: u64,
        cursor: Option<LogCursor>,
    ) -> Result<Self, UnknownVersion> {
        let fold = match cursor {
            Some(cursor) => Fold::resume(cursor.fold())?,
            None => Fold::new(0),
        };
        let gaps = cursor.map_or(0, |cursor| cursor.gaps);
        let begin = fold.cursor().expect("a fold that begins holds no line");
        Ok(Self {
            run,
            known_seq,
            first_seq: 0,
            count: 0,
            events: Vec::new(),
            cursor: LogCursor::of(begin, gaps),
            fold,
            lines: BatchWriter::new(),
            gaps,
            told_again: gaps,
        })
    }

    /// The first event that is needed.
    pub fn first_needed(&self) -> u64 {
        self.fold.next_event().min(self.known_seq + 1)
    }

    /// The console's byte that is needed next.
    pub fn console_offset(&self) -> u64 {
        self.fold.console_offset()
    }

    /// The last event and the last line that were given out, or that the server had.
    pub fn last(&self) -> (u64, u64) {
        let last_line = self.cursor.line.saturating_sub(1);
        (self.known_seq, last_line)
    }

    /// Takes an event and its JSON.
    pub fn event(&mut self, event: &Event, json: &[u8]) {
        if event.seq > self.known_seq + u64::from(self.count) {
            if self.count == 0 {
                self.first_seq = event.seq;
            }
            self.count += 1;
            self.events.extend_from_slice(json);
            self.events.push(b'\n');
        }
        let before = self.fold.console_offset();
        self.fold.event(event, &mut self.lines);
        if self.fold.console_offset() != before {
            self.gaps = 0;
        }
        self.note();
    }

    /// Takes the first piece of what the console said; how long that was. The caller sends what is
    /// [`Bundle::is_full`] in between.
    pub fn console(&mut self, utc: UtcMicros, bytes: &[u8]) -> usize {
        let piece = &bytes[..bytes.len().min(PIECE)];
        // At the end of a line the log can be gone on with.
        let whole = piece
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        (self.gaps, self.told_again) = (0, 0);
        if whole > 0 {
            self.fold.console(utc, &piece[..whole], &mut self.lines);
            self.note();
        }
        if whole < piece.len() {
            self.fold.console(utc, &piece[whole..], &mut self.lines);
        }
        piece.len()
    }

    /// Takes a gap in the console.
    pub fn gap(&mut self, utc: UtcMicros, reason: &str) {
        if self.told_again > 0 {
            self.told_again -= 1;
            return;
        }
        self.gaps += 1;
        self.fold.gap(utc, reason, &mut self.lines);
        self.note();
    }

    /// The console goes on at another offset: what lies between cannot be read.
    pub fn jump(&mut self, offset: u64) {
        self.fold.flush(&mut self.lines);
        let mut cursor = self.fold.cursor().expect("the line was ended just now");
        cursor.console_offset = offset;
        if let Ok(fold) = Fold::resume(cursor) {
            self.fold = fold;
        }
        (self.gaps, self.told_again) = (0, 0);
        self.note();
    }

    /// Ends a line that the board has begun.
    pub fn end_line(&mut self) {
        self.fold.flush(&mut self.lines);
        self.note();
    }

    /// Whether the board has begun a line and not ended it.
    pub fn has_partial(&self) -> bool {
        self.fold.has_partial()
    }

    /// Whether something should be sent before more is taken.
    pub fn is_full(&self) -> bool {
        self.events.len() >= EVENT_BYTES || self.lines.bytes().len() >= LINE_BYTES
    }

    /// The events that wait, if any.
    pub fn take_events(&mut self) -> Option<Events> {
        if self.count == 0 {
            return None;
        }
        let events = Events {
            run: self.run,
            from_seq: self.first_seq,
            count: self.count,
            lines: std::mem::take(&mut self.events).into(),
        };
        self.known_seq = events.last_seq();
        self.count = 0;
        Some(events)
    }

    /// The lines that wait, if any.
    pub fn take_lines(&mut self) -> Option<LogBatch> {
        if self.lines.count() == 0 {
            return None;
        }
        if self.cursor.line != self.lines.last_number() + 1 {
            // A line longer than any has given some of itself since the cursor was taken.
            self.end_line();
        }
        let cursor = serde_json::to_value(self.cursor).expect("a cursor is plain data");
        Some(LogBatch {
            run: self.run,
            from_line: self.lines.first_number(),
            count: u32::try_from(self.lines.count()).unwrap_or(u32::MAX),
            cursor: Some(cursor),
            batch: self.lines.take().into(),
        })
    }

    fn note(&mut self) {
        if let Some(cursor) = self.fold.cursor() {
            self.cursor = LogCursor::of(cursor, self.gaps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_model::event::Level;
    use basalt_model::{BootId, EventBody, Stamp};
    use basalt_report::joblog::decode_batch;

    fn run() -> RunId {
        "0193a1b2-7c00-7000-8000-000000000001".parse().unwrap()
    }

    fn log(seq: u64, message: &str) -> Event {
        Event {
            run: run(),
            seq,
            stamp: Stamp::default(),
            boot_id: BootId("b".into()),
            body: EventBody::Log {
                level: Level::Info,
                message: message.into(),
            },
        }
    }

    /// Takes all of the console, and gives the text of the lines that came of it.
    fn feed(bundle: &mut Bundle, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = bundle.console(UtcMicros(1), bytes);
            bytes = &bytes[taken..];
        }
    }

    fn texts(batch: &LogBatch) -> Vec<u8> {
        let lines = decode_batch(&batch.batch).unwrap();
        lines.into_iter().flat_map(|line| line.text).collect()
    }

    fn cursor(batch: &LogBatch) -> LogCursor {
        serde_json::from_value(batch.cursor.clone().unwrap()).unwrap()
    }

    #[test]
    fn a_log_cut_at_any_batch_goes_on_with_every_byte_once() {
        // Long lines, short lines, a beginning that is not ended.
        let mut board = Vec::new();
        for length in [3, 9000, 1, 4096, 70, 20_000, 8191, 5] {
            board.extend(std::iter::repeat_n(b'a' + (length % 20) as u8, length));
            board.push(b'\n');
        }
        board.extend_from_slice(b"=> ");
        for cut in [1, 100, 4097, 9004, 9005, 13_000, 40_000, board.len()] {
            let mut first = Bundle::new(run(), 0, None).unwrap();
            feed(&mut first, &board[..cut]);
            let mut heard = Vec::new();
            let mut next = None;
            if let Some(batch) = first.take_lines() {
                heard = texts(&batch);
                assert_eq!(batch.last_line() + 1, cursor(&batch).line);
                next = Some(cursor(&batch));
            }
            let mut second = Bundle::new(run(), 0, next).unwrap();
            assert_eq!(
                second.console_offset() as usize,
                heard.len(),
                "cut at {cut}"
            );
            feed(&mut second, &board[heard.len()..]);
            second.end_line();
            if let Some(batch) = second.take_lines() {
                heard.extend(texts(&batch));
            }
            assert_eq!(heard, board, "cut at {cut}");
        }
    }

    #[test]
    fn a_gap_has_one_line_whatever_comes_between() {
        let mut first = Bundle::new(run(), 0, None).unwrap();
        feed(&mut first, b"one\n");
        first.gap(UtcMicros(2), "the keeper was away");
        let batch = first.take_lines().unwrap();
        assert_eq!(batch.count, 2);
        let mut second = Bundle::new(run(), 0, Some(cursor(&batch))).unwrap();
        // Whoever reads the console from there meets the gap again.
        second.gap(UtcMicros(2), "the keeper was away");
        assert!(second.take_lines().is_none());
        second.gap(UtcMicros(3), "another");
        assert_eq!(second.take_lines().unwrap().count, 1);
    }

    #[test]
    fn events_that_the_server_has_are_not_sent_again_though_the_log_needs_them() {
        let mut bundle = Bundle::new(run(), 2, None).unwrap();
        assert_eq!(bundle.first_needed(), 1);
        for seq in 1..=4 {
            let event = log(seq, "said");
            bundle.event(&event, event.to_json().as_bytes());
        }
        let events = bundle.take_events().unwrap();
        assert_eq!((events.from_seq, events.count), (3, 2));
        assert_eq!(bundle.take_lines().unwrap().count, 4);
        assert_eq!(bundle.last(), (4, 4));
        assert!(bundle.take_events().is_none());
    }
}
