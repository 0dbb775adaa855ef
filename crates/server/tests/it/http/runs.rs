//! Runs as they are shown, again and again.

use basalt_api::{Run, RunResults};
use basalt_model::{CaseOutcome, CaseResult, EventBody, Sha256};

use super::Site;

fn accepted() -> EventBody {
    EventBody::Accepted {
        job_name: "latency".into(),
        board: basalt_model::BoardName::new("board-1"),
        device_type: "simulated".into(),
        job_sha256: Sha256([7; 32]),
        plan_sha256: Sha256([8; 32]),
        timebase: None,
    }
}

fn case(number: usize) -> EventBody {
    EventBody::Result {
        result: CaseResult {
            suite: "many".into(),
            case: format!("case-{number}"),
            result: CaseOutcome::Pass,
            measurement: None,
            units: None,
            set: None,
            attempt: 1,
            detail: None,
            reference: None,
        },
    }
}

fn banner(number: usize) -> EventBody {
    EventBody::KernelBanner {
        line: format!("Linux version 6.12.0-rt{number}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_many_events_is_folded_once_and_then_only_what_is_new() {
    const MANY: usize = 100_000;
    let site = Site::start().await;
    let seeded = site.seed().await;
    seeded.happen([accepted()]).await;
    seeded.happen((0..MANY - 1).map(case)).await;
    let path = format!("/api/v1/runs/{}", seeded.run);
    let shown = async || site.json::<Run>(site.get(&path)).await;

    let run = shown().await;
    assert_eq!((run.events, run.kernel_banners.len()), (MANY as u64, 0));
    assert_eq!(site.app().events_folded(), MANY as u64);
    for _ in 0..3 {
        assert_eq!(shown().await, run);
    }
    // The results so far come from the same fold.
    let results = site.get(&format!("{path}/results"));
    let results: RunResults = site.json(results).await;
    assert_eq!(results.cases.len(), MANY - 1);
    assert_eq!(site.app().events_folded(), MANY as u64, "asked again");

    seeded.happen([banner(1), banner(2)]).await;
    let run = shown().await;
    assert_eq!(run.kernel_banners.len(), 2);
    assert_eq!(site.app().events_folded(), MANY as u64 + 2);

    // Many at once make it once too.
    seeded.happen([banner(3)]).await;
    let asked = (0..8).map(|_| shown());
    for run in futures::future::join_all(asked).await {
        assert_eq!(run.kernel_banners.len(), 3);
    }
    assert_eq!(site.app().events_folded(), MANY as u64 + 3);
    site.stop().await;
}
