//! What stands around every route: the request's id and its place in the log, panics, time limits,
//! and the headers that tell browsers what these pages never do.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tokio::time::{self, Instant};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

use super::auth;
use super::problem::{ApiProblem, ProblemKind};
use crate::App;

/// How long a request may take until its answer begins; streams go on for longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The largest body, where a route does not say otherwise.
pub(super) const LARGEST_BODY: usize = 1024 * 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything that a page of ours may do: run our own files, talk to our own server. Nothing
/// inline, nothing from elsewhere, in nobody's frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

/// Puts the guards around routes: those of the API, of the pages, of both.
pub fn guarded(app: &App, routes: Router) -> Router {
    // What is compressed already, and what must leave at once, is left alone.
    let compressed = DefaultPredicate::new()
        .and(NotForContentType::const_new("application/octet-stream"))
        .and(NotForContentType::const_new("font/"));
    routes
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(app.clone(), auth::identify))
        .layer(middleware::from_fn(observe))
        // Outermost: a problem's body is written anew on its way out, with the request's name.
        .layer(CompressionLayer::new().gzip(true).compress_when(compressed))
}

async fn observe(request: Request, next: Next) -> Response {
    let id = uuid::Uuid::now_v7().simple().to_string();
    let method = request.method().clone();
    // Never the query: a login link's token stands in it.
    let path = request.uri().path().to_owned();
    let began = Instant::now();
    let answer = AssertUnwindSafe(time::timeout(ANSWER_LIMIT, next.run(request))).catch_unwind();
    let response = match answer.await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::warn!(request.id = %id, %method, path, "a request took too long");
            let limit = ANSWER_LIMIT.as_secs();
            ApiProblem::new(
                ProblemKind::TimedOut,
                format!("there was no answer within {limit} s"),
            )
            .into_response()
        }
        Err(panic) => {
            tracing::error!(
                request.id = %id, %method, path, panic = panic_text(panic.as_ref()),
                "a request met a bug"
            );
            ApiProblem::new(
                ProblemKind::Internal,
                "something went wrong inside the server",
            )
            .into_response()
        }
    };
    let mut response = match response.extensions().get::<ApiProblem>() {
        Some(problem) => {
            let headers = response.headers().clone();
            let mut stamped = problem.clone().of_request(&id).into_response();
            for (name, value) in &headers {
                if !matches!(*name, header::CONTENT_LENGTH | header::CONTENT_TYPE) {
                    stamped.headers_mut().insert(name, value.clone());
                }
            }
            stamped
        }
        None => response,
    };
    tracing::debug!(
        request.id = %id, %method, path, status = response.status().as_u16(),
        duration_us = began.elapsed().as_micros() as u64, "answered"
    );
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        // Other sites are not told which job somebody looks at.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "private, no-cache"),
    ] {
        // A route that is stricter knows better.
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("something that is no text")
}
