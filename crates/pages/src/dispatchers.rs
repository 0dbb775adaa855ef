//! `/dispatchers`: the racks' processes.

use askama::Template;
use basalt_model::{DispatcherMode, DispatcherName, DispatcherState, UtcMicros};

use crate::Chrome;
use crate::tag::Badge;
use crate::words;

/// A dispatcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatcherRow {
    /// Its name.
    pub name: DispatcherName,
    /// Its link.
    pub state: DispatcherState,
    /// Whether it is given work.
    pub mode: DispatcherMode,
    /// Since when the link is as it is.
    pub since: Option<UtcMicros>,
    /// Its version.
    pub build: Option<String>,
    /// How many boards it serves.
    pub boards: u64,
    /// How many runs it has now.
    pub runs: u64,
    /// The lab's revision that it has applied, and the current one.
    pub revision: Option<(i64, i64)>,
    /// Its boards are given to nobody before this moment (decision D2).
    pub fenced_until: Option<UtcMicros>,
    /// What it could not do with the lab's revision.
    pub problems: Vec<String>,
}

impl DispatcherRow {
    fn badge(&self) -> Badge {
        words::dispatcher(self.state, self.mode)
    }

    fn is_behind(&self) -> bool {
        self.revision
            .is_some_and(|(applied, current)| applied < current)
    }
}

/// `/dispatchers`.
#[derive(Clone, Debug, Template)]
#[template(path = "dispatchers.html")]
pub struct Dispatchers {
    /// The frame.
    pub chrome: Chrome,
    /// The dispatchers, by name.
    pub dispatchers: Vec<DispatcherRow>,
    /// Who looks may set their modes.
    pub may_manage: bool,
}
