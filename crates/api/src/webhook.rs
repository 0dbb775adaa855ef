//! Webhooks: the server tells others what happens, and tries again until they have heard it.
//!
//! A delivery is a POST of a [`WebhookBody`] with these headers:
//! - `Basalt-Delivery`: the delivery's UUID, the same in every attempt: a receiver that has seen it
//!   answers 2xx and does nothing;
//! - `Basalt-Timestamp`: when this attempt was made, seconds since 1970;
//! - `Basalt-Signature`: `v1=` and the HMAC-SHA256, in lower-case hexadecimal digits, of
//!   delivery id, `.`, timestamp, `.`, body, under the webhook's secret. A receiver refuses
//!   timestamps that are more than some minutes away from its own clock.
//!
//! Any 2xx answer is taken as heard. Redirects are not followed.

use basalt_model::{UserName, UtcMicros};
use serde::{Deserialize, Serialize};

use crate::feed::{FeedEvent, FeedKind};

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Webhook {
    /// Its number.
    pub id: i64,
    /// Where it is delivered to; credentials in it are not shown.
    pub url: String,
    /// What it is told of; everything where empty.
    pub kinds: Vec<FeedKind>,
    /// Of jobs, only that they are finished.
    pub only_finished: bool,
    /// It is told nothing for now.
    pub paused: bool,
    /// Who made it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub created_by: UserName,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub created_utc_us: UtcMicros,
    /// Deliveries that wait.
    pub pending: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// What its last failed attempt met with; absent if its last attempt was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// A webhook to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// `https://…`, or `http://…`.
    pub url: String,
    /// What it shall be told of; everything where empty.
    #[serde(default)]
    pub kinds: Vec<FeedKind>,
    /// Of jobs, only that they are finished.
    #[serde(default)]
    pub only_finished: bool,
}

/// A change of a webhook; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct WebhookChange {
    /// It is told nothing for now; what happens meanwhile it never hears of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
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
    /// The address of the lab's pages.
    pub lab_url: String,
    /// What happened.
    pub event: FeedEvent,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is tried, now or later.
    Pending,
    /// It was heard.
    Delivered,
    /// It was given up after a day.
    Dead,
}

/// One thing that a webhook was or is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// Its UUID.
    pub id: String,
    /// The feed event that it tells of.
    pub event: i64,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it came into being.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub created_utc_us: UtcMicros,
    /// When it is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub next_utc_us: Option<UtcMicros>,
    /// What the last attempt met with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}
