//! One run of a measurement program, whatever file it came from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What one run of a measurement program left behind. All latencies are in microseconds; a file
/// in nanoseconds is rounded up, so that "above the limit" means the same before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// `cyclictest`.
    pub tool: String,
    /// The program's version, where its file tells.
    pub tool_version: Option<String>,
    /// The command line as the program wrote it: joined by spaces, not quoted.
    pub command: Option<String>,
    /// `uname -r` on the measured board.
    pub release: Option<String>,
    /// `uname -v` on the measured board.
    pub version: Option<String>,
    /// `/sys/kernel/realtime`; false on mainline realtime kernels, which lack the file.
    pub realtime_flag: Option<bool>,
    /// What the program says about its own end. Zero after a break and after a signal, too.
    pub return_code: Option<i64>,
    /// RFC 2822, by the board's clock.
    pub start: Option<String>,
    /// RFC 2822, by the board's clock.
    pub end: Option<String>,
    /// The file's resolution: 1000 where it counts microseconds, 1 where it counts nanoseconds.
    pub resolution_ns: u64,
    /// The measuring threads, by number.
    pub threads: Vec<Thread>,
    /// First latency that the histogram does not hold, microseconds; `None` without histogram or
    /// where the file does not tell.
    pub histogram_limit: Option<u64>,
    /// The latency that stopped the program (`-b`), where its text says so.
    pub break_value: Option<u64>,
}

/// One measuring thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    /// Its number, from 0.
    pub id: u32,
    /// The CPU it was bound to.
    pub cpu: Option<u32>,
    /// How often it woke up.
    pub cycles: u64,
    /// Smallest latency, microseconds; `None` without cycles.
    pub min: Option<u64>,
    /// Mean latency, microseconds; `None` without cycles.
    pub avg: Option<f64>,
    /// Largest latency, microseconds; `None` without cycles.
    pub max: Option<u64>,
    /// Latency in microseconds to count; bins without samples are absent.
    pub histogram: BTreeMap<u64, u64>,
    /// Samples that the histogram does not hold.
    pub overflows: u64,
}

impl Thread {
    /// `CPU 3`, or `thread 3` where the CPU is not known.
    pub fn place(&self) -> String {
        match self.cpu {
            Some(cpu) => format!("CPU {cpu}"),
            None => format!("thread {}", self.id),
        }
    }
}

impl Measurement {
    /// True where the program kept a histogram.
    pub fn has_histogram(&self) -> bool {
        self.histogram_limit.is_some() || self.threads.iter().any(|one| !one.histogram.is_empty())
    }

    /// All threads' samples of the histogram together.
    pub fn merged_histogram(&self) -> BTreeMap<u64, u64> {
        let mut merged: BTreeMap<u64, u64> = BTreeMap::new();
        for (latency, count) in self.threads.iter().flat_map(|one| &one.histogram) {
            let sum = merged.entry(*latency).or_default();
            *sum = sum.saturating_add(*count);
        }
        merged
    }

    /// The smallest latency that a sample in the overflow can have, microseconds. Where the file
    /// does not tell the histogram's size, one more than the last bin that holds a sample.
    pub fn overflow_floor(&self) -> u64 {
        let last_bin = self
            .threads
            .iter()
            .filter_map(|one| one.histogram.keys().next_back());
        self.histogram_limit
            .unwrap_or_else(|| last_bin.max().map_or(0, |bin| bin.saturating_add(1)))
    }
}
