//! Two histograms on the same axes.

use basalt_realtime::LatencyRecord;

use super::scale::{Counts, GUTTER, Scale};
use super::{BLOCKS, LEAST_ROWS, timebase};
use crate::canvas::Canvas;
use crate::style::{Ink, Style, grouped, tame};

/// Draws two phases over each other, with a legend. Without colours the first is `▒`, the second
/// `░`, and `█` is where both are. The limit is drawn where both have the same.
pub fn overlay(
    first: (&str, &LatencyRecord),
    second: (&str, &LatencyRecord),
    style: Style,
    height: usize,
) -> String {
    let mut text = legend(first, Ink::First, '▒', style);
    text.push_str(&legend(second, Ink::Second, '░', style));
    text.push_str(&format!("  {} both\n", style.paint(Ink::Both, "█")));
    text.push_str(&timebases(first, second, style));
    let height = height.max(LEAST_ROWS);
    let counts = [Counts::of(first.1), Counts::of(second.1)];
    if counts.iter().all(Counts::is_empty) {
        text.push_str(&style.paint(Ink::Faint, "  (no histograms)"));
        text.push('\n');
        return text;
    }
    let limit = first
        .1
        .limit_us
        .filter(|limit| second.1.limit_us == Some(*limit));
    let columns = style.width.saturating_sub(GUTTER + 1).max(20);
    let scale = Scale::new(&[&counts[0], &counts[1]], limit, columns, height);
    let mut canvas = Canvas::new(height + 3, GUTTER + columns + 1);
    scale.draw_frame(&mut canvas);
    let pairs = scale
        .columns_of(&counts[0])
        .into_iter()
        .zip(scale.columns_of(&counts[1]));
    for (column, (one, other)) in pairs.enumerate() {
        let heights = (scale.eighths(one), scale.eighths(other));
        for row in 0..height {
            let (sign, ink) = match style.color {
                true => colored(heights, (height - 1 - row) * 8),
                false => shaded(heights, (height - 1 - row) * 8),
            };
            if sign != ' ' {
                canvas.put(row + 1, GUTTER + column, sign, ink);
            }
        }
    }
    text.push_str(&canvas.render(style));
    text.push_str(&scale.caption(style));
    text
}

fn legend(named: (&str, &LatencyRecord), ink: Ink, shade: char, style: Style) -> String {
    let (name, record) = named;
    let sign = if style.color { '█' } else { shade };
    let numbers = match &record.totals {
        Some(totals) => format!(
            "{} samples, min {}, max {} µs",
            grouped(totals.samples),
            totals.min,
            totals.max
        ),
        None => "no samples".into(),
    };
    format!(
        "  {} {} · {} · {numbers} · {}\n",
        style.paint(ink, &sign.to_string()),
        style.paint(Ink::Strong, &tame(name)),
        tame(&record.phase),
        style.paint(Ink::of(record.verdict), record.verdict.as_str()),
    )
}

fn timebases(
    first: (&str, &LatencyRecord),
    second: (&str, &LatencyRecord),
    style: Style,
) -> String {
    let (one, other) = (timebase(first.1), timebase(second.1));
    let lines = match one == other {
        true => vec![format!("timebase of both: {one}")],
        false => vec![
            format!("timebase of {}: {one}", tame(first.0)),
            format!("timebase of {}: {other}", tame(second.0)),
        ],
    };
    let lines = lines
        .iter()
        .map(|line| style.paint(Ink::Faint, &format!("  {line}")) + "\n");
    lines.collect()
}

/// One cell whose lower edge is at `base` eighths. A cell can show one edge: the part above it
/// has the background's colour.
fn colored((first, second): (usize, usize), base: usize) -> (char, Ink) {
    let lower = first.min(second);
    let (upper, taller) = match first >= second {
        true => (first, Ink::First),
        false => (second, Ink::Second),
    };
    if lower >= base + 8 {
        return ('█', Ink::Both);
    }
    if lower > base {
        let sign = BLOCKS[lower - base];
        if upper == lower {
            return (sign, Ink::Both);
        }
        return match taller {
            Ink::First => (sign, Ink::BothUnderFirst),
            _ => (sign, Ink::BothUnderSecond),
        };
    }
    (BLOCKS[upper.saturating_sub(base).min(8)], taller)
}

/// The same without colours: a cell belongs to whoever reaches its middle, and the foot of a
/// column to whoever is there at all.
fn shaded((first, second): (usize, usize), base: usize) -> (char, Ink) {
    let there = |eighths: usize| eighths > base + 3 || base == 0 && eighths > 0;
    let sign = match (there(first), there(second)) {
        (true, true) => '█',
        (true, false) => '▒',
        (false, true) => '░',
        (false, false) => ' ',
    };
    (sign, Ink::Plain)
}
