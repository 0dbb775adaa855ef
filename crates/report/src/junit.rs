//! JUnit XML for CI systems.

use std::time::Duration;

use basalt_model::event::ActionEnd;
use basalt_model::{CaseOutcome, CaseResult, Failure};
use basalt_realtime::LatencyRecord;
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use crate::results::{ActionResult, Results};

/// The XML could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the results as JUnit XML")]
pub struct JunitError(#[from] quick_junit::SerializeError);

/// The suite of the infrastructure's own cases.
const INFRASTRUCTURE: &str = "lava";

/// The run as JUnit XML: a suite a test definition or phase, each case with its number in the
/// properties `measurement` and `units`; a suite `lava` with a case an action, and the failure
/// that stopped the run as an error in it. Of a suite, the last attempt counts. What proves
/// nothing is an error where it is a verdict, else skipped.
///
/// # Errors
/// [`JunitError`].
pub fn junit(results: &Results) -> Result<String, JunitError> {
    let mut report = Report::new(results.job.name.as_str());
    let mut suites: Vec<TestSuite> = Vec::new();
    for case in results.counted_cases() {
        let at = match suites
            .iter()
            .position(|suite| suite.name.as_str() == case.suite)
        {
            Some(at) => at,
            None => {
                suites.push(new_suite(&case.suite, results));
                suites.len() - 1
            }
        };
        suites[at].add_test_case(test_case(case));
    }
    let at = suites
        .iter()
        .position(|suite| suite.name.as_str() == INFRASTRUCTURE);
    let mut infrastructure = match at {
        Some(at) => suites.remove(at),
        None => new_suite(INFRASTRUCTURE, results),
    };
    for action in &results.actions {
        infrastructure.add_test_case(action_case(action));
    }
    infrastructure.add_test_case(job_case(results));
    report.add_test_suite(infrastructure);
    report.add_test_suites(suites);
    if let Some(finished) = results.finished_utc_us {
        let wall = (finished.0 - results.started_utc_us.0).max(0);
        report.set_time(Duration::from_micros(wall as u64));
    }
    Ok(report.to_string()?)
}

fn new_suite(name: &str, results: &Results) -> TestSuite {
    let mut suite = TestSuite::new(name);
    suite.add_property(("board", results.board.name.as_str()));
    suite.add_property(("run", results.run.to_string().as_str()));
    if let Some(record) = results.phases.iter().find(|record| record.suite == name) {
        for (name, value) in phase_properties(record) {
            suite.add_property(Property::new(name, value));
        }
    }
    suite
}

fn phase_properties(record: &LatencyRecord) -> Vec<(&'static str, String)> {
    let environment = &record.environment;
    let mut properties = vec![
        ("measure", record.measure.clone()),
        ("load", record.load_words()),
        ("interval_us", record.interval_us.to_string()),
        ("duration_s", record.duration_s.to_string()),
        ("rt_evidence", record.rt_evidence.to_string()),
        ("verdict", record.verdict.to_string()),
        ("reason", record.reason.clone()),
    ];
    let optional = [
        ("limit_us", record.limit_us.map(|limit| limit.to_string())),
        ("timebase", environment.timebase.clone()),
        (
            "kernel",
            environment
                .banner
                .clone()
                .or(environment.proc_version.clone()),
        ),
        ("command", record.command.clone()),
        (
            "raw_file",
            record.raw_file.as_ref().map(|file| file.path.clone()),
        ),
    ];
    properties.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    properties
}

fn test_case(case: &CaseResult) -> TestCase {
    let detail = case.detail.as_deref();
    let status = match case.result {
        CaseOutcome::Pass => TestCaseStatus::success(),
        CaseOutcome::Fail => non_success(NonSuccessKind::Failure, "fail", detail),
        CaseOutcome::Unknown if case.case == "verdict" => {
            non_success(NonSuccessKind::Error, "invalid", detail)
        }
        CaseOutcome::Skip | CaseOutcome::Unknown => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(detail.unwrap_or(case.result.as_str()));
            status
        }
    };
    let mut written = TestCase::new(case.case.as_str(), status);
    written.set_classname(case.suite.as_str());
    if let Some(measurement) = case.measurement {
        written.add_property(("measurement", measurement.to_string().as_str()));
    }
    for (name, value) in [
        ("units", &case.units),
        ("set", &case.set),
        ("reference", &case.reference),
        ("detail", &case.detail),
    ] {
        if let Some(value) = value {
            written.add_property((name, value.as_str()));
        }
    }
    written
}

fn non_success(kind: NonSuccessKind, class: &str, message: Option<&str>) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(class);
    if let Some(message) = message {
        status.set_message(message);
    }
    status
}

/// One action. A failed attempt is only marked: whether it stopped the run says the case `job`.
fn action_case(action: &ActionResult) -> TestCase {
    let status = match (action.end, &action.failure) {
        (Some(ActionEnd::Done), _) => TestCaseStatus::success(),
        (_, failure) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(failure.as_deref().unwrap_or("interrupted"));
            status
        }
    };
    let name = match action.attempt {
        1 => format!("{} {}", action.level, action.name),
        attempt => format!("{} {} (attempt {attempt})", action.level, action.name),
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(INFRASTRUCTURE);
    if let Some(duration) = action.duration_ms {
        case.set_time(Duration::from_millis(duration));
    }
    case
}

/// LAVA's final case: the failure that stopped the run is an error here.
fn job_case(results: &Results) -> TestCase {
    let status = match &results.failure {
        None => TestCaseStatus::success(),
        Some(failure) => stopped(failure),
    };
    let mut case = TestCase::new("job", status);
    case.set_classname(INFRASTRUCTURE);
    case
}

fn stopped(failure: &Failure) -> TestCaseStatus {
    let class = format!("{}/{}", failure.lava_error_type(), failure.code);
    let mut status = non_success(NonSuccessKind::Error, &class, Some(&failure.sentence()));
    if !failure.last_lines.is_empty() {
        status.set_description(failure.last_lines.join("\n"));
    }
    status
}
