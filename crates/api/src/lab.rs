//! The lab's files and their revisions.

use basalt_model::{DispatcherName, UtcMicros};
use serde::{Deserialize, Serialize};

use crate::problem::Diagnostic;

/// The lab that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lab {
    /// Its name.
    pub name: String,
    /// Which revision of its files is in force.
    pub revision: i64,
    /// When that was applied.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub applied_utc_us: UtcMicros,
    /// Who applied it: an account, or `system` for the directory that the server was started with.
    pub applied_by: String,
    /// Its dispatchers.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub dispatchers: Vec<DispatcherName>,
    /// How many boards it has.
    pub boards: u32,
    /// The files; only for those who may see them, since they can hold the relays' credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<LabFile>>,
}

/// One of the lab's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LabFile {
    /// Its path in the lab's directory, with `/`: `boards/board-1.yaml`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// All files of a lab, to be compared with what is in force or put into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApplyLab {
    /// The files.
    pub files: Vec<LabFile>,
    /// The revision that the changes were made from: refused if another is in force by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_revision: Option<i64>,
}

/// What applying files would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LabDiff {
    /// The revision in force that the files were compared with; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// The files can be applied.
    pub valid: bool,
    /// What is wrong with them, or odd.
    pub diagnostics: Vec<Diagnostic>,
    /// What would change.
    pub changes: Vec<LabChange>,
}

/// What applying files changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LabApplied {
    /// The revision in force now.
    pub revision: i64,
    /// What is odd about the files.
    pub diagnostics: Vec<Diagnostic>,
    /// What changed; nothing if the files are those in force.
    pub changes: Vec<LabChange>,
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LabSubject {
    /// The lab itself.
    Lab,
    /// A dispatcher.
    Dispatcher,
    /// A relay.
    Relay,
    /// A board type.
    DeviceType,
    /// A board.
    Board,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LabVerb {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another than before.
    Changed,
}

/// One change of a lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LabChange {
    /// What it is about.
    pub subject: LabSubject,
    /// Its name.
    pub name: String,
    /// What happens to it.
    pub verb: LabVerb,
    /// What changes, one thing a line.
    pub details: Vec<String>,
}
