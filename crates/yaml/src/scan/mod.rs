//! From characters to tokens, as libyaml 0.2.5 finds them: the scanner behind PyYAML's
//! `CSafeLoader`, which is the loader that LAVA uses where it is installed.
//!
//! The rules are those of YAML 1.1 with libyaml's own limits and liberties: a key without `?` stands
//! on one line and ends within 1024 characters, tabs separate but never indent, and a flow
//! collection may be indented less than what is around it. Known differences between the two
//! loaders of PyYAML are listed in `tests/it/pyyaml/known.rs`.

mod block_scalar;
mod cursor;
mod plain;
mod quoted;
mod tag;
mod token;

use std::collections::VecDeque;

use cursor::Cursor;
pub(crate) use cursor::Mark;
pub(crate) use token::{Fault, Kind, Token};

use crate::{MAX_DEPTH, SourceId, Span};

/// No key without `?` is longer, in characters.
const LONGEST_KEY: usize = 1024;

/// A token that is a key if a `:` follows it in time.
#[derive(Clone, Copy, Debug, Default)]
struct SimpleKey {
    possible: bool,
    /// Nothing but a key may stand where it stands.
    required: bool,
    /// Its place among all tokens of the text.
    number: usize,
    start: Mark,
}

#[derive(Debug)]
pub(crate) struct Scanner<'t> {
    cursor: Cursor<'t>,
    source: SourceId,
    tokens: VecDeque<Token<'t>>,
    /// Whether it is certain what the first token of the queue is.
    settled: bool,
    /// How many tokens were taken out of the queue.
    taken: usize,
    ended: bool,
    /// The column of the innermost block collection, -1 outside of all.
    indent: i64,
    indents: Vec<i64>,
    /// One for each open flow collection, and one for the block around them.
    simple_keys: Vec<SimpleKey>,
    simple_key_allowed: bool,
    /// Where the last scalar without quotes begins.
    last_plain: Option<Mark>,
    /// Where the open flow collections begin, with their brackets.
    flows: Vec<(Mark, u8)>,
}

type Scanned<T> = Result<T, Box<Fault>>;

impl<'t> Scanner<'t> {
    pub(crate) fn new(text: &'t str, source: SourceId) -> Self {
        let mut cursor = Cursor::new(text);
        // A byte order mark at the very beginning takes no place.
        if text.starts_with('\u{feff}') {
            cursor.mark.byte = '\u{feff}'.len_utf8();
        }
        Self {
            cursor,
            source,
            tokens: VecDeque::new(),
            settled: false,
            taken: 0,
            ended: false,
            indent: -1,
            indents: Vec::new(),
            simple_keys: vec![SimpleKey::default()],
            simple_key_allowed: true,
            last_plain: None,
            flows: Vec::new(),
        }
    }

    /// The next token, left where it is.
    pub(crate) fn peek(&mut self) -> Scanned<&Token<'t>> {
        self.settle()?;
        // The queue is empty only if the end was taken, which nobody does.
        match self.tokens.front() {
            Some(token) => Ok(token),
            None => Err(Fault::new(self.here(), "the text ends too early")),
        }
    }

    /// Takes the next token.
    pub(crate) fn next(&mut self) -> Scanned<Token<'t>> {
        self.settle()?;
        self.settled = false;
        self.taken += 1;
        match self.tokens.pop_front() {
            Some(token) => Ok(token),
            None => Err(Fault::new(self.here(), "the text ends too early")),
        }
    }

    /// The innermost flow collection that is open where the scanner stands, by its bracket.
    pub(crate) fn open_flow(&self) -> Option<(Span, char)> {
        let (mark, bracket) = self.flows.last()?;
        Some((mark.to(mark.byte + 1, self.source), char::from(*bracket)))
    }

    fn in_flow(&self) -> bool {
        !self.flows.is_empty()
    }

    /// The character at which the scanner stands.
    fn here(&self) -> Span {
        self.from(self.cursor.mark)
    }

    /// One character.
    fn from(&self, mark: Mark) -> Span {
        let length = self
            .cursor
            .text
            .get(mark.byte..)
            .and_then(|rest| rest.chars().next())
            .map_or(0, char::len_utf8);
        mark.to(mark.byte + length, self.source)
    }

    /// What is written from a mark up to the scanner, on the mark's line.
    fn since(&self, mark: Mark) -> Span {
        let end = if self.cursor.mark.line == mark.line {
            self.cursor.mark.byte
        } else {
            let line = self.cursor.text.get(mark.byte..).unwrap_or_default();
            let line = line.split(['\n', '\r']).next().unwrap_or_default();
            mark.byte + line.trim_end().len()
        };
        mark.to(end, self.source)
    }

    fn column(&self) -> i64 {
        i64::from(self.cursor.mark.column)
    }

    #[inline]
    fn settle(&mut self) -> Scanned<()> {
        if !self.settled {
            self.fill()?;
            self.settled = true;
        }
        Ok(())
    }

    /// Scans until it is certain what the first token of the queue is: a possible key is not.
    fn fill(&mut self) -> Scanned<()> {
        while !self.ended {
            if !self.tokens.is_empty() {
                let mut undecided = false;
                for level in 0..self.simple_keys.len() {
                    let key = self.simple_keys[level];
                    if key.possible && key.number == self.taken {
                        undecided = self.is_key_possible(level)?;
                        break;
                    }
                }
                if !undecided {
                    return Ok(());
                }
            }
            self.fetch()?;
        }
        Ok(())
    }

    fn push(&mut self, start: Mark, kind: Kind<'t>) {
        let end = self.cursor.mark.byte;
        self.tokens.push_back(Token { start, end, kind });
    }

    fn push_empty(&mut self, kind: Kind<'t>) {
        self.push(self.cursor.mark, kind);
    }

    fn fetch(&mut self) -> Scanned<()> {
        self.skip_to_token();
        self.unroll_indent(self.column());
        let cursor = &self.cursor;
        let byte = cursor.byte();
        if cursor.is_end() {
            return self.fetch_end();
        }
        if cursor.mark.column == 0 {
            if byte == b'%' {
                return self.fetch_directive();
            }
            if cursor.is_document_marker(b"---") {
                return self.fetch_document_marker(Kind::DocumentStart);
            }
            if cursor.is_document_marker(b"...") {
                return self.fetch_document_marker(Kind::DocumentEnd);
            }
        }
        match byte {
            b'[' => self.open(Kind::FlowSequenceStart),
            b'{' => self.open(Kind::FlowMappingStart),
            b']' => self.close(Kind::FlowSequenceEnd),
            b'}' => self.close(Kind::FlowMappingEnd),
            b',' => {
                self.remove_key()?;
                self.simple_key_allowed = true;
                self.fetch_indicator(Kind::FlowEntry);
                Ok(())
            }
            b'-' if self.cursor.is_gap_at(1) => self.fetch_block_entry(),
            b'?' if self.in_flow() || self.cursor.is_gap_at(1) => self.fetch_key(),
            b':' if self.in_flow() || self.cursor.is_gap_at(1) => self.fetch_value(),
            b'*' | b'&' => {
                self.save_key()?;
                self.simple_key_allowed = false;
                self.scan_anchor()
            }
            b'!' => {
                self.save_key()?;
                self.simple_key_allowed = false;
                self.scan_tag()
            }
            b'|' | b'>' if !self.in_flow() => {
                self.remove_key()?;
                self.simple_key_allowed = true;
                self.scan_block_scalar()
            }
            b'\'' | b'"' => {
                self.save_key()?;
                self.simple_key_allowed = false;
                self.scan_quoted()
            }
            b'-' | b'?' | b':' => self.fetch_plain(),
            b'#' | b'|' | b'>' | b'%' | b'@' | b'`' | b'\t' => Err(self.no_token()),
            _ => self.fetch_plain(),
        }
    }

    fn fetch_plain(&mut self) -> Scanned<()> {
        self.save_key()?;
        self.simple_key_allowed = false;
        self.scan_plain()
    }

    fn no_token(&self) -> Box<Fault> {
        let Some(character) = self.cursor.character() else {
            return Fault::new(self.here(), "the text ends too early");
        };
        if character == '\t' {
            return Fault::new(self.here(), "a tab stands where only blanks may indent")
                .hint("indent with blanks; YAML does not allow tabs there");
        }
        Fault::new(
            self.here(),
            format!("nothing can begin with `{character}` here"),
        )
        .hint("put the text into quotes if the character belongs to it")
    }

    fn skip_to_token(&mut self) {
        loop {
            if self.cursor.mark.column == 0 && self.cursor.rest().starts_with("\u{feff}".as_bytes())
            {
                self.cursor.skip("\u{feff}".len());
            }
            // Tabs separate tokens, but do not indent.
            if self.in_flow() || !self.simple_key_allowed {
                self.cursor.skip_blanks();
            } else {
                self.cursor.skip_spaces();
            }
            if self.cursor.byte() == b'#' {
                self.cursor.skip(self.cursor.line_length());
            }
            if self.cursor.skip_break().is_empty() {
                return;
            }
            if !self.in_flow() {
                self.simple_key_allowed = true;
            }
        }
    }

    // Keys.

    /// Whether the possible key of a level can still be one.
    fn is_key_possible(&mut self, level: usize) -> Scanned<bool> {
        let key = self.simple_keys[level];
        if !key.possible {
            return Ok(false);
        }
        let here = self.cursor.mark;
        if key.start.line == here.line && here.index - key.start.index <= LONGEST_KEY {
            return Ok(true);
        }
        if key.required {
            return Err(self.no_colon(key));
        }
        self.simple_keys[level].possible = false;
        Ok(false)
    }

    fn no_colon(&self, key: SimpleKey) -> Box<Fault> {
        let span = self.since(key.start);
        if key.start.line == self.cursor.mark.line
            && self.cursor.mark.index - key.start.index > LONGEST_KEY
        {
            return Fault::new(
                span,
                format!("a key is longer than {LONGEST_KEY} characters"),
            )
            .hint("write `? ` before a long key, and its `: ` on a line of its own");
        }
        Fault::new(span, "a line of a mapping without a `:`")
            .hint("write `key: value`; text that goes on from the line above is indented more than its key")
    }

    /// The next token may turn out to be a key.
    fn save_key(&mut self) -> Scanned<()> {
        if !self.simple_key_allowed {
            return Ok(());
        }
        let required = !self.in_flow() && self.indent == self.column();
        self.remove_key()?;
        let key = SimpleKey {
            possible: true,
            required,
            number: self.taken + self.tokens.len(),
            start: self.cursor.mark,
        };
        if let Some(last) = self.simple_keys.last_mut() {
            *last = key;
        }
        Ok(())
    }

    /// What may have been a key at this level is none.
    fn remove_key(&mut self) -> Scanned<()> {
        let Some(key) = self.simple_keys.last_mut() else {
            return Ok(());
        };
        let was = *key;
        key.possible = false;
        if was.possible && was.required {
            return Err(self.no_colon(was));
        }
        Ok(())
    }

    // Indentation.

    /// Begins a block collection if this column is deeper than the one around. `place` is where
    /// in the queue it begins.
    fn roll_indent(&mut self, start: Mark, kind: Kind<'t>, place: usize) -> Scanned<()> {
        let column = i64::from(start.column);
        if self.in_flow() || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        if self.indents.len() > MAX_DEPTH + 1 {
            return Err(self.too_deep());
        }
        self.indent = column;
        let token = Token {
            start,
            end: start.byte,
            kind,
        };
        self.tokens.insert(place, token);
        Ok(())
    }

    fn unroll_indent(&mut self, column: i64) {
        if self.in_flow() {
            return;
        }
        while self.indent > column {
            self.push_empty(Kind::BlockEnd);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn too_deep(&self) -> Box<Fault> {
        Fault::new(
            self.here(),
            format!("nested more than {MAX_DEPTH} levels deep, aliases followed"),
        )
    }

    /// A `:` where no key is before it.
    fn no_value(&self) -> Box<Fault> {
        if let Some(plain) = self.last_plain
            && plain.line < self.cursor.mark.line
        {
            let line = plain.line + 1;
            return Fault::new(
                self.here(),
                format!("a `:` in a text that began on line {line}: by its indentation this line goes on with it"),
            )
            .hint("give a key the same indentation as the other keys of its mapping; put a text with `: ` in it into quotes");
        }
        Fault::new(
            self.here(),
            "a `:` cannot stand here: what is before it cannot be a key",
        )
        .hint("put the text into quotes if the colon belongs to it; a nested mapping begins on a line of its own")
    }

    // Tokens of one kind each.

    fn fetch_end(&mut self) -> Scanned<()> {
        self.unroll_indent(-1);
        self.remove_key()?;
        self.simple_key_allowed = false;
        self.push_empty(Kind::StreamEnd);
        self.ended = true;
        Ok(())
    }

    fn fetch_directive(&mut self) -> Scanned<()> {
        self.unroll_indent(-1);
        self.remove_key()?;
        self.simple_key_allowed = false;
        self.scan_directive()
    }

    fn fetch_document_marker(&mut self, kind: Kind<'t>) -> Scanned<()> {
        self.unroll_indent(-1);
        self.remove_key()?;
        self.simple_key_allowed = false;
        let start = self.cursor.mark;
        self.cursor.skip(3);
        self.push(start, kind);
        Ok(())
    }

    /// A token of one character.
    fn fetch_indicator(&mut self, kind: Kind<'t>) {
        let start = self.cursor.mark;
        self.cursor.skip(1);
        self.push(start, kind);
    }

    fn open(&mut self, kind: Kind<'t>) -> Scanned<()> {
        self.save_key()?;
        if self.flows.len() > MAX_DEPTH {
            return Err(self.too_deep());
        }
        self.flows.push((self.cursor.mark, self.cursor.byte()));
        self.simple_keys.push(SimpleKey::default());
        self.simple_key_allowed = true;
        self.fetch_indicator(kind);
        Ok(())
    }

    fn close(&mut self, kind: Kind<'t>) -> Scanned<()> {
        self.remove_key()?;
        if self.flows.pop().is_some() {
            self.simple_keys.pop();
        }
        self.simple_key_allowed = false;
        self.fetch_indicator(kind);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Scanned<()> {
        if !self.in_flow() {
            if !self.simple_key_allowed {
                return Err(Fault::new(self.here(), "a list item cannot begin here")
                    .hint("begin the list on a line of its own; put a text that begins with `- ` into quotes"));
            }
            self.roll_indent(
                self.cursor.mark,
                Kind::BlockSequenceStart,
                self.tokens.len(),
            )?;
        }
        self.remove_key()?;
        self.simple_key_allowed = true;
        self.fetch_indicator(Kind::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Scanned<()> {
        if !self.in_flow() {
            if !self.simple_key_allowed {
                return Err(Fault::new(self.here(), "a key with `?` cannot begin here")
                    .hint("put a text that begins with `? ` into quotes"));
            }
            self.roll_indent(self.cursor.mark, Kind::BlockMappingStart, self.tokens.len())?;
        }
        self.remove_key()?;
        self.simple_key_allowed = !self.in_flow();
        self.fetch_indicator(Kind::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Scanned<()> {
        let level = self.simple_keys.len() - 1;
        if self.is_key_possible(level)? {
            let key = self.simple_keys[level];
            let place = key.number - self.taken;
            let token = Token {
                start: key.start,
                end: key.start.byte,
                kind: Kind::Key,
            };
            self.tokens.insert(place, token);
            self.roll_indent(key.start, Kind::BlockMappingStart, place)?;
            self.simple_keys[level].possible = false;
            self.simple_key_allowed = false;
        } else {
            if !self.in_flow() {
                if !self.simple_key_allowed {
                    return Err(self.no_value());
                }
                self.roll_indent(self.cursor.mark, Kind::BlockMappingStart, self.tokens.len())?;
            }
            self.simple_key_allowed = !self.in_flow();
        }
        self.fetch_indicator(Kind::Value);
        Ok(())
    }
}
