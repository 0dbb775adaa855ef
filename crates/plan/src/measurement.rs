//! How measurement programs and loads are called.

use std::time::Duration;

use basalt_job::definition::{Load, Measure, Phase as Wanted};
use basalt_lab::profile::BoardProfile;
use basalt_yaml::{Span, format_duration};

use crate::build::Problems;
use crate::plan::Phase;

/// Bins of a histogram that no limit asks to be longer, and the fewest of any: latencies around
/// and a good way above the limit stay in the histogram instead of its overflow.
const HISTOGRAM_US: u64 = 1000;

/// The longest histogram that cyclictest takes (rt-tests 2.4: `HIST_MAX`).
const LONGEST_HISTOGRAM_US: u64 = 1_000_000;

/// Plans one phase. A limit comes from the job, else from the board's files for this measure
/// under exactly these loads.
pub(crate) fn phase(
    wanted: &Wanted,
    suite: String,
    board: &BoardProfile,
    span: Span,
    problems: &mut Problems<'_>,
) -> Phase {
    let mut loads: Vec<&Load> = wanted.load.iter().collect();
    loads.sort_by_key(|load| load.as_str());
    loads.dedup();
    let (limit, limit_source) = limit(wanted, &loads, board);
    let limit_us = limit.map(whole_micros);
    let histogram_us = HISTOGRAM_US.max(limit_us.unwrap_or(0).saturating_mul(2));
    if histogram_us > LONGEST_HISTOGRAM_US {
        problems.error(
            span,
            format!(
                "phase `{}`: a limit of {} is beyond what {} can count: its histogram ends at \
                 1 s and must hold twice the limit",
                wanted.name,
                format_duration(limit.unwrap_or_default()),
                wanted.measure.as_str()
            ),
        );
    }
    let interval_us = whole_micros(wanted.interval);
    if wanted.duration.subsec_nanos() != 0 || wanted.duration.is_zero() {
        problems.error(
            span,
            format!(
                "phase `{}`: {} measures whole seconds, not {}",
                wanted.name,
                wanted.measure.as_str(),
                format_duration(wanted.duration)
            ),
        );
    }
    let command = match wanted.measure {
        Measure::Cyclictest => cyclictest(wanted, interval_us, histogram_us),
    };
    Phase {
        suite,
        name: wanted.name.clone(),
        measure: wanted.measure.as_str().to_owned(),
        command,
        duration: wanted.duration,
        interval_us,
        histogram_us,
        limit_us,
        limit_source: limit_source.to_owned(),
        loads: loads
            .into_iter()
            .map(|load| (load.as_str().to_owned(), load_command(load)))
            .collect(),
        require_preempt_rt: wanted.require_preempt_rt,
    }
}

fn limit(
    wanted: &Wanted,
    loads: &[&Load],
    board: &BoardProfile,
) -> (Option<Duration>, &'static str) {
    if let Some(limit) = wanted.limit {
        return (Some(limit), "job");
    }
    let of_board = board.limits.iter().find(|limit| {
        limit.measure == wanted.measure.as_str()
            && limit
                .load
                .iter()
                .map(String::as_str)
                .eq(loads.iter().map(|load| load.as_str()))
    });
    match of_board {
        Some(limit) => (Some(limit.limit), limit.origin.as_str()),
        None => (None, ""),
    }
}

fn whole_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// cyclictest of rt-tests (facts: 2.4): one measuring thread a CPU with the same priority and
/// interval (`-S`), memory locked, a histogram, JSON. Never `-b`: it ends the measurement at the
/// first latency above it, and exits 0.
fn cyclictest(wanted: &Wanted, interval_us: u64, histogram_us: u64) -> Vec<String> {
    vec![
        "cyclictest".to_owned(),
        "-m".to_owned(),
        "-S".to_owned(),
        "-p".to_owned(),
        wanted.priority.to_string(),
        "-i".to_owned(),
        interval_us.to_string(),
        "-h".to_owned(),
        histogram_us.to_string(),
        "-D".to_owned(),
        format!("{}s", wanted.duration.as_secs()),
        "-q".to_owned(),
        "--json={JSON}".to_owned(),
    ]
}

/// One round of a load; the board-side runner starts the next the moment one ends.
///
/// hackbench: two groups are 80 tasks that send 100 bytes to each other, more than enough to keep
/// any board's CPUs busy. A board with 256 MiB runs round after round with 200 MiB free in between.
/// 20 loops are 16,000 messages: measured 2.5 s on the slowest board there is (a PREEMPT_RT kernel
/// on an emulated CPU with icount shift=3, 150 us a message) and well below a second on a real
/// one, so that a load that cannot run is noticed soon.
fn load_command(load: &Load) -> Vec<String> {
    match load {
        Load::Hackbench => ["hackbench", "-g", "2", "-l", "20"]
            .map(str::to_owned)
            .to_vec(),
    }
}
