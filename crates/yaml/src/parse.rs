//! From events to the tree: anchors, merge keys, duplicate keys, budgets.

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use crate::scalar::{Resolved, resolve_plain, resolve_tagged};
use crate::{Diagnostics, Node, SourceId, Span, Style, Value};

/// The longest text that is read, in bytes.
pub const MAX_BYTES: usize = 8 << 20;
/// The most nodes of a document, counted with aliases and merge keys followed.
pub const MAX_NODES: u64 = 500_000;
/// The deepest nesting, counted with aliases followed.
pub const MAX_DEPTH: usize = 100;

const YAML_TAGS: &str = "tag:yaml.org,2002:";

/// Reads one document; an empty text is [`Value::Null`]. None after a mistake that leaves no tree.
/// Where there is a tree beside errors, the places of the errors are [`Node::is_broken`].
pub fn parse(source_text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    if source_text.len() > MAX_BYTES {
        let span = diagnostics.whole_file();
        diagnostics.error(
            span,
            format!("the text is longer than {} MiB", MAX_BYTES >> 20),
        );
        return None;
    }
    if let Some(span) = first_forbidden(source_text, diagnostics.current_file()) {
        let character = source_text[span.start..].chars().next().unwrap_or_default();
        let code = u32::from(character);
        diagnostics.error(
            span,
            format!("the character U+{code:04X} is not allowed in YAML"),
        );
        return None;
    }
    Builder {
        text: source_text,
        source: diagnostics.current_file(),
        diagnostics,
        frames: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
    }
    .build()
}

/// [`Diagnostics::enter_file`] and [`parse`].
pub fn parse_file(name: &str, source_text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    diagnostics.enter_file(name);
    parse(source_text, diagnostics)
}

/// The first character that PyYAML's reader refuses.
fn first_forbidden(text: &str, source: SourceId) -> Option<Span> {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    let (start, character) = text.char_indices().find(|(_, c)| !allowed(*c))?;
    let before = &text[..start];
    let line_start = before.rfind('\n').map_or(0, |place| place + 1);
    let line = before.matches('\n').count() + 1;
    let column = text[line_start..start].chars().count() + 1;
    Some(Span {
        line: saturate(line),
        column: saturate(column),
        start,
        end: start + character.len_utf8(),
        source,
    })
}

fn saturate(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A collection that is being read.
struct Frame {
    span: Span,
    anchor: usize,
    kind: FrameKind,
}

enum FrameKind {
    Seq(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        key: Option<(Node, bool)>,
    },
}

pub(crate) struct Entry {
    pub(crate) key: Node,
    pub(crate) value: Node,
    pub(crate) merge: bool,
}

/// What aliases refer to.
enum Anchor {
    Open,
    Node(Node),
}

/// The document cannot be read further; why has been reported.
pub(crate) struct Stop;

pub(crate) struct Builder<'a> {
    text: &'a str,
    source: SourceId,
    pub(crate) diagnostics: &'a mut Diagnostics,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Anchor>,
    nodes: u64,
    root: Option<Node>,
}

impl Builder<'_> {
    fn build(mut self) -> Option<Node> {
        let options = granit_parser::options! {
            emit_comments: false,
            // So that reading goes on after an alias without an anchor.
            emit_unresolved_aliases: true,
            // As PyYAML does.
            block_scalar_eof_without_line_feed: true,
            // Beyond our own limit, so that ours is the one that speaks.
            flow_nesting_limit: MAX_DEPTH + 10,
            block_nesting_limit: MAX_DEPTH + 10,
        };
        let mut documents = 0;
        for event in Parser::new_from_str_with_options(self.text, options) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    self.syntax_error(&error);
                    return None;
                }
            };
            let span = self.span(span.start, span.end);
            if let Event::DocumentStart(..) = event {
                documents += 1;
                if documents > 1 {
                    self.diagnostics
                        .error(span, "a second document begins here; only one document in a file is supported")
                        .with_hint("remove the `---`, or put the second document into a file of its own");
                    break;
                }
            }
            if self.event(event, span).is_err() {
                return None;
            }
        }
        let start = Span {
            line: 1,
            column: 1,
            source: self.source,
            ..Span::default()
        };
        Some(
            self.root
                .take()
                .unwrap_or_else(|| Node::scalar(start, Value::Null, "", Style::Plain)),
        )
    }

    fn span(&self, start: Marker, end: Marker) -> Span {
        let first = self.offset(start);
        Span {
            line: saturate(start.line()),
            column: saturate(start.col() + 1),
            start: first,
            end: self.offset(end).max(first),
            source: self.source,
        }
    }

    fn offset(&self, marker: Marker) -> usize {
        let offset = marker.byte_offset().unwrap_or_else(|| {
            self.text
                .char_indices()
                .nth(marker.index())
                .map_or(self.text.len(), |(place, _)| place)
        });
        offset.min(self.text.len())
    }

    fn syntax_error(&mut self, error: &ScanError) {
        let marker = *error.marker();
        let mut span = self.span(marker, marker);
        span.end = self.text[span.start..]
            .chars()
            .next()
            .map_or(span.start, |c| span.start + c.len_utf8());
        let diagnostic = self
            .diagnostics
            .error(span, format!("YAML syntax: {}", error.info()));
        match error.kind() {
            ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation => {
                diagnostic.with_hint("indent with blanks; YAML does not allow tabs there");
            }
            ErrorKind::UnexpectedCharacter {
                character: '%' | '@' | '`',
            } => {
                diagnostic.with_hint("put the text into quotes");
            }
            _ => {}
        }
    }

    pub(crate) fn count(&mut self, nodes: u64, span: Span) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            self.diagnostics.error(
                span,
                format!(
                    "the document has more than {MAX_NODES} nodes, aliases and merge keys followed"
                ),
            );
            return Err(Stop);
        }
        Ok(())
    }

    fn check_depth(&mut self, below: usize, span: Span) -> Result<(), Stop> {
        if self.frames.len() + below > MAX_DEPTH {
            self.diagnostics.error(
                span,
                format!("nested more than {MAX_DEPTH} levels deep, aliases followed"),
            );
            return Err(Stop);
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, span)?;
                let (node, merge) = self.scalar(&text, style, tag.as_deref(), span);
                self.anchor(anchor, &node);
                self.place(node, merge)
            }
            Event::SequenceStart(_, anchor, tag) => self.open(
                span,
                anchor,
                tag.as_deref(),
                "seq",
                FrameKind::Seq(Vec::new()),
            ),
            Event::MappingStart(_, anchor, tag) => {
                let kind = FrameKind::Map {
                    entries: Vec::new(),
                    key: None,
                };
                self.open(span, anchor, tag.as_deref(), "map", kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(id) => self.alias(id, span),
            Event::UnresolvedAlias(name) => {
                self.diagnostics
                    .error(span, format!("no anchor `&{name}` before this alias"));
                self.place(Node::broken(span), false)
            }
            _ => Ok(()),
        }
    }

    fn open(
        &mut self,
        span: Span,
        anchor: usize,
        tag: Option<&Tag>,
        own: &str,
        kind: FrameKind,
    ) -> Result<(), Stop> {
        self.count(1, span)?;
        self.check_depth(1, span)?;
        if let Some(tag) = tag {
            let plain = tag.suffix_in_namespace(YAML_TAGS).as_deref() == Some(own) || is_bare(tag);
            if !plain {
                self.refuse_tag(tag, span);
            }
        }
        if anchor != 0 {
            self.anchors.insert(anchor, Anchor::Open);
        }
        self.frames.push(Frame { span, anchor, kind });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Stop> {
        let Some(mut frame) = self.frames.pop() else {
            return Ok(());
        };
        frame.span.end = end.end.max(frame.span.end);
        let node = match frame.kind {
            FrameKind::Seq(items) => Node::seq(frame.span, items),
            FrameKind::Map { entries, .. } => {
                let entries = self.entries(entries)?;
                Node::map(frame.span, entries)
            }
        };
        self.anchor(frame.anchor, &node);
        self.place(node, false)
    }

    fn anchor(&mut self, id: usize, node: &Node) {
        if id != 0 {
            self.anchors.insert(id, Anchor::Node(node.clone()));
        }
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Stop> {
        let node = match self.anchors.get(&id) {
            Some(Anchor::Node(node)) => node.clone(),
            _ => {
                self.diagnostics
                    .error(span, "the alias stands within what it refers to");
                Node::broken(span)
            }
        };
        self.count(node.weight(), span)?;
        self.check_depth(node.depth(), span)?;
        self.place(node, false)
    }

    fn place(&mut self, node: Node, merge: bool) -> Result<(), Stop> {
        match self.frames.last_mut().map(|frame| &mut frame.kind) {
            None => self.root = Some(node),
            Some(FrameKind::Seq(items)) => items.push(node),
            Some(FrameKind::Map { entries, key }) => match key.take() {
                None => *key = Some((node, merge)),
                Some((key, merge)) => entries.push(Entry {
                    key,
                    value: node,
                    merge,
                }),
            },
        }
        Ok(())
    }

    /// A scalar, and whether it is a merge key where it stands as a key.
    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
    ) -> (Node, bool) {
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        };
        // The parser gives `~` for a value that is not written at all.
        let text = if span.start == span.end && style == Style::Plain {
            ""
        } else {
            text
        };
        let resolved = match tag {
            None if style == Style::Plain => resolve_plain(text),
            None => Resolved::Value(Value::String(text.into())),
            // As in PyYAML: a bare `!` makes any scalar a plain one.
            Some(tag) if is_bare(tag) => resolve_plain(text),
            Some(tag) => {
                let name = tag.suffix_in_namespace(YAML_TAGS);
                if name.as_deref() == Some("merge") {
                    return (
                        Node::scalar(span, Value::String(text.into()), text, style),
                        true,
                    );
                }
                match name.and_then(|name| resolve_tagged(&name, text)) {
                    Some(resolved) => resolved,
                    None => {
                        self.refuse_tag(tag, span);
                        return (Node::broken(span), false);
                    }
                }
            }
        };
        let value = match resolved {
            Resolved::Value(value) => value,
            Resolved::TooLarge => {
                self.diagnostics
                    .warning(
                        span,
                        "the number does not fit into 64 bits; it is kept as text",
                    )
                    .with_hint("put it into quotes if it is meant as text");
                Value::String(text.into())
            }
            Resolved::Invalid => {
                let tag = tag.map(Tag::original).unwrap_or_default();
                self.diagnostics
                    .error(span, format!("the value does not fit its tag `{tag}`"));
                return (Node::broken(span), false);
            }
        };
        let merge = tag.is_none() && style == Style::Plain && text == "<<";
        let node = match value {
            // One allocation for the value and the source text.
            Value::String(text) => Node::scalar(span, Value::String(text.clone()), text, style),
            value => Node::scalar(span, value, text, style),
        };
        (node, merge)
    }

    fn refuse_tag(&mut self, tag: &Tag, span: Span) {
        self.diagnostics
            .error(
                span,
                format!("the tag `{}` is not supported here", tag.original()),
            )
            .with_hint("supported: !!str, !!int, !!float, !!bool, !!null, !!seq, !!map");
    }
}

fn is_bare(tag: &Tag) -> bool {
    tag.original() == "!"
}
