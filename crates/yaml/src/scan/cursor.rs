//! Where the scanner stands in a text, and what stands there.

use crate::{SourceId, Span};

/// A place between two characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Bytes before it.
    pub(crate) byte: usize,
    /// Characters before it.
    pub(crate) index: usize,
    /// Lines before it.
    pub(crate) line: u32,
    /// Characters before it in its line.
    pub(crate) column: u32,
}

impl Mark {
    /// From here to `end`, a byte.
    pub(crate) fn to(self, end: usize, source: SourceId) -> Span {
        Span {
            line: self.line.saturating_add(1),
            column: self.column.saturating_add(1),
            start: self.byte,
            end: end.max(self.byte),
            source,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Cursor<'t> {
    pub(crate) text: &'t str,
    pub(crate) mark: Mark,
}

impl<'t> Cursor<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self {
            text,
            mark: Mark::default(),
        }
    }

    /// The byte here; 0, which no text holds, at the end.
    pub(crate) fn byte(&self) -> u8 {
        self.byte_at(0)
    }

    pub(crate) fn byte_at(&self, offset: usize) -> u8 {
        self.rest().get(offset).copied().unwrap_or(0)
    }

    pub(crate) fn rest(&self) -> &'t [u8] {
        self.text
            .as_bytes()
            .get(self.mark.byte..)
            .unwrap_or_default()
    }

    pub(crate) fn is_end(&self) -> bool {
        self.mark.byte >= self.text.len()
    }

    /// Passes over bytes that hold whole characters and no line break.
    pub(crate) fn skip(&mut self, bytes: usize) {
        let passed = self.rest().get(..bytes).unwrap_or_default();
        // Continuation bytes of UTF-8 are 0b10xx_xxxx.
        let characters = passed.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        self.mark.byte += passed.len();
        self.mark.index += characters;
        self.mark.column = self
            .mark
            .column
            .saturating_add(u32::try_from(characters).unwrap_or(u32::MAX));
    }

    /// How many bytes the line break at an offset takes; 0 where there is none. Line breaks are
    /// those of YAML 1.1: CR LF, CR, LF, NEL, LS, PS.
    pub(crate) fn break_at(&self, offset: usize) -> usize {
        match self.byte_at(offset) {
            b'\n' => 1,
            b'\r' => 1 + usize::from(self.byte_at(offset + 1) == b'\n'),
            0xc2 if self.byte_at(offset + 1) == 0x85 => 2,
            0xe2 if self.byte_at(offset + 1) == 0x80
                && matches!(self.byte_at(offset + 2), 0xa8 | 0xa9) =>
            {
                3
            }
            _ => 0,
        }
    }

    pub(crate) fn is_break(&self) -> bool {
        self.break_at(0) > 0
    }

    pub(crate) fn is_blank_at(&self, offset: usize) -> bool {
        matches!(self.byte_at(offset), b' ' | b'\t')
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.is_blank_at(0)
    }

    /// A blank, a line break or the end.
    pub(crate) fn is_gap_at(&self, offset: usize) -> bool {
        self.is_blank_at(offset) || self.byte_at(offset) == 0 || self.break_at(offset) > 0
    }

    /// A line break or the end.
    pub(crate) fn is_line_end(&self) -> bool {
        self.byte() == 0 || self.is_break()
    }

    /// Passes over a line break, if one is here. Returns what it counts as in a value.
    pub(crate) fn skip_break(&mut self) -> &'static str {
        let bytes = self.break_at(0);
        if bytes == 0 {
            return "";
        }
        let counts_as = match (bytes, self.byte_at(2)) {
            (3, 0xa8) => "\u{2028}",
            (3, _) => "\u{2029}",
            _ => "\n",
        };
        self.mark.index += if bytes == 2 && self.byte() == b'\r' {
            2
        } else {
            1
        };
        self.mark.byte += bytes;
        self.mark.line = self.mark.line.saturating_add(1);
        self.mark.column = 0;
        counts_as
    }

    pub(crate) fn skip_blanks(&mut self) {
        let blanks = self
            .rest()
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        self.skip(blanks);
    }

    pub(crate) fn skip_spaces(&mut self) {
        let spaces = self.rest().iter().take_while(|byte| **byte == b' ').count();
        self.skip(spaces);
    }

    /// How many bytes there are to the next line break or the end.
    pub(crate) fn line_length(&self) -> usize {
        let rest = self.rest();
        let mut length = 0;
        while let Some(byte) = rest.get(length) {
            match byte {
                b'\n' | b'\r' => break,
                0xc2 | 0xe2 if self.break_at(length) > 0 => break,
                _ => length += 1,
            }
        }
        length
    }

    /// The text from a byte up to here.
    pub(crate) fn since(&self, start: usize) -> &'t str {
        self.text.get(start..self.mark.byte).unwrap_or_default()
    }

    /// Whether `---` or `...` stands here alone at the beginning of a line.
    pub(crate) fn is_document_marker(&self, marker: &[u8; 3]) -> bool {
        self.mark.column == 0 && self.rest().starts_with(marker) && self.is_gap_at(3)
    }

    pub(crate) fn is_any_document_marker(&self) -> bool {
        self.is_document_marker(b"---") || self.is_document_marker(b"...")
    }

    /// The character here.
    pub(crate) fn character(&self) -> Option<char> {
        self.text.get(self.mark.byte..)?.chars().next()
    }
}
