//! Sealing: old tails of logs go from the database into compressed objects (decision D14).

use basalt_model::{RunId, UtcMicros};

use crate::{Store, StoreError};

/// What sealing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealReport {
    /// Runs whose tail was sealed.
    pub runs: usize,
    /// Batches that left the database.
    pub batches: u64,
    /// Objects written.
    pub objects: usize,
    /// Tails that are due, but were left for the next call.
    pub more: bool,
}

impl Store {
    /// Seals tails of at least 1 MiB, those of ended runs that are older than 60 s, and those of
    /// runs in `now_please`. Bounded work; call again if there is more.
    pub async fn seal(
        &self,
        now_please: &[RunId],
        now: UtcMicros,
    ) -> Result<SealReport, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Deletes objects older than a day that nothing refers to; how many.
    pub async fn collect_orphans(&self, now: UtcMicros) -> Result<u64, StoreError> {
        Err(StoreError::NotYet)
    }
}
