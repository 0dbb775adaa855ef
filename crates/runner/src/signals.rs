//! What board-side helpers and tests say on the console: `<NAME #NUMBER:CHECK TEXT>` from our own
//! helpers, `<LAVA_SIGNAL_NAME TEXT>` from tests that print LAVA's strings themselves.
//!
//! Pure: bytes in, signals out. A numbered signal whose check fits is exact; one that was torn by a
//! kernel message is only reported as damaged, and is read from the board's spool later, so that
//! none becomes a wrong number. (Facts: LAVA 2026.07, section "strings parsed from the console".)

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::bytes::Regex;
use sha2::{Digest, Sha256};

/// One signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// The helper's number in its stage, from 1; none for a string that a test printed itself.
    pub number: Option<u64>,
    /// `LAVA_SIGNAL_TESTCASE`, `BASALT_PHASE`, ….
    pub name: String,
    /// What follows the name.
    pub text: String,
}

/// What a piece of console held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A whole signal.
    Signal(Signal),
    /// Something that begins as a numbered signal does and does not fit its check.
    Damaged {
        /// The text between the brackets, as it came.
        text: String,
    },
}

/// The longest signal; a `<` that is not closed by then is not the beginning of one.
const LONGEST: usize = 8192;

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    // The names end at a blank or at the closing bracket.
    Regex::new(r"^<((?:LAVA_SIGNAL_[A-Z_]+)|LAVA_TEST_RUNNER|BASALT_[A-Z]+)[ >]")
        .expect("the pattern is a constant")
});

/// The first eight hexadecimal digits of the SHA-256 of `text`, as the board's helpers compute it.
pub fn check(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Finds signals in console bytes that come in pieces.
#[derive(Debug, Default)]
pub struct SignalReader {
    pending: Vec<u8>,
    /// The console's offset of the first pending byte.
    offset: u64,
}

impl SignalReader {
    /// A reader that begins at an offset of the console.
    pub fn at(offset: u64) -> Self {
        Self {
            pending: Vec::new(),
            offset,
        }
    }

    /// The console's offset of the first byte that may belong to a signal that is not complete.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes are missing here: what has begun before does not go on behind.
    pub fn cut(&mut self) {
        self.offset += self.pending.len() as u64;
        self.pending.clear();
    }

    /// Takes the next piece and returns what is complete now, each with the console's offset of
    /// its end.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<(u64, Heard)> {
        self.pending.extend_from_slice(bytes);
        let mut heard = Vec::new();
        let mut from = 0;
        while let Some(open) = find(&self.pending[from..], b'<').map(|at| at + from) {
            let rest = &self.pending[open..];
            let Some(close) = find(rest, b'>') else {
                if could_be_signal(rest) && rest.len() < LONGEST {
                    from = open;
                    break;
                }
                from = open + 1;
                continue;
            };
            // A signal that was torn before its end is followed by another `<` before any `>`.
            if let Some(inner) = find(&rest[1..close], b'<') {
                if NAME.is_match(rest) {
                    let text = String::from_utf8_lossy(&rest[1..inner + 1]).into_owned();
                    let end = self.offset + (open + inner + 1) as u64;
                    heard.push((end, Heard::Damaged { text }));
                }
                from = open + 1 + inner;
                continue;
            }
            if NAME.is_match(rest) {
                let end = self.offset + (open + close + 1) as u64;
                let inside = String::from_utf8_lossy(&rest[1..close]);
                heard.extend(parse(&inside).map(|heard| (end, heard)));
                from = open + close + 1;
            } else {
                from = open + 1;
            }
        }
        if find(&self.pending[from..], b'<').is_none() {
            from = self.pending.len();
        }
        self.pending.drain(..from);
        self.offset += from as u64;
        heard
    }
}

fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|byte| *byte == wanted)
}

/// Whether `rest`, which begins with `<` and is not closed yet, may become a signal.
fn could_be_signal(rest: &[u8]) -> bool {
    const STARTS: [&[u8]; 3] = [b"<LAVA_SIGNAL_", b"<LAVA_TEST_RUNNER", b"<BASALT_"];
    STARTS
        .iter()
        .any(|start| rest.starts_with(start) || start.starts_with(rest))
}

/// Reads what stands between the brackets. Also for lines of the spool, which nothing tears.
pub fn parse(inside: &str) -> Option<Heard> {
    let (name, text) = inside.split_once(' ').unwrap_or((inside, ""));
    let Some(framed) = text.strip_prefix('#') else {
        // Our own helpers always number theirs.
        if name.starts_with("BASALT_") {
            return Some(Heard::Damaged {
                text: inside.to_owned(),
            });
        }
        return Some(Heard::Signal(Signal {
            number: None,
            name: name.to_owned(),
            text: text.to_owned(),
        }));
    };
    let damaged = || {
        Some(Heard::Damaged {
            text: inside.to_owned(),
        })
    };
    let (frame, text) = framed.split_once(' ').unwrap_or((framed, ""));
    let Some((number, sum)) = frame.split_once(':') else {
        return damaged();
    };
    let Ok(number) = number.parse::<u64>() else {
        return damaged();
    };
    let blank = if text.is_empty() { "" } else { " " };
    if check(&format!("{number} {name}{blank}{text}")) != sum {
        return damaged();
    }
    Some(Heard::Signal(Signal {
        number: Some(number),
        name: name.to_owned(),
        text: text.to_owned(),
    }))
}

/// One line of the spool: `<…>`, from the first to the last character.
pub fn parse_spool_line(line: &str) -> Option<Signal> {
    let inside = line.trim().strip_prefix('<')?.strip_suffix('>')?;
    match parse(inside)? {
        Heard::Signal(signal) => Some(signal),
        Heard::Damaged { .. } => None,
    }
}

/// Which numbered signals of a stage were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    numbers: BTreeSet<u64>,
}

impl Seen {
    /// Notes a number; false if it was there before.
    pub fn note(&mut self, number: u64) -> bool {
        self.numbers.insert(number)
    }

    /// Whether the number was seen.
    pub fn has(&self, number: u64) -> bool {
        self.numbers.contains(&number)
    }

    /// The highest number that was seen; 0 before the first.
    pub fn highest(&self) -> u64 {
        self.numbers.last().copied().unwrap_or(0)
    }

    /// The lowest number that was not seen.
    pub fn first_missing(&self) -> u64 {
        (1..)
            .find(|number| !self.numbers.contains(number))
            .expect("a set is finite")
    }
}

/// The `KEY=VALUE` words of a signal's text; words without `=` are left out.
pub fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_whitespace()
        .filter_map(|word| word.split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(number: u64, name: &str, text: &str) -> String {
        let sum = check(&format!("{number} {name} {text}"));
        format!("<{name} #{number}:{sum} {text}>")
    }

    #[test]
    fn a_signal_is_found_however_the_console_cuts_it() {
        let line = format!(
            "noise <b>\r\n{}\r\n",
            framed(3, "LAVA_SIGNAL_TESTCASE", "TEST_CASE_ID=a RESULT=pass")
        );
        for cut in 0..line.len() {
            let mut reader = SignalReader::at(1000);
            let mut heard = reader.feed(&line.as_bytes()[..cut]);
            heard.extend(reader.feed(&line.as_bytes()[cut..]));
            assert_eq!(
                heard,
                [(
                    1000 + line.len() as u64 - 2,
                    Heard::Signal(Signal {
                        number: Some(3),
                        name: "LAVA_SIGNAL_TESTCASE".into(),
                        text: "TEST_CASE_ID=a RESULT=pass".into()
                    })
                )],
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_kernel_message_at_any_byte_of_a_signal_never_makes_another_signal() {
        let whole = framed(
            1,
            "LAVA_SIGNAL_TESTCASE",
            "TEST_CASE_ID=a RESULT=pass MEASUREMENT=17",
        );
        let printk = "[  123.456789] random: crng init <done> 8\r\n";
        for at in 0..=whole.len() {
            let torn = format!("{}{printk}{}\r\n", &whole[..at], &whole[at..]);
            let heard = SignalReader::default().feed(torn.as_bytes());
            let signals: Vec<_> = heard
                .iter()
                .filter_map(|(_, heard)| match heard {
                    Heard::Signal(signal) => Some(signal.text.as_str()),
                    Heard::Damaged { .. } => None,
                })
                .collect();
            let expected: &[&str] = if at == 0 || at == whole.len() {
                &["TEST_CASE_ID=a RESULT=pass MEASUREMENT=17"]
            } else {
                &[]
            };
            assert_eq!(signals, expected, "printk at byte {at}");
        }
    }

    #[test]
    fn strings_that_a_test_prints_itself_have_no_number() {
        let heard = SignalReader::default().feed(
            b"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=b RESULT=fail UNITS=us MEASUREMENT=1.5>\r\n",
        );
        let [(_, Heard::Signal(signal))] = heard.as_slice() else {
            panic!("{heard:?}");
        };
        assert_eq!(signal.number, None);
        assert_eq!(
            words(&signal.text).collect::<Vec<_>>(),
            [
                ("TEST_CASE_ID", "b"),
                ("RESULT", "fail"),
                ("UNITS", "us"),
                ("MEASUREMENT", "1.5")
            ]
        );
    }

    #[test]
    fn a_number_counts_once_and_the_first_hole_is_known() {
        let mut seen = Seen::default();
        assert!(seen.note(4) && seen.note(1));
        assert!(!seen.note(4));
        assert_eq!(seen.first_missing(), 2);
    }

    #[test]
    fn what_stands_before_and_behind_a_gap_is_never_one_signal() {
        let mut reader = SignalReader::at(0);
        assert!(
            reader
                .feed(b"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RES")
                .is_empty()
        );
        reader.cut();
        assert!(reader.feed(b"ULT=pass>\r\n").is_empty());
        assert_eq!(reader.offset(), 51);
    }

    #[test]
    fn an_unclosed_bracket_does_not_grow_without_bound() {
        let mut reader = SignalReader::default();
        reader.feed(b"<LAVA_SIGNAL_TESTCASE ");
        for _ in 0..100 {
            reader.feed(&[b'x'; 1000]);
        }
        assert!(reader.pending.len() <= LONGEST);
    }
}
