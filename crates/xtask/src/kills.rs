//! Kills on an emulated board: a run that is killed in the middle of a measurement, and one that is
//! killed with its keeper while the kernel boots, end as if nothing had happened. Every other moment
//! is tried on simulated boards, in `basalt`'s own tests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::process;

/// How long a run may take until the moment at which it is killed, and from there to its end; an
/// emulated board on a busy host is slow.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// What is killed, when, and how the run is gone on with.
pub struct Kill {
    /// The directory of its results.
    pub name: &'static str,
    /// For people.
    pub says: &'static str,
    /// Whether the moment has come with this event of the run.
    has_come: fn(&Value) -> bool,
    /// The console keeper is killed too.
    with_keeper: bool,
    /// By `--resume DIR`, else by the same command.
    by_resume: bool,
    /// How often the board is switched on in all.
    boots: usize,
}

/// The kills that `cargo xtask test` performs.
pub const KILLS: [Kill; 2] = [
    Kill {
        name: "kill-idle",
        says: "a run that is killed while the board measures is gone on with",
        has_come: |event| {
            event["kind"] == "signal"
                && event["level"] == "3.1"
                && event["text"]
                    .as_str()
                    .is_some_and(|text| text.starts_with("BASALT_PHASE LOADS alive=1"))
        },
        with_keeper: false,
        by_resume: true,
        boots: 1,
    },
    Kill {
        name: "kill-boot",
        says: "a run that is killed with its keeper while the kernel boots is gone on with",
        has_come: |event| event["kind"] == "kernel_banner",
        with_keeper: true,
        by_resume: false,
        boots: 2,
    },
];

/// A `basalt run --json` that goes on.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    events: Vec<Value>,
}

/// Runs a job, kills it, goes on with it, and holds the events of both against what must be. `start`
/// gives the command, or `--resume` of the results.
pub fn perform(
    kill: &Kill,
    state: &Path,
    start: &dyn Fn() -> Command,
    resume: &dyn Fn() -> Command,
) -> Result<()> {
    let mut first = Running::start(&mut start())?;
    first.wait_for(kill.has_come)?;
    let mut pids = Vec::new();
    if kill.with_keeper {
        pids.push(keeper(state)?);
    }
    pids.push(Pid::from_child(&first.child));
    for pid in pids {
        kill_process(pid, Signal::KILL).context("killing")?;
    }
    let (_, mut events) = first.ended()?;
    ensure!(
        !events.iter().any(|event| event["kind"] == "finished"),
        "it finished before it was killed"
    );
    println!("killed after {} events; going on", events.len());
    let mut command = if kill.by_resume { resume() } else { start() };
    events.extend(Running::start(&mut command)?.finished()?);

    let mut phases: BTreeMap<String, u32> = BTreeMap::new();
    for event in of_kind(&events, "phase_finished") {
        *phases.entry(event["index"].to_string()).or_default() += 1;
    }
    ensure!(
        phases.len() == 2 && phases.values().all(|count| *count == 1),
        "the phases did not finish once each: {phases:?}"
    );
    let boots = of_kind(&events, "power_intent")
        .filter(|event| event["request"] == "on")
        .count();
    ensure!(
        boots == kill.boots,
        "the board was switched on {boots} times, not {}",
        kill.boots
    );
    let measured = of_kind(&events, "payload_started").count();
    ensure!(measured == 2, "{measured} phases were started, not 2");
    Ok(())
}

fn of_kind<'e>(events: &'e [Value], kind: &'static str) -> impl Iterator<Item = &'e Value> {
    events.iter().filter(move |event| event["kind"] == kind)
}

/// The console keeper of a state directory.
fn keeper(state: &Path) -> Result<Pid> {
    let path = state.join("keeper.pid");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    pid.with_context(|| format!("{} holds no process id", path.display()))
}

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .arg("--json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("basalt cannot be started")?;
        let output = child.stdout.take().context("a child has the pipe it got")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            lines,
            events: Vec::new(),
        })
    }

    /// Takes events until one fits.
    fn wait_for(&mut self, fits: fn(&Value) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let found = self.take(&line)?;
                    if found.is_some_and(fits) {
                        return Ok(());
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("the moment did not come within {} s", PATIENCE.as_secs())
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    bail!("the run ended before the moment: {}", self.last())
                }
            }
        }
    }

    fn take(&mut self, line: &str) -> Result<Option<&Value>> {
        let event: Value =
            serde_json::from_str(line).with_context(|| format!("{line:?} is no event"))?;
        self.events.push(event);
        Ok(self.events.last())
    }

    /// The last event, for messages.
    fn last(&self) -> String {
        self.events.last().map(Value::to_string).unwrap_or_default()
    }

    /// How it ended, and its events. What a killed process wrote half is left out.
    fn ended(mut self) -> Result<(ExitStatus, Vec<Value>)> {
        let Some(status) = process::wait(&mut self.child, PATIENCE)? else {
            bail!("it did not end within {} s", PATIENCE.as_secs());
        };
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(5)) {
            if self.take(&line).is_err() {
                break;
            }
        }
        Ok((status, std::mem::take(&mut self.events)))
    }

    /// Its events, once it has passed.
    fn finished(self) -> Result<Vec<Value>> {
        let (status, events) = self.ended()?;
        let last = events.last().map(Value::to_string).unwrap_or_default();
        ensure!(status.success(), "it ended with {status}: {last}");
        Ok(events)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless something went wrong.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
