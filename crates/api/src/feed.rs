//! The feed: what changes in the lab, in the order in which it was committed.

use basalt_model::{
    BoardHealth, BoardName, BoardState, DispatcherMode, DispatcherName, DispatcherState, Health,
    JobId, JobState, Outcome, PowerState, RunId, UserName, UtcMicros,
};
use serde::{Deserialize, Serialize};

/// What a feed event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FeedKind {
    /// A job was submitted, or its state changed.
    Job,
    /// A board's state, health, power or console changed.
    Board,
    /// A dispatcher came, went, or changed its mode.
    Dispatcher,
    /// A revision of the lab was applied.
    Lab,
}

impl FeedKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::Job, Self::Board, Self::Dispatcher, Self::Lab];

    /// The word, as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Board => "board",
            Self::Dispatcher => "dispatcher",
            Self::Lab => "lab",
        }
    }
}

/// Something changed. Of the optional fields the one of its kind is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedEvent {
    /// Its number: higher ones were committed later.
    pub id: i64,
    /// When it was committed.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub utc_us: UtcMicros,
    /// What it is about.
    pub kind: FeedKind,
    /// What a job is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobChange>,
    /// What a board is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub board: Option<BoardChange>,
    /// What a dispatcher is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatcher: Option<DispatcherChange>,
    /// Which lab is in force now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lab: Option<LabApplication>,
}

/// Which events of the feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct FeedQuery {
    /// Those after this one; those from now on without it. `Last-Event-ID` goes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// Only those about this job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<i64>))]
    pub job: Option<JobId>,
}

/// A job after a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobChange {
    /// Its number.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Who submitted it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub submitter: UserName,
    /// Where it stands.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::JobState))]
    pub state: JobState,
    /// LAVA's health.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Health))]
    pub health: Health,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Outcome>))]
    pub outcome: Option<Outcome>,
    /// Its last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Uuid>))]
    pub run: Option<RunId>,
    /// The board of its last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub board: Option<BoardName>,
}

/// A board after a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BoardChange {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: BoardName,
    /// What it is doing.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::BoardState))]
    pub state: BoardState,
    /// Whether it may be used.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::BoardHealth))]
    pub health: BoardHealth,
    /// What its relay said last.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::PowerState))]
    pub power: PowerState,
    /// The job that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub job: Option<JobId>,
}

/// A dispatcher after a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DispatcherChange {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: DispatcherName,
    /// Whether its link is up.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::DispatcherState))]
    pub state: DispatcherState,
    /// Whether it gets new runs.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::DispatcherMode))]
    pub mode: DispatcherMode,
}

/// A lab was put into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LabApplication {
    /// The revision in force now.
    pub revision: i64,
    /// Who applied it.
    pub by: String,
}
