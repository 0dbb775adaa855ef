use basalt_artifacts::{Policy, Request};

use crate::server::{Reply, Server, bench, policy, request};

fn redirect(location: &str) -> Reply {
    Reply::new(&["302 Found", &format!("Location: {location}")], b"")
}

#[tokio::test]
async fn redirects_are_followed_and_headers_stay_with_their_host() {
    let target = Server::start(|_, _| Reply::ok(b"kernel")).await;
    let elsewhere = format!("{}/real", target.url);
    let server = Server::start(move |_, number| match number {
        0 => redirect("/second"),
        _ => redirect(&elsewhere),
    })
    .await;
    let request = Request {
        headers: vec![("PRIVATE-TOKEN".to_owned(), "hush".to_owned())],
        ..server.request("/first")
    };
    let bench = bench();
    let fetched = bench.fetch(&request).await.unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), b"kernel");
    assert!(server.heads().iter().all(|head| head.contains("hush")));
    assert!(!target.heads()[0].contains("hush"));
    assert!(target.heads()[0].starts_with("get /real "));
}

#[tokio::test]
async fn loopback_is_refused_unless_the_lab_allows_it() {
    let server = Server::start(|_, _| Reply::ok(b"secret")).await;
    let strict = Policy {
        allow_hosts: Vec::new(),
        ..policy()
    };
    let port = server.url.rsplit(':').next().unwrap();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0.0.0.0",
    ] {
        let request = request(&format!("http://{host}:{port}/"));
        let error = bench().fetch_under(&request, &strict).await.unwrap_err();
        assert_eq!(error.code(), "download-forbidden-host", "{host}: {error}");
        assert!(error.is_job_fault());
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_redirect_to_loopback_is_refused_before_connecting() {
    let target = Server::start_at("127.0.0.2:0", |_, _| Reply::ok(b"secret")).await;
    let location = target.url.clone();
    let server = Server::start(move |_, _| redirect(&location)).await;
    let error = bench().fetch(&server.request("/")).await.unwrap_err();
    assert_eq!(error.code(), "download-forbidden-host");
    assert!(error.to_string().contains("127.0.0.2"), "{error}");
    assert_eq!(target.requests(), 0);
}

#[tokio::test]
async fn hosts_of_the_lab_are_refused() {
    let bench = bench();
    let cache = bench
        .cache
        .clone()
        .with_forbidden_hosts(vec!["192.0.2.7".to_owned()]);
    let request = request("http://192.0.2.7/cm?cmnd=Power1%20Off");
    let error = cache.fetch(&request, &policy(), &|_| {}).await.unwrap_err();
    assert_eq!(error.code(), "download-forbidden-host");
    assert!(error.to_string().contains("relay or console"), "{error}");
}

#[tokio::test]
async fn redirects_that_lead_nowhere_end() {
    let cases = [
        ("/again", "more than 10 redirects", 11),
        ("file:///etc/passwd", "a redirect to a file: URL", 1),
    ];
    for (location, reason, requests) in cases {
        let server = Server::start(move |_, _| redirect(location)).await;
        let error = bench().fetch(&server.request("/")).await.unwrap_err();
        assert_eq!(error.code(), "download-redirect");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(server.requests(), requests);
    }
}
