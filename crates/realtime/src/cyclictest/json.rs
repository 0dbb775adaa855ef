//! The file of `--json=FILE`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::{LARGEST, ParseError, options};
use crate::measurement::{Measurement, Thread};

#[derive(Deserialize)]
struct File {
    file_version: u64,
    #[serde(rename = "cmdline:")]
    command: String,
    #[serde(rename = "rt_test_version:")]
    tool_version: Option<String>,
    start_time: Option<String>,
    end_time: Option<String>,
    return_code: Option<i64>,
    sysinfo: Option<SystemInformation>,
    num_threads: u64,
    resolution_in_ns: u64,
    thread: BTreeMap<u32, FileThread>,
}

#[derive(Deserialize)]
struct SystemInformation {
    release: Option<String>,
    version: Option<String>,
    realtime: Option<u64>,
}

#[derive(Deserialize)]
struct FileThread {
    #[serde(default)]
    histogram: BTreeMap<u64, u64>,
    cycles: u64,
    min: i64,
    max: i64,
    avg: Option<f64>,
    cpu: Option<i64>,
}

/// Reads the file that `--json` wrote.
///
/// # Errors
/// [`ParseError`], by name, for whatever is not the complete file of one run. A run that was ended
/// early leaves a complete file; only its cycles tell.
pub fn parse_json(bytes: &[u8]) -> Result<Measurement, ParseError> {
    let text = String::from_utf8_lossy(bytes);
    if text.trim().is_empty() {
        return Err(ParseError::Empty);
    }
    let text: String = text
        .lines()
        .flat_map(|line| [repaired(line), "\n".into()])
        .collect();
    let file: File = serde_json::from_str(&text).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => ParseError::Truncated { line: error.line() },
        _ => ParseError::NotCyclictest {
            what: error.to_string(),
        },
    })?;
    measurement(file)
}

/// A line with the program's two kinds of broken JSON mended: the unescaped command line and the
/// averages that are not numbers.
fn repaired(line: &str) -> Cow<'_, str> {
    let bare = line.trim();
    if let Some(value) = bare.strip_prefix("\"cmdline:\": \"") {
        if let Some(command) = value.strip_suffix("\",") {
            let command = command.replace('\\', "\\\\").replace('"', "\\\"");
            return format!("\"cmdline:\": \"{command}\",").into();
        }
    } else if let Some(value) = bare.strip_prefix("\"avg\": ") {
        let (number, comma) = match value.strip_suffix(',') {
            Some(number) => (number, ","),
            None => (value, ""),
        };
        if matches!(number, "nan" | "-nan" | "inf" | "-inf") {
            return format!("\"avg\": null{comma}").into();
        }
    }
    line.into()
}

fn measurement(file: File) -> Result<Measurement, ParseError> {
    if file.file_version != 1 {
        return Err(ParseError::Version(file.file_version));
    }
    let resolution_ns = match file.resolution_in_ns {
        0 => 1000,
        1 => 1,
        other => {
            return Err(ParseError::NotCyclictest {
                what: format!("resolution_in_ns is {other}"),
            });
        }
    };
    let found = file.thread.len() as u64;
    if found != file.num_threads || found == 0 {
        return Err(ParseError::Threads {
            announced: file.num_threads,
            found,
        });
    }
    let asked = options(&file.command);
    let has_histogram =
        asked.histogram.is_some() || file.thread.values().any(|one| !one.histogram.is_empty());
    let threads = file
        .thread
        .into_iter()
        .map(|(id, one)| thread(id, one, resolution_ns, has_histogram))
        .collect::<Result<_, _>>()?;
    let system = file.sysinfo;
    Ok(Measurement {
        tool: "cyclictest".into(),
        tool_version: file.tool_version,
        command: Some(file.command),
        release: system.as_ref().and_then(|one| one.release.clone()),
        version: system.as_ref().and_then(|one| one.version.clone()),
        realtime_flag: system.and_then(|one| one.realtime).map(|flag| flag != 0),
        return_code: file.return_code,
        start: file.start_time,
        end: file.end_time,
        resolution_ns,
        threads,
        histogram_limit: asked
            .histogram
            .map(|bins| microseconds(bins, resolution_ns)),
        break_value: None,
    })
}

fn microseconds(value: u64, resolution_ns: u64) -> u64 {
    match resolution_ns {
        1 => value.div_ceil(1000),
        _ => value,
    }
}

fn thread(
    id: u32,
    file: FileThread,
    resolution_ns: u64,
    has_histogram: bool,
) -> Result<Thread, ParseError> {
    let contradiction = |what: String| ParseError::Inconsistent { thread: id, what };
    if file.cycles > LARGEST || file.max > LARGEST as i64 {
        return Err(contradiction("numbers that no run can reach".into()));
    }
    let in_bins = file
        .histogram
        .values()
        .fold(0u64, |sum, count| sum.saturating_add(*count));
    if in_bins > file.cycles {
        return Err(contradiction(format!(
            "{in_bins} samples in the histogram of {} cycles",
            file.cycles
        )));
    }
    let negative = |_| contradiction("a latency below zero".into());
    let min = u64::try_from(file.min).map_err(negative)?;
    let max = u64::try_from(file.max).map_err(negative)?;
    if file.cycles > 0 && file.histogram.keys().next_back() > Some(&max) {
        return Err(contradiction(format!(
            "a sample above its maximum of {max}"
        )));
    }
    let overflows = if has_histogram {
        file.cycles - in_bins
    } else {
        0
    };
    let mut histogram = BTreeMap::new();
    for (latency, count) in file.histogram {
        *histogram
            .entry(microseconds(latency, resolution_ns))
            .or_insert(0) += count;
    }
    let counted = file.cycles > 0;
    Ok(Thread {
        id,
        cpu: file.cpu.and_then(|cpu| cpu.try_into().ok()),
        cycles: file.cycles,
        min: counted.then(|| microseconds(min, resolution_ns)),
        avg: file
            .avg
            .filter(|_| counted)
            .map(|avg| avg * resolution_ns as f64 / 1000.0),
        max: counted.then(|| microseconds(max, resolution_ns)),
        histogram,
        overflows,
    })
}
