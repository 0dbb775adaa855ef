//! Waiting for texts in a stream of bytes.
//!
//! As pexpect does it (facts: LAVA 2026.07 on pexpect 4.9): of all patterns the match that starts
//! earliest wins, the order of the list breaks ties, `.` matches newlines too, what was matched
//! and what stood before it is consumed, and only a window at the end is kept while nothing
//! matches. Escape sequences are taken out before matching; offsets are those of the raw stream.
//! Bytes that are not UTF-8 match `.` and are decoded with replacement.
//!
//! What is not done here: reading, waiting, deadlines.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use regex::bytes::{Regex, RegexBuilder};

use crate::escape::Stripper;

/// The window that LAVA uses: twice the largest read of 8184 bytes.
pub const WINDOW: usize = 2 * 8184;
/// What is kept at most while nobody looks for anything.
const MAX_UNSEARCHED: usize = 1024 * 1024;
/// What is kept for [`Expect::last_lines`].
const HISTORY: usize = 16 * 1024;

/// Compiled patterns that are remembered: those of many board types.
const MOST_COMPILED: usize = 512;

/// Patterns by their text, and whether `^` and `$` match at lines. Every run waits for the same few;
/// compiling one costs as much as looking through pages of console, and each that is compiled has
/// tables of its own in memory.
static COMPILED: LazyLock<Mutex<Compiled>> = LazyLock::new(Mutex::default);
type Compiled = HashMap<(String, bool), Arc<Regex>>;

/// A text to wait for.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Arc<Regex>,
    shown: String,
}

/// A pattern is no regular expression.
#[derive(Debug, thiserror::Error)]
#[error("{pattern:?} is not a regular expression")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// Why.
    #[source]
    pub source: regex::Error,
}

impl Pattern {
    /// This very text. A newline in it matches any carriage returns before the newline.
    pub fn literal(text: &str) -> Result<Self, PatternError> {
        let escaped = regex::escape(text).replace('\n', "\r*\n");
        let mut pattern = Self::remembered(&escaped, false)?;
        pattern.shown = format!("{text:?}");
        Ok(pattern)
    }

    /// A regular expression; `.` matches newlines, `^` and `$` match at the ends of what is not
    /// consumed yet.
    pub fn regex(pattern: &str) -> Result<Self, PatternError> {
        Self::remembered(pattern, false)
    }

    /// As [`Pattern::regex`], for one that nobody will ask for again.
    pub fn once(pattern: &str) -> Result<Self, PatternError> {
        Ok(Self {
            regex: Arc::new(compile(pattern, false)?),
            shown: format!("/{pattern}/"),
        })
    }

    /// A regular expression whose `^` and `$` match at lines, which end in `\n`, `\r\n` or `\r`.
    pub fn regex_lines(pattern: &str) -> Result<Self, PatternError> {
        Self::remembered(pattern, true)
    }

    fn remembered(pattern: &str, lines: bool) -> Result<Self, PatternError> {
        let key = (pattern.to_owned(), lines);
        // What is in it is whole, whatever panicked.
        let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        let regex = match compiled.get(&key) {
            Some(regex) => regex.clone(),
            None => {
                let regex = Arc::new(compile(pattern, lines)?);
                if compiled.len() >= MOST_COMPILED {
                    compiled.clear();
                }
                compiled.insert(key, regex.clone());
                regex
            }
        };
        let shown = format!("/{pattern}/");
        Ok(Self { regex, shown })
    }

    /// The pattern for people: `"Hit any key"` or `/U-Boot 20../`.
    pub fn describe(&self) -> &str {
        &self.shown
    }
}

fn compile(pattern: &str, lines: bool) -> Result<Regex, PatternError> {
    let build = |unicode| {
        RegexBuilder::new(pattern)
            .dot_matches_new_line(true)
            .multi_line(lines)
            .crlf(lines)
            .unicode(unicode)
            .build()
    };
    // Without Unicode `.` matches bytes that are not UTF-8. Patterns that need Unicode get it.
    let regex = if pattern.is_ascii() {
        build(false).or_else(|_| build(true))
    } else {
        build(true)
    };
    regex.map_err(|source| PatternError {
        pattern: pattern.to_owned(),
        source,
    })
}

/// A text that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Which pattern, by its place in the list.
    pub index: usize,
    /// Where it starts in the stream.
    pub start_offset: u64,
    /// Where it ends (exclusive).
    pub end_offset: u64,
    /// The text that matched.
    pub text: String,
    /// The text between the match before and this one, as far as the window goes back.
    pub before: String,
    /// The groups of the regular expression, from 1.
    pub captures: Vec<Capture>,
}

impl Match {
    /// The text of a named group, where it took part in the match.
    pub fn name(&self, name: &str) -> Option<&str> {
        self.captures
            .iter()
            .find(|capture| capture.name.as_deref() == Some(name))?
            .text
            .as_deref()
    }
}

/// A group of a regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its text, where it took part in the match.
    pub text: Option<String>,
}

/// Finds texts in a stream that comes in pieces. Memory is bounded by the window while something
/// is looked for after each piece, else by 1 MiB.
#[derive(Clone, Debug)]
pub struct Expect {
    window: usize,
    stripper: Stripper,
    /// The stream offset of the next byte.
    next: u64,
    buffer: Buffer,
    history: VecDeque<u8>,
}

impl Expect {
    /// Over a stream that begins at offset 0.
    pub fn new(window: usize) -> Self {
        Self::starting_at(window, 0)
    }

    /// Over a stream that begins at `offset`.
    pub fn starting_at(window: usize, offset: u64) -> Self {
        Self {
            window,
            stripper: Stripper::default(),
            next: offset,
            buffer: Buffer::default(),
            history: VecDeque::new(),
        }
    }

    /// The stream offset of the next byte that is fed.
    pub fn offset(&self) -> u64 {
        self.next
    }

    /// The next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Self {
            stripper,
            buffer,
            history,
            ..
        } = self;
        stripper.feed(bytes, self.next, &mut |text, offset| {
            buffer.push(text, offset);
            history.extend(text);
        });
        self.next += bytes.len() as u64;
        let surplus = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..surplus);
        if self.buffer.text.len() > self.window + MAX_UNSEARCHED {
            self.buffer.keep_last(self.window);
        }
    }

    /// The first match of any pattern. Everything through its end is consumed.
    pub fn find(&mut self, patterns: &[Pattern]) -> Option<Match> {
        let mut best: Option<(usize, regex::bytes::Captures<'_>)> = None;
        let mut best_start = usize::MAX;
        for (index, pattern) in patterns.iter().enumerate() {
            if let Some(captures) = pattern.regex.captures(&self.buffer.text) {
                let start = captures.get(0).map_or(0, |whole| whole.start());
                if start < best_start {
                    best_start = start;
                    best = Some((index, captures));
                }
            }
        }
        let Some((index, captures)) = best else {
            self.buffer.keep_last(self.window);
            return None;
        };
        let text =
            |found: regex::bytes::Match<'_>| String::from_utf8_lossy(found.as_bytes()).into_owned();
        let (start, end) = captures
            .get(0)
            .map_or((0, 0), |whole| (whole.start(), whole.end()));
        let start_offset = self.buffer.offset(start).unwrap_or(self.next);
        let end_offset = match end.checked_sub(1) {
            Some(last) if end > start => self.buffer.offset(last).map_or(self.next, |at| at + 1),
            _ => start_offset,
        };
        let found = Match {
            index,
            start_offset,
            end_offset,
            text: captures.get(0).map(text).unwrap_or_default(),
            before: String::from_utf8_lossy(&self.buffer.text[..start]).into_owned(),
            captures: patterns[index]
                .regex
                .capture_names()
                .enumerate()
                .skip(1)
                .map(|(group, name)| Capture {
                    name: name.map(str::to_owned),
                    text: captures.get(group).map(text),
                })
                .collect(),
        };
        self.buffer.consume(end);
        Some(found)
    }

    /// What was fed and not consumed, as far as the window goes back.
    pub fn unmatched(&self) -> &[u8] {
        &self.buffer.text
    }

    /// Forgets what was not consumed: what a board said before its power was cut matches nothing
    /// after it.
    pub fn clear(&mut self) {
        self.stripper = Stripper::default();
        let length = self.buffer.text.len();
        self.buffer.consume(length);
    }

    /// The last lines that are not empty, oldest first, control characters removed. The last one
    /// need not have ended. Consumed text counts.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let bytes: Vec<u8> = self.history.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<String> = text
            .rsplit(['\n', '\r'])
            .map(|line| {
                let shown: String = line
                    .chars()
                    .map(|c| if c == '\t' { ' ' } else { c })
                    .filter(|c| !c.is_control())
                    .collect();
                shown.trim_end().to_owned()
            })
            .filter(|line| !line.is_empty())
            .take(count)
            .collect();
        lines.reverse();
        lines
    }
}

/// Text without escape sequences that knows where in the stream its bytes stood.
#[derive(Clone, Debug, Default)]
struct Buffer {
    text: Vec<u8>,
    /// How many bytes were consumed before `text`.
    consumed: u64,
    /// Stretches without anything taken out, ascending: where each begins, counted over consumed
    /// and present text, and the stream offset there.
    stretches: VecDeque<(u64, u64)>,
}

impl Buffer {
    fn push(&mut self, text: &[u8], offset: u64) {
        let at = self.consumed + self.text.len() as u64;
        let joins = self
            .stretches
            .back()
            .is_some_and(|(begin, begin_offset)| begin_offset + (at - begin) == offset);
        if !joins {
            self.stretches.push_back((at, offset));
        }
        self.text.extend_from_slice(text);
    }

    /// The stream offset of a byte of `text`.
    fn offset(&self, index: usize) -> Option<u64> {
        if index >= self.text.len() {
            return None;
        }
        let at = self.consumed + index as u64;
        let after = self.stretches.partition_point(|(begin, _)| *begin <= at);
        let (begin, offset) = self.stretches.get(after.checked_sub(1)?)?;
        Some(offset + (at - begin))
    }

    fn consume(&mut self, count: usize) {
        self.text.drain(..count);
        self.consumed += count as u64;
        while self
            .stretches
            .get(1)
            .is_some_and(|(begin, _)| *begin <= self.consumed)
        {
            self.stretches.pop_front();
        }
    }

    fn keep_last(&mut self, count: usize) {
        let surplus = self.text.len().saturating_sub(count);
        if surplus > 0 {
            self.consume(surplus);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn literal(text: &str) -> Pattern {
        Pattern::literal(text).unwrap()
    }

    fn regex(text: &str) -> Pattern {
        Pattern::regex(text).unwrap()
    }

    #[test]
    fn the_earliest_start_wins_and_the_list_breaks_ties() {
        let mut expect = Expect::new(WINDOW);
        expect.feed(b"..error: disk full, error");
        let patterns = [literal("full"), regex("err.r"), literal("error")];
        let found = expect.find(&patterns).unwrap();
        assert_eq!(
            (found.index, found.start_offset, found.end_offset),
            (1, 2, 7)
        );
        assert_eq!(found.before, "..");
        assert_eq!(expect.find(&patterns).unwrap().text, "full");
        assert_eq!(expect.find(&patterns).unwrap().index, 1);
        assert_eq!(expect.find(&patterns), None);
    }

    #[test]
    fn a_text_is_found_over_the_border_of_two_pieces_and_offsets_are_raw() {
        let mut expect = Expect::starting_at(WINDOW, 100);
        expect.feed(b"\x1b[1mlog");
        assert_eq!(expect.find(&[literal("login:")]), None);
        expect.feed(b"in\x1b[0");
        expect.feed(b"m: ");
        let found = expect.find(&[literal("login:")]).unwrap();
        assert_eq!((found.start_offset, found.end_offset), (104, 114));
        assert_eq!(expect.unmatched(), b" ");
    }

    #[test]
    fn newlines_match_whatever_carriage_returns_stand_before_them() {
        for newline in ["\n", "\r\n", "\r\r\n"] {
            let mut expect = Expect::new(WINDOW);
            expect.feed(format!("one{newline}two{newline}").as_bytes());
            assert!(expect.clone().find(&[literal("one\ntwo")]).is_some());
            let two = Pattern::regex_lines("^two$").unwrap();
            assert!(expect.clone().find(&[two]).is_some(), "{newline:?}");
            assert!(expect.find(&[regex("one.+two")]).is_some());
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_match_a_dot_and_are_replaced_in_text() {
        let mut expect = Expect::new(WINDOW);
        expect.feed(b"<\xff\xc3>\xc3\xa9");
        let found = expect.find(&[regex("<(?P<inside>..)>")]).unwrap();
        assert_eq!(found.name("inside"), Some("\u{fffd}\u{fffd}"));
        assert_eq!(expect.find(&[literal("é")]).unwrap().text, "é");
    }

    #[test]
    fn a_group_that_took_no_part_is_told_from_an_empty_one() {
        let mut expect = Expect::new(WINDOW);
        expect.feed(b"x=");
        let found = expect
            .find(&[regex("x=(?P<value>\\d*)(?P<unit>s)?")])
            .unwrap();
        assert_eq!(found.name("value"), Some(""));
        assert_eq!(found.captures[1].text, None);
    }

    #[test]
    fn memory_is_bounded_by_the_window_and_by_the_unsearched_limit() {
        let mut expect = Expect::new(1000);
        expect.feed(&[b'x'; 5000]);
        assert_eq!(expect.find(&[literal("y")]), None);
        assert_eq!(expect.unmatched().len(), 1000);
        for _ in 0..100 {
            expect.feed(&[b'x'; 100_000]);
        }
        assert!(expect.unmatched().len() <= 1000 + MAX_UNSEARCHED);
        assert!(expect.buffer.stretches.len() <= 1);
        expect.feed(b"y");
        assert_eq!(
            expect.find(&[literal("y")]).unwrap().start_offset,
            10_005_000
        );
    }

    #[test]
    fn the_last_lines_are_readable_and_outlive_a_match() {
        let mut expect = Expect::new(WINDOW);
        expect.feed(b"U-Boot\r\n\r\nDRAM:\t\x1b[1m256 MiB\x1b[0m\x00\r\r\nHit any k");
        assert!(expect.find(&[literal("Hit any")]).is_some());
        assert_eq!(expect.last_lines(2), ["DRAM: 256 MiB", "Hit any k"]);
        assert_eq!(expect.last_lines(9).len(), 3);
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"=> ".to_vec()),
            Just(b"login: ".to_vec()),
            Just(b"\x1b[32mok\x1b[0m".to_vec()),
            Just(b"\x1b]0;t\x07".to_vec()),
            Just(b"\r\r\n".to_vec()),
            Just(b"TFTP error".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_is_found_does_not_depend_on_how_the_stream_is_cut(
            stream in pieces(),
            cuts in proptest::collection::vec(0usize..300, 0..12),
        ) {
            let patterns =
                [literal("=> "), regex("log(?P<rest>in): "), literal("ok"), literal("error")];
            let mut whole = Expect::new(WINDOW);
            whole.feed(&stream);
            let expected: Vec<Match> = std::iter::from_fn(|| whole.find(&patterns)).collect();

            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
            cuts.push(stream.len());
            cuts.sort_unstable();
            let mut cut_up = Expect::new(WINDOW);
            let mut found = Vec::new();
            let mut from = 0;
            for to in cuts {
                cut_up.feed(&stream[from..to]);
                from = to;
                while let Some(one) = cut_up.find(&patterns) {
                    found.push(one);
                }
            }
            prop_assert_eq!(found, expected);
            prop_assert_eq!(cut_up.last_lines(5), whole.last_lines(5));
        }
    }
}
