//! Who asks: bearer tokens, browsers' sessions, login by a link that works once.
//!
//! A browser's session acts for its owner with every request that the browser sends, whichever page
//! made it send it. So whatever changes something must come from this server's own pages, by what
//! browsers say about it ([`comes_from_here`]). Tokens are sent by programs on purpose and need no
//! such care.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use basalt_api::Via;
use serde::Deserialize;
use sha2::Digest;

use super::problem::{ApiProblem, ProblemKind};
use crate::entrance::Peer;
use crate::{Actor, App};

/// How long a session lasts, as the browser is told; the store keeps its own end.
const SESSION_SECONDS: u64 = 30 * 24 * 3600;

/// Who asks, and how he proved it: an extension of every request, and an extractor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// By what; `None` for nobody.
    pub via: Option<Via>,
}

impl Caller {
    /// Nobody who could say who he is.
    pub fn nobody() -> Self {
        Self {
            actor: Actor::Anonymous,
            via: None,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // Without the layer nobody is anybody.
        let caller = parts.extensions.get::<Self>().cloned();
        Ok(caller.unwrap_or_else(Self::nobody))
    }
}

/// Finds out who asks. A token that is not known is refused at once; a session that is not known
/// is nobody, so that its browser is led to the login.
pub(super) async fn identify(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match caller(&app, request.headers(), request.method(), request.uri()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Lets nobody in whom nobody knows, before anything of the request is looked at. Who may what is
/// the use cases' to ask.
pub(super) async fn somebody(caller: Caller, request: Request, next: Next) -> Response {
    match caller.actor {
        Actor::Anonymous => {
            ApiProblem::new(ProblemKind::NotLoggedIn, "nobody knows who asks").into_response()
        }
        _ => next.run(request).await,
    }
}

async fn caller(
    app: &App,
    headers: &HeaderMap,
    method: &Method,
    uri: &Uri,
) -> Result<Caller, ApiProblem> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        return match app.authenticate(bearer(value)?).await? {
            Actor::Anonymous => Err(ApiProblem::new(
                ProblemKind::NotLoggedIn,
                "the token is unknown, revoked or too old",
            )),
            actor => Ok(Caller {
                actor,
                via: Some(Via::Token),
            }),
        };
    }
    if changes_something(method) && !comes_from_here(headers, uri, &app.public_url) {
        // Logging in, too: nobody shall be logged in as somebody else behind his back.
        let browser = cookie(headers, &app.public_url).is_some() || uri.path() == "/login";
        if browser {
            return Err(ApiProblem::new(
                ProblemKind::ForeignOrigin,
                "a request that changes something must come from the lab's own pages",
            ));
        }
    }
    let Some(secret) = cookie(headers, &app.public_url) else {
        return Ok(Caller::nobody());
    };
    match app.session(secret).await? {
        Actor::Anonymous => Ok(Caller::nobody()),
        actor => Ok(Caller {
            actor,
            via: Some(Via::Session),
        }),
    }
}

fn bearer(value: &HeaderValue) -> Result<&str, ApiProblem> {
    let token = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    match token {
        Some(token) if !token.is_empty() => Ok(token),
        _ => Err(ApiProblem::new(
            ProblemKind::NotLoggedIn,
            "the header Authorization holds no bearer token",
        )),
    }
}

fn changes_something(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a request was made by a page of this server, by what the browser says: `Sec-Fetch-Site`
/// where it sends that, else `Origin`, which it sends with every POST (facts: Fetch Metadata
/// Request Headers; Fetch, section 3.2).
fn comes_from_here(headers: &HeaderMap, uri: &Uri, public_url: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text("origin") else {
        return false;
    };
    if origin == origin_of(public_url) {
        return true;
    }
    let host = text("host").or(uri.authority().map(|authority| authority.as_str()));
    let authority = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    authority.is_some_and(|authority| Some(authority) == host)
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> &str {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url;
    };
    let authority = rest.split('/').next().unwrap_or(rest);
    &url[..scheme.len() + "://".len() + authority.len()]
}

/// The name of the session's cookie. Browsers keep cookies by host whatever the port, so that two
/// labs on one host need two names.
pub(super) fn cookie_name(public_url: &str) -> String {
    let digest: [u8; 32] = sha2::Sha256::digest(public_url.as_bytes()).into();
    let [a, b, c, d, ..] = digest;
    format!("basalt_session_{a:02x}{b:02x}{c:02x}{d:02x}")
}

fn cookie<'h>(headers: &'h HeaderMap, public_url: &str) -> Option<&'h str> {
    let name = cookie_name(public_url);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value)
}

fn set_cookie(public_url: &str, peer: Option<Peer>, secret: &str, seconds: u64) -> HeaderValue {
    let secure =
        public_url.starts_with("https://") || matches!(peer, Some(Peer::Tcp { tls: true, .. }));
    let text = format!(
        "{}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{}",
        cookie_name(public_url),
        if secure { "; Secure" } else { "" }
    );
    let mut value = HeaderValue::from_str(&text)
        .unwrap_or_else(|error| unreachable!("secrets are plain letters and digits: {error}"));
    value.set_sensitive(true);
    value
}

/// What the login page's form sends.
#[derive(Deserialize)]
struct LoginForm {
    token: String,
    #[serde(default)]
    next: String,
}

/// `POST /login`: uses a login link up and begins a session. The link itself, `GET /login`, shows a
/// page with a button: mail scanners and previews that look at links do not use them up.
pub(super) async fn login(State(app): State<App>, request: Request) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let axum::Form(form) =
        match <axum::Form<LoginForm> as axum::extract::FromRequest<App>>::from_request(
            request, &app,
        )
        .await
        {
            Ok(form) => form,
            Err(_) => {
                // What the rejection says could hold the token.
                return ApiProblem::new(ProblemKind::BadRequest, "the form holds no login token")
                    .hint("open the login link again")
                    .into_response();
            }
        };
    match app.begin_session(&form.token).await {
        Ok((secret, _)) => {
            let cookie = set_cookie(&app.public_url, peer, &secret, SESSION_SECONDS);
            see_other(&local_path(&form.next), Some(cookie))
        }
        Err(
            crate::UseCaseError::Conflict { .. }
            | crate::UseCaseError::Forbidden(_)
            | crate::UseCaseError::NotFound { .. }
            | crate::UseCaseError::BadRequest { .. },
        ) => see_other("/login?refused=1", None),
        Err(error) => ApiProblem::from(error).into_response(),
    }
}

/// `POST /logout`: ends the session.
pub(super) async fn logout(State(app): State<App>, request: Request) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    if let Some(secret) = cookie(request.headers(), &app.public_url)
        && let Err(error) = app.end_session(secret).await
    {
        return ApiProblem::from(error).into_response();
    }
    let cleared = set_cookie(&app.public_url, peer, "", 0);
    see_other("/login", Some(cleared))
}

/// A path of this server, whatever a form said: nobody is sent elsewhere.
fn local_path(next: &str) -> String {
    let is_local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(['\\', '\r', '\n', '\t'])
        && next.bytes().all(|byte| byte.is_ascii_graphic());
    match is_local {
        true => next.to_owned(),
        false => "/".to_owned(),
    }
}

fn see_other(path: &str, cookie: Option<HeaderValue>) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    headers.insert(header::LOCATION, location);
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(cookie) = cookie {
        headers.insert(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                let name = header::HeaderName::from_static(name);
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    #[test]
    fn only_the_labs_own_pages_act_for_a_session() {
        let public = "https://lab.example";
        let here = |list: &[(&'static str, &str)]| {
            comes_from_here(&headers(list), &Uri::from_static("/api/v1/jobs"), public)
        };
        assert!(here(&[("sec-fetch-site", "same-origin")]));
        assert!(!here(&[("sec-fetch-site", "cross-site")]));
        assert!(!here(&[("sec-fetch-site", "same-site")]));
        // What the browser says of itself comes first.
        assert!(!here(&[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://lab.example"),
        ]));
        assert!(here(&[("origin", "https://lab.example")]));
        assert!(here(&[
            ("origin", "http://10.0.0.1:7270"),
            ("host", "10.0.0.1:7270")
        ]));
        assert!(!here(&[
            ("origin", "https://lab.example.evil"),
            ("host", "lab.example")
        ]));
        assert!(!here(&[("origin", "null"), ("host", "lab.example")]));
        assert!(!here(&[("host", "lab.example")]));
    }

    #[test]
    fn nobody_is_sent_to_another_site_after_logging_in() {
        assert_eq!(local_path("/jobs?state=active"), "/jobs?state=active");
        for next in [
            "",
            "jobs",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/\r\nSet-Cookie: x=y",
            "/\t/evil.example",
        ] {
            assert_eq!(local_path(next), "/", "{next:?}");
        }
    }

    #[test]
    fn a_session_that_came_over_tls_goes_over_tls_only() {
        let address = "192.0.2.1:7270".parse().unwrap();
        let peer = |tls| Some(Peer::Tcp { address, tls });
        for (public_url, peer, is_secure) in [
            ("https://lab.example", peer(false), true),
            ("http://lab.example", peer(true), true),
            ("http://127.0.0.1:7270", peer(false), false),
            ("http://127.0.0.1:7270", None, false),
        ] {
            let cookie = set_cookie(public_url, peer, "secret", 60);
            let text = cookie.to_str().unwrap();
            assert_eq!(text.ends_with("; Secure"), is_secure, "{text}");
            // Whatever logs headers shows no session.
            assert!(cookie.is_sensitive());
        }
    }

    #[test]
    fn a_cookie_of_another_lab_on_the_same_host_is_not_this_labs() {
        let (one, other) = ("http://127.0.0.1:7270", "http://127.0.0.1:7271");
        let text = format!("x=1; {}=secret; y=2", cookie_name(one));
        let headers = headers(&[("cookie", &text)]);
        assert_eq!(cookie(&headers, one), Some("secret"));
        assert_eq!(cookie(&headers, other), None);
    }
}
