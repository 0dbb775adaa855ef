//! Who may what, over the wire.

use basalt_api::{CreatedToken, Me, NewToken, Page, Token, Via};
use basalt_model::{Role, UserName};
use reqwest::{Method, StatusCode};

use super::document::operations;
use super::{Site, problem};

/// What only administrators may do; every other operation is for every account.
const ADMINISTRATORS: &[&str] = &[
    "GET /api/v1/audit",
    "GET /api/v1/users",
    "GET /api/v1/webhooks",
    "GET /api/v1/webhooks/4711",
    "GET /api/v1/webhooks/4711/deliveries",
    "PATCH /api/v1/users/nobody",
    "PATCH /api/v1/webhooks/4711",
    "DELETE /api/v1/webhooks/4711",
    "POST /api/v1/boards/nobody/maintenance",
    "POST /api/v1/dispatchers",
    "POST /api/v1/dispatchers/nobody/mode",
    "POST /api/v1/lab/apply",
    "POST /api/v1/lab/diff",
    "POST /api/v1/users",
    "POST /api/v1/webhooks",
];

fn body(path: &str) -> Option<&'static str> {
    Some(match path {
        "/api/v1/boards/nobody/maintenance" => r#"{"on": true}"#,
        "/api/v1/dispatchers" => r#"{"name": "nobody"}"#,
        "/api/v1/dispatchers/nobody/mode" => r#"{"mode": "active"}"#,
        "/api/v1/lab/apply" | "/api/v1/lab/diff" => r#"{"files": []}"#,
        "/api/v1/users" => r#"{"name": "ben", "role": "user"}"#,
        "/api/v1/users/nobody" => "{}",
        "/api/v1/webhooks" => r#"{"url": "https://x.example/", "events": ["job.finished"]}"#,
        "/api/v1/webhooks/4711" => "{}",
        "/api/v1/tokens" => r#"{"label": "x"}"#,
        "/api/v1/jobs" | "/api/v1/jobs/validate" => r#"{"definition": "job_name: x"}"#,
        _ => return None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_open_to_whom_it_is_meant_for_and_to_nobody_else() {
    let site = Site::start().await;
    let mut refused = Vec::new();
    for (method, path, _) in operations() {
        let ask = async |token: &str| {
            let mut request = site.request(method.clone(), &path, token);
            if let (Some(body), true) = (body(&path), method != Method::GET) {
                request = request
                    .header("content-type", "application/json")
                    .body(body);
            }
            request.send().await.unwrap()
        };
        let word = problem(ask("").await, StatusCode::UNAUTHORIZED).await;
        assert_eq!(word.word(), "not-logged-in", "{method} {path}");
        problem(ask("bslt_wrong").await, StatusCode::UNAUTHORIZED).await;
        let user = ask(&site.ann).await.status();
        match user {
            StatusCode::FORBIDDEN => refused.push(format!("{method} {path}")),
            StatusCode::UNAUTHORIZED => panic!("{method} {path} does not know ann"),
            status => assert!(!status.is_server_error(), "{method} {path}: {status}"),
        }
        let administrator = ask(&site.root).await.status();
        assert!(
            !matches!(
                administrator,
                StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED
            ) && !administrator.is_server_error(),
            "{method} {path}: {administrator}"
        );
    }
    refused.sort_unstable();
    let mut expected = ADMINISTRATORS.to_vec();
    expected.sort_unstable();
    assert_eq!(refused, expected);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once_listed_without_its_secret_and_ends_when_revoked() {
    let site = Site::start().await;
    let new = NewToken {
        label: "ci".into(),
        user: None,
        expires_utc_us: None,
    };
    let created: CreatedToken = site.json(site.post("/api/v1/tokens").json(&new)).await;
    let me = site.request(Method::GET, "/api/v1/me", &created.secret);
    let me: Me = site.json(me).await;
    let ann = UserName::new("ann");
    assert_eq!((me.name, me.role, me.via), (ann, Role::User, Via::Token));
    let listed = site.get("/api/v1/tokens").send().await.unwrap();
    let text = listed.text().await.unwrap();
    assert!(!text.contains(&created.secret));
    let tokens: Page<Token> = serde_json::from_str(&text).unwrap();
    assert!(tokens.items.iter().any(|one| one.id == created.token.id));
    let path = format!("/api/v1/tokens/{}", created.token.id);
    // Another's token is not his to end.
    let other = site.account("ben", Role::User).await;
    let refused = site.request(Method::DELETE, &path, &other);
    let status = refused.send().await.unwrap().status();
    assert!(
        matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND),
        "{status}"
    );
    let revoked = site.request(Method::DELETE, &path, &site.ann);
    let status = revoked.send().await.unwrap().status();
    assert_eq!(status, StatusCode::NO_CONTENT);
    let me = site.request(Method::GET, "/api/v1/me", &created.secret);
    problem(me.send().await.unwrap(), StatusCode::UNAUTHORIZED).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatchers_token_opens_nothing_of_the_api() {
    let site = Site::start().await;
    let request = site.request(Method::POST, "/api/v1/dispatchers", &site.root);
    let request = request.json(&serde_json::json!({"name": "rack-2"}));
    let token: basalt_api::DispatcherToken = site.json(request).await;
    for (method, path, _) in operations() {
        if method != Method::GET {
            continue;
        }
        let answer = site.request(method, &path, &token.token).send().await;
        problem(answer.unwrap(), StatusCode::UNAUTHORIZED).await;
    }
    site.stop().await;
}
