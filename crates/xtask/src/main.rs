//! `cargo xtask`: everything that is done to this repository rather than by it.
//!
//! What is not done here: anything that Basalt itself does. These verbs build it, test it, measure
//! it and prepare the boards that it is tried on.

mod bench;
mod boards;
mod campaign;
mod demo;
mod kills;
mod oracle;
mod packages;
mod pages;
mod process;
mod progress;
mod rack;
mod suite;
mod tally;
mod templates;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Tasks of the Basalt repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Show Basalt's main job on virtual boards, and check it against a planted truth
    Demo(demo::Options),
    /// Run everything that must hold before a change is merged; the last line counts it
    Test(suite::Options),
    /// Prepare what virtual boards boot: kernels, ramdisks, an NFS root, U-Boot, a device tree
    ///
    /// The files land in target/boards/arm64, with a manifest of package versions and checksums.
    /// What is there and still right is kept: a second run takes about a second and asks nobody.
    Boards(boards::Options),
    /// Check the rules of the house: who depends on whom, what code must not say
    Tidy,
    /// Run what takes longer than a merge may wait: seeded, resumable, with a table
    Campaign(campaign::Options),
    /// Measure, and show each figure with its aim
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Demo(options) => demo::run(&options),
        Verb::Test(options) => suite::run(&options),
        Verb::Boards(options) => boards::run(&options),
        Verb::Tidy => {
            let counts = tidy::run()?;
            println!("{counts}");
            Ok(if counts.failed == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Verb::Campaign(options) => campaign::run(&options),
        Verb::Bench(options) => bench::run(&options),
    }
}
