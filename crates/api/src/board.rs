//! Boards.

use basalt_model::{
    BoardHealth, BoardName, BoardState, DispatcherMode, DispatcherName, DispatcherState, Epoch,
    JobId, PowerState, RunId, UserName, UtcMicros,
};
use serde::{Deserialize, Serialize};

use crate::run::RunSummary;

/// A board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Board {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: BoardName,
    /// Its type.
    pub device_type: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// What its clock is worth, where its file says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timebase: Option<String>,
    /// What it is doing.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::BoardState))]
    pub state: BoardState,
    /// Whether it may be used.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::BoardHealth))]
    pub health: BoardHealth,
    /// Since when.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub health_since_utc_us: UtcMicros,
    /// Who said so: an account, or `system`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_reason: Option<String>,
    /// Who has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<BoardUse>,
    /// The epoch of its newest lease.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub epoch: Epoch,
    /// What its relay said last.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::PowerState))]
    pub power: PowerState,
    /// Since when it says so; absent if nobody asked it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub power_since_utc_us: Option<UtcMicros>,
    /// Whether what it says is being captured.
    pub console: ConsoleState,
    /// Its dispatcher.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub dispatcher: DispatcherName,
    /// Whether its dispatcher's link is up.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::DispatcherState))]
    pub dispatcher_state: DispatcherState,
    /// Whether its dispatcher gets new runs.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::DispatcherMode))]
    pub dispatcher_mode: DispatcherMode,
    /// Before this it is not given to anybody: its silent dispatcher might still drive it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub fenced_until_utc_us: Option<UtcMicros>,
}

/// Who has a board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BoardUse {
    /// The job.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub job: JobId,
    /// Its name.
    pub job_name: String,
    /// The run.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Uuid))]
    pub run: RunId,
    /// Who submitted the job.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub submitter: UserName,
    /// Since when.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub since_utc_us: UtcMicros,
}

/// Whether a console is being captured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsoleState {
    /// It is; absent if its dispatcher has not said yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A run among those of its board, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BoardRun {
    /// The name of its job.
    pub job_name: String,
    /// Who submitted the job.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub submitter: UserName,
    /// The run.
    pub run: RunSummary,
}

/// Takes a board out of service, or brings it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// Out of service. A run that has the board goes on to its end.
    pub on: bool,
    /// Why, for whoever waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Something that a board says now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsoleChunk {
    /// When its first byte was read.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub utc_us: UtcMicros,
    /// The run that the board says it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Uuid>))]
    pub run: Option<RunId>,
    /// The bytes, in base64.
    pub bytes: String,
}
