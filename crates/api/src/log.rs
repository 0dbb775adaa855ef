//! Logs of runs.

use basalt_model::{RunId, UtcMicros};
use basalt_report::joblog::LogLevel;
use serde::{Deserialize, Serialize};

/// One line of a log, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Its place in the log, from 1, without holes.
    pub number: u64,
    /// When its first byte was read, or its event written.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub utc_us: UtcMicros,
    /// What it is.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::LogLevel))]
    pub level: LogLevel,
    /// The line without its terminator, as text: what is no UTF-8 is replaced by U+FFFD. Anything
    /// else that a board says is in it as the board said it, escape sequences included.
    pub text: String,
    /// The exact bytes with their terminator, in base64; only where `text` cannot say them: a
    /// `target` line that is no UTF-8, or that does not end in CR LF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
}

/// How lines of a log are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// [`LogLine`]s, one JSON object a line.
    #[default]
    Json,
    /// For people: time, level and text; control characters replaced.
    Text,
}

/// Which lines of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct LogQuery {
    /// First line, from 1; a negative number counts from the end: -100 is the last hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Last line, inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Only these levels, joined by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Only lines that hold this text; letters of both cases are alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// At most so many lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How they are written; JSON lines without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(inline))]
    pub format: Option<LogFormat>,
}

/// Which lines of a log are followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct FollowQuery {
    /// First line, from 1; a negative number counts from the end. `Last-Event-ID` goes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Only these levels, joined by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Only lines that hold this text; letters of both cases are alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
}

/// Which lines of a log, once the words are read: what a use case takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRange {
    /// First line; the first of all without it.
    pub from: Option<u64>,
    /// Last line, inclusive; the last of all without it.
    pub to: Option<u64>,
    /// Only these levels; all where empty.
    pub levels: Vec<LogLevel>,
    /// Only lines that hold this text; letters of both cases are alike.
    pub text: Option<String>,
}

/// The last event of a followed log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogEnd {
    /// The run.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Uuid))]
    pub run: RunId,
    /// How many lines its log has.
    pub lines: u64,
}
