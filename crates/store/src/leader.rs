//! Who leads the scheduler (decision D16): one row with a term.

use std::time::Duration;

use basalt_model::UtcMicros;

use crate::{LeaderTerm, Store, StoreError};

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The name of the server's process.
    pub holder: String,
    /// Its term.
    pub term: LeaderTerm,
    /// Until when, unless it is renewed.
    pub expires: UtcMicros,
}

impl Store {
    /// Takes the lead for `time`, if nobody has it any more; a holder that asks again begins a new
    /// term (its process is a new one). `None` while another holds it.
    pub async fn acquire_lead(
        &self,
        holder: &str,
        time: Duration,
        now: UtcMicros,
    ) -> Result<Option<LeaderTerm>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Keeps the lead for `time` from now; `false` if somebody else has begun a term.
    pub async fn renew_lead(
        &self,
        term: LeaderTerm,
        time: Duration,
        now: UtcMicros,
    ) -> Result<bool, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Gives the lead back.
    pub async fn release_lead(&self, term: LeaderTerm, now: UtcMicros) -> Result<(), StoreError> {
        Err(StoreError::NotYet)
    }

    /// Who leads, or led last.
    pub async fn leader(&self) -> Result<Option<Leader>, StoreError> {
        Err(StoreError::NotYet)
    }
}
