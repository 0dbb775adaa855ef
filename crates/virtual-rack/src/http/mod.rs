//! The rack's own HTTP: what tests and people see and plant.
//!
//! | request | answer |
//! |---|---|
//! | `GET /boards` | all boards: power, console addresses, counters, knobs, how often each acted |
//! | `GET /boards/NAME` | one |
//! | `POST /boards/NAME/power` `{"on":true}` | switches the supply behind the relay's back |
//! | `GET`, `POST`, `DELETE /boards/NAME/knobs` | reads, merges, clears knobs |
//! | `POST /boards/NAME/emit` `{"bytes":1000,"seed":7}` or `{"text":"…"}` | the board says random bytes or a text, powered or not; answers their SHA-256 |
//! | `GET /boards/NAME/truth` | seed and expected result of each measurement |
//! | `GET /files/PATH` | a file of the directory `files` |
//! | `GET`, `POST`, `DELETE /files-knobs` | faults of the file server, see `files` |

mod files;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{board::Board, random::Random};

/// More bytes than this are not emitted at once.
const EMIT_LIMIT: usize = 64 << 20;

type Boards = Arc<BTreeMap<String, Arc<Board>>>;

/// All routes.
pub fn router(boards: BTreeMap<String, Arc<Board>>, files: Option<PathBuf>) -> Router {
    Router::new()
        .route("/boards", get(list))
        .route("/boards/{name}", get(show))
        .route("/boards/{name}/power", post(power))
        .route(
            "/boards/{name}/knobs",
            get(knobs).post(set_knobs).delete(clear_knobs),
        )
        .route("/boards/{name}/emit", post(emit))
        .route("/boards/{name}/truth", get(truth))
        .with_state(Arc::new(boards))
        .merge(files::router(files))
}

/// Why a request failed; the status is chosen here.
enum Refused {
    NoBoard(String),
    Bad(String),
    NoTruth,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, what) = match self {
            Refused::NoBoard(name) => (StatusCode::NOT_FOUND, format!("there is no board {name}")),
            Refused::Bad(what) => (StatusCode::BAD_REQUEST, what),
            Refused::NoTruth => (
                StatusCode::NOT_FOUND,
                "only simulated boards know the truth".to_owned(),
            ),
        };
        (status, Json(json!({"error": what}))).into_response()
    }
}

type Answer = Result<Json<Value>, Refused>;

fn find(boards: &Boards, name: &str) -> Result<Arc<Board>, Refused> {
    boards
        .get(name)
        .cloned()
        .ok_or_else(|| Refused::NoBoard(name.to_owned()))
}

async fn list(State(boards): State<Boards>) -> Json<Value> {
    Json(json!({"boards": boards.values().map(|board| board.describe()).collect::<Vec<_>>()}))
}

async fn show(State(boards): State<Boards>, Path(name): Path<String>) -> Answer {
    Ok(Json(find(&boards, &name)?.describe()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PowerRequest {
    on: bool,
}

async fn power(
    State(boards): State<Boards>,
    Path(name): Path<String>,
    Json(request): Json<PowerRequest>,
) -> Answer {
    let board = find(&boards, &name)?;
    board.set_power(request.on, "http");
    Ok(Json(board.describe()))
}

async fn knobs(State(boards): State<Boards>, Path(name): Path<String>) -> Answer {
    let board = find(&boards, &name)?;
    Ok(Json(
        json!({"knobs": board.knobs.current(), "fired": board.knobs.fired()}),
    ))
}

async fn set_knobs(
    State(boards): State<Boards>,
    Path(name): Path<String>,
    Json(patch): Json<Map<String, Value>>,
) -> Answer {
    let board = find(&boards, &name)?;
    board
        .knobs
        .merge(patch)
        .map_err(|error| Refused::Bad(error.to_string()))?;
    Ok(Json(
        json!({"knobs": board.knobs.current(), "fired": board.knobs.fired()}),
    ))
}

async fn clear_knobs(State(boards): State<Boards>, Path(name): Path<String>) -> Answer {
    let board = find(&boards, &name)?;
    board.knobs.clear();
    Ok(Json(
        json!({"knobs": board.knobs.current(), "fired": board.knobs.fired()}),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmitRequest {
    #[serde(default)]
    bytes: usize,
    #[serde(default)]
    seed: u64,
    text: Option<String>,
}

async fn emit(
    State(boards): State<Boards>,
    Path(name): Path<String>,
    Json(request): Json<EmitRequest>,
) -> Answer {
    let board = find(&boards, &name)?;
    if request.bytes > EMIT_LIMIT {
        return Err(Refused::Bad(format!("at most {EMIT_LIMIT} bytes")));
    }
    let bytes = match request.text {
        Some(text) => text.into_bytes(),
        None => Random::new(request.seed).bytes(request.bytes),
    };
    // In pieces, as a UART would say them.
    for piece in bytes.chunks(1024) {
        board.port.send(piece).await;
    }
    let sum: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(Json(json!({"bytes": bytes.len(), "sha256": sum})))
}

async fn truth(State(boards): State<Boards>, Path(name): Path<String>) -> Answer {
    let board = find(&boards, &name)?;
    let truth = board.truth.as_ref().ok_or(Refused::NoTruth)?;
    let truth = truth
        .lock()
        .expect("nothing panics while it holds the truth")
        .clone();
    Ok(Json(json!(truth)))
}
