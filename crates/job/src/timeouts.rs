//! LAVA's way to write time limits (facts: LAVA 2026.07, lava_common/timeout.py).

use std::time::Duration;

use basalt_yaml::{Field, MapReader, Span, Unknown, closest, format_duration};

use crate::definition::{JobTimeouts, Spanned, Timeout};

const UNITS: [(&str, u64); 4] = [
    ("days", 86_400),
    ("hours", 3_600),
    ("minutes", 60),
    ("seconds", 1),
];

/// A hundred years: what is longer is a mistake, and sums of these fit everywhere.
const LONGEST_SECONDS: u64 = 100 * 366 * 86_400;

/// The `timeouts` at the top of a job.
pub(crate) fn of_job(reader: &mut MapReader<'_>) -> Option<JobTimeouts> {
    let mut reader = reader.required("timeouts").map("`timeouts`")?;
    let job = timeout(reader.required("job"), "job");
    let action = timeout(reader.optional("action"), "action");
    let actions = by_name(reader.optional("actions"), "actions");
    let connection = timeout(reader.optional("connection"), "connection");
    let connections = by_name(reader.optional("connections"), "connections");
    let queue = timeout(reader.optional("queue"), "queue");
    if let Some(job) = &job {
        let limit = job.value.duration;
        // The queue's is no part of the job's own time.
        let single = action
            .iter()
            .chain(&connection)
            .map(|timeout| (timeout.value, timeout.span));
        let named = actions
            .iter()
            .chain(&connections)
            .map(|(_, timeout)| (timeout.value, timeout.span));
        let all: Vec<(Timeout, Span)> = single.chain(named).collect();
        for (timeout, span) in all {
            within_job(timeout, span, limit, &mut reader);
        }
    }
    reader.finish(Unknown::Warn);
    Some(JobTimeouts {
        job: job?.value,
        action: action.map(|timeout| timeout.value),
        actions: values(actions),
        connection: connection.map(|timeout| timeout.value),
        connections: values(connections),
        queue: queue.map(|timeout| timeout.value),
    })
}

/// The `timeout` and `timeouts` of a block, checked against the job's limit where that is known.
pub(crate) fn of_block(
    reader: &mut MapReader<'_>,
    job: Option<Duration>,
) -> (Option<Timeout>, Vec<(String, Timeout)>) {
    let own = timeout(reader.optional("timeout"), "timeout");
    let named = by_name(reader.optional("timeouts"), "timeouts");
    if let Some(limit) = job {
        for timeout in own.iter().chain(named.iter().map(|(_, timeout)| timeout)) {
            within_job(timeout.value, timeout.span, limit, reader);
        }
    }
    (own.map(|timeout| timeout.value), values(named))
}

fn values(named: Vec<(String, Spanned<Timeout>)>) -> Vec<(String, Timeout)> {
    named
        .into_iter()
        .map(|(name, timeout)| (name, timeout.value))
        .collect()
}

fn within_job(timeout: Timeout, span: Span, limit: Duration, reader: &mut MapReader<'_>) {
    if timeout.duration > limit {
        let message = format!(
            "this timeout of {} is larger than the whole job's of {}",
            format_duration(timeout.duration),
            format_duration(limit)
        );
        reader.diagnostics().error(span, message);
    }
}

fn by_name(field: Field<'_>, key: &str) -> Vec<(String, Spanned<Timeout>)> {
    let Some((node, diagnostics)) = field.into_parts() else {
        return Vec::new();
    };
    let Some(entries) = node.as_map() else {
        let message = format!(
            "`{key}` must map action names to timeouts, found {}",
            node.describe()
        );
        diagnostics.error(node.span, message);
        return Vec::new();
    };
    let mut timeouts = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let name = name.source_text().unwrap_or_default();
        let read = timeout(Field::new(value, format!("`{name}`"), diagnostics), name);
        timeouts.extend(read.map(|timeout| (name.to_owned(), timeout)));
    }
    timeouts
}

/// `{minutes: 5}`, `{seconds: 30, skip: true}`.
fn timeout(field: Field<'_>, key: &str) -> Option<Spanned<Timeout>> {
    let (node, diagnostics) = field.into_parts()?;
    if node.as_map().is_none() {
        diagnostics
            .error(
                node.span,
                format!(
                    "the timeout `{key}` must be a mapping, found {}",
                    node.describe()
                ),
            )
            .with_hint(format!(
                "write `{key}: {{minutes: 5}}`; units: days, hours, minutes, seconds"
            ));
        return None;
    }
    let mut reader = MapReader::new(&node, format!("the timeout `{key}`"), diagnostics)?;
    let mut found = Vec::new();
    for (unit, seconds) in UNITS {
        let longest = i64::try_from(LONGEST_SECONDS / seconds).unwrap_or(i64::MAX);
        let present = reader.has(unit);
        let number = reader.optional(unit).int(1..=longest);
        if present {
            let seconds = number
                .and_then(|number| u64::try_from(number).ok())
                .map(|number| number * seconds);
            found.push((reader.key_span(unit), seconds));
        }
    }
    let skip = reader.optional("skip").boolean().unwrap_or(false);
    let span = node.span;
    let duration = match found.as_slice() {
        [(_, seconds)] => seconds.map(Duration::from_secs),
        [] => {
            no_unit(&mut reader, key);
            None
        }
        [_, (second, _), ..] => {
            let message =
                format!("the timeout `{key}` has more than one of days, hours, minutes, seconds");
            reader
                .diagnostics()
                .error(*second, message)
                .with_hint("use one unit, such as `minutes: 90`");
            None
        }
    };
    reader.finish(Unknown::Warn);
    duration.map(|duration| Spanned {
        value: Timeout { duration, skip },
        span,
    })
}

/// Says that there is no unit, at the key that was meant for one if there is such a key.
fn no_unit(reader: &mut MapReader<'_>, key: &str) {
    let node = reader.node().clone();
    let slip = node
        .as_map()
        .unwrap_or_default()
        .iter()
        .find_map(|(name, _)| {
            let text = name.source_text().filter(|text| *text != "skip")?;
            closest(text, UNITS.iter().map(|(unit, _)| *unit)).map(|meant| (name, text, meant))
        });
    let message = format!("the timeout `{key}` needs one of days, hours, minutes, seconds");
    match slip {
        Some((name, text, meant)) => {
            reader.ignore(text);
            reader
                .diagnostics()
                .error(name.span, format!("{message}, found `{text}`"))
                .with_hint(format!("did you mean `{meant}`?"));
        }
        None => {
            reader.diagnostics().error(node.span, message);
        }
    }
}
