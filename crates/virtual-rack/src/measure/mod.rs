//! Results of the simulated cyclictest: computed from a seed, in the format of rt-tests 2.4.
//!
//! They are arithmetic, not measurements. Thread `t` of phase `n` draws its samples from SplitMix64 seeded with
//! `seed_of(seed, "n/t")`. The formats (text and JSON, with keys that end in a colon and a histogram that leaves out overflows) are those
//! that cyclictest 2.4 was seen to write.

mod format;
mod options;

use std::collections::BTreeMap;

use serde::Serialize;

pub use self::{
    format::{SystemInfo, json, text},
    options::Options,
};
use crate::random::Random;

/// More samples than this are scaled up from as many.
const DRAWN: u64 = 100_000;
/// Everything that a board's measurements should have said.
#[derive(Debug, Clone, Serialize)]
pub struct Truth {
    /// The board's seed.
    pub seed: u64,
    /// All measurements since the rack's start, in order.
    pub phases: Vec<Phase>,
}

/// How a measurement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseState {
    /// Started.
    Running,
    /// Ran to its end.
    Finished,
    /// A signal ended it before.
    Stopped,
    /// The board went away under it.
    Lost,
}

/// One run of cyclictest.
#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    /// Counted from 1 over the rack's life.
    pub phase: u64,
    /// In which start of a kernel on this board.
    pub boot: u64,
    /// The command line.
    pub command: String,
    /// How it stands.
    pub state: PhaseState,
    /// What the whole run gives, or what it gave when it was stopped.
    pub threads: Vec<Thread>,
    /// SHA-256 of the JSON that the board wrote, in hexadecimal.
    pub json_sha256: Option<String>,
}

/// One measuring thread.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Thread {
    /// Its CPU.
    pub cpu: u32,
    /// Latencies below the histogram's size, with their counts.
    pub histogram: BTreeMap<u32, u64>,
    /// Samples at or above the histogram's size.
    pub overflows: u64,
    /// All samples.
    pub cycles: u64,
    /// Smallest; 1000000 without samples, as cyclictest has it.
    pub min: u32,
    /// Largest.
    pub max: u32,
    /// Mean over all samples.
    pub avg: f64,
}

/// What shapes a measurement besides its options.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// The board's seed.
    pub seed: u64,
    /// Which measurement of the board.
    pub phase: u64,
    /// The board's CPUs.
    pub cpus: u32,
    /// Where latencies centre.
    pub latency_us: u32,
    /// One sample of the first thread is this late.
    pub spike_us: Option<u32>,
    /// Share of missing cycles.
    pub lost_cycles: f64,
    /// Measured seconds that it ran; the options' if it ran to its end.
    pub seconds: f64,
}

/// The threads' results.
pub fn measure(options: &Options, conditions: &Conditions) -> Vec<Thread> {
    let distance = options.distance_us();
    (0..options.thread_count(conditions.cpus))
        .map(|number| {
            let interval = options.interval + distance * u64::from(number);
            let due = (conditions.seconds * 1e6 / interval as f64).round() as u64;
            let due = options.loops.map_or(due, |loops| loops.min(due));
            let cycles = (due as f64 * (1.0 - conditions.lost_cycles.clamp(0.0, 1.0))) as u64;
            let spike = conditions.spike_us.filter(|_| number == 0);
            let name = format!("{}/{number}", conditions.phase);
            let mut random = Random::new(Random::seed_of(conditions.seed, &name));
            thread(
                number % conditions.cpus,
                cycles,
                options.histogram,
                conditions.latency_us,
                spike,
                &mut random,
            )
        })
        .collect()
}

fn thread(
    cpu: u32,
    cycles: u64,
    size: Option<u32>,
    latency_us: u32,
    spike: Option<u32>,
    random: &mut Random,
) -> Thread {
    let drawn = cycles.min(DRAWN);
    let mut samples: BTreeMap<u32, u64> = BTreeMap::new();
    for _ in 0..drawn {
        // A bulk around the centre with a thin tail, never above three times the centre.
        let tail = -(1.0 - random.unit()).ln() * 0.12;
        let factor = (0.85 + random.unit() * 0.15 + tail).min(3.0);
        let latency = (f64::from(latency_us) * factor).round().max(1.0) as u32;
        *samples.entry(latency).or_default() += 1;
    }
    if drawn < cycles {
        let mut left = cycles;
        for count in samples.values_mut() {
            *count = (u128::from(*count) * u128::from(cycles) / u128::from(drawn)) as u64;
            left -= *count;
        }
        let fullest = samples
            .iter()
            .max_by_key(|(_, count)| **count)
            .map(|(&latency, _)| latency);
        if let Some(fullest) = fullest {
            *samples.entry(fullest).or_default() += left;
        }
    }
    if let Some(spike) = spike
        && let Some(mut first) = samples.first_entry()
    {
        *first.get_mut() -= 1;
        if *first.get() == 0 {
            first.remove();
        }
        *samples.entry(spike).or_default() += 1;
    }
    let sum: u128 = samples
        .iter()
        .map(|(&latency, &count)| u128::from(latency) * u128::from(count))
        .sum();
    let size = size.unwrap_or(0);
    Thread {
        cpu,
        min: samples.keys().next().copied().unwrap_or(1_000_000),
        max: samples.keys().next_back().copied().unwrap_or(0),
        avg: if cycles == 0 {
            0.0
        } else {
            (sum as f64 / cycles as f64 * 100.0).round() / 100.0
        },
        overflows: samples.range(size..).map(|(_, count)| count).sum(),
        cycles,
        histogram: samples
            .into_iter()
            .filter(|(latency, _)| *latency < size)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(phase: u64) -> Conditions {
        Conditions {
            seed: 5,
            phase,
            cpus: 2,
            latency_us: 40,
            spike_us: None,
            lost_cycles: 0.0,
            seconds: 10.0,
        }
    }

    fn options(line: &str) -> Option<Options> {
        Options::parse(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn every_sample_is_in_the_histogram_or_an_overflow() {
        let parsed = options("-S -i 1000 -h 45 -D 10").unwrap();
        for thread in measure(&parsed, &conditions(1)) {
            assert_eq!(thread.cycles, 10_000);
            assert!(thread.overflows > 0);
            assert_eq!(
                thread.histogram.values().sum::<u64>() + thread.overflows,
                10_000
            );
            assert!(thread.min <= thread.avg as u32 && thread.avg as u32 <= thread.max);
        }
    }

    #[test]
    fn phases_and_threads_differ_and_repeat() {
        let parsed = options("-S -h 400 -D 10").unwrap();
        let first = measure(&parsed, &conditions(1));
        assert_eq!(first, measure(&parsed, &conditions(1)));
        assert_ne!(first, measure(&parsed, &conditions(2)));
        assert_ne!(first[0].histogram, first[1].histogram);
    }

    #[test]
    fn a_spike_replaces_one_sample_and_lost_cycles_are_missing() {
        let parsed = options("-S -h 400 -D 10").unwrap();
        let spiked = measure(
            &parsed,
            &Conditions {
                spike_us: Some(900),
                ..conditions(1)
            },
        );
        assert_eq!(
            (spiked[0].max, spiked[0].overflows, spiked[0].cycles),
            (900, 1, 10_000)
        );
        assert!(spiked[1].max < 400);
        let starved = measure(
            &parsed,
            &Conditions {
                lost_cycles: 0.5,
                ..conditions(1)
            },
        );
        assert_eq!(starved[0].cycles, 5_000);
    }

    #[test]
    fn a_day_of_samples_is_counted_in_full() {
        let parsed = options("-h 400 -i 200 -D 1d").unwrap();
        let day = measure(
            &parsed,
            &Conditions {
                seconds: 86_400.0,
                ..conditions(1)
            },
        );
        assert_eq!(day[0].cycles, 432_000_000);
        assert_eq!(day[0].histogram.values().sum::<u64>(), 432_000_000);
    }
}
