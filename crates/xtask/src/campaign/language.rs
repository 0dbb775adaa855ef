//! Cases of the job language: what is read here, read by the programs that others use for it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Case;
use crate::oracle::Oracle;
use crate::{process, suite, workspace};

/// How many texts one case of [`yaml`] compares.
const TEXTS: u32 = 100_000;

/// Mutated texts, read by the YAML room and by PyYAML's `CSafeLoader`.
pub(super) fn yaml(case: &Case) -> Result<(bool, String)> {
    let name = "pyyaml::mutations_of_the_corpus";
    let mut command = suite::cargo();
    command
        .args([
            "test",
            "--release",
            "--package",
            "basalt-yaml",
            "--test",
            "it",
            "--",
        ])
        .args([name, "--nocapture"])
        .env("BASALT_CAMPAIGN_SEED", case.seed.to_string())
        .env("BASALT_CAMPAIGN_CASES", TEXTS.to_string());
    let counts = suite::counted(&mut command)?;
    let passed = counts.passed > 0 && counts.failed == 0;
    let detail = match passed {
        true => format!("{TEXTS} texts"),
        false => format!(
            "again: BASALT_CAMPAIGN_SEED={} BASALT_CAMPAIGN_CASES={TEXTS} cargo test --release \
             -p basalt-yaml --test it {name} -- --nocapture",
            case.seed
        ),
    };
    Ok((passed, detail))
}

/// How many jobs one case of [`jobs`] compares, with each release.
const JOBS: u32 = 600;

/// Drawn and damaged jobs, read by the job room and by LAVA's schemas: Debian's stable release and
/// the newest one. Jobs of tuxlava (PyPI) come to ours where it can be installed.
pub(super) fn jobs(case: &Case) -> Result<(bool, String)> {
    let more = tuxlava_jobs(case.seed);
    let mut details = Vec::new();
    let mut passed = true;
    for oracle in [Oracle::open_newest()?, Oracle::open()?] {
        let release = oracle.release()?;
        let mut command = suite::cargo();
        command
            .args(["test", "--package", "basalt-job", "--test", "it", "--"])
            .args(["lava::jobs_are_taken", "--nocapture"])
            .env(
                "BASALT_LAVA_PATH",
                oracle.root().join("usr/lib/python3/dist-packages"),
            )
            .env("BASALT_LAVA_RELEASE", &release)
            .env("BASALT_CAMPAIGN_SEED", case.seed.to_string())
            .env("BASALT_CAMPAIGN_CASES", JOBS.to_string());
        if let Ok(directory) = &more {
            command.env("BASALT_LAVA_JOBS", directory);
        }
        let counts = suite::counted(&mut command)?;
        passed &= counts.passed > 0 && counts.failed == 0;
        details.push(format!("LAVA {release}"));
    }
    match &more {
        Ok(_) => details.push("with tuxlava's jobs".to_owned()),
        Err(error) => details.push(format!("without tuxlava's jobs: {error:#}")),
    }
    Ok((passed, details.join(", ")))
}

/// A directory with jobs that tuxlava has made.
fn tuxlava_jobs(seed: u64) -> Result<PathBuf> {
    const LIMIT: Duration = Duration::from_secs(600);
    let directory = workspace::root().join("target/oracle/tuxlava");
    let library = directory.join("library");
    if !library.join("tuxlava").exists() {
        process::run(
            Command::new("python3")
                .args(["-m", "pip", "install", "--quiet", "--target"])
                .arg(&library)
                .arg("tuxlava"),
            LIMIT,
        )?;
    }
    let jobs = directory.join(format!("jobs-{seed}"));
    if !jobs.exists() {
        let drawn = directory.join("drawing");
        if drawn.exists() {
            fs::remove_dir_all(&drawn)?;
        }
        fs::create_dir_all(&drawn)?;
        process::run(
            Command::new("python3")
                .arg(workspace::root().join("crates/job/tests/it/lava/tuxlava_jobs.py"))
                .args([seed.to_string(), "60".to_owned()])
                .arg(&drawn)
                .env("PYTHONPATH", &library),
            LIMIT,
        )?;
        fs::rename(&drawn, &jobs)?;
    }
    Ok(jobs)
}

/// The targets in `fuzz/`.
const FUZZ_TARGETS: [&str; 3] = ["yaml", "job", "lab"];
/// For the build; the search itself is bounded by its own option.
const FUZZ_LIMIT: Duration = Duration::from_secs(1800);

/// One stretch of libFuzzer's search for each target; what it finds stays in `fuzz/artifacts`.
pub(super) fn fuzz(case: &Case) -> Result<(bool, String)> {
    process::run(
        suite::cargo().args(["fuzz", "--version"]),
        Duration::from_secs(60),
    )
    .context(
        "cargo-fuzz is needed: cargo install cargo-fuzz, and rustup toolchain install nightly",
    )?;
    let seed = u32::try_from(case.seed & 0x7fff_ffff)?.to_string();
    for target in FUZZ_TARGETS {
        let mut command = suite::cargo();
        command
            // The workspace's compiler is a stable one.
            .env("RUSTUP_TOOLCHAIN", "nightly")
            .args(["fuzz", "run", target])
            // What is found goes into the first directory; the others are only read.
            .arg(format!("fuzz/corpus/{target}"))
            .args(["crates/job/tests/jobs", "device-types", "--"])
            .arg("-max_total_time=120")
            .args(["-timeout=10", "-rss_limit_mb=1024", "-max_len=20000"])
            .arg(format!("-seed={seed}"));
        let status = process::stream(&mut command, FUZZ_LIMIT, &mut |_| {})?;
        if !status.success() {
            return Ok((false, format!("{target}: see fuzz/artifacts/{target}")));
        }
    }
    Ok((true, FUZZ_TARGETS.join(", ")))
}

/// LAVA's device types, rendered here and by Jinja2.
pub(super) fn templates(case: &Case) -> Result<(bool, String)> {
    crate::templates::case(case.seed)
}
