//! What messages say: what should have stood there, and what to do.

use basalt_yaml::{Node, Value, closest};

use super::kind::{Key, Kind};
use super::walk::Label;

/// What should have been there, with its article.
pub(super) fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Anything | Kind::Sized => "something".to_owned(),
        Kind::Text => "a text".to_owned(),
        Kind::Filled { most: usize::MAX } => "a text with something in it".to_owned(),
        Kind::Filled { most } => format!("a text of 1 to {most} characters"),
        Kind::Pattern(pattern) => pattern.expected.to_owned(),
        Kind::Words([word]) => format!("`{word}`"),
        Kind::Words(words) => format!("one of {}", listing(words.iter().copied())),
        Kind::Null => "nothing".to_owned(),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Whole => "a whole number".to_owned(),
        Kind::Number { least, most: None } => format!("a number of at least {least}"),
        Kind::Number {
            least,
            most: Some(most),
        } => format!("a number from {least} to {most}"),
        Kind::Mapping | Kind::Map(_) | Kind::Select { .. } | Kind::Block { .. } => {
            "a mapping".to_owned()
        }
        Kind::Timeout => "a time limit such as `{minutes: 5}`".to_owned(),
        Kind::List(Kind::Text | Kind::Filled { .. }) => "a list of texts".to_owned(),
        Kind::List(_) | Kind::Actions(_) => "a list".to_owned(),
        Kind::OneOf(kinds) => {
            let mut words: Vec<String> = kinds.iter().map(expected).collect();
            words.dedup();
            words.join(" or ")
        }
    }
}

/// What to do about a value that does not fit.
pub(super) fn advice(node: &Node, kind: &Kind, label: &Label<'_>) -> Option<String> {
    let written = node.source_text().unwrap_or_default();
    let wants_text = |kind: &Kind| {
        matches!(
            kind,
            Kind::Text | Kind::Filled { .. } | Kind::Pattern(_) | Kind::Words(_)
        )
    };
    let kinds = match kind {
        Kind::OneOf(kinds) => kinds,
        kind => std::slice::from_ref(kind),
    };
    if matches!(
        node.value(),
        Value::Bool(_) | Value::Int(_) | Value::Float(_)
    ) {
        let words = kinds.iter().find_map(|kind| match kind {
            Kind::Words(words) => Some(listing(words.iter().copied())),
            _ => None,
        });
        if let Some(words) = words.filter(|_| !matches!(kind, Kind::OneOf(_))) {
            return Some(format!("one of {words}"));
        }
        if kinds.iter().any(wants_text) {
            return Some(format!("put it into quotes: \"{}\"", short(node)));
        }
    }
    for kind in kinds {
        match (kind, node.as_str()) {
            (Kind::Words(words), Some(text)) => {
                if let Some(meant) = closest(text, words.iter().copied()) {
                    return Some(format!("did you mean `{meant}`?"));
                }
            }
            (Kind::Pattern(pattern), Some(_)) if !pattern.hint.is_empty() => {
                return Some(pattern.hint.to_owned());
            }
            (Kind::Boolean, Some("true" | "false" | "yes" | "no" | "on" | "off"))
            | (Kind::Whole | Kind::Number { .. }, Some(_))
                if written.parse::<f64>().is_ok() || matches!(kind, Kind::Boolean) =>
            {
                return Some(format!("write `{written}` without quotes"));
            }
            _ => {}
        }
    }
    if let (Kind::List(_), Some(_), Label::Key(key)) = (kind, node.as_str(), label) {
        return Some(format!("a list of one: `{key}: [{}]`", short(node)));
    }
    if kinds.iter().any(wants_text) && node.as_map().is_some_and(|entries| entries.len() == 1) {
        return Some("a `: ` within a text makes a mapping of it: put the text into quotes".into());
    }
    None
}

/// An example for a key that is missing.
pub(super) fn filled_in(key: &Key) -> Option<String> {
    match (key.name, &key.kind) {
        (name, Kind::Timeout) => Some(format!("such as `{name}: {{minutes: 30}}`")),
        (name, Kind::Words([word])) => Some(format!("write `{name}: {word}`")),
        (name, Kind::Map(map)) if !map.example.is_empty() => {
            Some(format!("such as `{name}: {}`", map.example))
        }
        (name, Kind::OneOf([Kind::Words([word, ..]), ..]) | Kind::Words([word, ..])) => {
            Some(format!("such as `{name}: {word}`"))
        }
        _ => None,
    }
}

/// What LAVA had once.
pub(super) fn removed(key: &str, word: &str) -> Option<&'static str> {
    match (key, word) {
        ("to" | "method", "lxc") => Some("LAVA has removed LXC; docker is what came after it"),
        ("from", "bzr") => Some("LAVA has removed Bazaar; use git"),
        _ => None,
    }
}

pub(super) fn listing<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// The beginning of what is written.
pub(super) fn short(node: &Node) -> String {
    const LONGEST: usize = 60;
    match node.source_text() {
        Some(text) => {
            let line = text.lines().next().unwrap_or_default();
            let cut: String = line.chars().take(LONGEST).collect();
            if cut.len() < text.len() {
                format!("{cut}…")
            } else {
                cut
            }
        }
        None => node.describe(),
    }
}
