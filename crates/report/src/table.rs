//! The table of phases.

use basalt_model::Verdict;
use basalt_realtime::{LatencyRecord, Percentile};

use crate::histogram::timebase;
use crate::style::{Ink, Style, grouped, tame};

/// One column: its head, its cells, and when it may be left out on a narrow terminal.
struct Column {
    head: &'static str,
    left: bool,
    /// Left out first where highest; 0 is never left out.
    dispensable: u8,
    cell: fn(&LatencyRecord) -> (String, Ink),
}

fn columns() -> Vec<Column> {
    let number = |head, dispensable, cell| Column {
        head,
        left: false,
        dispensable,
        cell,
    };
    vec![
        Column {
            head: "phase",
            left: true,
            dispensable: 0,
            cell: |record| (tame(&record.phase), Ink::Strong),
        },
        number("samples", 3, |record| {
            of_totals(record, |totals| Some(grouped(totals.samples)))
        }),
        number("min", 2, |record| {
            of_totals(record, |totals| Some(totals.min.to_string()))
        }),
        number("avg", 4, |record| {
            of_totals(record, |totals| totals.avg.map(|avg| format!("{avg:.1}")))
        }),
        number("p50", 5, |record| {
            of_totals(record, |totals| percentile(totals.percentiles.p50))
        }),
        number("p99", 1, |record| {
            of_totals(record, |totals| percentile(totals.percentiles.p99))
        }),
        number("p99.9", 0, |record| {
            of_totals(record, |totals| percentile(totals.percentiles.p99_9))
        }),
        number("p99.99", 6, |record| {
            of_totals(record, |totals| percentile(totals.percentiles.p99_99))
        }),
        number("max", 0, |record| {
            let (text, _) = of_totals(record, |totals| Some(totals.max.to_string()));
            let max = record.totals.as_ref().map(|totals| totals.max);
            let above = record
                .limit_us
                .zip(max)
                .is_some_and(|(limit, max)| max > limit);
            (text, if above { Ink::Bad } else { Ink::Plain })
        }),
        number("limit", 0, |record| {
            (
                record
                    .limit_us
                    .map_or("–".into(), |limit| limit.to_string()),
                Ink::Plain,
            )
        }),
        Column {
            head: "verdict",
            left: true,
            dispensable: 0,
            cell: verdict,
        },
    ]
}

fn of_totals(
    record: &LatencyRecord,
    text: impl Fn(&basalt_realtime::Totals) -> Option<String>,
) -> (String, Ink) {
    let text = record.totals.as_ref().and_then(text);
    (text.unwrap_or_else(|| "–".into()), Ink::Plain)
}

fn percentile(percentile: Option<Percentile>) -> Option<String> {
    Some(match percentile? {
        Percentile::Exact(latency) => latency.to_string(),
        Percentile::AtLeast(latency) => format!("≥{latency}"),
    })
}

fn verdict(record: &LatencyRecord) -> (String, Ink) {
    let sign = match record.verdict {
        Verdict::Pass => '✔',
        Verdict::Fail => '✘',
        Verdict::Invalid => '?',
        Verdict::Measured => '•',
    };
    let partial = if record.partial { " (partial)" } else { "" };
    (
        format!("{sign} {}{partial}", record.verdict),
        Ink::of(record.verdict),
    )
}

/// The phases, one a line, then why those that did not pass did not, and the timebase. Columns are
/// left out where the terminal is too narrow. Lines end with a newline.
pub fn table(records: &[LatencyRecord], style: Style) -> String {
    let mut columns = columns();
    let rows: Vec<_> = records.iter().collect();
    while width(&columns, &rows) > style.width {
        let least = columns
            .iter()
            .map(|column| column.dispensable)
            .max()
            .unwrap_or(0);
        if least == 0 {
            break;
        }
        columns.retain(|column| column.dispensable != least);
    }
    let widths: Vec<_> = columns
        .iter()
        .map(|column| column_width(column, &rows))
        .collect();
    let mut text = String::new();
    let heads = columns
        .iter()
        .map(|column| (column.head.to_owned(), Ink::Faint))
        .collect();
    push_row(&mut text, heads, &columns, &widths, style);
    let rule: usize = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
    text.push_str(&style.paint(Ink::Faint, &format!(" {}", "─".repeat(rule))));
    text.push('\n');
    for record in &rows {
        let cells = columns.iter().map(|column| (column.cell)(record)).collect();
        push_row(&mut text, cells, &columns, &widths, style);
    }
    push_notes(&mut text, &rows, style);
    text
}

fn column_width(column: &Column, rows: &[&LatencyRecord]) -> usize {
    let cells = rows
        .iter()
        .map(|record| (column.cell)(record).0.chars().count());
    cells.max().unwrap_or(0).max(column.head.len())
}

fn width(columns: &[Column], rows: &[&LatencyRecord]) -> usize {
    columns
        .iter()
        .map(|column| column_width(column, rows) + 2)
        .sum::<usize>()
}

fn push_row(
    text: &mut String,
    cells: Vec<(String, Ink)>,
    columns: &[Column],
    widths: &[usize],
    style: Style,
) {
    let mut line = String::from(" ");
    for (index, ((cell, ink), (column, width))) in cells
        .into_iter()
        .zip(columns.iter().zip(widths))
        .enumerate()
    {
        let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
        let cell = style.paint(ink, &cell);
        if index > 0 {
            line.push_str("  ");
        }
        match column.left {
            true => line.extend([cell, pad]),
            false => line.extend([pad, cell]),
        }
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn push_notes(text: &mut String, rows: &[&LatencyRecord], style: Style) {
    for record in rows.iter().filter(|record| record.verdict != Verdict::Pass) {
        let phase = style.paint(Ink::of(record.verdict), &tame(&record.phase));
        text.push_str(&format!(" {phase}: {}\n", tame(&record.sentence())));
    }
    let mut timebases: Vec<(String, Vec<String>)> = Vec::new();
    for record in rows {
        let timebase = timebase(record);
        match timebases.iter_mut().find(|(known, _)| *known == timebase) {
            Some((_, phases)) => phases.push(tame(&record.phase)),
            None => timebases.push((timebase, vec![tame(&record.phase)])),
        }
    }
    let several = timebases.len() > 1;
    for (timebase, phases) in timebases {
        let of = if several {
            format!(" of {}", phases.join(", "))
        } else {
            String::new()
        };
        let line = format!(" latencies in µs · timebase{of}: {timebase}");
        text.push_str(&style.paint(Ink::Faint, &line));
        text.push('\n');
    }
}
