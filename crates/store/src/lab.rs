//! The applied lab: immutable revisions (decision D10), and the tables of boards, types and
//! dispatchers that go with the newest one.

use basalt_model::{BoardHealth, BoardName, DispatcherName, Sha256, UtcMicros};

use crate::{FeedEntry, Store, StoreError};

/// One file of a lab.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LabFile {
    /// Its path in the lab's directory, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A lab as it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabRevision {
    /// Its number, from 1.
    pub id: i64,
    /// The lab's name.
    pub name: String,
    /// All its files.
    pub files: Vec<LabFile>,
    /// Who applied it.
    pub actor: String,
    /// When.
    pub applied: UtcMicros,
}

/// A board as a lab describes it.
#[derive(Clone, Debug)]
pub struct BoardEntry {
    /// Its name.
    pub name: BoardName,
    /// The name it had before, if this is a renamed board: its history stays with it.
    pub was: Option<BoardName>,
    /// Its type.
    pub device_type: String,
    /// The dispatcher that owns its relay.
    pub dispatcher: DispatcherName,
    /// What jobs can ask for.
    pub tags: Vec<String>,
    /// Its health if it is new, or was retired.
    pub initial_health: BoardHealth,
}

/// A lab to be applied. What an earlier one had and this one has not is retired.
#[derive(Clone, Debug)]
pub struct NewRevision {
    /// The lab's name.
    pub name: String,
    /// All its files.
    pub files: Vec<LabFile>,
    /// Who applies it.
    pub actor: String,
    /// Its boards.
    pub boards: Vec<BoardEntry>,
    /// Its dispatchers: the name, and the one it had before.
    pub dispatchers: Vec<(DispatcherName, Option<DispatcherName>)>,
    /// Its device types: the name, and the one it had before.
    pub device_types: Vec<(String, Option<String>)>,
}

/// What applying did.
#[derive(Clone, Debug)]
pub enum Applied {
    /// It is the lab now.
    New {
        /// Its number.
        revision: i64,
        /// What listeners are told.
        feed: Vec<FeedEntry>,
    },
    /// It is the lab already, file for file.
    Unchanged {
        /// The current number.
        revision: i64,
    },
    /// A board that would be removed or given to another dispatcher is held by a run.
    BoardHeld {
        /// Which.
        board: BoardName,
    },
}

impl Store {
    /// Makes a lab the current one, with its boards, dispatchers and types, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if a board names a type or dispatcher that is not in the revision.
    pub async fn apply_revision(
        &self,
        revision: &NewRevision,
        now: UtcMicros,
    ) -> Result<Applied, StoreError> {
        Err(StoreError::NotYet)
    }

    /// The current lab; `None` before the first was applied.
    pub async fn current_revision(&self) -> Result<Option<LabRevision>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// A lab by its number.
    pub async fn revision(&self, id: i64) -> Result<Option<LabRevision>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// The current lab's number and the SHA-256 of its files.
    pub async fn current_revision_id(&self) -> Result<Option<(i64, Sha256)>, StoreError> {
        Err(StoreError::NotYet)
    }
}
