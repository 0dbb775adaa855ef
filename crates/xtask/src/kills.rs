//! `basalt run` on an emulated board, killed in the middle of a measurement, ends as if nothing had
//! happened. What is killed under a server is the demonstration's; every other moment is tried on
//! simulated boards, in `basalt`'s own tests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{process, workspace};

/// How long a run may take until the moment at which it is killed, and from there to its end; an
/// emulated board on a busy host is slow.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A `basalt run --json` that goes on.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    events: Vec<Value>,
}

/// What is shown, for people.
pub const SAYS: &str =
    "without a server: a run that is killed while the board measures is gone on with";

/// Whether the moment has come with this event of the run: the first phase measures.
fn has_come(event: &Value) -> bool {
    event["kind"] == "signal"
        && event["level"] == "3.1"
        && event["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("BASALT_PHASE LOADS alive=1"))
}

/// `basalt run` of a job of this lab on a board, killed in the middle of its first phase and gone on
/// with by `--resume`; held against what must be, and against the rack's log by a script without
/// Basalt's code. What that script said.
pub fn perform(
    basalt: &dyn Fn() -> Result<Command>,
    lab: &Path,
    job: &str,
    board: &str,
    results: &Path,
    rack_log: &Path,
) -> Result<String> {
    let mut command = basalt()?;
    command
        .arg("run")
        .arg(lab.join("jobs").join(job))
        .arg("--lab")
        .arg(lab)
        .args(["--board", board])
        .arg("--output")
        .arg(results);
    let performed = killed_and_resumed(&mut command, basalt, results);
    // The keeper outlives `basalt run`; here nobody will come back for it.
    let mut keeper = basalt()?;
    keeper.args(["keeper", "--stop", "--lab"]).arg(lab);
    process::run(&mut keeper, Duration::from_secs(30)).context("ending the console keeper")?;
    performed?;
    let mut command = Command::new("python3");
    command
        .arg(workspace::root().join("scripts/recompute.py"))
        .arg(results)
        .arg(rack_log)
        .arg(board);
    let said = process::run(&mut command, Duration::from_secs(60))?;
    Ok(said.trim_end().to_owned())
}

fn killed_and_resumed(
    start: &mut Command,
    basalt: &dyn Fn() -> Result<Command>,
    results: &Path,
) -> Result<()> {
    let mut first = Running::start(start)?;
    first.wait_for(has_come)?;
    kill_process(Pid::from_child(&first.child), Signal::KILL).context("killing")?;
    let (_, mut events) = first.ended()?;
    ensure!(
        !of_kind(&events, "phase_finished").any(|_| true),
        "the phase was over before the run was killed"
    );
    println!("killed after {} events; going on", events.len());
    let mut command = basalt()?;
    command.args(["run", "--resume"]).arg(results);
    events.extend(Running::start(&mut command)?.finished()?);

    let mut phases: BTreeMap<String, u32> = BTreeMap::new();
    for event in of_kind(&events, "phase_finished") {
        ensure!(
            event["verdict"] == "pass",
            "phase {} is {}: {}",
            event["phase"],
            event["verdict"],
            event["reason"]
        );
        *phases.entry(event["index"].to_string()).or_default() += 1;
    }
    ensure!(
        phases.len() == 2 && phases.values().all(|count| *count == 1),
        "the phases did not finish once each: {phases:?}"
    );
    let boots = of_kind(&events, "power_intent")
        .filter(|event| event["request"] == "on")
        .count();
    ensure!(boots == 1, "the board was switched on {boots} times, not 1");
    let measured = of_kind(&events, "payload_started").count();
    ensure!(measured == 2, "{measured} phases were started, not 2");
    let power = of_kind(&events, "finished").map(|event| &event["power"]);
    let power: Vec<_> = power.collect();
    ensure!(
        power == ["off"],
        "the board is not off at the end: {power:?}"
    );
    Ok(())
}

fn of_kind<'e>(events: &'e [Value], kind: &'static str) -> impl Iterator<Item = &'e Value> {
    events.iter().filter(move |event| event["kind"] == kind)
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
