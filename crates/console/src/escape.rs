//! Terminal escape sequences, found in a stream that comes in pieces.
//!
//! After ECMA-48: `ESC [` parameters final (CSI); `ESC ]`, `ESC P`, `ESC X`, `ESC ^`, `ESC _`
//! text up to BEL or `ESC \` (strings); `ESC` intermediates final (the rest). What begins like a
//! sequence and is none stays text: a board that dies in the middle of one must not swallow what
//! it says after.

/// The longest sequence without text.
const MAX_SEQUENCE: usize = 64;
/// The longest sequence with text (a window title).
const MAX_STRING: usize = 256;

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

/// Takes escape sequences out of a stream. What it gives does not depend on how the stream is cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stripper {
    state: State,
    /// A sequence that has begun.
    pending: Vec<u8>,
    /// The stream offset of its first byte.
    pending_at: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Escape,
    Intermediate,
    Control,
    String,
    StringEscape,
}

enum Fate {
    Continues(State),
    Ends,
    IsText,
}

impl Stripper {
    /// Takes bytes that stand at `offset` and gives the text in them, piece by piece with offsets.
    pub(crate) fn feed(&mut self, bytes: &[u8], offset: u64, text: &mut impl FnMut(&[u8], u64)) {
        let mut at = 0;
        while at < bytes.len() {
            if self.state == State::Text {
                let rest = &bytes[at..];
                let length = rest
                    .iter()
                    .position(|byte| *byte == ESCAPE)
                    .unwrap_or(rest.len());
                if length > 0 {
                    text(&rest[..length], offset + at as u64);
                    at += length;
                }
                if at < bytes.len() {
                    self.pending.push(ESCAPE);
                    self.pending_at = offset + at as u64;
                    self.state = State::Escape;
                    at += 1;
                }
                continue;
            }
            let byte = bytes[at];
            match self.fate(byte) {
                Fate::Continues(state) => {
                    self.pending.push(byte);
                    self.state = state;
                    at += 1;
                }
                Fate::Ends => {
                    self.pending.clear();
                    self.state = State::Text;
                    at += 1;
                }
                // The byte itself is looked at again: it may begin the next sequence.
                Fate::IsText => self.flush(text),
            }
        }
    }

    /// Gives up on a sequence that has begun: it is text.
    pub(crate) fn flush(&mut self, text: &mut impl FnMut(&[u8], u64)) {
        if !self.pending.is_empty() {
            text(&self.pending, self.pending_at);
            self.pending.clear();
        }
        self.state = State::Text;
    }

    fn fate(&self, byte: u8) -> Fate {
        let limit = match self.state {
            State::String | State::StringEscape => MAX_STRING,
            _ => MAX_SEQUENCE,
        };
        if self.pending.len() >= limit {
            return Fate::IsText;
        }
        match (self.state, byte) {
            (State::Escape, b'[') => Fate::Continues(State::Control),
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => Fate::Continues(State::String),
            (State::Escape | State::Intermediate, 0x20..=0x2f) => {
                Fate::Continues(State::Intermediate)
            }
            (State::Escape | State::Intermediate, 0x30..=0x7e) => Fate::Ends,
            (State::Control, 0x20..=0x3f) => Fate::Continues(State::Control),
            (State::Control, 0x40..=0x7e) => Fate::Ends,
            (State::String, BELL) => Fate::Ends,
            (State::String, ESCAPE) => Fate::Continues(State::StringEscape),
            (State::String, b'\r' | b'\n') => Fate::IsText,
            (State::String, _) => Fate::Continues(State::String),
            (State::StringEscape, b'\\') => Fate::Ends,
            _ => Fate::IsText,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        let mut stripper = Stripper::default();
        let mut take = |text: &[u8], _: u64| out.extend_from_slice(text);
        stripper.feed(bytes, 0, &mut take);
        stripper.flush(&mut take);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn sequences_go_and_what_only_looks_like_one_stays() {
        assert_eq!(strip(b"a\x1b[1;32mb\x1b[0mc\x1b[6n"), "abc");
        assert_eq!(strip(b"\x1b]0;title\x07x\x1b]2;t\x1b\\y\x1b(Bz"), "xyz");
        assert_eq!(
            strip(b"\x1b]never ended\r\nlogin:"),
            "\x1b]never ended\r\nlogin:"
        );
        assert_eq!(strip(b"\x1b[\x1b[2Kx"), "\x1b[x");
        assert_eq!(strip(b"end\x1b"), "end\x1b");
    }
}
