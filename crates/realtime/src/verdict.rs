//! What may be concluded from one measurement (decision D18), in this order:
//!
//! 1. (a) no evidence is `invalid`: no or a corrupt file, another kernel, not realtime where that
//!    was asked, a thread without data;
//! 2. (b) a sample above the limit is `fail`, however short the run was;
//! 3. (c) a run that is short of cycles, lost a load or left a CPU out is `invalid`;
//! 4. (d) without limit it is `measured`;
//! 5. (e) else `pass`.

use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use basalt_model::{Culprit, Verdict};
use serde::{Deserialize, Serialize};

use crate::cyclictest::{Options, ParseError};
use crate::environment::{Environment, says_preempt_rt};
use crate::measurement::Measurement;
use crate::record::run_options;

/// What was asked for and what was seen around the measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseFacts {
    /// How long it should measure.
    pub duration: Duration,
    /// The interval of the first thread, microseconds.
    pub interval_us: u64,
    /// The largest latency that passes, microseconds.
    pub limit_us: Option<u64>,
    /// The kernel must be a realtime one.
    pub require_preempt_rt: bool,
    /// What ran beside it.
    pub loads: Vec<LoadReport>,
    /// CPUs that must be measured; `None` where nobody knows or not all were asked for.
    pub online_cpus: Option<u32>,
    /// Whether the kernel is the one that was served, else how it differs.
    pub kernel_matches: Result<(), String>,
    /// What it holds for.
    pub environment: Environment,
}

/// How one load fared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// `hackbench`.
    pub name: String,
    /// It was running when the measurement ended.
    pub alive_at_end: bool,
    /// How often it came to its end in peace and was started again.
    pub restarts: u64,
    /// How it died, where it did: `exit 1 after 3 s`, `signal 9`.
    pub died: Option<String>,
}

/// The verdict and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why: a clause in lower case without full stop.
    pub reason: String,
    /// Whose fault it is that this is neither `pass` nor `measured` (invariant 8).
    pub culprit: Option<Culprit>,
    /// The run is shorter than asked for (or nothing is there to tell).
    pub partial: bool,
}

/// The share of the expected cycles that every thread must have, in percent (decision D18).
pub const MINIMUM_CYCLES_PERCENT: u64 = 95;

impl PhaseFacts {
    /// How many cycles thread `id` should have, given the options the program ran with.
    pub fn expected_cycles(&self, options: &Options, id: u32) -> u64 {
        let interval = options.interval_of(id, Duration::from_micros(self.interval_us));
        let cycles = self.duration.as_nanos() / interval.as_nanos().max(1);
        cycles.try_into().unwrap_or(u64::MAX)
    }
}

/// Judges one measurement, or the error that stands in its place.
pub fn verdict(measured: Result<&Measurement, &ParseError>, facts: &PhaseFacts) -> Judgement {
    let measurement = match measured {
        Ok(measurement) => measurement,
        Err(error) => {
            return Judgement {
                verdict: Verdict::Invalid,
                reason: error.to_string(),
                // What arrived is what the board had: the payload left it so.
                culprit: Some(Culprit::Test),
                partial: true,
            };
        }
    };
    let short = short_of_cycles(measurement, facts);
    let judge = |verdict, culprit, reason| Judgement {
        verdict,
        reason,
        culprit,
        partial: short.is_some(),
    };
    if let Some((culprit, reason)) = no_evidence(measurement, facts) {
        return judge(Verdict::Invalid, Some(culprit), reason);
    }
    if let Some(reason) = above_limit(measurement, facts) {
        return judge(Verdict::Fail, Some(Culprit::Kernel), reason);
    }
    let incomplete = short
        .clone()
        .or_else(|| dead_load(facts).map(|reason| (Culprit::Test, reason)))
        .or_else(|| missing_cpu(measurement, facts).map(|reason| (Culprit::Test, reason)));
    if let Some((culprit, reason)) = incomplete {
        return judge(Verdict::Invalid, Some(culprit), reason);
    }
    match facts.limit_us {
        None => judge(Verdict::Measured, None, "no limit was given".into()),
        Some(limit) => judge(Verdict::Pass, None, format!("no sample above {limit} us")),
    }
}

fn no_evidence(measurement: &Measurement, facts: &PhaseFacts) -> Option<(Culprit, String)> {
    if let Err(difference) = &facts.kernel_matches {
        return Some((
            Culprit::Infrastructure,
            format!("another kernel: {difference}"),
        ));
    }
    let environment = &facts.environment;
    let differing = [
        (&measurement.release, &environment.uname_r),
        (&measurement.version, &environment.uname_v),
    ];
    for pair in differing {
        if let (Some(measured), Some(running)) = pair
            && measured != running
        {
            return Some((
                Culprit::Infrastructure,
                format!(
                    "another kernel: the file was written on {measured:?}, the board runs \
                     {running:?}"
                ),
            ));
        }
    }
    if facts.require_preempt_rt {
        let by_file = measurement.version.as_deref().is_some_and(says_preempt_rt);
        if !by_file && !environment.rt_evidence().is_realtime() {
            let version = environment
                .uname_v
                .as_ref()
                .or(measurement.version.as_ref());
            // The job names the kernel, and the one that runs is the one that was served.
            return Some((
                Culprit::Job,
                match version {
                    Some(version) => format!("not a realtime kernel: uname -v is {version:?}"),
                    None => "nothing says that the kernel is a realtime one".into(),
                },
            ));
        }
    }
    let empty = measurement.threads.iter().find(|thread| thread.cycles == 0);
    match (empty, measurement.threads.is_empty()) {
        (Some(thread), _) => Some((Culprit::Test, format!("no data from {}", thread.place()))),
        (None, true) => Some((Culprit::Test, "no threads".into())),
        (None, false) => None,
    }
}

fn above_limit(measurement: &Measurement, facts: &PhaseFacts) -> Option<String> {
    let limit = facts.limit_us?;
    let worst = measurement.threads.iter().max_by_key(|thread| thread.max)?;
    let max = worst
        .max
        .max(measurement.break_value)
        .filter(|max| *max > limit)?;
    let mut reason = format!(
        "{max} us on {} is above the limit of {limit} us",
        worst.place()
    );
    let samples: u64 = measurement.threads.iter().map(|thread| thread.cycles).sum();
    let histogram = measurement.merged_histogram();
    let in_bins: u64 = histogram
        .range((Excluded(limit), Unbounded))
        .map(|(_, count)| count)
        .sum();
    let overflows: u64 = measurement
        .threads
        .iter()
        .map(|thread| thread.overflows)
        .sum();
    // Overflows are known to be above the limit only where the histogram reaches beyond it.
    if measurement.has_histogram() && measurement.overflow_floor() > limit {
        let above = in_bins + overflows;
        let verb = if above == 1 { "is" } else { "are" };
        reason.push_str(&format!("; {above} of {samples} samples {verb} above"));
    }
    Some(reason)
}

fn short_of_cycles(measurement: &Measurement, facts: &PhaseFacts) -> Option<(Culprit, String)> {
    let options = run_options(measurement);
    let short = measurement.threads.iter().find_map(|thread| {
        let expected = facts.expected_cycles(&options, thread.id);
        let least = u128::from(expected) * u128::from(MINIMUM_CYCLES_PERCENT);
        (u128::from(thread.cycles) * 100 < least).then(|| {
            let reason = format!(
                "{} of {expected} expected cycles on {}",
                thread.cycles,
                thread.place()
            );
            // Starved, stopped or ended early: the file does not tell by whom.
            (Culprit::Unknown, reason)
        })
    });
    short.or_else(|| match measurement.return_code {
        Some(0) | None => None,
        Some(code) => Some((
            Culprit::Test,
            format!("{} ended with code {code}", measurement.tool),
        )),
    })
}

fn dead_load(facts: &PhaseFacts) -> Option<String> {
    facts
        .loads
        .iter()
        .find_map(|load| match (&load.died, load.alive_at_end) {
            (Some(how), _) => Some(format!("the load {} died: {how}", load.name)),
            (None, false) => Some(format!("the load {} was gone at the end", load.name)),
            (None, true) => None,
        })
}

fn missing_cpu(measurement: &Measurement, facts: &PhaseFacts) -> Option<String> {
    let online = facts.online_cpus?;
    // Threads that do not tell their CPU count as one each.
    let mut cpus: Vec<_> = measurement
        .threads
        .iter()
        .filter_map(|thread| thread.cpu)
        .collect();
    cpus.sort_unstable();
    cpus.dedup();
    let nameless = measurement
        .threads
        .iter()
        .filter(|thread| thread.cpu.is_none())
        .count();
    let measured = cpus.len() + nameless;
    (measured < online as usize).then(|| format!("{measured} of {online} CPUs were measured"))
}
