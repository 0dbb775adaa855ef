//! A static file server with faults: `GET /files/PATH`.
//!
//! It answers whole files and `Range: bytes=N-`. `POST /files-knobs` with `{"path":"arm64/Image","fault":"slow","bytes_per_second":10000,"times":1}` plants a fault
//! on one path; the last one counts. `DELETE /files-knobs` clears all, `GET` shows them with the number of requests and of faults a path.
//!
//! | `fault` | effect |
//! |---|---|
//! | `not-found` | 404 |
//! | `error` | 500 |
//! | `html` | 200 with an HTML page |
//! | `truncate` | full Content-Length, half of the body, connection closed |
//! | `slow` | `bytes_per_second` |
//! | `redirect` | 302 to `to`, or to the same file below `/files-redirected/` |

use std::{
    collections::BTreeMap,
    io::SeekFrom,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path as UrlPath, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
};

/// Bytes read at once.
const PIECE: usize = 64 << 10;
/// Between the last byte of a truncated body and the end of its connection: what a busy client has not
/// taken by then is lost.
const BREAK_OFF: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    NotFound,
    Error,
    Html,
    Truncate,
    Slow,
    Redirect,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    path: String,
    fault: Kind,
    bytes_per_second: Option<u64>,
    to: Option<String>,
    times: Option<u64>,
}

#[derive(Default)]
struct Knobs {
    faults: BTreeMap<String, Fault>,
    requests: BTreeMap<String, u64>,
    fired: BTreeMap<String, u64>,
}

struct Server {
    root: Option<PathBuf>,
    knobs: Mutex<Knobs>,
}

/// The routes of the file server; without a directory every file is missing.
pub fn router(root: Option<PathBuf>) -> Router {
    let server = Arc::new(Server {
        root,
        knobs: Mutex::default(),
    });
    Router::new()
        .route("/files/{*path}", get(fetch))
        .route("/files-redirected/{*path}", get(fetch_plain))
        .route("/files-knobs", get(show).post(plant).delete(clear))
        .with_state(server)
}

impl Server {
    fn knobs(&self) -> std::sync::MutexGuard<'_, Knobs> {
        self.knobs
            .lock()
            .expect("nothing panics while it holds the knobs")
    }

    fn describe(&self) -> Value {
        let knobs = self.knobs();
        json!({"faults": knobs.faults, "requests": knobs.requests, "fired": knobs.fired})
    }

    /// Counts a request and takes its fault.
    fn fault(&self, path: &str) -> Option<Fault> {
        let mut knobs = self.knobs();
        *knobs.requests.entry(path.to_owned()).or_default() += 1;
        let fault = knobs.faults.get_mut(path)?;
        let taken = fault.clone();
        match &mut fault.times {
            Some(0 | 1) => drop(knobs.faults.remove(path)),
            Some(left) => *left -= 1,
            None => {}
        }
        *knobs.fired.entry(path.to_owned()).or_default() += 1;
        Some(taken)
    }
}

async fn show(State(server): State<Arc<Server>>) -> Json<Value> {
    Json(server.describe())
}

async fn plant(State(server): State<Arc<Server>>, Json(fault): Json<Fault>) -> Json<Value> {
    server.knobs().faults.insert(fault.path.clone(), fault);
    Json(server.describe())
}

async fn clear(State(server): State<Arc<Server>>) -> Json<Value> {
    server.knobs().faults.clear();
    Json(server.describe())
}

async fn fetch(
    State(server): State<Arc<Server>>,
    UrlPath(path): UrlPath<String>,
    headers: HeaderMap,
) -> Response {
    let fault = server.fault(&path);
    let kind = fault.as_ref().map(|fault| fault.fault);
    match (kind, fault) {
        (Some(Kind::NotFound), _) => StatusCode::NOT_FOUND.into_response(),
        (Some(Kind::Error), _) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        (Some(Kind::Html), _) => (
            [(header::CONTENT_TYPE, "text/html")],
            "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n",
        )
            .into_response(),
        (Some(Kind::Redirect), Some(fault)) => {
            let to = fault.to.unwrap_or_else(|| format!("/files-redirected/{path}"));
            (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
        }
        (Some(Kind::Truncate), _) => send(&server, &path, &headers, true, None).await,
        (Some(Kind::Slow), Some(fault)) => {
            send(&server, &path, &headers, false, Some(fault.bytes_per_second.unwrap_or(10_000))).await
        }
        _ => send(&server, &path, &headers, false, None).await,
    }
}

async fn fetch_plain(
    State(server): State<Arc<Server>>,
    UrlPath(path): UrlPath<String>,
    headers: HeaderMap,
) -> Response {
    send(&server, &path, &headers, false, None).await
}

/// A file or part of one, with a full Content-Length even if `half` of it is kept back.
async fn send(
    server: &Server,
    path: &str,
    headers: &HeaderMap,
    half: bool,
    bytes_per_second: Option<u64>,
) -> Response {
    let plain = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let Some(root) = server.root.as_ref().filter(|_| plain) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let opened = async {
        let file = File::open(root.join(path)).await?;
        let metadata = file.metadata().await?;
        if metadata.is_file() {
            Ok((file, metadata.len()))
        } else {
            Err(std::io::Error::from(std::io::ErrorKind::NotFound))
        }
    };
    let (mut file, size) = match opened.await {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return StatusCode::NOT_FOUND.into_response();
        }
        Err(error) => {
            return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
        }
    };
    let from = range_start(headers).unwrap_or(0);
    if from > 0 && from >= size {
        let range = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
        return (StatusCode::RANGE_NOT_SATISFIABLE, range).into_response();
    }
    if let Err(error) = file.seek(SeekFrom::Start(from)).await {
        return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
    }
    let length = size - from;
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_LENGTH, length);
    if from > 0 {
        response = response.status(StatusCode::PARTIAL_CONTENT).header(
            header::CONTENT_RANGE,
            format!("bytes {from}-{}/{size}", size - 1),
        );
    }
    let body = body(
        file,
        if half { length / 2 } else { length },
        half,
        bytes_per_second,
    );
    response.body(body).unwrap_or_else(|error| {
        (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
    })
}

/// `N` of `Range: bytes=N-`; other ranges are answered with the whole file, as the standard allows.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::RANGE)?.to_str().ok()?;
    range
        .strip_prefix("bytes=")?
        .strip_suffix('-')?
        .parse()
        .ok()
}

fn body(file: File, length: u64, break_off: bool, bytes_per_second: Option<u64>) -> Body {
    let piece = match bytes_per_second {
        // Ten pieces a second.
        Some(rate) => usize::try_from(rate / 10).unwrap_or(PIECE).clamp(1, PIECE),
        None => PIECE,
    };
    let stream = futures::stream::try_unfold((file, length), move |(mut file, left)| async move {
        if left == 0 {
            if break_off {
                // While the body is pending the server sends what it holds; an error at once would throw that away.
                tokio::time::sleep(BREAK_OFF).await;
                return Err(std::io::Error::other("breaks off as asked"));
            }
            return Ok(None);
        }
        if let Some(rate) = bytes_per_second {
            let pause = Duration::from_secs_f64(piece as f64 / rate.max(1) as f64);
            tokio::time::sleep(pause).await;
        }
        let mut buffer = vec![0; piece.min(usize::try_from(left).unwrap_or(piece))];
        let count = file.read(&mut buffer).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        buffer.truncate(count);
        Ok(Some((Bytes::from(buffer), (file, left - count as u64))))
    });
    Body::from_stream(stream)
}
