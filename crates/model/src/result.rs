//! One result of one test case.

use serde::{Deserialize, Serialize};

use crate::outcome::CaseOutcome;

/// One result, as it stands in the journal, in results.json and in LAVA's suites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// `lava` for the infrastructure's own cases, else `<N>_<name>`.
    pub suite: String,
    /// The case's name.
    pub case: String,
    /// Passed or not.
    pub result: CaseOutcome,
    /// A number that the case measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measurement: Option<f64>,
    /// The unit of the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<String>,
    /// The set within the suite (`lava-test-set`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Which attempt of its block gave this result, from 1. The last attempt counts.
    pub attempt: u32,
    /// Why it failed, or where more is to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// A link that the test gave (`lava-test-reference`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}
