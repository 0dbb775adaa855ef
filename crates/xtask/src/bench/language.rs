//! What reading costs: YAML, beside PyYAML in the same run.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{Options, Row, median};
use crate::{process, suite, workspace};

const BUILD_LIMIT: Duration = Duration::from_secs(900);
const LIMIT: Duration = Duration::from_secs(120);
/// For how long each reader reads, in seconds.
const SECONDS: &str = "2";

const JOB: &str = include_str!("language/job.yaml");
const PYYAML: &str = include_str!("language/pyyaml_time.py");

/// What the readers print.
#[derive(Deserialize)]
struct Times {
    seconds: Vec<f64>,
}

/// Reads a job and an alias bomb.
pub fn measure(_: &Options) -> Result<Vec<Row>> {
    process::run(
        suite::cargo().args([
            "build",
            "--release",
            "--package",
            "basalt-yaml",
            "--example",
            "parse_time",
        ]),
        BUILD_LIMIT,
    )?;
    let directory = workspace::root().join("target/bench/language");
    fs::create_dir_all(&directory).context("making the bench's directory")?;
    let place = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok::<_, anyhow::Error>(path.display().to_string())
    };
    let job = place("job.yaml", JOB)?;
    let bomb = place("bomb.yaml", &bomb())?;
    let script = place("pyyaml_time.py", PYYAML)?;
    let basalt = workspace::root().join("target/release/examples/parse_time");

    let own = |file: &str| times(Command::new(&basalt).args([file, SECONDS]));
    let theirs = |loader: &str| {
        times(Command::new("python3").args([script.as_str(), &job, SECONDS, loader]))
    };
    let own_job = own(&job)?;
    let c = theirs("CSafeLoader")?;
    let python = theirs("SafeLoader")?;
    let own_bomb = own(&bomb)?;
    let ratio = |other: &Row| Row::once("", own_job_ms(&own_job) / other.value, "x");
    let c = milliseconds("yaml: a job, PyYAML's CSafeLoader", &c);
    let python = milliseconds("yaml: a job, PyYAML's SafeLoader", &python);
    let named = |name: &str, row: Row| Row {
        name: name.to_owned(),
        ..row
    };
    Ok(vec![
        milliseconds("yaml: a job", &own_job).aimed(1.0),
        named(
            "yaml: a job, Basalt's share of CSafeLoader's time",
            ratio(&c),
        ),
        named(
            "yaml: a job, Basalt's share of SafeLoader's time",
            ratio(&python),
        )
        .aimed(0.02),
        c,
        python,
        milliseconds("yaml: an alias bomb, refused", &own_bomb).aimed(10.0),
    ])
}

fn own_job_ms(times: &[f64]) -> f64 {
    median(times) * 1000.0
}

/// The median of thousands of readings; those themselves are too many to keep.
fn milliseconds(name: &str, seconds: &[f64]) -> Row {
    Row::once(name, median(seconds) * 1000.0, "ms")
}

fn times(command: &mut Command) -> Result<Vec<f64>> {
    let text = process::run(command, LIMIT)?;
    let times: Times = serde_json::from_str(&text).context("a reader's times")?;
    ensure!(!times.seconds.is_empty(), "a reader read nothing");
    Ok(times.seconds)
}

/// Thirty levels of nine aliases each.
fn bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let list = [format!("*a{}", level - 1).as_str(); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    text
}
