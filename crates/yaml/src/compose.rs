//! From tokens to a tree that is not understood yet: the grammar of YAML 1.1 as libyaml parses it,
//! anchors, aliases, tags and budgets.

mod collections;
mod complaints;

use std::borrow::Cow;
use std::collections::HashMap;

use crate::scan::{Fault, Kind, Mark, Scanner, Token};
use crate::tag::{Tag, YAML_TAGS};
use crate::{Diagnostics, MAX_DEPTH, MAX_NODES, SourceId, Span, Style, closest};

/// A node of the tree: its place among [`Composed::nodes`].
pub(crate) type Id = usize;

#[derive(Debug)]
pub(crate) struct Raw<'t> {
    pub(crate) span: Span,
    pub(crate) tag: Tag,
    /// Where the tag is written, or else the node.
    pub(crate) tag_span: Span,
    pub(crate) kind: RawKind<'t>,
    /// Nodes in it, aliases followed.
    pub(crate) weight: u64,
    /// Levels of collections in it, aliases followed.
    pub(crate) depth: usize,
}

#[derive(Debug)]
pub(crate) enum RawKind<'t> {
    Scalar {
        text: Cow<'t, str>,
        style: Style,
    },
    Seq(Vec<Id>),
    Map(Vec<(Id, Id)>),
    /// What a mistake that is already reported has left.
    Broken,
}

/// What aliases refer to.
#[derive(Clone, Copy, Debug)]
enum Anchor {
    /// Its node is still being read.
    Open(Span),
    Node(Id, Span),
}

#[derive(Debug)]
pub(crate) struct Composer<'t, 'd> {
    scanner: Scanner<'t>,
    source: SourceId,
    pub(crate) diagnostics: &'d mut Diagnostics,
    pub(crate) nodes: Vec<Raw<'t>>,
    handles: Vec<(&'t str, Cow<'t, str>)>,
    anchors: HashMap<&'t str, Anchor>,
    /// How many nodes were met, aliases followed.
    met: u64,
    /// How many collections are open.
    open: usize,
    /// Where the last token ended that is written, in bytes.
    last_end: usize,
}

pub(crate) type Composing<T> = Result<T, Box<Fault>>;

/// What stands before a node.
#[derive(Debug, Default)]
struct Properties<'t> {
    anchor: Option<(&'t str, Span)>,
    tag: Option<(Tag, Span)>,
    start: Option<Mark>,
}

/// Where a node stands: what may stand there, and what an empty one is followed by.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// The root, an item behind `- `, or a value or key of a block mapping.
    Block,
    /// As [`Place::Block`] in a mapping, where a list needs no indentation.
    BlockInMapping,
    Flow,
}

impl<'t, 'd> Composer<'t, 'd> {
    pub(crate) fn new(text: &'t str, source: SourceId, diagnostics: &'d mut Diagnostics) -> Self {
        Self {
            scanner: Scanner::new(text, source),
            source,
            diagnostics,
            nodes: Vec::new(),
            handles: Vec::new(),
            anchors: HashMap::new(),
            met: 0,
            open: 0,
            last_end: 0,
        }
    }

    /// The one document of the text; None where there is none.
    pub(crate) fn document(&mut self) -> Composing<Option<Id>> {
        let first = &self.scanner.peek()?.kind;
        if *first == Kind::StreamEnd {
            return Ok(None);
        }
        let explicit = self.directives()?;
        let root = if explicit && self.is_document_empty()? {
            self.empty_here()?
        } else {
            self.node(Place::Block)?
        };
        while self.scanner.peek()?.kind == Kind::DocumentEnd {
            self.take()?;
        }
        let token = self.scanner.peek()?.clone();
        match token.kind {
            Kind::StreamEnd => Ok(Some(root)),
            Kind::DocumentStart | Kind::VersionDirective | Kind::TagDirective { .. } => {
                let span = token.start.to(token.end, self.source);
                Err(Fault::new(
                    span,
                    "a second document begins here; only one document in a file is supported",
                )
                .hint("remove the `---`, or put the second document into a file of its own"))
            }
            _ => Err(self.stray(&token)),
        }
    }

    /// Reads what stands before a document. Returns whether it begins with `---`.
    fn directives(&mut self) -> Composing<bool> {
        let mut version = false;
        let mut any = false;
        loop {
            let token = self.scanner.peek()?.clone();
            let span = token.start.to(token.end, self.source);
            match token.kind {
                Kind::VersionDirective if version => {
                    return Err(Fault::new(span, "a second `%YAML` line"));
                }
                Kind::VersionDirective => version = true,
                Kind::TagDirective { handle, prefix } => {
                    if self.handles.iter().any(|(known, _)| *known == handle) {
                        return Err(Fault::new(
                            span,
                            format!("a second `%TAG` line for `{handle}`"),
                        ));
                    }
                    self.handles.push((handle, prefix));
                }
                Kind::DocumentStart => {
                    self.take()?;
                    return Ok(true);
                }
                _ if any => {
                    return Err(Fault::new(
                        span,
                        "`---` must stand between the `%` lines and the document",
                    ));
                }
                _ => return Ok(false),
            }
            any = true;
            self.take()?;
        }
    }

    fn is_document_empty(&mut self) -> Composing<bool> {
        Ok(matches!(
            self.scanner.peek()?.kind,
            Kind::StreamEnd
                | Kind::DocumentStart
                | Kind::DocumentEnd
                | Kind::VersionDirective
                | Kind::TagDirective { .. }
        ))
    }

    fn span_of(&self, token: &Token<'_>) -> Span {
        let mut span = token.start.to(token.end, self.source);
        if span.end == span.start {
            span.end += 1;
        }
        span
    }

    fn take(&mut self) -> Composing<Token<'t>> {
        let token = self.scanner.next()?;
        if token.end > token.start.byte {
            self.last_end = token.end;
        }
        Ok(token)
    }

    fn peek_is(&mut self, kinds: &[Kind<'static>]) -> Composing<bool> {
        Ok(kinds.contains(&self.scanner.peek()?.kind))
    }

    // Nodes.

    fn add(&mut self, raw: Raw<'t>) -> Id {
        self.nodes.push(raw);
        self.nodes.len() - 1
    }

    fn scalar(&mut self, span: Span, tag: Tag, text: Cow<'t, str>, style: Style) -> Composing<Id> {
        self.count(1, span)?;
        Ok(self.add(Raw {
            span,
            tag,
            tag_span: span,
            kind: RawKind::Scalar { text, style },
            weight: 1,
            depth: 0,
        }))
    }

    /// Nothing, where a value could be.
    fn empty_at(&mut self, mark: Mark) -> Composing<Id> {
        let span = mark.to(mark.byte, self.source);
        self.scalar(span, Tag::Null, Cow::Borrowed(""), Style::Plain)
    }

    fn empty_here(&mut self) -> Composing<Id> {
        let mark = self.scanner.peek()?.start;
        self.empty_at(mark)
    }

    /// Nothing, right behind a token of one line.
    fn empty_behind(&mut self, token: &Token<'_>) -> Composing<Id> {
        let width = token.end - token.start.byte;
        let mark = Mark {
            byte: token.end,
            index: token.start.index + width,
            column: token.start.column + u32::try_from(width).unwrap_or(0),
            ..token.start
        };
        self.empty_at(mark)
    }

    pub(crate) fn count(&mut self, nodes: u64, span: Span) -> Composing<()> {
        self.met = self.met.saturating_add(nodes);
        if self.met > MAX_NODES {
            return Err(Fault::new(
                span,
                format!(
                    "the document has more than {MAX_NODES} nodes, aliases and merge keys followed"
                ),
            ));
        }
        Ok(())
    }

    fn check_depth(&self, below: usize, span: Span) -> Composing<()> {
        if self.open + below > MAX_DEPTH {
            return Err(Fault::new(
                span,
                format!("nested more than {MAX_DEPTH} levels deep, aliases followed"),
            ));
        }
        Ok(())
    }

    fn node(&mut self, place: Place) -> Composing<Id> {
        if let Kind::Alias(name) = self.scanner.peek()?.kind {
            return self.alias(name);
        }
        let properties = self.properties()?;
        if let Some((name, span)) = properties.anchor {
            if let Some(Anchor::Open(first) | Anchor::Node(_, first)) = self.anchors.get(name) {
                return Err(Fault::new(
                    span,
                    format!(
                        "the anchor `&{name}` is already at line {}, column {}",
                        first.line, first.column
                    ),
                )
                .hint("give each anchor a name of its own"));
            }
            self.anchors.insert(name, Anchor::Open(span));
        }
        let id = self.content(place, &properties)?;
        if let Some((_, span)) = properties.tag {
            self.nodes[id].tag_span = span;
        }
        if let Some((name, span)) = properties.anchor {
            self.anchors.insert(name, Anchor::Node(id, span));
        }
        Ok(id)
    }

    fn alias(&mut self, name: &'t str) -> Composing<Id> {
        let token = self.take()?;
        let span = self.span_of(&token);
        let (message, hint) = match self.anchors.get(name) {
            Some(Anchor::Node(id, _)) => {
                let id = *id;
                let (weight, depth) = (self.nodes[id].weight, self.nodes[id].depth);
                self.count(weight, span)?;
                self.check_depth(depth, span)?;
                return Ok(id);
            }
            Some(Anchor::Open(_)) => (
                "the alias stands within what it refers to".to_owned(),
                "nothing can hold itself; write out what is meant".to_owned(),
            ),
            None => (
                format!("no anchor `&{name}` before this alias"),
                match closest(name, self.anchors.keys().copied()) {
                    Some(meant) => format!("did you mean `*{meant}`?"),
                    None => "put the text into quotes if it merely begins with `*`".to_owned(),
                },
            ),
        };
        self.diagnostics.error(span, message).with_hint(hint);
        self.count(1, span)?;
        Ok(self.add(Raw {
            span,
            tag: Tag::Null,
            tag_span: span,
            kind: RawKind::Broken,
            weight: 1,
            depth: 0,
        }))
    }

    fn properties(&mut self) -> Composing<Properties<'t>> {
        let mut properties = Properties::default();
        loop {
            match self.scanner.peek()?.kind {
                Kind::Anchor(name) if properties.anchor.is_none() => {
                    let token = self.take()?;
                    properties.start.get_or_insert(token.start);
                    properties.anchor = Some((name, self.span_of(&token)));
                }
                Kind::Tag { .. } if properties.tag.is_none() => {
                    let token = self.take()?;
                    properties.start.get_or_insert(token.start);
                    let span = self.span_of(&token);
                    if let Kind::Tag { handle, suffix } = token.kind {
                        properties.tag = Some((self.tag(handle, &suffix, span)?, span));
                    }
                }
                _ => return Ok(properties),
            }
        }
    }

    fn tag(&self, handle: &str, suffix: &str, span: Span) -> Composing<Tag> {
        let own = self.handles.iter().find(|(known, _)| *known == handle);
        let prefix = match (own, handle) {
            (_, "") => "",
            (Some((_, prefix)), _) => prefix,
            (None, "!") => "!",
            (None, "!!") => YAML_TAGS,
            (None, _) => {
                return Err(
                    Fault::new(span, format!("the tag handle `{handle}` is not declared")).hint(
                        format!("declare it on top: `%TAG {handle} prefix` and a line `---`"),
                    ),
                );
            }
        };
        Ok(Tag::named(prefix, suffix))
    }

    fn content(&mut self, place: Place, properties: &Properties<'t>) -> Composing<Id> {
        let tag = properties.tag.as_ref().map(|(tag, _)| tag);
        let token = self.scanner.peek()?;
        match token.kind {
            Kind::Scalar { .. } => self.written_scalar(tag),
            Kind::FlowSequenceStart => self.collection(tag, Self::flow_sequence),
            Kind::FlowMappingStart => self.collection(tag, Self::flow_mapping),
            Kind::BlockSequenceStart if place != Place::Flow => {
                self.collection(tag, Self::block_sequence)
            }
            Kind::BlockMappingStart if place != Place::Flow => {
                self.collection(tag, Self::block_mapping)
            }
            Kind::BlockEntry if place == Place::BlockInMapping => {
                self.collection(tag, Self::bare_sequence)
            }
            _ => match properties.start {
                Some(start) => {
                    let mark = self.scanner.peek()?.start;
                    // Nothing stands behind its anchor or tag, not before the next token.
                    let mark = if mark.line == start.line { mark } else { start };
                    // An empty scalar behind a bare `!` is a text, unlike a written one.
                    let tag = match tag {
                        None => Tag::Null,
                        Some(Tag::Bare) => Tag::Str,
                        Some(tag) => tag.clone(),
                    };
                    let span = mark.to(mark.byte, self.source);
                    self.scalar(span, tag, Cow::Borrowed(""), Style::Plain)
                }
                None => {
                    let token = self.scanner.peek()?.clone();
                    Err(self.no_content(&token, place))
                }
            },
        }
    }

    fn written_scalar(&mut self, tag: Option<&Tag>) -> Composing<Id> {
        let token = self.take()?;
        let span = token.start.to(token.end, self.source);
        let Kind::Scalar { text, style } = token.kind else {
            return self.empty_at(token.start);
        };
        let tag = match tag {
            None if style != Style::Plain => Tag::Str,
            // A bare `!` makes any scalar a plain one.
            None | Some(Tag::Bare) => Tag::of_plain(&text),
            Some(tag) => tag.clone(),
        };
        self.scalar(span, tag, text, style)
    }

    fn collection(
        &mut self,
        tag: Option<&Tag>,
        read: impl FnOnce(&mut Self) -> Composing<RawKind<'t>>,
    ) -> Composing<Id> {
        let start = self.scanner.peek()?.start;
        let span = start.to(start.byte, self.source);
        self.count(1, span)?;
        self.check_depth(1, span)?;
        self.open += 1;
        let kind = read(self)?;
        self.open -= 1;
        let sums = |(weight, depth): (u64, usize), id: Id| {
            let raw = &self.nodes[id];
            (weight.saturating_add(raw.weight), depth.max(raw.depth))
        };
        let (weight, depth) = match &kind {
            RawKind::Seq(items) => items.iter().copied().fold((1, 0), sums),
            RawKind::Map(entries) => entries
                .iter()
                .flat_map(|(key, value)| [*key, *value])
                .fold((1, 0), sums),
            RawKind::Scalar { .. } | RawKind::Broken => (1, 0),
        };
        let tag = match tag {
            Some(tag) if *tag != Tag::Bare => tag.clone(),
            _ if matches!(kind, RawKind::Seq(_)) => Tag::Seq,
            _ => Tag::Map,
        };
        let span = start.to(self.last_end, self.source);
        Ok(self.add(Raw {
            span,
            tag,
            tag_span: span,
            kind,
            weight,
            depth: depth + 1,
        }))
    }
}
