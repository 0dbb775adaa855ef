//! A board, and what was measured on it.

use axum::extract::{Path, Query};
use axum::response::Response;
use basalt_api::{BoardRun, PageQuery, TrendPoint, TrendQuery};
use basalt_model::{BoardName, JobState};
use basalt_pages::Section;
use basalt_pages::board::{Board, ConsoleState, HealthChange};
use basalt_pages::jobs::JobRow;
use basalt_pages::latency::{Latency, LatencyTotal, Point};
use basalt_realtime::Percentile;
use serde::Deserialize;

use super::lists::tile;
use super::visit::{Instead, Visit, page_of};

/// Runs on a board's page.
const RUNS: u32 = 20;
/// Points that a trend is drawn of, all measurements together.
const POINTS: u32 = 1000;

/// `GET /boards/{name}`.
pub(super) async fn board(visit: Visit, Path(name): Path<String>) -> Result<Response, Instead> {
    let chrome = visit.frame(&name, Section::Boards).await?;
    let name = BoardName::new(name);
    let (app, actor) = (visit.app(), &visit.actor);
    let board = visit.ask(app.board(actor, &name).await)?;
    let query = PageQuery {
        cursor: None,
        limit: Some(RUNS),
    };
    let runs = visit.ask(app.board_runs(actor, &name, &query).await)?;
    let points = visit.points(&name).await?;
    let mut tile = tile(&board);
    let mut current = None;
    if let Some(held) = &board.held_by {
        let job = visit.ask(app.job(actor, held.job).await)?;
        let step = visit.step(held.run).await?;
        if let Some(job) = &mut tile.job {
            job.step.clone_from(&step);
        }
        current = Some(JobRow {
            id: job.id,
            name: job.name,
            state: job.state,
            outcome: job.outcome,
            board: job.board,
            wants: job.device_type.unwrap_or_default(),
            submitter: job.submitter,
            submitted: job.submitted_utc_us,
            started: Some(held.since_utc_us),
            finished: None,
            attempts: u32::try_from(job.runs.len()).unwrap_or(u32::MAX),
            note: step,
        });
    }
    let dispatcher = visit
        .ask(app.dispatchers(actor).await)?
        .into_iter()
        .find(|one| one.name == board.dispatcher);
    let has_said = board.health_by.is_some() || board.health_reason.is_some();
    Ok(page_of(&Board {
        may_maintain: chrome.is_administrator(),
        chrome,
        tags: board.tags,
        dispatcher: board.dispatcher,
        dispatcher_state: board.dispatcher_state,
        dispatcher_since: dispatcher.and_then(|one| one.state_since_utc_us),
        power_since: board.power_since_utc_us,
        console: match (board.console.open, board.console.reason) {
            (Some(true), _) => ConsoleState::Open,
            (Some(false), reason) => {
                ConsoleState::Closed(reason.unwrap_or_else(|| "not captured".into()))
            }
            (None, _) => ConsoleState::Unknown,
        },
        epoch: board.epoch.0,
        current,
        runs: runs.items.into_iter().filter_map(run_row).collect(),
        history: has_said
            .then(|| HealthChange {
                at: board.health_since_utc_us,
                health: board.health,
                who: board.health_by.unwrap_or_else(|| "the lab".into()),
                reason: board.health_reason,
            })
            .into_iter()
            .collect(),
        latencies: totals(&points),
        tile,
    }))
}

/// A run that is over, as a job of a list.
fn run_row(item: BoardRun) -> Option<JobRow> {
    let run = item.run;
    let finished = run.finished_utc_us?;
    Some(JobRow {
        id: run.job,
        name: item.job_name,
        state: JobState::Finished,
        outcome: run.outcome,
        board: Some(run.board),
        wants: String::new(),
        submitter: item.submitter,
        submitted: run.granted_utc_us,
        started: run.started_utc_us,
        finished: Some(finished),
        attempts: run.attempt,
        note: run.reason,
    })
}

/// What is measured again and again: the same phase, program and load.
fn key(point: &TrendPoint) -> String {
    format!("{}/{}/{}", point.measure, point.load, point.phase)
}

fn name(point: &TrendPoint) -> String {
    match (point.load.as_str(), point.phase.as_str()) {
        ("" | "idle", phase) => phase.to_owned(),
        (load, phase) if load == phase => phase.to_owned(),
        (load, phase) => format!("{phase}: {load}"),
    }
}

fn point(point: &TrendPoint) -> Option<Point> {
    let kernel = point
        .kernel_release
        .clone()
        .filter(|kernel| !kernel.is_empty());
    Some(Point {
        job: point.job,
        run: point.run,
        at: point.utc_us,
        kernel: kernel.unwrap_or_else(|| "unknown".into()),
        verdict: point.verdict,
        // Nothing was measured where there is no largest latency.
        max_us: point.max_us?,
        p99_99_us: match point.p99_99 {
            Some(Percentile::Exact(latency)) => Some(latency),
            Some(Percentile::AtLeast(_)) | None => None,
        },
        limit_us: point.limit_us,
        samples: point.samples,
        conditions: point.timebase.clone().unwrap_or_default(),
    })
}

/// One entry for each thing that is measured, the last measured first. `points` are newest first.
fn totals(points: &[TrendPoint]) -> Vec<LatencyTotal> {
    let mut totals: Vec<LatencyTotal> = Vec::new();
    for trend_point in points {
        let Some(point) = point(trend_point) else {
            continue;
        };
        let key = key(trend_point);
        match totals.iter_mut().find(|total| total.key == key) {
            Some(total) => total.runs += 1,
            None => totals.push(LatencyTotal {
                key,
                name: name(trend_point),
                runs: 1,
                newest: point,
            }),
        }
    }
    totals.sort_by(|one, other| one.name.cmp(&other.name));
    totals
}

impl Visit {
    async fn points(&self, board: &BoardName) -> Result<Vec<TrendPoint>, Instead> {
        let query = TrendQuery {
            limit: Some(POINTS),
            ..TrendQuery::default()
        };
        let page = self.app().board_latency(&self.actor, board, &query).await;
        Ok(self.ask(page)?.items)
    }
}

/// What stands behind `/boards/{name}/latency?`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LatencyQuery {
    of: String,
}

/// `GET /boards/{name}/latency`.
pub(super) async fn latency(
    visit: Visit,
    Path(name): Path<String>,
    Query(query): Query<LatencyQuery>,
) -> Result<Response, Instead> {
    let title = format!("Latency of {name}");
    let chrome = visit.frame(&title, Section::Boards).await?;
    let board = BoardName::new(name);
    let all = visit.points(&board).await?;
    let choices = totals(&all);
    let chosen = choices.iter().position(|one| one.key == query.of);
    let chosen = chosen.unwrap_or_else(|| most_measured(&choices));
    let wanted = choices.get(chosen).map(|one| one.key.clone());
    let mut points: Vec<Point> = all
        .iter()
        .filter(|one| Some(key(one)) == wanted)
        .filter_map(point)
        .collect();
    points.sort_by_key(|point| point.at);
    Ok(page_of(&Latency {
        chrome,
        board,
        choices,
        chosen,
        points,
        has_older: all.len() >= POINTS as usize,
    }))
}

fn most_measured(choices: &[LatencyTotal]) -> usize {
    let count = |(_, total): &(usize, &LatencyTotal)| (total.runs, total.newest.at);
    choices
        .iter()
        .enumerate()
        .max_by_key(count)
        .map_or(0, |(index, _)| index)
}
