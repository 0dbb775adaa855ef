//! `cargo xtask bench`: figures with their aims, measured on this machine.
//!
//! Never part of `cargo xtask test`: a figure depends on what else the machine does. A row that
//! misses its aim is shown as such; the command fails only where a bench cannot be run.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use crate::boards;

/// What `cargo xtask bench` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Also write the rows to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run only benches whose name holds this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What was measured, in words.
    pub name: String,
    pub value: f64,
    /// `s`, `ms`, `MiB`, `x` (a ratio), or empty for a plain count.
    pub unit: &'static str,
    /// The value should be at most this.
    pub aim: Option<f64>,
}

/// One way to measure rows that belong together.
struct Bench {
    name: &'static str,
    measure: fn() -> Result<Vec<Row>>,
}

/// Every bench, in the order in which they are run.
const BENCHES: &[Bench] = &[Bench {
    name: "boards",
    measure: boards_again,
}];

/// The file that `--json` writes.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    rows: &'a [Row],
}

/// The verb.
pub fn run(options: &Options) -> Result<ExitCode> {
    let mut rows = Vec::new();
    println!(
        "{:<60} {:>12} {:<4} {:>10}",
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
        let measured = (bench.measure)().with_context(|| format!("bench {}", bench.name))?;
        for row in &measured {
            println!("{}", line(row));
        }
        rows.extend(measured);
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&Report {
            version: 1,
            rows: &rows,
        })
        .context("writing the rows")?;
        fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(row: &Row) -> String {
    let aim = match row.aim {
        Some(aim) if row.value <= aim => format!("<= {aim}"),
        Some(aim) => format!("<= {aim} missed"),
        None => String::new(),
    };
    let line = format!(
        "{:<60} {:>12.3} {:<4} {aim:>10}",
        row.name, row.value, row.unit
    );
    line.trim_end().to_owned()
}

/// A second `cargo xtask boards` checks every checksum and makes nothing.
fn boards_again() -> Result<Vec<Row>> {
    let options = boards::Options {
        no_install: true,
        only: Vec::new(),
        refresh: false,
    };
    boards::prepare(&options)?;
    let started = Instant::now();
    boards::prepare(&options)?;
    Ok(vec![Row {
        name: "boards prepared again".to_owned(),
        value: started.elapsed().as_secs_f64(),
        unit: "s",
        aim: Some(2.0),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_aim_is_said() {
        let row = |value| Row {
            name: "boot".to_owned(),
            value,
            unit: "x",
            aim: Some(1.1),
        };
        assert!(line(&row(1.1)).ends_with("<= 1.1"));
        assert!(line(&row(1.2)).ends_with("<= 1.1 missed"));
    }
}
