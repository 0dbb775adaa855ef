//! `test: realtime`, which LAVA does not have: measurements under load, phase by phase.
//!
//! ```yaml
//! - test:
//!     realtime:
//!       - {name: idle,      measure: cyclictest, duration: 10s, interval: 1000us, limit: 400us}
//!       - {name: hackbench, measure: cyclictest, duration: 10s, interval: 1000us, limit: 400us, load: [hackbench]}
//! ```
//!
//! Beside these: `priority` (1 to 99, 95 unless said) and `preempt_rt` (`required` unless said,
//! or `any`). A mistaken key is an error here: it would change what is measured.

use std::time::Duration;

use basalt_yaml::{Diagnostics, Field, MapReader, Node, Span, Unknown, format_duration};

use crate::definition::{Load, Measure, Phase};
use crate::timeouts;
use crate::values::{choice, suite_name};

const SHORTEST: Duration = Duration::from_secs(1);
const SHORTEST_INTERVAL: Duration = Duration::from_micros(100);
/// Fewer cycles say nothing.
const FEWEST_CYCLES: u128 = 100;
/// cyclictest counts to 1 s (rt-tests 2.4: `HIST_MAX`), and must count to twice the limit.
const LARGEST_LIMIT: Duration = Duration::from_millis(500);
const PRIORITY: u8 = 95;

/// Measurements and loads that the field knows and that will come.
const OTHER_MEASURES: &[&str] = &[
    "cyclicdeadline",
    "oslat",
    "pi_stress",
    "ptsematest",
    "rtla",
    "rtla-osnoise",
    "rtla-timerlat",
    "signaltest",
    "timerlat",
];
const OTHER_LOADS: &[&str] = &[
    "dd",
    "iperf3",
    "netperf",
    "rteval",
    "stress",
    "stress-ng",
    "kernel-build",
];

/// Reports the mistakes of all `realtime` blocks of a job: they are Basalt's own, and refused like
/// any other mistake of a job's shape.
pub(crate) fn check(job: &Node, diagnostics: &mut Diagnostics) {
    let limit = |node: &Node, key: &str| timeouts::duration_of(node.get(key)?);
    let whole = job
        .get("timeouts")
        .and_then(|node| limit(node, "job"))
        .unwrap_or(Duration::MAX);
    let actions = job.get("actions").and_then(Node::as_seq);
    for test in actions
        .unwrap_or_default()
        .iter()
        .filter_map(|item| item.get("test"))
    {
        if let Some(node) = test.get("realtime") {
            let own = limit(test, "timeout").unwrap_or(whole);
            phases(Field::new(node, "`realtime`", diagnostics), own);
        }
    }
}

/// Reads the phases. `limit` is the time that the block may take.
pub(crate) fn phases(field: Field<'_>, limit: Duration) -> Option<Vec<Phase>> {
    let (node, diagnostics) = field.into_parts()?;
    let items = Field::new(&node, "`realtime`", diagnostics).list()?;
    if items.is_empty() {
        diagnostics.error(
            node.span,
            "`realtime` is empty: there is nothing to measure",
        );
        return None;
    }
    let read: Vec<Option<Phase>> = items.iter().map(|item| phase(item, diagnostics)).collect();
    unique(&items, diagnostics);
    let phases: Vec<Phase> = read.into_iter().collect::<Option<_>>()?;
    let total = phases
        .iter()
        .try_fold(Duration::ZERO, |sum, phase| sum.checked_add(phase.duration));
    if total.is_none_or(|total| total >= limit) {
        let message = format!(
            "the phases measure for {} together, but this action has only {}",
            total.map_or_else(|| "too long".to_owned(), format_duration),
            format_duration(limit)
        );
        diagnostics.error(items[0].span, message).with_hint(
            "give the action a longer `timeout`: loads must start and files be fetched too",
        );
        return None;
    }
    Some(phases)
}

fn phase(item: &Node, diagnostics: &mut Diagnostics) -> Option<Phase> {
    let mut reader = MapReader::new(item, "this phase", diagnostics)?;
    let name = suite_name(reader.required("name"));
    let measure = choice(
        reader.required("measure"),
        "measure",
        &[("cyclictest", Measure::Cyclictest)],
        OTHER_MEASURES,
    );
    let duration = reader.required("duration").spanned(Field::duration);
    let interval = reader.required("interval").spanned(Field::duration);
    let limit = reader.optional("limit").spanned(Field::duration);
    let load = load(reader.optional("load"));
    let priority = reader
        .optional("priority")
        .integer(1..=99)
        .and_then(|number| u8::try_from(number).ok());
    let preempt_rt = reader
        .optional("preempt_rt")
        .word(&[("required", true), ("any", false)]);
    let sane = durations(duration, interval, limit, reader.diagnostics());
    reader.finish(Unknown::Error);
    sane?;
    Some(Phase {
        name: name?,
        measure: measure?,
        duration: duration?.0,
        interval: interval?.0,
        limit: limit.map(|(limit, _)| limit),
        load: load?,
        priority: priority.unwrap_or(PRIORITY),
        require_preempt_rt: preempt_rt.unwrap_or(true),
    })
}

/// Checks each duration, and then whether they go together.
fn durations(
    duration: Option<(Duration, Span)>,
    interval: Option<(Duration, Span)>,
    limit: Option<(Duration, Span)>,
    diagnostics: &mut Diagnostics,
) -> Option<()> {
    let before = diagnostics.error_count();
    if let Some((duration, span)) = duration
        && (duration < SHORTEST || duration.subsec_nanos() != 0)
    {
        let message = format!(
            "`duration` must be whole seconds, at least 1s, found {}",
            format_duration(duration)
        );
        diagnostics.error(span, message);
    }
    if let Some((interval, span)) = interval
        && (interval < SHORTEST_INTERVAL || !whole_micros(interval))
    {
        let message = format!(
            "`interval` must be whole microseconds, at least {}, found {}",
            format_duration(SHORTEST_INTERVAL),
            format_duration(interval)
        );
        diagnostics.error(span, message);
    }
    if let Some((limit, span)) = limit
        && (limit.is_zero() || limit > LARGEST_LIMIT || !whole_micros(limit))
    {
        let message = format!(
            "`limit` must be whole microseconds, from 1us to {}, found {}",
            format_duration(LARGEST_LIMIT),
            format_duration(limit)
        );
        diagnostics.error(span, message);
    }
    let ((duration, _), (interval, span)) = (duration?, interval?);
    if diagnostics.error_count() > before {
        return None;
    }
    let cycles = duration.as_nanos() / interval.as_nanos().max(1);
    if cycles < FEWEST_CYCLES {
        let message = format!(
            "{} at an interval of {} are {cycles} cycles; at least {FEWEST_CYCLES} are needed",
            format_duration(duration),
            format_duration(interval)
        );
        diagnostics
            .error(span, message)
            .with_hint("measure longer, or at a shorter interval");
        return None;
    }
    Some(())
}

fn whole_micros(duration: Duration) -> bool {
    duration.subsec_nanos().is_multiple_of(1000)
}

fn load(field: Field<'_>) -> Option<Vec<Load>> {
    let Some((node, diagnostics)) = field.into_parts() else {
        return Some(Vec::new());
    };
    let items = match node.as_seq() {
        Some(items) => items,
        None => {
            let message = format!("`load` must be a list, found {}", node.describe());
            diagnostics
                .error(node.span, message)
                .with_hint("such as `load: [hackbench]`");
            return None;
        }
    };
    let mut loads = Vec::with_capacity(items.len());
    for item in items {
        let field = Field::new(item, "`load`", diagnostics);
        let Some(load) = choice(
            field,
            "load",
            &[("hackbench", Load::Hackbench)],
            OTHER_LOADS,
        ) else {
            continue;
        };
        if loads.contains(&load) {
            let message = format!("the load `{}` comes twice", load.as_str());
            diagnostics.error(item.span, message);
        }
        loads.push(load);
    }
    (loads.len() == items.len()).then_some(loads)
}

/// Each phase is a suite, and its name tells it from the others.
fn unique(items: &[Node], diagnostics: &mut Diagnostics) {
    let names: Vec<&Node> = items.iter().filter_map(|item| item.get("name")).collect();
    for (index, name) in names.iter().enumerate() {
        let text = name.source_text();
        if text.is_some()
            && names[..index]
                .iter()
                .any(|other| other.source_text() == text)
        {
            let message = format!("a phase named `{}` comes before", text.unwrap_or_default());
            diagnostics
                .error(name.span, message)
                .with_hint("give each phase a name of its own");
        }
    }
}
