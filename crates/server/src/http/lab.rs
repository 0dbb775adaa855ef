//! Dispatchers, the lab's files, and the feed of what changes.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use basalt_api::{
    ApplyLab, Dispatcher, DispatcherToken, FeedQuery, Lab, LabApplied, LabDiff, ModeChange,
    NewDispatcher, Page,
};
use basalt_model::{DispatcherName, JobId};
use bytes::Bytes;
use futures::stream;
use serde::Serialize;
use tokio::sync::watch;

use super::auth::Caller;
use super::extract::{Json, LastEventId, Path, Query};
use super::logs::woken;
use super::problem::ApiProblem;
use super::sse::{self, Events};
use crate::{Actor, App, UseCaseError};

/// The largest lab.
pub(super) const LARGEST_LAB: usize = 16 * 1024 * 1024;
/// How many events of the feed are read from the store at once.
const PIECE: u32 = 200;

/// Every dispatcher, by name.
#[utoipa::path(get, path = "/api/v1/dispatchers", tag = "dispatchers",
    responses((status = 200, body = Page<Dispatcher>)))]
pub(super) async fn dispatchers(
    State(app): State<App>,
    caller: Caller,
) -> Result<axum::Json<Page<Dispatcher>>, ApiProblem> {
    let dispatchers = app.dispatchers(&caller.actor).await?;
    Ok(axum::Json(Page::whole(dispatchers)))
}

/// Makes a token for a dispatcher.
///
/// It is shown this once; a former one of this dispatcher ends.
#[utoipa::path(post, path = "/api/v1/dispatchers", tag = "dispatchers",
    request_body = NewDispatcher,
    responses((status = 201, body = DispatcherToken)))]
pub(super) async fn add_dispatcher(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewDispatcher>,
) -> Result<Response, ApiProblem> {
    let token = app.add_dispatcher(&caller.actor, &new.name).await?;
    Ok((StatusCode::CREATED, axum::Json(token)).into_response())
}

/// Says whether a dispatcher gets new runs. Those that it has go on.
#[utoipa::path(post, path = "/api/v1/dispatchers/{name}/mode", tag = "dispatchers",
    params(("name" = String, Path, description = "The dispatcher.")),
    request_body = ModeChange,
    responses((status = 200, body = Dispatcher)))]
pub(super) async fn dispatcher_mode(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<DispatcherName>,
    Json(change): Json<ModeChange>,
) -> Result<axum::Json<Dispatcher>, ApiProblem> {
    let dispatcher = app.set_dispatcher_mode(&caller.actor, &name, &change);
    Ok(axum::Json(dispatcher.await?))
}

/// The lab in force; with its files for those who may see them.
#[utoipa::path(get, path = "/api/v1/lab", tag = "lab", responses((status = 200, body = Lab)))]
pub(super) async fn lab(
    State(app): State<App>,
    caller: Caller,
) -> Result<axum::Json<Lab>, ApiProblem> {
    Ok(axum::Json(app.lab_revision(&caller.actor).await?))
}

/// What applying files would change.
#[utoipa::path(post, path = "/api/v1/lab/diff", tag = "lab", request_body = ApplyLab,
    responses((status = 200, body = LabDiff)))]
pub(super) async fn diff(
    State(app): State<App>,
    caller: Caller,
    Json(lab): Json<ApplyLab>,
) -> Result<axum::Json<LabDiff>, ApiProblem> {
    Ok(axum::Json(app.diff_lab(&caller.actor, &lab.files).await?))
}

/// Puts files into force.
#[utoipa::path(post, path = "/api/v1/lab/apply", tag = "lab", request_body = ApplyLab,
    responses((status = 200, body = LabApplied)))]
pub(super) async fn apply(
    State(app): State<App>,
    caller: Caller,
    Json(lab): Json<ApplyLab>,
) -> Result<axum::Json<LabApplied>, ApiProblem> {
    Ok(axum::Json(app.apply_lab(&caller.actor, &lab).await?))
}

/// What changes in the lab, in the order in which it was committed.
///
/// Server-sent events, each a FeedEvent. Taken up again by Last-Event-ID it misses nothing; `reset`
/// says that what was to follow is not kept any more, and that everything may have changed.
#[utoipa::path(get, path = "/api/v1/events", tag = "lab",
    params(FeedQuery,
        ("Last-Event-ID" = Option<i64>, Header, description = "The last event that came.")),
    responses((status = 200, description = "Server-sent events.",
        content_type = "text/event-stream", body = String)))]
pub(super) async fn events(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<FeedQuery>,
    last: LastEventId,
) -> Result<Response, ApiProblem> {
    let head = app.feed_last(&caller.actor).await?;
    let asked = match last.number()? {
        Some(id) => Some(i64::try_from(id).unwrap_or(i64::MAX)),
        None => query.after,
    };
    let watching = Watching {
        hint: app.follow_feed(&caller.actor)?,
        after: asked.unwrap_or(head),
        job: query.job,
        first: Some(First { head, asked }),
        app: app.clone(),
        actor: caller.actor,
    };
    let events = stream::try_unfold(watching, |mut watching| async move {
        let events = watching.events().await?;
        Ok(Some((events, watching)))
    });
    Ok(sse::response(&app, events))
}

/// What is said at the beginning of the feed.
struct First {
    head: i64,
    asked: Option<i64>,
}

/// The feed does not go back so far.
#[derive(Serialize)]
struct Reset {
    /// It goes on after this one.
    after: i64,
}

struct Watching {
    app: App,
    actor: Actor,
    hint: watch::Receiver<i64>,
    after: i64,
    job: Option<JobId>,
    first: Option<First>,
}

impl Watching {
    async fn events(&mut self) -> Result<Bytes, UseCaseError> {
        loop {
            self.hint.borrow_and_update();
            let mut events = Events::default();
            let mut entries = self.app.feed(&self.actor, self.after, PIECE).await?;
            if let Some(first) = self.first.take() {
                if let Some(asked) = first.asked {
                    // Numbers have no holes: where the next one is missing, it was given up. And
                    // who has seen more than there is, has seen another lab's feed.
                    let next = entries.first().map(|entry| entry.id);
                    let is_gone = next.is_some_and(|next| next > asked.saturating_add(1))
                        || (next.is_none() && asked < first.head)
                        || asked > first.head;
                    if is_gone {
                        self.after = match asked > first.head {
                            true => first.head,
                            false => next.map_or(first.head, |next| next - 1),
                        };
                        let reset = Reset { after: self.after };
                        events.push(Some(&self.after), Some("reset"), &reset);
                        entries.retain(|entry| entry.id > self.after);
                    }
                }
                if events.is_empty() {
                    // The client knows where it stands before anything has happened.
                    events.mark(&self.after);
                }
            }
            let is_up_to_date = entries.is_empty();
            for entry in &entries {
                self.after = entry.id;
                let is_wanted = match self.job {
                    Some(job) => entry.job.as_ref().is_some_and(|change| change.id == job),
                    None => true,
                };
                if is_wanted {
                    events.push(Some(&entry.id), None, entry);
                }
            }
            if !events.is_empty() {
                return Ok(events.into_bytes());
            }
            if is_up_to_date {
                woken(&mut self.hint).await;
            }
        }
    }
}
