//! Who looks, in which theme, and what he gets: a page, the login, or what went wrong.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use basalt_pages::{
    Chrome, Login, LoginState, Person, Problem, Section, Template, Theme, asset, chrome,
};
use serde::Deserialize;

use crate::http::Caller;
use crate::http::problem::ApiProblem;
use crate::{Actor, App, UseCaseError};

/// A page that is fetched again to keep it true needs no log: its script has it.
const REFRESH: &str = "basalt-refresh";

/// Somebody who looks at a page.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    app: App,
    /// Who.
    pub(super) actor: Actor,
    theme: Option<Theme>,
    /// A script fetches the page again.
    pub(super) is_refresh: bool,
    path: String,
}

impl FromRequestParts<App> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            app: app.clone(),
            actor: caller.actor,
            theme: theme(&parts.headers),
            is_refresh: parts.headers.contains_key(REFRESH),
            path: path.to_owned(),
        })
    }
}

fn theme(headers: &HeaderMap) -> Option<Theme> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == chrome::THEME_COOKIE)
        .and_then(|(_, value)| Theme::from_word(value))
}

/// Why there is no page.
pub(super) enum Instead {
    /// Nobody knows who looks.
    Login(String),
    /// It went wrong.
    Failed(Box<Visit>, UseCaseError),
}

impl Visit {
    /// The use cases.
    pub(super) fn app(&self) -> &App {
        &self.app
    }

    /// The page's frame. Made before the page's values are asked for: what happens meanwhile is
    /// told by the feed.
    ///
    /// # Errors
    /// Nobody knows who looks.
    pub(super) async fn frame(&self, title: &str, section: Section) -> Result<Chrome, Instead> {
        if self.actor == Actor::Anonymous {
            return Err(Instead::Login(self.path.clone()));
        }
        let feed = self.ask(self.app.feed_last(&self.actor).await)?;
        Ok(self.bare_frame(title, section, feed))
    }

    fn bare_frame(&self, title: &str, section: Section, feed: i64) -> Chrome {
        let person = match &self.actor {
            Actor::User { name, role } => Some(Person {
                name: name.clone(),
                role: *role,
            }),
            _ => None,
        };
        Chrome {
            lab: self.app.lab().lab.name.clone(),
            title: title.to_owned(),
            section,
            person,
            theme: self.theme,
            now: self.app.now(),
            feed,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// What a use case gave, or the page that says why it did not.
    pub(super) fn ask<T>(&self, answer: Result<T, UseCaseError>) -> Result<T, Instead> {
        answer.map_err(|error| Instead::Failed(Box::new(self.clone()), error))
    }

    fn problem(&self, status: StatusCode, problem: &basalt_api::Problem) -> Response {
        let page = Problem {
            chrome: self.bare_frame(&problem.title, Section::Elsewhere, 0),
            status: status.as_u16(),
            headline: problem.title.clone(),
            detail: sentence(&problem.detail),
            hint: (!problem.hint.is_empty()).then(|| sentence(&problem.hint)),
            offer_login: self.actor == Actor::Anonymous,
        };
        let mut response = page_of(&page);
        *response.status_mut() = status;
        response
    }
}

/// A clause as a sentence.
fn sentence(clause: &str) -> String {
    let mut characters = clause.chars();
    let Some(first) = characters.next() else {
        return String::new();
    };
    let end = if clause.ends_with(['.', '?', '!']) {
        ""
    } else {
        "."
    };
    format!("{}{}{end}", first.to_uppercase(), characters.as_str())
}

/// A page as an answer.
pub(super) fn page_of(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => {
            let headers = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (
                    header::CONTENT_SECURITY_POLICY,
                    asset::CONTENT_SECURITY_POLICY,
                ),
            ];
            (headers, html).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Another page, after a form.
pub(super) fn go_to(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    // Paths made here hold names from requests; one that no header can hold leads home.
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, location);
    response
}

impl IntoResponse for Instead {
    fn into_response(self) -> Response {
        match self {
            Self::Login(path) if path == "/" => go_to("/login"),
            Self::Login(path) => go_to(&format!("/login?next={}", encode(&path))),
            Self::Failed(visit, error) => {
                let problem = ApiProblem::from(error);
                visit.problem(problem.status(), problem.problem())
            }
        }
    }
}

/// A value in an address.
pub(super) fn encode(value: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// What stands behind `/login?`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoginQuery {
    token: String,
    next: String,
    refused: String,
}

/// `GET /login`. The link is used up by the page's button, not by looking at it.
pub(super) async fn login(visit: Visit, Query(query): Query<LoginQuery>) -> Response {
    let is_in = visit.actor != Actor::Anonymous;
    if is_in && query.token.is_empty() && query.refused.is_empty() {
        return go_to("/");
    }
    let mut response = page_of(&Login {
        chrome: visit.bare_frame("Log in", Section::Elsewhere, 0),
        state: match (query.token.is_empty(), query.refused.is_empty()) {
            (_, false) => LoginState::Refused,
            (false, true) => LoginState::Ready,
            (true, true) => LoginState::Ask,
        },
        token: query.token,
        next: query.next,
    });
    // The token stands in the address: it goes nowhere, and is kept nowhere.
    let headers = response.headers_mut();
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whatever has no page.
pub(super) async fn nothing_here(visit: Visit, uri: Uri) -> Response {
    let error = UseCaseError::not_found("page", uri.path());
    Instead::Failed(Box::new(visit), error).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_theme_is_read_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::COOKIE,
            HeaderValue::from_static("a=b; basalt_theme=dark"),
        );
        assert_eq!(theme(&headers), Some(Theme::Dark));
        headers.insert(
            header::COOKIE,
            HeaderValue::from_static("basalt_theme=<script>"),
        );
        assert_eq!(theme(&headers), None);
    }

    #[test]
    fn clauses_become_sentences() {
        assert_eq!(sentence("there is no job 7"), "There is no job 7.");
        assert_eq!(sentence("Done."), "Done.");
        assert_eq!(sentence(""), "");
    }
}
