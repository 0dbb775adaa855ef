//! Results of runs.

use basalt_model::{CaseOutcome, JobId, Outcome, RunId};
use serde::{Deserialize, Serialize};

/// One result of one test case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Case {
    /// `lava` for the infrastructure's own cases, else `<N>_<name>`.
    pub suite: String,
    /// The set within the suite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// The case's name.
    pub case: String,
    /// Passed or not.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::CaseOutcome))]
    pub result: CaseOutcome,
    /// A number that the case measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measurement: Option<f64>,
    /// The unit of the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<String>,
    /// Which attempt of its block gave this result, from 1.
    pub attempt: u32,
    /// No later attempt of its suite replaced it.
    pub counted: bool,
    /// Why it failed, or where more is to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// A link that the test gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// How many counted cases of each result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CaseCounts {
    /// Passed.
    pub pass: u64,
    /// Failed.
    pub fail: u64,
    /// Not run, on purpose.
    pub skip: u64,
    /// Run, and nobody can say.
    pub unknown: u64,
}

impl CaseCounts {
    /// Of the cases that count.
    pub fn of(cases: &[Case]) -> Self {
        let mut counts = Self::default();
        for case in cases.iter().filter(|case| case.counted) {
            *match case.result {
                CaseOutcome::Pass => &mut counts.pass,
                CaseOutcome::Fail => &mut counts.fail,
                CaseOutcome::Skip => &mut counts.skip,
                CaseOutcome::Unknown => &mut counts.unknown,
            } += 1;
        }
        counts
    }
}

/// All results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunResults {
    /// The run.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Uuid))]
    pub run: RunId,
    /// Its job.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub job: JobId,
    /// What it came to; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Outcome>))]
    pub outcome: Option<Outcome>,
    /// How many counted cases of each result.
    pub counts: CaseCounts,
    /// Every case of every attempt, in the order they came.
    pub cases: Vec<Case>,
}
