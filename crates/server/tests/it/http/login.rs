//! Logging in by a link that works once, and what a browser's session may and may not do.

use basalt_api::{LoginLink, Me, Via};
use reqwest::{Method, RequestBuilder, Response, StatusCode};

use super::{Site, problem};

/// The token in a login link.
async fn link(site: &Site) -> String {
    let link: LoginLink = site.json(site.post("/api/v1/login-links")).await;
    let (place, token) = link.url.split_once("?token=").unwrap();
    assert_eq!(place, format!("{}/login", site.url));
    token.to_owned()
}

/// A browser's request: it says where it comes from.
fn from(site: &Site, request: RequestBuilder, origin: &str) -> RequestBuilder {
    let site_word = match origin == site.url {
        true => "same-origin",
        false => "cross-site",
    };
    request
        .header("origin", origin)
        .header("sec-fetch-site", site_word)
}

async fn log_in(site: &Site, token: &str, next: &str) -> Response {
    let form = format!("token={token}&next={next}");
    let request = site
        .request(Method::POST, "/login", "")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    from(site, request, &site.url).send().await.unwrap()
}

fn cookie(answer: &Response) -> String {
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    for word in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    // This lab is plain http on loopback; a secure cookie would not come back.
    assert!(!cookie.contains("Secure"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_logs_in_once_and_its_token_goes_no_further() {
    let site = Site::start().await;
    let token = link(&site).await;
    let answer = log_in(&site, &token, "%2Fjobs").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], "/jobs");
    assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let cookie = cookie(&answer);
    assert!(!cookie.contains(&token));
    let me = site.request(Method::GET, "/api/v1/me", "");
    let me: Me = site.json(me.header("cookie", &cookie)).await;
    assert_eq!((me.name.as_str(), me.via), ("ann", Via::Session));

    let again = log_in(&site, &token, "").await;
    assert_eq!(again.headers()["location"], "/login?refused=1");
    assert!(!again.headers().contains_key("set-cookie"));
    let guessed = log_in(&site, "guessed", "").await;
    assert_eq!(guessed.headers()["location"], "/login?refused=1");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_acts_for_its_owner_only_from_the_labs_own_pages() {
    let site = Site::start().await;
    let token = link(&site).await;
    let cookie = cookie(&log_in(&site, &token, "").await);
    let cancel = || {
        site.request(Method::POST, "/api/v1/jobs/1/cancel", "")
            .header("cookie", &cookie)
    };
    for foreign in ["https://evil.example", "null"] {
        let answer = from(&site, cancel(), foreign).send().await.unwrap();
        let told = problem(answer, StatusCode::FORBIDDEN).await;
        assert_eq!(told.word(), "foreign-origin");
    }
    // Browsers always say where a POST comes from.
    let silent = cancel().send().await.unwrap();
    problem(silent, StatusCode::FORBIDDEN).await;
    // From here it is a matter of the job, which does not exist.
    let own = from(&site, cancel(), &site.url).send().await.unwrap();
    problem(own, StatusCode::NOT_FOUND).await;
    // Nobody is logged in as somebody else behind his back.
    let token = link(&site).await;
    let request = site
        .request(Method::POST, "/login", "")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={token}"));
    let answer = from(&site, request, "https://evil.example");
    problem(answer.send().await.unwrap(), StatusCode::FORBIDDEN).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_ends_the_session_at_the_server() {
    let site = Site::start().await;
    let token = link(&site).await;
    let cookie = cookie(&log_in(&site, &token, "").await);
    let request = site.request(Method::POST, "/logout", "");
    let request = request.header("cookie", &cookie);
    let answer = from(&site, request, &site.url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let cleared = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(cleared.contains("Max-Age=0"), "{cleared}");
    let me = site.request(Method::GET, "/api/v1/me", "");
    let me = me.header("cookie", &cookie).send().await.unwrap();
    problem(me, StatusCode::UNAUTHORIZED).await;
    site.stop().await;
}
