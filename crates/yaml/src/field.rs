//! One value, read as what it should be.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::duration::parse_duration;
use crate::node::shorten;
use crate::{Diagnostics, MapReader, Node, Span, Style, Value, closest};

/// A value that is being read, or its absence. Every reading method gives None for absence, and
/// for a value that does not fit, which is then reported.
#[derive(Debug)]
#[must_use]
pub struct Field<'d> {
    node: Option<Node>,
    label: String,
    diagnostics: &'d mut Diagnostics,
}

impl<'d> Field<'d> {
    pub(crate) fn of(node: Option<Node>, label: String, diagnostics: &'d mut Diagnostics) -> Self {
        Self {
            node: node.filter(|node| !node.is_broken()),
            label,
            diagnostics,
        }
    }

    /// A value from anywhere, such as an item of a list. `label` is how messages name it.
    pub fn new(node: &Node, label: impl Into<String>, diagnostics: &'d mut Diagnostics) -> Self {
        Self::of(Some(node.clone()), label.into(), diagnostics)
    }

    /// How messages name it, instead of its key.
    pub fn named(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Whether there is a value.
    pub fn is_present(&self) -> bool {
        self.node.is_some()
    }

    /// Its place.
    pub fn span(&self) -> Option<Span> {
        self.node.as_ref().map(|node| node.span)
    }

    /// The value unread.
    pub fn node(self) -> Option<Node> {
        self.node
    }

    /// The value unread, and where to report mistakes that only the caller can see.
    pub fn into_parts(self) -> Option<(Node, &'d mut Diagnostics)> {
        let diagnostics = self.diagnostics;
        self.node.map(|node| (node, diagnostics))
    }

    /// The value and its place: `field.spanned(Field::text)`.
    pub fn spanned<T>(self, read: impl FnOnce(Self) -> Option<T>) -> Option<(T, Span)> {
        let span = self.span()?;
        read(self).map(|value| (value, span))
    }

    fn refuse<T>(self, expected: &str) -> Option<T> {
        self.refuse_with(expected, None)
    }

    fn refuse_with<T>(self, expected: &str, hint: Option<String>) -> Option<T> {
        let node = self.node?;
        let message = format!(
            "{} must be {expected}, found {}",
            self.label,
            node.describe()
        );
        let diagnostic = self.diagnostics.error(node.span, message);
        diagnostic.hint = hint;
        None
    }

    // As PyYAML reads: jobs.

    /// A text as PyYAML reads it: `010` and `yes` are none.
    pub fn string(self) -> Option<String> {
        let node = self.node.as_ref()?;
        match node.value() {
            Value::String(text) => Some(text.to_string()),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Foreign(_)
                if node.source_text().is_some() =>
            {
                let text = node.source_text().unwrap_or_default();
                let hint = format!("put it into quotes: \"{}\"", shorten(text));
                self.refuse_with("a text", Some(hint))
            }
            _ => self.refuse("a text"),
        }
    }

    /// Yes or no as PyYAML reads it: `yes`, `on`, `true` and their opposites.
    pub fn boolean(self) -> Option<bool> {
        match self.node.as_ref()?.value() {
            Value::Bool(value) => Some(*value),
            _ => self.refuse("true or false"),
        }
    }

    /// A whole number as PyYAML reads it: `0755` is 493.
    pub fn int(self, range: RangeInclusive<i64>) -> Option<i64> {
        match self.node.as_ref()?.value() {
            Value::Int(value) if range.contains(value) => Some(*value),
            _ => self.refuse(&whole_number(&range)),
        }
    }

    /// One text or a list of texts, as PyYAML reads them.
    pub fn string_or_strings(self) -> Option<Vec<String>> {
        match self.node.as_ref()?.value() {
            Value::Seq(_) => self.strings(),
            _ => self.string().map(|text| vec![text]),
        }
    }

    /// A list of texts, as PyYAML reads them.
    pub fn strings(self) -> Option<Vec<String>> {
        self.each(|field| field.string())
    }

    // By the expected type: the project's own files.

    /// A text, whatever PyYAML would take it for: `010`, `6.10`, `52:54:00:12:34:56`. Not empty.
    pub fn text(self) -> Option<String> {
        let node = self.node.as_ref()?;
        let empty = node.is_null() && node.source_text() != Some("null");
        match node.source_text() {
            Some(text) if !empty && !text.is_empty() => Some(text.to_owned()),
            _ => self.refuse("a text"),
        }
    }

    /// A whole number in decimal digits or `0x…`. A leading zero is refused: it means octal to some.
    pub fn integer(self, range: RangeInclusive<i64>) -> Option<i64> {
        let node = self.node.as_ref()?;
        let text = match (node.source_text(), node.style()) {
            (Some(text), Some(Style::Plain)) => text,
            _ => return self.refuse(&whole_number(&range)),
        };
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
        {
            let bare = digits.trim_start_matches('0');
            let hint = format!(
                "write `{}` without the leading zero",
                if bare.is_empty() { "0" } else { bare }
            );
            return self.refuse_with(&whole_number(&range), Some(hint));
        }
        let magnitude = match digits.strip_prefix("0x") {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
                i64::from_str_radix(digits, 16).ok()
            }
            None if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<i64>().ok(),
            _ => None,
        };
        match magnitude.map(|value| if negative { -value } else { value }) {
            Some(value) if range.contains(&value) => Some(value),
            _ => self.refuse(&whole_number(&range)),
        }
    }

    /// A number in decimal digits, with or without a dot.
    pub fn decimal(self, range: RangeInclusive<f64>) -> Option<f64> {
        let node = self.node.as_ref()?;
        let written = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
        };
        let value = node
            .source_text()
            .filter(|text| node.style() == Some(Style::Plain) && written(text))
            .and_then(|text| text.parse::<f64>().ok());
        match value {
            Some(value) if range.contains(&value) => Some(value),
            _ => self.refuse(&format!(
                "a number from {} to {}",
                range.start(),
                range.end()
            )),
        }
    }

    /// `true` or `false`, and nothing else.
    pub fn bool_strict(self) -> Option<bool> {
        let node = self.node.as_ref()?;
        let plain = node
            .source_text()
            .filter(|_| node.style() == Some(Style::Plain));
        match (plain, node.value()) {
            (Some("true"), _) => Some(true),
            (Some("false"), _) => Some(false),
            (_, Value::Bool(value)) => {
                let hint = format!("write `{value}`");
                self.refuse_with("`true` or `false`", Some(hint))
            }
            _ => self.refuse("`true` or `false`"),
        }
    }

    /// A duration with its unit: `10s`, `400us`, `1h30m`.
    pub fn duration(self) -> Option<Duration> {
        self.parsed("a duration such as `10s` or `400us`", |text| {
            parse_duration(text).map_err(|error| error.to_string())
        })
    }

    /// A duration within bounds.
    pub fn duration_within(self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let (from, to) = (
            crate::format_duration(*range.start()),
            crate::format_duration(*range.end()),
        );
        self.parsed(
            &format!("a duration from {from} to {to}"),
            |text| match parse_duration(text) {
                Ok(duration) if range.contains(&duration) => Ok(duration),
                Ok(_) => Err(String::new()),
                Err(error) => Err(error.to_string()),
            },
        )
    }

    /// One of several words.
    pub fn word<T: Clone>(self, words: &[(&str, T)]) -> Option<T> {
        let node = self.node.as_ref()?;
        let text = node.source_text();
        if let Some((_, value)) = words.iter().find(|(word, _)| Some(*word) == text) {
            return Some(value.clone());
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = closest(text.unwrap_or_default(), names.iter().copied())
            .map(|meant| format!("did you mean `{meant}`?"));
        let list: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let expected = match list.as_slice() {
            [one] => one.clone(),
            _ => format!("one of {}", list.join(", ")),
        };
        self.refuse_with(&expected, hint)
    }

    /// A scalar that a function reads from its source text. An error's text, unless empty, becomes
    /// the hint. `expected` with its article: `a MAC address`.
    pub fn parsed<T>(
        self,
        expected: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.node.as_ref()?;
        let text = match node.source_text() {
            Some(text) if !text.is_empty() => text,
            _ => return self.refuse(expected),
        };
        match read(text) {
            Ok(value) => Some(value),
            Err(hint) => self.refuse_with(expected, Some(hint).filter(|hint| !hint.is_empty())),
        }
    }

    /// A list of texts, whatever PyYAML would take them for.
    pub fn texts(self) -> Option<Vec<String>> {
        self.each(|field| field.text())
    }

    // Collections.

    /// The items of a list.
    pub fn list(self) -> Option<Vec<Node>> {
        match self.node.as_ref()?.value() {
            Value::Seq(items) => Some(items.clone()),
            _ => self.refuse("a list"),
        }
    }

    /// A list, each item read in the same way. None if any item does not fit; all are tried.
    pub fn each<T>(self, read: impl Fn(Field<'_>) -> Option<T>) -> Option<Vec<T>> {
        let label = self.label.clone();
        let node = self.node.as_ref()?;
        let Value::Seq(items) = node.value() else {
            return self.refuse("a list");
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let field = Field::new(
                item,
                format!("item {} of {label}", index + 1),
                self.diagnostics,
            );
            values.extend(read(field));
        }
        (values.len() == items.len()).then_some(values)
    }

    /// A mapping; `what` is how messages name it.
    pub fn map(self, what: impl Into<String>) -> Option<MapReader<'d>> {
        let node = self.node?;
        MapReader::new(&node, what, self.diagnostics)
    }
}

fn whole_number(range: &RangeInclusive<i64>) -> String {
    match (*range.start(), *range.end()) {
        (i64::MIN, i64::MAX) => "a whole number".to_owned(),
        (start, i64::MAX) => format!("a whole number of at least {start}"),
        (start, end) => format!("a whole number from {start} to {end}"),
    }
}
