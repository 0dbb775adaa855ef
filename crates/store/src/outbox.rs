//! Webhooks, and the deliveries that are due to them: rows that are made in the transaction of the
//! change they tell of, so that none is lost and none is told of what did not happen.
//!
//! Sending is not done here. A delivery is told at least once; its id tells a receiver twins.

use std::time::Duration;

use basalt_model::{BoardName, JobId, UtcMicros};

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

impl WebhookEvent {
    /// Every event.
    pub const ALL: &'static [Self] = &[
        Self::JobSubmitted,
        Self::JobStarted,
        Self::JobFinished,
        Self::BoardHealth,
    ];

    /// The word in the database and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JobSubmitted => "job.submitted",
            Self::JobStarted => "job.started",
            Self::JobFinished => "job.finished",
            Self::BoardHealth => "board.health",
        }
    }
}

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

impl DeliveryState {
    /// The word in the database and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Dead => "dead",
        }
    }
}

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
        Err(StoreError::NotYet)
    }

    /// All webhooks by key.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// One webhook.
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Changes a webhook; `false` if there is none such.
    pub async fn update_webhook(
        &self,
        id: WebhookId,
        settings: &WebhookSettings,
    ) -> Result<bool, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Deletes a webhook with its deliveries; `false` if there is none such.
    pub async fn delete_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Claims deliveries that are due, oldest first, at most `limit`. Nobody else gets them for
    /// `hold`; after that they are due again, in case the claimer died.
    pub async fn claim_deliveries(
        &self,
        limit: u32,
        hold: Duration,
        now: UtcMicros,
    ) -> Result<Vec<Delivery>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// Notes how an attempt went.
    pub async fn mark_delivery(
        &self,
        id: DeliveryId,
        attempt: &Attempt,
        now: UtcMicros,
    ) -> Result<(), StoreError> {
        Err(StoreError::NotYet)
    }

    /// When the next delivery is due; `None` if nothing waits.
    pub async fn next_delivery_due(&self) -> Result<Option<UtcMicros>, StoreError> {
        Err(StoreError::NotYet)
    }

    /// The newest deliveries of a webhook, at most `limit`.
    pub async fn deliveries(
        &self,
        webhook: WebhookId,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        Err(StoreError::NotYet)
    }
}
