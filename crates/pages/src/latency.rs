//! `/boards/{name}/latency`: how what was measured on a board changes from run to run.

use askama::Template;
use basalt_model::{BoardName, JobId, RunId, UtcMicros, Verdict};

use crate::Chrome;
use crate::jobs::encode;
use crate::plot::{self, Trend};
use crate::tag::Badge;
use crate::words;

/// One measurement of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The job.
    pub job: JobId,
    /// Its run.
    pub run: RunId,
    /// When it was measured.
    pub at: UtcMicros,
    /// The kernel's release.
    pub kernel: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The largest latency, microseconds.
    pub max_us: u64,
    /// The 99.99th percentile, microseconds; `None` where it lies beyond the histogram.
    pub p99_99_us: Option<u64>,
    /// The limit, microseconds.
    pub limit_us: Option<u64>,
    /// How many samples.
    pub samples: u64,
    /// What can differ besides the kernel: governor, timebase; empty where nothing is known.
    pub conditions: String,
}

impl Point {
    fn badge(&self) -> Badge {
        words::verdict(self.verdict)
    }

    fn is_above(&self) -> bool {
        self.limit_us.is_some_and(|limit| self.max_us > limit)
    }
}

/// One thing that is measured again and again on a board: a measure under a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyTotal {
    /// Its key in the address: `cyclictest/hackbench`.
    pub key: String,
    /// Its name for people: `cyclictest, hackbench`.
    pub name: String,
    /// How often it was measured.
    pub runs: u64,
    /// The newest.
    pub newest: Point,
}

impl LatencyTotal {
    /// The address of its trend.
    pub fn address(&self, board: &BoardName) -> String {
        format!(
            "/boards/{}/latency?of={}",
            encode(board.as_str()),
            encode(&self.key)
        )
    }

    /// The newest one's verdict.
    pub fn badge(&self) -> Badge {
        self.newest.badge()
    }
}

/// A kernel in the drawing's legend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelEntry {
    /// Its release.
    pub kernel: String,
    /// Which of the eight colours.
    pub colour: usize,
    /// How often it was measured.
    pub runs: u64,
    /// The largest latency of all its runs, microseconds.
    pub worst_us: u64,
    /// The middle one of its runs' largest latencies, microseconds.
    pub median_us: u64,
    /// Runs above their limit.
    pub above: u64,
}

/// `/boards/{name}/latency`.
#[derive(Clone, Debug, Template)]
#[template(path = "latency.html")]
pub struct Latency {
    /// The frame.
    pub chrome: Chrome,
    /// The board.
    pub board: BoardName,
    /// What can be looked at.
    pub choices: Vec<LatencyTotal>,
    /// Which of them is.
    pub chosen: usize,
    /// Its points, oldest first.
    pub points: Vec<Point>,
    /// There are older ones, which are not shown.
    pub has_older: bool,
}

impl Latency {
    fn trend(&self) -> Option<Trend> {
        Trend::of(&self.points)
    }

    fn newest_first(&self) -> impl Iterator<Item = &Point> {
        self.points.iter().rev()
    }

    fn colour(&self, kernel: &str) -> usize {
        plot::colour_of(&plot::kernels(&self.points), kernel)
    }

    fn kernels(&self) -> Vec<KernelEntry> {
        let kernels = plot::kernels(&self.points);
        let mut entries: Vec<KernelEntry> = kernels
            .iter()
            .map(|kernel| {
                let points: Vec<&Point> = self
                    .points
                    .iter()
                    .filter(|point| point.kernel == *kernel)
                    .collect();
                let mut maxima: Vec<u64> = points.iter().map(|point| point.max_us).collect();
                maxima.sort_unstable();
                KernelEntry {
                    colour: plot::colour_of(&kernels, kernel),
                    runs: points.len() as u64,
                    worst_us: maxima.last().copied().unwrap_or(0),
                    median_us: maxima.get(maxima.len() / 2).copied().unwrap_or(0),
                    above: points.iter().filter(|point| point.is_above()).count() as u64,
                    kernel: kernel.clone(),
                }
            })
            .collect();
        entries.reverse();
        entries
    }
}
