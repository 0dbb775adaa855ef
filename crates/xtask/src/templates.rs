//! LAVA's device types rendered by Basalt and by Jinja2: the campaign `templates`.
//!
//! Not done here: drawing, breaking and comparing, which `scripts/lava_templates.py` does, because
//! Jinja2 is a library of Python's.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::oracle::Oracle;
use crate::{process, suite, workspace};

const BUILD_LIMIT: Duration = Duration::from_secs(1800);
const LIMIT: Duration = Duration::from_secs(1800);
/// Requests that a case draws beside every device type as it is.
const DRAWN: u32 = 150;

/// What the script counts.
#[derive(Deserialize)]
struct Counts {
    requests: u32,
    refused: u32,
    differ: u32,
}

/// One case, with Debian's stable LAVA and the newest one: whether nothing differs, and the counts.
pub fn case(seed: u64) -> Result<(bool, String)> {
    let program = example("basalt-jinja", "batch")?;
    let mut details = Vec::new();
    let mut passed = true;
    for oracle in [Oracle::open()?, Oracle::open_newest()?] {
        let mut command = oracle.python();
        command
            .arg(workspace::root().join("scripts/lava_templates.py"))
            .arg(oracle.device_types())
            .arg(&program)
            .args([seed.to_string(), DRAWN.to_string()]);
        let said = process::run(&mut command, LIMIT)?;
        let last = said.lines().next_back().unwrap_or_default();
        let counts: Counts =
            serde_json::from_str(last).with_context(|| format!("the script said {said}"))?;
        passed &= counts.differ == 0 && counts.requests > DRAWN;
        details.push(format!(
            "LAVA {}: {} renderings, {} refused by both, {} differ",
            oracle.release()?,
            counts.requests,
            counts.refused,
            counts.differ
        ));
        if counts.differ > 0 {
            details.push(said);
        }
    }
    Ok((passed, details.join("; ")))
}

/// Builds an example of a package, optimised, and says where it is.
pub fn example(package: &str, name: &str) -> Result<PathBuf> {
    let mut build = suite::cargo();
    build.args([
        "build",
        "--release",
        "--package",
        package,
        "--example",
        name,
    ]);
    process::run(&mut build, BUILD_LIMIT)?;
    Ok(workspace::root().join("target/release/examples").join(name))
}
