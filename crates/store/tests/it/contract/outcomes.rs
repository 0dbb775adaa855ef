use basalt_model::{
    BoardName, BoardState, CaseOutcome, CaseResult, Health, JobState, LeaseState, Outcome, Verdict,
};
use basalt_store::{
    Batch, Canceled, Fence, Fenced, LatencyRow, LeaseAnswer, RunBatch, RunDisposition, RunFate,
    TrendFilter,
};

use crate::harness::{Given, Harness, at, ended, events, finished, lost};

fn of(run: RunBatch) -> Batch {
    Batch {
        runs: vec![run],
        ..Batch::default()
    }
}

fn refused(given: Given) -> RunBatch {
    refused_unless(given, Some(2))
}

fn refused_unless(given: Given, max_attempts: Option<u32>) -> RunBatch {
    RunBatch {
        answer: Some(LeaseAnswer::Refused {
            code: "board-held".into(),
            message: "basalt run has it".into(),
            max_attempts,
            end: lost(),
        }),
        ..given.batch()
    }
}

pub async fn a_refused_job_waits_again_until_it_had_its_attempts(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let job = harness.submit("one").await;
    let given = harness.grant(job, "b1").await;
    let report = harness
        .store
        .commit(&of(refused(given)), at(2))
        .await
        .unwrap();
    assert_eq!(report.runs[0].lease, LeaseState::Refused);
    assert_eq!(report.runs[0].ended, Some(RunDisposition::Requeued));
    assert!(report.runs[0].board_freed);
    assert_eq!(harness.job(job).await.state, JobState::Scheduling);
    assert_eq!(harness.board("b1").await.state, BoardState::Idle);
    // Asked again, it does not fall back a second time.
    let again = harness
        .store
        .commit(&of(refused(given)), at(2))
        .await
        .unwrap();
    assert_eq!(again.runs[0].ended, Some(RunDisposition::Requeued));
    let given = harness.grant(job, "b1").await;
    assert_eq!(given.attempt, 2);
    let report = harness
        .store
        .commit(&of(refused(given)), at(3))
        .await
        .unwrap();
    let end = RunDisposition::Finished(Outcome::Incomplete);
    assert_eq!(report.runs[0].ended, Some(end));
    assert_eq!(harness.job(job).await.health, Health::Incomplete);
    let runs = harness.store.runs_of_job(job).await.unwrap();
    let attempts: Vec<_> = runs
        .iter()
        .map(|run| (run.attempt, run.disposition))
        .collect();
    assert_eq!(
        attempts,
        [(1, Some(RunDisposition::Requeued)), (2, Some(end))]
    );
    assert_eq!(
        runs[0].end_reason.as_deref(),
        Some("board-held: basalt run has it")
    );
}

pub async fn a_refusal_that_costs_nothing_does_not_count_as_an_attempt(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let job = harness.submit("one").await;
    for attempt in 1..=4 {
        let given = harness.grant(job, "b1").await;
        assert_eq!(given.attempt, attempt);
        let free = of(refused_unless(given, None));
        // The answer was lost once: it is taken once.
        for _ in 0..2 {
            let report = harness.store.commit(&free, at(2)).await.unwrap();
            assert_eq!(report.runs[0].ended, Some(RunDisposition::Requeued));
        }
        assert_eq!(harness.job(job).await.state, JobState::Scheduling);
    }
    // Of two that count, there have been none.
    let mut ends = Vec::new();
    for _ in 0..2 {
        let given = harness.grant(job, "b1").await;
        let report = harness.store.commit(&of(refused(given)), at(3)).await;
        ends.push(report.unwrap().runs[0].ended);
    }
    let end = RunDisposition::Finished(Outcome::Incomplete);
    assert_eq!(ends, [Some(RunDisposition::Requeued), Some(end)]);
}

pub async fn a_canceled_job_does_not_wait_again(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let (job, given) = harness.run("one", "b1").await;
    let canceled = harness
        .store
        .request_cancel(job, "ada", "enough", at(1))
        .await
        .unwrap();
    assert!(matches!(canceled, Canceled::Ending { .. }));
    let accepted = RunBatch {
        answer: Some(LeaseAnswer::Accepted),
        ..given.batch()
    };
    harness.store.commit(&of(accepted), at(2)).await.unwrap();
    assert_eq!(harness.job(job).await.state, JobState::Canceling);
    let mut batch = given.whole();
    batch.ended = Some(basalt_store::RunEnded {
        end: lost(),
        requeue: Some(5),
        ..ended(3, 5)
    });
    let report = harness.store.commit(&of(batch), at(3)).await.unwrap();
    let end = RunDisposition::Finished(Outcome::Canceled);
    assert_eq!(report.runs[0].ended, Some(end));
    let job = harness.job(job).await;
    assert_eq!(
        (job.state, job.health),
        (JobState::Finished, Health::Canceled)
    );
}

pub async fn a_lost_run_frees_its_board_and_is_heard_no_more(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let (job, given) = harness.run("one", "b1").await;
    let begun = RunBatch {
        events: events(1, 2),
        ..given.batch()
    };
    harness.store.commit(&of(begun), at(2)).await.unwrap();
    let fence = Fence {
        reason: "its dispatcher is silent".into(),
        max_attempts: 5,
        end: lost(),
    };
    let fenced = harness
        .store
        .fence(given.run, &fence, at(200))
        .await
        .unwrap();
    let Fenced::Now {
        disposition,
        board,
        feed,
        ..
    } = fenced
    else {
        panic!("{fenced:?}");
    };
    assert_eq!(disposition, RunDisposition::Requeued);
    assert_eq!(board, BoardName::new("b1"));
    assert_eq!(feed.len(), 2);
    assert!(matches!(
        harness.store.fence(given.run, &fence, at(201)).await,
        Ok(Fenced::Already)
    ));
    let next = harness.grant(job, "b1").await;
    // The lost one comes back, and says that it went well.
    let report = harness
        .store
        .commit(&of(given.whole()), at(202))
        .await
        .unwrap();
    assert_eq!(
        (report.runs[0].fate, report.runs[0].events_seq),
        (RunFate::Fenced, 2)
    );
    let now = harness.job(job).await;
    assert_eq!(
        (now.state, now.run, now.attempts),
        (JobState::Scheduled, Some(next.run), 2)
    );
    assert_eq!(harness.board("b1").await.run, Some(next.run));
}

pub async fn results_are_read_as_they_came(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let (_, given) = harness.run("one", "b1").await;
    let case = |name: &str, result, measurement| CaseResult {
        suite: "0_idle".into(),
        case: name.into(),
        result,
        measurement,
        units: Some("us".into()),
        set: None,
        attempt: 1,
        detail: None,
        reference: None,
    };
    let cases: Vec<_> = (0..90)
        .map(|number| case(&format!("case {number}"), CaseOutcome::Pass, Some(0.1)))
        .chain([case("last", CaseOutcome::Fail, None)])
        .collect();
    let mut batch = given.whole();
    batch.ended = Some(basalt_store::RunEnded {
        cases: cases.clone(),
        latency: vec![point("0_idle", 5), point("1_load", 6)],
        results: "{\"version\":1,\"what\":\"ever\"}".into(),
        ..ended(3, 5)
    });
    harness.store.commit(&of(batch), at(2)).await.unwrap();
    assert_eq!(harness.store.cases(given.run).await.unwrap(), cases);
    let results = harness.store.results(given.run).await.unwrap();
    assert_eq!(
        results.as_deref(),
        Some("{\"version\":1,\"what\":\"ever\"}")
    );
    let latency = harness.store.latency_of_run(given.run).await.unwrap();
    let rows: Vec<_> = latency.into_iter().map(|stored| stored.row).collect();
    assert_eq!(rows, [point("0_idle", 5), point("1_load", 6)]);
}

fn point(suite: &str, seconds: i64) -> LatencyRow {
    LatencyRow {
        suite: suite.into(),
        phase: "idle".into(),
        measure: "cyclictest".into(),
        loads: "idle".into(),
        verdict: Verdict::Pass,
        samples: Some(1000),
        max_us: Some(seconds.unsigned_abs()),
        p9999_us: None,
        p9999_at_least: true,
        limit_us: Some(100),
        kernel: "6.12.0-rt".into(),
        timebase: Some("virtual (icount shift=3)".into()),
        measured: at(seconds),
        min_us: Some(1),
        avg_ns: Some(1_500),
        p99_us: Some(2),
        p99_at_least: false,
        kernel_version: Some("#1 SMP PREEMPT_RT".into()),
        image_sha256: Some("09".repeat(32)),
        record: "{\"version\":1}".into(),
    }
}

pub async fn a_trend_shows_the_newest_points_in_their_order(harness: Harness) {
    let harness = harness.with_boards(2).await;
    for number in 0..5 {
        let board = if number == 2 { "b2" } else { "b1" };
        let (_, given) = harness.run("one", board).await;
        let batch = RunBatch {
            events: events(1, 1),
            finished: Some(finished(1)),
            ended: Some(basalt_store::RunEnded {
                latency: vec![point("0_idle", number), point("1_load", number)],
                ..ended(1, 0)
            }),
            ..given.batch()
        };
        harness.store.commit(&of(batch), at(number)).await.unwrap();
    }
    let board = BoardName::new("b1");
    let filter = TrendFilter {
        suite: Some("0_idle".into()),
        ..TrendFilter::default()
    };
    let points = harness
        .store
        .latency_trend(&board, &filter, 3)
        .await
        .unwrap();
    let seen: Vec<_> = points.iter().map(|point| point.row.max_us).collect();
    assert_eq!(seen, [Some(1), Some(3), Some(4)]);
    let one = &points[0].row;
    assert_eq!(
        (one.min_us, one.avg_ns, one.p99_us),
        (Some(1), Some(1_500), Some(2))
    );
    assert_eq!(one.image_sha256.as_deref(), Some(&*"09".repeat(32)));
    assert_eq!(
        points[0].row.record, "",
        "a trend does not read whole records"
    );
    let filter = TrendFilter {
        from: Some(at(1)),
        to: Some(at(4)),
        ..TrendFilter::default()
    };
    let points = harness
        .store
        .latency_trend(&board, &filter, 100)
        .await
        .unwrap();
    assert_eq!(points.len(), 4);
}
