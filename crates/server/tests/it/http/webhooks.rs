//! Webhooks: told in order, again until they have heard, signed, and only where they may be.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use basalt_api::{CreatedWebhook, Delivery, DeliveryState, Page, WebhookBody, WebhookEvent};
use basalt_model::JobId;
use basalt_server::outbox::signature;
use basalt_store::{Attempt, WebhookId};
use reqwest::Method;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{self, Instant};

use super::site::PATIENCE;
use super::{Site, problem};

/// What a receiver got.
#[derive(Clone, Debug)]
struct Heard {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Heard {
    fn body(&self) -> WebhookBody {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// A receiver that answers what it was told to answer, and 200 after that.
#[derive(Clone)]
struct Receiver {
    heard: Arc<watch::Sender<Vec<Heard>>>,
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
    /// The next delivery is not answered.
    is_silent: Arc<AtomicBool>,
    url: String,
}

impl Receiver {
    async fn start(answers: &[StatusCode]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            heard: Arc::new(watch::Sender::new(Vec::new())),
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
            is_silent: Arc::default(),
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
        };
        let router = Router::new()
            .route("/hook", post(hear))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    async fn silent_once() -> Self {
        let receiver = Self::start(&[]).await;
        receiver.is_silent.store(true, Ordering::SeqCst);
        receiver
    }

    /// What it heard, once that is so much.
    async fn heard(&self, count: usize) -> Vec<Heard> {
        let mut watch = self.heard.subscribe();
        let heard = watch.wait_for(|heard| heard.len() >= count);
        let heard = time::timeout(PATIENCE, heard).await.expect("a delivery");
        heard.unwrap().clone()
    }
}

async fn hear(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(&'static str, &'static str); 1]) {
    let answer = receiver.answers.lock().unwrap().pop_front();
    let heard = Heard {
        headers,
        body: body.to_vec(),
    };
    receiver.heard.send_modify(|all| all.push(heard));
    if receiver.is_silent.swap(false, Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    let elsewhere = [("location", "http://127.0.0.1:1/elsewhere")];
    (answer.unwrap_or(StatusCode::OK), elsewhere)
}

async fn add(site: &Site, url: &str) -> CreatedWebhook {
    let request = site.request(Method::POST, "/api/v1/webhooks", &site.root);
    let events = ["job.submitted", "job.finished"];
    site.json(request.json(&json!({"url": url, "events": events})))
        .await
}

async fn deliveries(site: &Site, webhook: i64) -> Vec<Delivery> {
    let path = format!("/api/v1/webhooks/{webhook}/deliveries");
    let page: Page<Delivery> = site
        .json(site.request(Method::GET, &path, &site.root))
        .await;
    page.items
}

/// Looks until it is as wanted.
async fn until(site: &Site, webhook: i64, wanted: impl Fn(&[Delivery]) -> bool) -> Vec<Delivery> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let all = deliveries(site, webhook).await;
        if wanted(&all) {
            return all;
        }
        assert!(Instant::now() < deadline, "{all:?}");
        time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_in_order_and_can_check_who_tells() {
    let site = Site::start().await;
    let receiver = Receiver::start(&[]).await;
    let webhook = add(&site, &receiver.url).await;
    let mut jobs: Vec<JobId> = Vec::new();
    for _ in 0..5 {
        let job = site.submit().await.id;
        let cancel = site.post(&format!("/api/v1/jobs/{job}/cancel"));
        assert!(cancel.send().await.unwrap().status().is_success());
        jobs.push(job);
    }
    let heard = receiver.heard(10).await;
    let told: Vec<_> = heard
        .iter()
        .map(|one| (one.body().job.unwrap(), one.body().event))
        .collect();
    let expected: Vec<_> = jobs
        .iter()
        .flat_map(|job| {
            [
                (*job, WebhookEvent::JobSubmitted),
                (*job, WebhookEvent::JobFinished),
            ]
        })
        .collect();
    assert_eq!(told, expected);
    let mut ids: Vec<_> = heard.iter().map(|one| one.body().delivery).collect();
    for one in &heard {
        let id = one.header("basalt-delivery");
        assert_eq!(id, one.body().delivery);
        let timestamp: i64 = one.header("basalt-timestamp").parse().unwrap();
        let expected = signature(webhook.secret.as_bytes(), id, timestamp, &one.body);
        assert_eq!(one.header("basalt-signature"), expected);
        assert_eq!(one.body().lab_url, site.url);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10);
    until(&site, webhook.webhook.id, |all| {
        all.len() == 10 && all.iter().all(|one| one.state == DeliveryState::Sent)
    })
    .await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_heard_is_told_again_under_the_same_id_before_anything_later() {
    let site = Site::start().await;
    let answers = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::FOUND];
    let receiver = Receiver::start(&answers).await;
    let webhook = add(&site, &receiver.url).await.webhook.id;
    let first = site.submit().await.id;
    let second = site.submit().await.id;
    let failed = until(&site, webhook, |all| {
        all.iter().any(|one| one.last_error.is_some())
    })
    .await;
    let (waiting, behind) = (&failed[1], &failed[0]);
    assert_eq!(waiting.job, Some(first));
    assert!(waiting.last_error.as_ref().unwrap().contains("500"));
    assert!(waiting.next_utc_us.unwrap() > site.app().now());
    // The later one waits for the earlier one, though it is due.
    assert_eq!((behind.job, behind.attempts), (Some(second), 0));
    let heard = receiver.heard(4).await;
    let ids: Vec<_> = heard.iter().map(|one| one.body().delivery).collect();
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[1], ids[2]);
    assert_eq!(heard[3].body().job, Some(second));
    // The second answer was a redirect, which nobody follows.
    let all = until(&site, webhook, |all| {
        all.iter().all(|one| one.state == DeliveryState::Sent)
    })
    .await;
    assert_eq!(all[1].attempts, 3);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_away_holds_up_no_other() {
    let site = Site::start().await;
    let receiver = Receiver::start(&[]).await;
    // Nobody listens there.
    let gone = add(&site, "http://127.0.0.1:1/").await.webhook.id;
    add(&site, &receiver.url).await;
    let job = site.submit().await.id;
    let heard = receiver.heard(1).await;
    assert_eq!(heard[0].body().job, Some(job));
    until(&site, gone, |all| {
        all.iter().any(|one| one.last_error.is_some())
    })
    .await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_of_a_server_that_died_in_the_middle_is_sent_again_under_the_same_id() {
    let site = Site::start().await;
    // The first delivery is heard, but never answered.
    let receiver = Receiver::silent_once().await;
    let webhook = add(&site, &receiver.url).await.webhook.id;
    let job = site.submit().await.id;
    receiver.heard(1).await;
    let site = site.killed_and_restarted().await;
    let claimed = deliveries(&site, webhook).await;
    assert_eq!(claimed[0].state, DeliveryState::Waiting);
    let store = &site.app().store;
    let row = store.deliveries(WebhookId(webhook), 1).await.unwrap();
    let now = site.app().now();
    // The dead server's claim ends by itself after a minute; here at once.
    let ended = Attempt::Failed {
        error: "its server died".into(),
        again: Some(now),
    };
    store.mark_delivery(row[0].id, &ended, now).await.unwrap();
    let heard = receiver.heard(2).await;
    assert_eq!(heard[0].body().delivery, heard[1].body().delivery);
    assert_eq!(heard[0].body().data, heard[1].body().data);
    assert_eq!(heard[1].body().job, Some(job));
    until(&site, webhook, |all| all[0].state == DeliveryState::Sent).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_make_the_server_talk_to_itself_are_told_nothing() {
    let site = Site::start().await;
    for (url, word) in [
        // `localhost` is 127.0.0.1 first, which this site's settings allow.
        ("http://[::1]:1/", "loopback"),
        ("http://127.1.2.3/", "loopback"),
        ("http://169.254.169.254/latest/meta-data", "link-local"),
        ("http://0.0.0.0:1/", "this host"),
    ] {
        let webhook = add(&site, url).await.webhook.id;
        site.submit().await;
        let all = until(&site, webhook, |all| {
            all.iter().any(|one| one.last_error.is_some())
        })
        .await;
        let error = all.iter().find_map(|one| one.last_error.clone()).unwrap();
        assert!(error.contains(word), "{url}: {error}");
    }
    for url in [
        "file:///etc/passwd",
        "https://me:pw@ci.example/",
        "gopher://x/",
    ] {
        let request = site.request(Method::POST, "/api/v1/webhooks", &site.root);
        let request = request.json(&json!({"url": url, "events": ["job.finished"]}));
        let answer = request.send().await.unwrap();
        let told = problem(answer, reqwest::StatusCode::BAD_REQUEST).await;
        assert!(!told.detail.contains("pw@"), "{told:?}");
    }
    site.stop().await;
}
