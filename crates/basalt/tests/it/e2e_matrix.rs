//! A whole lab whose processes are killed and stand still at drawn moments: two dispatchers, many
//! boards, many jobs, both databases. Every job is finished once with the result that was planted,
//! and every record of it agrees with every other.
//!
//! `cargo xtask campaign kill` does the same at length; a merge waits for a small one.

mod case;
mod check;
mod clients;
mod lab;
mod limit;
mod records;

use std::io::{BufRead, BufReader};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use case::{Anchor, Case, Database, LONG, SHORT, Stroke};
use check::Findings;
use clients::{Access, GoHome, Shared, follow, submit, watch};
use lab::Lab;

use crate::e2e_harness::Site;

/// Draws another case; the campaign sets it.
const SEED: &str = "BASALT_CAMPAIGN_SEED";
/// `long` makes it a campaign's.
const SCALE: &str = "BASALT_CAMPAIGN_SCALE";

/// Nothing happens for so long: it will not any more. Longer than what may be awaited in vain.
const STALLED: Duration = Duration::from_secs(200);
/// Nobody is struck as long as a job that is not finished has had so many runs: a job that the lab
/// itself ends five times is given up, as it should be.
const WORN: u64 = 3;

#[test]
fn every_job_is_finished_once_whatever_is_killed_over_sqlite() {
    perform(Database::Sqlite);
}

#[test]
fn every_job_is_finished_once_whatever_is_killed_over_postgresql() {
    perform(Database::Postgres);
}

fn perform(database: Database) {
    let seed = std::env::var(SEED).map_or(1, |seed| seed.parse().unwrap());
    let is_long = std::env::var(SCALE).is_ok_and(|scale| scale == "long");
    let case = Case::draw(seed, database, if is_long { LONG } else { SHORT });
    let begun = Instant::now();
    let [main, second] = case.boards();
    let site = Site::farm(&main, &second);
    let jobs = case.jobs(&site);
    let (mut lab, access) = Lab::start(&site, &case);
    let shared = Shared::default();
    *shared.ids.lock().unwrap() = vec![None; jobs.len()];
    let mut findings = Findings::default();
    let mut consoles = check::Consoles::new();
    std::thread::scope(|scope| {
        let _home = GoHome(&shared);
        for first in 0..2 {
            let (shared, access, jobs, strokes) = (&shared, &access, &jobs, case.strokes.len());
            scope.spawn(move || {
                let unfinished = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    submit(shared, access, jobs, (first, 2), strokes);
                }));
                if unfinished.is_err() {
                    shared.stop.store(true, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| follow(&shared, &access));
        scope.spawn(|| watch(&shared, &access));
        strike_and_finish(&site, &case, &mut lab, &shared, &access);
        let ids = shared.numbers();
        consoles = check::ask_server(&mut findings, &site, &access, &jobs, &ids);
        check::compare_feeds(&mut findings, &shared, &access);
    });
    for board in main.iter().chain(&second) {
        if site.rack.has_power(board.name()) {
            findings.0.push(format!("{} is on", board.name()));
        }
    }
    let ids = shared.numbers();
    let database = lab.database();
    let (postgres, dealt) = lab.end();
    let objects = site.state().join("server/objects");
    let (runs, wrong) = records::stored(&database, &objects, &ids);
    findings.0.extend(wrong);
    check::look_at_disk(&mut findings, &site, &runs, &consoles, &dealt);
    drop(postgres);
    let again: usize = runs.iter().map(|runs| runs.len() - 1).sum();
    println!(
        "seed {seed} on {:?}: {} jobs, {} strokes, {again} runs given back, {} feed entries over {} breaks, {:.0} s",
        case.database,
        ids.len(),
        dealt.len(),
        shared.feed_count(),
        shared.feed_breaks.load(Ordering::Relaxed),
        begun.elapsed().as_secs_f64()
    );
    findings.show(&case);
    assert!(
        dealt.len() > case.strokes.len() / 2,
        "{} strokes",
        dealt.len()
    );
}

/// Counts what happens on the boards.
struct RackEvents {
    reader: BufReader<std::fs::File>,
    line: String,
    count: u64,
}

impl RackEvents {
    fn count(&mut self) -> u64 {
        // A line that is not whole yet is gone on with.
        while self.reader.read_line(&mut self.line).unwrap() > 0 && self.line.ends_with('\n') {
            let is_one = ["\"ev\":\"power\"", "\"ev\":\"stage\""]
                .iter()
                .any(|part| self.line.contains(part));
            self.count += u64::from(is_one);
            self.line.clear();
        }
        self.count
    }
}

/// Deals the strokes, and returns once every job is finished and everything is quiet.
fn strike_and_finish(site: &Site, case: &Case, lab: &mut Lab, shared: &Shared, access: &Access) {
    let mut rack = RackEvents {
        reader: BufReader::new(std::fs::File::open(site.rack.log_path()).unwrap()),
        line: String::new(),
        count: 0,
    };
    let mut strokes = case.strokes.iter();
    let mut next = strokes.next();
    let mut before = (shared.feed_count(), rack.count(), Instant::now());
    let mut due: Option<Instant> = None;
    let mut moved = (0, Instant::now());
    loop {
        assert!(!shared.is_over(), "a client failed");
        lab.tend();
        let (feed, events) = (shared.feed_count(), rack.count());
        if feed + events != moved.0 {
            moved = (feed + events, Instant::now());
        }
        assert!(
            moved.1.elapsed() < STALLED,
            "nothing happens any more:\n{}",
            how_it_stands(lab, shared, access)
        );
        if let Some(stroke) = next {
            let has_come = match stroke.anchor {
                Anchor::Feed(count) => feed >= before.0 + count,
                Anchor::Rack(count) => events >= before.1 + count,
            };
            if due.is_none() && (has_come || before.2.elapsed() > case.scale.patience) {
                due = Some(Instant::now() + stroke.later);
            }
            let worn = shared
                .standing
                .lock()
                .unwrap()
                .as_ref()
                .map_or(0, |one| one.attempts);
            if due.is_some_and(|due| due <= Instant::now()) && worn < WORN {
                deal(lab, stroke);
                shared.strokes.fetch_add(1, Ordering::Relaxed);
                before = (feed, events, Instant::now());
                (next, due) = (strokes.next(), None);
            }
        } else if all_finished(case, shared) && is_quiet(site, lab, access) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn deal(lab: &mut Lab, stroke: &Stroke) {
    let dealt = lab.strike(stroke);
    let missed = if dealt { "" } else { " (not there)" };
    println!("{:?} {:?}{missed}", stroke.blow, stroke.victim);
}

fn all_finished(case: &Case, shared: &Shared) -> bool {
    let standing = shared.standing.lock().unwrap();
    standing
        .as_ref()
        .is_some_and(|one| one.submitted == case.scale.jobs && one.active == 0)
}

/// Everything is up, boards are free and off, and no dispatcher holds a run that the server wants.
fn is_quiet(site: &Site, lab: &Lab, access: &Access) -> bool {
    let is_empty = |which| {
        let runs = lab::state(site, which).join("runs");
        let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.file_name());
        names.all(|name| name == "done")
    };
    lab.is_whole(access)
        && access.get("/api/v1/boards").is_ok_and(|boards| {
            let boards = boards["items"].as_array().unwrap();
            boards
                .iter()
                .all(|board| board["state"] == "idle" && board["power"] == "off")
        })
        && is_empty(0)
        && is_empty(1)
}

fn how_it_stands(lab: &Lab, shared: &Shared, access: &Access) -> String {
    let ask = |path: &str| match access.get(path) {
        Ok(value) => format!("{value:#}"),
        Err(error) => error.to_string(),
    };
    format!(
        "{:?}, {} submitted, dealt {:#?}\n{}\n{}\n{}",
        shared.standing.lock().unwrap(),
        shared.submitted(),
        lab.dealt,
        ask("/api/v1/jobs?state=active&limit=500"),
        ask("/api/v1/boards"),
        ask("/api/v1/dispatchers"),
    )
}
