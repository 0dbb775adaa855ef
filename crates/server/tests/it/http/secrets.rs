//! Secrets are said once, to whom they belong, and nowhere else.

use basalt_api::{CreatedToken, CreatedWebhook, DispatcherToken, LoginLink};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::Site;
use super::document::operations;
use super::site::logged;

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_stands_in_an_answer_or_in_the_log() {
    let site = Site::start().await;
    let root = |path: &str| site.request(Method::POST, path, &site.root);
    let token: CreatedToken = site
        .json(root("/api/v1/tokens").json(&json!({"label": "ci"})))
        .await;
    let link: LoginLink = site.json(root("/api/v1/login-links")).await;
    let dispatcher: DispatcherToken = site
        .json(root("/api/v1/dispatchers").json(&json!({"name": "rack-2"})))
        .await;
    let webhook: CreatedWebhook = site
        .json(root("/api/v1/webhooks").json(&json!({
            "url": "https://ci.example/?token=hook-token-in-the-address",
            "events": ["job.finished"],
        })))
        .await;
    let login = link.url.split_once("?token=").unwrap().1.to_owned();
    let form = site
        .request(Method::POST, "/login", "")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin")
        .body(format!("token={login}"));
    let answer = form.send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    let session = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    assert!(session.len() >= 32, "{cookie}");
    // Whoever opens the link by hand, or guesses: its query is not written down either.
    site.client.get(&link.url).send().await.unwrap();
    let wrong = "bslt_a-token-that-nobody-has";
    let refused = site.request(Method::GET, "/api/v1/me", wrong);
    let refused = refused.send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(!refused.text().await.unwrap().contains(wrong));

    let secrets = [
        site.ann.clone(),
        site.root.clone(),
        token.secret,
        login,
        session.clone(),
        dispatcher.token,
        webhook.secret,
        "hook-token-in-the-address".into(),
        wrong.into(),
    ];
    for (method, path, _) in operations() {
        if method != Method::GET || path.ends_with("/stream") || path == "/api/v1/events" {
            continue;
        }
        let path = path.replace("nobody", "board-1").replace("4711", "1");
        let answer = site.request(method, &path, &site.root).send().await;
        let answer = answer.unwrap();
        let headers = format!("{:?}", answer.headers());
        let body = answer.bytes().await.unwrap();
        let body = String::from_utf8_lossy(&body);
        for secret in &secrets {
            assert!(!body.contains(secret), "{path}: {body}");
            assert!(!headers.contains(secret), "{path}: {headers}");
        }
    }
    site.stop().await;
    let log = logged();
    // The log is captured at all.
    assert!(log.contains("answered"), "{log}");
    for secret in &secrets {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}
