//! What the scheduler is told, and what it says.

use std::collections::BTreeMap;

use basalt_model::{
    BoardHealth, BoardName, DispatcherMode, DispatcherName, DispatcherState, JobId, UtcMicros,
};
use serde::{Deserialize, Serialize};

/// Something that has changed. All changes of one transaction are applied before the next tick;
/// otherwise a board may seem free for a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "of", rename_all = "snake_case")]
pub enum Change {
    /// A job waits for a board: a new one, one whose wishes or priority have changed, or one that
    /// did not get the board that was decided for it.
    JobQueued(QueuedJob),
    /// A job waits no more: it has its board, was canceled, or is gone.
    JobGone(JobId),
    /// A board is there, with everything that is known of it.
    Board(BoardFacts),
    /// A board is no part of the lab any more.
    BoardGone(BoardName),
    /// A dispatcher is known, with everything that is known of it.
    Dispatcher(DispatcherFacts),
    /// A dispatcher is no part of the lab any more.
    DispatcherGone(DispatcherName),
}

/// A job that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueuedJob {
    /// Its number.
    pub id: JobId,
    /// 0 to 100; the higher is served first.
    pub priority: u8,
    /// When it came. It stays so when the job comes back into the queue.
    pub submitted: UtcMicros,
    /// Which boards it can use.
    pub wants: Wants,
    /// Boards that match and yet cannot run it, each with the reason (the plan's first complaint).
    #[serde(default)]
    pub unsuitable: BTreeMap<BoardName, String>,
}

/// Which boards a job can use; what is left out may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wants {
    /// Boards of this type.
    #[serde(default)]
    pub device_type: Option<String>,
    /// This board alone.
    #[serde(default)]
    pub board: Option<BoardName>,
    /// Boards that have all these tags.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// A board as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoardFacts {
    /// Its name.
    pub name: BoardName,
    /// Its type.
    pub device_type: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The dispatcher that serves it.
    pub dispatcher: DispatcherName,
    /// Whether it may be used.
    pub health: BoardHealth,
    /// Since when.
    pub health_since: UtcMicros,
    /// Why, where somebody said so.
    #[serde(default)]
    pub health_reason: Option<String>,
    /// Who has it.
    pub occupancy: Occupancy,
    /// Since when.
    pub occupancy_since: UtcMicros,
}

/// Who has a board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "by", rename_all = "snake_case")]
pub enum Occupancy {
    /// Nobody.
    Idle,
    /// It is granted; its dispatcher has not accepted yet.
    Reserved(Holder),
    /// It is in use.
    Running(Holder),
}

/// Who holds a board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// A run of this job.
    Job(JobId),
    /// Somebody else, in a few words: `alice`, `a run that the server does not know`.
    Other(String),
}

/// A dispatcher as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DispatcherFacts {
    /// Its name.
    pub name: DispatcherName,
    /// Whether its link is up.
    pub state: DispatcherState,
    /// Since when.
    pub state_since: UtcMicros,
    /// Whether it gets new runs.
    pub mode: DispatcherMode,
    /// Since when.
    pub mode_since: UtcMicros,
    /// Why, where somebody said so.
    #[serde(default)]
    pub mode_reason: Option<String>,
    /// Its boards are given to nobody before this moment (decision D2: it may still drive them
    /// without the server's knowledge).
    #[serde(default)]
    pub boards_usable_from: Option<UtcMicros>,
    /// It takes no runs for a while, by its own word.
    #[serde(default)]
    pub closed: Option<Closed>,
}

/// A dispatcher that takes no runs for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Why: `its disk is full`.
    pub reason: String,
    /// Since when.
    pub since: UtcMicros,
}

/// This job should get this board.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decision {
    /// The job.
    pub job: JobId,
    /// The board.
    pub board: BoardName,
}

impl Wants {
    /// Whether a board is one of these.
    pub fn matches(&self, board: &BoardFacts) -> bool {
        self.device_type
            .as_ref()
            .is_none_or(|wanted| *wanted == board.device_type)
            && self
                .board
                .as_ref()
                .is_none_or(|wanted| *wanted == board.name)
            && self.tags.iter().all(|tag| board.tags.contains(tag))
    }
}

impl DispatcherFacts {
    /// Whether its boards are given to jobs, but for [`DispatcherFacts::boards_usable_from`].
    pub(crate) fn takes_jobs(&self) -> bool {
        self.state == DispatcherState::Online
            && self.mode == DispatcherMode::Active
            && self.closed.is_none()
    }
}
