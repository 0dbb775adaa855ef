//! Whether a job and a board fit each other.

use std::time::Duration;

use basalt_job::JobDefinition;
use basalt_lab::profile::BoardProfile;
use basalt_yaml::{Span, format_duration};

use crate::build::Problems;
use crate::plan::{Block, BlockKind, Realtime, action};

/// `` `a`, `b` ``, or `none`.
pub(crate) fn listed<'t>(words: impl IntoIterator<Item = &'t str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

/// Whether the job wants this board at all.
pub(crate) fn board(job: &JobDefinition, board: &BoardProfile, problems: &mut Problems<'_>) {
    if let Some(wanted) = &job.device_type
        && wanted.value != board.device_type
    {
        problems.error(
            wanted.span,
            format!(
                "the job wants a board of type `{}`, but `{}` is a `{}`",
                wanted.value, board.name, board.device_type
            ),
        );
    }
    if let Some(wanted) = &job.device
        && wanted.value != board.name.as_str()
    {
        problems.error(
            wanted.span,
            format!(
                "the job wants the board `{}`, not `{}`",
                wanted.value, board.name
            ),
        );
    }
    let missing: Vec<&str> = job
        .tags
        .iter()
        .filter(|tag| !board.tags.contains(tag))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        // Tags carry no places of their own; the type is the nearest wish about the board.
        let span = job
            .device_type
            .as_ref()
            .or(job.device.as_ref())
            .map_or_else(Span::default, |wanted| wanted.span);
        problems
            .error(
                span,
                format!(
                    "the job wants a board with the tags {}, which `{}` lacks",
                    listed(missing),
                    board.name
                ),
            )
            .with_hint(format!(
                "its tags: {}",
                listed(board.tags.iter().map(String::as_str))
            ));
    }
}

/// Deadlines that cannot be met are mistakes of the job, not failures of the board.
pub(crate) fn deadlines(
    span: Span,
    block: &Block,
    board: &BoardProfile,
    problems: &mut Problems<'_>,
) {
    match &block.kind {
        BlockKind::Boot(_) => {
            let off = board.power.off_time;
            let deadline = block.timeout_of(action::RESET);
            if deadline <= off {
                problems.error(
                    span,
                    format!(
                        "`{}` has {}, but the board must stay off for {} in a power cycle",
                        action::RESET,
                        format_duration(deadline),
                        format_duration(off)
                    ),
                );
            }
        }
        BlockKind::Realtime(realtime) => phases(span, block, realtime, problems),
        BlockKind::Deploy(_) | BlockKind::Test(_) => {}
    }
}

fn phases(span: Span, block: &Block, realtime: &Realtime, problems: &mut Problems<'_>) {
    let deadline = block.timeout_of(action::PHASE);
    let mut too_long = false;
    for phase in realtime
        .phases
        .iter()
        .filter(|phase| deadline <= phase.duration)
    {
        too_long = true;
        problems
            .error(
                span,
                format!(
                    "phase `{}` measures for {}, but `{}` has {}",
                    phase.name,
                    format_duration(phase.duration),
                    action::PHASE,
                    format_duration(deadline)
                ),
            )
            .with_hint("give it more time with this block's `timeout` or `timeouts`");
    }
    let sum: Duration = realtime.phases.iter().map(|phase| phase.duration).sum();
    if !too_long && block.timeout <= sum {
        problems
            .error(
                span,
                format!(
                    "the phases measure for {} together, but this block has {}",
                    format_duration(sum),
                    format_duration(block.timeout)
                ),
            )
            .with_hint("give it more time with this block's `timeout` or `timeouts`");
    }
}
