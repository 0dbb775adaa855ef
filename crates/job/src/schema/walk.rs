//! Walks a node along a [`Kind`] and reports what does not fit.

use basalt_yaml::{Diagnostics, Node, Severity, Span, Value, closest};

use super::kind::{Key, Kind, Listed, Map, Rest};
use super::words::{advice, expected, filled_in, short};
use super::{Rules, job};
use crate::Reading;
use crate::values::number;

/// Takes reports: a list of diagnostics, or a count of how bad it is.
pub(super) trait Sink {
    fn report(&mut self, weight: u32, severity: Severity, span: Span, text: impl FnOnce() -> Text);
}

/// What a report says.
pub(super) struct Text {
    pub message: String,
    pub hint: Option<String>,
}

impl Text {
    pub(super) fn new(message: String) -> Self {
        Self {
            message,
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Sink for &mut Diagnostics {
    fn report(&mut self, _: u32, severity: Severity, span: Span, text: impl FnOnce() -> Text) {
        let Text { message, hint } = text();
        let diagnostic = match severity {
            Severity::Error => self.error(span, message),
            Severity::Warning => self.warning(span, message),
        };
        if let Some(hint) = hint {
            diagnostic.with_hint(hint);
        }
    }
}

/// How far a node is from a kind; smaller is nearer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Distance {
    errors: u32,
    warnings: u32,
}

impl Sink for &mut Distance {
    fn report(&mut self, weight: u32, severity: Severity, _: Span, _: impl FnOnce() -> Text) {
        let sum = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *sum = sum.saturating_add(weight);
    }
}

/// Another kind of value altogether.
pub(super) const SHAPE: u32 = 4;
/// A key too many is farther from what was meant than one too few.
pub(super) const UNKNOWN: u32 = 3;
pub(super) const MISSING: u32 = 2;
pub(super) const VALUE: u32 = 2;

/// How messages name a value.
#[derive(Clone, Copy)]
pub(super) enum Label<'a> {
    What(&'a str),
    Key(&'a str),
    Item(usize, &'a Label<'a>),
}

impl Label<'_> {
    pub(super) fn text(&self) -> String {
        match self {
            Self::What(what) => (*what).to_owned(),
            Self::Key(key) => format!("`{key}`"),
            Self::Item(index, list) => format!("item {} of {}", index + 1, list.text()),
        }
    }
}

pub(super) struct Walk<'r, S> {
    rules: Rules<'r>,
    sink: S,
    /// LAVA takes what is being explained: what would be errors are warnings.
    taken: bool,
}

impl<'r, S: Sink> Walk<'r, S> {
    pub(super) fn new(rules: Rules<'r>, sink: S) -> Self {
        Self {
            rules,
            sink,
            taken: false,
        }
    }

    pub(super) fn kind(&mut self, node: &Node, kind: &Kind, what: &str) {
        self.value(node, kind, &Label::What(what));
    }

    pub(super) fn report(
        &mut self,
        weight: u32,
        severity: Severity,
        span: Span,
        text: impl FnOnce() -> Text,
    ) {
        let severity = if self.taken {
            Severity::Warning
        } else {
            severity
        };
        self.sink.report(weight, severity, span, text);
    }

    pub(super) fn error(&mut self, span: Span, text: impl FnOnce() -> Text) {
        self.report(VALUE, Severity::Error, span, text);
    }

    pub(super) fn problem(&mut self, span: Span, message: &str, hint: &str) {
        self.error(span, || Text::new(message.to_owned()).hint(hint));
    }

    pub(super) fn warning(&mut self, span: Span, message: impl FnOnce() -> String) {
        self.report(1, Severity::Warning, span, || Text::new(message()));
    }

    pub(super) fn strict(&self) -> bool {
        self.rules.reading == Reading::Strict
    }

    pub(super) fn value(&mut self, node: &Node, kind: &Kind, label: &Label<'_>) {
        if node.is_broken() {
            return;
        }
        match kind {
            Kind::Map(map) => self.map(node, map, label),
            Kind::List(item) => match node.as_seq() {
                Some(items) => {
                    for (index, node) in items.iter().enumerate() {
                        self.value(node, item, &Label::Item(index, label));
                    }
                }
                None => self.refuse(node, kind, label, SHAPE),
            },
            Kind::OneOf(kinds) => self.one_of(node, kind, kinds, label),
            Kind::Select { what, key, cases } => self.select(node, what, key, cases),
            Kind::Block { what, cases } => self.block(node, what, cases),
            Kind::Actions(cases) => self.actions(node, cases, label),
            Kind::Timeout => self.timeout(node, label),
            _ => {
                if let Some(weight) = misfit(node, kind) {
                    self.refuse(node, kind, label, weight);
                }
            }
        }
    }

    pub(super) fn refuse(&mut self, node: &Node, kind: &Kind, label: &Label<'_>, weight: u32) {
        self.report(weight, Severity::Error, node.span, || Text {
            message: format!(
                "{} must be {}, found {}",
                label.text(),
                expected(kind),
                node.describe()
            ),
            hint: advice(node, kind, label),
        });
    }

    fn one_of(&mut self, node: &Node, kind: &Kind, kinds: &[Kind], label: &Label<'_>) {
        let mut best: Option<(u32, u32, &Kind)> = None;
        let mut taken = false;
        if !kinds.iter().any(|kind| alike(node, kind)) {
            return self.refuse(node, kind, label, SHAPE);
        }
        for kind in kinds.iter().filter(|kind| alike(node, kind)) {
            let mut distance = Distance::default();
            Walk::new(self.rules, &mut distance).value(node, kind, label);
            if distance == Distance::default() {
                return;
            }
            taken |= distance.errors == 0;
            // A key that one alternative ignores may be a slip in the value of another's key.
            let far = distance.errors.saturating_add(distance.warnings);
            if best.is_none_or(|(nearest, errors, _)| (far, distance.errors) < (nearest, errors)) {
                best = Some((far, distance.errors, kind));
            }
        }
        if let Some((_, _, nearest)) = best {
            let outer = self.taken;
            self.taken |= taken;
            self.value(node, nearest, label);
            self.taken = outer;
        }
    }

    fn map(&mut self, node: &Node, map: &Map, label: &Label<'_>) {
        let label = &match map.what {
            "" => *label,
            what => Label::What(what),
        };
        let Some(entries) = node.as_map() else {
            return self.report(SHAPE, Severity::Error, node.span, || {
                let text = Text::new(format!(
                    "{} must be a mapping, found {}",
                    label.text(),
                    node.describe()
                ));
                match (label, map.example) {
                    (_, "") => text,
                    (Label::Key(key), example) => text.hint(format!("write `{key}: {example}`")),
                    (_, example) => text.hint(format!("such as `{example}`")),
                }
            });
        };
        let mut unknown: Vec<&Node> = Vec::new();
        let mut others = false;
        for (name, value) in entries {
            if name.is_broken() {
                continue;
            }
            let text = name.as_str();
            if let Some(key) = text.and_then(|text| key(map, text)) {
                if key.listed == Listed::Code && self.strict() {
                    self.unlisted(name, key.name, label);
                } else {
                    self.value(value, &key.kind, &Label::Key(key.name));
                }
                continue;
            }
            let (taken, kind) = match &map.rest {
                Rest::None => (false, None),
                Rest::Each(kind) | Rest::Some(kind) => (text.is_some(), Some(kind)),
                Rest::Matching(accepts, kind) => (text.is_some_and(accepts), Some(kind)),
                Rest::Any(kind) => (true, Some(kind)),
                Rest::Context(kind) => {
                    self.context(name);
                    (true, Some(kind))
                }
            };
            match (taken, kind) {
                (true, Some(kind)) => {
                    others = true;
                    let key = name.source_text().unwrap_or_default();
                    self.value(value, kind, &Label::Key(key));
                }
                _ => unknown.push(name),
            }
        }
        self.keys(node, entries, map, unknown, label);
        let empty =
            matches!(map.rest, Rest::Some(_)) && !others || map.filled && entries.is_empty();
        if empty {
            self.report(MISSING, Severity::Error, node.span, || {
                Text::new(format!("{} is empty", label.text()))
                    .hint("it needs one entry at least, a name with its file")
            });
        }
        if let Some((first, second)) = map.exclusive
            && has(entries, first)
            && let Some((name, _)) = entries.iter().find(|(key, _)| key.as_str() == Some(second))
        {
            self.error(name.span, || {
                Text::new(format!("`{first}` and `{second}` exclude each other"))
                    .hint("remove one of the two")
            });
        }
    }

    /// Keys that are missing, and keys that nobody knows: where one looks like the other it is one
    /// mistake.
    fn keys(
        &mut self,
        node: &Node,
        entries: &[(Node, Node)],
        map: &Map,
        mut unknown: Vec<&Node>,
        label: &Label<'_>,
    ) {
        let known = || map.keys.iter().copied().flatten();
        for (place, key) in known().enumerate() {
            if !key.required || has(entries, key.name) {
                continue;
            }
            // Of keys with the same name in two groups the first counts.
            if known().take(place).any(|other| other.name == key.name) {
                continue;
            }
            let slip = unknown.iter().position(|name| {
                let absent = known()
                    .filter(|key| !has(entries, key.name))
                    .map(|key| key.name);
                closest(name.source_text().unwrap_or_default(), absent) == Some(key.name)
            });
            let slip = slip.map(|place| unknown.remove(place));
            let span = slip.map_or(node.span, |name| name.span);
            self.report(MISSING, Severity::Error, span, || {
                let needs = format!("{} needs `{}`", label.text(), key.name);
                match slip {
                    Some(name) => Text::new(format!("unknown key `{}`, and {needs}", short(name)))
                        .hint(format!("did you mean `{}`?", key.name)),
                    None => Text {
                        message: needs,
                        hint: filled_in(key),
                    },
                }
            });
        }
        for name in unknown {
            self.unknown(
                name,
                label,
                known()
                    .filter(|key| !has(entries, key.name))
                    .map(|key| key.name),
            );
        }
    }

    pub(super) fn unknown<'k>(
        &mut self,
        name: &Node,
        label: &Label<'_>,
        absent: impl Iterator<Item = &'k str>,
    ) {
        let strict = self.strict();
        let severity = if strict {
            Severity::Error
        } else {
            Severity::Warning
        };
        self.report(UNKNOWN, severity, name.span, || {
            let written = short(name);
            let effect = if strict { "" } else { " has no effect" };
            let text = Text::new(format!(
                "unknown key `{written}` in {}{effect}",
                label.text()
            ));
            let mut absent: Vec<&str> = absent.collect();
            match closest(&written, absent.iter().copied()) {
                Some(meant) => text.hint(format!("did you mean `{meant}`?")),
                None if strict && !absent.is_empty() => {
                    absent.sort_unstable();
                    absent.dedup();
                    text.hint(format!("keys that it may have too: {}", absent.join(", ")))
                }
                None => text,
            }
        });
    }

    fn unlisted(&mut self, name: &Node, key: &str, label: &Label<'_>) {
        self.report(UNKNOWN, Severity::Error, name.span, || {
            Text::new(format!(
                "`{key}` in {} is not in LAVA's strict schema, although LAVA's code knows it",
                label.text()
            ))
            .hint("leave out `--strict` to allow it")
        });
    }

    fn context(&mut self, name: &Node) {
        let written = name.as_str().unwrap_or_default();
        let extra = || self.rules.extra_context.iter().map(String::as_str);
        if job::CONTEXT.contains(&written) || extra().any(|extra| extra == written) {
            return;
        }
        let meant = closest(&short(name), job::CONTEXT.iter().copied().chain(extra()));
        let hint = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "what a board's type and file say cannot be changed from a job".to_owned(),
        };
        self.error(name.span, || {
            Text::new(format!(
                "`{}` is none of the variables that LAVA allows in `context`",
                short(name)
            ))
            .hint(hint)
        });
    }
}

pub(super) fn has(entries: &[(Node, Node)], key: &str) -> bool {
    entries.iter().any(|(name, _)| name.as_str() == Some(key))
}

fn key<'m>(map: &'m Map, name: &str) -> Option<&'m Key> {
    map.keys
        .iter()
        .copied()
        .flatten()
        .find(|key| key.name == name)
}

/// Whether a node is at least the same sort of thing: a mapping, a list, a text, a number.
fn alike(node: &Node, kind: &Kind) -> bool {
    match kind {
        Kind::Map(_) | Kind::Select { .. } | Kind::Block { .. } | Kind::Timeout => {
            node.as_map().is_some()
        }
        Kind::List(_) | Kind::Actions(_) => node.as_seq().is_some(),
        Kind::OneOf(kinds) => kinds.iter().any(|kind| alike(node, kind)),
        _ => misfit(node, kind) != Some(SHAPE),
    }
}

/// How far a single value is from a kind; None if it fits.
fn misfit(node: &Node, kind: &Kind) -> Option<u32> {
    let text = |accepts: &dyn Fn(&str) -> bool| match node.as_str() {
        Some(text) if accepts(text) => None,
        Some(_) => Some(VALUE),
        None => Some(SHAPE),
    };
    let shape = |fits: bool| (!fits).then_some(SHAPE);
    match kind {
        Kind::Text => text(&|_| true),
        Kind::Filled { most } => {
            text(&|text| !text.is_empty() && (text.len() <= *most || text.chars().count() <= *most))
        }
        Kind::Pattern(pattern) => text(&|text| (pattern.accepts)(text)),
        Kind::Words(words) => text(&|text| words.contains(&text)),
        Kind::Null => shape(node.is_null()),
        Kind::Boolean => shape(matches!(node.value(), Value::Bool(_))),
        Kind::Whole => shape(matches!(node.value(), Value::Bool(_) | Value::Int(_))),
        Kind::Number { least, most } => match number(node) {
            #[expect(clippy::cast_precision_loss, reason = "the tables hold small numbers")]
            Some(value)
                if value >= *least as f64 && most.is_none_or(|most| value <= most as f64) =>
            {
                None
            }
            Some(_) => Some(VALUE),
            None => Some(SHAPE),
        },
        Kind::Mapping => shape(node.as_map().is_some()),
        Kind::Sized => match node.value() {
            Value::String(text) => shape(!text.is_empty()),
            Value::Seq(items) => shape(!items.is_empty()),
            Value::Map(entries) => shape(!entries.is_empty()),
            _ => Some(SHAPE),
        },
        _ => None,
    }
}
