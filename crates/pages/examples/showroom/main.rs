//! Every page over made-up values, for whoever works on their looks, and for the browser tests that
//! need a lab in a certain state. It knows no lab: what is posted changes nothing.
//!
//! `cargo run -p basalt-pages --example showroom` prints its address; an argument is the port.

mod lab;
mod log;
mod measured;

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use basalt_model::{Role, UserName, UtcMicros};
use basalt_pages::{
    Chrome, Login, LoginState, Person, Problem, Section, Template, Theme, asset, chrome,
};
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::json;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or(0u16);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, router()).await
}

fn router() -> Router {
    Router::new()
        .route(
            "/",
            get(|visit: Visit| async move {
                visit.page(lab::overview(visit.frame("Overview", Section::Overview)))
            }),
        )
        .route(
            "/empty",
            get(|visit: Visit| async move {
                visit.page(lab::empty(visit.frame("Overview", Section::Overview)))
            }),
        )
        .route("/jobs", get(jobs))
        .route("/jobs/new", get(submit).post(submit_again))
        .route("/jobs/{id}", get(job))
        .route(
            "/boards",
            get(|visit: Visit| async move {
                visit.page(lab::boards(visit.frame("Boards", Section::Boards)))
            }),
        )
        .route("/boards/{name}", get(board))
        .route("/boards/{name}/latency", get(latency))
        .route(
            "/dispatchers",
            get(|visit: Visit| async move {
                visit.page(lab::dispatchers(
                    visit.frame("Dispatchers", Section::Dispatchers),
                ))
            }),
        )
        .route("/login", get(login))
        .route("/assets/{*name}", get(file))
        .route("/api/v1/events", get(events))
        .route("/api/v1/runs/{run}/log", get(log::range))
        .route("/api/v1/runs/{run}/log/stream", get(log::follow))
        .route("/api/v1/jobs/validate", post(validate))
        .route("/api/v1/boards/{name}/console/stream", get(log::console))
        .fallback(|visit: Visit| async move {
            (StatusCode::NOT_FOUND, visit.page(problem(&visit))).into_response()
        })
}

/// Who looks at what: theme and account, by cookies and query.
struct Visit {
    theme: Option<Theme>,
    is_stranger: bool,
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, Infallible> {
        let cookies = parts
            .headers
            .get(header::COOKIE)
            .and_then(|value| value.to_str().ok());
        let theme = cookies
            .unwrap_or_default()
            .split("; ")
            .find_map(|pair| pair.strip_prefix(chrome::THEME_COOKIE)?.strip_prefix('='))
            .and_then(Theme::from_word);
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self {
            theme,
            is_stranger: query.contains("stranger") || parts.uri.path() == "/login",
        })
    }
}

impl Visit {
    fn frame(&self, title: &str, section: Section) -> Chrome {
        Chrome {
            lab: "rack-lab".into(),
            title: title.into(),
            section,
            person: (!self.is_stranger).then(|| Person {
                name: UserName::new("ada"),
                role: Role::Administrator,
            }),
            theme: self.theme,
            now: now(),
            feed: 1,
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    fn page(&self, page: impl Template) -> Response {
        match page.render() {
            Ok(html) => (
                [
                    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                    (
                        header::CONTENT_SECURITY_POLICY,
                        asset::CONTENT_SECURITY_POLICY,
                    ),
                    (header::CACHE_CONTROL, "no-store"),
                ],
                html,
            )
                .into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

fn now() -> UtcMicros {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UtcMicros(now.as_micros() as i64)
}

async fn jobs(visit: Visit, Query(filter): Query<lab::Asked>) -> Response {
    visit.page(lab::jobs(visit.frame("Jobs", Section::Jobs), filter))
}

async fn job(visit: Visit, Path(id): Path<i64>) -> Response {
    let frame = visit.frame(&format!("Job {id}"), Section::Jobs);
    match lab::job(frame, id) {
        Some(page) => visit.page(page),
        None => (StatusCode::NOT_FOUND, visit.page(problem(&visit))).into_response(),
    }
}

async fn board(visit: Visit, Path(name): Path<String>) -> Response {
    match lab::board(visit.frame(&name, Section::Boards), &name) {
        Some(page) => visit.page(page),
        None => (StatusCode::NOT_FOUND, visit.page(problem(&visit))).into_response(),
    }
}

async fn latency(visit: Visit, Path(name): Path<String>) -> Response {
    visit.page(lab::latency(
        visit.frame(&format!("Latency of {name}"), Section::Boards),
        &name,
    ))
}

async fn submit(visit: Visit) -> Response {
    visit.page(lab::submit(
        visit.frame("Submit a job", Section::Jobs),
        false,
    ))
}

async fn submit_again(visit: Visit) -> Response {
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        visit.page(lab::submit(
            visit.frame("Submit a job", Section::Jobs),
            true,
        )),
    )
        .into_response()
}

#[derive(Deserialize)]
struct LoginQuery {
    token: Option<String>,
    refused: Option<String>,
}

async fn login(visit: Visit, Query(query): Query<LoginQuery>) -> Response {
    let state = match (&query.token, &query.refused) {
        (_, Some(_)) => LoginState::Refused,
        (Some(_), None) => LoginState::Ready,
        (None, None) => LoginState::Ask,
    };
    visit.page(Login {
        chrome: visit.frame("Log in", Section::Elsewhere),
        state,
        token: query.token.unwrap_or_default(),
        next: "/".into(),
    })
}

fn problem(visit: &Visit) -> Problem {
    Problem {
        chrome: visit.frame("Not found", Section::Elsewhere),
        status: 404,
        headline: "There is no such page".into(),
        detail: "Nothing has this address, or it is gone.".into(),
        hint: Some("Jobs and boards are found by their lists.".into()),
        offer_login: visit.is_stranger,
    }
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = asset::find(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|tag| tag == asset.etag)
    {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    (
        [
            (header::CONTENT_TYPE, asset.content_type),
            (header::ETAG, asset.etag),
            (header::CACHE_CONTROL, asset.cache_control()),
        ],
        asset.bytes,
    )
        .into_response()
}

/// A feed in which a job changes every other second.
async fn events() -> Response {
    let first = stream::once(async { Bytes::from_static(b"retry: 1000\n\n") });
    let changes = stream::unfold(1u64, |id| async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let event = json!({"id": id, "kind": "job", "job": {"id": 1284}});
        Some((Bytes::from(format!("id: {id}\ndata: {event}\n\n")), id + 1))
    });
    event_stream(first.chain(changes))
}

/// Server-sent events.
fn event_stream(pieces: impl futures::Stream<Item = Bytes> + Send + 'static) -> Response {
    let mut response = Body::from_stream(pieces.map(Ok::<_, Infallible>)).into_response();
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Finds fault with lines that hold the word `wrong`.
async fn validate(text: String) -> Json<serde_json::Value> {
    let diagnostics: Vec<_> = text
        .lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let column = line.find("wrong")?;
            Some(
                json!({"file": "job", "line": index + 1, "column": column + 1, "severity": "error",
                "message": "`wrong` is no value of this key", "hint": "write `right`"}),
            )
        })
        .collect();
    Json(json!({
        "valid": diagnostics.is_empty(),
        "diagnostics": diagnostics,
        "candidates": [
            {"board": "virt-arm64-1", "suitable": true},
            {"board": "imx8-2", "suitable": false, "reason": "has no `u-boot` commands for booti"},
        ],
    }))
}
