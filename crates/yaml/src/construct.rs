//! From the composed tree to values: what each node is to PyYAML's safe constructor.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::compose::{Composer, Id, RawKind};
use crate::node::shorten;
use crate::number::Wrong;
use crate::parse::Reading;
use crate::scan::Fault;
use crate::tag::Tag;
use crate::{Diagnostics, Foreign, Node, Span, Style, Value, foreign, number, pattern};

const KNOWN_TAGS: &str = "known tags: !!str, !!int, !!float, !!bool, !!null, !!timestamp, !!binary, !!seq, !!map, !!set, !!omap, !!pairs";

pub(crate) struct Constructor<'t, 'd> {
    composer: Composer<'t, 'd>,
    reading: Reading,
    /// What was made of a node; aliases give the same again.
    made: Vec<Option<Node>>,
    /// Mappings whose merge keys are resolved.
    flat: Vec<bool>,
}

type Constructing<T> = Result<T, Box<Fault>>;

/// A key as Python's dictionaries compare it: `1`, `1.0` and `true` are one key.
#[derive(PartialEq, Eq, Hash)]
enum KeyId {
    Null,
    Int(i64),
    BigInt(Arc<str>),
    Float(u64),
    Text(Arc<str>),
    Binary(Arc<[u8]>),
    Date(foreign::Date),
    /// Without and with an offset; moments of both kinds are never equal.
    Moment(bool, i64),
}

/// The keys of a mapping, numbered as they come.
enum Keys {
    /// So few that looking at each is quicker than hashing.
    Few(Vec<KeyId>),
    Many(HashMap<KeyId, usize>),
}

impl Keys {
    const FEW: usize = 16;

    fn with_capacity(count: usize) -> Self {
        if count <= Self::FEW {
            Self::Few(Vec::with_capacity(count))
        } else {
            Self::Many(HashMap::with_capacity(count))
        }
    }

    /// The number of a key that was there before.
    fn find_or_add(&mut self, key: KeyId) -> Option<usize> {
        match self {
            Self::Few(keys) => {
                let found = keys.iter().position(|known| *known == key);
                if found.is_none() {
                    keys.push(key);
                }
                found
            }
            Self::Many(keys) => {
                let next = keys.len();
                match keys.entry(key) {
                    Entry::Occupied(entry) => Some(*entry.get()),
                    Entry::Vacant(entry) => {
                        entry.insert(next);
                        None
                    }
                }
            }
        }
    }
}

impl<'t, 'd> Constructor<'t, 'd> {
    pub(crate) fn new(composer: Composer<'t, 'd>, reading: Reading) -> Self {
        let count = composer.nodes.len();
        Self {
            composer,
            reading,
            made: vec![None; count],
            flat: vec![false; count],
        }
    }

    fn diagnostics(&mut self) -> &mut Diagnostics {
        self.composer.diagnostics
    }

    fn span(&self, id: Id) -> Span {
        self.composer.nodes[id].span
    }

    pub(crate) fn node(&mut self, id: Id) -> Constructing<Node> {
        if let Some(node) = &self.made[id] {
            return Ok(node.clone());
        }
        let node = self.make(id)?;
        self.made[id] = Some(node.clone());
        Ok(node)
    }

    fn make(&mut self, id: Id) -> Constructing<Node> {
        let raw = &self.composer.nodes[id];
        let span = raw.span;
        if matches!(raw.kind, RawKind::Broken) {
            return Ok(Node::broken(span));
        }
        match raw.tag.clone() {
            Tag::Seq => self.sequence(id),
            Tag::Map => match self.mapping(id)? {
                Some(entries) => Ok(Node::map(span, entries)),
                None => Ok(Node::broken(span)),
            },
            Tag::Set => match self.mapping(id)? {
                Some(entries) => {
                    let items = entries.into_iter().map(|(key, _)| key).collect();
                    Ok(Node::foreign(span, Foreign::Set(items)))
                }
                None => Ok(Node::broken(span)),
            },
            Tag::Omap | Tag::Pairs => self.pairs(id),
            tag => Ok(self.scalar(id, &tag)),
        }
    }

    /// Reports that a node is not of the kind that its tag wants.
    fn refuse_kind(&mut self, id: Id, wanted: &str) -> Node {
        let raw = &self.composer.nodes[id];
        let (span, tag_span) = (raw.span, raw.tag_span);
        let tag = raw.tag.shown();
        let found = match raw.kind {
            RawKind::Scalar { .. } | RawKind::Broken => "a single value",
            RawKind::Seq(_) => "a list",
            RawKind::Map(_) => "a mapping",
        };
        self.diagnostics()
            .error(
                tag_span,
                format!("the tag `{tag}` wants {wanted}, found {found}"),
            )
            .with_hint("remove the tag");
        Node::broken(span)
    }

    // Scalars.

    /// The text of a scalar. A mapping with a key `=` stands for the value of that key.
    fn scalar_text(&self, id: Id) -> Option<(&str, Style)> {
        match &self.composer.nodes[id].kind {
            RawKind::Scalar { text, style } => Some((text, *style)),
            RawKind::Map(entries) => {
                let is_value = |key: Id| self.composer.nodes[key].tag == Tag::Value;
                let (_, value) = entries.iter().find(|(key, _)| is_value(*key))?;
                self.scalar_text(*value)
            }
            RawKind::Seq(_) | RawKind::Broken => None,
        }
    }

    fn scalar(&mut self, id: Id, tag: &Tag) -> Node {
        let raw = &self.composer.nodes[id];
        let (span, tag_span) = (raw.span, raw.tag_span);
        let by_type = self.reading == Reading::ByType;
        let untagged = tag_span == span;
        let Some((text, style)) = self.scalar_text(id) else {
            if let Tag::Other(_) | Tag::Merge | Tag::Value | Tag::Bare = tag {
                return self.refuse_tag(span, tag_span, tag);
            }
            return self.refuse_kind(id, "a single value");
        };
        let value = match tag {
            Tag::Str => {
                let text: Arc<str> = text.into();
                // One allocation for the value and the source text.
                return Node::scalar(span, Value::String(text.clone()), text, style);
            }
            Tag::Null => Ok(Value::Null),
            Tag::Bool => pattern::boolean(text)
                .or_else(|| boolean_in_any_case(text))
                .map(Value::Bool)
                .ok_or("it is neither yes nor no"),
            Tag::Int => number::integer(text),
            Tag::Float => number::float(text),
            Tag::Binary => {
                foreign::base64(text).map(|bytes| Value::Foreign(Foreign::Binary(bytes.into())))
            }
            // PyYAML looks at the node itself here, and not at the key `=`.
            Tag::Timestamp if matches!(raw.kind, RawKind::Map(_)) => Err("it is no single value"),
            Tag::Timestamp => foreign::timestamp(text).map(Value::Foreign),
            // The project's own files know no such keys' meaning beyond keys.
            Tag::Merge | Tag::Value if by_type && untagged => Ok(Value::String(text.into())),
            _ => return self.refuse_tag(span, tag_span, tag),
        };
        let text: Arc<str> = text.into();
        match value {
            Ok(value) => Node::scalar(span, value, text, style),
            Err(_) if by_type && untagged => {
                Node::scalar(span, Value::String(text.clone()), text, style)
            }
            Err(wrong) => self.refuse_value(id, tag, &text, wrong),
        }
    }

    fn refuse_value(&mut self, id: Id, tag: &Tag, text: &str, wrong: Wrong) -> Node {
        let raw = &self.composer.nodes[id];
        let (span, tagged) = (raw.span, raw.tag_span != raw.span);
        let shown = shorten(text);
        if tagged {
            let tag = tag.shown();
            self.diagnostics().error(
                span,
                format!("the value `{shown}` does not fit its tag `{tag}`: {wrong}"),
            );
        } else {
            let what = match tag {
                Tag::Timestamp => "a date",
                _ => "a number",
            };
            self.diagnostics()
                .error(span, format!("`{shown}` is read as {what}, but {wrong}"))
                .with_hint("put it into quotes if it is meant as text");
        }
        Node::broken(span)
    }

    fn refuse_tag(&mut self, span: Span, tag_span: Span, tag: &Tag) -> Node {
        let (message, hint) = match tag {
            Tag::Merge if span == tag_span => (
                "`<<` merges mappings, and can only be a key".to_owned(),
                "put it into quotes if it is meant as text",
            ),
            Tag::Value if span == tag_span => (
                "a lone `=` has a meaning of its own in YAML 1.1, which is not known here"
                    .to_owned(),
                "put it into quotes if it is meant as text",
            ),
            _ => (
                format!("the tag `{}` is not known", shorten(&tag.shown())),
                KNOWN_TAGS,
            ),
        };
        self.diagnostics().error(tag_span, message).with_hint(hint);
        Node::broken(span)
    }

    // Lists.

    fn sequence(&mut self, id: Id) -> Constructing<Node> {
        let RawKind::Seq(items) = &self.composer.nodes[id].kind else {
            return Ok(self.refuse_kind(id, "a list"));
        };
        // A merge key may still ask for the items.
        let items = items.clone();
        let items = items.into_iter().map(|item| self.node(item));
        let items = items.collect::<Constructing<Vec<Node>>>()?;
        Ok(Node::seq(self.span(id), items))
    }

    fn pairs(&mut self, id: Id) -> Constructing<Node> {
        let RawKind::Seq(items) = &self.composer.nodes[id].kind else {
            return Ok(self.refuse_kind(id, "a list"));
        };
        let items = items.clone();
        let span = self.span(id);
        let mut pairs = Vec::with_capacity(items.len());
        for item in items {
            let raw = &self.composer.nodes[item];
            let pair = match &raw.kind {
                RawKind::Map(entries) if entries.len() == 1 => entries[0],
                RawKind::Broken => continue,
                _ => {
                    let (place, tag) = (raw.span, self.composer.nodes[id].tag.shown());
                    self.diagnostics().error(
                        place,
                        format!("each item under the tag `{tag}` must be a mapping of one key"),
                    );
                    continue;
                }
            };
            pairs.push((self.node(pair.0)?, self.node(pair.1)?));
        }
        Ok(Node::foreign(span, Foreign::Pairs(pairs)))
    }

    // Mappings.

    /// The entries of a mapping, merge keys and duplicates resolved. None where it is none.
    fn mapping(&mut self, id: Id) -> Constructing<Option<Vec<(Node, Node)>>> {
        if !matches!(self.composer.nodes[id].kind, RawKind::Map(_)) {
            self.refuse_kind(id, "a mapping");
            return Ok(None);
        }
        let first_own = self.flatten(id)?;
        // The mapping may still be merged into another one.
        let RawKind::Map(raw) = &self.composer.nodes[id].kind else {
            return Ok(None);
        };
        let raw = raw.clone();
        let mut keys = Keys::with_capacity(raw.len());
        // Whether the value that counts so far is the mapping's own, not a merged one.
        let mut owned: Vec<bool> = Vec::with_capacity(raw.len());
        let mut entries: Vec<(Node, Node)> = Vec::with_capacity(raw.len());
        for (index, (key, value)) in raw.into_iter().enumerate() {
            let key = self.node(key)?;
            let value = self.node(value)?;
            if key.is_broken() {
                continue;
            }
            let Some(id) = self.key_id(&key) else {
                let message = format!("a key must be a single value, found {}", key.describe());
                self.diagnostics()
                    .error(key.span, message)
                    .with_hint("braces and brackets begin collections; put a text with them, such as `{{ name }}`, into quotes");
                continue;
            };
            let is_own = index >= first_own;
            match keys.find_or_add(id) {
                None => {
                    owned.push(is_own);
                    entries.push((key, value));
                }
                Some(place) => {
                    let was_own = std::mem::replace(&mut owned[place], is_own);
                    if was_own && is_own {
                        self.warn_of_duplicate(&entries[place].0, &key);
                    }
                    // As in Python, the key stays as it was first written.
                    entries[place].1 = value;
                }
            }
        }
        Ok(Some(entries))
    }

    fn warn_of_duplicate(&mut self, first: &Node, second: &Node) {
        let name = shorten(second.source_text().unwrap_or_default());
        let place = first.span;
        let same = first.source_text() == second.source_text();
        let message = if same {
            format!(
                "the key `{name}` comes twice in this mapping; the last counts, the one at line {}, column {} has no effect",
                place.line, place.column
            )
        } else {
            let other = shorten(first.source_text().unwrap_or_default());
            format!(
                "the key `{name}` is the same as `{other}` at line {}, column {}; the last value counts, the first has no effect",
                place.line, place.column
            )
        };
        let hint = if same {
            "remove one of the two"
        } else {
            "remove one of the two, or put them into quotes if they are meant as texts"
        };
        self.diagnostics()
            .warning(second.span, message)
            .with_hint(hint);
    }

    /// Puts what merge keys name before a mapping's own entries, as PyYAML's `flatten_mapping`.
    /// Returns how many entries were put there.
    fn flatten(&mut self, id: Id) -> Constructing<usize> {
        let RawKind::Map(entries) = &self.composer.nodes[id].kind else {
            return Ok(0);
        };
        let tag = |key: Id| &self.composer.nodes[key].tag;
        let special = |key: Id| matches!(tag(key), Tag::Merge | Tag::Value);
        if self.flat[id] || !entries.iter().any(|(key, _)| special(*key)) {
            return Ok(0);
        }
        self.flat[id] = true;
        let mut merged: Vec<(Id, Id)> = Vec::new();
        let mut own = Vec::new();
        for (key, value) in entries.clone() {
            match self.composer.nodes[key].tag {
                Tag::Merge => self.merge(value, &mut merged)?,
                Tag::Value => {
                    self.composer.nodes[key].tag = Tag::Str;
                    own.push((key, value));
                }
                _ => own.push((key, value)),
            }
        }
        let first_own = merged.len();
        merged.append(&mut own);
        self.composer.nodes[id].kind = RawKind::Map(merged);
        Ok(first_own)
    }

    fn merge(&mut self, value: Id, merged: &mut Vec<(Id, Id)>) -> Constructing<()> {
        let raw = &self.composer.nodes[value];
        let span = raw.span;
        let maps = match &raw.kind {
            RawKind::Map(_) => vec![value],
            // The first of the list wins, so it comes last.
            RawKind::Seq(items) => items.iter().rev().copied().collect(),
            RawKind::Broken => return Ok(()),
            RawKind::Scalar { .. } => {
                self.refuse_merge(span);
                return Ok(());
            }
        };
        for map in maps {
            self.flatten(map)?;
            let raw = &self.composer.nodes[map];
            let entries = match &raw.kind {
                RawKind::Map(entries) => entries,
                RawKind::Broken => continue,
                RawKind::Seq(_) | RawKind::Scalar { .. } => {
                    let span = raw.span;
                    self.refuse_merge(span);
                    continue;
                }
            };
            let weigh = |id: Id| self.composer.nodes[id].weight;
            let weight = entries
                .iter()
                .map(|(key, value)| weigh(*key).saturating_add(weigh(*value)))
                .fold(1, u64::saturating_add);
            merged.extend_from_slice(entries);
            self.composer.count(weight, span)?;
        }
        Ok(())
    }

    fn refuse_merge(&mut self, span: Span) {
        self.diagnostics()
            .error(span, "`<<` merges a mapping or a list of mappings")
            .with_hint("name mappings with aliases: `<<: *name` or `<<: [*one, *two]`");
    }

    /// None for what Python calls unhashable.
    fn key_id(&self, key: &Node) -> Option<KeyId> {
        if self.reading == Reading::ByType {
            return key.source_text().map(|text| KeyId::Text(text.into()));
        }
        Some(match key.value() {
            Value::Null => KeyId::Null,
            Value::Bool(value) => KeyId::Int(i64::from(*value)),
            Value::Int(value) => KeyId::Int(*value),
            Value::Float(value) => float_key(*value),
            Value::String(text) => KeyId::Text(text.clone()),
            Value::Seq(_) | Value::Map(_) => return None,
            Value::Foreign(value) => match value {
                Foreign::BigInt(digits) => KeyId::BigInt(digits.clone()),
                Foreign::Date(date) => KeyId::Date(*date),
                Foreign::DateTime(time) => {
                    KeyId::Moment(time.offset_minutes.is_some(), time.moment())
                }
                Foreign::Binary(bytes) => KeyId::Binary(bytes.clone()),
                Foreign::Set(_) | Foreign::Pairs(_) => return None,
            },
        })
    }
}

/// Python finds equal whole numbers equal, whichever type they are of.
fn float_key(value: f64) -> KeyId {
    /// 2⁶³, the first float beyond 64 bits.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if value.fract() != 0.0 || !value.is_finite() {
        return KeyId::Float(value.to_bits());
    }
    if (-BEYOND..BEYOND).contains(&value) {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and in range")]
        let whole = value as i64;
        KeyId::Int(whole)
    } else {
        KeyId::BigInt(format!("{value:.0}").into())
    }
}

/// What `!!bool` takes beyond the plain words.
fn boolean_in_any_case(text: &str) -> Option<bool> {
    pattern::boolean(&text.to_lowercase())
}
