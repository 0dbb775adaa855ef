//! Runs and keepers that are killed, at every stage of a job: what is gone on with ends as if
//! nothing had happened.

mod cell;
mod drawn;
mod odd;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Instant;

use cell::{Again, Cell, Victim};
use serde_json::Value;

use crate::e2e_harness::{Board, Job, Site, phase, until};

/// How many runs go on at once.
const AT_ONCE: usize = 4;

/// When something is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Download,
    Tftp,
    KernelBoot,
    Login,
    Idle,
    Load,
    Transfer,
}

const MOMENTS: [Moment; 7] = [
    Moment::Download,
    Moment::Tftp,
    Moment::KernelBoot,
    Moment::Login,
    Moment::Idle,
    Moment::Load,
    Moment::Transfer,
];

/// The suites of [`two_phases`].
const SUITES: [&str; 2] = ["0_idle", "1_hackbench"];

fn two_phases(job: Job) -> Job {
    job.realtime(&[
        phase("idle", "limit: 400us"),
        phase("hackbench", "limit: 400us, load: [hackbench]"),
    ])
}

/// Whether an event is the begin of this action.
fn begins(event: &Value, action: &str) -> bool {
    event["kind"] == "action_started" && event["name"] == action
}

/// What the board says when it is about to measure.
const MEASURES: &str = "LOADS alive=1>";

/// Whether an event says that the measurement of this phase goes on under its loads.
fn measures(event: &Value, level: &str) -> bool {
    event["kind"] == "signal"
        && event["level"] == level
        && event["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("BASALT_PHASE LOADS alive=1"))
}

impl Moment {
    /// Whether it has come with this event.
    fn has_come(self, event: &Value) -> bool {
        match self {
            Self::Download => begins(event, "http-download"),
            // Typed at the board, which begins to ask for it.
            Self::Tftp => {
                event["kind"] == "input"
                    && event["text"]
                        .as_str()
                        .is_some_and(|text| text.contains("/kernel"))
            }
            Self::KernelBoot => event["kind"] == "kernel_banner",
            Self::Login => begins(event, "login-action"),
            Self::Idle => measures(event, "3.1"),
            Self::Load => measures(event, "3.2"),
            Self::Transfer => begins(event, "realtime-transfer"),
        }
    }

    /// What the board says then, and for so manieth time: it stands still until the kill has come.
    fn hold(self, uploads: bool) -> Option<(&'static str, u64)> {
        Some(match self {
            // Nobody listens to the board yet.
            Self::Download => return None,
            // In the middle of its files.
            Self::Tftp => ("#####", 1),
            Self::KernelBoot => ("Machine model", 1),
            Self::Login => ("login: ", 1),
            Self::Idle => (MEASURES, 1),
            Self::Load => (MEASURES, 2),
            // The echo of what asks for the file's sum, and of what has it sent.
            Self::Transfer if uploads => ("phase-0/out/result.json", 2),
            Self::Transfer => ("phase-0/out/result.json", 1),
        })
    }

    /// The action that it falls into: its level and name.
    fn action(self) -> (&'static str, &'static str) {
        match self {
            Self::Download => ("1.1", "http-download"),
            Self::Tftp => ("2.3", "bootloader-commands"),
            Self::KernelBoot => ("2.4", "auto-login-action"),
            Self::Login => ("2.4.1", "login-action"),
            Self::Idle => ("3.1", "realtime-phase"),
            Self::Load => ("3.2", "realtime-phase"),
            Self::Transfer => ("3.1.1", "realtime-transfer"),
        }
    }

    /// Whether the board is booted again after the run was killed.
    fn boots_again(self) -> bool {
        matches!(self, Self::Tftp | Self::KernelBoot | Self::Login)
    }
}

/// One row of the table.
struct Row {
    name: String,
    board: String,
    moment: Moment,
    victim: Victim,
    again: Again,
}

fn rows() -> Vec<Row> {
    let victims = [Victim::Run, Victim::Keeper, Victim::Both];
    let mut rows = Vec::new();
    for moment in MOMENTS {
        for victim in victims {
            let number = rows.len();
            rows.push(Row {
                name: format!("{moment:?} {victim:?}"),
                board: format!("sim-{number}"),
                moment,
                victim,
                again: match number % 2 {
                    0 => Again::SameCommand,
                    _ => Again::Resume,
                },
            });
        }
    }
    rows
}

impl Row {
    fn board(&self) -> Board {
        // Half a second a phase; long enough for whoever comes back to meet it in the middle of one.
        let board = Board::new(&self.board).rack("time_scale = 0.1");
        match self.moment {
            Moment::KernelBoot => board.rack("speed = 'real'"),
            Moment::Login => board.rack("speed = 'real'\nlogin = 'root'"),
            _ if self.uploads() => board.uploads(),
            _ => board,
        }
    }

    /// Whether the board sends its files over the network.
    fn uploads(&self) -> bool {
        self.moment == Moment::Transfer && self.victim == Victim::Both
    }

    fn job(&self, site: &Site) -> Job {
        let job = site.job(&self.name);
        let kernel = format!("vmlinuz-{}", self.board);
        let file = site.path().join("files").join(&kernel);
        let image = std::fs::read(site.path().join("files/vmlinuz-rt")).unwrap();
        match self.moment {
            Moment::Download => {
                std::fs::write(file, &image).unwrap();
                // Slower than anybody who is to be killed; half a second where the run goes on.
                let speed = match self.victim {
                    Victim::Keeper => 40_000,
                    Victim::Run | Victim::Both => 500,
                };
                let fault = format!(
                    "{{\"path\":\"{kernel}\",\"fault\":\"slow\",\"bytes_per_second\":{speed},\"times\":1}}"
                );
                site.rack.ask("POST", "/files-knobs", &fault);
                two_phases(job.deploy(|deploy| deploy.kernel = kernel))
            }
            Moment::Tftp => {
                // A hundred blocks, of which every tenth shows as a sign.
                let mut image = image;
                image.resize(150_000, 0x5a);
                std::fs::write(file, &image).unwrap();
                two_phases(job.deploy(|deploy| deploy.kernel = kernel))
            }
            Moment::Login => {
                two_phases(job.boot_line("auto_login: {login_prompt: 'login:', username: root}"))
            }
            _ => two_phases(job),
        }
    }

    /// Runs, kills, goes on, checks; what the table says of it.
    fn perform(&self, site: &Site) -> String {
        let cell = Cell::new(site, &self.board, &self.job(site).text());
        let hold = self.moment.hold(self.uploads());
        if let Some((after, nth)) = hold {
            cell.hold_at(after, nth);
        }
        let running = cell.start();
        let has_come = |event: &Value| self.moment.has_come(event);
        match hold {
            Some(_) => cell.wait_held(&running, &self.name, has_come),
            None => {
                cell.wait_for(&running, &self.name, has_come);
                let kernel = format!("vmlinuz-{}", self.board);
                until("a download", || {
                    (site.rack.ask("GET", "/files-knobs", "")["fired"][&kernel] == 1).then_some(())
                });
            }
        }
        let left = cell.kill(running, self.victim);
        cell.let_go();
        let finished = match left {
            Some(running) => running.wait(),
            None => {
                let (level, name) = self.moment.action();
                let open = cell.stands().open;
                assert!(
                    open.iter()
                        .any(|one| one.level == level && one.name == name),
                    "not killed in {level} {name} but in {open:?}"
                );
                cell.again(self.again).wait()
            }
        };
        let gaps = cell.check(&finished, &SUITES);
        let (measured, boots) = cell.counters();
        assert_eq!(measured, 2, "a phase was measured again");
        match (self.victim, self.moment.boots_again()) {
            (Victim::Run | Victim::Both, again) => assert_eq!(boots, 1 + u64::from(again)),
            // It depends on whether the bytes that were lost were awaited.
            (Victim::Keeper, _) => assert!((1..=2).contains(&boots), "{boots} boots"),
        }
        assert_eq!(gaps > 0, self.victim != Victim::Run, "{gaps} gaps");
        let resumed = finished.results().0["resumed"].as_u64().unwrap();
        assert_eq!(resumed, u64::from(self.victim != Victim::Keeper));
        format!("{boots} boots, {measured} measured, {gaps} gaps")
    }
}

/// Performs every row, some at once, and shows the table; fails if any row does.
fn perform_all<R: Sync>(
    rows: &[R],
    name: impl Fn(&R) -> &str + Sync,
    perform: impl Fn(&R) -> String + Sync,
) {
    let next = Mutex::new(0..rows.len());
    let said = Mutex::new(vec![None; rows.len()]);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(rows.len()) {
            scope.spawn(|| {
                loop {
                    let Some(index) = next.lock().unwrap().next() else {
                        return;
                    };
                    let begun = Instant::now();
                    let result = catch_unwind(AssertUnwindSafe(|| perform(&rows[index])));
                    let took = begun.elapsed().as_secs_f64();
                    said.lock().unwrap()[index] = Some((result.map_err(words_of), took));
                }
            });
        }
    });
    let mut failed = 0;
    for (row, said) in rows.iter().zip(said.into_inner().unwrap()) {
        let (result, took) = said.expect("every row was performed");
        let (sign, text) = match &result {
            Ok(text) => ("ok", text),
            Err(text) => ("FAILED", text),
        };
        failed += usize::from(result.is_err());
        println!("{:<28} {took:>6.1} s  {sign:<6} {text}", name(row));
    }
    assert_eq!(failed, 0, "{failed} of {} failed", rows.len());
}

fn words_of(panic: Box<dyn std::any::Any + Send>) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

#[test]
fn a_run_is_finished_whoever_is_killed_at_whatever_stage() {
    let rows = rows();
    let boards: Vec<Board> = rows.iter().map(Row::board).collect();
    let site = Site::start(&boards);
    perform_all(&rows, |row| &row.name, |row| row.perform(&site));
}
