//! From latencies to columns and from counts to heights.

use std::collections::BTreeMap;

use basalt_realtime::{LatencyRecord, ThreadRecord};

use crate::canvas::Canvas;
use crate::style::{Ink, Style};

/// Columns left of the plot: the count's label and the axis.
pub(super) const GUTTER: usize = 8;

/// What is drawn: samples by latency, and those that the histogram does not hold.
pub(super) struct Counts {
    pub(super) bins: BTreeMap<u64, u64>,
    pub(super) overflows: u64,
    /// Smallest latency of an overflow.
    floor: u64,
}

impl Counts {
    pub(super) fn of(record: &LatencyRecord) -> Self {
        let overflows = record.totals.as_ref().map_or(0, |totals| totals.overflows);
        Self::with(record, super::bins(record), overflows)
    }

    pub(super) fn of_thread(record: &LatencyRecord, thread: &ThreadRecord) -> Self {
        let measured = &thread.measured;
        Self::with(record, measured.histogram.clone(), measured.overflows)
    }

    fn with(record: &LatencyRecord, bins: BTreeMap<u64, u64>, overflows: u64) -> Self {
        let last = bins.keys().next_back().map_or(0, |bin| bin + 1);
        Self {
            bins,
            overflows,
            floor: record.histogram_limit_us.unwrap_or(last),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bins.is_empty() && self.overflows == 0
    }
}

/// The axes of one drawing.
pub(super) struct Scale {
    /// Microseconds a column, where a column holds several.
    bin_us: u64,
    /// Columns a microsecond, where there is room for more than one.
    repeat: usize,
    /// Columns of the axis, the one for overflows not counted.
    columns: usize,
    /// The smallest latency of the overflows drawn, where there are any.
    overflow: Option<u64>,
    limit: Option<u64>,
    height: usize,
    /// Decimal logarithm of the highest column, from a baseline below one sample.
    top: f64,
}

/// One sample stands this far above the baseline, in decades.
const BASELINE: f64 = 0.3;

impl Scale {
    /// Axes for everything in `all` and, where it is not far off, the limit.
    pub(super) fn new(all: &[&Counts], limit: Option<u64>, columns: usize, height: usize) -> Self {
        let overflow = all
            .iter()
            .filter(|one| one.overflows > 0)
            .map(|one| one.floor)
            .min();
        let last_bin = all
            .iter()
            .filter_map(|one| one.bins.keys().next_back())
            .max();
        // The axis ends with the last bin that holds a sample; overflows stand beyond it, alone.
        let data_end = last_bin.map_or(0, |bin| bin + 1).max(10);
        // A limit far to the right would press the data into a corner; it is pointed at instead.
        let end = match limit {
            Some(limit) if limit <= data_end.saturating_mul(4) => {
                data_end.max(limit.saturating_add(limit / 20 + 2))
            }
            _ => data_end,
        };
        let room = columns
            .saturating_sub(if overflow.is_some() { 2 } else { 0 })
            .max(1) as u64;
        let bin_us = end.div_ceil(room).max(1);
        let repeat = if bin_us == 1 {
            (room / end).clamp(1, 4) as usize
        } else {
            1
        };
        let mut scale = Self {
            bin_us,
            repeat,
            columns: end.div_ceil(bin_us) as usize * repeat,
            overflow,
            limit,
            height,
            top: 1.0,
        };
        let highest = all
            .iter()
            .flat_map(|one| scale.columns_of(one))
            .max()
            .unwrap_or(1);
        scale.top = (highest.max(1) as f64).log10() + BASELINE;
        scale
    }

    /// Columns of the plot, the one for overflows and the blank before it included.
    pub(super) fn width(&self) -> usize {
        self.columns + if self.overflow.is_some() { 2 } else { 0 }
    }

    fn column_of(&self, latency: u64) -> usize {
        (latency / self.bin_us) as usize * self.repeat
    }

    /// The counts a column.
    pub(super) fn columns_of(&self, counts: &Counts) -> Vec<u64> {
        let mut columns = vec![0u64; self.width()];
        for (latency, count) in &counts.bins {
            let first = self.column_of(*latency);
            for column in columns.iter_mut().skip(first).take(self.repeat) {
                *column = column.saturating_add(*count);
            }
        }
        if self.overflow.is_some()
            && let Some(last) = columns.last_mut()
        {
            *last = counts.overflows;
        }
        columns
    }

    /// Height of a count in steps of which the plot has `steps`; one sample is at least one step.
    pub(super) fn level(&self, count: u64, steps: usize) -> usize {
        if count == 0 {
            return 0;
        }
        let share = ((count as f64).log10() + BASELINE) / self.top;
        ((share * steps as f64).round() as usize).clamp(1, steps)
    }

    /// Height of a count in eighths of a row.
    pub(super) fn eighths(&self, count: u64) -> usize {
        self.level(count, self.height * 8)
    }

    /// Red where the column holds a sample above the limit.
    pub(super) fn ink_at(&self, counts: &Counts, column: usize) -> Ink {
        let overflowing = self.overflow.is_some() && column + 1 == self.width();
        match self.limit {
            Some(limit) if overflowing && counts.floor > limit => Ink::Bad,
            _ if overflowing => Ink::Odd,
            Some(limit) if self.holds_above(counts, column, limit) => Ink::Bad,
            Some(_) => Ink::Good,
            None => Ink::First,
        }
    }

    fn holds_above(&self, counts: &Counts, column: usize, limit: u64) -> bool {
        let from = (column / self.repeat) as u64 * self.bin_us;
        let above = from.max(limit.saturating_add(1));
        above < from + self.bin_us
            && counts
                .bins
                .range(above..from + self.bin_us)
                .next()
                .is_some()
    }

    /// Axes, labels and the limit. The canvas has a row above the `height` rows of bars and two
    /// below.
    pub(super) fn draw_frame(&self, canvas: &mut Canvas) {
        for row in 1..=self.height {
            canvas.put(row, GUTTER - 1, '│', Ink::Faint);
        }
        self.label_counts(canvas);
        let axis = self.height + 1;
        canvas.put(axis, GUTTER - 1, '└', Ink::Faint);
        for column in 0..self.columns {
            canvas.put(axis, GUTTER + column, '─', Ink::Faint);
        }
        self.label_latencies(canvas, axis);
        self.draw_limit(canvas, axis);
    }

    fn label_counts(&self, canvas: &mut Canvas) {
        for power in 0..=self.top as u32 {
            let eighths = self.eighths(10u64.saturating_pow(power));
            let row = self.height + 1 - eighths.div_ceil(8);
            let label = match power {
                0..=2 => 10u64.pow(power).to_string(),
                3..=5 => format!("{}k", 10u64.pow(power - 3)),
                6..=8 => format!("{}M", 10u64.pow(power - 6)),
                _ => format!("1e{power}"),
            };
            if canvas.is_blank(row, 0..GUTTER - 1) {
                canvas.write(row, 0, &format!("{label:>6}"), Ink::Faint);
                canvas.put(row, GUTTER - 1, '┤', Ink::Faint);
            }
        }
    }

    fn label_latencies(&self, canvas: &mut Canvas, axis: usize) {
        let end = self.columns as u64 / self.repeat as u64 * self.bin_us;
        let wanted = (self.columns / 8).max(2) as u64;
        let step = nice_step(end.div_ceil(wanted));
        for tick in 0..=end / step {
            let latency = tick * step;
            let column = self.column_of(latency);
            if column >= self.columns {
                break;
            }
            canvas.put(axis, GUTTER + column, '┬', Ink::Faint);
            let label = latency.to_string();
            let at = (GUTTER + column).saturating_sub(label.len() / 2);
            canvas.write(axis + 1, at, &label, Ink::Faint);
        }
        let mut unit_at = GUTTER + self.columns - 2;
        if let Some(floor) = self.overflow {
            let label = format!("≥{floor}");
            let at = GUTTER + self.width() - label.chars().count();
            // The label of the overflows is worth more than a tick's.
            let before = at.saturating_sub(5);
            canvas.write(axis + 1, before, "     ", Ink::Plain);
            canvas.write(axis + 1, at, &label, Ink::Odd);
            canvas.put(axis, GUTTER + self.width() - 1, '»', Ink::Odd);
            unit_at = at.saturating_sub(3);
        }
        while unit_at > GUTTER && !canvas.is_blank(axis + 1, unit_at - 1..unit_at + 2) {
            unit_at -= 1;
        }
        canvas.write(axis + 1, unit_at, "µs", Ink::Faint);
    }

    fn draw_limit(&self, canvas: &mut Canvas, axis: usize) {
        let Some(limit) = self.limit else { return };
        let label = format!("limit {limit} µs");
        let length = label.chars().count();
        // The line stands where the first latency above the limit would be.
        let column = self.column_of(limit.saturating_add(1));
        if column >= self.columns {
            let at = (GUTTER + self.columns).saturating_sub(length + 2);
            canvas.write(0, at, &format!("{label} →"), Ink::Bad);
            return;
        }
        for row in 0..=self.height {
            canvas.put(row, GUTTER + column, '┊', Ink::Bad);
        }
        canvas.put(axis, GUTTER + column, '┴', Ink::Bad);
        if column > length + 1 {
            canvas.write(0, GUTTER + column - length - 1, &label, Ink::Bad);
        } else {
            canvas.write(0, GUTTER + column + 2, &label, Ink::Bad);
        }
    }

    /// What a column holds.
    pub(super) fn caption(&self, style: Style) -> String {
        let column = match (self.bin_us, self.repeat) {
            (1, 1) => "1 µs a column".to_owned(),
            (1, repeat) => format!("1 µs in {repeat} columns"),
            (bin, _) => format!("{bin} µs a column"),
        };
        let text = format!("{:GUTTER$}{column}, counts on a logarithmic axis", "");
        format!("{}\n", style.paint(Ink::Faint, &text))
    }
}

/// The next of 1, 2, 5, 10, 20, 50, ….
fn nice_step(least: u64) -> u64 {
    let mut power = 1u64;
    loop {
        for factor in [1, 2, 5] {
            let step = power.saturating_mul(factor);
            if step >= least {
                return step;
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(bins: &[(u64, u64)], overflows: u64, floor: u64) -> Counts {
        Counts {
            bins: bins.iter().copied().collect(),
            overflows,
            floor,
        }
    }

    #[test]
    fn every_sample_is_in_exactly_one_column() {
        for columns in [20, 33, 72, 200] {
            let one = counts(&[(0, 3), (17, 5), (399, 1), (400, 2)], 4, 800);
            let scale = Scale::new(&[&one], Some(400), columns, 10);
            let sum: u64 = scale.columns_of(&one).iter().step_by(scale.repeat).sum();
            assert_eq!(sum, 15, "{columns} columns");
            assert!(scale.width() <= columns);
        }
    }

    #[test]
    fn one_sample_is_seen_beside_a_million() {
        let one = counts(&[(3, 1_000_000), (9, 1)], 0, 800);
        let scale = Scale::new(&[&one], None, 72, 10);
        assert!(scale.eighths(1) >= 1);
        assert_eq!(scale.eighths(1_000_000), 80);
        assert_eq!(scale.eighths(0), 0);
    }

    #[test]
    fn only_columns_with_samples_above_the_limit_are_red() {
        let one = counts(&[(100, 9), (400, 1), (401, 1)], 1, 800);
        let scale = Scale::new(&[&one], Some(400), 50, 10);
        let red: Vec<_> = (0..scale.width())
            .filter(|column| scale.ink_at(&one, *column) == Ink::Bad)
            .collect();
        assert_eq!(red, [scale.column_of(401), scale.width() - 1]);
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(
            [1, 3, 6, 11, 40, 51].map(nice_step),
            [1, 5, 10, 20, 50, 100]
        );
    }
}
