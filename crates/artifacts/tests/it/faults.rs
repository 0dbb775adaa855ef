use std::time::Duration;

use crate::server::{Bench, Reply, Server, bench, bench_for, policy, request};

async fn error_of(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (String, String, usize) {
    error_on(bench(), reply).await
}

async fn error_on(
    bench: Bench,
    reply: impl Fn() -> Reply + Send + Sync + 'static,
) -> (String, String, usize) {
    let server = Server::start(move |_, _| reply()).await;
    let error = bench.fetch(&server.request("/Image")).await.unwrap_err();
    let text = error.to_string().replace(&server.url, "URL");
    let fault = if error.is_job_fault() { "job" } else { "lab" };
    assert!(bench.names("objects").is_empty());
    (format!("{} {fault}", error.code()), text, server.requests())
}

#[tokio::test]
async fn a_missing_file_is_the_jobs_fault_and_asked_for_once() {
    let (code, text, requests) = error_of(|| Reply::new(&["404 Not Found"], b"no")).await;
    assert_eq!(code, "download-404 job");
    assert_eq!(
        text,
        "kernel URL/Image: the server answers 404 Not Found; the file is gone or the URL is wrong"
    );
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn a_server_that_wants_credentials_is_said_to() {
    let (code, text, _) = error_of(|| Reply::new(&["403 Forbidden"], b"no")).await;
    assert_eq!(code, "download-denied job");
    assert!(text.contains("state headers in the job"), "{text}");
}

#[tokio::test]
async fn a_broken_server_is_asked_again_and_is_not_the_jobs_fault() {
    let (code, _, requests) = error_of(|| Reply::new(&["503 Busy"], b"")).await;
    assert_eq!(code, "download-server-error lab");
    assert_eq!(requests, 4);
}

#[tokio::test]
async fn a_page_by_its_type_is_no_file() {
    let (code, text, _) = error_of(|| {
        let head = ["200 OK", "Content-Type: text/html; charset=utf-8"];
        Reply::new(&head, b"Please log in")
    })
    .await;
    assert_eq!(code, "download-html job");
    assert_eq!(
        text,
        "kernel URL/Image: the server sends an HTML page (its content type is \"text/html; \
         charset=utf-8\") instead of a file; use the URL of the file itself"
    );
}

#[tokio::test]
async fn a_page_by_its_beginning_is_no_file() {
    for page in [
        "<!DOCTYPE HTML PUBLIC>\n<html>",
        "\u{feff}\n <HTML lang=en>",
    ] {
        let long = page.to_owned() + &" ".repeat(2000);
        for body in [page.to_owned(), long] {
            let (code, text, _) = error_of(move || Reply::ok(body.as_bytes())).await;
            assert_eq!(code, "download-html job");
            assert!(text.contains("it begins with"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_file_that_never_arrives_whole_is_truncated() {
    let (code, text, requests) = error_of(|| Reply::ok(&[7; 1000]).cut(400)).await;
    assert_eq!(code, "download-truncated lab");
    assert!(text.contains("600 bytes arrived of 1000"), "{text}");
    // The first brought something, the other four nothing more.
    assert_eq!(requests, 5);
}

#[tokio::test]
async fn a_server_that_stops_sending_is_left_after_the_bound() {
    let bench = bench_for(Duration::from_millis(500));
    let (code, text, _) = error_on(bench, || Reply::ok(&[7; 1000]).cut(400).hang()).await;
    assert_eq!(code, "download-silent lab");
    assert!(text.contains("sent nothing for 500ms"), "{text}");
}

#[tokio::test]
async fn a_file_larger_than_allowed_is_refused_by_its_announcement_and_by_its_bytes() {
    let announced = || Reply::new(&["200 OK"], &[7; 2000]).cut(2000);
    let unannounced = || Reply::raw(&["200 OK"], &[7; 2000]);
    for reply in [announced, unannounced] {
        let server = Server::start(move |_, _| reply()).await;
        let bench = bench();
        let small = basalt_artifacts::Policy {
            size_limit: 1999,
            ..policy()
        };
        let error = bench.fetch_under(&server.request("/"), &small).await;
        let error = error.unwrap_err();
        assert_eq!(error.code(), "download-too-large", "{error}");
        assert!(bench.names("parts").is_empty());
        assert_eq!(server.requests(), 1);
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_the_labs_fault() {
    let server = Server::start(|_, _| Reply::ok(b"")).await;
    let request = server.request("/Image");
    let address = server.url.trim_start_matches("http://").to_owned();
    drop(server);
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let error = bench().fetch(&request).await.unwrap_err();
    assert_eq!(error.code(), "download-unreachable");
    assert!(!error.is_job_fault());
    assert!(error.to_string().contains("onnection refused"), "{error}");
}

#[tokio::test]
async fn credentials_are_in_no_error() {
    let server = Server::start(|_, _| Reply::new(&["404 Not Found"], b"")).await;
    let url = server.url.replace("http://", "http://me:hush@") + "/Image?token=hush";
    let error = bench().fetch(&request(&url)).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    let sent = &server.heads()[0];
    assert!(sent.contains("token=hush") && sent.contains("authorization: basic"));
}
