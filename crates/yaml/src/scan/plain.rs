//! Scalars without quotes.

use std::borrow::Cow;
use std::ops::Range;

use super::{Fault, Kind, Scanned, Scanner};
use crate::Style;

/// Bytes that never end a run of a plain scalar.
const fn is_ordinary(byte: u8) -> bool {
    !matches!(
        byte,
        b' ' | b'\t' | b'\n' | b'\r' | b':' | b',' | b'[' | b']' | b'{' | b'}' | 0xc2 | 0xe2
    )
}

/// [`is_ordinary`] of every byte.
const ORDINARY: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = is_ordinary(byte);
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

/// A value that is put together from pieces of a text: a slice of it as long as that is possible.
#[derive(Debug)]
pub(super) struct Pieces<'t> {
    source: &'t str,
    slice: Range<usize>,
    made: Option<String>,
}

impl<'t> Pieces<'t> {
    pub(super) fn new(source: &'t str) -> Self {
        Self {
            source,
            slice: 0..0,
            made: None,
        }
    }

    /// A piece of the text.
    pub(super) fn push(&mut self, piece: Range<usize>) {
        if piece.is_empty() {
            return;
        }
        if self.made.is_none() {
            if self.slice.is_empty() {
                self.slice = piece;
                return;
            }
            if self.slice.end == piece.start {
                self.slice.end = piece.end;
                return;
            }
        }
        let piece = self.source.get(piece).unwrap_or_default();
        self.push_other(piece);
    }

    /// A piece that is not of the text.
    pub(super) fn push_other(&mut self, piece: &str) {
        if piece.is_empty() {
            return;
        }
        let sliced = self.source.get(self.slice.clone()).unwrap_or_default();
        self.made
            .get_or_insert_with(|| sliced.to_owned())
            .push_str(piece);
    }

    pub(super) fn finish(self) -> Cow<'t, str> {
        match self.made {
            Some(made) => Cow::Owned(made),
            None => Cow::Borrowed(self.source.get(self.slice).unwrap_or_default()),
        }
    }
}

/// The blanks and line breaks between two pieces of a scalar.
#[derive(Debug, Default)]
pub(super) struct Gap {
    /// Blanks, where there is no line break.
    blanks: Range<usize>,
    /// The first line break.
    first: &'static str,
    /// The other line breaks.
    others: String,
    broken: bool,
}

impl Gap {
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// An escaped line break: nothing is left of it.
    pub(super) fn escaped() -> Self {
        Self {
            broken: true,
            ..Self::default()
        }
    }

    pub(super) fn add_blanks(&mut self, blanks: Range<usize>) {
        if !self.broken {
            self.blanks = blanks;
        }
    }

    pub(super) fn add_break(&mut self, line_break: &'static str) {
        if self.broken {
            self.others.push_str(line_break);
        } else {
            *self = Self {
                blanks: 0..0,
                first: line_break,
                others: String::new(),
                broken: true,
            };
        }
    }

    /// One line break becomes a blank; of several the first is dropped.
    pub(super) fn fold_into(self, pieces: &mut Pieces<'_>) {
        match (self.broken, self.first) {
            (false, _) => pieces.push(self.blanks),
            (true, "\n") if self.others.is_empty() => pieces.push_other(" "),
            (true, "\n") => pieces.push_other(&self.others),
            (true, first) => {
                pieces.push_other(first);
                pieces.push_other(&self.others);
            }
        }
    }
}

impl<'t> Scanner<'t> {
    pub(super) fn scan_plain(&mut self) -> Scanned<()> {
        let start = self.cursor.mark;
        self.last_plain = Some(start);
        let mut end = start.byte;
        let mut line_start = start.byte;
        let mut pieces = Pieces::new(self.cursor.text);
        let mut gap = Gap::default();
        let indent = self.indent + 1;
        loop {
            if self.cursor.is_any_document_marker() || self.cursor.byte() == b'#' {
                break;
            }
            let run = self.plain_run()?;
            if run > 0 {
                if gap.broken {
                    pieces.push(line_start..end);
                    std::mem::take(&mut gap).fold_into(&mut pieces);
                    line_start = self.cursor.mark.byte;
                }
                self.cursor.skip(run);
                end = self.cursor.mark.byte;
            }
            if !self.cursor.is_blank() && !self.cursor.is_break() {
                break;
            }
            loop {
                if self.cursor.is_blank() {
                    if gap.is_broken() && self.column() < indent && self.first_indenting_tab(indent)
                    {
                        return Err(Fault::new(
                            self.here(),
                            "a tab indents a text that goes on from the line above",
                        )
                        .hint("indent with blanks; YAML does not allow tabs there"));
                    }
                    self.cursor.skip_blanks();
                } else if self.cursor.is_break() {
                    gap.add_break(self.cursor.skip_break());
                } else {
                    break;
                }
            }
            if !self.in_flow() && self.column() < indent {
                break;
            }
        }
        if gap.is_broken() {
            self.simple_key_allowed = true;
        }
        pieces.push(line_start..end);
        let kind = Kind::Scalar {
            text: pieces.finish(),
            style: Style::Plain,
        };
        self.tokens.push_back(super::Token { start, end, kind });
        Ok(())
    }

    /// Whether one of the blanks here is a tab at less than the indentation; stops at it.
    fn first_indenting_tab(&mut self, indent: i64) -> bool {
        self.cursor.skip_spaces();
        self.cursor.byte() == b'\t' && self.column() < indent
    }

    /// How many bytes go on with a plain scalar.
    fn plain_run(&mut self) -> Scanned<usize> {
        let rest = self.cursor.rest();
        let mut length = 0;
        loop {
            let byte = match rest.get(length) {
                Some(byte) if ORDINARY[usize::from(*byte)] => {
                    length += 1;
                    continue;
                }
                Some(byte) => *byte,
                None => return Ok(length),
            };
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => return Ok(length),
                b':' if self.in_flow()
                    && matches!(
                        self.cursor.byte_at(length + 1),
                        b',' | b'?' | b'[' | b']' | b'{' | b'}'
                    ) =>
                {
                    self.cursor.skip(length);
                    return Err(Fault::new(
                        self.here(),
                        "a `:` at the end of a text within brackets",
                    )
                    .hint("put a blank behind the `:` of a key, or the text into quotes"));
                }
                b':' if self.cursor.is_gap_at(length + 1) => return Ok(length),
                b',' | b'[' | b']' | b'{' | b'}' if self.in_flow() => return Ok(length),
                0xc2 | 0xe2 if self.cursor.break_at(length) > 0 => return Ok(length),
                _ => length += 1,
            }
        }
    }
}
