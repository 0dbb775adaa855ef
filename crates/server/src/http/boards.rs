//! Boards: state, service, runs, latencies, and what they say now.

use axum::extract::State;
use axum::response::Response;
use basalt_api::{
    Board, BoardRun, ConsoleChunk, LogRange, Maintenance, Page, PageQuery, TrendPoint, TrendQuery,
};
use basalt_model::{BoardName, RunId};
use basalt_report::joblog::{LogLevel, LogLine};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::stream;
use tokio::sync::watch;

use super::auth::Caller;
use super::extract::{Json, LastEventId, Path, Query};
use super::logs::woken;
use super::problem::ApiProblem;
use super::sse::{self, Events};
use crate::hub::RunProgress;
use crate::{Actor, App, UseCaseError};

/// How many lines are read from the store at once.
const PIECE: usize = 500;
/// How much of what a board has said already a new listener gets, lines.
const BEFORE: u64 = 100;

/// Every board, by name.
#[utoipa::path(get, path = "/api/v1/boards", tag = "boards",
    responses((status = 200, body = Page<Board>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
) -> Result<axum::Json<Page<Board>>, ApiProblem> {
    Ok(axum::Json(Page::whole(app.boards(&caller.actor).await?)))
}

/// One board.
#[utoipa::path(get, path = "/api/v1/boards/{name}", tag = "boards",
    params(("name" = String, Path, description = "The board.")),
    responses((status = 200, body = Board)))]
pub(super) async fn one(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<BoardName>,
) -> Result<axum::Json<Board>, ApiProblem> {
    Ok(axum::Json(app.board(&caller.actor, &name).await?))
}

/// Takes a board out of service, or brings it back. A run that has it goes on.
#[utoipa::path(post, path = "/api/v1/boards/{name}/maintenance", tag = "boards",
    params(("name" = String, Path, description = "The board.")),
    request_body = Maintenance,
    responses((status = 200, body = Board)))]
pub(super) async fn maintenance(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<BoardName>,
    Json(maintenance): Json<Maintenance>,
) -> Result<axum::Json<Board>, ApiProblem> {
    let board = app.set_maintenance(&caller.actor, &name, &maintenance);
    Ok(axum::Json(board.await?))
}

/// A board's runs, the newest first.
#[utoipa::path(get, path = "/api/v1/boards/{name}/runs", tag = "boards",
    params(("name" = String, Path, description = "The board."), PageQuery),
    responses((status = 200, body = Page<BoardRun>)))]
pub(super) async fn runs(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<BoardName>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<BoardRun>>, ApiProblem> {
    let runs = app.board_runs(&caller.actor, &name, &query);
    Ok(axum::Json(runs.await?))
}

/// A board's measurements over its runs, the newest first.
#[utoipa::path(get, path = "/api/v1/boards/{name}/latency", tag = "boards",
    params(("name" = String, Path, description = "The board."), TrendQuery),
    responses((status = 200, body = Page<TrendPoint>)))]
pub(super) async fn latency(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<BoardName>,
    Query(query): Query<TrendQuery>,
) -> Result<axum::Json<Page<TrendPoint>>, ApiProblem> {
    let points = app.board_latency(&caller.actor, &name, &query);
    Ok(axum::Json(points.await?))
}

/// What a board says now.
///
/// Server-sent events, each a ConsoleChunk, over all the runs that get the board. Begins with the
/// last lines of the run that has it.
#[utoipa::path(get, path = "/api/v1/boards/{name}/console/stream", tag = "boards",
    params(("name" = String, Path, description = "The board."),
        ("Last-Event-ID" = Option<String>, Header, description = "The last chunk that came.")),
    responses((status = 200, description = "Server-sent events.",
        content_type = "text/event-stream", body = String)))]
pub(super) async fn console_stream(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<BoardName>,
    last: LastEventId,
) -> Result<Response, ApiProblem> {
    // Asked before the answer begins, so that a board that does not exist is still told.
    app.board(&caller.actor, &name).await?;
    let feed = app.follow_feed(&caller.actor)?;
    let listening = Listening {
        // An id that is none of this stream's is as good as none: it starts anew.
        heard: last.0.as_deref().and_then(heard),
        app: app.clone(),
        actor: caller.actor,
        board: name,
        feed,
        now: None,
    };
    let events = stream::try_unfold(listening, |mut listening| async move {
        let events = listening.events().await?;
        Ok(Some((events, listening)))
    });
    Ok(sse::response(&app, events))
}

/// `RUN/LINE`: the ids of the stream.
fn heard(id: &str) -> Option<(RunId, u64)> {
    let (run, line) = id.split_once('/')?;
    Some((run.parse().ok()?, line.parse().ok()?))
}

struct Listening {
    app: App,
    actor: Actor,
    board: BoardName,
    heard: Option<(RunId, u64)>,
    feed: watch::Receiver<i64>,
    now: Option<Current>,
}

struct Current {
    run: RunId,
    next: u64,
    hint: watch::Receiver<RunProgress>,
}

impl Listening {
    /// The next events. There is no end: a board has always another run.
    async fn events(&mut self) -> Result<Bytes, UseCaseError> {
        loop {
            let Some(current) = &mut self.now else {
                self.find_run().await?;
                continue;
            };
            current.hint.borrow_and_update();
            let range = LogRange {
                from: Some(current.next),
                to: None,
                levels: vec![LogLevel::Target],
                text: None,
            };
            let page = self
                .app
                .log(&self.actor, current.run, &range, PIECE)
                .await?;
            let is_up_to_date = page.next.is_none();
            current.next = page.next.unwrap_or(page.last_line + 1).max(current.next);
            let mut events = Events::default();
            if let (Some(first), Some(last)) = (page.lines.first(), page.lines.last()) {
                self.heard = Some((current.run, last.number));
                let id = format!("{}/{}", current.run, last.number);
                events.push(Some(&id), None, &chunk(current.run, first, &page.lines));
            }
            let is_over = is_up_to_date && page.ended;
            if is_over {
                self.heard = Some((current.run, page.last_line));
                self.now = None;
            }
            if !events.is_empty() {
                return Ok(events.into_bytes());
            }
            if let (true, Some(current)) = (is_up_to_date, &mut self.now) {
                woken(&mut current.hint).await;
            }
        }
    }

    /// Waits for a run that has the board and was not heard to its end.
    async fn find_run(&mut self) -> Result<(), UseCaseError> {
        self.feed.borrow_and_update();
        let board = self.app.board(&self.actor, &self.board).await?;
        let run = board.held_by.map(|held_by| held_by.run);
        let Some(run) = run else {
            woken(&mut self.feed).await;
            return Ok(());
        };
        let progress = self.app.log_progress(&self.actor, run).await?;
        let next = match self.heard {
            Some((heard, line)) if heard == run => {
                if progress.ended && line >= progress.last_line {
                    // Its files may still be on their way; it says nothing more.
                    woken(&mut self.feed).await;
                    return Ok(());
                }
                line + 1
            }
            _ => progress.last_line.saturating_sub(BEFORE) + 1,
        };
        self.now = Some(Current {
            run,
            next,
            hint: self.app.follow_run(&self.actor, run)?,
        });
        Ok(())
    }
}

fn chunk(run: RunId, first: &LogLine, lines: &[LogLine]) -> ConsoleChunk {
    let bytes: Vec<u8> = lines
        .iter()
        .flat_map(|line| line.text.iter().copied())
        .collect();
    ConsoleChunk {
        utc_us: first.utc,
        run: Some(run),
        bytes: BASE64.encode(bytes),
    }
}
