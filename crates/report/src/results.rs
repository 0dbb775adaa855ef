//! `results.json`: everything about a run in one document.
//!
//! In the results directory it stands beside `console.bin` (what the board said in this run, byte
//! for byte), `raw/<suite>.json` (the files of the measurement programs as they came) and
//! `junit.xml`. Paths in it are relative to that directory, with `/`. Optional fields may be
//! absent; later versions only add fields.
//!
//! ```json
//! {"version": 1, "run": "0193…", "job": {"name": "…", "sha256": "…"},
//!  "board": {"name": "…", "device_type": "…", "timebase": "…"},
//!  "outcome": "pass", "power": "off", "started_utc_us": 0, "finished_utc_us": 0,
//!  "actions": [{"level": "1.1", "name": "http-download", "attempt": 1, "end": "done",
//!               "duration_ms": 12}],
//!  "phases": [{"suite": "0_idle", "totals": {"samples": 10000, "min": 3, "avg": 12.1, "max": 45,
//!              "overflows": 0, "percentiles": {"p50": {"exact": 12}, "p99": {"exact": 25},
//!              "p99.9": {"at_least": 800}, "p99.99": {"at_least": 800}}}}],
//!  "raw_files": [{"path": "raw/0_idle.json", "sha256": "…", "bytes": 2874,
//!                 "board_sha256": "…", "via": "tftp"}],
//!  "console": {"file": "console.bin", "from": 0, "bytes": 8000,
//!              "gaps": [{"offset": 17, "reason": "…"}]}}
//! ```
//!
//! `scripts/recompute.py` computes the table again from the raw files and compares.

use std::collections::BTreeMap;

use basalt_model::event::ActionEnd;
use basalt_model::{
    BoardName, CaseResult, Failure, KernelReport, Outcome, PowerState, RunId, Sha256, UtcMicros,
};
use basalt_realtime::LatencyRecord;
use serde::{Deserialize, Serialize};

/// The version of the document.
pub const VERSION: u32 = 1;
/// The name of the console's file in the results directory.
pub const CONSOLE_FILE: &str = "console.bin";

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`VERSION`].
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// The job.
    pub job: JobIdentity,
    /// The board.
    pub board: BoardIdentity,
    /// What it came to.
    pub outcome: Outcome,
    /// Why it did not reach its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What the relay said about the board at the end.
    pub power: PowerState,
    /// When the run was accepted.
    pub started_utc_us: UtcMicros,
    /// When it finished; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_utc_us: Option<UtcMicros>,
    /// How often a runner took it up again.
    pub resumed: u32,
    /// Blocks and actions in the order they began, every attempt.
    pub actions: Vec<ActionResult>,
    /// Files that were fetched.
    pub artifacts: Vec<Artifact>,
    /// The lines in which booted kernels named themselves.
    pub kernel_banners: Vec<String>,
    /// Every case of every attempt, the phases' included. Of a suite, the last attempt counts.
    pub cases: Vec<CaseResult>,
    /// The measurements, one a suite.
    pub phases: Vec<LatencyRecord>,
    /// Files that came from the board.
    pub raw_files: Vec<RawFileResult>,
    /// What kernels reported about themselves; offsets as in the journal.
    pub kernel_reports: Vec<KernelReport>,
    /// The console; absent before the board was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<ConsoleResult>,
}

/// Which job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobIdentity {
    /// Its name.
    pub name: String,
    /// SHA-256 of its text.
    pub sha256: Sha256,
}

/// Which board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardIdentity {
    /// Its name.
    pub name: BoardName,
    /// Its type.
    pub device_type: String,
    /// What its clock is worth (decision D12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timebase: Option<String>,
}

/// One attempt of one block or action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionResult {
    /// Its place in the plan: `2.1`.
    pub level: String,
    /// Its name.
    pub name: String,
    /// Which attempt of its block, from 1.
    pub attempt: u32,
    /// How it ended; absent if it was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<ActionEnd>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Why it failed, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// One file that was fetched for the board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What the job calls it.
    pub label: String,
    /// Where it came from, without credentials.
    pub url: String,
    /// SHA-256 of what is served to the board.
    pub sha256: Sha256,
    /// Size of the same, bytes.
    pub bytes: u64,
    /// `Linux version …` as embedded, for kernels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux_version: Option<String>,
}

/// One file that came from the board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawFileResult {
    /// Where it lies.
    pub path: String,
    /// SHA-256 of what arrived.
    pub sha256: Sha256,
    /// Size, bytes.
    pub bytes: u64,
    /// SHA-256 that the board computed before sending.
    pub board_sha256: Sha256,
    /// The way it came: `tftp`, `console`.
    pub via: String,
}

/// The console of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleResult {
    /// Where its bytes lie.
    pub file: String,
    /// Where they begin in everything that was ever captured from this console.
    pub from: u64,
    /// How many they are.
    pub bytes: u64,
    /// Where bytes are missing, in order.
    pub gaps: Vec<Gap>,
}

/// Bytes that were not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Before which byte of the console's file they are missing; its size for its end.
    pub offset: u64,
    /// Why.
    pub reason: String,
}

impl Results {
    /// The text of `results.json`.
    pub fn to_json(&self) -> String {
        match serde_json::to_string_pretty(self) {
            Ok(text) => text + "\n",
            // Plain data with string keys.
            Err(error) => unreachable!("results are JSON: {error}"),
        }
    }

    /// The cases that count.
    pub fn counted_cases(&self) -> Vec<&CaseResult> {
        counted(&self.cases)
    }
}

/// The cases that count: of each suite, those of its last attempt.
pub fn counted(cases: &[CaseResult]) -> Vec<&CaseResult> {
    let mut last = BTreeMap::new();
    for case in cases {
        let attempt = last.entry(case.suite.as_str()).or_insert(case.attempt);
        *attempt = case.attempt.max(*attempt);
    }
    cases
        .iter()
        .filter(|case| last.get(case.suite.as_str()) == Some(&case.attempt))
        .collect()
}
