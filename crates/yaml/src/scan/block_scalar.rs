//! Scalars as blocks: `|` and `>`.

use super::{Fault, Kind, Scanned, Scanner};
use crate::Style;

/// What becomes of the line breaks at the end.
#[derive(Clone, Copy, PartialEq)]
enum Chomping {
    Strip,
    Clip,
    Keep,
}

impl Scanner<'_> {
    pub(super) fn scan_block_scalar(&mut self) -> Scanned<()> {
        let start = self.cursor.mark;
        let literal = self.cursor.byte() == b'|';
        self.cursor.skip(1);
        let (chomping, increment) = self.block_header()?;
        let mut text = String::new();
        let mut end = self.cursor.mark.byte;
        self.cursor.skip_break();
        let mut indent = increment.map(|increment| self.indent.max(0) + increment);
        let mut breaks = String::new();
        self.block_breaks(&mut indent, &mut breaks, &mut end)?;
        let indent = indent.unwrap_or(1);
        let mut last_break = "";
        let mut after_blank = false;
        while self.column() == indent && !self.cursor.is_end() {
            let blank = self.cursor.is_blank();
            if !literal && last_break == "\n" && !after_blank && !blank {
                if breaks.is_empty() {
                    text.push(' ');
                }
            } else {
                text.push_str(last_break);
            }
            text.push_str(&breaks);
            breaks.clear();
            after_blank = blank;
            let from = self.cursor.mark.byte;
            self.cursor.skip(self.cursor.line_length());
            text.push_str(self.cursor.since(from));
            end = self.cursor.mark.byte;
            last_break = self.cursor.skip_break();
            self.block_breaks(&mut Some(indent), &mut breaks, &mut end)?;
        }
        if chomping != Chomping::Strip {
            text.push_str(last_break);
        }
        if chomping == Chomping::Keep {
            text.push_str(&breaks);
        }
        let kind = Kind::Scalar {
            text: text.into(),
            style: Style::Block,
        };
        self.tokens.push_back(super::Token { start, end, kind });
        Ok(())
    }

    /// What stands behind `|` or `>`, up to the line's end.
    fn block_header(&mut self) -> Scanned<(Chomping, Option<i64>)> {
        let mut chomping = None;
        let mut increment = None;
        loop {
            match self.cursor.byte() {
                b'+' if chomping.is_none() => chomping = Some(Chomping::Keep),
                b'-' if chomping.is_none() => chomping = Some(Chomping::Strip),
                b'0' if increment.is_none() => {
                    return Err(Fault::new(self.here(), "a block cannot be indented by 0")
                        .hint("write how many blanks its lines are indented more than its key: 1 to 9"));
                }
                digit @ b'1'..=b'9' if increment.is_none() => {
                    increment = Some(i64::from(digit - b'0'));
                }
                _ => break,
            }
            self.cursor.skip(1);
        }
        self.cursor.skip_blanks();
        if self.cursor.byte() == b'#' {
            self.cursor.skip(self.cursor.line_length());
        }
        if !self.cursor.is_line_end() {
            return Err(Fault::new(self.here(), "text behind `|` or `>`")
                .hint("the text of a block begins on the next line; put a text that begins with `|` or `>` into quotes"));
        }
        Ok((chomping.unwrap_or(Chomping::Clip), increment))
    }

    /// Passes over indentation and empty lines. Finds out how deep the block is indented where
    /// that is not known.
    fn block_breaks(
        &mut self,
        indent: &mut Option<i64>,
        breaks: &mut String,
        end: &mut usize,
    ) -> Scanned<()> {
        let mut deepest = 0;
        loop {
            while self.cursor.byte() == b' ' && indent.is_none_or(|indent| self.column() < indent) {
                self.cursor.skip(1);
            }
            deepest = deepest.max(self.column());
            if self.cursor.byte() == b'\t' && indent.is_none_or(|indent| self.column() < indent) {
                return Err(Fault::new(self.here(), "a tab indents a line of a block")
                    .hint("indent with blanks; YAML does not allow tabs there"));
            }
            let line_break = self.cursor.skip_break();
            if line_break.is_empty() {
                break;
            }
            breaks.push_str(line_break);
            *end = self.cursor.mark.byte;
        }
        if indent.is_none() {
            *indent = Some(deepest.max(self.indent + 1).max(1));
        }
        Ok(())
    }
}
