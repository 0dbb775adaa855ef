//! Callers that stop in the middle of an operation: dropped (a request that took too long), or
//! kept and never driven again (a future beside others in a task that waits for something else).
//! Neither may keep the others from writing.

use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use basalt_store::{JobFilter, NewJob, Store, StoreError, Submitted};

use crate::harness::{Harness, START, new_job};

type Operation = Pin<Box<dyn Future<Output = Result<Submitted, StoreError>> + Send>>;

/// Operations end long before they were driven so often.
const MOST_POLLS: usize = 200;

fn submission(store: &Store, job: &NewJob) -> Operation {
    let (store, job) = (store.clone(), job.clone());
    Box::pin(async move { store.submit(&job, START).await })
}

/// Drives a future until it was polled so often; whether it ended by then.
async fn ends_within(future: &mut Operation, polls: usize) -> bool {
    let mut left = polls;
    std::future::poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(answer) => {
                answer.unwrap();
                Poll::Ready(true)
            }
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Submits, again where the time limit was too short for this machine or somebody has to lose his
/// turn first.
async fn insist(store: &Store, job: &NewJob) {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        match store.submit(job, START).await {
            Ok(Submitted::New { .. } | Submitted::Replayed(_)) => return,
            Ok(other) => panic!("{other:?}"),
            Err(error) => assert!(error.is_transient() && Instant::now() < until, "{error:?}"),
        }
    }
}

/// Every job that was submitted to the end is there once, and no more than was asked for.
async fn jobs_are_whole(store: &Store, names: &[String]) {
    let page = store.jobs(&JobFilter::default(), None, 500).await.unwrap();
    let mut listed: Vec<&str> = page.jobs.iter().map(|job| job.name.as_str()).collect();
    listed.sort_unstable();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(listed, names);
}

async fn left_undriven(harness: Harness) {
    let mut config = harness.config.clone();
    // Who is not driven is waited for so long.
    config.time_limit = Duration::from_secs(1);
    let store = Store::open(&config).await.unwrap();
    let mut names = Vec::new();
    for polls in 1..MOST_POLLS {
        let job = new_job(&format!("left after {polls}"));
        let mut operation = submission(&store, &job);
        let ended = ends_within(&mut operation, polls).await;
        let other = new_job(&format!("beside {polls}"));
        insist(&store, &other).await;
        drop(operation);
        insist(&store, &job).await;
        names.extend([job.name, other.name]);
        if ended {
            jobs_are_whole(&store, &names).await;
            store.close().await;
            return;
        }
    }
    panic!("an operation did not end");
}

async fn dropped(harness: Harness) {
    let mut names = Vec::new();
    for polls in 1..MOST_POLLS {
        let job = new_job(&format!("dropped after {polls}"));
        let mut operation = submission(&harness.store, &job);
        let ended = ends_within(&mut operation, polls).await;
        drop(operation);
        // Not once refused.
        names.push(format!("after {polls}"));
        harness.submit(&names[names.len() - 1]).await;
        insist(&harness.store, &job).await;
        names.push(job.name);
        if ended {
            jobs_are_whole(&harness.store, &names).await;
            return;
        }
    }
    panic!("an operation did not end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_driven_any_more_keeps_nobody_from_writing_to_sqlite() {
    left_undriven(Harness::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_driven_any_more_keeps_nobody_from_writing_to_postgres() {
    left_undriven(Harness::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_keeps_nobody_from_writing_to_sqlite() {
    dropped(Harness::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_keeps_nobody_from_writing_to_postgres() {
    dropped(Harness::postgres().await).await;
}
