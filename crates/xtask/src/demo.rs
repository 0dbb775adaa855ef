//! `cargo xtask demo`: a lab that serves, on virtual boards, against a planted truth.
//!
//! Jobs whose answers are known beforehand are submitted to `basalt serve`: the realtime kernel on
//! the faster board passes, on the slower board it fails on its numbers, and a kernel that is no
//! realtime kernel proves nothing. Meanwhile the server, the dispatcher and the console keeper are
//! killed. The demonstration is good only if every job ran once and came to exactly that, and if a
//! script that shares no code with Basalt finds the server's numbers in the raw files and its
//! console in what the boards truly said.

mod followed;
mod lab;
mod programme;
mod proof;
mod show;
mod strike;
mod told;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use self::programme::{NFS, RAMDISK};
use self::show::Show;
use crate::tally::Counts;
use crate::{boards, kills, packages, workspace};

/// What `cargo xtask demo` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Install nothing; where Debian packages are missing, print the command and stop
    #[arg(long)]
    pub no_install: bool,
    /// Boot the NFS root instead of the ramdisk
    #[arg(long)]
    pub nfs: bool,
    /// Leave the lab running, for its pages and the client
    #[arg(long)]
    pub keep: bool,
    /// End the lab that `--keep` left running, and do nothing else
    #[arg(long, conflicts_with_all = ["no_install", "nfs", "keep"])]
    pub stop: bool,
}

/// The verb.
pub fn run(options: &Options) -> Result<ExitCode> {
    let directory = directory();
    let _alone = alone(&directory)?;
    if options.stop {
        let count = lab::end_all(&directory)?;
        println!("{count} processes of the demonstration's lab were ended");
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(url) = lab::left_running(&directory)? {
        println!("the lab of an earlier demonstration still runs: {url}");
        println!("`cargo xtask demo --stop` ends it");
        return Ok(ExitCode::FAILURE);
    }
    packages::ensure(!options.no_install)?;
    boards::prepare(&boards::Options {
        no_install: options.no_install,
        only: Vec::new(),
        refresh: false,
    })?;
    let programme = if options.nfs { &NFS } else { &RAMDISK };
    let mut show = Show::open(&directory, options.keep)?;
    let counts = show.perform(programme)?;
    let page = show.lab.url().to_owned();
    let counts = match options.keep {
        true => show.leave(counts)?,
        false => {
            let (mut counts, lab) = show.close(counts);
            counts += counted("the rack's end", lab.stop_rack());
            counts
        }
    };
    println!();
    if !options.keep {
        println!("  the pages were at {page}; `cargo xtask demo --keep` leaves the lab running");
    }
    println!("  results, logs and consoles are in {}", shown(&directory));
    if counts.failed == 0 {
        println!("\nthe demonstration is as planted");
        Ok(ExitCode::SUCCESS)
    } else {
        println!("\nNOT as planted: {counts}");
        Ok(ExitCode::FAILURE)
    }
}

/// The steps that `cargo xtask test` runs, packages and boards being prepared: the demonstration,
/// and in its rack a run without a server that is killed.
pub fn end_to_end() -> Result<Counts> {
    let _alone = alone(&directory())?;
    let mut show = Show::open(&directory(), false)?;
    let counts = show.perform(&RAMDISK)?;
    let (mut counts, lab) = show.close(counts);
    println!("\n━━ {}", kills::SAYS);
    let results = directory().join("by-hand");
    let state = directory().join("by-hand-state");
    let killed = kills::perform(
        &|| lab.inside(&state),
        &workspace::root().join("lab-config/virtual"),
        NFS.jobs[0].job,
        NFS.jobs[0].board,
        &results,
        &lab.rack_log()?,
    );
    counts += counted("it", killed.map(|said| println!("{said}")));
    counts += counted("the rack's end", lab.stop_rack());
    Ok(counts)
}

fn directory() -> PathBuf {
    workspace::root().join("target/demo")
}

/// Keeps other demonstrations of this checkout away while it is held: each would clear the other's
/// directory.
fn alone(directory: &Path) -> Result<File> {
    let path = directory.with_extension("lock");
    let parent = path.parent().unwrap_or(directory);
    std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    let lock = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!("another demonstration of this checkout runs"),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", path.display()))
        }
    }
}

/// One check that has been made; what is wrong is said.
fn counted(what: &str, result: Result<()>) -> Counts {
    if let Err(error) = &result {
        println!("✗ {what}: {error:#}");
    }
    Counts::one(result.is_ok())
}

/// A path as a person at the repository's root would type it.
fn shown(path: &Path) -> String {
    path.strip_prefix(workspace::root())
        .unwrap_or(path)
        .display()
        .to_string()
}
