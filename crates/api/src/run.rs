//! Runs: one execution of a job on one board.

use basalt_model::{
    BoardName, DispatcherName, Epoch, Failure, JobId, KernelReport, LeaseId, LeaseState, Outcome,
    PowerState, RunId, Sha256, UtcMicros,
};
use basalt_report::results::{Artifact, Gap};
use serde::{Deserialize, Serialize};

/// A run as it stands in lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunSummary {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Uuid))]
    pub id: RunId,
    /// Its job.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub job: JobId,
    /// Which attempt at its job, from 1.
    pub attempt: u32,
    /// Its board.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub board: BoardName,
    /// The dispatcher that drives it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub dispatcher: DispatcherName,
    /// Where its lease of the board stands.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::LeaseState))]
    pub lease_state: LeaseState,
    /// What it came to; absent before its end, and where it never said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Outcome>))]
    pub outcome: Option<Outcome>,
    /// Why it came to that, or why its job went back into the queue, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the board was granted.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub granted_utc_us: UtcMicros,
    /// When its dispatcher accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub started_utc_us: Option<UtcMicros>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub finished_utc_us: Option<UtcMicros>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Uuid))]
    pub id: RunId,
    /// Its job.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub job: JobId,
    /// Which attempt at its job, from 1.
    pub attempt: u32,
    /// Its board.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub board: BoardName,
    /// The dispatcher that drives it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub dispatcher: DispatcherName,
    /// Its lease of the board.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Uuid))]
    pub lease: LeaseId,
    /// The lease's epoch.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub epoch: Epoch,
    /// Where the lease stands.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::LeaseState))]
    pub lease_state: LeaseState,
    /// What it came to; absent before its end, and where it never said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Outcome>))]
    pub outcome: Option<Outcome>,
    /// Why it came to that, or why its job went back into the queue, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it did not reach its end, with the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Failure>))]
    pub failure: Option<Failure>,
    /// What the relay said of the board at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::PowerState>))]
    pub power: Option<PowerState>,
    /// What the board's clock is worth, where its file says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timebase: Option<String>,
    /// When the board was granted.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub granted_utc_us: UtcMicros,
    /// When its dispatcher accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub started_utc_us: Option<UtcMicros>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub finished_utc_us: Option<UtcMicros>,
    /// How often a runner took it up again.
    pub resumed: u32,
    /// Blocks and actions in the order they began, every attempt.
    pub steps: Vec<Step>,
    /// Files that were fetched for the board.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::schema::Artifact>))]
    pub artifacts: Vec<Artifact>,
    /// The lines in which booted kernels named themselves.
    pub kernel_banners: Vec<String>,
    /// What kernels reported about themselves.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::schema::KernelReport>))]
    pub kernel_reports: Vec<KernelReport>,
    /// Where the console's bytes were not read.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::schema::Gap>))]
    pub gaps: Vec<Gap>,
    /// Events that the server has.
    pub events: u64,
    /// Lines of the log that the server has.
    pub log_lines: u64,
}

/// Where a block or action stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// It goes on.
    Running,
    /// It did what it was for.
    Done,
    /// It failed.
    Failed,
    /// Its run ended, or its attempt was begun anew, before it ended.
    Interrupted,
}

impl StepState {
    /// The word, as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// One attempt of one block or action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// Its place in the plan: `2.1` is the first action of the second block.
    pub level: String,
    /// Its name, LAVA's where LAVA has one.
    pub name: String,
    /// Which attempt of its block, from 1.
    pub attempt: u32,
    /// Where it stands.
    pub state: StepState,
    /// When it began.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub started_utc_us: UtcMicros,
    /// How long it took; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Why it failed, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A file of a run: what a measurement or test left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunFile {
    /// Its path in the run's results directory, with `/`.
    pub path: String,
    /// Size, bytes.
    pub bytes: u64,
    /// SHA-256.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub sha256: Sha256,
    /// The server has all of it.
    pub complete: bool,
}
