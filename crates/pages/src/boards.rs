//! `/boards`: every board, as a table.

use askama::Template;
use basalt_model::{DispatcherName, Outcome, UtcMicros};

use crate::Chrome;
use crate::overview::BoardTile;
use crate::tag::Badge;
use crate::words;

/// A board in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardRow {
    /// What its tile shows.
    pub tile: BoardTile,
    /// Its tags.
    pub tags: Vec<String>,
    /// The dispatcher that serves it.
    pub dispatcher: DispatcherName,
    /// When its last job ended, and how.
    pub last: Option<(UtcMicros, Option<Outcome>)>,
}

impl BoardRow {
    fn health_badge(&self) -> Badge {
        words::health(self.tile.health)
    }

    fn last_badge(&self) -> Option<Badge> {
        let (_, outcome) = self.last?;
        Some(words::outcome(outcome?))
    }
}

/// `/boards`.
#[derive(Clone, Debug, Template)]
#[template(path = "boards.html")]
pub struct Boards {
    /// The frame.
    pub chrome: Chrome,
    /// The boards, by name.
    pub boards: Vec<BoardRow>,
}
