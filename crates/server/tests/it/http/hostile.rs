//! Requests that nobody sends by mistake.

use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;

use super::site::PATIENCE;
use super::{Site, problem};

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_or_of_a_wrong_kind_is_a_problem() {
    let site = Site::start().await;
    let yaml = |body: Vec<u8>| {
        let request = site.post("/api/v1/jobs");
        request
            .header("content-type", "application/yaml")
            .body(body)
    };
    let large = yaml(vec![b'#'; 2 * 1024 * 1024]).send().await.unwrap();
    problem(large, StatusCode::PAYLOAD_TOO_LARGE).await;
    // A lab may be larger than a job.
    let lab = site.request(Method::POST, "/api/v1/lab/diff", &site.root);
    let text = "#".repeat(2 * 1024 * 1024);
    let lab = lab.json(&serde_json::json!({"files": [{"path": "lab.yaml", "text": text}]}));
    assert_ne!(
        lab.send().await.unwrap().status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let bytes = yaml(b"job_name: \xff".to_vec()).send().await.unwrap();
    let told = problem(bytes, StatusCode::BAD_REQUEST).await;
    assert!(told.detail.contains("UTF-8"), "{told:?}");
    let untyped = site.post("/api/v1/jobs").body("job_name: x");
    let untyped = untyped.send().await.unwrap();
    problem(untyped, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    let form = site.post("/api/v1/jobs");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let form = form.body("definition=x").send().await.unwrap();
    problem(form, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_does_not_fit_is_a_problem_that_names_the_field() {
    let site = Site::start().await;
    let root = |path: &str| site.request(Method::POST, path, &site.root);
    for (path, body, named) in [
        ("/api/v1/jobs", r#"{"definition": 7}"#, "definition"),
        (
            "/api/v1/jobs",
            r#"{"definition": "x", "priorty": 1}"#,
            "priorty",
        ),
        ("/api/v1/jobs", r#"["#, "EOF"),
        ("/api/v1/users", r#"{"name": "x", "role": "king"}"#, "king"),
        ("/api/v1/lab/diff", r#"{"files": {}}"#, "files"),
        (
            "/api/v1/webhooks",
            r#"{"url": "x", "events": ["all"]}"#,
            "all",
        ),
    ] {
        let request = root(path).header("content-type", "application/json");
        let answer = request.body(body).send().await.unwrap();
        let told = problem(answer, StatusCode::BAD_REQUEST).await;
        assert!(told.detail.contains(named), "{body}: {told:?}");
    }
    // Deep nesting is refused by its depth, not by an overflow of the stack.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let request = root("/api/v1/jobs").header("content-type", "application/json");
    let answer = request.body(deep).send().await.unwrap();
    problem(answer, StatusCode::BAD_REQUEST).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_parameters_that_name_nothing_are_problems() {
    let site = Site::start().await;
    let run = site.seed().await.run;
    for path in [
        "/api/v1/jobs/abc".into(),
        "/api/v1/jobs/-1".into(),
        "/api/v1/jobs/99999999999999999999999".into(),
        "/api/v1/jobs/%00".into(),
        "/api/v1/jobs/7/log".into(),
        "/api/v1/runs/7".into(),
        "/api/v1/runs/0193a1b2-7c00-7000-8000-000000000001/log".into(),
        "/api/v1/boards/%2e%2e%2f%2e%2e".into(),
        "/api/v1/boards/%ff".into(),
        format!("/api/v1/boards/{}", "x".repeat(5000)),
        format!("/api/v1/runs/{run}/files/..%2f..%2f..%2fetc%2fpasswd"),
        format!("/api/v1/runs/{run}/files/%2fetc%2fpasswd"),
        format!("/api/v1/runs/{run}/files/raw%5c..%5cx"),
        format!("/api/v1/runs/{run}/files/%00"),
    ] {
        let path: String = path;
        let answer = site.get(&path).send().await.unwrap();
        let status = answer.status();
        assert!(
            matches!(status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST),
            "{path}: {status}"
        );
        problem(answer, status).await;
    }
    for path in [
        "/api/v1/jobs?stat=running".into(),
        "/api/v1/jobs?state=flying".into(),
        "/api/v1/jobs?outcome=good".into(),
        "/api/v1/jobs?limit=0".into(),
        "/api/v1/jobs?limit=501".into(),
        "/api/v1/jobs?limit=x".into(),
        "/api/v1/jobs?cursor=%27%3B--".into(),
        "/api/v1/queue?limit=0".into(),
        format!("/api/v1/runs/{run}/log?level=loud"),
        format!("/api/v1/runs/{run}/log?from=0"),
        format!("/api/v1/runs/{run}/log?from=99999999999999999999"),
        format!("/api/v1/runs/{run}/log?format=xml"),
        format!("/api/v1/runs/{run}/log?q={}", "x".repeat(2000)),
        format!("/api/v1/runs/{run}/log/stream?to=7"),
    ] {
        let path: String = path;
        let answer = site.get(&path).send().await.unwrap();
        problem(answer, StatusCode::BAD_REQUEST).await;
    }
    let answer = site.get("/api/v1/events").header("last-event-id", "x");
    problem(answer.send().await.unwrap(), StatusCode::BAD_REQUEST).await;
    site.stop().await;
}

/// What a client cannot send through a library: the path as it is.
#[tokio::test(flavor = "multi_thread")]
async fn dots_in_a_path_lead_nowhere() {
    let site = Site::start().await;
    let address = site.url.strip_prefix("http://").unwrap();
    for path in [
        "/api/v1/../../etc/passwd",
        "/api/v1/runs/x/files/../../../../../etc/passwd",
        "//etc/passwd",
        "/api/v1/jobs/1/../../openapi.json/..",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
             Connection: close\r\n\r\n",
            site.ann
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        time::timeout(PATIENCE, read).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
        assert!(!answer.contains("root:"), "{path}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_browsers_what_these_pages_never_do() {
    let site = Site::start().await;
    for path in ["/api/v1/me", "/api/v1/jobs/abc", "/healthz"] {
        let answer = site.get(path).send().await.unwrap();
        let headers = answer.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "same-origin");
        assert_eq!(headers["cache-control"], "private, no-cache");
        assert!(headers.contains_key("x-request-id"));
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_compressed_for_who_takes_it_and_heads_have_no_body() {
    let site = Site::start().await;
    let request = site.get("/api/v1/openapi.json");
    let answer = request
        .header("accept-encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    // A problem is written anew on its way out, and is what its headers say all the same.
    let none = site
        .get("/api/v1/jobs/99999")
        .header("accept-encoding", "gzip");
    let none = none.send().await.unwrap();
    assert_eq!(none.status(), StatusCode::NOT_FOUND);
    let packed = none.headers().contains_key("content-encoding");
    let body = none.bytes().await.unwrap();
    assert_eq!(body.starts_with(&[0x1f, 0x8b]), packed, "{body:?}");
    assert!(packed, "{body:?}");
    let head = site.request(Method::HEAD, "/api/v1/jobs", &site.ann);
    let head = head.send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(head.bytes().await.unwrap().len(), 0);
    site.stop().await;
}
