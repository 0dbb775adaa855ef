//! What one case is made of, all drawn from its seed: boards, jobs, and what is done to the processes.

use std::time::Duration;

use crate::e2e_harness::{Board, Draw, Site, definition, phase};

/// The database under the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// How large a case is.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Jobs.
    pub jobs: usize,
    /// Boards of each dispatcher.
    pub boards: usize,
    /// Kills and standstills.
    pub strokes: usize,
    /// How long something stands still that is back before anybody gives it up.
    pub short: Duration,
    /// The same for what is given up: longer than limit and margin.
    pub long: Duration,
    /// The limits of decision D2: heartbeat, offline limit, margin.
    pub limits: [Duration; 3],
    /// A stroke waits for its moment no longer.
    pub patience: Duration,
    /// Real seconds of a measured one; each phase measures five.
    time_scale: f64,
    /// A boot loader that gets no answer asks ten times in all before it gives up.
    tftp_timeout: Duration,
    /// From so many entries of the feed the moment of a stroke is drawn.
    feed: u64,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a merge waits for.
pub const SHORT: Scale = Scale {
    jobs: 40,
    boards: 6,
    strokes: 12,
    short: seconds(3),
    long: seconds(14),
    limits: [Duration::from_millis(500), seconds(8), seconds(2)],
    patience: seconds(4),
    time_scale: 0.3,
    tftp_timeout: seconds(1),
    feed: 40,
};

/// What a campaign does.
pub const LONG: Scale = Scale {
    jobs: 200,
    boards: 25,
    strokes: 40,
    short: seconds(30),
    long: seconds(30),
    limits: [seconds(2), seconds(60), seconds(10)],
    patience: seconds(20),
    time_scale: 1.0,
    tftp_timeout: seconds(5),
    feed: 90,
};

/// Who is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    Server,
    /// 0 is beside the server, 1 elsewhere.
    Dispatcher(usize),
    Keeper(usize),
    Postgres,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT so much later.
    Freeze(Duration),
}

/// What is counted from the stroke before.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    /// Entries of the feed.
    Feed(u64),
    /// What happens on boards: power, stages of a boot.
    Rack(u64),
}

/// One kill or standstill.
#[derive(Clone, Copy, Debug)]
pub struct Stroke {
    pub victim: Victim,
    pub blow: Blow,
    pub anchor: Anchor,
    /// So much later than that.
    pub later: Duration,
}

/// What a job must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Its phases are held against a limit; what the board measured tells.
    Limit(u64),
    /// It boots a kernel that is no realtime one.
    Stock,
    /// Test cases, one of which may fail.
    Cases { fails: bool },
}

/// One job.
pub struct PlannedJob {
    pub name: String,
    /// The client's own word for it: submitted again with it, it is the same job.
    pub key: String,
    pub text: String,
    pub planted: Planted,
    /// Phases that it measures.
    pub phases: usize,
}

/// One case.
pub struct Case {
    pub seed: u64,
    pub database: Database,
    pub scale: Scale,
    pub strokes: Vec<Stroke>,
}

impl Case {
    /// The case of a seed.
    pub fn draw(seed: u64, database: Database, mut scale: Scale) -> Self {
        let mut draw = Draw::new(seed);
        let is_long = scale.jobs == LONG.jobs;
        let gives_up = !is_long || draw.below(2) == 0;
        if is_long && gives_up {
            // Half a minute is longer than limit and margin.
            scale.limits = [seconds(2), seconds(20), seconds(5)];
        }
        let mut victims = vec![
            Victim::Server,
            Victim::Dispatcher(0),
            Victim::Dispatcher(1),
            Victim::Keeper(0),
            Victim::Keeper(1),
        ];
        if database == Database::Postgres {
            victims.push(Victim::Postgres);
        }
        // Each is struck about as often as the others, in an order that is drawn.
        let mut round: Vec<Victim> = Vec::new();
        let strokes = (0..scale.strokes)
            .map(|number| {
                if round.is_empty() {
                    round.clone_from(&victims);
                }
                let at = draw.below(round.len() as u64) as usize;
                let victim = round.swap_remove(at);
                let blow = match draw.below(5) {
                    0..=2 => Blow::Kill,
                    _ => Blow::Freeze(scale.short),
                };
                // One in the middle of each case is longer than anybody is waited for.
                let blow = match gives_up && !is_long && number == scale.strokes / 2 {
                    true => Blow::Freeze(scale.long),
                    false => blow,
                };
                let anchor = match draw.below(2) {
                    0 => Anchor::Feed(1 + draw.below(scale.feed)),
                    _ => Anchor::Rack(1 + draw.below(scale.feed)),
                };
                Stroke {
                    victim,
                    blow,
                    anchor,
                    later: Duration::from_micros(draw.below(300_000)),
                }
            })
            .collect();
        Self {
            seed,
            database,
            scale,
            strokes,
        }
    }

    /// The boards of both dispatchers, each with a seed of its own for what it measures.
    pub fn boards(&self) -> [Vec<Board>; 2] {
        let mut draw = Draw::new(self.seed ^ 0xb0a2d);
        let Scale {
            time_scale,
            tftp_timeout,
            boards,
            ..
        } = self.scale;
        ["main", "second"].map(|half| {
            (1..=boards)
                .map(|number| {
                    let board = Board::new(&format!("{half}-{number}")).rack(&format!(
                        "time_scale = {time_scale:.3}\ntftp_timeout_ms = {}\nseed = {}\nlatency_us = {}",
                        tftp_timeout.as_millis(),
                        // TOML's integers are signed.
                        draw.next() >> 1,
                        30 + draw.below(30),
                    ));
                    match draw.below(4) {
                        0 => board.rack("speed = 'real'"),
                        _ => board,
                    }
                })
                .collect()
        })
    }

    /// The jobs.
    pub fn jobs(&self, site: &Site) -> Vec<PlannedJob> {
        let mut draw = Draw::new(self.seed ^ 0x10b5);
        (0..self.scale.jobs)
            .map(|number| {
                let name = format!("matrix {number}");
                let key = format!("{}-{number}", self.seed);
                let planted = match draw.below(10) {
                    0 => Planted::Stock,
                    1 | 2 => Planted::Cases {
                        fails: draw.below(2) == 0,
                    },
                    // Above everything that any board draws, or where it depends on the board.
                    3..=5 => Planted::Limit(400),
                    _ => Planted::Limit(60 + draw.below(60)),
                };
                let limit = match planted {
                    Planted::Limit(limit) => limit,
                    Planted::Stock | Planted::Cases { .. } => 400,
                };
                let mut phases = vec![phase("idle", &format!("limit: {limit}us"))];
                if draw.below(2) == 0 {
                    let extra = format!("limit: {limit}us, load: [hackbench]");
                    phases.push(phase("hackbench", &extra));
                }
                let job = site.job(&name);
                let (job, phases) = match planted {
                    Planted::Cases { fails } => {
                        let last = match fails {
                            true => "lava-test-case last --result fail",
                            false => "lava-test-case last --result pass",
                        };
                        let steps = ["lava-test-case first --result pass", "sleep 1", last];
                        (job.definitions(&[definition("cases", &steps, &[], &[])]), 0)
                    }
                    Planted::Stock => {
                        let job = job.deploy(|deploy| deploy.kernel = "vmlinuz-stock".into());
                        (job.realtime(&phases), phases.len())
                    }
                    Planted::Limit(_) => (job.realtime(&phases), phases.len()),
                };
                PlannedJob {
                    name,
                    key,
                    text: job.text(),
                    planted,
                    phases,
                }
            })
            .collect()
    }
}
