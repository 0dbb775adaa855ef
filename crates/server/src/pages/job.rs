//! A job with one of its runs.

use std::collections::HashMap;

use axum::extract::{Path, Query};
use axum::response::Response;
use basalt_api::{Case, Explanation, LogRange, Run, RunSummary, StepState};
use basalt_model::{CaseResult, JobId, JobState, RunId, UtcMicros};
use basalt_pages::Section;
use basalt_pages::job::{
    FileRow, Job, LogLine, Phase, RunRow, ShownRun, Step, StepState as Shown, Suite, Waiting,
};
use basalt_pages::overview::Candidate;
use serde::Deserialize;

use super::lists::{wants, without_place};
use super::visit::{Instead, Visit, encode, page_of};
use crate::UseCaseError;

/// Lines of the log that stand on the page itself.
const TAIL: u64 = 200;

/// What stands behind `/jobs/{id}?`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JobPageQuery {
    run: String,
}

/// `GET /jobs/{id}`.
pub(super) async fn job(
    visit: Visit,
    Path(id): Path<String>,
    Query(query): Query<JobPageQuery>,
) -> Result<Response, Instead> {
    let title = format!("Job {id}");
    let mut chrome = visit.frame(&title, Section::Jobs).await?;
    let number: Result<JobId, _> = id.parse();
    let number = visit.ask(number.map_err(|_| UseCaseError::not_found("job", &id)))?;
    let job = visit.ask(visit.app().job(&visit.actor, number).await)?;
    chrome.title = format!("{} (job {})", job.name, job.id);
    let waiting = match job.state.is_queued() {
        true => Some(visit.waiting(number).await?),
        false => None,
    };
    let wanted = match query.run.as_str() {
        "" => job.run,
        // By number of the attempt, or by id; a run of another job is none of this one's.
        text => job
            .runs
            .iter()
            .find(|run| run.id.to_string() == text || run.attempt.to_string() == text)
            .map(|run| run.id),
    };
    if wanted.is_none() && !query.run.is_empty() {
        let error = UseCaseError::not_found("run", &query.run);
        return Err(Instead::Failed(Box::new(visit), error));
    }
    let shown = match wanted {
        Some(run) => Some(visit.shown(run).await?),
        None => None,
    };
    Ok(page_of(&Job {
        may_resubmit: job.state == JobState::Finished,
        may_cancel: job.may_cancel,
        id: job.id,
        wants: wants(
            job.device_type.as_deref(),
            job.wanted_board.as_ref(),
            &job.tags,
        ),
        name: job.name,
        state: job.state,
        outcome: job.outcome,
        health: job.health,
        submitter: job.submitter,
        submitted: job.submitted_utc_us,
        started: job.started_utc_us,
        finished: job.finished_utc_us,
        priority: job.priority.into(),
        waiting,
        runs: job.runs.into_iter().rev().map(run_row).collect(),
        shown,
        chrome,
    }))
}

fn run_row(run: RunSummary) -> RunRow {
    RunRow {
        run: run.id,
        attempt: run.attempt,
        board: run.board,
        started: run.started_utc_us,
        finished: run.finished_utc_us,
        outcome: run.outcome,
        note: run.reason,
    }
}

impl Visit {
    async fn waiting(&self, job: JobId) -> Result<Waiting, Instead> {
        let why: Explanation = self.ask(self.app().why(&self.actor, job).await)?;
        let queue = self.ask(self.app().queue(&self.actor, 1).await)?;
        let candidates = why.boards.into_iter().map(|one| Candidate {
            suitable: one.kind != "unsuitable",
            board: one.board,
            reason: one.reason,
        });
        Ok(Waiting {
            position: why.position.unwrap_or(1).into(),
            total: queue.waiting.max(1),
            reason: without_place(&why.sentence).to_owned(),
            candidates: candidates.collect(),
        })
    }

    async fn shown(&self, id: RunId) -> Result<ShownRun, Instead> {
        let (app, actor) = (self.app(), &self.actor);
        let run = self.ask(app.run(actor, id).await)?;
        let results = self.ask(app.results(actor, id).await)?;
        let latency = self.ask(app.latency(actor, id).await)?;
        let files = self.ask(app.run_files(actor, id).await)?;
        let tail = match self.is_refresh {
            true => Vec::new(),
            false => self.tail(&run).await?,
        };
        let address = |path: &str| format!("/api/v1/runs/{id}/files/{}", encode(path));
        let phases = latency.records.into_iter().map(|record| Phase {
            raw_address: record
                .raw_file
                .as_ref()
                .filter(|raw| files.iter().any(|file| file.path == raw.path))
                .map(|raw| address(&raw.path)),
            record,
        });
        Ok(ShownRun {
            run: id,
            goes_on: run.finished_utc_us.is_none(),
            phases: phases.collect(),
            suites: suites(results.cases),
            files: files
                .iter()
                .map(|file| FileRow {
                    path: file.path.clone(),
                    address: address(&file.path),
                    bytes: file.bytes,
                    sha256: file.sha256.to_string(),
                })
                .collect(),
            tail,
            lines: run.log_lines,
            steps: run.steps.into_iter().map(step).collect(),
            board: run.board,
            attempt: run.attempt,
            outcome: run.outcome,
            failure: run.failure,
            resumed: run.resumed,
            kernel_reports: run.kernel_reports,
        })
    }

    async fn tail(&self, run: &Run) -> Result<Vec<LogLine>, Instead> {
        let range = LogRange {
            from: Some(run.log_lines.saturating_sub(TAIL - 1).max(1)),
            to: Some(run.log_lines),
            ..LogRange::default()
        };
        let log = self.app().log(&self.actor, run.id, &range, TAIL as usize);
        let lines = self.ask(log.await)?.lines;
        Ok(lines
            .into_iter()
            .map(|line| LogLine {
                number: line.number,
                at: line.utc,
                level: line.level.as_str().to_owned(),
                bytes: line.text,
            })
            .collect())
    }
}

fn step(step: basalt_api::Step) -> Step {
    Step {
        level: step.level,
        name: step.name,
        attempt: step.attempt,
        state: match step.state {
            StepState::Running => Shown::Running,
            StepState::Done => Shown::Done,
            StepState::Failed => Shown::Failed,
            StepState::Interrupted => Shown::Interrupted,
        },
        started: (step.started_utc_us != UtcMicros(0)).then_some(step.started_utc_us),
        duration_ms: step.duration_ms,
        failure: step.failure,
    }
}

/// The cases that count by suite, in the order in which suites and cases came.
fn suites(cases: Vec<Case>) -> Vec<Suite> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut suites: Vec<Suite> = Vec::new();
    for case in cases.into_iter().filter(|case| case.counted) {
        let place = *places.entry(case.suite.clone()).or_insert_with(|| {
            suites.push(Suite {
                name: case.suite.clone(),
                cases: Vec::new(),
            });
            suites.len() - 1
        });
        suites[place].cases.push(CaseResult {
            suite: case.suite,
            case: case.case,
            result: case.result,
            measurement: case.measurement,
            units: case.units,
            set: case.set,
            attempt: case.attempt,
            detail: case.detail,
            reference: case.reference,
        });
    }
    suites
}

#[cfg(test)]
mod tests {
    use basalt_model::CaseOutcome;

    use super::*;

    #[test]
    fn only_cases_that_count_stand_in_their_suites() {
        let case = |suite: &str, name: &str, counted| Case {
            suite: suite.into(),
            set: None,
            case: name.into(),
            result: CaseOutcome::Pass,
            measurement: None,
            units: None,
            attempt: 1,
            counted,
            detail: None,
            reference: None,
        };
        let suites = suites(vec![
            case("lava", "boot", false),
            case("0_idle", "max", true),
            case("lava", "boot", true),
            case("0_idle", "min", true),
        ]);
        let names: Vec<_> = suites
            .iter()
            .map(|suite| (suite.name.as_str(), suite.cases.len()))
            .collect();
        assert_eq!(names, [("0_idle", 2), ("lava", 1)]);
    }
}
