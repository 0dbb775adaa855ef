//! The list of actions, and the keys that all of them share.

use std::time::Duration;

use basalt_yaml::{Diagnostics, MapReader, Node, Span, Value};

use crate::definition::{Action, ActionKind, Other};
use crate::values::{number, strings, unsupported, whole};
use crate::{boot, deploy, test, timeouts};

const NAMES: [&str; 4] = ["deploy", "boot", "test", "command"];

/// Reads `actions`, whose shape has been checked. `job` is the limit of the whole job.
pub(crate) fn actions(node: &Node, job: Duration, found: &mut Diagnostics) -> Vec<Action> {
    let items = node.as_seq().unwrap_or_default();
    if items.is_empty() {
        found
            .error(node.span, "`actions` is empty: there is nothing to do")
            .with_hint("a job deploys, boots and tests");
    }
    let blocks: Vec<(&'static str, Span, &Node)> = items
        .iter()
        .filter_map(Node::as_map)
        .flatten()
        .filter_map(|(name, block)| {
            let known = NAMES.iter().find(|known| name.as_str() == Some(**known))?;
            Some((*known, name.span, block))
        })
        .collect();
    one_namespace(&blocks, found);
    blocks
        .into_iter()
        .filter_map(|(name, span, block)| action(name, span, block, job, found))
        .collect()
}

fn action(
    name: &'static str,
    span: Span,
    block: &Node,
    job: Duration,
    found: &mut Diagnostics,
) -> Option<Action> {
    let mut reader = MapReader::new(block, format!("this {name} action"), found)?;
    unsupported(&mut reader, "repeat", None);
    unsupported(&mut reader, "protocols", None);
    unsupported(
        &mut reader,
        "role",
        Some("a job runs on one board by itself"),
    );
    connection_namespace(&mut reader);
    let attempts = attempts(&mut reader, "failure_retry");
    let repeat = reader.node().get("repeat").and_then(whole_or_more);
    let timeout = timeouts::under(block, "timeout");
    let limit = timeout.map_or(job, |timeout| timeout.duration);
    let kind = match name {
        "deploy" => deploy::read(reader).map(ActionKind::DeployTftp),
        "boot" => boot::read(reader).map(ActionKind::BootUBoot),
        "test" => test::read(reader, limit),
        _ => {
            reader.diagnostics().error(
                span,
                "the action `command` is not supported yet; supported: deploy, boot, test",
            );
            None
        }
    };
    let other = || {
        let word = match name {
            "deploy" => block.get("to"),
            "boot" => block.get("method"),
            "command" => block.get("name"),
            _ => None,
        };
        ActionKind::Other(Other {
            action: name,
            word: word.and_then(Node::as_str).map(str::to_owned),
            block: block.clone(),
        })
    };
    let text = |key: &str| block.get(key)?.as_str().map(str::to_owned);
    Some(Action {
        span,
        timeout,
        timeouts: timeouts::by_name(block.get("timeouts")),
        failure_retry: attempts,
        failure_retry_interval: block
            .get("failure_retry_interval")
            .and_then(number)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        repeat,
        namespace: text("namespace"),
        connection_namespace: text("connection-namespace"),
        roles: block.get("role").map(strings).unwrap_or_default(),
        protocols: block.get("protocols").map(Node::to_json),
        kind: kind.unwrap_or_else(other),
    })
}

fn whole_or_more(node: &Node) -> Option<u32> {
    whole(node).and_then(|number| u32::try_from(number).ok())
}

/// LAVA takes any number here, and counts with whole ones.
fn attempts(reader: &mut MapReader<'_>, key: &str) -> Option<u32> {
    const MOST: u32 = 1000;
    let node = reader.node().get(key)?.clone();
    let number = whole_or_more(&node).filter(|number| *number <= MOST);
    if number.is_none() {
        let message = format!(
            "`{key}` must be a whole number from 1 to {MOST}, found {}",
            node.describe()
        );
        reader.diagnostics().error(node.span, message);
    }
    number
}

/// The namespace of the connection can only be the action's own.
fn connection_namespace(reader: &mut MapReader<'_>) {
    let node = reader.node().clone();
    if let Some(connection) = node.get("connection-namespace")
        && node.get("namespace").map(Node::value) != Some(connection.value())
    {
        let name = connection.as_str().unwrap_or_default();
        let message = format!("`connection-namespace: {name}` is not supported yet");
        let diagnostic = reader.diagnostics().error(connection.span, message);
        diagnostic.with_hint("a job has one board, one console and one namespace");
    }
}

/// One namespace at most. That all actions have it, or none, has been checked.
fn one_namespace(blocks: &[(&'static str, Span, &Node)], found: &mut Diagnostics) {
    let mut named = blocks
        .iter()
        .filter_map(|(_, _, block)| block.get("namespace"));
    let Some(first) = named.next() else { return };
    for other in named.filter(|other| other.value() != first.value()) {
        let name = match first.value() {
            Value::String(name) => name.to_string(),
            _ => String::new(),
        };
        found
            .error(
                other.span,
                "more than one namespace in a job is not supported yet",
            )
            .with_hint(format!("the first action with a namespace has `{name}`"));
    }
}
