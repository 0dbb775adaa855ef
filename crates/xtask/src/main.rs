//! `cargo xtask`: everything that is done to this repository rather than by it.
//!
//! What is not done here: anything that Basalt itself does. These verbs build it, test it, measure
//! it and prepare the boards that it is tried on.

mod boards;
mod packages;
mod process;
mod progress;
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
    /// Prepare what virtual boards boot: kernels, ramdisks, an NFS root, U-Boot, a device tree
    ///
    /// The files land in target/boards/arm64, with a manifest of package versions and checksums.
    /// What is there and still right is kept: a second run takes about a second and asks nobody.
    Boards(boards::Options),
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
        Verb::Boards(options) => boards::run(&options),
    }
}
