//! What only a database server of its own can suffer: it is killed, frozen, restarted.

use std::collections::BTreeSet;
use std::time::Duration;

use basalt_model::{JobId, UtcMicros};
use basalt_private_postgres::{PrivatePostgres, Settings};
use basalt_store::{Batch, FeedId, JobFilter, RunBatch, Store, StoreError, Submitted};

use crate::harness::{Given, Harness, START, at, database_in, events, log, new_job};

/// Asks again and again until the database is back.
async fn insist<T, F>(mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    let until = std::time::Instant::now() + Duration::from_secs(120);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) if error.is_transient() => {
                assert!(std::time::Instant::now() < until, "{error}");
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

async fn cluster() -> PrivatePostgres {
    // Commits reach the disk: what was answered must survive.
    let start = || PrivatePostgres::start(Settings { fsync: true });
    let cluster = tokio::task::spawn_blocking(start).await.unwrap();
    cluster.unwrap_or_else(|error| panic!("{error}"))
}

async fn harness_in(cluster: &PrivatePostgres) -> Harness {
    let url = database_in(cluster);
    Harness::open(url, tempfile::tempdir().unwrap(), None).await
}

async fn submit_until_known(store: &Store, count: usize) -> Vec<JobId> {
    let mut jobs = Vec::new();
    for number in 0..count {
        let job = new_job(&format!("job {number}"));
        jobs.push(match insist(|| store.submit(&job, START)).await {
            Submitted::New { job, .. } | Submitted::Replayed(job) => job.id,
            Submitted::Conflict { .. } => panic!("the request is the same"),
        });
    }
    jobs
}

async fn ingest_until_known(store: &Store, given: Given, count: u64) {
    for number in 1..=count {
        let batch = Batch {
            runs: vec![RunBatch {
                events: events(number, number),
                logs: vec![log(number * 10 - 9, 10, 1)],
                ..given.batch()
            }],
            ..Batch::default()
        };
        let report = insist(|| store.commit(&batch, at(2))).await;
        assert_eq!(report.runs[0].events_seq, number);
        assert_eq!(report.runs[0].log_line, number * 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_for_happens_once_though_the_server_is_killed_again_and_again() {
    let mut cluster = cluster().await;
    let harness = harness_in(&cluster).await.with_boards(1).await;
    let (_, given) = harness.run("one", "b1").await;
    let submitter = tokio::spawn({
        let store = harness.store.clone();
        async move { submit_until_known(&store, 300).await }
    });
    let ingester = tokio::spawn({
        let store = harness.store.clone();
        async move { ingest_until_known(&store, given, 300).await }
    });
    let mut kills = 0;
    let mut reached = FeedId(0);
    while !(submitter.is_finished() && ingester.is_finished()) {
        // Each life of the server gets at least something done.
        let head = insist(|| harness.store.feed_head()).await;
        if head > reached && !submitter.is_finished() {
            reached = FeedId(head.0 + 20);
            cluster = tokio::task::spawn_blocking(move || {
                cluster.restart().unwrap();
                cluster
            })
            .await
            .unwrap();
            kills += 1;
        }
        tokio::task::yield_now().await;
    }
    let jobs = submitter.await.unwrap();
    ingester.await.unwrap();
    assert!(kills > 2, "{kills} kills prove nothing");
    let distinct: BTreeSet<_> = jobs.iter().collect();
    assert_eq!(distinct.len(), 300);
    let listed = harness
        .store
        .jobs(&JobFilter::default(), None, 1000)
        .await
        .unwrap();
    assert_eq!(listed.jobs.len(), 301, "none twice");
    let stored = harness.store.events(given.run, 1, 1000).await.unwrap();
    assert_eq!(stored, events(1, 300));
    let mut reader = harness.store.read_log(given.run, 1, u32::MAX);
    let mut lines = 0;
    while let Some(chunk) = reader.next().await.unwrap() {
        assert_eq!(chunk.from_line, lines + 1);
        lines += chunk.lines;
    }
    assert_eq!(lines, 3000);
    let feed = harness.store.feed(FeedId(0), 10_000).await.unwrap();
    let ids: Vec<_> = feed.iter().map(|entry| entry.id.0).collect();
    assert_eq!(ids, (1..=ids.len() as i64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_waited_for_no_longer_than_agreed() {
    let cluster = cluster().await;
    let mut harness = harness_in(&cluster).await;
    harness.config.time_limit = Duration::from_secs(1);
    let store = Store::open(&harness.config).await.unwrap();
    let job = new_job("one");
    store.submit(&job, START).await.unwrap();
    cluster.freeze().unwrap();
    let mut asked = Vec::new();
    // More than there are connections.
    for number in 0..30 {
        let (store, job) = (store.clone(), new_job(&format!("frozen {number}")));
        asked.push(tokio::spawn(async move {
            let answer = store.submit(&job, START).await;
            (job, answer.map(drop))
        }));
    }
    let read = store.feed_head().await.unwrap_err();
    assert!(read.is_transient(), "{read:?}");
    let mut jobs = Vec::new();
    for one in asked {
        let (job, answer) = one.await.unwrap();
        let error = answer.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        jobs.push(job);
    }
    cluster.thaw().unwrap();
    for job in &jobs {
        insist(|| store.submit(job, START)).await;
    }
    let all = JobFilter::default();
    let listed = insist(|| store.jobs(&all, None, 100)).await;
    assert_eq!(listed.jobs.len(), 31, "none is lost, none is there twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_open_an_empty_database_at_once_both_find_its_tables() {
    let cluster = cluster().await;
    let url = database_in(&cluster);
    let directory = tempfile::tempdir().unwrap();
    let objects = directory.path().display().to_string();
    let config = basalt_store::StoreConfig::new(url, objects);
    let (one, two) = tokio::join!(Store::open(&config), Store::open(&config));
    for store in [one.unwrap(), two.unwrap()] {
        assert_eq!(store.feed_head().await.unwrap(), FeedId(0));
        store
            .note("ada", "test", "x", "{}", UtcMicros(1))
            .await
            .unwrap();
    }
}
