//! Jobs: submit, look at, end, repeat; the queue.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use basalt_api::{
    CancelJob, Definition, Explanation, Job, JobQuery, JobSummary, Page, Queue, QueueQuery,
    RunSummary, SubmitJob, Validation,
};
use basalt_model::JobId;

use super::auth::Caller;
use super::extract::{IdempotencyKey, JobText, OptionalJson, Path, Query};
use super::problem::{ApiProblem, ProblemKind};
use super::tag::{conditional, wants_yaml};
use crate::App;
use crate::use_case::Submitted;

/// Puts a job into the queue.
///
/// With an Idempotency-Key the same submission can be sent again after a lost answer: it gives the
/// same job.
#[utoipa::path(post, path = "/api/v1/jobs", tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Chosen by the client: the same key and the same job give the same job \
            again; the same key and another job are refused.")),
    request_body(content((SubmitJob = "application/json"), (String = "application/yaml"))),
    responses(
        (status = 201, body = Job, description = "It is in the queue."),
        (status = 200, body = Job, description = "This key has submitted it before."),
    ))]
pub(super) async fn submit(
    State(app): State<App>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    JobText(text): JobText,
) -> Result<Response, ApiProblem> {
    let submitted = app.submit(&caller.actor, &text, key.as_deref()).await?;
    Ok(taken(submitted))
}

fn taken(submitted: Submitted) -> Response {
    let status = match submitted.replayed {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    let place = format!("/api/v1/jobs/{}", submitted.job.id);
    let mut response = (status, axum::Json(submitted.job)).into_response();
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// Says what would happen to a job if it were submitted.
#[utoipa::path(post, path = "/api/v1/jobs/validate", tag = "jobs",
    request_body(content((SubmitJob = "application/json"), (String = "application/yaml"))),
    responses((status = 200, body = Validation)))]
pub(super) async fn validate(
    State(app): State<App>,
    caller: Caller,
    JobText(text): JobText,
) -> Result<axum::Json<Validation>, ApiProblem> {
    Ok(axum::Json(app.validate(&caller.actor, &text).await?))
}

/// Jobs, the newest first.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(JobQuery),
    responses((status = 200, body = Page<JobSummary>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<JobQuery>,
) -> Result<axum::Json<Page<JobSummary>>, ApiProblem> {
    Ok(axum::Json(app.jobs(&caller.actor, &query).await?))
}

/// One job.
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "jobs",
    params(("id" = i64, Path, description = "The job.")),
    responses((status = 200, body = Job)))]
pub(super) async fn one(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<axum::Json<Job>, ApiProblem> {
    Ok(axum::Json(app.job(&caller.actor, job).await?))
}

/// Ends a job before its time.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", tag = "jobs",
    params(("id" = i64, Path, description = "The job.")),
    request_body(content = Option<CancelJob>),
    responses((status = 200, body = Job)))]
pub(super) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<JobId>,
    OptionalJson(cancel): OptionalJson<CancelJob>,
) -> Result<axum::Json<Job>, ApiProblem> {
    let reason = cancel.reason.as_deref();
    Ok(axum::Json(app.cancel(&caller.actor, job, reason).await?))
}

/// Submits a job again as it was.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/resubmit", tag = "jobs",
    params(("id" = i64, Path, description = "The job."),
        ("Idempotency-Key" = Option<String>, Header, description = "As for a submission.")),
    responses(
        (status = 201, body = Job, description = "The new job is in the queue."),
        (status = 200, body = Job, description = "This key has submitted it before."),
    ))]
pub(super) async fn resubmit(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<JobId>,
    IdempotencyKey(key): IdempotencyKey,
) -> Result<Response, ApiProblem> {
    let submitted = app.resubmit(&caller.actor, job, key.as_deref()).await?;
    Ok(taken(submitted))
}

/// Why a job waits.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/why", tag = "jobs",
    params(("id" = i64, Path, description = "The job.")),
    responses((status = 200, body = Explanation)))]
pub(super) async fn why(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<axum::Json<Explanation>, ApiProblem> {
    Ok(axum::Json(app.why(&caller.actor, job).await?))
}

/// A job's text: as JSON, or as it was submitted for `Accept: application/yaml`.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/definition", tag = "jobs",
    params(("id" = i64, Path, description = "The job.")),
    responses((status = 200,
        content((Definition = "application/json"), (String = "application/yaml")))))]
pub(super) async fn definition(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(job): Path<JobId>,
) -> Result<Response, ApiProblem> {
    let definition = app.job_definition(&caller.actor, job).await?;
    let is_yaml = wants_yaml(&headers);
    let tag = match is_yaml {
        true => format!("\"{}-yaml\"", definition.sha256),
        false => format!("\"{}\"", definition.sha256),
    };
    let mut response = conditional(&headers, &tag, || match is_yaml {
        true => (
            [(header::CONTENT_TYPE, "application/yaml; charset=utf-8")],
            definition.text,
        )
            .into_response(),
        false => axum::Json(definition).into_response(),
    });
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().insert(header::VARY, vary);
    Ok(response)
}

/// A job's runs, the oldest first.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/runs", tag = "jobs",
    params(("id" = i64, Path, description = "The job.")),
    responses((status = 200, body = Page<RunSummary>)))]
pub(super) async fn runs(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<axum::Json<Page<RunSummary>>, ApiProblem> {
    let runs = app.job_runs(&caller.actor, job).await?;
    Ok(axum::Json(Page::whole(runs)))
}

/// What waits, in the order in which it is served.
#[utoipa::path(get, path = "/api/v1/queue", tag = "jobs", params(QueueQuery),
    responses((status = 200, body = Queue)))]
pub(super) async fn queue(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<QueueQuery>,
) -> Result<axum::Json<Queue>, ApiProblem> {
    let limit = query.limit.unwrap_or(50);
    if !(1..=500).contains(&limit) {
        return Err(ApiProblem::new(
            ProblemKind::BadRequest,
            "the limit is not between 1 and 500",
        )
        .hint("leave it out, or give one between 1 and 500"));
    }
    Ok(axum::Json(app.queue(&caller.actor, limit).await?))
}
