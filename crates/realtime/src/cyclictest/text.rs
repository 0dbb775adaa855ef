//! What cyclictest prints: the histogram of `-h`/`-H`, or a line a thread without one.
//!
//! Differences from the JSON that matter: rows hold every bin, `-H` adds a column with the sum to
//! the rows, the totals and the maxima but not to the minima and averages, averages are whole
//! numbers, and nothing says which kernel, CPU or unit it was. Microseconds are taken for granted.

use std::collections::BTreeMap;

use super::{LARGEST, ParseError};
use crate::measurement::{Measurement, Thread};

/// Reads what `cyclictest -q` printed to its standard output.
///
/// # Errors
/// [`ParseError`], by name; a usage text (exit 0!) is [`ParseError::NotCyclictest`].
pub fn parse_text(text: &str) -> Result<Measurement, ParseError> {
    if text.trim().is_empty() {
        return Err(ParseError::Empty);
    }
    let is_histogram = text.lines().any(|line| line.trim() == "# Histogram");
    let (threads, histogram_limit) = if is_histogram {
        histogram(text)?
    } else {
        (status_lines(text)?, None)
    };
    Ok(Measurement {
        tool: "cyclictest".into(),
        tool_version: None,
        command: None,
        release: None,
        version: None,
        realtime_flag: None,
        return_code: None,
        start: None,
        end: None,
        resolution_ns: 1000,
        threads,
        histogram_limit,
        break_value: summary(text, "Break value").and_then(|values| values.first().copied()),
    })
}

/// The numbers after `# <label>:`.
fn summary(text: &str, label: &str) -> Option<Vec<u64>> {
    let values = text.lines().find_map(|line| {
        line.trim_start()
            .strip_prefix("# ")?
            .strip_prefix(label)?
            .strip_prefix(':')
    })?;
    values
        .split_whitespace()
        .map(|value| value.parse().ok())
        .collect()
}

fn histogram(text: &str) -> Result<(Vec<Thread>, Option<u64>), ParseError> {
    let truncated = || ParseError::Truncated {
        line: text.lines().count(),
    };
    let needed = |label| summary(text, label).ok_or_else(truncated);
    // The minima have one value a thread even with `-H`; they say how many threads there are.
    let minima = needed("Min Latencies")?;
    let averages = needed("Avg Latencies")?;
    let maxima = needed("Max Latencies")?;
    let totals = needed("Total")?;
    let overflows = needed("Histogram Overflows")?;
    let count = minima.len();
    if count == 0 {
        return Err(ParseError::Threads {
            announced: 0,
            found: 0,
        });
    }
    if [&averages, &maxima, &totals, &overflows]
        .iter()
        .any(|values| values.len() < count)
    {
        return Err(truncated());
    }
    let mut bins = vec![BTreeMap::new(); count];
    let mut limit = 0;
    for (index, line) in text.lines().enumerate() {
        let Some((latency, counts)) = row(line) else {
            continue;
        };
        if counts.len() < count {
            return Err(ParseError::Truncated { line: index + 1 });
        }
        limit = limit.max(latency.saturating_add(1));
        for (bins, counted) in bins.iter_mut().zip(counts) {
            if counted > 0 {
                bins.insert(latency, counted);
            }
        }
    }
    let threads = bins.into_iter().enumerate().map(|(index, bins)| {
        let in_bins = bins
            .values()
            .fold(0u64, |sum, count| sum.saturating_add(*count));
        if in_bins != totals[index] {
            return Err(ParseError::Inconsistent {
                thread: index as u32,
                what: format!(
                    "{in_bins} samples in the rows, {} in the total",
                    totals[index]
                ),
            });
        }
        let cycles = in_bins.saturating_add(overflows[index]);
        if cycles > LARGEST || maxima[index] > LARGEST {
            return Err(ParseError::Inconsistent {
                thread: index as u32,
                what: "numbers that no run can reach".into(),
            });
        }
        let counted = cycles > 0;
        Ok(Thread {
            id: index as u32,
            cpu: None,
            cycles,
            min: counted.then_some(minima[index]),
            avg: counted.then_some(averages[index] as f64),
            max: counted.then_some(maxima[index]),
            histogram: bins,
            overflows: overflows[index],
        })
    });
    Ok((threads.collect::<Result<_, _>>()?, Some(limit)))
}

/// A row of the histogram: `000017 000003<TAB>000005`.
fn row(line: &str) -> Option<(u64, Vec<u64>)> {
    let mut words = line.split_whitespace();
    let latency: u64 = words.next().filter(|word| word.len() >= 6)?.parse().ok()?;
    let counts = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    Some((latency, counts))
}

/// `T: 0 ( 1234) P:80 I:1000 C:   20 Min:   12 Act:   13 Avg:   13 Max:   19`. Without `-q` the
/// lines are printed again and again; the last one of a thread counts.
fn status_lines(text: &str) -> Result<Vec<Thread>, ParseError> {
    let mut threads = BTreeMap::new();
    for line in text.lines() {
        // Cursor movements stand before the `T`.
        let Some(at) = line.find("T:") else {
            continue;
        };
        let line = &line[at..];
        let field = |label: &str| -> Option<u64> {
            let rest = &line[line.find(label)? + label.len()..];
            rest.split_whitespace().next()?.parse().ok()
        };
        let values = (|| {
            let id = u32::try_from(field("T:")?).ok()?;
            Some((
                id,
                field(" C:")?,
                field("Min:")?,
                field("Avg:")?,
                field("Max:")?,
            ))
        })();
        let Some((id, cycles, min, avg, max)) = values else {
            continue;
        };
        if cycles > LARGEST || max > LARGEST {
            continue;
        }
        let counted = cycles > 0;
        let thread = Thread {
            id,
            cpu: None,
            cycles,
            min: counted.then_some(min),
            avg: counted.then_some(avg as f64),
            max: counted.then_some(max),
            histogram: BTreeMap::new(),
            overflows: 0,
        };
        threads.insert(id, thread);
    }
    if threads.is_empty() {
        let first = text
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        return Err(ParseError::NotCyclictest {
            what: format!(
                "it begins with {:?}",
                first.chars().take(80).collect::<String>()
            ),
        });
    }
    Ok(threads.into_values().collect())
}
