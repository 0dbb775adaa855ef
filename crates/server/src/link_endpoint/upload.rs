//! Files of runs: HTTP PUT, resumable. What is said on the wire, `basalt_link::files` says.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use basalt_link::files::{RECEIVED_HEADER, RUNS_PATH, SHA256_HEADER};
use basalt_model::{DispatcherName, RunId, Sha256};
use basalt_store::{RunFile, StoreError, Upload, UploadState};
use futures::StreamExt;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{allowed, dispatcher};
use crate::App;
use crate::error::causes;
use crate::ingest::{Item, Kind};

/// The longest name of a file.
const LONGEST_NAME: usize = 512;
/// A body that is not needed is read to its end up to so many bytes.
const DRAINED: u64 = 1 << 20;
/// Uploads that are remembered, so that one that broke off can be asked for.
const REMEMBERED: usize = 4096;

pub(super) fn routes() -> Router<App> {
    // GET is what a router would give HEAD to; there is nothing to get here.
    Router::new()
        .route(
            &format!("{RUNS_PATH}/{{run}}/files/{{*name}}"),
            put(take).head(ask),
        )
        .layer(DefaultBodyLimit::disable())
}

/// What is announced of an upload that broke off is forgotten with the process; then the next
/// attempt is told where to go on.
fn begun() -> &'static Mutex<HashMap<(RunId, String), Upload>> {
    static BEGUN: OnceLock<Mutex<HashMap<(RunId, String), Upload>>> = OnceLock::new();
    BEGUN.get_or_init(Mutex::default)
}

type Refusal = (StatusCode, String);

async fn ask(
    State(app): State<App>,
    Path((run, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    match asked(&app, &run, &name, &headers).await {
        Ok(Some(received)) => answer(StatusCode::OK, Some(received), String::new()),
        Ok(None) => answer(StatusCode::NOT_FOUND, None, String::new()),
        Err(refusal) => refusal,
    }
}

async fn asked(
    app: &App,
    run: &str,
    name: &str,
    headers: &HeaderMap,
) -> Result<Option<u64>, Response> {
    let (run, _) = owned(app, run, name, headers).await?;
    let upload = {
        let begun = begun().lock().unwrap_or_else(PoisonError::into_inner);
        begun.get(&(run, name.to_owned())).cloned()
    };
    if let Some(upload) = upload {
        return match app.store.upload_state(&upload, app.now()).await {
            Ok(UploadState::Complete) => Ok(Some(upload.bytes)),
            Ok(UploadState::Partial(bytes)) => Ok(Some(bytes)),
            Err(error) => Err(failed(&error)),
        };
    }
    let file = app
        .store
        .file(run, name)
        .await
        .map_err(|error| failed(&error))?;
    Ok(file.map(|file| file.bytes))
}

async fn take(
    State(app): State<App>,
    Path((run, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match taken(&app, &run, &name, &headers, body).await {
        Ok(response) => response,
        Err(refusal) => refusal,
    }
}

async fn taken(
    app: &App,
    run: &str,
    name: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Response> {
    let (run, owner) = owned(app, run, name, headers).await?;
    let announced =
        announced(headers).map_err(|(status, message)| (status, message).into_response())?;
    let upload = Upload {
        run,
        path: name.to_owned(),
        sha256: announced.sha256,
        bytes: announced.total,
    };
    remember(&upload);
    let here = match app.store.upload_state(&upload, app.now()).await {
        Ok(UploadState::Complete) => {
            return Ok(answer(StatusCode::OK, Some(upload.bytes), String::new()));
        }
        Ok(UploadState::Partial(here)) => here,
        Err(error) => return Err(failed(&error)),
    };
    let body = if here == upload.bytes && announced.from < here && upload.bytes <= DRAINED {
        // The same content is here by another name: nothing has to be kept of it.
        drain(body).await;
        futures::stream::empty().boxed()
    } else if announced.from != here {
        return Ok(go_on_at(here));
    } else {
        body.into_data_stream()
            .map(|piece| piece.map_err(std::io::Error::other))
            .boxed()
    };
    match app
        .store
        .upload_content(&upload, here, body, app.now())
        .await
    {
        Ok(UploadState::Complete) => named(app, &owner, &upload).await,
        Ok(UploadState::Partial(here)) => Ok(go_on_at(here)),
        Err(error @ StoreError::Mismatch { .. }) => Ok(answer(
            StatusCode::UNPROCESSABLE_ENTITY,
            None,
            format!("{error}\n"),
        )),
        Err(error) => Err(failed(&error)),
    }
}

fn go_on_at(here: u64) -> Response {
    let message = format!("{here} bytes are here\n");
    answer(StatusCode::CONFLICT, Some(here), message)
}

/// Reads a small body to its end, so that the connection can be used again.
async fn drain(body: Body) {
    let mut pieces = body.into_data_stream();
    while let Some(Ok(_)) = pieces.next().await {}
}

/// The content is durable; its name goes with the next group commit.
async fn named(app: &App, owner: &DispatcherName, upload: &Upload) -> Result<Response, Response> {
    let (sender, stored) = oneshot::channel();
    let item = Item {
        dispatcher: owner.clone(),
        close: CancellationToken::new(),
        kind: Kind::File {
            run: upload.run,
            file: RunFile {
                path: upload.path.clone(),
                sha256: upload.sha256,
                bytes: upload.bytes,
                stored: app.now(),
            },
            stored: sender,
        },
    };
    let put = app.ingest.put(item).await.is_ok();
    if put && stored.await.is_ok() {
        let received = Some(upload.bytes);
        return Ok(answer(StatusCode::CREATED, received, String::new()));
    }
    let message = "the file could not be noted\n";
    Err((StatusCode::SERVICE_UNAVAILABLE, message).into_response())
}

/// The run, if it is the asking dispatcher's, and the name is one.
async fn owned(
    app: &App,
    run: &str,
    name: &str,
    headers: &HeaderMap,
) -> Result<(RunId, DispatcherName), Response> {
    let who = dispatcher(app, headers).await?;
    let refuse =
        |status: StatusCode, message: &str| Err((status, format!("{message}\n")).into_response());
    let Ok(id) = run.parse::<RunId>() else {
        return refuse(StatusCode::NOT_FOUND, "there is no such run");
    };
    let plain = name.len() <= LONGEST_NAME
        && name
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
        && !name.contains(|one: char| one.is_control() || one == '\\');
    if !plain {
        return refuse(StatusCode::BAD_REQUEST, "this is no name of a run's file");
    }
    match app.store.run(id).await {
        Ok(Some(run)) => {
            if let Err(error) = allowed(&who, &run.dispatcher) {
                return refuse(StatusCode::FORBIDDEN, &error.to_string());
            }
            if run.ended.is_some() {
                return refuse(StatusCode::GONE, "the run has ended, or was given up");
            }
            Ok((id, who))
        }
        Ok(None) => refuse(StatusCode::NOT_FOUND, "there is no such run"),
        Err(error) => Err(failed(&error)),
    }
}

fn remember(upload: &Upload) {
    let mut begun = begun().lock().unwrap_or_else(PoisonError::into_inner);
    if begun.len() >= REMEMBERED {
        begun.clear();
    }
    begun.insert((upload.run, upload.path.clone()), upload.clone());
}

struct Announced {
    sha256: Sha256,
    from: u64,
    total: u64,
}

fn announced(headers: &HeaderMap) -> Result<Announced, Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bad = |message: &str| (StatusCode::BAD_REQUEST, format!("{message}\n"));
    let sha256 = text(SHA256_HEADER)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| bad("the SHA-256 of the whole file is missing or wrong"))?;
    let length: u64 = text(header::CONTENT_LENGTH.as_str())
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| bad("Content-Length is missing or wrong"))?;
    let Some(range) = text(header::CONTENT_RANGE.as_str()) else {
        return Ok(Announced {
            sha256,
            from: 0,
            total: length,
        });
    };
    let (from, total) =
        content_range(range, length).ok_or_else(|| bad("Content-Range is wrong"))?;
    Ok(Announced {
        sha256,
        from,
        total,
    })
}

/// `bytes FROM-LAST/TOTAL`, to the file's end, or `bytes */TOTAL` where nothing is left to send.
fn content_range(range: &str, length: u64) -> Option<(u64, u64)> {
    let (span, total) = range.strip_prefix("bytes ")?.split_once('/')?;
    let total: u64 = total.parse().ok()?;
    if span == "*" {
        return (length == 0).then_some((total, total));
    }
    let (from, last) = span.split_once('-')?;
    let (from, last): (u64, u64) = (from.parse().ok()?, last.parse().ok()?);
    let fits = last.checked_add(1)? == total && total.checked_sub(from)? == length;
    fits.then_some((from, total))
}

fn answer(status: StatusCode, received: Option<u64>, text: String) -> Response {
    let mut response = (status, text).into_response();
    if let Some(received) = received {
        response
            .headers_mut()
            .insert(RECEIVED_HEADER, HeaderValue::from(received));
    }
    response
}

fn failed(error: &StoreError) -> Response {
    tracing::warn!(error = %causes(error), "cannot take a run's file");
    let (status, message) = match (error.is_full(), error.is_transient()) {
        (true, _) => (
            StatusCode::INSUFFICIENT_STORAGE,
            "the server's disk is full\n",
        ),
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "the store is away\n"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "the store is broken\n"),
    };
    (status, message).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_goes_to_its_end() {
        assert_eq!(content_range("bytes 5-9/10", 5), Some((5, 10)));
        assert_eq!(content_range("bytes */10", 0), Some((10, 10)));
        for wrong in ["bytes 5-8/10", "bytes 9-5/10", "5-9/10", "bytes 5-9/*"] {
            assert_eq!(content_range(wrong, 5), None, "{wrong}");
        }
    }
}
