//! Latency histograms drawn in a terminal: linear latency to the right, count upwards on a
//! logarithmic axis that begins below one, so that a single sample is seen.

mod overlay;
mod scale;

use std::collections::BTreeMap;

use basalt_realtime::{LatencyRecord, ThreadRecord};

use crate::canvas::Canvas;
use crate::style::{Ink, Style, grouped, tame};
pub use overlay::overlay;
use scale::{Counts, GUTTER, Scale};

/// Eighths of a cell, filled from below.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Fewer rows of bars than this show nothing.
const LEAST_ROWS: usize = 3;
/// Space to the right of the plot for a CPU's maximum.
const CPU_NOTE: usize = 14;

/// Draws one phase: title, bars of all CPUs together, axis, and a line a CPU where there are
/// several. `height` is the number of rows of bars. Lines end with a newline.
pub fn histogram(record: &LatencyRecord, style: Style, height: usize) -> String {
    let mut text = title(record, style);
    let height = height.max(LEAST_ROWS);
    let counts = Counts::of(record);
    if counts.is_empty() {
        text.push_str(&style.paint(Ink::Faint, "  (no histogram)"));
        text.push('\n');
        return text;
    }
    let several = record.threads.len() > 1;
    let note = if several { CPU_NOTE } else { 1 };
    let columns = style.width.saturating_sub(GUTTER + note).max(20);
    let scale = Scale::new(&[&counts], record.limit_us, columns, height);
    let mut canvas = Canvas::new(height + 3, GUTTER + columns + note);
    scale.draw_frame(&mut canvas);
    for (column, count) in scale.columns_of(&counts).into_iter().enumerate() {
        let ink = scale.ink_at(&counts, column);
        for (row, sign) in stack(scale.eighths(count), height).into_iter().enumerate() {
            if sign != ' ' {
                canvas.put(row + 1, GUTTER + column, sign, ink);
            }
        }
    }
    text.push_str(&canvas.render(style));
    if several {
        for thread in &record.threads {
            text.push_str(&cpu_line(record, thread, &scale, style));
        }
    }
    text.push_str(&scale.caption(style));
    text
}

/// A column of `eighths`, from the top row down.
fn stack(eighths: usize, height: usize) -> Vec<char> {
    (0..height)
        .rev()
        .map(|row| BLOCKS[eighths.saturating_sub(row * 8).min(8)])
        .collect()
}

fn title(record: &LatencyRecord, style: Style) -> String {
    let samples = record.totals.as_ref().map_or(0, |totals| totals.samples);
    let load = match record.loads.is_empty() {
        true => String::new(),
        false => format!(" under {}", record.load_words()),
    };
    let about = format!(
        " · {}{load} · {} s at {} µs · {} samples · ",
        record.measure,
        record.duration_s,
        record.interval_us,
        grouped(samples),
    );
    format!(
        "{}{}{}\n{}\n",
        style.paint(Ink::Strong, &tame(&record.phase)),
        tame(&about),
        style.paint(Ink::of(record.verdict), record.verdict.as_str()),
        style.paint(Ink::Faint, &format!("timebase: {}", timebase(record))),
    )
}

/// What the board's clock is worth (decision D12).
pub(crate) fn timebase(record: &LatencyRecord) -> String {
    match &record.environment.timebase {
        Some(timebase) => tame(timebase),
        None => "the board's own clock".into(),
    }
}

/// One CPU on the axis of all: eight levels of the same logarithmic height, and its maximum.
fn cpu_line(record: &LatencyRecord, thread: &ThreadRecord, scale: &Scale, style: Style) -> String {
    let measured = &thread.measured;
    let name = match measured.cpu {
        Some(cpu) => format!("CPU {cpu}"),
        None => format!("T {}", measured.id),
    };
    let counts = Counts::of_thread(record, thread);
    let mut canvas = Canvas::new(1, scale.width() + GUTTER + CPU_NOTE);
    canvas.write(0, 0, &format!("{name:>6} "), Ink::Faint);
    canvas.put(0, GUTTER - 1, '│', Ink::Faint);
    for (column, count) in scale.columns_of(&counts).into_iter().enumerate() {
        let level = scale.level(count, 8);
        if level > 0 {
            canvas.put(
                0,
                GUTTER + column,
                BLOCKS[level],
                scale.ink_at(&counts, column),
            );
        }
    }
    let max = match measured.max {
        Some(max) => format!("max {max} µs"),
        None => "no data".into(),
    };
    let above = record
        .limit_us
        .zip(measured.max)
        .is_some_and(|(limit, max)| max > limit);
    let ink = if above { Ink::Bad } else { Ink::Plain };
    canvas.write(0, GUTTER + scale.width() + 1, &max, ink);
    canvas.render(style)
}

/// The samples of all threads of a record by latency, shared with the scale.
fn bins(record: &LatencyRecord) -> BTreeMap<u64, u64> {
    record.merged_histogram()
}
