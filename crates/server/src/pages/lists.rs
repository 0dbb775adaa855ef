//! The overview and the lists: jobs, boards, dispatchers.

use axum::extract::Query;
use axum::response::Response;
use basalt_api::{Board, JobQuery, JobSummary, QueueEntry, StepState};
use basalt_model::{BoardName, DispatcherMode, DispatcherState, JobState, RunId};
use basalt_pages::Section;
use basalt_pages::boards::{BoardRow, Boards};
use basalt_pages::dispatchers::{DispatcherRow, Dispatchers};
use basalt_pages::jobs::{Filter, JobRow, Jobs};
use basalt_pages::overview::{Away, BoardTile, Outcomes, Overview, QueueRow, TileJob};
use serde::Deserialize;

use super::visit::{Instead, Visit, page_of};

/// Runs whose step is looked up; those of a larger lab are told without.
const STEPS: usize = 8;
/// The queue's head on the overview.
const QUEUE: u32 = 10;
/// Finished jobs that the overview counts.
const COUNTED: u32 = 100;
/// Finished jobs that the overview lists.
const RECENT: usize = 8;

/// A job of a list.
pub(super) fn row(job: JobSummary) -> JobRow {
    JobRow {
        id: job.id,
        name: job.name,
        state: job.state,
        outcome: job.outcome,
        board: job.board,
        wants: job.device_type.unwrap_or_default(),
        submitter: job.submitter,
        submitted: job.submitted_utc_us,
        started: job.started_utc_us,
        finished: job.finished_utc_us,
        attempts: job.attempts,
        note: job.reason,
    }
}

/// What a job asks for, in words.
pub(super) fn wants(
    device_type: Option<&str>,
    board: Option<&BoardName>,
    tags: &[String],
) -> String {
    let mut words = match (board, device_type) {
        (Some(board), _) => vec![board.to_string()],
        (None, Some(device_type)) => vec![device_type.to_owned()],
        (None, None) => Vec::new(),
    };
    words.extend(tags.iter().cloned());
    words.join(", ")
}

/// A board of a list.
pub(super) fn tile(board: &Board) -> BoardTile {
    BoardTile {
        name: board.name.clone(),
        device_type: board.device_type.clone(),
        state: board.state,
        health: board.health,
        health_reason: board.health_reason.clone(),
        reachable: board.dispatcher_state == DispatcherState::Online
            && board.dispatcher_mode == DispatcherMode::Active,
        power: board.power,
        job: board.held_by.as_ref().map(|held| TileJob {
            id: held.job,
            name: held.job_name.clone(),
            step: None,
            since: held.since_utc_us,
        }),
    }
}

impl Visit {
    /// What a run does now: its innermost action that goes on.
    pub(super) async fn step(&self, run: RunId) -> Result<Option<String>, Instead> {
        let run = self.ask(self.app().run(&self.actor, run).await)?;
        let running = run.steps.iter().rev();
        Ok(running
            .filter(|step| step.state == StepState::Running)
            .max_by_key(|step| step.level.matches('.').count())
            .map(|step| step.name.clone()))
    }

    async fn jobs_of(&self, state: &str, limit: u32) -> Result<Vec<JobSummary>, Instead> {
        let query = JobQuery {
            state: Some(state.to_owned()),
            limit: Some(limit),
            ..JobQuery::default()
        };
        Ok(self.ask(self.app().jobs(&self.actor, &query).await)?.items)
    }
}

/// `GET /`.
pub(super) async fn overview(visit: Visit) -> Result<Response, Instead> {
    let chrome = visit.frame("Overview", Section::Overview).await?;
    let app = visit.app();
    let boards = visit.ask(app.boards(&visit.actor).await)?;
    let queue = visit.ask(app.queue(&visit.actor, QUEUE).await)?;
    let dispatchers = visit.ask(app.dispatchers(&visit.actor).await)?;
    let mut running = visit.jobs_of("scheduled,running,canceling", 100).await?;
    running.sort_by_key(|job| (job.started_utc_us.is_none(), job.started_utc_us, job.id.0));
    let finished = visit.jobs_of("finished", COUNTED).await?;
    let mut outcomes = Outcomes::default();
    for outcome in finished.iter().filter_map(|job| job.outcome) {
        outcomes.add(outcome);
    }
    let mut tiles: Vec<BoardTile> = boards.iter().map(tile).collect();
    let is_small = running.len() <= STEPS;
    let mut rows = Vec::new();
    for job in running {
        let run = job
            .run
            .filter(|_| is_small && job.state == JobState::Running);
        let mut row = row(job);
        if let Some(run) = run {
            row.note = visit.step(run).await?;
            let held = tiles.iter_mut().filter_map(|tile| tile.job.as_mut());
            for tile in held.filter(|held| held.id == row.id) {
                tile.step.clone_from(&row.note);
            }
        }
        rows.push(row);
    }
    Ok(page_of(&Overview {
        away: dispatchers
            .iter()
            .filter(|one| one.boards > 0 && one.mode == DispatcherMode::Active)
            .filter(|one| one.state == DispatcherState::Offline)
            .map(|one| Away {
                name: one.name.clone(),
                since: one.state_since_utc_us.unwrap_or(chrome.now),
                boards: one.boards.into(),
            })
            .collect(),
        chrome,
        boards: tiles,
        running: rows,
        waiting: queue.waiting,
        queue: queue.items.into_iter().map(queue_row).collect(),
        recent: finished.into_iter().take(RECENT).map(row).collect(),
        outcomes,
    }))
}

fn queue_row(entry: QueueEntry) -> QueueRow {
    QueueRow {
        position: entry.position.into(),
        id: entry.job,
        name: entry.name,
        priority: entry.priority.into(),
        wants: wants(
            entry.device_type.as_deref(),
            entry.wanted_board.as_ref(),
            &entry.tags,
        ),
        submitter: entry.submitter,
        submitted: entry.submitted_utc_us,
        reason: without_place(&entry.reason).to_owned(),
        candidates: Vec::new(),
    }
}

/// An explanation without the job's place in the queue, which stands beside it.
pub(super) fn without_place(sentence: &str) -> &str {
    match sentence.split_once(" in the queue") {
        Some((place, rest)) if place.starts_with("job ") => {
            rest.trim_start_matches([':', ',', ' '])
        }
        _ => sentence,
    }
}

/// What stands behind `/jobs?`. Empty values come from forms, and mean none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JobsQuery {
    state: String,
    outcome: String,
    board: String,
    device_type: String,
    submitter: String,
    q: String,
    cursor: Option<String>,
}

/// `GET /jobs`.
pub(super) async fn jobs(
    visit: Visit,
    Query(query): Query<JobsQuery>,
) -> Result<Response, Instead> {
    let chrome = visit.frame("Jobs", Section::Jobs).await?;
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let asked = JobQuery {
        state: some(&query.state),
        outcome: some(&query.outcome),
        board: some(&query.board).map(BoardName::new),
        device_type: some(&query.device_type),
        submitter: some(&query.submitter),
        q: some(query.q.trim()),
        cursor: query.cursor.clone(),
        limit: None,
    };
    let page = visit.ask(visit.app().jobs(&visit.actor, &asked).await)?;
    let boards = visit.ask(visit.app().boards(&visit.actor).await)?;
    let mut device_types: Vec<String> = boards
        .iter()
        .map(|board| board.device_type.clone())
        .collect();
    device_types.sort();
    device_types.dedup();
    Ok(page_of(&Jobs {
        chrome,
        filter: Filter {
            state: query.state,
            outcome: query.outcome,
            board: query.board,
            device_type: query.device_type,
            submitter: query.submitter,
            q: query.q.trim().to_owned(),
        },
        jobs: page.items.into_iter().map(row).collect(),
        next: page.next,
        is_later_page: query.cursor.is_some(),
        boards: boards.iter().map(|board| board.name.to_string()).collect(),
        device_types,
    }))
}

/// `GET /boards`.
pub(super) async fn boards(visit: Visit) -> Result<Response, Instead> {
    let chrome = visit.frame("Boards", Section::Boards).await?;
    let boards = visit.ask(visit.app().boards(&visit.actor).await)?;
    let finished = visit.jobs_of("finished", COUNTED).await?;
    let rows = boards.iter().map(|board| BoardRow {
        tile: tile(board),
        tags: board.tags.clone(),
        dispatcher: board.dispatcher.clone(),
        last: finished
            .iter()
            .find(|job| job.board.as_ref() == Some(&board.name))
            .and_then(|job| Some((job.finished_utc_us?, job.outcome))),
    });
    Ok(page_of(&Boards {
        boards: rows.collect(),
        chrome,
    }))
}

/// `GET /dispatchers`.
pub(super) async fn dispatchers(visit: Visit) -> Result<Response, Instead> {
    let chrome = visit.frame("Dispatchers", Section::Dispatchers).await?;
    let current = visit.app().lab().revision;
    let all = visit.ask(visit.app().dispatchers(&visit.actor).await)?;
    // The time until which boards are kept from others is known of boards that somebody has.
    let boards = visit.ask(visit.app().boards(&visit.actor).await)?;
    let rows = all.into_iter().map(|one| DispatcherRow {
        fenced_until: boards
            .iter()
            .filter(|board| board.dispatcher == one.name)
            .filter_map(|board| board.fenced_until_utc_us)
            .max(),
        name: one.name,
        state: one.state,
        mode: one.mode,
        since: one.state_since_utc_us,
        build: one.build,
        boards: one.boards.into(),
        runs: one.runs.into(),
        revision: one.revision.map(|applied| (applied, current)),
        problems: one.problems,
    });
    Ok(page_of(&Dispatchers {
        may_manage: chrome.is_administrator(),
        dispatchers: rows.collect(),
        chrome,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_said_once() {
        assert_eq!(
            without_place("job 3 is 1 of 8 in the queue: sim-1 is held by job 1"),
            "sim-1 is held by job 1"
        );
        assert_eq!(
            without_place("job 4 is 2 of 8 in the queue, behind 1 other for the same boards: x"),
            "behind 1 other for the same boards: x"
        );
        assert_eq!(without_place("nothing fits"), "nothing fits");
    }
}
