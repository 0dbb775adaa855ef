//! Webhooks: the server tells others what happens, and tries again until they have heard it.
//!
//! A delivery is a POST of a [`WebhookBody`] with these headers:
//! - `Basalt-Delivery`: the delivery's UUID, the same in every attempt: a receiver that has seen it
//!   answers 2xx and does nothing;
//! - `Basalt-Timestamp`: when this attempt was made, seconds since 1970;
//! - `Basalt-Signature`: `v1=` and the HMAC-SHA256, in lower-case hexadecimal digits, of
//!   delivery id, `.`, timestamp, `.`, body, under the webhook's secret (its text as it was shown).
//!   A receiver refuses timestamps that are more than some minutes away from its own clock.
//!
//! Any 2xx answer is taken as heard. Redirects are not followed. What one webhook is told comes in
//! the order in which it happened; a delivery that is not heard is tried for a day, with growing
//! pauses, and holds back those behind it.

use basalt_model::{BoardName, JobId, UtcMicros};
use serde::{Deserialize, Serialize};

/// What a webhook can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum WebhookEvent {
    /// A job was submitted.
    #[serde(rename = "job.submitted")]
    JobSubmitted,
    /// A job runs.
    #[serde(rename = "job.started")]
    JobStarted,
    /// A job is finished.
    #[serde(rename = "job.finished")]
    JobFinished,
    /// A board's health changed.
    #[serde(rename = "board.health")]
    BoardHealth,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Webhook {
    /// Its number.
    pub id: i64,
    /// Where it is told.
    pub url: String,
    /// What it is told of.
    pub events: Vec<WebhookEvent>,
    /// Whether it is told now; what happens while it is not, it never hears of.
    pub active: bool,
    /// Who made it.
    pub owner: String,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub created_utc_us: UtcMicros,
}

/// A webhook to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// `https://…`, or `http://…`; without credentials in it.
    pub url: String,
    /// What it shall be told of: one at least.
    pub events: Vec<WebhookEvent>,
}

/// A change of a webhook; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct WebhookChange {
    /// Where it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it is told of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<WebhookEvent>>,
    /// Whether it is told now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// A new webhook with its secret, which is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// The key of its signatures.
    pub secret: String,
}

/// The body of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookBody {
    /// 1.
    pub version: u32,
    /// The delivery's UUID.
    pub delivery: String,
    /// The address of the lab's pages.
    pub lab_url: String,
    /// What happened.
    pub event: WebhookEvent,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub utc_us: UtcMicros,
    /// The job it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub job: Option<JobId>,
    /// The board it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub board: Option<BoardName>,
    /// What it is now: `state` and `outcome` of a job, `health` of a board.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub data: serde_json::Value,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is tried, now or later.
    Waiting,
    /// It was heard.
    Sent,
    /// It was given up after a day.
    Dead,
}

/// One thing that a webhook was or is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// Its UUID.
    pub id: String,
    /// What happened.
    pub event: WebhookEvent,
    /// The job it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub job: Option<JobId>,
    /// The board it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub board: Option<BoardName>,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it came into being.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub created_utc_us: UtcMicros,
    /// When it is tried next, where it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub next_utc_us: Option<UtcMicros>,
    /// What the last attempt that failed met with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}
