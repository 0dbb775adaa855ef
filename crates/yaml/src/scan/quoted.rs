//! Scalars in single or double quotes.

use super::plain::{Gap, Pieces};
use super::{Fault, Kind, Mark, Scanned, Scanner};
use crate::Style;

impl Scanner<'_> {
    pub(super) fn scan_quoted(&mut self) -> Scanned<()> {
        let start = self.cursor.mark;
        let quote = self.cursor.byte();
        self.cursor.skip(1);
        let mut pieces = Pieces::new(self.cursor.text);
        loop {
            if self.cursor.is_any_document_marker() {
                return Err(self.unclosed(start, "a document begins or ends before its end"));
            }
            if self.cursor.is_end() {
                return Err(self.unclosed(start, "the text ends before it"));
            }
            let mut gap = Gap::default();
            // The characters between blanks.
            loop {
                let run = self.quoted_run(quote);
                if run > 0 {
                    let from = self.cursor.mark.byte;
                    self.cursor.skip(run);
                    pieces.push(from..self.cursor.mark.byte);
                }
                let byte = self.cursor.byte();
                if byte == quote && quote == b'\'' && self.cursor.byte_at(1) == b'\'' {
                    let from = self.cursor.mark.byte;
                    pieces.push(from..from + 1);
                    self.cursor.skip(2);
                } else if byte == b'\\' && quote == b'"' {
                    if self.cursor.break_at(1) > 0 {
                        self.cursor.skip(1);
                        self.cursor.skip_break();
                        gap = Gap::escaped();
                        break;
                    }
                    let mut buffer = [0; 4];
                    let character = self.escape(start)?;
                    pieces.push_other(character.encode_utf8(&mut buffer));
                } else {
                    break;
                }
            }
            if self.cursor.byte() == quote && !gap.is_broken() {
                break;
            }
            loop {
                if self.cursor.is_blank() {
                    let from = self.cursor.mark.byte;
                    self.cursor.skip_blanks();
                    gap.add_blanks(from..self.cursor.mark.byte);
                } else if self.cursor.is_break() {
                    gap.add_break(self.cursor.skip_break());
                } else {
                    break;
                }
            }
            gap.fold_into(&mut pieces);
        }
        self.cursor.skip(1);
        let kind = Kind::Scalar {
            text: pieces.finish(),
            style: Style::Quoted,
        };
        self.push(start, kind);
        Ok(())
    }

    fn unclosed(&self, start: Mark, why: &str) -> Box<Fault> {
        let quote = self.cursor.text.get(start.byte..=start.byte).unwrap_or("'");
        Fault::new(
            self.from(start),
            format!("the quote `{quote}` is never closed: {why}"),
        )
        .hint(if quote == "'" {
            "write `'` at its end; within single quotes `'` is written `''`"
        } else {
            "write `\"` at its end; within double quotes `\"` is written `\\\"`"
        })
    }

    /// How many bytes stand for themselves.
    fn quoted_run(&self, quote: u8) -> usize {
        let rest = self.cursor.rest();
        let mut length = 0;
        while let Some(byte) = rest.get(length) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => break,
                b'\\' if quote == b'"' => break,
                0xc2 | 0xe2 if self.cursor.break_at(length) > 0 => break,
                byte if *byte == quote => break,
                _ => length += 1,
            }
        }
        length
    }

    fn escape(&mut self, start: Mark) -> Scanned<char> {
        let escape = self.cursor.mark;
        let digits = match self.cursor.byte_at(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            other => {
                let character = match other {
                    b'0' => '\0',
                    b'a' => '\u{7}',
                    b'b' => '\u{8}',
                    b't' | b'\t' => '\t',
                    b'n' => '\n',
                    b'v' => '\u{b}',
                    b'f' => '\u{c}',
                    b'r' => '\r',
                    b'e' => '\u{1b}',
                    b' ' => ' ',
                    b'"' => '"',
                    b'/' => '/',
                    b'\\' => '\\',
                    b'N' => '\u{85}',
                    b'_' => '\u{a0}',
                    b'L' => '\u{2028}',
                    b'P' => '\u{2029}',
                    0 => return Err(self.unclosed(start, "the text ends before it")),
                    _ => {
                        self.cursor.skip(1);
                        let after = self.cursor.character().unwrap_or_default();
                        self.cursor.skip(after.len_utf8());
                        return Err(Fault::new(
                            self.since(escape),
                            format!("`\\{after}` is no escape that double quotes know"),
                        )
                        .hint("write `\\\\` for a backslash, or put the text into single quotes"));
                    }
                };
                self.cursor.skip(2);
                return Ok(character);
            }
        };
        self.cursor.skip(2);
        let mut code = 0_u32;
        for offset in 0..digits {
            let Some(digit) = char::from(self.cursor.byte_at(offset)).to_digit(16) else {
                return Err(Fault::new(
                    self.since(escape),
                    format!("this escape needs {digits} hexadecimal digits"),
                )
                .hint("write `\\\\` for a backslash, or put the text into single quotes"));
            };
            code = (code << 4) | digit;
        }
        self.cursor.skip(digits);
        char::from_u32(code)
            .ok_or_else(|| Fault::new(self.since(escape), "there is no character of this number"))
    }
}
