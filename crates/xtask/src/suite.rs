//! `cargo xtask test`: everything that must hold before a change is merged, counted together.
//!
//! One runner after the other, each to its end whatever the others said, so that one run shows
//! everything that is wrong. What is not done here: campaigns and benches, which take longer.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::tally::{Counts, count_line};
use crate::{boards, demo, packages, pages, process, tidy, workspace};

/// From nothing, on two busy cores.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);
const TEST_LIMIT: Duration = Duration::from_secs(1800);
const CHECK_LIMIT: Duration = Duration::from_secs(120);

/// What `cargo xtask test` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Install nothing; where Debian packages are missing, print the command and stop
    #[arg(long)]
    no_install: bool,
    /// Leave out what needs an emulated board; it is counted as skipped
    #[arg(long)]
    no_boards: bool,
    /// Leave out what needs a browser; it is counted as skipped
    #[arg(long)]
    no_browser: bool,
}

/// One runner's share.
struct Share {
    name: &'static str,
    counts: Counts,
    took: Duration,
}

/// The verb. The last line of its output is `N passed, N failed, N skipped`.
pub fn run(options: &Options) -> Result<ExitCode> {
    packages::ensure(!options.no_install)?;
    if !options.no_boards {
        boards::prepare(&boards::Options {
            no_install: options.no_install,
            only: Vec::new(),
            refresh: false,
        })?;
    }

    let mut shares = Vec::new();
    let mut share = |name, runner: &mut dyn FnMut() -> Result<Counts>| {
        println!("\n== {name}");
        let started = Instant::now();
        // A runner that cannot be run is a failure of this run, not its end.
        let counts = runner().unwrap_or_else(|error| {
            println!("{name} failed: {error:#}");
            Counts::one(false)
        });
        shares.push(Share {
            name,
            counts,
            took: started.elapsed(),
        });
    };
    share("format", &mut format);
    share("tidy", &mut tidy::run);
    share("build", &mut build);
    share("lints", &mut lints);
    share("tests", &mut tests);
    share("doc tests", &mut doc_tests);
    share("what the pages load", &mut pages::scripts);
    share("pages in a browser", &mut || {
        if options.no_browser {
            println!("skipped: --no-browser");
            return Ok(Counts::skipped(1));
        }
        pages::in_a_browser()
    });
    share("end to end on an emulated board", &mut || {
        if options.no_boards {
            println!("skipped: --no-boards");
            return Ok(Counts::skipped(1));
        }
        demo::end_to_end()
    });

    let mut total = Counts::default();
    println!();
    for share in &shares {
        println!(
            "{:<34} {:>7.1} s  {}",
            share.name,
            share.took.as_secs_f64(),
            share.counts
        );
        total += share.counts;
    }
    println!("{total}");
    Ok(if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The cargo that started us, at the workspace's root.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(workspace::root())
        // Summaries are read by `tally`, which knows no colours.
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_PROGRESS_WHEN", "never");
    command
}

/// Whether the toolchain or the user brought this subcommand.
fn has(subcommand: &str) -> bool {
    process::run(cargo().args([subcommand, "--version"]), CHECK_LIMIT).is_ok()
}

/// Runs a command that is one check: passed if it succeeds.
fn check(command: &mut Command, limit: Duration) -> Result<Counts> {
    let status = process::stream(command, limit, &mut |_| {})?;
    Ok(Counts::one(status.success()))
}

fn format() -> Result<Counts> {
    if !has("fmt") {
        println!("skipped: rustfmt is not installed (rustup component add rustfmt)");
        return Ok(Counts::skipped(1));
    }
    check(cargo().args(["fmt", "--all", "--check"]), CHECK_LIMIT)
}

fn build() -> Result<Counts> {
    check(
        cargo().args(["build", "--workspace", "--bins"]),
        BUILD_LIMIT,
    )
}

fn lints() -> Result<Counts> {
    if !has("clippy") {
        println!("skipped: clippy is not installed (rustup component add clippy)");
        return Ok(Counts::skipped(1));
    }
    let words = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    check(cargo().args(words), BUILD_LIMIT)
}

fn tests() -> Result<Counts> {
    let mut command = cargo();
    if has("nextest") {
        command.args([
            "nextest",
            "run",
            "--workspace",
            "--no-fail-fast",
            "--status-level",
            "slow",
        ]);
    } else {
        command.args(["test", "--workspace", "--no-fail-fast", "--all-targets"]);
    }
    counted(&mut command)
}

/// Nextest does not run them.
fn doc_tests() -> Result<Counts> {
    counted(cargo().args(["test", "--workspace", "--no-fail-fast", "--doc"]))
}

/// Runs a command that says its own counts.
pub fn counted(command: &mut Command) -> Result<Counts> {
    let mut counts = Counts::default();
    let status = process::stream(command, TEST_LIMIT, &mut |line| {
        count_line(&mut counts, line)
    })?;
    // What did not build, or died, has no line of its own.
    if !status.success() && counts.failed == 0 {
        counts.failed = 1;
    }
    Ok(counts)
}
