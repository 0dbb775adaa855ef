//! Webhooks, and the deliveries that are due to them: rows that are made in the transaction of the
//! change they tell of, so that none is lost and none is told of what did not happen.
//!
//! Sending is not done here. A delivery is told at least once; its id tells a receiver twins.

use std::time::Duration;

use basalt_model::{BoardName, JobId, UtcMicros};

use crate::database::one;
use crate::database::value::{Row, values};
use crate::statements::feed as sql;
use crate::words::words;
use crate::{Store, StoreError};

/// The key of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebhookId(pub i64);

/// The key of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub i64);

/// What a webhook can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WebhookEvent {
    /// A job was submitted.
    JobSubmitted,
    /// A job runs.
    JobStarted,
    /// A job finished.
    JobFinished,
    /// A board's health changed.
    BoardHealth,
}

words!(WebhookEvent {
    JobSubmitted = "job.submitted",
    JobStarted = "job.started",
    JobFinished = "job.finished",
    BoardHealth = "board.health",
});

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its key.
    pub id: WebhookId,
    /// Whose it is.
    pub owner: String,
    /// Where it is told.
    pub url: String,
    /// What signs its bodies.
    pub secret: Vec<u8>,
    /// What it is told of.
    pub events: Vec<WebhookEvent>,
    /// Whether it is told now.
    pub active: bool,
    /// When it was made.
    pub created: UtcMicros,
}

/// A webhook to be made, or how it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where it is told.
    pub url: String,
    /// What signs its bodies.
    pub secret: Vec<u8>,
    /// What it is told of.
    pub events: Vec<WebhookEvent>,
    /// Whether it is told now.
    pub active: bool,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// It is to be sent.
    Waiting,
    /// It was taken.
    Sent,
    /// It failed too often.
    Dead,
}

words!(DeliveryState {
    Waiting = "waiting",
    Sent = "sent",
    Dead = "dead",
});

/// One thing to tell one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its key.
    pub id: DeliveryId,
    /// The webhook.
    pub webhook: WebhookId,
    /// What happened.
    pub event: WebhookEvent,
    /// The job it is about.
    pub job: Option<JobId>,
    /// The board it is about.
    pub board: Option<BoardName>,
    /// What changed, a JSON object, as in the feed.
    pub data: String,
    /// When it happened.
    pub created: UtcMicros,
    /// When it is due.
    pub due: UtcMicros,
    /// How often it was tried.
    pub attempts: u32,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why it failed last.
    pub last_error: Option<String>,
}

/// How an attempt to deliver went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver took it.
    Taken,
    /// It failed.
    Failed {
        /// Why.
        error: String,
        /// When to try again; `None` to give up.
        again: Option<UtcMicros>,
    },
}

impl Store {
    /// Makes a webhook.
    pub async fn create_webhook(
        &self,
        owner: &str,
        settings: &WebhookSettings,
        now: UtcMicros,
    ) -> Result<WebhookId, StoreError> {
        let mut transaction = self.database().write("create a webhook").await?;
        let row = transaction
            .row(
                sql::WEBHOOK_INSERT,
                values![
                    owner,
                    &settings.url,
                    settings.secret.as_slice(),
                    joined(&settings.events),
                    settings.active,
                    now,
                ],
            )
            .await?;
        let id = one(row)?.take()?;
        transaction.commit().await?;
        Ok(WebhookId(id))
    }

    /// All webhooks by key.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        let rows = self
            .database()
            .rows("list webhooks", sql::WEBHOOKS, values![])
            .await?;
        rows.into_iter().map(webhook).collect()
    }

    /// One webhook.
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let row = self
            .database()
            .row("read a webhook", sql::WEBHOOK, values![id.0])
            .await?;
        row.map(webhook).transpose()
    }

    /// Changes a webhook; `false` if there is none such.
    pub async fn update_webhook(
        &self,
        id: WebhookId,
        settings: &WebhookSettings,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.database().write("change a webhook").await?;
        let count = transaction
            .execute(
                sql::WEBHOOK_UPDATE,
                values![
                    id.0,
                    &settings.url,
                    settings.secret.as_slice(),
                    joined(&settings.events),
                    settings.active,
                ],
            )
            .await?;
        transaction.commit().await?;
        Ok(count > 0)
    }

    /// Deletes a webhook with its deliveries; `false` if there is none such.
    pub async fn delete_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        let mut transaction = self.database().write("delete a webhook").await?;
        let count = transaction
            .execute(sql::WEBHOOK_DELETE, values![id.0])
            .await?;
        transaction.commit().await?;
        Ok(count > 0)
    }

    /// Claims deliveries that are due, oldest first, at most `limit`. Nobody else gets them for
    /// `hold`; after that they are due again, in case the claimer died. Of each webhook only the
    /// oldest one that waits is claimed: whatever happens to it, what came later comes later.
    pub async fn claim_deliveries(
        &self,
        limit: u32,
        hold: Duration,
        now: UtcMicros,
    ) -> Result<Vec<Delivery>, StoreError> {
        const DOING: &str = "claim deliveries";
        // Mostly nothing is due: ask before anything is written.
        let due = self.next_delivery_due().await?;
        if due.is_none_or(|due| due > now) {
            return Ok(Vec::new());
        }
        let mut transaction = self.database().write_apart(DOING).await?;
        let until = UtcMicros(now.0.saturating_add(hold.as_micros() as i64));
        let rows = transaction
            .rows(sql::OUTBOX_CLAIM, values![now, until, limit])
            .await?;
        transaction.commit().await?;
        let mut claimed = rows
            .into_iter()
            .map(delivery)
            .collect::<Result<Vec<_>, _>>()?;
        claimed.sort_by_key(|delivery| delivery.id);
        Ok(claimed)
    }

    /// Notes how an attempt went.
    pub async fn mark_delivery(
        &self,
        id: DeliveryId,
        attempt: &Attempt,
        now: UtcMicros,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database().write_apart("mark a delivery").await?;
        match attempt {
            Attempt::Taken => {
                transaction
                    .execute(sql::OUTBOX_SENT, values![id.0, now])
                    .await?
            }
            Attempt::Failed {
                error,
                again: Some(again),
            } => {
                transaction
                    .execute(sql::OUTBOX_AGAIN, values![id.0, *again, error])
                    .await?
            }
            Attempt::Failed { error, again: None } => {
                transaction
                    .execute(sql::OUTBOX_DEAD, values![id.0, now, error])
                    .await?
            }
        };
        transaction.commit().await
    }

    /// When the next delivery is due, those left out that wait for an earlier one of their webhook;
    /// `None` if nothing waits.
    pub async fn next_delivery_due(&self) -> Result<Option<UtcMicros>, StoreError> {
        let row = self
            .database()
            .row("read the outbox", sql::OUTBOX_NEXT_DUE, values![])
            .await?;
        one(row)?.take()
    }

    /// The newest deliveries of a webhook, at most `limit`.
    pub async fn deliveries(
        &self,
        webhook: WebhookId,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let rows = self
            .database()
            .rows(
                "list deliveries",
                sql::OUTBOX_OF_WEBHOOK,
                values![webhook.0, limit],
            )
            .await?;
        rows.into_iter().map(delivery).collect()
    }
}

/// `,job.started,job.finished,`: each between commas, so that one can be looked for.
fn joined(events: &[WebhookEvent]) -> String {
    let mut text = String::from(",");
    for event in events {
        text.push_str(event.as_str());
        text.push(',');
    }
    text
}

fn webhook(mut row: Row) -> Result<Webhook, StoreError> {
    Ok(Webhook {
        id: WebhookId(row.take()?),
        owner: row.take()?,
        url: row.take()?,
        secret: row.take()?,
        events: {
            let events: String = row.take()?;
            events
                .split(',')
                .filter(|word| !word.is_empty())
                .map(|word| {
                    word.parse().map_err(|error: String| StoreError::Damaged {
                        what: "a webhook".into(),
                        problem: error,
                    })
                })
                .collect::<Result<_, _>>()?
        },
        active: row.take()?,
        created: row.take()?,
    })
}

fn delivery(mut row: Row) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        id: DeliveryId(row.take()?),
        webhook: WebhookId(row.take()?),
        event: row.take()?,
        job: row.take()?,
        board: row.take()?,
        data: row.take()?,
        created: row.take()?,
        due: row.take()?,
        attempts: row.take()?,
        state: row.take()?,
        last_error: row.take()?,
    })
}
