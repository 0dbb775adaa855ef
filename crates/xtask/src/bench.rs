//! `cargo xtask bench`: figures with their aims, measured on this machine.
//!
//! Never part of `cargo xtask test`: a figure depends on what else the machine does. A row that
//! misses its aim is shown as such; the command fails only where a bench cannot be run.
//!
//! - `boot`: the emulated board from power-on to a shell, against a small expect script;
//! - `simulated`: what Basalt itself costs, on a board that answers at once;
//! - `served`: what a served lab costs: jobs, memory, logs, answers over HTTP;
//! - `language`: what reading YAML costs, beside PyYAML;
//! - `measure` and `events` read what a command cost and what a run said.

mod boot;
mod events;
mod language;
mod measure;
mod served;
mod simulated;
mod templates;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use crate::{boards, packages, rack, workspace};

/// What `cargo xtask bench` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Also write the rows to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run only benches whose name holds this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Measure `basalt` and `virtual-rack` of this directory; without it they are built
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Install nothing; where Debian packages are missing, print the command and stop
    #[arg(long)]
    no_install: bool,
    /// How many pairs of boots are compared: one by Basalt, one by the expect script
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    pairs: u32,
    /// How many runs on a simulated board, and looks at a log, are measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    runs: u32,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

impl Aim {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

/// What a figure is compared with, measured in the same run on the same machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Yardstick {
    pub name: String,
    /// The figure over the yardstick.
    pub ratio: f64,
}

impl Options {
    /// `basalt` and `virtual-rack`, release builds unless they were given.
    fn programs(&self) -> Result<(PathBuf, PathBuf)> {
        let Some(directory) = &self.programs else {
            return rack::build_programs(true);
        };
        let program = |name: &str| {
            let path = directory.join(name);
            std::path::absolute(&path)
                .ok()
                .filter(|path| path.exists())
                .with_context(|| format!("there is no {}", path.display()))
        };
        Ok((program("basalt")?, program("virtual-rack")?))
    }
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What was measured, in words.
    pub name: String,
    pub value: f64,
    /// `s`, `ms`, `us`, `KiB`, `MiB`, `x` (a ratio), or empty for a plain count.
    pub unit: &'static str,
    /// What the value should be.
    pub aim: Option<Aim>,
    /// The value as so many times another one of the same run.
    pub against: Option<Yardstick>,
    /// What the value was made of, in the order in which it was measured.
    pub samples: Vec<f64>,
}

impl Row {
    /// A value that was measured once.
    fn once(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self::median(name, &[value], unit)
    }

    /// The median of several.
    fn median(name: impl Into<String>, samples: &[f64], unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value: median(samples),
            unit,
            aim: None,
            against: None,
            samples: samples.to_vec(),
        }
    }

    /// It should be at most this.
    fn aimed(self, most: f64) -> Self {
        Self {
            aim: Some(Aim::AtMost(most)),
            ..self
        }
    }

    /// It should be at least this.
    fn at_least(self, least: f64) -> Self {
        Self {
            aim: Some(Aim::AtLeast(least)),
            ..self
        }
    }

    /// It is so many times a yardstick.
    fn against(self, name: &str, ratio: f64) -> Self {
        Self {
            against: Some(Yardstick {
                name: name.to_owned(),
                ratio,
            }),
            ..self
        }
    }
}

/// The middle value; between the two middle ones of an even number. Not a number for none.
fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

/// One way to measure rows that belong together.
struct Bench {
    name: &'static str,
    measure: fn(&Options) -> Result<Vec<Row>>,
}

/// Every bench, in the order in which they are run.
const BENCHES: &[Bench] = &[
    Bench {
        name: "language",
        measure: language::measure,
    },
    Bench {
        name: "templates",
        measure: templates::measure,
    },
    Bench {
        name: "boards",
        measure: boards_again,
    },
    Bench {
        name: "simulated",
        measure: simulated::measure,
    },
    Bench {
        name: "serve-jobs",
        measure: served::job::measure,
    },
    Bench {
        name: "serve-hundred",
        measure: served::job::measure_hundred,
    },
    Bench {
        name: "serve-memory",
        measure: served::memory::measure,
    },
    Bench {
        name: "serve-log",
        measure: served::chatter::measure,
    },
    Bench {
        name: "serve-http",
        measure: served::answers::measure,
    },
    Bench {
        name: "boot",
        measure: boot::measure,
    },
];

/// The file that `--json` writes.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    /// What the machine was and did when the benches began.
    host: Host,
    rows: &'a [Row],
}

#[derive(Clone, Copy, Serialize)]
struct Host {
    cpus: usize,
    /// Processes that could run in the minute before, on average: more than none disturbs.
    load: f64,
}

impl Host {
    fn now() -> Result<Self> {
        let load = fs::read_to_string("/proc/loadavg").context("reading /proc/loadavg")?;
        Ok(Self {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            load: load
                .split_whitespace()
                .next()
                .and_then(|word| word.parse().ok())
                .context("/proc/loadavg has no number")?,
        })
    }
}

/// Keeps other benches of this checkout away while it is held: each would clear the other's
/// directories, and count the other's work.
fn alone(path: &Path) -> Result<File> {
    let lock = File::create(path).with_context(|| format!("opening {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            bail!("another bench of this checkout runs; wait until it has ended")
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", path.display()))
        }
    }
}

/// The verb.
pub fn run(options: &Options) -> Result<ExitCode> {
    packages::ensure_bench(!options.no_install)?;
    let _alone = alone(&workspace::root().join("target/bench.lock"))?;
    let host = Host::now()?;
    println!(
        "{} CPUs, load {:.1} before the benches",
        host.cpus, host.load
    );
    let mut rows = Vec::new();
    println!(
        "{:<66} {:>10} {:<4} {:<16} beside",
        "figure", "value", "unit", "aim"
    );
    for bench in BENCHES {
        if options
            .only
            .as_ref()
            .is_some_and(|text| !bench.name.contains(text.as_str()))
        {
            continue;
        }
        let measured = (bench.measure)(options).with_context(|| format!("bench {}", bench.name))?;
        for row in &measured {
            println!("{}", line(row));
        }
        rows.extend(measured);
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&Report {
            version: 2,
            host,
            rows: &rows,
        })
        .context("writing the rows")?;
        fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(row: &Row) -> String {
    let aim = row.aim.map_or_else(String::new, |aim| {
        let (sign, bound) = match aim {
            Aim::AtMost(bound) => ("<=", bound),
            Aim::AtLeast(bound) => (">=", bound),
        };
        let word = if aim.is_met(row.value) {
            "met"
        } else {
            "missed"
        };
        format!("{sign} {bound} {word}")
    });
    let beside = row.against.as_ref().map_or_else(String::new, |against| {
        format!("{:.2} x {}", against.ratio, against.name)
    });
    // Rates are in the thousands, times and sizes not.
    let places = if row.value.abs() >= 1000.0 { 0 } else { 3 };
    let line = format!(
        "{:<66} {:>10.places$} {:<4} {aim:<16} {beside}",
        row.name, row.value, row.unit
    );
    line.trim_end().to_owned()
}

/// A second `cargo xtask boards` checks every checksum and makes nothing.
fn boards_again(_: &Options) -> Result<Vec<Row>> {
    prepare_boards()?;
    let started = Instant::now();
    prepare_boards()?;
    let took = started.elapsed().as_secs_f64();
    Ok(vec![
        Row::once("boards prepared again", took, "s").aimed(2.0),
    ])
}

/// What the packages are for is installed before.
fn prepare_boards() -> Result<()> {
    boards::prepare(&boards::Options {
        no_install: true,
        only: Vec::new(),
        refresh: false,
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_aim_is_said() {
        let row = |value| Row::once("boot", value, "x").aimed(1.1);
        assert!(line(&row(1.1)).ends_with("<= 1.1 met"));
        assert!(line(&row(1.2)).ends_with("<= 1.1 missed"));
        let row = |value| Row::once("jobs", value, "").at_least(3000.0);
        assert!(line(&row(2999.0)).ends_with(">= 3000 missed"));
        let beside = row(3000.0).against("another", 0.5);
        assert!(line(&beside).ends_with(">= 3000 met      0.50 x another"));
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
