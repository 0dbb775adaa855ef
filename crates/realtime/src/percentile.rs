//! Percentiles of histograms with an overflow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A percentile in microseconds, by nearest rank: the smallest latency that at least the wanted
/// share of the samples does not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Percentile {
    /// It lies in the histogram.
    Exact(u64),
    /// It lies in the overflow: all that is known is that it is not less than this.
    AtLeast(u64),
}

/// The percentiles of one thread or of all; `None` where there is no sample or no histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Median.
    pub p50: Option<Percentile>,
    /// One in a hundred is above.
    pub p99: Option<Percentile>,
    /// One in a thousand is above.
    #[serde(rename = "p99.9")]
    pub p99_9: Option<Percentile>,
    /// One in ten thousand is above.
    #[serde(rename = "p99.99")]
    pub p99_99: Option<Percentile>,
}

impl Percentiles {
    /// Of the samples in `histogram` and `overflows` more, each of at least `floor` microseconds.
    pub fn of(histogram: &BTreeMap<u64, u64>, overflows: u64, floor: u64) -> Self {
        let at = |share| percentile(histogram, overflows, floor, share);
        Self {
            p50: at(5_000),
            p99: at(9_900),
            p99_9: at(9_990),
            p99_99: at(9_999),
        }
    }

    /// Each with its name.
    pub fn named(&self) -> [(&'static str, Option<Percentile>); 4] {
        [
            ("p50", self.p50),
            ("p99", self.p99),
            ("p99.9", self.p99_9),
            ("p99.99", self.p99_99),
        ]
    }
}

/// The percentile that `share` ten-thousandths of the samples do not exceed.
fn percentile(
    histogram: &BTreeMap<u64, u64>,
    overflows: u64,
    floor: u64,
    share: u64,
) -> Option<Percentile> {
    // In 128 bits: the counts come from a file, and their sum times ten thousand must fit.
    let in_bins: u128 = histogram.values().map(|count| u128::from(*count)).sum();
    let samples = in_bins + u128::from(overflows);
    if samples == 0 {
        return None;
    }
    let rank = (samples * u128::from(share)).div_ceil(10_000);
    let mut seen = 0u128;
    for (latency, count) in histogram {
        seen += u128::from(*count);
        if seen >= rank {
            return Some(Percentile::Exact(*latency));
        }
    }
    Some(Percentile::AtLeast(floor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank_takes_the_bin_that_reaches_the_share() {
        let histogram = BTreeMap::from([(3, 50), (4, 49), (9, 1)]);
        let found = Percentiles::of(&histogram, 0, 10);
        assert_eq!(found.p50, Some(Percentile::Exact(3)));
        assert_eq!(found.p99, Some(Percentile::Exact(4)));
        assert_eq!(found.p99_9, Some(Percentile::Exact(9)));
    }

    #[test]
    fn a_percentile_in_the_overflow_is_never_the_histogram_limit_itself() {
        let found = Percentiles::of(&BTreeMap::from([(3, 998)]), 2, 800);
        assert_eq!(found.p99, Some(Percentile::Exact(3)));
        assert_eq!(found.p99_9, Some(Percentile::AtLeast(800)));
    }

    #[test]
    fn no_samples_have_no_percentile() {
        assert_eq!(
            Percentiles::of(&BTreeMap::new(), 0, 800),
            Percentiles::default()
        );
    }
}
