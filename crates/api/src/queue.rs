//! What waits, and why.

use basalt_model::{BoardName, JobId, JobState, UserName, UtcMicros};
use serde::{Deserialize, Serialize};

/// Why a job waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Explanation {
    /// The job.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub job: JobId,
    /// Where it stands.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::JobState))]
    pub state: JobState,
    /// Its place in the queue, from 1; absent if it does not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// Why, in one sentence.
    pub sentence: String,
    /// Each board that the job asks for.
    pub boards: Vec<CandidateBoard>,
}

/// Why a board is not given to a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CandidateBoard {
    /// The board.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub board: BoardName,
    /// A stable word for programs: `held`, `health`, `dispatcher-offline`,
    /// `dispatcher-maintenance`, `fenced`, `unsuitable`, `free`.
    pub kind: String,
    /// Why, in words.
    pub reason: String,
    /// Since when, or until when for `fenced`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub utc_us: Option<UtcMicros>,
    /// The job that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub held_by: Option<JobId>,
}

/// A job that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueEntry {
    /// Its place, from 1.
    pub position: u32,
    /// The job.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub job: JobId,
    /// Its name.
    pub name: String,
    /// Who submitted it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub submitter: UserName,
    /// 0 to 100; higher goes first.
    pub priority: i32,
    /// When it was submitted.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub submitted_utc_us: UtcMicros,
    /// The type that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
    /// The very board that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub wanted_board: Option<BoardName>,
    /// Tags that it asks of a board.
    pub tags: Vec<String>,
    /// Why it waits, in one sentence.
    pub reason: String,
}

/// The head of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Queue {
    /// How many jobs wait in all.
    pub waiting: u64,
    /// Those that come first.
    pub items: Vec<QueueEntry>,
}

/// How much of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct QueueQuery {
    /// How many jobs at most: 1 to 500, 50 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
