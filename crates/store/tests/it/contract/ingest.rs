use basalt_model::{BoardState, DispatcherName, Epoch, JobState, LeaseState, Outcome, RunId};
use basalt_store::{Batch, LeaseAnswer, RunBatch, RunDisposition, RunFate};
use uuid::Uuid;

use crate::harness::{Harness, at, ended, events, finished, log};

fn of(runs: Vec<RunBatch>) -> Batch {
    Batch {
        runs,
        ..Batch::default()
    }
}

pub async fn a_small_run_costs_few_transactions(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let before = harness.store.transactions();
    let (job, given) = harness.run("one", "b1").await;
    let report = harness
        .store
        .commit(&of(vec![given.whole()]), at(2))
        .await
        .unwrap();
    // Submitted, granted, ingested; and nothing a line.
    assert_eq!(harness.store.transactions() - before, 3);
    let run = &report.runs[0];
    assert_eq!(
        (run.fate, run.events_seq, run.log_line),
        (RunFate::Taken, 3, 5)
    );
    assert_eq!(run.log_cursor.as_deref(), Some("after 5"));
    assert_eq!(run.ended, Some(RunDisposition::Finished(Outcome::Pass)));
    assert!(run.finished && run.board_freed);
    assert_eq!(run.lease, LeaseState::Ended);
    let states: Vec<_> = report
        .feed
        .iter()
        .map(|entry| entry.data.as_str())
        .collect();
    assert_eq!(
        states,
        [
            r#"{"state":"running"}"#,
            r#"{"state":"running"}"#,
            r#"{"power":"off"}"#,
            r#"{"state":"idle"}"#,
            r#"{"state":"finished","outcome":"pass"}"#,
        ]
    );
    let job = harness.job(job).await;
    assert_eq!(
        (job.state, job.outcome),
        (JobState::Finished, Some(Outcome::Pass))
    );
    assert_eq!((job.started, job.finished), (Some(at(2)), Some(at(2))));
    let board = harness.board("b1").await;
    assert_eq!(
        (board.state, board.lease, board.job),
        (BoardState::Idle, None, None)
    );
    let run = harness.store.run(given.run).await.unwrap().unwrap();
    assert_eq!(
        run.disposition,
        Some(RunDisposition::Finished(Outcome::Pass))
    );
    assert!(harness.store.open_runs().await.unwrap().is_empty());
}

pub async fn only_what_follows_on_is_taken(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let (_, given) = harness.run("one", "b1").await;
    let mut batch = given.batch();
    batch.events = events(2, 4);
    batch.logs = vec![log(3, 2, 1)];
    let report = harness
        .store
        .commit(&of(vec![batch.clone()]), at(2))
        .await
        .unwrap();
    assert_eq!((report.runs[0].events_seq, report.runs[0].log_line), (0, 0));
    batch.events = events(1, 2).into_iter().chain(events(4, 5)).collect();
    batch.logs = vec![log(1, 2, 1), log(4, 1, 1)];
    let report = harness
        .store
        .commit(&of(vec![batch.clone()]), at(2))
        .await
        .unwrap();
    assert_eq!((report.runs[0].events_seq, report.runs[0].log_line), (2, 2));
    batch.events = events(1, 5);
    // It reaches over what is there: it cannot be cut, so the sender begins where he is told to.
    batch.logs = vec![log(2, 4, 1)];
    let report = harness.store.commit(&of(vec![batch]), at(2)).await.unwrap();
    assert_eq!((report.runs[0].events_seq, report.runs[0].log_line), (5, 2));
    assert_eq!(report.runs[0].log_cursor.as_deref(), Some("after 2"));
    let stored = harness.store.events(given.run, 1, 100).await.unwrap();
    assert_eq!(stored, events(1, 5));
    let some = harness.store.events(given.run, 3, 2).await.unwrap();
    assert_eq!(some, events(3, 4));
}

pub async fn what_comes_twice_is_there_once(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let (job, given) = harness.run("one", "b1").await;
    let batch = of(vec![given.whole()]);
    let first = harness.store.commit(&batch, at(2)).await.unwrap();
    let again = harness.store.commit(&batch, at(3)).await.unwrap();
    assert_eq!(again.feed, []);
    let (mut first, again) = (first.runs[0].clone(), again.runs[0].clone());
    assert!(first.board_freed && !again.board_freed);
    first.board_freed = false;
    assert_eq!(first, again);
    assert_eq!(harness.job(job).await.finished, Some(at(2)));
    let stored = harness.store.events(given.run, 1, 100).await.unwrap();
    assert_eq!(stored, events(1, 3));
}

pub async fn nothing_is_taken_from_a_stranger(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let (job, given) = harness.run("one", "b1").await;
    let mut foreign = given.whole();
    foreign.dispatcher = DispatcherName::new("other");
    let mut old = given.whole();
    old.epoch = Epoch(given.epoch.0 - 1);
    let mut unknown = given.whole();
    unknown.run = RunId::from_uuid(Uuid::now_v7());
    for (batch, fate) in [
        (foreign, RunFate::NotOwner),
        (old, RunFate::NotOwner),
        (unknown, RunFate::Unknown),
    ] {
        let report = harness.store.commit(&of(vec![batch]), at(2)).await.unwrap();
        assert_eq!(report.runs[0].fate, fate);
        assert_eq!(report.runs[0].events_seq, 0);
        assert_eq!(report.feed, []);
    }
    assert_eq!(harness.job(job).await.state, JobState::Scheduled);
}

pub async fn a_board_is_free_before_its_job_has_ended(harness: Harness) {
    let harness = harness.with_boards(2).await;
    let (job, given) = harness.run("one", "b1").await;
    let (_, other) = harness.run("two", "b2").await;
    let accepted = RunBatch {
        answer: Some(LeaseAnswer::Accepted),
        ..given.batch()
    };
    // A run that is silent so far stands beside it.
    let report = harness
        .store
        .commit(&of(vec![accepted, other.batch()]), at(2))
        .await
        .unwrap();
    assert_eq!(report.runs[0].lease, LeaseState::Active);
    assert_eq!(report.runs[1].lease, LeaseState::Granted);
    assert_eq!(harness.board("b1").await.state, BoardState::Running);
    assert_eq!(harness.job(job).await.state, JobState::Running);
    let over = RunBatch {
        events: events(1, 4),
        finished: Some(finished(4)),
        ..given.batch()
    };
    let report = harness.store.commit(&of(vec![over]), at(3)).await.unwrap();
    assert!(report.runs[0].board_freed);
    assert_eq!(report.runs[0].ended, None);
    assert_eq!(harness.board("b1").await.state, BoardState::Idle);
    assert_eq!(harness.job(job).await.state, JobState::Running);
    // The next job has the board before this one's files have arrived.
    let (_, next) = harness.run("three", "b1").await;
    assert_eq!(next.epoch, Epoch(2));
    let end = RunBatch {
        ended: Some(ended(4, 0)),
        ..given.batch()
    };
    let report = harness.store.commit(&of(vec![end]), at(4)).await.unwrap();
    assert!(!report.runs[0].board_freed);
    assert_eq!(harness.job(job).await.state, JobState::Finished);
    let board = harness.board("b1").await;
    assert_eq!(
        (board.state, board.run),
        (BoardState::Reserved, Some(next.run))
    );
}

pub async fn an_end_waits_for_what_is_missing(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let (job, given) = harness.run("one", "b1").await;
    let mut batch = given.whole();
    batch.events = events(1, 2);
    let report = harness
        .store
        .commit(&of(vec![batch.clone()]), at(2))
        .await
        .unwrap();
    assert!(!report.runs[0].finished && report.runs[0].ended.is_none());
    batch.events = events(3, 3);
    batch.logs.clear();
    batch.ended = Some(ended(3, 6));
    let report = harness
        .store
        .commit(&of(vec![batch.clone()]), at(3))
        .await
        .unwrap();
    assert!(report.runs[0].finished && report.runs[0].ended.is_none());
    batch.logs = vec![log(6, 1, 1)];
    let report = harness.store.commit(&of(vec![batch]), at(4)).await.unwrap();
    assert!(report.runs[0].ended.is_some());
    assert_eq!(harness.job(job).await.finished, Some(at(4)));
}
