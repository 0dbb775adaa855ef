//! What Basalt itself costs: a small job on a simulated board that answers at once.
//!
//! What remains is Basalt's own time, and how long it holds a board that needs none.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::events::{Events, seconds};
use super::measure::{self, Cost};
use super::{Options, Row};
use crate::rack::Rack;
use crate::{process, workspace};

const BOARD: &str = "sim-1";
const LONGEST_RUN: Duration = Duration::from_secs(120);
/// The lab and its job, each with its place below the bench's directory.
const FILES: [(&str, &str); 5] = [
    ("lab/lab.yaml", include_str!("simulated/lab.yaml")),
    ("lab/relays/rack.yaml", include_str!("simulated/relay.yaml")),
    (
        "lab/boards/sim-1.yaml",
        include_str!("simulated/board.yaml"),
    ),
    ("job.yaml", include_str!("simulated/job.yaml")),
    ("rack.toml", include_str!("simulated/rack.toml")),
];
/// What a kernel is to the simulated board: the line in which it names itself, among other bytes.
const KERNEL_LINE: &str =
    "Linux version 6.1.0-1-rt-arm64 (bench@basalt) (gcc-12) #1 SMP PREEMPT_RT Debian 6.1.1-1\n\0";
const KERNEL_BYTES: usize = 1 << 20;

/// Measures runs after one that is not counted, which makes what every later run finds.
///
/// Each run downloads its files (1 MiB): the rack's server names no version of a file by which a
/// cached one could be known to be still right.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let bench = Bench::set(options)?;
    let keeper = bench.keep()?;
    bench.run("first")?;
    let before = bench.keeper_counters()?;
    let mut runs = Vec::new();
    for number in 0..options.runs {
        runs.push(bench.run(&format!("run-{number}"))?);
    }
    let after = bench.keeper_counters()?;
    let synced = bench.count_syncs("counted")?;
    // The first run and the counted one are in its cost too.
    let kept = keeper.stop()?;
    let shares = f64::from(options.runs) + 2.0;

    let row = |name: &str, unit, value: fn(&Run) -> f64| {
        Row::median(name, &runs.iter().map(value).collect::<Vec<_>>(), unit)
    };
    let each = |name: &str| (after[name] - before[name]) as f64 / f64::from(options.runs);
    Ok(vec![
        row("simulated board: basalt run, wall", "s", |run| {
            run.cost.wall_s
        }),
        row("simulated board: held, power-on to off", "s", |run| {
            run.held_s
        }),
        row("simulated board: basalt run, CPU", "s", |run| {
            run.cost.cpu_s()
        }),
        row("simulated board: basalt run, peak memory", "MiB", |run| {
            run.cost.peak_kib as f64 / 1024.0
        }),
        row(
            "simulated board: basalt run, written, whole pages",
            "KiB",
            |run| run.cost.written_bytes as f64 / 1024.0,
        ),
        row("simulated board: basalt run, its journal", "KiB", |run| {
            run.journal_bytes / 1024.0
        }),
        Row::once("simulated board: basalt run, fsyncs", synced as f64, ""),
        Row::once(
            "simulated board: keeper, CPU a run",
            kept.cpu_s() / shares,
            "s",
        ),
        Row::once(
            "simulated board: keeper, peak memory",
            kept.peak_kib as f64 / 1024.0,
            "MiB",
        ),
        Row::once(
            "simulated board: keeper, written a run",
            each("bytes_written") / 1024.0,
            "KiB",
        ),
        Row::once("simulated board: keeper, fsyncs a run", each("fsyncs"), ""),
    ])
}

/// What one run cost.
struct Run {
    cost: Cost,
    held_s: f64,
    journal_bytes: f64,
}

/// Programs and places.
struct Bench {
    basalt: PathBuf,
    virtual_rack: PathBuf,
    directory: PathBuf,
    rack: Rack,
}

impl Bench {
    fn set(options: &Options) -> Result<Self> {
        let (basalt, virtual_rack) = options.programs()?;
        let directory = workspace::root().join("target/bench/simulated");
        if directory.exists() {
            fs::remove_dir_all(&directory)
                .with_context(|| format!("clearing {}", directory.display()))?;
        }
        for (name, text) in FILES {
            write(&directory.join(name), text.as_bytes())?;
        }
        let served = directory.join("files");
        write(&served.join("kernel"), &kernel(KERNEL_BYTES))?;
        pack_ramdisk(&directory, &served.join("ramdisk.cpio"))?;
        let rack = Rack::start(
            &virtual_rack,
            &directory.join("rack.toml"),
            &served,
            &directory.join("rack"),
        )?;
        Ok(Self {
            basalt,
            virtual_rack,
            directory,
            rack,
        })
    }

    /// A command in the rack's network, with Basalt's state beside the results.
    fn inside(&self, program: &str) -> Command {
        let mut command = self.rack.command(&self.virtual_rack, Path::new(program));
        command.env("BASALT_STATE", self.directory.join("state"));
        command
    }

    /// `basalt`, measured into the file `name`.
    fn measured(&self, name: &str, limit: Duration) -> (Command, PathBuf) {
        let file = self.directory.join(format!("{name}.cost.json"));
        let mut command = measure::measured(self.inside("python3"), &file, limit);
        command.arg(&self.basalt);
        (command, file)
    }

    fn lab(&self) -> PathBuf {
        self.directory.join("lab")
    }

    fn job(&self, command: &mut Command, name: &str) -> PathBuf {
        let results = self.directory.join(name);
        command
            .arg("run")
            .arg(self.directory.join("job.yaml"))
            .arg("--lab")
            .arg(self.lab())
            .args(["--board", BOARD, "--json", "--output"])
            .arg(&results);
        results
    }

    /// One run from its start to its end.
    fn run(&self, name: &str) -> Result<Run> {
        let (mut command, file) = self.measured(name, LONGEST_RUN);
        let results = self.job(&mut command, name);
        let events = Events::parse(&process::run(&mut command, LONGEST_RUN * 2)?)?;
        ensure!(
            events.outcome() == "pass",
            "the run came to {:?}",
            events.outcome()
        );
        let journal = results.join("journal");
        let journal =
            fs::metadata(&journal).with_context(|| format!("looking at {}", journal.display()))?;
        Ok(Run {
            cost: Cost::read(&file)?,
            held_s: seconds(events.power_on()?, events.power_off()?),
            journal_bytes: journal.len() as f64,
        })
    }

    /// How often one more run makes its data durable; being traced, it is not timed.
    fn count_syncs(&self, name: &str) -> Result<u64> {
        let file = self.directory.join("strace.txt");
        let mut command = measure::counted(self.inside("strace"), &file);
        command.arg(&self.basalt);
        self.job(&mut command, name);
        measure::count(&mut command, &file, LONGEST_RUN)
    }

    /// Starts the console keeper, measured, and waits until it keeps the board's console.
    fn keep(&self) -> Result<Keeper<'_>> {
        let log = self.directory.join("keeper.txt");
        let output = File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let errors = output.try_clone().context("sharing the keeper's output")?;
        let (mut command, cost) = self.measured("keeper", Duration::from_secs(3600));
        let child = command
            .args(["keeper", "--lab"])
            .arg(self.lab())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .context("the console keeper cannot be started")?;
        let mut keeper = Keeper {
            bench: self,
            child,
            cost,
        };
        let begun = Instant::now();
        while self
            .keeper_status()
            .is_none_or(|status| status["view"]["source"]["open"] != true)
        {
            let ended = keeper.child.try_wait().context("waiting for the keeper")?;
            if ended.is_some() || begun.elapsed() > Duration::from_secs(20) {
                let said = fs::read_to_string(&log).unwrap_or_default();
                anyhow::bail!("the console keeper does not keep the board's console:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(keeper)
    }

    fn keeper(&self, what: &[&str]) -> Command {
        let mut command = self.inside(&self.basalt.to_string_lossy());
        command
            .arg("keeper")
            .args(what)
            .arg("--lab")
            .arg(self.lab());
        command
    }

    /// What the keeper says of the board's console; nothing while it does not run.
    fn keeper_status(&self) -> Option<Value> {
        let mut command = self.keeper(&["--status", "--json"]);
        let said = process::run(&mut command, Duration::from_secs(10)).ok()?;
        let status: Value = serde_json::from_str(&said).ok()?;
        status.pointer(&format!("/consoles/{BOARD}")).cloned()
    }

    /// What the board's console has cost since the keeper's start.
    fn keeper_counters(&self) -> Result<std::collections::BTreeMap<String, u64>> {
        let status = self.keeper_status().context("the keeper does not answer")?;
        serde_json::from_value(status["counters"].clone()).context("reading the keeper's counters")
    }
}

/// A running keeper; ended when dropped.
struct Keeper<'a> {
    bench: &'a Bench,
    child: Child,
    cost: PathBuf,
}

impl Keeper<'_> {
    /// Ends it and says what it cost from its start.
    fn stop(mut self) -> Result<Cost> {
        process::run(&mut self.bench.keeper(&["--stop"]), Duration::from_secs(30))?;
        let status = process::wait(&mut self.child, Duration::from_secs(30))?;
        ensure!(
            status.is_some_and(|status| status.success()),
            "the keeper did not end as asked: {status:?}"
        );
        Cost::read(&self.cost)
    }
}

impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        // Ended already where everything went well. The measuring script passes the signal on.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let _ = process::wait(&mut self.child, Duration::from_secs(20));
        }
    }
}

/// A kernel of so many bytes, as far as a simulated board looks.
pub(super) fn kernel(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes.extend_from_slice(KERNEL_LINE.as_bytes());
    // Not zeros, which any layer might treat in a special way.
    let fill = (0..size - bytes.len()).map(|place| (place * 31 % 251) as u8);
    bytes.extend(fill);
    bytes
}

/// A ramdisk with one file; the rack brings the shell.
pub(super) fn pack_ramdisk(directory: &Path, archive: &Path) -> Result<()> {
    let name = "hello.txt";
    write(&directory.join("ramdisk").join(name), b"from the ramdisk\n")?;
    let list = directory.join("ramdisk.list");
    write(&list, name.as_bytes())?;
    let list = File::open(&list).context("opening the list of the ramdisk's files")?;
    let mut command = Command::new("cpio");
    command
        .args(["--create", "--quiet", "--format=newc", "--file"])
        .arg(archive)
        .current_dir(directory.join("ramdisk"));
    process::run_with_input(&mut command, list.into(), Duration::from_secs(30)).map(drop)
}

/// Writes a file, making the directories above it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
