//! What a client is told when a request was not done: the one place that knows status codes.

use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use basalt_api::{Diagnostic, PROBLEM_TYPE, Problem};

use crate::error::UseCaseError;

/// Kinds of problems. Each has a stable word, a status, a title and a way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The request makes no sense.
    BadRequest,
    /// Nobody knows who asks.
    NotLoggedIn,
    /// He who asks may not.
    Forbidden,
    /// A page of another site tried to act for somebody.
    ForeignOrigin,
    /// There is no such thing.
    NotFound,
    /// The thing is there, but not for this method.
    MethodNotAllowed,
    /// It cannot be done as things stand.
    Conflict,
    /// The body is too large.
    TooLarge,
    /// The body is of a kind that is not read here.
    UnsupportedMediaType,
    /// The text that was handed in has mistakes.
    Invalid,
    /// A range that the file does not have.
    RangeNotSatisfiable,
    /// A bug.
    Internal,
    /// Something that is needed is away.
    Unavailable,
    /// It took too long.
    TimedOut,
    /// There is no room for it.
    Full,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::BadRequest,
        Self::NotLoggedIn,
        Self::Forbidden,
        Self::ForeignOrigin,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Invalid,
        Self::RangeNotSatisfiable,
        Self::Internal,
        Self::Unavailable,
        Self::TimedOut,
        Self::Full,
    ];

    /// Word, status, title, and the way out where nobody knows a better one.
    fn row(self) -> (&'static str, StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest => (
                "bad-request",
                StatusCode::BAD_REQUEST,
                "The request makes no sense",
                "compare it with /api/v1/openapi.json",
            ),
            Self::NotLoggedIn => (
                "not-logged-in",
                StatusCode::UNAUTHORIZED,
                "You are not logged in",
                "send `Authorization: Bearer TOKEN`, or open a login link in the browser; an \
                 administrator makes one with `basalt login-link`",
            ),
            Self::Forbidden => (
                "forbidden",
                StatusCode::FORBIDDEN,
                "You may not do that",
                "ask an administrator of the lab",
            ),
            Self::ForeignOrigin => (
                "foreign-origin",
                StatusCode::FORBIDDEN,
                "The request comes from another site",
                "use the lab's own pages, or a token instead of the browser's session",
            ),
            Self::NotFound => (
                "not-found",
                StatusCode::NOT_FOUND,
                "There is no such thing",
                "check the name or number; lists are at /api/v1/jobs, /api/v1/boards and \
                 /api/v1/dispatchers",
            ),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "Not with this method",
                "see the methods of this path in /api/v1/openapi.json",
            ),
            Self::Conflict => (
                "conflict",
                StatusCode::CONFLICT,
                "It cannot be done as things stand",
                "look at how things stand now, and ask again",
            ),
            Self::TooLarge => (
                "too-large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body is too large",
                "a job may have 1 MiB, a lab 16 MiB",
            ),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "This kind of body is not read here",
                "send `Content-Type: application/json`; a job may also be `application/yaml`",
            ),
            Self::Invalid => (
                "invalid",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The text has mistakes",
                "correct what the diagnostics say, at their lines",
            ),
            Self::RangeNotSatisfiable => (
                "range-not-satisfiable",
                StatusCode::RANGE_NOT_SATISFIABLE,
                "The file has no such range",
                "ask for a range within the file's size",
            ),
            Self::Internal => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "Basalt has a bug",
                "tell the lab's administrator the request id; the server's log says more",
            ),
            Self::Unavailable => (
                "unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "Not now",
                "ask again in a few seconds",
            ),
            Self::TimedOut => (
                "timed-out",
                StatusCode::GATEWAY_TIMEOUT,
                "It took too long",
                "ask again; if it was to change something, look first whether it did",
            ),
            Self::Full => (
                "storage-full",
                StatusCode::INSUFFICIENT_STORAGE,
                "The server's disk is full",
                "ask again when the lab's administrator has made room where the server keeps its \
                 database and logs; what was taken before is safe, and can be read",
            ),
        }
    }

    /// The last part of [`Problem::kind`].
    pub fn word(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        self.row().1
    }
}

/// A [`Problem`] on its way out. Also what page handlers turn their errors into.
#[derive(Clone, Debug)]
pub struct ApiProblem(Box<Problem>);

impl ApiProblem {
    /// A problem of a kind, with what happened this time.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let (word, status, title, hint) = kind.row();
        Self(Box::new(Problem {
            kind: format!("/problems/{word}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            hint: hint.to_owned(),
            diagnostics: Vec::new(),
            request_id: None,
        }))
    }

    /// With a better way out than the kind's own.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = hint.into();
        self
    }

    /// With the mistakes of a text.
    pub fn diagnostics(mut self, diagnostics: Vec<Diagnostic>) -> Self {
        self.0.diagnostics = diagnostics;
        self
    }

    /// What will be said.
    pub fn problem(&self) -> &Problem {
        &self.0
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<UseCaseError> for ApiProblem {
    fn from(error: UseCaseError) -> Self {
        let detail = error.to_string();
        let (kind, hint) = match error {
            UseCaseError::Forbidden(refusal) if refusal.anonymous => {
                (ProblemKind::NotLoggedIn, None)
            }
            UseCaseError::Forbidden(_) => (ProblemKind::Forbidden, None),
            UseCaseError::NotFound { .. } => (ProblemKind::NotFound, None),
            UseCaseError::Invalid { diagnostics, .. } => {
                return Self::new(ProblemKind::Invalid, detail).diagnostics(diagnostics);
            }
            UseCaseError::BadRequest { hint, .. } => (ProblemKind::BadRequest, hint),
            UseCaseError::Conflict { hint, .. } => (ProblemKind::Conflict, hint),
            UseCaseError::Unavailable { .. } => {
                tracing::warn!(%detail, "a request could not be served");
                (ProblemKind::Unavailable, None)
            }
            UseCaseError::Full { .. } => (ProblemKind::Full, None),
            UseCaseError::Internal { .. } => {
                tracing::error!(%detail, "a request met a bug");
                return Self::new(
                    ProblemKind::Internal,
                    "something went wrong inside the server",
                );
            }
        };
        let problem = Self::new(kind, detail);
        match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

impl From<PathRejection> for ApiProblem {
    fn from(rejection: PathRejection) -> Self {
        // A number or id that is none names nothing.
        Self::new(ProblemKind::NotFound, rejection.body_text())
    }
}

impl From<QueryRejection> for ApiProblem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(ProblemKind::BadRequest, rejection.body_text())
    }
}

impl From<JsonRejection> for ApiProblem {
    fn from(rejection: JsonRejection) -> Self {
        let kind = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ProblemKind::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ProblemKind::UnsupportedMediaType,
            _ => ProblemKind::BadRequest,
        };
        Self::new(kind, rejection.body_text())
    }
}

impl From<BytesRejection> for ApiProblem {
    fn from(rejection: BytesRejection) -> Self {
        let kind = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ProblemKind::TooLarge,
            _ => ProblemKind::BadRequest,
        };
        Self::new(kind, rejection.body_text())
    }
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let status = self.status();
        // Plain data with string keys.
        let body = serde_json::to_vec(&self.0)
            .unwrap_or_else(|error| unreachable!("a problem is JSON: {error}"));
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"basalt\""),
            );
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        // The request's id is put in where it is known, around every route.
        response.extensions_mut().insert(self);
        response
    }
}

impl ApiProblem {
    /// The same, saying what the server's log calls the request.
    pub(super) fn of_request(mut self, request_id: &str) -> Self {
        self.0.request_id = Some(request_id.to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_says_the_way_out_and_has_its_own_word() {
        let mut words: Vec<_> = ProblemKind::ALL
            .iter()
            .map(|kind| {
                let problem = ApiProblem::new(*kind, "this time");
                assert!(!problem.problem().hint.is_empty());
                assert!(problem.status().is_client_error() || problem.status().is_server_error());
                kind.word()
            })
            .collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ProblemKind::ALL.len());
    }

    #[test]
    fn what_is_wrong_inside_is_not_told() {
        let error = UseCaseError::Internal {
            message: "row 7 of /secret/path".into(),
        };
        let problem = ApiProblem::from(error);
        assert!(!format!("{:?}", problem.problem()).contains("secret"));
    }
}
