//! Who did what to the lab.

use basalt_model::UtcMicros;

use crate::database::value::values;
use crate::statements::account as sql;
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
        let mut transaction = self.database().write_apart("write to the audit").await?;
        transaction
            .execute(
                sql::AUDIT_INSERT,
                values![now, actor, action, target, detail],
            )
            .await?;
        transaction.commit().await
    }

    /// The newest acts below `before`, at most `limit`.
    pub async fn audit(
        &self,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let rows = self
            .database()
            .rows(
                "read the audit",
                sql::AUDIT,
                values![before.unwrap_or(i64::MAX), limit],
            )
            .await?;
        rows.into_iter()
            .map(|mut row| {
                Ok(AuditEntry {
                    id: row.take()?,
                    at: row.take()?,
                    actor: row.take()?,
                    action: row.take()?,
                    target: row.take()?,
                    detail: row.take()?,
                })
            })
            .collect()
    }
}
