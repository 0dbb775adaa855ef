//! What no table says: rules between parts of a job.

use basalt_yaml::{Node, format_duration};

use super::walk::{Sink, Walk};
use crate::timeouts::duration_of;

pub(super) fn check<S: Sink>(job: &Node, walk: &mut Walk<'_, S>) {
    let Some(_) = job.as_map() else { return };
    let multinode = job
        .get("protocols")
        .and_then(|protocols| protocols.get("lava-multinode"));
    boards(job, multinode, walk);
    let blocks: Vec<(&Node, &Node)> = job
        .get("actions")
        .and_then(Node::as_seq)
        .unwrap_or_default()
        .iter()
        .filter_map(|item| item.as_map()?.first())
        .map(|(name, block)| (name, block))
        .filter(|(_, block)| block.as_map().is_some())
        .collect();
    namespaces(&blocks, walk);
    if multinode.is_some() {
        for (name, block) in &blocks {
            if block.get("role").is_none() {
                walk.problem(
                    name.span,
                    "this action has no `role` although the job is a multinode one",
                    "say which roles perform it: `role: [server]`",
                );
            }
        }
    }
    limits(job, &blocks, walk);
}

fn boards<S: Sink>(job: &Node, multinode: Option<&Node>, walk: &mut Walk<'_, S>) {
    if multinode.is_none() {
        if job.get("device_type").is_none() {
            walk.problem(
                job.span,
                "the job needs `device_type`, or `protocols` with `lava-multinode`",
                "the name of a type of board: `basalt boards` shows each board with its type",
            );
        }
        return;
    }
    for key in ["device_type", "context", "tags", "environment"] {
        if let Some((name, _)) = job.entry(key) {
            walk.problem(
                name.span,
                &format!("`{key}` at the top of a multinode job means nothing"),
                "put it into each role: `protocols: lava-multinode: roles: ROLE:`",
            );
        }
    }
}

fn namespaces<S: Sink>(blocks: &[(&Node, &Node)], walk: &mut Walk<'_, S>) {
    let Some(named) = blocks.iter().find_map(|(_, block)| block.get("namespace")) else {
        return;
    };
    let name = named.source_text().unwrap_or_default();
    for (key, block) in blocks {
        if block.get("namespace").is_none() {
            walk.problem(
                key.span,
                "this action has no namespace although others have one",
                &format!("add `namespace: {name}`, or remove it from the others"),
            );
        }
    }
}

/// No limit is larger than the job's; that of the queue is no part of it.
fn limits<S: Sink>(job: &Node, blocks: &[(&Node, &Node)], walk: &mut Walk<'_, S>) {
    let Some(timeouts) = job.get("timeouts") else {
        return;
    };
    let Some(limit) = timeouts.get("job").and_then(duration_of) else {
        return;
    };
    let over = |node: &Node| {
        let own = duration_of(node)?;
        (own > limit).then(|| {
            format!(
                "this timeout of {} is larger than the whole job's of {}",
                format_duration(own),
                format_duration(limit)
            )
        })
    };
    let named = |node: Option<&Node>| -> Vec<Node> {
        let entries = node.and_then(Node::as_map).unwrap_or_default();
        entries.iter().map(|(_, value)| value.clone()).collect()
    };
    let mut stated: Vec<Node> = ["action", "connection"]
        .iter()
        .filter_map(|key| timeouts.get(key).cloned())
        .collect();
    stated.extend(named(timeouts.get("actions")));
    stated.extend(named(timeouts.get("connections")));
    stated.extend(
        blocks
            .iter()
            .filter_map(|(_, block)| block.get("timeout").cloned()),
    );
    // Under a key that is no text no table has looked.
    for key in ["actions", "connections"] {
        let entries = timeouts.get(key).and_then(Node::as_map).unwrap_or_default();
        for (_, value) in entries
            .iter()
            .filter(|(name, value)| name.as_str().is_none() && value.as_map().is_none())
        {
            walk.problem(
                value.span,
                &format!("this timeout must be a mapping, found {}", value.describe()),
                "such as `{minutes: 5}`",
            );
        }
    }
    for node in stated {
        if let Some(message) = over(&node) {
            walk.problem(
                node.span,
                &message,
                "make it shorter, or `timeouts: job:` longer",
            );
        }
    }
    for node in blocks
        .iter()
        .flat_map(|(_, block)| named(block.get("timeouts")))
    {
        if let Some(message) = over(&node) {
            walk.warning(node.span, || format!("{message}, which ends it first"));
        }
    }
}
