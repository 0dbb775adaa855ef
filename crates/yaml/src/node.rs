//! The tree.

use std::sync::Arc;

use crate::{Foreign, Span};

/// A value as PyYAML's safe loader would make it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `~`, `null`, nothing at all.
    Null,
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// `12`, `0x1f`, `0755` (octal), `1:30` (to the base of sixty).
    Int(i64),
    /// `1.5`, `.inf`. PyYAML wants a dot, and a sign in the exponent.
    Float(f64),
    /// Everything else, and everything in quotes.
    String(Arc<str>),
    /// A list.
    Seq(Vec<Node>),
    /// A mapping, merge keys resolved, each key once, in order. Keys are scalars.
    Map(Vec<(Node, Node)>),
    /// What has no counterpart in JSON.
    Foreign(Foreign),
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In single or double quotes.
    Quoted,
    /// As a block, `|` or `>`.
    Block,
}

/// A value and its place. Clones share the value.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its place: of a scalar with its quotes, of a collection from its first to its last token.
    /// What came through an alias stands where its anchor stands.
    pub span: Span,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    value: Value,
    scalar: Option<(Arc<str>, Style)>,
    weight: u64,
    broken: bool,
}

impl Node {
    /// A scalar with the text that it was read from.
    pub fn scalar(span: Span, value: Value, text: impl Into<Arc<str>>, style: Style) -> Self {
        Self::new(span, value, Some((text.into(), style)), false)
    }

    /// A text that no file holds as it is, such as a default.
    pub fn text(span: Span, text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        Self::scalar(span, Value::String(text.clone()), text, Style::Quoted)
    }

    /// A list.
    pub fn seq(span: Span, items: Vec<Node>) -> Self {
        Self::new(span, Value::Seq(items), None, false)
    }

    /// A mapping; each key must come once.
    pub fn map(span: Span, entries: Vec<(Node, Node)>) -> Self {
        Self::new(span, Value::Map(entries), None, false)
    }

    /// A collection that has no counterpart in JSON.
    pub(crate) fn foreign(span: Span, value: Foreign) -> Self {
        Self::new(span, Value::Foreign(value), None, false)
    }

    /// What stands in for a value that has been reported already: readers pass over it in silence.
    pub(crate) fn broken(span: Span) -> Self {
        Self::new(span, Value::Null, None, true)
    }

    fn new(span: Span, value: Value, scalar: Option<(Arc<str>, Style)>, broken: bool) -> Self {
        let children = match &value {
            Value::Seq(items) | Value::Foreign(Foreign::Set(items)) => sum(items.iter()),
            Value::Map(entries) | Value::Foreign(Foreign::Pairs(entries)) => {
                sum(entries.iter().flat_map(|(key, value)| [key, value]))
            }
            _ => 0,
        };
        Self {
            span,
            inner: Arc::new(Inner {
                value,
                scalar,
                weight: children.saturating_add(1),
                broken,
            }),
        }
    }

    /// The value as PyYAML would read it.
    pub fn value(&self) -> &Value {
        &self.inner.value
    }

    /// Of a scalar, the text between its quotes, escapes and line folding resolved, whatever its
    /// value was taken for. Empty where nothing is written.
    pub fn source_text(&self) -> Option<&str> {
        self.inner.scalar.as_ref().map(|(text, _)| &**text)
    }

    /// Of a scalar, how it is written.
    pub fn style(&self) -> Option<Style> {
        self.inner.scalar.as_ref().map(|(_, style)| *style)
    }

    /// The entries of a mapping.
    pub fn as_map(&self) -> Option<&[(Node, Node)]> {
        match self.value() {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn as_seq(&self) -> Option<&[Node]> {
        match self.value() {
            Value::Seq(items) => Some(items),
            _ => None,
        }
    }

    /// The text, where PyYAML would read a text.
    pub fn as_str(&self) -> Option<&str> {
        match self.value() {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// True for `~`, `null` and nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(self.value(), Value::Null)
    }

    /// True where the value was lost to a mistake that is already reported.
    pub fn is_broken(&self) -> bool {
        self.inner.broken
    }

    /// The value of a mapping under a key, by how the key is written.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// Key and value of a mapping under a key, by how the key is written: `on` finds `on: 1`
    /// although PyYAML makes `true` of that key.
    pub fn entry(&self, key: &str) -> Option<&(Node, Node)> {
        self.as_map()?
            .iter()
            .find(|(name, _)| name.source_text() == Some(key))
    }

    /// How many nodes one meets walking this tree with its aliases followed.
    pub fn weight(&self) -> u64 {
        self.inner.weight
    }

    /// What it is, for messages: `a list`, `the number 5`, `the text "a"`.
    pub fn describe(&self) -> String {
        let text = || shorten(self.source_text().unwrap_or_default());
        match self.value() {
            Value::Null => "nothing".to_owned(),
            Value::Bool(_) => format!("the boolean `{}`", text()),
            Value::Int(_) | Value::Float(_) => format!("the number `{}`", text()),
            Value::String(_) if self.source_text() == Some("") => "an empty text".to_owned(),
            Value::String(_) => format!("the text `{}`", text()),
            Value::Seq(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
            Value::Foreign(Foreign::BigInt(_)) => format!("the number `{}`", text()),
            Value::Foreign(Foreign::Date(_) | Foreign::DateTime(_)) => {
                format!("the date `{}`", text())
            }
            Value::Foreign(value) => value.kind().to_owned(),
        }
    }

    /// The value as JSON. Keys become texts as they are written; scalars that JSON lacks, such as
    /// infinities and dates, become the texts that PyYAML reads them from, sets become lists and
    /// pairs lists of two.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self.value() {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => Json::from(*value),
            Value::Float(value) => match serde_json::Number::from_f64(*value) {
                Some(number) => Json::Number(number),
                None => Json::from(self.source_text().unwrap_or(".nan")),
            },
            Value::String(text) => Json::from(&**text),
            Value::Seq(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|(key, value)| {
                        let name = key.source_text().unwrap_or_default().to_owned();
                        (name, value.to_json())
                    })
                    .collect(),
            ),
            Value::Foreign(Foreign::Set(items)) => {
                Json::Array(items.iter().map(Node::to_json).collect())
            }
            Value::Foreign(Foreign::Pairs(pairs)) => Json::Array(
                pairs
                    .iter()
                    .map(|(key, value)| Json::Array(vec![key.to_json(), value.to_json()]))
                    .collect(),
            ),
            Value::Foreign(_) => Json::from(self.source_text().unwrap_or_default()),
        }
    }
}

/// Two nodes are equal if their values are, wherever they stand.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

fn sum<'n>(nodes: impl Iterator<Item = &'n Node>) -> u64 {
    nodes.map(Node::weight).fold(0, u64::saturating_add)
}

/// The beginning of a text, on one line.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    let cut: String = line.chars().take(LONGEST).collect();
    if cut.len() < text.len() {
        format!("{cut}…")
    } else {
        cut
    }
}
