//! Latency measurements.

use basalt_model::{BoardName, JobId, RunId, UtcMicros, Verdict};
use basalt_realtime::{LatencyRecord, Percentile};
use serde::{Deserialize, Serialize};

/// The measurements of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Latency {
    /// The run.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Uuid))]
    pub run: RunId,
    /// Its job.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub job: JobId,
    /// Its board.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub board: BoardName,
    /// One record a phase, in the phases' order: numbers, threads with their histograms, what they
    /// hold for, verdict. Latencies are in microseconds. The raw file is at `files/` and
    /// `raw_file.path`.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::schema::LatencyRecord>))]
    pub records: Vec<LatencyRecord>,
}

/// Which measurements of a board.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct TrendQuery {
    /// Only phases of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Only by this measurement program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measure: Option<String>,
    /// `next` of the piece before; the newest points without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How many points at most: 1 to 1000, 200 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One measurement among those of its board, the newest first. Latencies are in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TrendPoint {
    /// When the phase was finished.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub utc_us: UtcMicros,
    /// The job.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub job: JobId,
    /// Its name.
    pub job_name: String,
    /// The run.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Uuid))]
    pub run: RunId,
    /// The phase's name.
    pub phase: String,
    /// Its suite: `0_idle`.
    pub suite: String,
    /// `cyclictest`.
    pub measure: String,
    /// The names of the loads joined by `+`, or `idle`.
    pub load: String,
    /// `uname -r` of the measured kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_release: Option<String>,
    /// `uname -v` of the measured kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_version: Option<String>,
    /// SHA-256 of the kernel's image: what tells one kernel from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_sha256: Option<String>,
    /// What the board's clock is worth, where its file says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timebase: Option<String>,
    /// The verdict.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Verdict))]
    pub verdict: Verdict,
    /// The largest latency that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_us: Option<u64>,
    /// Cycles of all threads.
    pub samples: u64,
    /// Smallest latency; absent where there is no sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_us: Option<u64>,
    /// Mean latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_us: Option<f64>,
    /// Largest latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_us: Option<u64>,
    /// One sample in a hundred is above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Percentile>))]
    pub p99: Option<Percentile>,
    /// One sample in ten thousand is above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Percentile>))]
    pub p99_99: Option<Percentile>,
}
