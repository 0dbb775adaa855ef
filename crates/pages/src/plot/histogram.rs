//! The latencies of one phase: one stepped line a thread, counts on a logarithmic axis, the limit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use askama::Template;
use basalt_realtime::{LatencyRecord, Percentile};

use super::{SIDE, Tick, linear_ticks, percent, short_count};
use crate::text;

/// More columns than this are more than a screen shows; several microseconds share one.
const MOST_COLUMNS: u64 = 800;
/// One sample stands this far above the ground, in decades.
const BASELINE: f64 = 0.35;
/// The latency axis is never shorter than this, microseconds.
const SHORTEST_US: u64 = 20;

/// One line of a histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// `CPU 3`.
    pub name: String,
    /// Which of the eight colours.
    pub colour: usize,
    /// The largest latency.
    pub max: String,
    /// The stepped line, an SVG path in 1000 by 1000 units.
    pub path: String,
}

/// A drawn histogram.
#[derive(Clone, Debug, PartialEq, Template)]
#[template(path = "plot/histogram.html")]
pub struct Histogram {
    /// For element ids: letters, digits and `-`.
    pub id: String,
    /// What is drawn, in a sentence for those who do not see it.
    pub summary: String,
    /// The lines.
    pub series: Vec<Series>,
    /// The latency axis, microseconds.
    pub across: Vec<Tick>,
    /// The count axis.
    pub up: Vec<Tick>,
    /// Where the limit lies: percent from the left, and its label.
    pub limit: Option<Tick>,
    /// The limit lies beyond the axis.
    pub limit_beyond: bool,
    /// The mean, the median and the high percentiles of all threads together.
    pub marks: Vec<Tick>,
    /// Samples that the histogram does not hold: how many, and from which latency on.
    pub overflow: Option<String>,
    /// How wide a column is.
    pub column: String,
    /// The end of the latency axis, microseconds, for scripts.
    pub end_us: u64,
    /// Microseconds a column, for scripts.
    pub bin_us: u64,
    /// Decades of the count axis, for scripts.
    pub decades: f64,
}

impl Histogram {
    /// Draws a record; `None` where no thread has a histogram.
    pub fn of(record: &LatencyRecord, id: String) -> Option<Self> {
        let threads: Vec<_> = record
            .threads
            .iter()
            .map(|thread| &thread.measured)
            .filter(|thread| !thread.histogram.is_empty() || thread.overflows > 0)
            .collect();
        let last = threads
            .iter()
            .filter_map(|thread| thread.histogram.keys().next_back())
            .max()
            .copied()?;
        let end = axis_end(last, record.limit_us);
        let bin_us = end.div_ceil(MOST_COLUMNS).max(1);
        let end = end.div_ceil(bin_us) * bin_us;
        let columns: Vec<BTreeMap<u64, u64>> = threads
            .iter()
            .map(|thread| columns(&thread.histogram, bin_us))
            .collect();
        let highest = columns
            .iter()
            .flat_map(BTreeMap::values)
            .max()
            .copied()
            .unwrap_or(1);
        let decades = (highest.max(10) as f64).log10().ceil().max(1.0);
        let scale = Scale {
            end,
            bin_us,
            decades,
        };
        let series = threads
            .iter()
            .zip(&columns)
            .enumerate()
            .map(|(index, (thread, columns))| Series {
                name: thread.place(),
                colour: index % 8,
                max: thread.max.map_or_else(|| "–".into(), text::micros),
                path: scale.path(columns),
            })
            .collect();
        let limit = record.limit_us.map(|limit| Tick {
            at: percent((limit as f64 / end as f64).min(1.0)),
            label: format!("limit {}", text::micros(limit)),
            minor: false,
        });
        Some(Self {
            id,
            summary: summary(record),
            series,
            across: scale.across(),
            up: scale.up(),
            limit_beyond: record.limit_us.is_some_and(|limit| limit > end),
            limit,
            marks: marks(record, end),
            overflow: overflow(record),
            column: match bin_us {
                1 => "1 µs a column".into(),
                several => format!("{several} µs a column"),
            },
            end_us: end,
            bin_us,
            decades,
        })
    }

    /// The limit's label stands left of its line where there is no room on the right.
    pub fn limit_turns(&self) -> bool {
        self.limit.as_ref().is_some_and(|limit| limit.at > 70.0)
    }
}

/// The axis ends a little after the last sample, and after the limit where that is not far off: a
/// limit far to the right would press the samples into a corner.
fn axis_end(last: u64, limit: Option<u64>) -> u64 {
    let samples = last + last / 25 + 2;
    let end = match limit {
        Some(limit) if limit <= samples.saturating_mul(4) => samples.max(limit + limit / 12 + 2),
        _ => samples,
    };
    end.max(SHORTEST_US)
}

fn columns(bins: &BTreeMap<u64, u64>, bin_us: u64) -> BTreeMap<u64, u64> {
    let mut columns: BTreeMap<u64, u64> = BTreeMap::new();
    for (latency, count) in bins {
        let sum = columns.entry(latency / bin_us).or_default();
        *sum = sum.saturating_add(*count);
    }
    columns
}

struct Scale {
    end: u64,
    bin_us: u64,
    decades: f64,
}

impl Scale {
    /// The share of the height at which a count stands.
    fn height(&self, count: u64) -> f64 {
        match count {
            0 => 0.0,
            count => ((count as f64).log10() + BASELINE) / (self.decades + BASELINE),
        }
    }

    /// From the ground up, along the columns, and down again at each gap.
    fn path(&self, columns: &BTreeMap<u64, u64>) -> String {
        let x = |column: u64| (column * self.bin_us) as f64 / self.end as f64 * SIDE;
        let y = |count: u64| (1.0 - self.height(count)) * SIDE;
        let mut path = String::new();
        let mut previous: Option<u64> = None;
        for (column, count) in columns {
            let (left, right, top) = (x(*column), x(column + 1), y(*count));
            let joined = previous.is_some_and(|before| before + 1 == *column);
            // Writing to a string cannot fail.
            let _ = match (joined, previous) {
                (true, _) => write!(path, "V{top:.1}H{right:.1}"),
                (false, None) => write!(path, "M{left:.1},{SIDE}V{top:.1}H{right:.1}"),
                (false, Some(_)) => write!(path, "V{SIDE}M{left:.1},{SIDE}V{top:.1}H{right:.1}"),
            };
            previous = Some(*column);
        }
        if previous.is_some() {
            let _ = write!(path, "V{SIDE}");
        }
        path
    }

    fn across(&self) -> Vec<Tick> {
        linear_ticks(self.end as f64, 8.0)
            .into_iter()
            .enumerate()
            .map(|(index, tick)| Tick {
                at: percent(tick / self.end as f64),
                label: text::count(tick as u64),
                minor: index % 2 == 1,
            })
            .collect()
    }

    fn up(&self) -> Vec<Tick> {
        (0..=self.decades as u32)
            .map(|power| Tick {
                at: percent(1.0 - self.height(10u64.pow(power))),
                label: short_count(power),
                minor: false,
            })
            .collect()
    }
}

fn marks(record: &LatencyRecord, end: u64) -> Vec<Tick> {
    let Some(totals) = &record.totals else {
        return Vec::new();
    };
    let exact = |value: Option<Percentile>| match value {
        Some(Percentile::Exact(latency)) => Some(latency),
        Some(Percentile::AtLeast(_)) | None => None,
    };
    [
        ("p99.99", exact(totals.percentiles.p99_99)),
        ("max", (totals.overflows == 0).then_some(totals.max)),
    ]
    .into_iter()
    .filter_map(|(name, latency)| {
        // The middle of the column.
        let latency = latency.filter(|latency| *latency < end)?;
        Some(Tick {
            at: percent((latency as f64 + 0.5) / end as f64),
            label: name.into(),
            minor: false,
        })
    })
    .collect()
}

fn overflow(record: &LatencyRecord) -> Option<String> {
    let totals = record
        .totals
        .as_ref()
        .filter(|totals| totals.overflows > 0)?;
    let samples = text::counted(totals.overflows, "sample", "samples");
    Some(match record.histogram_limit_us {
        Some(floor) => format!("{samples} of {} or more", text::micros(floor)),
        None => format!("{samples} beyond the histogram"),
    })
}

fn summary(record: &LatencyRecord) -> String {
    let mut sentence = format!("Histogram of latencies in {}", record.phase);
    if let Some(totals) = &record.totals {
        let _ = write!(
            sentence,
            ": {} samples, largest {}, p99.99 {}",
            text::count(totals.samples),
            text::micros(totals.max),
            text::percentile(totals.percentiles.p99_99),
        );
    }
    if let Some(limit) = record.limit_us {
        let _ = write!(sentence, ", limit {}", text::micros(limit));
    }
    sentence.push('.');
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_between_columns_goes_down_to_the_ground() {
        let scale = Scale {
            end: 10,
            bin_us: 1,
            decades: 1.0,
        };
        let columns = BTreeMap::from([(0, 10), (1, 1), (4, 10)]);
        let path = scale.path(&columns);
        assert_eq!(path.matches('M').count(), 2, "{path}");
        assert!(path.starts_with("M0.0,1000V0.0H100.0V"), "{path}");
        assert!(path.ends_with("H500.0V1000"), "{path}");
    }

    #[test]
    fn one_sample_stands_above_the_ground() {
        let scale = Scale {
            end: 10,
            bin_us: 1,
            decades: 6.0,
        };
        assert!(scale.height(1) > 0.04);
        assert!((scale.height(1_000_000) - 1.0).abs() < 1e-9);
        assert_eq!(scale.height(0), 0.0);
    }

    #[test]
    fn a_limit_far_off_does_not_press_the_samples_into_a_corner() {
        assert_eq!(axis_end(40, Some(10_000)), 43);
        assert!(axis_end(40, Some(100)) > 100);
        assert_eq!(axis_end(3, None), 20);
    }

    #[test]
    fn columns_hold_every_sample() {
        let bins = BTreeMap::from([(0, 3), (1, 4), (7, 5)]);
        assert_eq!(columns(&bins, 3), BTreeMap::from([(0, 7), (2, 5)]));
    }
}
