//! Jobs.

use basalt_model::{
    BoardName, DispatcherName, Failure, Health, JobId, JobState, Outcome, RunId, Sha256, UserName,
    UtcMicros,
};
use serde::{Deserialize, Serialize};

use crate::problem::Diagnostic;
use crate::run::RunSummary;

/// A job to be put into the queue, where the body is JSON. As `application/yaml` the body is the
/// definition itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmitJob {
    /// The job as YAML text, in LAVA's language.
    pub definition: String,
}

/// A job as it stands in lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobSummary {
    /// Its number.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::JobState))]
    pub state: JobState,
    /// LAVA's health; results never change it.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Health))]
    pub health: Health,
    /// What it came to; absent before it is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Outcome>))]
    pub outcome: Option<Outcome>,
    /// Why it is incomplete, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who submitted it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub submitter: UserName,
    /// 0 to 100; higher goes first.
    pub priority: i32,
    /// The type that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
    /// The board of its last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub board: Option<BoardName>,
    /// Its last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Uuid>))]
    pub run: Option<RunId>,
    /// How many runs it has had.
    pub attempts: u32,
    /// When it was submitted.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub submitted_utc_us: UtcMicros,
    /// When its last run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub started_utc_us: Option<UtcMicros>,
    /// When it was finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub finished_utc_us: Option<UtcMicros>,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// Its number.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::JobState))]
    pub state: JobState,
    /// LAVA's health; results never change it.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Health))]
    pub health: Health,
    /// What it came to; absent before it is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Outcome>))]
    pub outcome: Option<Outcome>,
    /// Why it is incomplete, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same with its evidence, where a run said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Failure>))]
    pub failure: Option<Failure>,
    /// Who submitted it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub submitter: UserName,
    /// 0 to 100; higher goes first.
    pub priority: i32,
    /// The type that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
    /// The very board that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub wanted_board: Option<BoardName>,
    /// Tags that it asks of a board.
    pub tags: Vec<String>,
    /// The board of its last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub board: Option<BoardName>,
    /// The dispatcher of its last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub dispatcher: Option<DispatcherName>,
    /// Its last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Uuid>))]
    pub run: Option<RunId>,
    /// All its runs, the oldest first.
    pub runs: Vec<RunSummary>,
    /// SHA-256 of its text.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub definition_sha256: Sha256,
    /// The job that it is a repetition of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub resubmission_of: Option<JobId>,
    /// Who ended it before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub canceled_by: Option<UserName>,
    /// Why he did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<String>,
    /// Whether he who asks may cancel it now.
    pub may_cancel: bool,
    /// When it was submitted.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub submitted_utc_us: UtcMicros,
    /// When its last run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub started_utc_us: Option<UtcMicros>,
    /// When it was finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub finished_utc_us: Option<UtcMicros>,
}

/// Which jobs, and which piece of their list. The newest come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct JobQuery {
    /// In one of these states, joined by commas; `queued` stands for submitted and scheduling,
    /// `active` for every state but finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// With one of these outcomes, joined by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Whose last run was on this board.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>))]
    pub board: Option<BoardName>,
    /// That ask for this type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
    /// Submitted by this account; `me` is whoever asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitter: Option<String>,
    /// Whose name holds this text, or whose number it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// `next` of the piece before; the first piece without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How many items at most: 1 to 500, 50 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The text of a job, and what is still known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Definition {
    /// The job.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub job: JobId,
    /// Its text as submitted.
    pub text: String,
    /// SHA-256 of the text.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub sha256: Sha256,
}

/// What is to be said about a job's end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CancelJob {
    /// Why, for whoever wonders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What would happen to a job if it were submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Validation {
    /// It would be taken.
    pub valid: bool,
    /// What is wrong with it, or odd.
    pub diagnostics: Vec<Diagnostic>,
    /// The boards that it asks for by type, name and tags.
    pub candidates: Vec<Candidate>,
}

/// A board that a job asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Candidate {
    /// The board.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub board: BoardName,
    /// It can run the job.
    pub suitable: bool,
    /// Why it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
