//! Decision D2 with both real processes: a dispatcher that its server does not hear ends its run and
//! switches its board off by its own clock, before the server gives the board to anybody by its own.
//!
//! One that stands still cannot switch anything off. What holds then: its board is nobody else's
//! either, for the relay is its own, and when it goes on it finds its time over first.

use std::time::Duration;

use basalt_model::EventBody;
use serde_json::Value;

use super::case::{Anchor, Blow, Stroke, Victim};
use super::clients::Access;
use super::lab::{Lab, now_us, state};
use super::records::{Journal, rack};
use crate::e2e_harness::{Board, Site, phase, until};

const BOARD: &str = "second-1";
const HEARTBEAT: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(6);
const MARGIN: Duration = Duration::from_secs(3);

/// A lab in which the second dispatcher's only board measures for one job, while another waits for
/// it.
struct Scene<'s> {
    site: &'s Site,
    lab: Lab<'s>,
    access: Access,
    jobs: [i64; 2],
}

/// When what happened, microseconds UTC; who says so.
#[derive(Clone, Debug)]
struct Times {
    /// The test: the dispatcher is not heard any more.
    cut: i64,
    /// The test: it is again.
    back: i64,
    /// The rack: its board is off.
    off: i64,
    /// The dispatcher: its run has ended.
    ended: i64,
    /// The server: the run is given up.
    given_up: i64,
    /// The server: the board is granted to the next run that is not refused.
    granted: i64,
    /// The dispatcher: that run begins.
    begun: i64,
}

impl Times {
    /// A table, in seconds from the cut.
    fn table(&self) -> String {
        let rows = [
            ("the server is cut off (test)", self.cut),
            ("the board is off (rack)", self.off),
            ("the run has ended (dispatcher)", self.ended),
            ("the run is given up (server)", self.given_up),
            ("the server is there again (test)", self.back),
            ("the board is granted again (server)", self.granted),
            ("the next run begins (dispatcher)", self.begun),
        ];
        let lines = rows.map(|(what, at)| {
            let after = (at - self.cut) as f64 / 1e6;
            format!("{after:>9.3} s  {what}\n")
        });
        lines.concat()
    }
}

impl<'s> Scene<'s> {
    fn set(site: &'s Site) -> Self {
        let (mut lab, access) = Lab::quiet(site, [HEARTBEAT, LIMIT, MARGIN]);
        site.rack.hold(BOARD, "LOADS alive=1>");
        let submit = |name: &str| {
            let job = site.job(name).realtime(&[phase("idle", "limit: 400us")]);
            let text = format!("{}tags: [second]\n", job.text());
            let headers = "Content-Type: application/yaml\r\n";
            let (status, body) = access.ask("POST", "/api/v1/jobs", headers, &text).unwrap();
            assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
            let job: Value = serde_json::from_slice(&body).unwrap();
            job["id"].as_i64().unwrap()
        };
        let jobs = [submit("held"), submit("waits")];
        until("the board to measure", || {
            lab.tend();
            (site.rack.fired(BOARD, "hold") == 1).then_some(())
        });
        Self {
            site,
            lab,
            access,
            jobs,
        }
    }

    /// The board's runs, the oldest first.
    fn runs(&self) -> Vec<Value> {
        let runs = self.access.get(&format!("/api/v1/boards/{BOARD}/runs"));
        let runs = runs.unwrap()["items"].as_array().unwrap().clone();
        let runs = runs.into_iter().rev();
        runs.map(|run| run["run"].clone()).collect()
    }

    /// Waits until the server has given the first run up; when it did.
    fn given_up(&mut self) -> i64 {
        until("the server to give the run up", || {
            self.lab.tend();
            self.runs()[0]["finished_utc_us"].as_i64()
        })
    }

    /// Waits until both jobs have passed, and gives all times and both runs' journals.
    fn finish(mut self, cut: i64, back: i64, given_up: i64) -> (Times, [Journal; 2]) {
        for job in self.jobs {
            until("both jobs to be finished", || {
                self.lab.tend();
                let job = self.access.get(&format!("/api/v1/jobs/{job}")).ok()?;
                (job["state"] == "finished").then_some(())
            });
            let job = self.access.get(&format!("/api/v1/jobs/{job}")).unwrap();
            assert_eq!(job["outcome"], "pass", "{job:#}");
        }
        let runs = self.runs();
        let journal = |run: &Value| Journal::of(&state(self.site, 1), run["id"].as_str().unwrap());
        let next = runs[1..]
            .iter()
            .find(|run| run["lease_state"] != "refused")
            .expect("a run after the first");
        let (Some(first), Some(second)) = (journal(&runs[0]), journal(next)) else {
            panic!("no journals of {runs:#?}");
        };
        let rack = rack(&self.site.rack.log());
        let off = rack[BOARD].power.iter().find(|(_, on)| !on);
        let times = Times {
            cut,
            back,
            off: off.expect("it was switched off").0,
            ended: first.interval().expect("the first run ended").1,
            given_up,
            granted: next["granted_utc_us"].as_i64().unwrap(),
            begun: second.interval().expect("the next run ended").0,
        };
        // The board was on once for each run that had it, and never for two.
        for journal in [&first, &second] {
            let (from, to) = journal.interval().unwrap();
            let power = rack[BOARD].power.iter();
            let within: Vec<bool> = power
                .filter(|(at, _)| (from..=to).contains(at))
                .map(|(_, on)| *on)
                .collect();
            assert_eq!(within, [true, false], "{}", times.table());
        }
        let (postgres, _) = self.lab.end();
        drop(postgres);
        (times, [first, second])
    }
}

fn was_ended_by_silence(journal: &Journal) -> bool {
    journal.events.iter().any(|event| {
        matches!(&event.body, EventBody::Finished { failure: Some(failure), .. } if failure.code == "server-away")
    })
}

fn site() -> Site {
    Site::farm(&[Board::new("main-1")], &[Board::new(BOARD)])
}

#[test]
fn a_dispatcher_that_is_cut_off_switches_off_before_the_server_gives_its_board_away() {
    let site = site();
    let mut scene = Scene::set(&site);
    scene.lab.link.cut();
    let cut = now_us();
    let given_up = scene.given_up();
    // The server has heard nothing: what follows the board did for its dispatcher alone.
    assert!(!site.rack.has_power(BOARD), "it is on, and given up");
    site.rack.let_go(BOARD);
    let back = now_us();
    scene.lab.link.mend();
    let (times, [first, _]) = scene.finish(cut, back, given_up);
    let table = times.table();
    print!("{table}");
    assert!(was_ended_by_silence(&first), "{table}");
    let Times {
        off,
        ended,
        given_up,
        granted,
        begun,
        ..
    } = times;
    assert!(off < given_up && ended < given_up, "{table}");
    assert!(given_up <= granted && granted <= begun, "{table}");
}

#[test]
fn a_dispatcher_that_stood_still_for_too_long_only_switches_off_and_before_the_next_run() {
    let site = site();
    let mut scene = Scene::set(&site);
    let stroke = Stroke {
        victim: Victim::Dispatcher(1),
        // Ended below.
        blow: Blow::Freeze(Duration::from_secs(3600)),
        anchor: Anchor::Feed(0),
        later: Duration::ZERO,
    };
    assert!(scene.lab.strike(&stroke));
    let cut = now_us();
    let given_up = scene.given_up();
    // Given up, but nobody else's: the relay is its dispatcher's.
    assert_eq!(scene.runs().len(), 1);
    assert!(site.rack.has_power(BOARD), "who switched it off?");
    site.rack.let_go(BOARD);
    let back = now_us();
    scene.lab.thaw_all();
    let (times, [first, second]) = scene.finish(cut, back, given_up);
    let table = times.table();
    print!("{table}");
    let Times {
        off, ended, begun, ..
    } = times;
    assert!(back < off && off <= ended && ended <= begun, "{table}");
    // By its own clock, whatever the server said in the meantime.
    assert!(was_ended_by_silence(&first), "{table}");
    let typed = &rack(&site.rack.log())[BOARD].typed;
    let between = typed.iter().filter(|at| (back..begun).contains(at));
    assert_eq!(between.count(), 0, "it typed at the board: {table}");
    assert!(second.interval().is_some());
}
