//! What a token means where the grammar has no place for it.

use super::{Composer, Place};
use crate::scan::{Fault, Kind, Mark, Token};

impl Composer<'_, '_> {
    /// A token where nothing more can stand.
    pub(super) fn stray(&self, token: &Token<'_>) -> Box<Fault> {
        let span = self.span_of(token);
        match token.kind {
            Kind::FlowSequenceEnd | Kind::FlowMappingEnd => {
                let bracket = bracket(&token.kind);
                Fault::new(span, format!("`{bracket}` closes nothing"))
                    .hint("remove it, or put the text into quotes if it belongs to it")
            }
            Kind::FlowEntry => Fault::new(span, "a `,` outside of brackets")
                .hint("put the text into quotes if the comma belongs to it"),
            Kind::BlockEntry => Fault::new(span, "a list item where no list is").hint(
                "a list and a mapping cannot stand side by side; indent the list under its key",
            ),
            Kind::Key | Kind::Value | Kind::BlockMappingStart => {
                Fault::new(span, "a mapping where the document has ended")
                    .hint("all keys of a mapping have the same indentation")
            }
            _ => Fault::new(span, "text where nothing more can stand")
                .hint("put the whole value into quotes, or begin the line as `key: value`"),
        }
    }

    pub(super) fn no_content(&self, token: &Token<'_>, place: Place) -> Box<Fault> {
        if token.kind == Kind::StreamEnd {
            return self.unclosed(token);
        }
        if place == Place::Flow {
            if let Kind::BlockEntry = token.kind {
                return Fault::new(self.span_of(token), "a list item with `-` within brackets")
                    .hint("within `[…]` items are separated by `,`");
            }
            if let Kind::FlowEntry = token.kind {
                return Fault::new(self.span_of(token), "nothing stands before this `,`")
                    .hint("remove the comma, or write what it should separate");
            }
        }
        self.stray(token)
    }

    /// The text ends although something is open.
    pub(super) fn unclosed(&self, token: &Token<'_>) -> Box<Fault> {
        match self.scanner.open_flow() {
            Some((span, bracket)) => {
                let end = if bracket == '[' { ']' } else { '}' };
                Fault::new(span, format!("`{bracket}` is never closed"))
                    .hint(format!("write `{end}` where the list or mapping ends"))
            }
            None => Fault::new(self.span_of(token), "the text ends too early"),
        }
    }

    pub(super) fn no_item(&self, token: &Token<'_>) -> Box<Fault> {
        let span = self.span_of(token);
        match token.kind {
            Kind::FlowSequenceEnd | Kind::FlowMappingEnd | Kind::FlowEntry => self.stray(token),
            Kind::Key | Kind::BlockMappingStart => {
                Fault::new(span, "a key stands among the items of a list")
                    .hint("indent it as the keys of the item that it belongs to, or less than the list")
            }
            Kind::BlockSequenceStart => Fault::new(span, "an item is indented unlike those before it")
                .hint("all items of a list have the same indentation"),
            _ => Fault::new(span, "text stands among the items of a list").hint(
                "begin each item with `- `; put an item with quotes in its midst wholly into quotes",
            ),
        }
    }

    pub(super) fn no_key(&self, token: &Token<'_>) -> Box<Fault> {
        let span = self.span_of(token);
        match token.kind {
            Kind::FlowSequenceEnd | Kind::FlowMappingEnd | Kind::FlowEntry => self.stray(token),
            Kind::BlockEntry | Kind::BlockSequenceStart => {
                Fault::new(span, "a list item stands where a key of the mapping is expected")
                    .hint("write the list under its own key, and give all its items the same indentation")
            }
            Kind::BlockMappingStart => Fault::new(span, "this line is indented unlike the other keys of its mapping")
                .hint("all keys of a mapping have the same indentation; a nested mapping is indented more than its key"),
            Kind::Value => Fault::new(span, "a `:` without a key before it")
                .hint("write `key: value`"),
            _ => Fault::new(span, "text stands behind a value that has ended")
                .hint("put the whole value into quotes; begin a new line for the next key"),
        }
    }

    /// Something else than `,` or the closing bracket behind an entry of a flow collection.
    pub(super) fn no_separator(
        &self,
        open: Mark,
        token: &Token<'_>,
        end: &Kind<'static>,
    ) -> Box<Fault> {
        if token.kind == Kind::StreamEnd {
            return self.unclosed(token);
        }
        let span = self.span_of(token);
        let end = bracket(end);
        if token.start.line > open.line
            && !matches!(token.kind, Kind::FlowSequenceEnd | Kind::FlowMappingEnd)
        {
            let begin = if end == ']' { '[' } else { '{' };
            let (line, column) = (open.line + 1, open.column + 1);
            return Fault::new(
                span,
                format!("the `{begin}` at line {line}, column {column} is not closed before this, and no `,` stands before it"),
            )
            .hint(format!("write `{end}` where it ends, or `,` between its entries"));
        }
        match token.kind {
            Kind::FlowSequenceEnd | Kind::FlowMappingEnd => {
                let found = bracket(&token.kind);
                Fault::new(span, format!("`{found}` stands where `{end}` must close"))
                    .hint("close brackets in the opposite order of opening them")
            }
            Kind::Value => Fault::new(span, "a `:` cannot stand here")
                .hint("put the text into quotes if the colon belongs to it; a key within brackets stands on one line"),
            Kind::DocumentStart | Kind::DocumentEnd => Fault::new(span, format!("the document ends before `{end}`")),
            _ => Fault::new(span, format!("`,` or `{end}` must stand before this"))
                .hint("separate entries by `,`, or put a text with brackets or quotes in it wholly into quotes"),
        }
    }
}

/// How a closing bracket is written.
fn bracket(kind: &Kind<'_>) -> char {
    if *kind == Kind::FlowSequenceEnd {
        ']'
    } else {
        '}'
    }
}
