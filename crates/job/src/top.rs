//! What stands at the top of a job, its shape checked.

use basalt_yaml::{Diagnostics, Field, MapReader, Node, Value};

use crate::definition::{ContextValue, JobDefinition, Spanned, Visibility};
use crate::multinode::Protocols;
use crate::values::{self, number, unsupported, variables, without_effect};
use crate::{action, artifact, multinode, notify, timeouts};

const MEDIUM: u8 = 50;

/// Reads the whole job. What cannot be run is an error in `found`, and the job is whole all the
/// same; None only where the shape is not a job's.
pub(crate) fn job(node: &Node, found: &mut Diagnostics) -> Option<JobDefinition> {
    let timeouts = timeouts::of_job(node)?;
    let visibility = visibility(node.get("visibility")?)?;
    let job_name = node.get("job_name")?.as_str()?.to_owned();
    let context = context(node.get("context"), found);
    let protocols = node
        .get("protocols")
        .map_or_else(Protocols::default, |node| multinode::read(node, found));
    let actions = action::actions(node.get("actions")?, timeouts.job.duration, found);
    let mut uploads = Vec::new();
    artifact::uploads(node.get("actions")?, &mut uploads);
    let mut reader = MapReader::new(node, "the job", found)?;
    let environment =
        variables(reader.optional("environment"), "`environment`").unwrap_or_default();
    unsupported(&mut reader, "secrets", None);
    unsupported(
        &mut reader,
        "protocols",
        Some("a job runs on one board by itself"),
    );
    unsupported(&mut reader, "reboot_to_fastboot", None);
    without_effect(&mut reader, "notify", "nobody is told of a job's end yet");
    without_effect(
        &mut reader,
        "worker",
        "the board decides which dispatcher serves it",
    );
    Some(JobDefinition {
        job_name,
        device_type: spanned(node, "device_type"),
        device: spanned(node, "device"),
        worker: text(node, "worker"),
        timeouts,
        visibility,
        priority: node.get("priority").map_or(MEDIUM, priority),
        tags: node.get("tags").map(values::strings).unwrap_or_default(),
        context,
        metadata: match node.get("metadata").map(Node::to_json) {
            Some(serde_json::Value::Object(metadata)) => metadata,
            _ => serde_json::Map::new(),
        },
        environment,
        secrets: secrets(node),
        notify: node.get("notify").and_then(notify::read),
        protocols,
        reboot_to_fastboot: matches!(
            node.get("reboot_to_fastboot").map(Node::value),
            Some(Value::Bool(true))
        ),
        actions,
        uploads,
        refusals: Vec::new(),
    })
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key)?.as_str().map(str::to_owned)
}

fn spanned(node: &Node, key: &str) -> Option<Spanned<String>> {
    let node = node.get(key)?;
    Some(Spanned {
        value: node.as_str()?.to_owned(),
        span: node.span,
    })
}

fn visibility(node: &Node) -> Option<Visibility> {
    Some(match (node.value(), node.as_str()) {
        (Value::Map(_), _) => {
            Visibility::Group(node.get("group").map(values::strings).unwrap_or_default())
        }
        (_, Some("personal")) => Visibility::Personal,
        (_, Some("public")) => Visibility::Public,
        _ => return None,
    })
}

fn priority(node: &Node) -> u8 {
    match node.as_str() {
        Some("low") => 0,
        Some("high") => 100,
        Some(_) => MEDIUM,
        None => {
            let value = number(node).unwrap_or(f64::from(MEDIUM)).clamp(0.0, 100.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and 100"
            )]
            let value = value.round() as u8;
            value
        }
    }
}

fn secrets(node: &Node) -> Vec<(String, String)> {
    node.get("secrets")
        .and_then(Node::as_map)
        .unwrap_or_default()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str()?.to_owned(), value.as_str()?.to_owned())))
        .collect()
}

/// The template variables of a job or a role.
pub(crate) fn context(
    node: Option<&Node>,
    found: &mut Diagnostics,
) -> Vec<(String, Spanned<ContextValue>)> {
    let entries = node.and_then(Node::as_map).unwrap_or_default();
    let mut context = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let name = key.source_text().unwrap_or_default();
        let span = value.span;
        let value = context_value(value, name, found);
        context.extend(value.map(|value| (name.to_owned(), Spanned { value, span })));
    }
    context
}

fn context_value(value: &Node, name: &str, found: &mut Diagnostics) -> Option<ContextValue> {
    Some(match value.value() {
        Value::Int(number) => ContextValue::Integer(*number),
        Value::Bool(value) => ContextValue::Text(value.to_string()),
        Value::Seq(_) => ContextValue::List(Field::new(value, format!("`{name}`"), found).texts()?),
        _ => ContextValue::Text(value.source_text().unwrap_or_default().to_owned()),
    })
}
