//! The list of actions, and the keys that all of them share.

use std::time::Duration;

use basalt_yaml::{Diagnostics, Field, MapReader, Node, Span, closest};

use crate::definition::{Action, ActionKind, Timeout};
use crate::values::unsupported;
use crate::{boot, deploy, test, timeouts};

const KINDS: &[&str] = &["deploy", "boot", "test"];
const LAVA_KINDS: &[&str] = &["command", "repeat"];

/// LAVA keeps these for itself.
const RESERVED_NAMESPACES: &[&str] = &["common", "docker-test-shell"];

/// Reads `actions`. `job` is the limit of the whole job, where that could be read.
pub(crate) fn actions(field: Field<'_>, job: Option<Duration>) -> Option<Vec<Action>> {
    let (node, diagnostics) = field.into_parts()?;
    let items = Field::new(&node, "`actions`", diagnostics).list()?;
    if items.is_empty() {
        diagnostics.error(node.span, "`actions` is empty: there is nothing to do");
        return None;
    }
    let read: Vec<Option<Action>> = items
        .iter()
        .map(|item| action(item, job, diagnostics))
        .collect();
    namespaces(&items, diagnostics);
    read.into_iter().collect()
}

fn action(item: &Node, job: Option<Duration>, diagnostics: &mut Diagnostics) -> Option<Action> {
    let (name, block, span) = kind(item, diagnostics)?;
    let mut reader = MapReader::new(&block, format!("this {name} action"), diagnostics)?;
    let common = common(&mut reader, job);
    let limit = common.timeout.map(|timeout| timeout.duration).or(job);
    let kind = match name {
        "deploy" => deploy::read(reader).map(ActionKind::DeployTftp),
        "boot" => boot::read(reader).map(ActionKind::BootUBoot),
        _ => test::read(reader, limit),
    };
    Some(Action {
        span,
        timeout: common.timeout,
        timeouts: common.timeouts,
        failure_retry: common.failure_retry,
        failure_retry_interval: common.failure_retry_interval,
        namespace: common.namespace,
        kind: kind?,
    })
}

/// An action is a mapping with one key. Returns the key and what is under it.
fn kind(item: &Node, diagnostics: &mut Diagnostics) -> Option<(&'static str, Node, Span)> {
    if item.is_broken() {
        return None;
    }
    let entry = match item.as_map() {
        Some([entry]) => entry,
        Some([_, (second, _), ..]) => {
            diagnostics
                .error(second.span, "an action has one key: deploy, boot or test")
                .with_hint("begin each action with `- `, and indent what belongs to it further");
            return None;
        }
        _ => {
            diagnostics
                .error(
                    item.span,
                    format!("an action must be a mapping, found {}", item.describe()),
                )
                .with_hint("such as `- deploy:` with its keys below");
            return None;
        }
    };
    let (key, block) = entry;
    let name = key.source_text().unwrap_or_default();
    if let Some(known) = KINDS.iter().find(|known| **known == name) {
        return Some((known, block.clone(), key.span));
    }
    if LAVA_KINDS.contains(&name) {
        let message =
            format!("the action `{name}` is not supported yet; supported: deploy, boot, test");
        diagnostics.error(key.span, message);
        return None;
    }
    let diagnostic = diagnostics.error(key.span, format!("there is no action `{name}`"));
    diagnostic.with_hint(match closest(name, KINDS.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "actions are deploy, boot and test".to_owned(),
    });
    None
}

struct Common {
    timeout: Option<Timeout>,
    timeouts: Vec<(String, Timeout)>,
    failure_retry: Option<u32>,
    failure_retry_interval: Option<Duration>,
    namespace: Option<String>,
}

fn common(reader: &mut MapReader<'_>, job: Option<Duration>) -> Common {
    let (timeout, timeouts) = timeouts::of_block(reader, job);
    unsupported(reader, "repeat", None);
    unsupported(reader, "protocols", None);
    unsupported(reader, "role", Some("a job runs on one board by itself"));
    let retry = reader.optional("failure_retry").int(1..=1000);
    let interval = reader.optional("failure_retry_interval").int(0..=86_400);
    Common {
        timeout,
        timeouts,
        failure_retry: retry.and_then(|number| u32::try_from(number).ok()),
        failure_retry_interval: interval
            .and_then(|number| u64::try_from(number).ok())
            .map(Duration::from_secs),
        namespace: namespaces_of(reader),
    }
}

/// The namespace; that of the connection can only be the same one.
fn namespaces_of(reader: &mut MapReader<'_>) -> Option<String> {
    let own = namespace(reader.optional("namespace"));
    let (connection, span) = reader
        .optional("connection-namespace")
        .spanned(Field::string)
        .unzip();
    if let (Some(connection), Some(span)) = (connection, span)
        && own.as_ref() != Some(&connection)
    {
        let message = format!("`connection-namespace: {connection}` is not supported yet");
        let diagnostic = reader.diagnostics().error(span, message);
        diagnostic.with_hint("a job has one board, one console and one namespace");
    }
    own
}

fn namespace(field: Field<'_>) -> Option<String> {
    let (node, diagnostics) = field.into_parts()?;
    let name = Field::new(&node, "`namespace`", diagnostics).string()?;
    if RESERVED_NAMESPACES.contains(&name.as_str()) {
        diagnostics.error(node.span, format!("the namespace `{name}` is reserved"));
        return None;
    }
    Some(name)
}

/// One namespace at most, and either everywhere or nowhere, as LAVA wants it.
fn namespaces(items: &[Node], diagnostics: &mut Diagnostics) {
    let blocks: Vec<(&Node, &Node)> = items
        .iter()
        .filter_map(Node::as_map)
        .filter(|entries| entries.len() == 1)
        .filter_map(<[_]>::first)
        .map(|(key, block)| (key, block))
        .collect();
    let named: Vec<&Node> = blocks
        .iter()
        .filter_map(|(_, block)| block.get("namespace"))
        .collect();
    let Some(first) = named.first() else {
        return;
    };
    let name = first.source_text().unwrap_or_default();
    for other in &named {
        if other.value() != first.value() {
            diagnostics
                .error(
                    other.span,
                    "more than one namespace in a job is not supported yet",
                )
                .with_hint(format!("the first action with a namespace has `{name}`"));
        }
    }
    for (key, block) in &blocks {
        if block.as_map().is_some() && block.get("namespace").is_none() {
            diagnostics
                .error(
                    key.span,
                    "this action has no namespace although others have one",
                )
                .with_hint(format!(
                    "add `namespace: {name}`, or remove it from the others"
                ));
        }
    }
}
