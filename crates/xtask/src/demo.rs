//! `cargo xtask demo`: Basalt's main job on virtual boards, against a planted truth.
//!
//! Three runs whose answers are known beforehand: the realtime kernel on the faster board passes,
//! on the slower board it fails on its numbers, and a kernel that is no realtime kernel proves
//! nothing. The demonstration is good only if Basalt says exactly that, and if a script that
//! shares no code with Basalt finds the same numbers in the raw files and the same bytes on the
//! console.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::kills::{self, KILLS, Kill};
use crate::rack::{self, Rack};
use crate::tally::Counts;
use crate::{boards, packages, process, workspace};

/// What `cargo xtask demo` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Install nothing; where Debian packages are missing, print the command and stop
    #[arg(long)]
    pub no_install: bool,
    /// Boot the NFS root instead of the ramdisk
    #[arg(long)]
    pub nfs: bool,
    /// Kill runs in the middle and go on with them, as `cargo xtask test` does
    #[arg(long, conflicts_with = "nfs")]
    pub kills: bool,
}

/// How long one run may take; an emulated board on a busy host is slow.
const LONGEST_RUN: Duration = Duration::from_secs(30 * 60);

/// Cycles that every thread must have: 10 s at 1000 us.
const CYCLES: u64 = 10_000;

/// One run and what is known about it beforehand.
struct Planted {
    name: &'static str,
    board: &'static str,
    job: &'static str,
    /// What `basalt run` must exit with (pass 0, fail 1, invalid 2).
    exit: i32,
    outcome: &'static str,
    /// What every phase must say.
    verdict: &'static str,
    /// A word that the reason must hold.
    because: &'static str,
    says: &'static str,
}

const RAMDISK: [Planted; 3] = [
    Planted {
        name: "rt-fast",
        board: "qemu-1",
        job: "realtime.yaml",
        exit: 0,
        outcome: "pass",
        verdict: "pass",
        because: "",
        says: "the realtime kernel on the faster board passes",
    },
    Planted {
        name: "rt-slow",
        board: "qemu-2",
        job: "realtime.yaml",
        exit: 1,
        outcome: "fail",
        verdict: "fail",
        because: "400",
        says: "the same job on a slower board fails on its numbers",
    },
    Planted {
        name: "stock",
        board: "qemu-1",
        job: "realtime-stock.yaml",
        exit: 2,
        outcome: "invalid",
        verdict: "invalid",
        because: "realtime kernel",
        says: "a kernel that is not a realtime kernel proves nothing",
    },
];

const NFS: [Planted; 1] = [Planted {
    name: "rt-nfs",
    board: "qemu-1",
    job: "realtime-nfs.yaml",
    exit: 0,
    outcome: "pass",
    verdict: "pass",
    because: "",
    says: "the realtime kernel with its root over NFS passes",
}];

/// The programs and places of one demonstration.
struct Stage {
    basalt: PathBuf,
    virtual_rack: PathBuf,
    directory: PathBuf,
    rack: Rack,
}

/// The verb.
pub fn run(options: &Options) -> Result<ExitCode> {
    let begun = Instant::now();
    packages::ensure(!options.no_install)?;
    boards::prepare(&boards::Options {
        no_install: options.no_install,
        only: Vec::new(),
        refresh: false,
    })?;
    let prepared = begun.elapsed();
    if options.kills {
        let counts = Stage::set()?.kills();
        println!("\n{counts}");
        return Ok(match counts.failed {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        });
    }
    let planted: &[Planted] = if options.nfs { &NFS } else { &RAMDISK };
    let stage = Stage::set()?;
    let mut walls = vec![("set-up", prepared)];
    let mut wrong = Vec::new();
    for one in planted {
        println!("\n━━ {} ({}, {})", one.says, one.board, one.job);
        let run = Instant::now();
        if let Err(error) = stage.perform(one) {
            println!("✗ {}: {error:#}", one.name);
            wrong.push(one.name);
        } else {
            println!("✓ {}: as planted ({})", one.name, one.outcome);
        }
        walls.push((one.name, run.elapsed()));
    }
    println!("\n━━ all runs together");
    stage.compare(planted)?;
    println!();
    for (name, wall) in &walls {
        println!("{name:<10} {:>7.1} s", wall.as_secs_f64());
    }
    println!("results are in {}", shown(&stage.directory));
    if wrong.is_empty() {
        println!("the demonstration is as planted");
        Ok(ExitCode::SUCCESS)
    } else {
        println!("NOT as planted: {}", wrong.join(", "));
        Ok(ExitCode::FAILURE)
    }
}

/// The steps that `cargo xtask test` runs, packages and boards being prepared: one emulated board
/// at a time, each run one count.
pub fn end_to_end() -> Result<Counts> {
    let stage = Stage::set()?;
    let mut counts = Counts::default();
    for one in RAMDISK.iter().chain(&NFS) {
        println!("\n-- {} ({}, {})", one.says, one.board, one.job);
        let performed = stage.perform(one);
        if let Err(error) = &performed {
            println!("failed: {error:#}");
        }
        counts += Counts::one(performed.is_ok());
    }
    counts += stage.kills();
    Ok(counts)
}

impl Stage {
    /// Builds the programs, clears what an earlier demonstration left, starts the rack.
    fn set() -> Result<Self> {
        let (basalt, virtual_rack) = rack::build_programs(false)?;
        let root = workspace::root();
        let directory = root.join("target/demo");
        if directory.exists() {
            std::fs::remove_dir_all(&directory)
                .with_context(|| format!("clearing {}", directory.display()))?;
        }
        let rack = Rack::start(
            &virtual_rack,
            &root.join("lab-config/virtual/rack.toml"),
            &root.join("target/boards"),
            &directory.join("rack"),
        )?;
        Ok(Self {
            basalt,
            virtual_rack,
            directory,
            rack,
        })
    }

    /// One run, held against what is known.
    fn perform(&self, planted: &Planted) -> Result<()> {
        let results = self.directory.join(planted.name);
        let mut command = self.run(planted, &results);
        let status = rack::show(command.arg("--quiet"), LONGEST_RUN)?;
        let exit = status.code();
        ensure!(
            exit == Some(planted.exit),
            "basalt run ended with {status}, not with {}",
            planted.exit
        );
        check(&results, planted)?;
        self.recompute(&results, planted.board)
    }

    /// Every kill, each one count.
    fn kills(&self) -> Counts {
        let mut counts = Counts::default();
        for kill in &KILLS {
            println!("\n-- {} (qemu-1)", kill.says);
            let performed = self.kill(kill, &RAMDISK[0]);
            if let Err(error) = &performed {
                println!("failed: {error:#}");
            }
            counts += Counts::one(performed.is_ok());
        }
        counts
    }

    /// A run that is killed and gone on with, held against what the same run comes to otherwise.
    fn kill(&self, kill: &Kill, planted: &Planted) -> Result<()> {
        let results = self.directory.join(kill.name);
        let resume = || {
            let mut command = self.basalt();
            command.args(["run", "--resume"]).arg(&results);
            command
        };
        kills::perform(
            kill,
            &self.directory.join("state"),
            &|| self.run(planted, &results),
            &resume,
        )?;
        check(&results, planted)?;
        self.recompute(&results, planted.board)
    }

    /// `basalt run` of a job on its board.
    fn run(&self, planted: &Planted, results: &Path) -> Command {
        let root = workspace::root();
        let mut command = self.basalt();
        command
            .arg("run")
            .arg(root.join("lab-config/virtual/jobs").join(planted.job))
            .arg("--lab")
            .arg(root.join("lab-config/virtual"))
            .args(["--board", planted.board])
            .arg("--output")
            .arg(results);
        command
    }

    /// A script without Basalt's code must find the same numbers and bytes.
    fn recompute(&self, results: &Path, board: &str) -> Result<()> {
        let mut command = Command::new("python3");
        command
            .arg(workspace::root().join("scripts/recompute.py"))
            .arg(results)
            .arg(self.rack.log())
            .arg(board);
        let said = process::run(&mut command, Duration::from_secs(60))?;
        println!("{}", said.trim_end());
        Ok(())
    }

    /// The tables of all runs, and the first two idle histograms over each other.
    fn compare(&self, planted: &[Planted]) -> Result<()> {
        let mut command = self.basalt();
        command.arg("results");
        for one in planted {
            command.arg(self.directory.join(one.name));
        }
        let status = rack::show(&mut command, Duration::from_secs(60))?;
        ensure!(status.success(), "basalt results ended with {status}");
        Ok(())
    }

    /// `basalt` in the rack's network, with its state beside the results.
    fn basalt(&self) -> Command {
        let mut command = self.rack.command(&self.virtual_rack, &self.basalt);
        command.env("BASALT_STATE", self.directory.join("state"));
        command
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The keeper outlives `basalt run`; here nobody will come back for it.
        let mut command = self.basalt();
        command
            .args(["keeper", "--stop", "--lab"])
            .arg(workspace::root().join("lab-config/virtual"));
        if let Err(error) = process::run(&mut command, Duration::from_secs(30)) {
            eprintln!("the console keeper was not stopped: {error:#}");
        }
    }
}

/// Holds `results.json` against the truth.
fn check(results: &Path, planted: &Planted) -> Result<()> {
    let path = results.join("results.json");
    let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let document: Value =
        serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?;
    let word = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    ensure!(
        word("outcome") == planted.outcome,
        "the outcome is {:?}, not {:?}",
        word("outcome"),
        planted.outcome
    );
    ensure!(
        word("power") == "off",
        "the board is not off at the end but {:?}",
        word("power")
    );
    let phases = document["phases"].as_array().cloned().unwrap_or_default();
    ensure!(
        phases.len() == 2,
        "there are {} phases, not 2",
        phases.len()
    );
    for phase in &phases {
        let name = phase["phase"].as_str().unwrap_or_default();
        let verdict = phase["verdict"].as_str().unwrap_or_default();
        let reason = phase["reason"].as_str().unwrap_or_default();
        ensure!(
            verdict == planted.verdict,
            "phase {name} is {verdict:?} ({reason}), not {:?}",
            planted.verdict
        );
        ensure!(
            reason.contains(planted.because),
            "phase {name} says {reason:?}, which does not name {:?}",
            planted.because
        );
        for thread in phase["threads"].as_array().into_iter().flatten() {
            let cycles = thread["measured"]["cycles"].as_u64();
            if planted.verdict != "invalid" && cycles != Some(CYCLES) {
                bail!("phase {name} has {cycles:?} cycles, not {CYCLES}");
            }
        }
    }
    Ok(())
}

/// A path as a person at the repository's root would type it.
fn shown(path: &Path) -> String {
    path.strip_prefix(workspace::root())
        .unwrap_or(path)
        .display()
        .to_string()
}
