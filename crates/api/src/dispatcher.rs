//! Dispatchers.

use basalt_model::{DispatcherMode, DispatcherName, DispatcherState, UtcMicros};
use serde::{Deserialize, Serialize};

/// A dispatcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Dispatcher {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: DispatcherName,
    /// Whether its link is up.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::DispatcherState))]
    pub state: DispatcherState,
    /// Since when; absent if it was never online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub state_since_utc_us: Option<UtcMicros>,
    /// Whether it gets new runs.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::DispatcherMode))]
    pub mode: DispatcherMode,
    /// Who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode_by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode_reason: Option<String>,
    /// When it was heard last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub heard_utc_us: Option<UtcMicros>,
    /// Its build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The revision of the lab that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// What it could not apply of that revision.
    pub problems: Vec<String>,
    /// How many boards are its own.
    pub boards: u32,
    /// How many runs it drives.
    pub runs: u32,
    /// The server starts it itself.
    pub embedded: bool,
}

/// A dispatcher to be added. It gets boards once the lab's files give it relays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewDispatcher {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: DispatcherName,
}

/// What `basalt dispatch --token-file` reads. The token is shown this once; asking again makes
/// another and ends the former.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DispatcherToken {
    /// 1.
    pub version: u32,
    /// The dispatcher.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub dispatcher: DispatcherName,
    /// Its secret.
    pub token: String,
    /// SHA-256 of the server's certificate, where that is signed by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<String>,
}

/// A change of what a dispatcher is used for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ModeChange {
    /// Whether it gets new runs.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::DispatcherMode))]
    pub mode: DispatcherMode,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
