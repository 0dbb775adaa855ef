//! Drawings as SVG that fits any width and any theme.
//!
//! Places are percentages of the drawing, so that text keeps its size on a phone; curves lie in an
//! inner picture of 1000 by 1000 units that is stretched. Colours are classes of `basalt.css`.
//! `plot.ts` adds what a pointer and the keyboard can ask.

mod histogram;
mod trend;

pub use histogram::{Histogram, Series};
pub use trend::{Mark, Stretch, Trend};
pub(crate) use trend::{colour_of, kernels};

/// The units of the inner picture, both ways.
const SIDE: f64 = 1000.0;

/// A mark on an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Where, in percent from the left or from the top.
    pub at: f64,
    /// What stands there.
    pub label: String,
    /// Left out on narrow screens.
    pub minor: bool,
}

/// The next of 1, 2, 5, 10, 20, 50, … that is not less than `least`.
fn nice_step(least: f64) -> f64 {
    let mut power = 1.0;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            if power * factor >= least {
                return power * factor;
            }
        }
        power *= 10.0;
    }
}

/// Ticks of a linear axis from 0 to `end`.
fn linear_ticks(end: f64, wanted: f64) -> Vec<f64> {
    let step = nice_step(end / wanted);
    let mut ticks = Vec::new();
    let mut tick = 0.0;
    while tick <= end * 1.0001 {
        ticks.push(tick);
        tick += step;
    }
    ticks
}

/// A count in few characters: `1`, `10`, `1k`, `1M`.
fn short_count(power: u32) -> String {
    let digit = 10u64.pow(power % 3);
    match power / 3 {
        0 => digit.to_string(),
        1 => format!("{digit}k"),
        2 => format!("{digit}M"),
        3 => format!("{digit}G"),
        _ => format!("1e{power}"),
    }
}

/// A percentage with at most two decimals, as SVG attributes have it.
fn percent(share: f64) -> f64 {
    (share * 10_000.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(
            linear_ticks(100.0, 5.0),
            [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
        );
        assert_eq!(linear_ticks(7.0, 4.0), [0.0, 2.0, 4.0, 6.0]);
        assert_eq!(nice_step(51.0), 100.0);
    }

    #[test]
    fn powers_of_ten_are_short() {
        assert_eq!(
            [0, 2, 3, 5, 6, 9].map(short_count),
            ["1", "100", "1k", "100k", "1M", "1G"]
        );
    }
}
