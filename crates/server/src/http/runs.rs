//! Runs: steps, results, measurements, files. Whatever a run has can also be asked of its job, and
//! is then that of the job's last run.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use basalt_api::{Latency, Page, Run, RunFile, RunResults};
use basalt_model::{JobId, RunId};
use futures::StreamExt;

use super::auth::Caller;
use super::extract::Path;
use super::problem::ApiProblem;
use super::tag::conditional;
use crate::{Actor, App};

/// One run.
#[utoipa::path(get, path = "/api/v1/runs/{run}", tag = "runs",
    params(("run" = basalt_api::schema::Uuid, Path, description = "The run.")),
    responses((status = 200, body = Run)))]
pub(super) async fn one(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
) -> Result<axum::Json<Run>, ApiProblem> {
    Ok(axum::Json(app.run(&caller.actor, run).await?))
}

/// The results of a run.
#[utoipa::path(get, path = "/api/v1/runs/{run}/results", tag = "runs",
    params(("run" = basalt_api::schema::Uuid, Path, description = "The run.")),
    responses((status = 200, body = RunResults)))]
pub(super) async fn results(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
) -> Result<axum::Json<RunResults>, ApiProblem> {
    Ok(axum::Json(app.results(&caller.actor, run).await?))
}

/// The results of a job's last run.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/results", tag = "runs",
    params(("id" = i64, Path, description = "The job.")),
    responses((status = 200, body = RunResults)))]
pub(super) async fn job_results(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<axum::Json<RunResults>, ApiProblem> {
    let run = app.last_run(&caller.actor, job).await?;
    Ok(axum::Json(app.results(&caller.actor, run).await?))
}

/// The results of a run as JUnit XML.
#[utoipa::path(get, path = "/api/v1/runs/{run}/results.junit", tag = "runs",
    params(("run" = basalt_api::schema::Uuid, Path, description = "The run.")),
    responses((status = 200, content_type = "application/xml", body = String)))]
pub(super) async fn junit(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
) -> Result<Response, ApiProblem> {
    xml(&app, &caller.actor, run).await
}

/// The results of a job's last run as JUnit XML.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/results.junit", tag = "runs",
    params(("id" = i64, Path, description = "The job.")),
    responses((status = 200, content_type = "application/xml", body = String)))]
pub(super) async fn job_junit(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<Response, ApiProblem> {
    let run = app.last_run(&caller.actor, job).await?;
    xml(&app, &caller.actor, run).await
}

async fn xml(app: &App, actor: &Actor, run: RunId) -> Result<Response, ApiProblem> {
    let xml = app.junit(actor, run).await?;
    let content_type = [(header::CONTENT_TYPE, "application/xml; charset=utf-8")];
    Ok((content_type, xml).into_response())
}

/// The latency measurements of a run.
#[utoipa::path(get, path = "/api/v1/runs/{run}/latency", tag = "runs",
    params(("run" = basalt_api::schema::Uuid, Path, description = "The run.")),
    responses((status = 200, body = Latency)))]
pub(super) async fn latency(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
) -> Result<axum::Json<Latency>, ApiProblem> {
    Ok(axum::Json(app.latency(&caller.actor, run).await?))
}

/// The latency measurements of a job's last run.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/latency", tag = "runs",
    params(("id" = i64, Path, description = "The job.")),
    responses((status = 200, body = Latency)))]
pub(super) async fn job_latency(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<axum::Json<Latency>, ApiProblem> {
    let run = app.last_run(&caller.actor, job).await?;
    Ok(axum::Json(app.latency(&caller.actor, run).await?))
}

/// The files of a run: what measurements and tests left behind.
#[utoipa::path(get, path = "/api/v1/runs/{run}/files", tag = "runs",
    params(("run" = basalt_api::schema::Uuid, Path, description = "The run.")),
    responses((status = 200, body = Page<RunFile>)))]
pub(super) async fn files(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
) -> Result<axum::Json<Page<RunFile>>, ApiProblem> {
    let files = app.run_files(&caller.actor, run).await?;
    Ok(axum::Json(Page::whole(files)))
}

/// The files of a job's last run.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/files", tag = "runs",
    params(("id" = i64, Path, description = "The job.")),
    responses((status = 200, body = Page<RunFile>)))]
pub(super) async fn job_files(
    State(app): State<App>,
    caller: Caller,
    Path(job): Path<JobId>,
) -> Result<axum::Json<Page<RunFile>>, ApiProblem> {
    let run = app.last_run(&caller.actor, job).await?;
    let files = app.run_files(&caller.actor, run).await?;
    Ok(axum::Json(Page::whole(files)))
}

/// One file of a run, as it came from the board.
#[utoipa::path(get, path = "/api/v1/runs/{run}/files/{*path}", tag = "runs",
    params(("run" = basalt_api::schema::Uuid, Path, description = "The run."),
        ("path" = String, Path, description = "The file's path, with `/`.")),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>)))]
pub(super) async fn file(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path((run, path)): Path<(RunId, String)>,
) -> Result<Response, ApiProblem> {
    send_file(&app, &caller.actor, &headers, run, &path).await
}

/// One file of a job's last run, as it came from the board.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/files/{*path}", tag = "runs",
    params(("id" = i64, Path, description = "The job."),
        ("path" = String, Path, description = "The file's path, with `/`.")),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>)))]
pub(super) async fn job_file(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path((job, path)): Path<(JobId, String)>,
) -> Result<Response, ApiProblem> {
    let run = app.last_run(&caller.actor, job).await?;
    send_file(&app, &caller.actor, &headers, run, &path).await
}

async fn send_file(
    app: &App,
    actor: &Actor,
    headers: &HeaderMap,
    run: RunId,
    path: &str,
) -> Result<Response, ApiProblem> {
    let opened = app.run_file(actor, run, path).await?;
    let bytes = opened.file.bytes;
    let tag = format!("\"{}\"", opened.file.sha256);
    let run = run.to_string();
    let mut response = conditional(headers, &tag, || {
        let stream = opened.stream.inspect(move |piece| {
            if let Err(error) = piece {
                tracing::warn!(run, %error, "a file could not be sent to its end");
            }
        });
        let mut response = Body::from_stream(stream).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, bytes.into());
        headers.insert(header::CONTENT_TYPE, media_type(path));
        headers.insert(header::CONTENT_DISPOSITION, attachment(path));
        response
    });
    // Whatever a board wrote into it, no browser runs it.
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    Ok(response)
}

fn media_type(path: &str) -> HeaderValue {
    HeaderValue::from_static(match path.rsplit_once('.') {
        Some((_, "json")) => "application/json",
        Some((_, "txt" | "log" | "yaml" | "yml")) => "text/plain; charset=utf-8",
        Some((_, "xml")) => "application/xml",
        _ => "application/octet-stream",
    })
}

/// A file to be kept, not shown. Its name is a board's or job's choice: only plain characters of
/// it go into the header.
fn attachment(path: &str) -> HeaderValue {
    let name: String = path
        .rsplit('/')
        .next()
        .unwrap_or(path)
        .chars()
        .map(|one| match one {
            one if one.is_ascii_alphanumeric() || "._-+".contains(one) => one,
            _ => '_',
        })
        .collect();
    HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_adds_no_headers() {
        assert_eq!(
            attachment("raw/0_idle.json"),
            "attachment; filename=\"0_idle.json\""
        );
        assert_eq!(
            attachment("a\"; x=\r\nSet-Cookie: é"),
            "attachment; filename=\"a___x___Set-Cookie___\""
        );
    }
}
