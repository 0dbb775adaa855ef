//! LAVA's way to write time limits (facts: LAVA 2026.10).
//!
//! The shape has been checked (`schema`). Where a limit has several units they are added up, as
//! LAVA does; numbers need not be whole.

use std::time::Duration;

use basalt_yaml::{Node, Value};

use crate::definition::{JobTimeouts, Timeout};
use crate::schema::UNITS;
use crate::values::number;

/// A hundred years: what is longer is for ever, and sums of these fit everywhere.
const LONGEST_SECONDS: u32 = 100 * 366 * 86_400;

/// How long a limit is; None if it states no unit.
pub(crate) fn duration_of(node: &Node) -> Option<Duration> {
    let mut sum: Option<f64> = None;
    for (name, value) in node.as_map()? {
        let unit = UNITS.iter().find(|(unit, _)| name.as_str() == Some(*unit));
        if let (Some((_, seconds)), Some(amount)) = (unit, number(value)) {
            *sum.get_or_insert(0.0) += amount * f64::from(*seconds);
        }
    }
    let seconds = sum?.clamp(0.0, f64::from(LONGEST_SECONDS));
    // LAVA rounds nothing; nothing here is finer than a millisecond.
    Duration::try_from_secs_f64((seconds * 1000.0).round() / 1000.0).ok()
}

/// A limit with its `skip`.
pub(crate) fn timeout(node: &Node) -> Option<Timeout> {
    Some(Timeout {
        duration: duration_of(node)?,
        skip: matches!(node.get("skip").map(Node::value), Some(Value::Bool(true))),
    })
}

/// The limit under a key.
pub(crate) fn under(node: &Node, key: &str) -> Option<Timeout> {
    timeout(node.get(key)?)
}

/// Limits by action name.
pub(crate) fn by_name(node: Option<&Node>) -> Vec<(String, Timeout)> {
    node.and_then(Node::as_map)
        .unwrap_or_default()
        .iter()
        .filter_map(|(name, value)| Some((name.source_text()?.to_owned(), timeout(value)?)))
        .collect()
}

/// The `timeouts` at the top of a job.
pub(crate) fn of_job(job: &Node) -> Option<JobTimeouts> {
    let node = job.get("timeouts")?;
    Some(JobTimeouts {
        job: under(node, "job")?,
        action: under(node, "action"),
        actions: by_name(node.get("actions")),
        connection: under(node, "connection"),
        connections: by_name(node.get("connections")),
        queue: under(node, "queue"),
    })
}
