//! Tests of what browsers load and show: `web/`, by Node.js.
//!
//! What is not done here: building the scripts, which `crates/pages/build.rs` does. It has installed
//! the packages that these tests need, too.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::suite::{cargo, counted};
use crate::tally::Counts;
use crate::{process, workspace};

const CHECK_LIMIT: Duration = Duration::from_secs(300);
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// A program of the packages, at `web/`.
fn node(script: &str, arguments: &[&str]) -> Result<Command> {
    let web = workspace::root().join("web");
    let script = web.join("node_modules").join(script);
    if !script.exists() {
        bail!(
            "{} is not there: `cargo build -p basalt-pages` installs it",
            script.display()
        );
    }
    let mut command = Command::new("node");
    command
        .arg(script)
        .args(arguments)
        .current_dir(web)
        // Summaries are read by `tally`, which knows no colours.
        .env("NO_COLOR", "1");
    Ok(command)
}

/// Types, and tests of what needs no browser.
pub fn scripts() -> Result<Counts> {
    let mut types = node("typescript/bin/tsc", &["--noEmit"])?;
    let status = process::stream(&mut types, CHECK_LIMIT, &mut |_| {})?;
    let mut counts = Counts::one(status.success());
    counts += counted(&mut node("vitest/vitest.mjs", &["run"])?)?;
    Ok(counts)
}

/// Every page in Chromium: over made-up values, and of a lab that serves simulated boards.
pub fn in_a_browser() -> Result<Counts> {
    let mut build = cargo();
    build.args([
        "build",
        "--package",
        "basalt-pages",
        "--example",
        "showroom",
    ]);
    if !process::stream(&mut build, BUILD_LIMIT, &mut |_| {})?.success() {
        bail!("the showroom does not build");
    }
    let (basalt, rack) = crate::rack::build_programs(false)?;
    let showroom: PathBuf = workspace::root().join("target/debug/examples/showroom");
    let mut tests = node(
        "vitest/vitest.mjs",
        &["run", "--config", "e2e/vitest.config.ts"],
    )?;
    tests
        .env("BASALT_BIN", basalt)
        .env("BASALT_RACK", rack)
        .env("BASALT_SHOWROOM", showroom);
    counted(&mut tests)
}
