//! Kinds of values that come in many places of a job.

use basalt_yaml::{Diagnostics, Field, MapReader, Node, Value, closest};
use regex::Regex;

/// Reports a key of LAVA's that cannot be served yet, and counts it as known.
pub(crate) fn unsupported(reader: &mut MapReader<'_>, key: &str, hint: Option<&str>) {
    reader.ignore(key);
    if !reader.has(key) {
        return;
    }
    let message = format!("`{key}` in {} is not supported yet", reader.what());
    let span = reader.key_span(key);
    let diagnostic = reader.diagnostics().error(span, message);
    if let Some(hint) = hint {
        diagnostic.with_hint(hint);
    }
}

/// Warns of a key of LAVA's that changes nothing here.
pub(crate) fn without_effect(reader: &mut MapReader<'_>, key: &str, why: &str) {
    reader.ignore(key);
    if reader.has(key) {
        let message = format!("`{key}` in {} has no effect: {why}", reader.what());
        let span = reader.key_span(key);
        reader.diagnostics().warning(span, message);
    }
}

/// A boolean of which only one value can be served yet.
pub(crate) fn only(reader: &mut MapReader<'_>, key: &str, supported: bool) {
    let Some((node, diagnostics)) = reader.optional(key).into_parts() else {
        return;
    };
    match node.value() {
        Value::Bool(value) if *value == supported => {}
        Value::Bool(value) => {
            diagnostics.error(node.span, format!("`{key}: {value}` is not supported yet"));
        }
        _ => {
            let message = format!("`{key}` must be true or false, found {}", node.describe());
            diagnostics.error(node.span, message);
        }
    }
}

/// A word that selects one of several things, of which `supported` work, `known` are LAVA's, and
/// others are mistakes.
pub(crate) fn choice<T: Clone>(
    field: Field<'_>,
    key: &str,
    supported: &[(&str, T)],
    known: &[&str],
) -> Option<T> {
    let (node, diagnostics) = field.into_parts()?;
    let names: Vec<&str> = supported.iter().map(|(name, _)| *name).collect();
    let list = names.join(", ");
    let Some(word) = node.as_str() else {
        let message = format!("`{key}` must be a word, found {}", node.describe());
        let diagnostic = diagnostics.error(node.span, message);
        diagnostic.with_hint(format!("supported: {list}"));
        return None;
    };
    if let Some((_, value)) = supported.iter().find(|(name, _)| *name == word) {
        return Some(value.clone());
    }
    if known.contains(&word) {
        let message = format!("`{key}: {word}` is not supported yet; supported: {list}");
        diagnostics.error(node.span, message);
        return None;
    }
    let message = format!("`{key}: {word}` is not supported; supported: {list}");
    let diagnostic = diagnostics.error(node.span, message);
    if let Some(meant) = closest(word, names.iter().chain(known).copied()) {
        diagnostic.with_hint(format!("did you mean `{meant}`?"));
    }
    None
}

/// A regular expression that must compile, as written.
pub(crate) fn regex(field: Field<'_>, label: &str) -> Option<(String, basalt_yaml::Span)> {
    let (node, diagnostics) = field.into_parts()?;
    let text = Field::new(&node, label, diagnostics).string()?;
    match matches_nothing(&text) {
        Ok(true) => {
            diagnostics
                .error(
                    node.span,
                    format!("{label} matches every text, even the empty one"),
                )
                .with_hint("name something that the board prints");
            None
        }
        Ok(false) => Some((text, node.span)),
        Err(reason) => {
            let message = format!("{label} is no regular expression: {reason}");
            let diagnostic = diagnostics.error(node.span, message);
            if text.contains("(?") {
                diagnostic.with_hint("look-around and back-references are not supported");
            } else {
                diagnostic.with_hint(
                    "put a backslash before characters that stand for themselves, such as `\\[`",
                );
            }
            None
        }
    }
}

/// Whether an expression matches the empty text; an error if it is none.
fn matches_nothing(text: &str) -> Result<bool, String> {
    // A short expression without counted repetition is never too large to be compiled.
    const SHORT: usize = 200;
    if text.len() > SHORT || text.contains('{') {
        let regex = Regex::new(text).map_err(|error| last_line(&error.to_string()))?;
        return Ok(regex.is_match(""));
    }
    let parsed = regex_syntax::parse(text).map_err(|error| last_line(&error.to_string()))?;
    Ok(parsed.properties().minimum_len() == Some(0))
}

/// The last line says what is wrong; those before repeat the expression.
fn last_line(error: &str) -> String {
    let line = error.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Names and values for the board's shell. Values are what LAVA makes of them, Python's texts of
/// PyYAML's values; where that is not what stands in the job, there is a warning.
pub(crate) fn variables(field: Field<'_>, what: &str) -> Option<Vec<(String, String)>> {
    let (node, diagnostics) = field.into_parts()?;
    let Some(entries) = node.as_map() else {
        let message = format!("{what} must be a mapping, found {}", node.describe());
        diagnostics.error(node.span, message);
        return None;
    };
    let mut variables = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let name = key.source_text().unwrap_or_default();
        if !is_variable(name) {
            diagnostics
                .error(
                    key.span,
                    format!("`{name}` in {what} cannot name a shell variable"),
                )
                .with_hint("letters, digits and `_`, not beginning with a digit");
            continue;
        }
        if let Some(text) = shell_text(value, name, diagnostics) {
            variables.push((name.to_owned(), text));
        }
    }
    (variables.len() == entries.len()).then_some(variables)
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn shell_text(value: &Node, name: &str, diagnostics: &mut Diagnostics) -> Option<String> {
    let written = value.source_text().unwrap_or_default();
    let text = match value.value() {
        Value::String(text) => return Some(text.to_string()),
        Value::Int(number) => number.to_string(),
        // Python writes floats with a dot as well; what differs is only their exponents.
        Value::Float(number) => format!("{number:?}"),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Null if written.is_empty() => {
            diagnostics
                .error(value.span, format!("`{name}` has no value"))
                .with_hint("for an empty text write `\"\"`");
            return None;
        }
        Value::Null => "None".to_owned(),
        Value::Seq(_) | Value::Map(_) | Value::Foreign(_) => {
            let message = format!(
                "`{name}` must be a single value, found {}",
                value.describe()
            );
            diagnostics.error(value.span, message);
            return None;
        }
    };
    if text != written {
        diagnostics
            .warning(
                value.span,
                format!("the board will see `{name}` as `{text}`: YAML reads `{written}` so"),
            )
            .with_hint(format!("put it into quotes: \"{written}\""));
    }
    Some(text)
}

/// The name of a suite: `[-_a-zA-Z0-9.]+`.
pub(crate) fn suite_name(field: Field<'_>) -> Option<String> {
    let (node, diagnostics) = field.into_parts()?;
    let name = Field::new(&node, "`name`", diagnostics).text()?;
    if name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    {
        return Some(name);
    }
    diagnostics
        .error(node.span, format!("`{name}` cannot name a test"))
        .with_hint("letters, digits, `-`, `_` and `.` are allowed");
    None
}

/// A number as Python counts: true is 1.
pub(crate) fn number(node: &Node) -> Option<f64> {
    match node.value() {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        #[expect(
            clippy::cast_precision_loss,
            reason = "numbers of a job are small, and compared with small ones"
        )]
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}

/// A whole number, however it is written: `2` and `2.0`.
pub(crate) fn whole(node: &Node) -> Option<i64> {
    match node.value() {
        Value::Int(value) => Some(*value),
        Value::Bool(value) => Some(i64::from(*value)),
        _ => None,
    }
}

/// The texts of a list.
pub(crate) fn strings(node: &Node) -> Vec<String> {
    node.as_seq()
        .unwrap_or_default()
        .iter()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}
