//! What the scanner makes of a text.

use std::borrow::Cow;

use super::cursor::Mark;
use crate::{Span, Style};

/// A piece of a text and its place.
#[derive(Clone, Debug)]
pub(crate) struct Token<'t> {
    pub(crate) start: Mark,
    /// One past its last byte.
    pub(crate) end: usize,
    pub(crate) kind: Kind<'t>,
}

/// The kinds of pieces, by the names of the YAML specification. Those of blocks are not written:
/// they follow from indentation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind<'t> {
    StreamEnd,
    VersionDirective,
    TagDirective {
        handle: &'t str,
        prefix: Cow<'t, str>,
    },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(&'t str),
    Anchor(&'t str),
    Tag {
        /// `!`, `!!`, `!name!`; empty where the suffix is the whole tag.
        handle: &'t str,
        suffix: Cow<'t, str>,
    },
    Scalar {
        text: Cow<'t, str>,
        style: Style,
    },
}

/// Why a text cannot be read further.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Fault {
    /// Boxed: the way without a mistake should carry little.
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            span,
            message: message.into(),
            hint: None,
        })
    }

    pub(crate) fn hint(mut self: Box<Self>, hint: impl Into<String>) -> Box<Self> {
        self.hint = Some(hint.into());
        self
    }
}
