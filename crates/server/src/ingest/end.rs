//! What a run came to, from its stored events.

use basalt_model::{Event, EventBody, ParseEventError, RunId, UtcMicros};
use basalt_realtime::{LatencyRecord, Percentile};
use basalt_report::Results;
use basalt_report::fold::FoldError;
use basalt_store::{LatencyRow, Run, RunEnded, Store, StoreError};

use crate::policy;

/// Events that are read at once.
const PAGE: u32 = 5_000;

/// What a run came to cannot be said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("event {seq} of run {run} cannot be read")]
    Event {
        run: RunId,
        seq: u64,
        #[source]
        source: ParseEventError,
    },
    #[error("the events of run {run} make no results")]
    Fold {
        run: RunId,
        #[source]
        source: FoldError,
    },
}

/// All events of a run that are stored.
async fn events(store: &Store, run: RunId) -> Result<Vec<Event>, EndError> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let from = events.len() as u64 + 1;
        let page = store.events(run, from, PAGE).await?;
        let last = page.len() < PAGE as usize;
        for row in page {
            let seq = row.seq;
            let event = Event::from_json(row.json.as_bytes())
                .map_err(|source| EndError::Event { run, seq, source })?;
            events.push(event);
        }
        if last {
            return Ok(events);
        }
    }
}

/// The end of a run by the events that are stored of it.
pub(crate) async fn of_run(store: &Store, run: &Run) -> Result<RunEnded, EndError> {
    let id = run.id;
    let events = events(store, id).await?;
    let results =
        Results::from_events(&events).map_err(|source| EndError::Fold { run: id, source })?;
    Ok(RunEnded {
        seq: events.last().map_or(0, |event| event.seq),
        log_line: run.log_line,
        cases: results.cases.clone(),
        latency: results
            .phases
            .iter()
            .map(|record| latency(record, measured(record, &events), &results))
            .collect(),
        end: policy::end(&results),
        requeue: policy::requeue(&results),
        results: results.to_json(),
    })
}

/// When a record's phase was finished.
fn measured(record: &LatencyRecord, events: &[Event]) -> Option<UtcMicros> {
    let suite = |value: &serde_json::Value| value.get("suite")?.as_str().map(str::to_owned);
    let last = events.iter().rev().find(|event| {
        matches!(&event.body, EventBody::PhaseFinished { record: found, .. }
            if suite(found).as_ref() == Some(&record.suite))
    });
    last.map(|event| event.stamp.utc)
}

fn latency(record: &LatencyRecord, measured: Option<UtcMicros>, results: &Results) -> LatencyRow {
    let totals = record.totals.as_ref();
    let p99 = totals.and_then(|totals| totals.percentiles.p99);
    let p9999 = totals.and_then(|totals| totals.percentiles.p99_99);
    let loads: Vec<&str> = record.loads.iter().map(|load| load.name.as_str()).collect();
    let environment = &record.environment;
    let kernel = environment
        .uname_r
        .clone()
        .or_else(|| environment.image_linux_version.clone())
        .or_else(|| environment.image_sha256.clone());
    LatencyRow {
        suite: record.suite.clone(),
        phase: record.phase.clone(),
        measure: record.measure.clone(),
        loads: match loads.is_empty() {
            true => "idle".to_owned(),
            false => loads.join("+"),
        },
        verdict: record.verdict,
        samples: totals.map(|totals| totals.samples),
        max_us: totals.map(|totals| totals.max),
        p9999_us: p9999.map(microseconds),
        p9999_at_least: matches!(p9999, Some(Percentile::AtLeast(_))),
        limit_us: record.limit_us,
        kernel: kernel.unwrap_or_else(|| "unknown".to_owned()),
        timebase: results.board.timebase.clone(),
        measured: measured
            .or(results.finished_utc_us)
            .unwrap_or(results.started_utc_us),
        min_us: totals.map(|totals| totals.min),
        // A mean of latencies is never negative.
        avg_ns: totals
            .and_then(|totals| totals.avg)
            .map(|avg| (avg * 1000.0).round() as u64),
        p99_us: p99.map(microseconds),
        p99_at_least: matches!(p99, Some(Percentile::AtLeast(_))),
        kernel_version: environment.uname_v.clone(),
        image_sha256: environment.image_sha256.clone(),
        // Plain data with string keys.
        record: serde_json::to_string(record)
            .unwrap_or_else(|error| unreachable!("a record is JSON: {error}")),
    }
}

fn microseconds(at: Percentile) -> u64 {
    match at {
        Percentile::Exact(us) | Percentile::AtLeast(us) => us,
    }
}
