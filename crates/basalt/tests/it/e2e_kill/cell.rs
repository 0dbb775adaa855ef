//! One board of a rack with a lab, a state directory and a keeper of its own, and the run on it that
//! is killed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use basalt_model::event::Level;
use basalt_model::{Event, EventBody};
use basalt_runner::state::RunState;
use serde_json::Value;

use crate::e2e_happy::{assert_truth, recompute};
use crate::e2e_harness::{Finished, Running, Site, until};

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// `basalt run`.
    Run,
    /// The console keeper.
    Keeper,
    /// Both at once.
    Both,
}

/// How a killed run is gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// By the same command.
    SameCommand,
    /// By `--resume DIR`.
    Resume,
}

/// A run on one board.
pub struct Cell<'s> {
    site: &'s Site,
    /// The board.
    pub board: String,
    state: PathBuf,
    /// Its results.
    pub output: PathBuf,
    job: PathBuf,
    starts: std::cell::Cell<u32>,
    holds: std::cell::Cell<u64>,
}

impl<'s> Cell<'s> {
    /// A job for a board of the site that nobody else uses.
    pub fn new(site: &'s Site, board: &str, job: &str) -> Self {
        // Its keeper must not take the consoles of the other cells.
        let boards = site.lab(board).join("boards");
        for entry in std::fs::read_dir(boards).unwrap() {
            let path = entry.unwrap().path();
            if path.file_stem().is_some_and(|name| name != board) {
                std::fs::remove_file(path).unwrap();
            }
        }
        let path = site.path().join(format!("{board}.yaml"));
        std::fs::write(&path, job).unwrap();
        Self {
            site,
            board: board.to_owned(),
            state: site.path().join(format!("state-{board}")),
            output: site.path().join(format!("results-{board}")),
            job: path,
            starts: std::cell::Cell::new(0),
            holds: std::cell::Cell::new(0),
        }
    }

    /// The same board, another job beside the first.
    pub fn beside(&self, job: &str) -> Cell<'s> {
        let path = self.site.path().join(format!("{}-beside.yaml", self.board));
        std::fs::write(&path, job).unwrap();
        Cell {
            site: self.site,
            board: self.board.clone(),
            state: self.state.clone(),
            output: self.site.path().join(format!("beside-{}", self.board)),
            job: path,
            starts: std::cell::Cell::new(0),
            holds: std::cell::Cell::new(0),
        }
    }

    /// `basalt` with this cell's state.
    fn basalt(&self, arguments: &[&str]) -> Command {
        let mut command = self.site.basalt(arguments);
        command.env("BASALT_STATE", &self.state);
        command
    }

    /// Starts the run, or goes on with it by the same command.
    pub fn start(&self) -> Running {
        let mut command = self.basalt(&["run", "--json"]);
        command
            .arg(&self.job)
            .arg("--lab")
            .arg(self.site.lab(&self.board))
            .args(["--board", &self.board, "--output"])
            .arg(&self.output);
        self.running(command)
    }

    /// Goes on with the run.
    pub fn again(&self, how: Again) -> Running {
        if how == Again::SameCommand {
            return self.start();
        }
        let mut command = self.basalt(&["run", "--json", "--resume"]);
        command.arg(&self.output);
        // It must find its lab and its state by itself.
        command.env_remove("BASALT_STATE");
        self.running(command)
    }

    fn running(&self, command: Command) -> Running {
        self.starts.set(self.starts.get() + 1);
        let name = self.output.file_name().unwrap().to_string_lossy();
        let name = format!("{name}-{}", self.starts.get());
        Running::start(command, self.site.path(), &name, self.output.clone())
    }

    /// Waits until a line of the run's events fits.
    pub fn wait_for(&self, running: &Running, what: &str, fits: impl Fn(&Value) -> bool) {
        until(what, || {
            let ended = has_ended(running);
            let events = shown(running);
            let found = events.iter().any(&fits).then_some(());
            assert!(
                found.is_some() || !ended,
                "the run ended before {what}:\n{}",
                running.stdout()
            );
            found
        });
    }

    /// Has the board stand still once it has said this.
    pub fn hold(&self, after: &str) {
        self.hold_at(after, 1);
    }

    /// The same once it has said it for so manieth time from now on.
    pub fn hold_at(&self, after: &str, nth: u64) {
        self.holds.set(self.holds.get() + 1);
        self.site.rack.hold_at(&self.board, after, nth);
    }

    /// Lets the board go on.
    pub fn let_go(&self) {
        self.site.rack.let_go(&self.board);
    }

    /// Waits until a line of the run's events fits and the board stands still there.
    pub fn wait_held(&self, running: &Running, what: &str, fits: impl Fn(&Value) -> bool) {
        self.wait_for(running, what, fits);
        self.site.rack.wait_held(&self.board, self.holds.get());
    }

    /// Kills at that moment, which must end the run, and lets the board go on.
    pub fn kill_held(
        &self,
        running: Running,
        victim: Victim,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) {
        self.wait_held(&running, what, fits);
        assert!(self.kill(running, victim).is_none(), "{victim:?} leaves it");
        self.let_go();
    }

    /// Waits until so many events were shown; false where the run ended before.
    pub fn wait_for_events(&self, running: &Running, count: usize) -> bool {
        until("events", || {
            let ended = has_ended(running);
            let enough = shown(running).len() >= count;
            (enough || ended).then_some(enough)
        })
    }

    /// Kills when an event fits, and must have ended it.
    pub fn kill_at(
        &self,
        running: Running,
        victim: Victim,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) {
        self.wait_for(&running, what, fits);
        assert!(self.kill(running, victim).is_none(), "{victim:?} leaves it");
    }

    /// Kills at once, and gives the run back where it was not killed.
    pub fn kill(&self, running: Running, victim: Victim) -> Option<Running> {
        let keeper = self.keeper().map(|pid| pid.to_string());
        let run = running.pid().to_string();
        let pids: Vec<&str> = match (victim, &keeper) {
            (Victim::Run, _) | (Victim::Both, None) => vec![&run],
            (Victim::Keeper, Some(keeper)) => vec![keeper],
            (Victim::Both, Some(keeper)) => vec![keeper, &run],
            (Victim::Keeper, None) => Vec::new(),
        };
        if !pids.is_empty() {
            // Whoever has ended a moment before needs no signal.
            let _ = Command::new("kill").arg("-KILL").args(&pids).status();
        }
        match victim {
            Victim::Keeper => Some(running),
            Victim::Run | Victim::Both => {
                running.kill();
                None
            }
        }
    }

    /// The keeper's process, where one runs.
    fn keeper(&self) -> Option<u32> {
        let pid = std::fs::read_to_string(self.state.join("keeper.pid")).ok()?;
        let pid = pid.trim().parse().ok()?;
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        name.starts_with("basalt").then_some(pid)
    }

    /// The run's journal as far as it is whole.
    pub fn events(&self) -> Vec<Event> {
        basalt_journal::read(&self.output.join("journal")).unwrap()
    }

    /// Where the run stands.
    pub fn stands(&self) -> RunState {
        RunState::of(&self.events())
    }

    /// The journal's bytes.
    pub fn journal(&self) -> Vec<u8> {
        std::fs::read(self.output.join("journal")).unwrap()
    }

    /// Leaves of a journal what stands up to the event with this number, and `torn` bytes of the
    /// next one: what a runner leaves that is killed there.
    pub fn cut_journal(&self, bytes: &[u8], after: u64, torn: usize) {
        // Eight bytes of magic, then records of length, checksum and JSON.
        let mut end = 8;
        for _ in 0..after {
            let length: [u8; 4] = bytes[end..end + 4].try_into().unwrap();
            end += 8 + u32::from_le_bytes(length) as usize;
        }
        std::fs::write(self.output.join("journal"), &bytes[..end + torn]).unwrap();
    }

    /// Why something was done again, in the runner's own words.
    pub fn said_again(&self) -> String {
        let events = self.events();
        let warnings = events.iter().filter_map(|event| match &event.body {
            EventBody::Log { level, message }
                if *level >= Level::Warning && message.contains("again") =>
            {
                Some(format!("\n    {message}"))
            }
            _ => None,
        });
        warnings.collect()
    }

    /// How often the board measured, and how often it was switched on.
    pub fn counters(&self) -> (u64, u64) {
        let counter = |name| self.site.rack.counter(&self.board, name);
        (counter("cyclictest_runs"), counter("power_on"))
    }

    /// Waits until the board itself has begun so many measurements. The board says that it is about
    /// to begin one before it does, and goes on whoever listens.
    pub fn wait_measured(&self, count: u64) {
        until("the board to measure", || {
            (self.counters().0 >= count).then_some(())
        });
    }

    /// What must hold after every run that was killed and finished, whenever and however often:
    /// each phase once and as the board measured it, each result once, the console whole but for
    /// gaps on record, the board off. Returns how many gaps.
    pub fn check(&self, finished: &Finished, suites: &[&str]) -> usize {
        finished.expect_code(0);
        let results = finished.results();
        assert_eq!(results.outcome(), "pass");
        assert_eq!(results.power(), "off");
        assert!(!self.site.rack.has_power(&self.board), "the board is on");

        let mut phases: BTreeMap<(String, usize), u32> = BTreeMap::new();
        let events = self.events();
        for event in &events {
            if let EventBody::PhaseFinished { level, index, .. } = &event.body {
                *phases.entry((level.clone(), *index)).or_default() += 1;
            }
        }
        assert!(phases.values().all(|count| *count == 1), "{phases:?}");
        assert_eq!(phases.len(), suites.len());
        let truth = self.site.rack.truth(&self.board);
        for suite in suites {
            let measured = &results.phase(suite)["raw_file"]["sha256"];
            let truth = truth.iter().find(|one| one["json_sha256"] == *measured);
            let truth = truth.unwrap_or_else(|| panic!("{suite} was never measured so"));
            assert_truth(finished, suite, truth);
        }

        let mut seen: BTreeMap<(String, String, u64), u32> = BTreeMap::new();
        for case in results.0["cases"].as_array().unwrap() {
            // Actions that were done again stand there again.
            if case["suite"] != "lava" {
                let word = |key: &str| case[key].as_str().unwrap().to_owned();
                let key = (
                    word("suite"),
                    word("case"),
                    case["attempt"].as_u64().unwrap(),
                );
                *seen.entry(key).or_default() += 1;
            }
        }
        seen.retain(|_, count| *count != 1);
        assert!(seen.is_empty(), "more than once: {seen:?}");
        let kernel_messages = results.words("lava");
        let kernel_messages = kernel_messages
            .iter()
            .filter(|word| word.starts_with("kernel-messages"));
        assert_eq!(kernel_messages.count(), 1);

        recompute(self.site, finished, &self.board, true);
        results.0["console"]["gaps"].as_array().unwrap().len()
    }
}

/// Whether a process has ended, though nobody has waited for it yet (proc(5): state `Z`).
fn has_ended(running: &Running) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", running.pid()));
    stat.is_ok_and(|stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" Z"))
    })
}

/// The events that a run has shown.
fn shown(running: &Running) -> Vec<Value> {
    let text = running.stdout();
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let events = whole.lines().map(serde_json::from_str);
    events.filter_map(Result::ok).collect()
}

impl Cell<'_> {
    /// What must hold for a run that was not killed, on a board of which another run is killed.
    pub fn check_beside(&self, finished: &Finished) {
        finished.expect_code(0);
        let results = finished.results();
        assert_eq!((results.outcome(), results.power()), ("pass", "off"));
        assert_eq!(results.0["console"]["gaps"].as_array().unwrap().len(), 0);
    }
}

impl Drop for Cell<'_> {
    fn drop(&mut self) {
        let stopped = self.basalt(&["keeper", "--stop"]).output();
        if !stopped.is_ok_and(|output| output.status.success())
            && let Some(pid) = self.keeper()
        {
            let pid = pid.to_string();
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
        }
    }
}
