//! Who did what to the lab.

use basalt_model::UtcMicros;

use crate::{Store, StoreError};

/// One act of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: UtcMicros,
    /// Who.
    pub actor: String,
    /// What: `board.health`.
    pub action: String,
    /// To what: a board's name, a job's number.
    pub target: String,
    /// More of it, a JSON object.
    pub detail: String,
}

impl Store {
    /// Notes an act that no other operation notes by itself.
    pub async fn note(
        &self,
        actor: &str,
        action: &str,
        target: &str,
        detail: &str,
        now: UtcMicros,
    ) -> Result<(), StoreError> {
        Err(StoreError::NotYet)
    }

    /// The newest acts below `before`, at most `limit`.
    pub async fn audit(
        &self,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        Err(StoreError::NotYet)
    }
}
