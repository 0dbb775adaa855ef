//! What is kept for a time only: taken away in small transactions, so that nobody waits long for a
//! writer.
//!
//! Not done here: deciding how long, and the feed, whose end is kept with it.

use basalt_model::UtcMicros;

use crate::database::value::values;
use crate::statements::{account, feed};
use crate::{Store, StoreError};

/// As many rows go in one transaction.
const ROWS: u32 = 1000;

impl Store {
    /// Deletes deliveries that were taken or given up before `before`, at most 1000; how many, and
    /// whether there may be more. Those that wait are kept.
    pub async fn trim_deliveries(&self, before: UtcMicros) -> Result<(u64, bool), StoreError> {
        self.trim("delete old deliveries", feed::OUTBOX_TRIM, before)
            .await
    }

    /// Deletes entries of the audit from before `before`, at most 1000; how many, and whether there
    /// may be more.
    pub async fn trim_audit(&self, before: UtcMicros) -> Result<(u64, bool), StoreError> {
        self.trim(
            "delete old entries of the audit",
            account::AUDIT_TRIM,
            before,
        )
        .await
    }

    async fn trim(
        &self,
        doing: &'static str,
        statement: &'static str,
        before: UtcMicros,
    ) -> Result<(u64, bool), StoreError> {
        let mut transaction = self.database().write_apart(doing).await?;
        let count = transaction
            .execute(statement, values![before, ROWS])
            .await?;
        transaction.commit().await?;
        Ok((count, count >= u64::from(ROWS)))
    }
}
