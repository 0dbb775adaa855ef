//! Logs: ranges of lines, what the board said byte for byte, and following a run.
//!
//! Whatever is sent is read from the store piece by piece, at the pace at which the client takes
//! it: no log is ever in memory whole. What wakes a follower is a hint; which lines there are, the
//! store says, so that none is missed and none comes twice.

use std::fmt::Write;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use basalt_api::{FollowQuery, LogEnd, LogFormat, LogLine, LogQuery, LogRange};
use basalt_model::{JobId, RunId, UtcMicros};
use basalt_report::joblog::{self, LogLevel};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio::time;

use super::auth::Caller;
use super::extract::{LastEventId, Path, Query};
use super::problem::{ApiProblem, ProblemKind};
use super::sse::{self, Events};
use crate::hub::{POLL, RunProgress};
use crate::{Actor, App, UseCaseError};

/// How many lines are read from the store at once, and sent together.
const PIECE: usize = 5000;
/// The longest text that is searched for.
const LONGEST_SEARCH: usize = 1000;

/// Lines of a run's log, as JSON lines or text.
///
/// Those that are there when they are asked for; the header Basalt-Log-Lines says how many the log
/// has in all.
#[utoipa::path(get, path = "/api/v1/runs/{run}/log", tag = "logs",
    params(("run" = basalt_api::schema::Uuid, Path, description = "The run."), LogQuery),
    responses(
        (status = 200, description = "The lines, one JSON object or one line of text each.",
            content((LogLine = "application/x-ndjson"), (String = "text/plain"))),
    ))]
pub(super) async fn run_log(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
    Query(query): Query<LogQuery>,
) -> Result<Response, ApiProblem> {
    log(app, caller.actor, run, query).await
}

/// Lines of the log of a job's last run.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/log", tag = "logs",
    params(("id" = i64, Path, description = "The job."), LogQuery),
    responses(
        (status = 200, description = "The lines, one JSON object or one line of text each.",
            content((LogLine = "application/x-ndjson"), (String = "text/plain"))),
    ))]
pub(super) async fn job_log(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<JobId>,
    Query(query): Query<LogQuery>,
) -> Result<Response, ApiProblem> {
    let run = app.last_run(&caller.actor, job).await?;
    log(app, caller.actor, run, query).await
}

/// Follows a run's log.
///
/// Server-sent events, each a LogLine whose id is the line's number; after the last line of a run
/// that has ended, `end` with a LogEnd. Taken up again by Last-Event-ID it misses nothing.
#[utoipa::path(get, path = "/api/v1/runs/{run}/log/stream", tag = "logs",
    params(("run" = basalt_api::schema::Uuid, Path, description = "The run."), FollowQuery,
        ("Last-Event-ID" = Option<u64>, Header, description = "The last line that came.")),
    responses((status = 200, description = "Server-sent events.",
        content_type = "text/event-stream", body = String)))]
pub(super) async fn run_log_stream(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
    Query(query): Query<FollowQuery>,
    last: LastEventId,
) -> Result<Response, ApiProblem> {
    follow(app, caller.actor, run, query, last).await
}

/// Follows the log of a job's last run.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/log/stream", tag = "logs",
    params(("id" = i64, Path, description = "The job."), FollowQuery,
        ("Last-Event-ID" = Option<u64>, Header, description = "The last line that came.")),
    responses((status = 200, description = "Server-sent events.",
        content_type = "text/event-stream", body = String)))]
pub(super) async fn job_log_stream(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<JobId>,
    Query(query): Query<FollowQuery>,
    last: LastEventId,
) -> Result<Response, ApiProblem> {
    let run = app.last_run(&caller.actor, job).await?;
    follow(app, caller.actor, run, query, last).await
}

/// What the board said in a run, byte for byte.
#[utoipa::path(get, path = "/api/v1/runs/{run}/console", tag = "logs",
    params(("run" = basalt_api::schema::Uuid, Path, description = "The run.")),
    responses((status = 200, description = "The bytes.",
        content_type = "application/octet-stream", body = Vec<u8>)))]
pub(super) async fn run_console(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
) -> Result<Response, ApiProblem> {
    console(app, caller.actor, run).await
}

/// What the board said in a job's last run, byte for byte.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/console", tag = "logs",
    params(("id" = i64, Path, description = "The job.")),
    responses((status = 200, description = "The bytes.",
        content_type = "application/octet-stream", body = Vec<u8>)))]
pub(super) async fn job_console(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<Response, ApiProblem> {
    let run = app.last_run(&caller.actor, job).await?;
    console(app, caller.actor, run).await
}

async fn console(app: App, actor: Actor, run: RunId) -> Result<Response, ApiProblem> {
    let bytes = app.console(&actor, run).await?;
    let mut response = Body::from_stream(bytes.inspect(broke_off)).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    let name = format!("attachment; filename=\"console-{run}.bin\"");
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

fn broke_off<T>(piece: &Result<T, UseCaseError>) {
    if let Err(error) = piece {
        tracing::warn!(%error, "a log could not be sent to its end");
    }
}

/// Reads a filter's words.
fn range(
    from: Option<u64>,
    to: Option<u64>,
    level: Option<&str>,
    text: Option<String>,
) -> Result<LogRange, ApiProblem> {
    let levels = level
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(|word| {
            word.parse::<LogLevel>().map_err(|error| {
                let words: Vec<_> = LogLevel::ALL.iter().map(|level| level.as_str()).collect();
                ApiProblem::new(ProblemKind::BadRequest, error.to_string())
                    .hint(format!("the levels are {}", words.join(", ")))
            })
        })
        .collect::<Result<_, _>>()?;
    let text = text.filter(|text| !text.is_empty());
    if text
        .as_ref()
        .is_some_and(|text| text.len() > LONGEST_SEARCH)
    {
        return Err(ApiProblem::new(
            ProblemKind::BadRequest,
            format!("a text of more than {LONGEST_SEARCH} bytes is not searched for"),
        )
        .hint("search for a shorter part of it"));
    }
    Ok(LogRange {
        from,
        to,
        levels,
        text,
    })
}

/// The line that a query begins with; a negative number counts from the end.
async fn first_line(
    app: &App,
    actor: &Actor,
    run: RunId,
    from: Option<i64>,
) -> Result<u64, ApiProblem> {
    match from {
        None => Ok(1),
        Some(from) if from > 0 => Ok(from.unsigned_abs()),
        Some(0) => Err(
            ApiProblem::new(ProblemKind::BadRequest, "there is no line 0")
                .hint("lines count from 1; a negative number counts from the end"),
        ),
        Some(from) => {
            let last = app.log_progress(actor, run).await?.last_line;
            Ok((last + 1).saturating_sub(from.unsigned_abs()).max(1))
        }
    }
}

struct Reading {
    app: App,
    actor: Actor,
    run: RunId,
    range: LogRange,
    next: Option<u64>,
    left: u64,
    format: LogFormat,
}

impl Reading {
    /// The next piece, written; `None` after the last.
    async fn piece(&mut self) -> Result<Option<Bytes>, UseCaseError> {
        while let Some(from) = self.next {
            let is_past = self.range.to.is_some_and(|to| from > to);
            if is_past || self.left == 0 {
                break;
            }
            self.range.from = Some(from);
            let most = PIECE.min(usize::try_from(self.left).unwrap_or(PIECE));
            let page = self
                .app
                .log(&self.actor, self.run, &self.range, most)
                .await?;
            self.next = page.next;
            self.left = self.left.saturating_sub(page.lines.len() as u64);
            if page.lines.is_empty() {
                continue;
            }
            let mut text = String::with_capacity(page.lines.len() * 96);
            for line in &page.lines {
                match self.format {
                    LogFormat::Json => json_line(line, &mut text),
                    LogFormat::Text => text_line(line, &mut text),
                }
            }
            return Ok(Some(text.into()));
        }
        Ok(None)
    }
}

async fn log(app: App, actor: Actor, run: RunId, query: LogQuery) -> Result<Response, ApiProblem> {
    let from = first_line(&app, &actor, run, query.from).await?;
    let progress = app.log_progress(&actor, run).await?;
    // What comes while this is sent is for the next question: a chatty board has no end.
    let to = query.to.unwrap_or(u64::MAX).min(progress.last_line);
    let mut reading = Reading {
        range: range(Some(from), Some(to), query.level.as_deref(), query.q)?,
        app,
        actor,
        run,
        next: Some(from),
        left: query.limit.unwrap_or(u64::MAX),
        format: query.format.unwrap_or_default(),
    };
    let content_type = match reading.format {
        LogFormat::Json => "application/x-ndjson",
        LogFormat::Text => "text/plain; charset=utf-8",
    };
    // The first piece is read before the answer begins, so that errors are still told.
    let first = reading.piece().await?;
    let rest = stream::try_unfold(reading, |mut reading| async move {
        let piece = reading.piece().await?;
        Ok(piece.map(|piece| (piece, reading)))
    });
    let body = stream::iter(first.map(Ok)).chain(rest.inspect(broke_off));
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert("basalt-log-lines", progress.last_line.into());
    Ok(response)
}

struct Following {
    app: App,
    actor: Actor,
    run: RunId,
    range: LogRange,
    next: u64,
    hint: watch::Receiver<RunProgress>,
    is_over: bool,
}

impl Following {
    /// The next events; `None` after `end`.
    async fn events(&mut self) -> Result<Option<Bytes>, UseCaseError> {
        while !self.is_over {
            // Marked as seen before the store is asked: what is committed after that wakes.
            self.hint.borrow_and_update();
            self.range.from = Some(self.next);
            let page = self
                .app
                .log(&self.actor, self.run, &self.range, PIECE)
                .await?;
            let mut events = Events::default();
            for line in &page.lines {
                events.push(Some(&line.number), None, &wire(line));
            }
            let is_up_to_date = page.next.is_none();
            self.next = page.next.unwrap_or(page.last_line + 1).max(self.next);
            if is_up_to_date && page.ended {
                self.is_over = true;
                let end = LogEnd {
                    run: self.run,
                    lines: page.last_line,
                };
                events.push(None, Some("end"), &end);
            }
            if !events.is_empty() {
                return Ok(Some(events.into_bytes()));
            }
            if is_up_to_date {
                woken(&mut self.hint).await;
            }
        }
        Ok(None)
    }
}

/// Waits until there may be more.
pub(super) async fn woken<T>(hint: &mut watch::Receiver<T>) {
    let woken = time::timeout(POLL, hint.changed()).await;
    if let Ok(Err(_)) = woken {
        // Nobody will wake any more: what follows is polling.
        time::sleep(POLL).await;
    }
}

async fn follow(
    app: App,
    actor: Actor,
    run: RunId,
    query: FollowQuery,
    last: LastEventId,
) -> Result<Response, ApiProblem> {
    let range = range(None, None, query.level.as_deref(), query.q)?;
    let next = match last.number()? {
        Some(last) => last.saturating_add(1),
        None => first_line(&app, &actor, run, query.from).await?,
    };
    // Asked before the answer begins, so that a run that does not exist is still told.
    app.log_progress(&actor, run).await?;
    let hint = app.follow_run(&actor, run)?;
    let following = Following {
        app: app.clone(),
        actor,
        run,
        range,
        next,
        hint,
        is_over: false,
    };
    Ok(sse::response(&app, stream_of(following)))
}

fn stream_of(
    following: Following,
) -> impl Stream<Item = Result<Bytes, UseCaseError>> + Send + 'static {
    stream::try_unfold(following, |mut following| async move {
        let events = following.events().await?;
        Ok(events.map(|events| (events, following)))
    })
}

/// A line as the API says it.
pub(super) fn wire(line: &joblog::LogLine) -> LogLine {
    let (text, is_plain) = match line.text.strip_suffix(b"\r\n") {
        Some(text) => (text, true),
        None => {
            let text = line.text.strip_suffix(b"\n").unwrap_or(&line.text);
            (text, line.level != LogLevel::Target)
        }
    };
    let (text, is_exact) = match std::str::from_utf8(text) {
        Ok(text) => (text.to_owned(), is_plain),
        Err(_) => (String::from_utf8_lossy(text).into_owned(), false),
    };
    LogLine {
        number: line.number,
        utc_us: line.utc,
        level: line.level,
        text,
        bytes: (!is_exact).then(|| BASE64.encode(&line.text)),
    }
}

fn json_line(line: &joblog::LogLine, out: &mut String) {
    let json = serde_json::to_string(&wire(line))
        .unwrap_or_else(|error| unreachable!("a line is JSON: {error}"));
    out.push_str(&json);
    out.push('\n');
}

/// One line for a person: nothing in it moves a cursor or colours a terminal.
fn text_line(line: &joblog::LogLine, out: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(out, "{} {:<8} ", clock_time(line.utc), line.level);
    let text = line.text.strip_suffix(b"\n").unwrap_or(&line.text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '\t' => out.push('\t'),
            control if control.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            // They turn the reading direction of what follows.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push(char::REPLACEMENT_CHARACTER);
            }
            character => out.push(character),
        }
    }
    out.push('\n');
}

fn clock_time(utc: UtcMicros) -> String {
    match jiff::Timestamp::from_microsecond(utc.0) {
        Ok(time) => format!("{time:.6}"),
        Err(_) => format!("{} us", utc.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: LogLevel, text: &[u8]) -> joblog::LogLine {
        joblog::LogLine {
            number: 3,
            utc: UtcMicros(1_763_900_000_123_456),
            level,
            text: text.to_vec(),
        }
    }

    #[test]
    fn a_line_that_text_cannot_say_comes_with_its_bytes() {
        let exact = wire(&line(LogLevel::Target, b"[    0.0] up\r\n"));
        assert_eq!((exact.text.as_str(), exact.bytes), ("[    0.0] up", None));
        let info = wire(&line(LogLevel::Info, "µ".as_bytes()));
        assert_eq!((info.text.as_str(), info.bytes), ("µ", None));
        for bytes in [&b"login: "[..], b"plain\n", b"\xff\xfe\r\n", b"odd\r\r\n\n"] {
            let odd = wire(&line(LogLevel::Target, bytes));
            assert_eq!(BASE64.decode(odd.bytes.unwrap()).unwrap(), bytes);
        }
    }

    #[test]
    fn text_for_people_moves_no_cursor() {
        let mut out = String::new();
        let evil = b"\x1b[2J\x1b]52;c;aGk=\x07<b>\xff\xe2\x80\xae\r\n";
        text_line(&line(LogLevel::Target, evil), &mut out);
        assert_eq!(
            out,
            "2025-11-23T12:13:20.123456Z target   \u{fffd}[2J\u{fffd}]52;c;aGk=\u{fffd}<b>\
             \u{fffd}\u{fffd}\n"
        );
    }

    #[test]
    fn an_unknown_level_is_answered_with_the_levels() {
        let problem = range(None, None, Some("target,tarjet"), None).unwrap_err();
        assert!(problem.problem().hint.contains("target, input"));
    }
}
