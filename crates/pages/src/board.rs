//! `/boards/{name}`: one board.

use askama::Template;
use basalt_model::{BoardHealth, DispatcherName, DispatcherState, UtcMicros};

use crate::Chrome;
use crate::jobs::JobRow;
use crate::latency::LatencyTotal;
use crate::overview::BoardTile;
use crate::tag::Badge;
use crate::words;

/// A change of a board's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChange {
    /// When.
    pub at: UtcMicros,
    /// What it became.
    pub health: BoardHealth,
    /// Who said so.
    pub who: String,
    /// Why.
    pub reason: Option<String>,
}

impl HealthChange {
    fn badge(&self) -> Badge {
        words::health(self.health)
    }
}

/// The console's capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleState {
    /// It is being captured.
    Open,
    /// It is not, and why.
    Closed(String),
    /// Nobody has said.
    Unknown,
}

/// `/boards/{name}`.
#[derive(Clone, Debug, Template)]
#[template(path = "board.html")]
pub struct Board {
    /// The frame.
    pub chrome: Chrome,
    /// What its tile shows.
    pub tile: BoardTile,
    /// Its tags.
    pub tags: Vec<String>,
    /// The dispatcher that serves it.
    pub dispatcher: DispatcherName,
    /// That dispatcher's link.
    pub dispatcher_state: DispatcherState,
    /// Since when the link is as it is.
    pub dispatcher_since: Option<UtcMicros>,
    /// Since when the relay says what it says.
    pub power_since: Option<UtcMicros>,
    /// The console's capture.
    pub console: ConsoleState,
    /// The number of its last lease.
    pub epoch: u64,
    /// The job that has it.
    pub current: Option<JobRow>,
    /// The jobs that had it, newest first.
    pub runs: Vec<JobRow>,
    /// What was said of its health, newest first.
    pub history: Vec<HealthChange>,
    /// What was measured on it.
    pub latencies: Vec<LatencyTotal>,
    /// Who looks may take it out of service and put it back.
    pub may_maintain: bool,
}

impl Board {
    fn health_badge(&self) -> Badge {
        words::health(self.tile.health)
    }

    fn last_change(&self) -> Option<&HealthChange> {
        self.history.first()
    }

    fn in_maintenance(&self) -> bool {
        self.tile.health == BoardHealth::Maintenance
    }
}
