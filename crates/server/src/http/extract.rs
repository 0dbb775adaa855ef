//! What handlers take out of requests. Whatever does not fit becomes a problem, never axum's own
//! plain text.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::problem::{ApiProblem, ProblemKind};

/// Parameters in the path.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiProblem> {
        let axum::extract::Path(value) =
            axum::extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

/// Parameters behind the question mark. One that is not known is an error: a misspelt filter must
/// not find everything.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiProblem> {
        let axum::extract::Query(value) =
            axum::extract::Query::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

/// A body of JSON.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiProblem> {
        let axum::Json(value) = axum::Json::from_request(request, state).await?;
        Ok(Self(value))
    }
}

/// A body of JSON that may be left out; then it is the default.
#[derive(Clone, Debug)]
pub struct OptionalJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiProblem> {
        let is_typed = request.headers().contains_key(header::CONTENT_TYPE);
        if is_typed {
            let Json(value) = Json::from_request(request, state).await?;
            return Ok(Self(value));
        }
        let bytes = axum::body::Bytes::from_request(request, state).await?;
        match bytes.is_empty() {
            true => Ok(Self(T::default())),
            false => Err(ApiProblem::new(
                ProblemKind::UnsupportedMediaType,
                "the body does not say what it is",
            )),
        }
    }
}

/// A job's text: the body itself as YAML, or the field `definition` of a JSON object.
#[derive(Clone, Debug)]
pub struct JobText(pub String);

impl<S: Send + Sync> FromRequest<S> for JobText {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiProblem> {
        let media_type = media_type(request.headers());
        match media_type.as_str() {
            "application/json" => {
                let Json(job): Json<basalt_api::SubmitJob> =
                    Json::from_request(request, state).await?;
                Ok(Self(job.definition))
            }
            "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml"
            | "text/plain" => {
                let bytes = axum::body::Bytes::from_request(request, state).await?;
                match String::from_utf8(bytes.into()) {
                    Ok(text) => Ok(Self(text)),
                    Err(error) => Err(ApiProblem::new(
                        ProblemKind::BadRequest,
                        format!(
                            "the job is no UTF-8 text: byte {} is none",
                            error.utf8_error().valid_up_to() + 1
                        ),
                    )
                    .hint("save the file as UTF-8")),
                }
            }
            other => Err(ApiProblem::new(
                ProblemKind::UnsupportedMediaType,
                match other {
                    "" => "the body does not say what it is".to_owned(),
                    other => format!("a job as {other:?} is not read here"),
                },
            )),
        }
    }
}

/// The media type of a body, in lower case, without its parameters; empty where it is not said.
fn media_type(headers: &HeaderMap) -> String {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase())
        .unwrap_or_default()
}

/// The longest key that is taken.
const LONGEST_KEY: usize = 200;

/// The key that makes a submission repeatable without a second job.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiProblem> {
        let mut values = parts.headers.get_all(basalt_api::IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else {
            return Ok(Self(None));
        };
        match value.to_str() {
            Ok(key) if (1..=LONGEST_KEY).contains(&key.len()) && values.next().is_none() => {
                Ok(Self(Some(key.to_owned())))
            }
            _ => Err(ApiProblem::new(
                ProblemKind::BadRequest,
                "the header Idempotency-Key holds no key",
            )
            .hint(format!(
                "give one key of 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID"
            ))),
        }
    }
}

/// Where a broken stream shall go on: the header that a browser's `EventSource` sends by itself.
#[derive(Clone, Debug)]
pub struct LastEventId(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiProblem> {
        let Some(value) = parts.headers.get("last-event-id") else {
            return Ok(Self(None));
        };
        match value.to_str() {
            Ok("") => Ok(Self(None)),
            Ok(id) => Ok(Self(Some(id.to_owned()))),
            Err(_) => Err(no_such_id()),
        }
    }
}

impl LastEventId {
    /// The id as a number.
    ///
    /// # Errors
    /// It is none.
    pub fn number(&self) -> Result<Option<u64>, ApiProblem> {
        match &self.0 {
            None => Ok(None),
            Some(id) => id.parse().map(Some).map_err(|_| no_such_id()),
        }
    }
}

fn no_such_id() -> ApiProblem {
    ApiProblem::new(
        ProblemKind::BadRequest,
        "the header Last-Event-ID holds no id of this stream",
    )
    .hint("give an id as the stream gave it, or leave the header out")
}
