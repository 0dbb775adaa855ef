//! What a board may do to the terminal of somebody who sits at its console.
//!
//! Text, colours and cursor movement pass; everything that would act on the terminal itself is
//! taken out: titles and clipboard (OSC), device strings (DCS, APC, PM, SOS), window operations,
//! modes that outlive the session, character sets, answers that the terminal would type. After
//! ECMA-48 and xterm's `ctlseqs`. The cursor's position may be asked for (busybox's line editor
//! does) where the answer reaches the board.

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

/// A longer sequence is none.
const MAX_SEQUENCE: usize = 64;

/// Private modes that are harmless and taken back at the end: cursor keys, wrapping, visibility.
const MODES: [&[u8]; 3] = [b"?1", b"?7", b"?25"];

/// Takes dangerous sequences out of a stream that comes in pieces.
#[derive(Debug)]
pub struct Filter {
    answers: bool,
    state: State,
    pending: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    Character,
    Escape,
    Charset,
    Control,
    String,
    StringEscape,
}

impl Filter {
    /// `answers`: the terminal's answers reach the board.
    pub fn new(answers: bool) -> Self {
        Self {
            answers,
            state: State::Text,
            pending: Vec::new(),
        }
    }

    /// What undoes what passes. Terminals put the cursor into the first line when the scrolling
    /// region is reset; it is kept (DECSC) and put back (DECRC), before the colours are reset, which
    /// it brings back too.
    pub fn undo() -> &'static [u8] {
        b"\x1b7\x1b[r\x1b8\x1b[0m\x1b[?25h\x1b[?7h\x1b[?1l"
    }

    /// Takes the next bytes; returns what may be shown.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.take(*byte, &mut out);
        }
        out
    }

    fn take(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.state {
            State::Text => self.text(byte, out),
            State::Character => self.character(byte, out),
            State::Escape => match byte {
                b'[' => self.state = State::Control,
                b']' | b'P' | b'X' | b'^' | b'_' => self.state = State::String,
                b'(' | b')' | b'*' | b'+' | b'#' | b'%' | b' ' => self.state = State::Charset,
                // Save and restore the cursor, index, next line, reverse index.
                b'7' | b'8' | b'D' | b'E' | b'M' => {
                    out.extend_from_slice(&[ESCAPE, byte]);
                    self.state = State::Text;
                }
                0x20..=0x7e => self.state = State::Text,
                _ => self.again(byte, out),
            },
            State::Charset => match byte {
                0x20..=0x7e => self.state = State::Text,
                _ => self.again(byte, out),
            },
            State::Control => match byte {
                0x20..=0x3f if self.pending.len() < MAX_SEQUENCE => self.pending.push(byte),
                0x40..=0x7e => {
                    if self.may_pass(byte) {
                        out.extend_from_slice(&[ESCAPE, b'[']);
                        out.append(&mut self.pending);
                        out.push(byte);
                    }
                    self.pending.clear();
                    self.state = State::Text;
                }
                _ => self.again(byte, out),
            },
            State::String => match byte {
                BELL => self.state = State::Text,
                ESCAPE => self.state = State::StringEscape,
                // A board that dies within a string must not swallow what it says after.
                b'\r' | b'\n' => self.again(byte, out),
                _ => {}
            },
            State::StringEscape => match byte {
                b'\\' => self.state = State::Text,
                _ => {
                    self.state = State::Escape;
                    self.take(byte, out);
                }
            },
        }
    }

    /// The sequence is none; its last byte is text or begins another one.
    fn again(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.pending.clear();
        self.state = State::Text;
        self.text(byte, out);
    }

    fn text(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            ESCAPE => self.state = State::Escape,
            b'\t' | b'\n' | b'\r' | 0x08 | BELL | 0x20..=0x7e => out.push(byte),
            0xc2..=0xf4 => {
                self.pending.push(byte);
                self.state = State::Character;
            }
            // Other control characters answer or switch character sets; lone continuation bytes are
            // control characters to an eight-bit terminal.
            0x00..=0x1f | 0x7f => {}
            _ => out.extend_from_slice("\u{fffd}".as_bytes()),
        }
    }

    fn character(&mut self, byte: u8, out: &mut Vec<u8>) {
        if !(0x80..=0xbf).contains(&byte) {
            out.extend_from_slice("\u{fffd}".as_bytes());
            self.again(byte, out);
            return;
        }
        self.pending.push(byte);
        let wanted = match self.pending[0] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            _ => 4,
        };
        if self.pending.len() == wanted {
            match std::str::from_utf8(&self.pending) {
                Ok(text) if !text.chars().any(is_foul) => {
                    out.extend_from_slice(text.as_bytes());
                }
                Ok(_) => {}
                Err(_) => out.extend_from_slice("\u{fffd}".as_bytes()),
            }
            self.pending.clear();
            self.state = State::Text;
        }
    }

    /// Whether a control sequence with the parameters in `pending` and this end is harmless.
    fn may_pass(&self, end: u8) -> bool {
        let plain = self
            .pending
            .iter()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'));
        match end {
            // Movement, erasing, inserting, scrolling, colours.
            b'@'..=b'H'
            | b'J'..=b'M'
            | b'P'
            | b'S'
            | b'T'
            | b'X'
            | b'`'
            | b'a'
            | b'd'..=b'f'
            | b'm'
            | b'r'
            | b's'
            | b'u' => plain,
            b'h' | b'l' => MODES.contains(&self.pending.as_slice()),
            b'n' => self.answers && self.pending == b"6",
            _ => false,
        }
    }
}

/// Control characters, and those that turn the order of the text around them.
fn is_foul(character: char) -> bool {
    character.is_control() || basalt_console::terminal::deceives(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(bytes: &[u8]) -> String {
        String::from_utf8(Filter::new(false).pass(bytes)).unwrap()
    }

    #[test]
    fn colours_and_movement_pass_and_what_acts_on_the_terminal_does_not() {
        assert_eq!(
            pass(b"\x1b[1;32mok\x1b[0m\x1b[2J\x1b[5;1H\x1b[K"),
            "\x1b[1;32mok\x1b[0m\x1b[2J\x1b[5;1H\x1b[K"
        );
        assert_eq!(pass(b"a\x1b]52;c;ZXZpbA==\x07b\x1b]0;t\x1b\\c"), "abc");
        assert_eq!(
            pass(b"\x1bP+q544e\x1b\\x\x1b_apc\x1b\\y\x1b[21tz\x1b[>c\x1b[?1049h\x1bc"),
            "xyz"
        );
        assert_eq!(pass(b"\x1b[?25lx\x1b(0q\x05\x0e"), "\x1b[?25lxq");
        assert_eq!(
            pass("grüß \u{9b}31m \u{1f980}".as_bytes()),
            "grüß 31m \u{1f980}"
        );
        assert_eq!(pass("a\u{202e}b\u{2066}c".as_bytes()), "abc");
        assert_eq!(pass(b"\x9b31m"), "\u{fffd}31m");
        assert_eq!(pass(b"\x1b]never ended\r\nlogin: "), "\r\nlogin: ");
    }

    #[test]
    fn the_cursor_may_be_asked_for_where_the_board_gets_the_answer() {
        assert_eq!(pass(b"\x1b[6n$ "), "$ ");
        assert_eq!(Filter::new(true).pass(b"\x1b[6n$ "), b"\x1b[6n$ ");
    }

    #[test]
    fn it_does_not_matter_how_the_stream_is_cut() {
        let bytes = "\u{1b}[1mx\u{1b}]0;t\u{7}ü\u{1b}[?25h\u{1b}[21ty".as_bytes();
        let whole = pass(bytes);
        for cut in 0..bytes.len() {
            let mut filter = Filter::new(false);
            let mut out = filter.pass(&bytes[..cut]);
            out.extend(filter.pass(&bytes[cut..]));
            assert_eq!(String::from_utf8(out).unwrap(), whole, "cut at {cut}");
        }
    }
}
