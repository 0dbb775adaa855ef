use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use basalt_artifacts::Request;

use crate::server::{Reply, Server, bench, noise, policy, request};

fn sha256_of(bytes: &[u8]) -> String {
    by_tool("sha256sum", bytes)
}

/// A checksum by coreutils, so that our own code does not vouch for itself.
fn by_tool(tool: &str, bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let output = std::process::Command::new(tool).arg(file.path()).output();
    let output = String::from_utf8(output.unwrap().stdout).unwrap();
    output.split(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_file_is_fetched_named_by_its_digest_and_sealed() {
    let body = noise(300_000);
    let served = body.clone();
    let server = Server::start(move |_, _| Reply::ok(&served)).await;
    let bench = bench();
    let progress = Mutex::new(Vec::new());
    let fetched = bench
        .cache
        .fetch(&server.request("/Image"), &policy(), &|step| {
            assert_eq!(step.label, "kernel");
            progress.lock().unwrap().push((step.received, step.total));
        })
        .await
        .unwrap();
    assert_eq!(std::fs::read(&fetched.path).unwrap(), body);
    assert_eq!(fetched.sha256.to_string(), sha256_of(&body));
    assert_eq!(fetched.download_sha256, fetched.sha256);
    assert_eq!(fetched.bytes, 300_000);
    assert!(!fetched.from_cache);
    let mode = fetched.path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
    assert!(bench.names("parts").is_empty());

    let progress = progress.into_inner().unwrap();
    assert_eq!(progress.first(), Some(&(0, Some(300_000))));
    assert_eq!(progress.last(), Some(&(300_000, Some(300_000))));
    assert!(progress.is_sorted());
}

#[tokio::test]
async fn a_file_that_did_not_change_is_asked_for_and_not_sent_again() {
    let server = Server::start(|head, _| match head.contains("if-none-match: \"1\"") {
        true => Reply::raw(&["304 Not Modified", "ETag: \"1\""], b""),
        false => Reply::new(&["200 OK", "ETag: \"1\""], b"kernel"),
    })
    .await;
    let bench = bench();
    let first = bench.fetch(&server.request("/Image")).await.unwrap();
    let second = bench.fetch(&server.request("/Image")).await.unwrap();
    assert!(second.from_cache);
    assert_eq!(second.path, first.path);
    assert_eq!(second.download_sha256, first.download_sha256);
    assert_eq!(server.requests(), 2);
    assert!(bench.names("parts").is_empty());
}

#[tokio::test]
async fn what_a_server_sends_again_for_want_of_a_validator_makes_no_new_files() {
    let server = Server::start(|_, _| Reply::ok(b"kernel")).await;
    let bench = bench();
    let first = bench.fetch(&server.request("/Image")).await.unwrap();
    let made = bench.inodes();
    let second = bench.fetch(&server.request("/Image")).await.unwrap();
    assert_eq!(server.requests(), 2);
    assert!(!second.from_cache, "it was sent, and compared");
    assert_eq!(second.path, first.path);
    assert_eq!(
        bench.inodes(),
        made,
        "neither object nor index is made anew"
    );
    assert!(bench.names("parts").is_empty());
    // The same bytes from elsewhere are another name of the same object.
    let elsewhere = bench.fetch(&server.request("/Other")).await.unwrap();
    assert_eq!(elsewhere.path, first.path);
    assert_eq!(bench.names("index").len(), 3);
    assert_eq!(bench.names("objects").len(), 1);
}

#[tokio::test]
async fn a_changed_file_replaces_what_the_url_led_to() {
    let server = Server::start(|_, number| match number {
        0 => Reply::new(&["200 OK", "ETag: \"1\""], b"old"),
        _ => Reply::new(&["200 OK", "ETag: \"2\""], b"new"),
    })
    .await;
    let bench = bench();
    let old = bench.fetch(&server.request("/Image")).await.unwrap();
    let new = bench.fetch(&server.request("/Image")).await.unwrap();
    assert!(!new.from_cache);
    assert_eq!(std::fs::read(new.path).unwrap(), b"new");
    assert_eq!(std::fs::read(old.path).unwrap(), b"old");
}

#[tokio::test]
async fn a_known_checksum_needs_no_network() {
    let server = Server::start(|_, _| Reply::ok(b"kernel")).await;
    let bench = bench();
    for (algorithm, tool) in [
        ("sha512", "sha512sum"),
        ("md5", "md5sum"),
        ("sha256", "sha256sum"),
    ] {
        let digits = by_tool(tool, b"kernel").to_uppercase();
        let stated = Request {
            checksum: Some((algorithm.to_owned(), digits)),
            ..server.request("/Image")
        };
        let before = server.requests();
        let fetched = bench.fetch(&stated).await.unwrap();
        // Every download makes its SHA-256 known.
        let known = algorithm == "sha256";
        assert_eq!(fetched.from_cache, known);
        let elsewhere = Request {
            url: "http://nobody.invalid/".to_owned(),
            ..stated
        };
        assert!(bench.fetch(&elsewhere).await.unwrap().from_cache);
        assert_eq!(server.requests() - before, usize::from(!known));
    }
}

#[tokio::test]
async fn a_wrong_checksum_says_what_was_expected_and_what_came() {
    let server = Server::start(|_, _| Reply::ok(b"kernel")).await;
    let bench = bench();
    for (algorithm, tool, length) in [
        ("md5", "md5sum", 32),
        ("sha256", "sha256sum", 64),
        ("sha512", "sha512sum", 128),
    ] {
        let expected = "0".repeat(length);
        let error = bench
            .fetch(&Request {
                checksum: Some((algorithm.to_owned(), expected.clone())),
                ..server.request("/Image")
            })
            .await
            .unwrap_err();
        assert_eq!(error.code(), "checksum-mismatch");
        assert!(error.is_job_fault());
        let text = error.to_string();
        let got = by_tool(tool, b"kernel");
        assert!(text.contains(&expected) && text.contains(&got), "{text}");
    }
    assert!(bench.names("objects").is_empty());
    assert!(bench.names("parts").is_empty());
}

#[tokio::test]
async fn an_object_that_was_damaged_is_fetched_again() {
    let server = Server::start(|_, _| Reply::ok(b"kernel")).await;
    let bench = bench();
    let stated = Request {
        checksum: Some(("sha256".to_owned(), sha256_of(b"kernel"))),
        ..server.request("/Image")
    };
    let fetched = bench.fetch(&stated).await.unwrap();
    std::fs::remove_file(&fetched.path).unwrap();
    std::fs::write(&fetched.path, b"ker").unwrap();
    let again = bench.fetch(&stated).await.unwrap();
    assert!(!again.from_cache);
    assert_eq!(std::fs::read(again.path).unwrap(), b"kernel");
}

#[tokio::test]
async fn many_at_once_get_the_same_file() {
    let body = noise(100_000);
    let served = body.clone();
    let server = Server::start(move |_, _| Reply::ok(&served)).await;
    let bench = std::sync::Arc::new(bench());
    let fetches: Vec<_> = (0..8)
        .map(|_| {
            let (bench, request) = (bench.clone(), server.request("/Image"));
            tokio::spawn(async move { bench.fetch(&request).await })
        })
        .collect();
    for fetch in fetches {
        let fetched = fetch.await.unwrap().unwrap();
        assert_eq!(std::fs::read(fetched.path).unwrap(), body);
    }
    assert_eq!(bench.names("objects").len(), 1);
    assert!(bench.names("parts").is_empty());
}

#[tokio::test]
async fn what_many_want_at_once_is_downloaded_once() {
    let body = noise(100_000);
    let served = body.clone();
    let server = Server::start(move |_, _| Reply::ok(&served)).await;
    let bench = std::sync::Arc::new(bench());
    let fetches: Vec<_> = (0..8)
        .map(|_| {
            let stated = Request {
                checksum: Some(("sha256".to_owned(), sha256_of(&body))),
                ..server.request("/Image")
            };
            let bench = bench.clone();
            tokio::spawn(async move { bench.fetch(&stated).await })
        })
        .collect();
    for fetch in fetches {
        let fetched = fetch.await.unwrap().unwrap();
        assert_eq!(std::fs::read(fetched.path).unwrap(), body);
    }
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn requests_that_make_no_sense_name_their_mistake() {
    let bench = bench();
    let stated = |algorithm: &str, digits: &str| Request {
        checksum: Some((algorithm.to_owned(), digits.to_owned())),
        ..request("http://127.0.0.1/")
    };
    let cases = [
        (request("Image"), "bad URL"),
        (stated("sha1", "00"), "none of md5, sha256, sha512"),
        (stated("sha256", "0123"), "has 64"),
        (
            Request {
                compression: Some("zip".to_owned()),
                ..request("http://127.0.0.1/")
            },
            "\"zip\" is none of",
        ),
        (
            Request {
                headers: vec![("a b".to_owned(), String::new())],
                ..request("http://127.0.0.1/")
            },
            "header \"a b\"",
        ),
    ];
    for (request, mistake) in cases {
        let error = bench.fetch(&request).await.unwrap_err();
        assert_eq!(error.code(), "download-bad-request");
        assert!(error.to_string().contains(mistake), "{error}");
    }
    let error = bench.fetch(&request("ftp://host/x")).await.unwrap_err();
    assert_eq!(error.code(), "download-scheme");
}
