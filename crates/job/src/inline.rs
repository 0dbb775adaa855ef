//! "Lava-Test Test Definition 1.0", written into the job (facts: LAVA 2026.07).

use basalt_yaml::{Diagnostics, Field, MapReader, Node, Value};

use crate::definition::InlineDefinition;
use crate::values::{unsupported, variables};

/// The format's name, and the one that it had before.
const FORMATS: &[(&str, ())] = &[
    ("Lava-Test Test Definition 1.0", ()),
    ("Lava-Test-Shell Test Definition 1.0", ()),
];

/// What `install` needs a distribution's tools for.
const PACKAGING: &[&str] = &["keys", "sources", "deps", "git-repos"];

/// Reads a definition. `skip` is the job's `skip_install`.
pub(crate) fn read(
    node: &Node,
    skip: &[String],
    diagnostics: &mut Diagnostics,
) -> Option<InlineDefinition> {
    if node.as_str().is_some() {
        let message =
            "`repository` of an inline definition must be the definition itself, found a text";
        diagnostics
            .error(node.span, message)
            .with_hint("`from: git` and `from: url` are not supported yet");
        return None;
    }
    let mut reader = MapReader::new(node, "the inline definition", diagnostics)?;
    let metadata = metadata(&mut reader);
    let mut parameters = Vec::new();
    for key in ["parameters", "params"] {
        let read = variables(reader.optional_or_null(key), &format!("`{key}`")).unwrap_or_default();
        parameters.extend(read);
    }
    let install_steps = install(reader.optional_or_null("install"), skip);
    let steps = match reader.required("run").map("`run`") {
        Some(mut run) => steps(run.required("steps"), "`steps`"),
        None => None,
    };
    let expected = reader
        .optional_or_null("expected")
        .texts()
        .unwrap_or_default();
    unsupported(
        &mut reader,
        "parse",
        Some("report results with lava-test-case"),
    );
    let (name, description) = metadata?;
    Some(InlineDefinition {
        name,
        description,
        parameters,
        install_steps,
        steps: steps?,
        expected,
        // JSON is YAML, and has neither the job's anchors nor its indentation.
        source: format!("{:#}\n", node.to_json()),
    })
}

fn metadata(reader: &mut MapReader<'_>) -> Option<(String, Option<String>)> {
    let mut metadata = reader.required("metadata").map("`metadata`")?;
    let format = metadata.required("format").word(FORMATS);
    let name = metadata.required("name").text();
    let description = metadata.optional_or_null("description").text();
    for key in ["maintainer", "os", "scope", "devices", "environment"] {
        metadata.ignore(key);
    }
    format?;
    Some((name?, description))
}

fn install(field: Field<'_>, skip: &[String]) -> Vec<String> {
    let Some(mut reader) = field.map("`install`") else {
        return Vec::new();
    };
    let skipped = |part: &str| skip.iter().any(|name| name == part || name == "all");
    let keys: Vec<String> = reader
        .node()
        .as_map()
        .unwrap_or_default()
        .iter()
        .filter_map(|(key, _)| key.source_text().map(str::to_owned))
        .collect();
    for key in keys {
        let part = if key.starts_with("deps-") {
            "deps"
        } else {
            key.as_str()
        };
        if !PACKAGING.contains(&part) {
            continue;
        }
        reader.ignore(&key);
        let empty = reader
            .node()
            .get(&key)
            .is_none_or(|value| value.is_null() || value.as_seq().is_some_and(<[_]>::is_empty));
        if !empty && !skipped(part) {
            unsupported(
                &mut reader,
                &key,
                Some("put it into the image, and add it to `skip_install` in the job"),
            );
        }
    }
    let steps = steps(reader.optional_or_null("steps"), "`steps`").unwrap_or_default();
    if skipped("steps") { Vec::new() } else { steps }
}

/// Shell lines, as they are written.
fn steps(field: Field<'_>, label: &str) -> Option<Vec<String>> {
    let (node, diagnostics) = field.into_parts()?;
    let items = Field::new(&node, label, diagnostics).list()?;
    let mut steps = Vec::with_capacity(items.len());
    for item in &items {
        if let Value::Map(_) = item.value() {
            diagnostics
                .error(item.span, "a step must be a text, found a mapping")
                .with_hint("a `: ` within a step makes a mapping of it: put the step into quotes");
            continue;
        }
        steps.extend(Field::new(item, "a step", diagnostics).text());
    }
    (steps.len() == items.len()).then_some(steps)
}
