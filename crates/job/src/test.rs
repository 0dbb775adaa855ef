//! `test`.

use std::time::Duration;

use basalt_yaml::{Diagnostics, Field, MapReader, Node};

use crate::definition::{ActionKind, TestDefinition};
use crate::values::{choice, suite_name, unsupported, variables};
use crate::{inline, realtime};

/// Reads the keys of a test block. `limit` is the time that it may take.
pub(crate) fn read(mut reader: MapReader<'_>, limit: Duration) -> Option<ActionKind> {
    let supported = "supported: definitions (inline), realtime";
    for key in ["docker", "monitors", "interactive", "services"] {
        unsupported(&mut reader, key, Some(supported));
    }
    let refused = ["monitors", "interactive", "services"]
        .iter()
        .any(|key| reader.has(key));
    match reader.at_most_one(&["definitions", "realtime"]) {
        Some("definitions") => {
            reader.ignore("realtime");
            definitions(reader.required("definitions")).map(ActionKind::TestDefinitions)
        }
        Some(_) => {
            realtime::phases(reader.required("realtime"), limit).map(ActionKind::TestRealtime)
        }
        None if refused => None,
        None => {
            let span = reader.span();
            let message = "this test action has neither `definitions` nor `realtime`";
            let diagnostic = reader.diagnostics().error(span, message);
            diagnostic.with_hint(supported);
            None
        }
    }
}

fn definitions(field: Field<'_>) -> Option<Vec<TestDefinition>> {
    let (node, diagnostics) = field.into_parts()?;
    let items = Field::new(&node, "`definitions`", diagnostics).list()?;
    if items.is_empty() {
        diagnostics.error(node.span, "`definitions` is empty");
        return None;
    }
    let read: Vec<_> = items
        .iter()
        .map(|item| definition(item, diagnostics))
        .collect();
    read.into_iter().collect()
}

fn definition(item: &Node, diagnostics: &mut Diagnostics) -> Option<TestDefinition> {
    let mut reader = MapReader::new(item, "this test definition", diagnostics)?;
    choice(
        reader.required("from"),
        "from",
        &[("inline", ())],
        &["git", "url", "bzr"],
    )?;
    let name = suite_name(reader.required("name"));
    let path = reader.required("path").text();
    let skip = skip_install(reader.optional("skip_install"));
    let job_parameters = ["parameters", "params"].map(|key| {
        variables(reader.optional_or_null(key), &format!("`{key}`")).unwrap_or_default()
    });
    let kmsg = reader
        .optional("lava-signal")
        .word(&[("kmsg", true), ("stdout", false)])
        .unwrap_or(false);
    let expected = reader.optional("expected").texts();
    let repository = reader.required("repository").node();
    for key in [
        "branch",
        "revision",
        "history",
        "recursive",
        "shallow",
        "compression",
        "strip-components",
        "headers",
    ] {
        reader.ignore(key);
        if reader.has(key) {
            let span = reader.key_span(key);
            let message = format!("`{key}` has no effect on an inline definition");
            reader.diagnostics().warning(span, message);
        }
    }
    let inline = repository.and_then(|node| inline::read(&node, &skip, reader.diagnostics()));
    let mut inline = inline?;
    if let Some(expected) = expected {
        inline.expected = expected;
    }
    let mut parameters = inline.parameters.clone();
    for (name, value) in job_parameters.into_iter().flatten() {
        match parameters.iter_mut().find(|(known, _)| *known == name) {
            Some((_, default)) => *default = value,
            None => parameters.push((name, value)),
        }
    }
    Some(TestDefinition {
        name: name?,
        path: path?,
        inline,
        parameters,
        kmsg,
    })
}

/// Which parts of `install` are left out.
fn skip_install(field: Field<'_>) -> Vec<String> {
    const PARTS: &[(&str, &str)] = &[
        ("all", "all"),
        ("deps", "deps"),
        ("git-repos", "git-repos"),
        ("keys", "keys"),
        ("sources", "sources"),
        ("steps", "steps"),
    ];
    let parts = field.each(|part| part.word(PARTS)).unwrap_or_default();
    parts.into_iter().map(str::to_owned).collect()
}
