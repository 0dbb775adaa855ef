//! `/`: the lab at a glance.

use askama::Template;
use basalt_model::{
    BoardHealth, BoardName, BoardState, DispatcherName, JobId, Outcome, PowerState, UserName,
    UtcMicros,
};

use crate::Chrome;
use crate::jobs::JobRow;
use crate::tag::Badge;
use crate::words;

/// A board among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardTile {
    /// Its name.
    pub name: BoardName,
    /// Its type.
    pub device_type: String,
    /// What it does.
    pub state: BoardState,
    /// Whether it may be used.
    pub health: BoardHealth,
    /// Why, in the words of whoever said so.
    pub health_reason: Option<String>,
    /// Its dispatcher's link is up.
    pub reachable: bool,
    /// What its relay says.
    pub power: PowerState,
    /// The job that has it.
    pub job: Option<TileJob>,
}

/// The job on a tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileJob {
    /// Its number.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// The action that goes on.
    pub step: Option<String>,
    /// Since when it runs.
    pub since: UtcMicros,
}

impl BoardTile {
    /// What it does, or why it does nothing.
    pub fn badge(&self) -> Badge {
        words::board(self.state, self.health, self.reachable)
    }

    /// What its relay says.
    pub fn power_badge(&self) -> Badge {
        words::power(self.power)
    }
}

/// A job that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRow {
    /// Its place, from 1.
    pub position: u64,
    /// Its number.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Its priority, 0 to 100.
    pub priority: i64,
    /// What it asks for: a device type or a board, tags.
    pub wants: String,
    /// Who submitted it.
    pub submitter: UserName,
    /// Since when it waits.
    pub submitted: UtcMicros,
    /// Why it waits, in a sentence.
    pub reason: String,
    /// The same for each board that might take it.
    pub candidates: Vec<Candidate>,
}

/// A board that a job waits for, or that cannot take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The board.
    pub board: BoardName,
    /// It could take the job, though not now.
    pub suitable: bool,
    /// Why it does not.
    pub reason: String,
}

/// A dispatcher that is away, and what that means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// The dispatcher.
    pub name: DispatcherName,
    /// Since when.
    pub since: UtcMicros,
    /// How many boards it serves.
    pub boards: u64,
}

/// How the last jobs ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Outcome `pass`.
    pub pass: u64,
    /// Outcome `fail`.
    pub fail: u64,
    /// Outcome `invalid`.
    pub invalid: u64,
    /// Outcome `incomplete`.
    pub incomplete: u64,
    /// Outcome `canceled`.
    pub canceled: u64,
}

impl Outcomes {
    /// One more.
    pub fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Pass => &mut self.pass,
            Outcome::Fail => &mut self.fail,
            Outcome::Invalid => &mut self.invalid,
            Outcome::Incomplete => &mut self.incomplete,
            Outcome::Canceled => &mut self.canceled,
        } += 1;
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.pass + self.fail + self.invalid + self.incomplete + self.canceled
    }

    /// The bar's parts: from and width in percent, the tone, and what it says.
    pub fn parts(&self) -> Vec<(f64, f64, &'static str, String)> {
        let total = self.total().max(1) as f64;
        let mut from = 0.0;
        [
            (self.pass, Outcome::Pass),
            (self.fail, Outcome::Fail),
            (self.invalid, Outcome::Invalid),
            (self.incomplete, Outcome::Incomplete),
            (self.canceled, Outcome::Canceled),
        ]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, outcome)| {
            let width = number as f64 / total * 100.0;
            let badge = words::outcome(outcome);
            let part = (
                from,
                width,
                badge.tone.as_str(),
                format!("{number} {}", badge.word),
            );
            from += width;
            part
        })
        .collect()
    }
}

/// `/`.
#[derive(Clone, Debug, Template)]
#[template(path = "overview.html")]
pub struct Overview {
    /// The frame.
    pub chrome: Chrome,
    /// The boards, by name.
    pub boards: Vec<BoardTile>,
    /// The jobs that have a board, longest first.
    pub running: Vec<JobRow>,
    /// The first of those that wait.
    pub queue: Vec<QueueRow>,
    /// How many wait.
    pub waiting: u64,
    /// The last that ended.
    pub recent: Vec<JobRow>,
    /// How the last ones ended, those in `recent` and some before them.
    pub outcomes: Outcomes,
    /// The dispatchers that are away.
    pub away: Vec<Away>,
}

impl Overview {
    fn boards_running(&self) -> usize {
        self.boards
            .iter()
            .filter(|board| board.state != BoardState::Idle)
            .count()
    }

    fn boards_idle(&self) -> usize {
        let idle = |board: &&BoardTile| {
            board.state == BoardState::Idle && board.health.takes_jobs() && board.reachable
        };
        self.boards.iter().filter(idle).count()
    }

    fn boards_out(&self) -> usize {
        self.boards.len() - self.boards_running() - self.boards_idle()
    }

    fn oldest_wait(&self) -> Option<UtcMicros> {
        self.queue.iter().map(|row| row.submitted).min()
    }
}
