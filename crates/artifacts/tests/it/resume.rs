use basalt_artifacts::Request;

use crate::server::{Reply, Server, bench, noise, open, policy};

const ETAG: &str = "ETag: \"v1\"";

/// The rest of a file from where the request says, if it means this version.
fn rest(head: &str, body: &[u8], etag: &str) -> Option<Reply> {
    let line = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim)
    };
    let start: usize = line("range: bytes=")?.trim_end_matches('-').parse().ok()?;
    let tag = etag.trim_start_matches("ETag: ");
    (line("if-range:")? == tag).then(|| {
        let range = format!(
            "Content-Range: bytes {start}-{}/{}",
            body.len() - 1,
            body.len()
        );
        Reply::new(&["206 Partial Content", etag, &range], &body[start..])
    })
}

#[tokio::test]
async fn a_cut_is_resumed_where_it_happened() {
    let body = noise(400_000);
    let served = body.clone();
    let server = Server::start(move |head, number| match number {
        0 => Reply::new(&["200 OK", ETAG], &served).cut(300_000),
        1 => rest(head, &served, ETAG).unwrap().cut(100_000),
        _ => rest(head, &served, ETAG).unwrap(),
    })
    .await;
    let bench = bench();
    let fetched = bench.fetch(&server.request("/Image")).await.unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), body);
    let heads = server.heads();
    assert_eq!(heads.len(), 3);
    assert!(!heads[0].contains("range:"));
    assert!(
        heads[1].contains("range: bytes=100000-\r\n"),
        "{}",
        heads[1]
    );
    assert!(
        heads[2].contains("range: bytes=300000-\r\n"),
        "{}",
        heads[2]
    );
}

#[tokio::test]
async fn a_file_without_a_version_is_begun_again() {
    let body = noise(200_000);
    let served = body.clone();
    let server = Server::start(move |_, number| match number {
        0 => Reply::ok(&served).cut(100_000),
        _ => Reply::ok(&served),
    })
    .await;
    let fetched = bench().fetch(&server.request("/Image")).await.unwrap();
    assert_eq!(fetched.bytes, 200_000);
    assert!(server.heads().iter().all(|head| !head.contains("range:")));
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_not_mixed() {
    let (old, new) = (noise(200_000), vec![9; 150_000]);
    let expected = new.clone();
    let server = Server::start(move |head, number| match number {
        0 => Reply::new(&["200 OK", ETAG], &old).cut(100_000),
        _ => {
            let changed = "ETag: \"v2\"";
            let whole = Reply::new(&["200 OK", changed], &new);
            rest(head, &new, changed).unwrap_or(whole)
        }
    })
    .await;
    let bench = bench();
    let fetched = bench.fetch(&server.request("/Image")).await.unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), expected);
}

#[tokio::test]
async fn what_a_dropped_fetch_left_behind_is_used_by_the_next() {
    let body = noise(400_000);
    let served = body.clone();
    let server = Server::start(move |head, number| match number {
        0 => Reply::new(&["200 OK", ETAG], &served).cut(300_000).hang(),
        _ => rest(head, &served, ETAG).unwrap(),
    })
    .await;
    let bench = bench();
    let request = server.request("/Image");
    {
        let (reached, mut seen) = tokio::sync::watch::channel(0);
        let (policy, report) = (policy(), |step: basalt_artifacts::Progress<'_>| {
            reached.send_replace(step.received);
        });
        let fetch = bench.cache.fetch(&request, &policy, &report);
        tokio::select! {
            result = fetch => panic!("the server hangs, but {result:?}"),
            _ = seen.wait_for(|received| *received == 100_000) => {}
        }
    }
    // As a new process would.
    let cache = open(&bench.directory);
    let fetched = cache.fetch(&request, &policy(), &|_| {}).await.unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), body);
    let range = server.heads()[1].clone();
    let start = range.split("range: bytes=").nth(1).unwrap();
    let start: u64 = start.split('-').next().unwrap().parse().unwrap();
    assert!((1..=100_000).contains(&start), "{start}");
    assert!(bench.names("parts").is_empty());
}

#[tokio::test]
async fn pieces_that_do_not_fit_the_checksum_are_fetched_once_more_in_one() {
    let body = noise(200_000);
    let served = body.clone();
    let server = Server::start(move |head, number| match number {
        0 => Reply::new(&["200 OK", ETAG], &[0; 200_000]).cut(100_000),
        1 => rest(head, &served, ETAG).unwrap(),
        _ => Reply::new(&["200 OK", ETAG], &served),
    })
    .await;
    let bench = bench();
    let digest = {
        let server = Server::start({
            let body = body.clone();
            move |_, _| Reply::ok(&body)
        })
        .await;
        let other = crate::server::bench();
        other.fetch(&server.request("/")).await.unwrap().sha256
    };
    let request = Request {
        checksum: Some(("sha256".to_owned(), digest.to_string())),
        ..server.request("/Image")
    };
    let fetched = bench.fetch(&request).await.unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), body);
    assert_eq!(server.requests(), 3);
}
