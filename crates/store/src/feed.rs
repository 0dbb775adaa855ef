//! What changed, in the order of commits (decision D15), for everybody who listens.

use basalt_model::{BoardName, DispatcherName, JobId, RunId, UtcMicros};

use crate::{Store, StoreError};

/// The number of an entry: whoever has seen one has missed none with a smaller number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId(pub i64);

/// What kind of thing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeedKind {
    /// A job: `{"state", "outcome"?}`.
    Job,
    /// A board: `{"state", "health", "power", "console"}`, what of these changed.
    Board,
    /// A dispatcher: `{"state"?, "mode"?}`.
    Dispatcher,
    /// The lab: `{"revision"}`.
    Lab,
}

impl FeedKind {
    /// The word in the database and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Board => "board",
            Self::Dispatcher => "dispatcher",
            Self::Lab => "lab",
        }
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// Its number.
    pub id: FeedId,
    /// When.
    pub at: UtcMicros,
    /// What kind of thing changed.
    pub kind: FeedKind,
    /// The job it is about.
    pub job: Option<JobId>,
    /// The run it is about.
    pub run: Option<RunId>,
    /// The board it is about.
    pub board: Option<BoardName>,
    /// The dispatcher it is about.
    pub dispatcher: Option<DispatcherName>,
    /// What changed, a JSON object.
    pub data: String,
}

impl Store {
    /// Entries after `last`, ascending, at most `limit`.
    pub async fn feed(&self, last: FeedId, limit: u32) -> Result<Vec<FeedEntry>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// The newest entry's number; 0 before the first.
    pub async fn feed_head(&self) -> Result<FeedId, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Deletes entries older than `before`; how many. Numbers are never given again.
    pub async fn trim_feed(&self, before: UtcMicros) -> Result<u64, StoreError> {
        Err(StoreError::NotYet)
    }
}
