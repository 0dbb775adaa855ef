//! The feed: whoever comes again with the last id that he has seen has missed nothing, whatever
//! was committed meanwhile and in which order.

use basalt_api::FeedEvent;
use basalt_model::{BoardName, JobState};
use basalt_private_postgres::{PrivatePostgres, Settings};
use futures::future::join_all;
use reqwest::Method;

use super::Site;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_under_concurrent_commits_on_sqlite() {
    nothing_is_missed(Site::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_under_concurrent_commits_on_postgresql() {
    let start = || PrivatePostgres::start(Settings { fsync: false });
    let postgres = tokio::task::spawn_blocking(start).await.unwrap().unwrap();
    nothing_is_missed(Site::on(Some(postgres.url())).await).await;
}

/// Twelve at once commit jobs and boards' health, small transactions and larger ones; three listen,
/// break off and come again. Each must have seen every number once, in order.
async fn nothing_is_missed(site: Site) {
    let mut idle = site.stream("/api/v1/events?after=0", None).await;
    let before = site.app().feed_last(&basalt_server::Actor::System).await;
    let before = before.unwrap();
    let (sender, canary) = tokio::sync::watch::channel(None);
    let commits = async {
        let submitters = (0..8).map(|_| async {
            for _ in 0..12 {
                site.submit().await;
            }
        });
        let attendants = (0..4).map(|index| {
            let site = &site;
            async move {
                let board = BoardName::new(format!("board-{}", 1 + index % 3));
                for round in 0..12 {
                    let path = format!("/api/v1/boards/{board}/maintenance");
                    let request = site.request(Method::POST, &path, &site.root);
                    let body = serde_json::json!({"on": (round + index) % 2 == 0});
                    // Two may change one board at once; then one of them is told so.
                    request.json(&body).send().await.unwrap();
                }
            }
        });
        tokio::join!(join_all(submitters), join_all(attendants));
        let canary = site.submit().await.id;
        // Known before it dies: nobody waits for what comes after it.
        let _ = sender.send(Some(canary));
        let cancel = format!("/api/v1/jobs/{canary}/cancel");
        site.post(&cancel).send().await.unwrap();
        canary
    };
    let listeners = (0..3).map(|index| listen(&site, before, index, canary.clone()));
    let (canary, seen) = tokio::join!(commits, join_all(listeners));
    for ids in &seen {
        let last = ids.last().copied().unwrap();
        assert_eq!(*ids, (before + 1..=last).collect::<Vec<_>>());
    }
    assert!(seen[0].len() >= 8 * 12, "{}", seen[0].len());
    // One who never broke off, from the very first on.
    let mut expected = 1;
    loop {
        let event = idle.next().await.unwrap();
        let event: FeedEvent = serde_json::from_str(&event.data).unwrap();
        assert_eq!(event.id, expected);
        expected += 1;
        if is_end_of(&event, canary) {
            break;
        }
    }
    site.stop().await;
}

fn is_end_of(event: &FeedEvent, canary: basalt_model::JobId) -> bool {
    event
        .job
        .as_ref()
        .is_some_and(|job| job.id == canary && job.state == JobState::Finished)
}

/// Everything after `after` until the canary has died, over many connections.
async fn listen(
    site: &Site,
    after: i64,
    index: usize,
    canary: tokio::sync::watch::Receiver<Option<basalt_model::JobId>>,
) -> Vec<i64> {
    let mut ids = Vec::new();
    let mut last = after.to_string();
    let mut ended = Vec::new();
    loop {
        let mut stream = site.stream("/api/v1/events", Some(&last)).await;
        for _ in 0..1 + (ids.len() + index * 5) % 11 {
            let Some(event) = stream.next().await else {
                break;
            };
            assert_eq!(event.name, None, "{event:?}");
            last = event.id.clone().unwrap();
            let event: FeedEvent = serde_json::from_str(&event.data).unwrap();
            assert_eq!(event.id.to_string(), last);
            ids.push(event.id);
            if let Some(job) = &event.job
                && job.state == JobState::Finished
            {
                ended.push(job.id);
            }
            // What comes after the canary is nobody's concern here.
            if canary
                .borrow()
                .is_some_and(|canary| ended.contains(&canary))
            {
                return ids;
            }
        }
        if canary
            .borrow()
            .is_some_and(|canary| ended.contains(&canary))
        {
            return ids;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_knows_where_it_stands_before_anything_happens() {
    let site = Site::start().await;
    let path = "/api/v1/events";
    let mut first = site.stream(path, None).await;
    // The id stands alone in the stream; the next event shows that it was read.
    let job = site.submit().await.id;
    let event = first.next().await.unwrap();
    let event: FeedEvent = serde_json::from_str(&event.data).unwrap();
    assert_eq!(event.job.unwrap().id, job);
    // Only one job's events, however many others there are.
    let filtered = format!("/api/v1/events?after=0&job={job}");
    let mut filtered = site.stream(&filtered, None).await;
    site.submit().await;
    site.post(&format!("/api/v1/jobs/{job}/cancel"))
        .send()
        .await
        .unwrap();
    loop {
        let event = filtered.next().await.unwrap();
        let event: FeedEvent = serde_json::from_str(&event.data).unwrap();
        let change = event.job.unwrap();
        assert_eq!(change.id, job);
        if change.state == JobState::Finished {
            break;
        }
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_was_away_for_too_long_is_told_so() {
    let site = Site::start().await;
    for _ in 0..3 {
        site.submit().await;
    }
    let store = &site.app().store;
    let head = store.feed_head().await.unwrap().0;
    let far = basalt_model::UtcMicros(i64::MAX);
    store.trim_feed(far).await.unwrap();
    let mut late = site.stream("/api/v1/events", Some("1")).await;
    let reset = late.next().await.unwrap();
    assert_eq!(reset.name.as_deref(), Some("reset"));
    assert_eq!(reset.id, Some(head.to_string()));
    // And it goes on from there.
    let job = site.submit().await.id;
    let event = late.next().await.unwrap();
    let event: FeedEvent = serde_json::from_str(&event.data).unwrap();
    assert_eq!(event.job.unwrap().id, job);
    // One who has seen more than there is, has seen another feed.
    let mut foreign = site.stream("/api/v1/events", Some("1000000")).await;
    let reset = foreign.next().await.unwrap();
    assert_eq!(reset.name.as_deref(), Some("reset"));
    site.stop().await;
}
