//! Who leads the scheduler (decision D16): one row with a term.

use std::time::Duration;

use basalt_model::UtcMicros;

use crate::database::one;
use crate::database::value::{Row, values};
use crate::statements::account as sql;
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
        let mut transaction = self.database().write("take the lead").await?;
        let current = transaction.row(sql::LEADER, values![]).await?;
        if let Some(current) = current.map(leader).transpose()?
            && current.holder != holder
            && current.expires > now
        {
            transaction.roll_back().await?;
            return Ok(None);
        }
        let row = transaction
            .row(sql::LEADER_TAKE, values![holder, after(now, time)])
            .await?;
        let term = one(row)?.take()?;
        transaction.commit().await?;
        Ok(Some(LeaderTerm(term)))
    }

    /// Keeps the lead for `time` from now; `false` if somebody else has begun a term.
    pub async fn renew_lead(
        &self,
        term: LeaderTerm,
        time: Duration,
        now: UtcMicros,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.database().write_apart("keep the lead").await?;
        let count = transaction
            .execute(sql::LEADER_RENEW, values![term.0, after(now, time)])
            .await?;
        transaction.commit().await?;
        Ok(count > 0)
    }

    /// Gives the lead back.
    pub async fn release_lead(&self, term: LeaderTerm, now: UtcMicros) -> Result<(), StoreError> {
        self.renew_lead(term, Duration::ZERO, now).await.map(drop)
    }

    /// Who leads, or led last.
    pub async fn leader(&self) -> Result<Option<Leader>, StoreError> {
        let row = self
            .database()
            .row("read who leads", sql::LEADER, values![])
            .await?;
        row.map(leader).transpose()
    }
}

fn leader(mut row: Row) -> Result<Leader, StoreError> {
    Ok(Leader {
        holder: row.take()?,
        term: LeaderTerm(row.take()?),
        expires: row.take()?,
    })
}

fn after(now: UtcMicros, time: Duration) -> UtcMicros {
    UtcMicros(now.0.saturating_add(time.as_micros() as i64))
}
