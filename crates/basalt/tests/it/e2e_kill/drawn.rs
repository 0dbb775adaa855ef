//! Kills at drawn moments: whatever the moment, what is gone on with ends as if nothing had
//! happened. `cargo xtask campaign kill-run` draws many; a merge waits for a few.

use std::time::Duration;

use super::cell::{Again, Cell, Victim};
use super::odd::{last_cases_of_ours, test_cases};
use super::{SUITES, perform_all, two_phases};
use crate::e2e_harness::{Board, Draw, Site};

/// Draws other moments; the campaign sets it.
const SEED: &str = "BASALT_CAMPAIGN_SEED";
/// Runs of one seed.
const RUNS: usize = 6;
/// A run without a kill has so many events, about.
const EVENTS: u64 = 95;
/// So many more with test cases.
const CASE_EVENTS: u64 = 30;

/// One kill: of whom, so many events after the start, and so much later.
#[derive(Clone, Copy, Debug)]
struct Kill {
    victim: Victim,
    events: usize,
    later: Duration,
    again: Again,
}

/// One run that is killed a few times.
struct Drawn {
    name: String,
    board: Board,
    login: bool,
    /// A stage of test cases follows the phases.
    cases: bool,
    kills: Vec<Kill>,
}

fn draw(seed: u64) -> Vec<Drawn> {
    let mut draw = Draw::new(seed);
    (0..RUNS)
        .map(|index| {
            let name = format!("drawn-{index}");
            let mut board = Board::new(&name).rack("time_scale = 0.05");
            let login = draw.below(2) == 0;
            if login {
                board = board.rack("login = 'root'");
            }
            if draw.below(2) == 0 {
                board = board.rack("speed = 'real'");
            }
            if draw.below(2) == 0 {
                board = board.uploads();
            }
            // Started by a boot loader that nobody stops, which a busy host must have the time to do.
            if draw.below(2) == 0 {
                board = board
                    .rack("bootdelay = 5\ndisk_kernel = 'Linux version 5.10.0-disk (a@b) #1 SMP'");
            }
            let cases = draw.below(2) == 0;
            let events = EVENTS + if cases { CASE_EVENTS } else { 0 };
            let kills = (0..=draw.below(3))
                .map(|_| Kill {
                    victim: match draw.below(3) {
                        0 => Victim::Keeper,
                        1 => Victim::Both,
                        _ => Victim::Run,
                    },
                    events: 1 + draw.below(events) as usize,
                    later: Duration::from_micros(draw.below(20_000)),
                    again: match draw.below(2) {
                        0 => Again::Resume,
                        _ => Again::SameCommand,
                    },
                })
                .collect();
            Drawn {
                name,
                board,
                login,
                cases,
                kills,
            }
        })
        .collect()
}

impl Drawn {
    fn perform(&self, site: &Site) -> String {
        let mut job = two_phases(site.job(&self.name));
        if self.login {
            job = job.boot_line("auto_login: {login_prompt: 'login:', username: root}");
        }
        if self.cases {
            job = test_cases(job);
        }
        let cell = Cell::new(site, &self.name, &job.text());
        let mut running = cell.start();
        let mut done = 0;
        for kill in &self.kills {
            if !cell.wait_for_events(&running, kill.events) {
                break;
            }
            done += 1;
            // Part of what was drawn, not a wait for anything.
            std::thread::sleep(kill.later);
            running = match cell.kill(running, kill.victim) {
                Some(running) => running,
                None => cell.again(kill.again),
            };
            if cell.stands().finished.is_some() {
                break;
            }
        }
        let mut finished = running.wait();
        if finished.code == Some(64) && cell.stands().finished.is_some() {
            // Killed after its end: there was nothing to go on with.
            finished.code = Some(0);
        }
        let gaps = cell.check(&finished, &SUITES);
        if self.cases {
            // Those of our helper are complete whatever the console lost.
            let ours = last_cases_of_ours(&finished, "2_slow");
            assert_eq!(ours, (1..=6).collect::<Vec<_>>());
        }
        let (measured, boots) = cell.counters();
        let again = cell.said_again();
        format!("{done} kills, {boots} boots, {measured} measured, {gaps} gaps{again}")
    }
}

#[test]
fn runs_that_are_killed_at_drawn_moments_are_finished() {
    let seed = match std::env::var(SEED) {
        Ok(seed) => seed.parse().expect("a seed is a number"),
        Err(_) => 1,
    };
    println!("seed {seed}");
    let runs = draw(seed);
    for run in &runs {
        println!("{}: {:?}", run.name, run.kills);
    }
    let boards: Vec<Board> = runs.iter().map(|run| run.board.clone()).collect();
    let site = Site::start(&boards);
    perform_all(&runs, |run| &run.name, |run| run.perform(&site));
}
