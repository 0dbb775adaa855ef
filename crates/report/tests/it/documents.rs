use basalt_model::event::{ActionEnd, ConsoleSpan, PowerRequest};
use basalt_model::{
    BootId, BootNanos, CaseOutcome, CaseResult, Culprit, Epoch, Event, EventBody, Failure, Outcome,
    Part, PowerState, Sha256, Stamp, UtcMicros, Verdict,
};
use basalt_realtime::LatencyRecord;
use basalt_report::{FoldError, Results, junit, outcome};

use crate::{idle, loaded, stock};

pub(crate) fn journal(bodies: Vec<EventBody>) -> Vec<Event> {
    let accepted = EventBody::Accepted {
        job_name: "latency <rt> & load".into(),
        board: basalt_model::BoardName::new("qemu-1"),
        device_type: "qemu-arm64".into(),
        job_sha256: Sha256([2; 32]),
        plan_sha256: Sha256([3; 32]),
        timebase: Some("virtual (icount shift=3)".into()),
    };
    std::iter::once(accepted)
        .chain(bodies)
        .zip(1..)
        .map(|(body, seq)| Event {
            run: "0193a1b2-7c00-7000-8000-000000000001"
                .parse()
                .expect("a UUID"),
            seq,
            stamp: Stamp {
                utc: UtcMicros(1_763_900_000_000_000 + seq as i64 * 1_000_000),
                boot: BootNanos(seq),
            },
            boot_id: BootId("b".into()),
            body,
        })
        .collect()
}

fn case(suite: &str, name: &str, result: CaseOutcome, attempt: u32) -> EventBody {
    EventBody::Result {
        result: CaseResult {
            suite: suite.into(),
            case: name.into(),
            result,
            measurement: None,
            units: None,
            set: None,
            attempt,
            detail: None,
            reference: None,
        },
    }
}

pub(crate) fn phase(record: LatencyRecord) -> EventBody {
    EventBody::PhaseFinished {
        level: "3".into(),
        phase: record.phase.clone(),
        index: 0,
        verdict: record.verdict,
        reason: record.reason.clone(),
        record: serde_json::to_value(&record).expect("a record is JSON"),
    }
}

fn action(level: &str, name: &str, attempt: u32, failure: Option<Failure>) -> [EventBody; 2] {
    let started = EventBody::ActionStarted {
        level: level.into(),
        name: name.into(),
        attempt,
        deadline: BootNanos(9),
    };
    let finished = EventBody::ActionFinished {
        level: level.into(),
        name: name.into(),
        attempt,
        end: if failure.is_some() {
            ActionEnd::Failed
        } else {
            ActionEnd::Done
        },
        duration_ms: 1500,
        failure: failure.map(Box::new),
    };
    [started, finished]
}

fn finished(outcome: Outcome, failure: Option<Failure>) -> EventBody {
    EventBody::Finished {
        outcome,
        failure: failure.map(Box::new),
        power: PowerState::Off,
    }
}

fn panic_failure() -> Failure {
    let mut failure = Failure::infrastructure(Part::Board, "reset", "the board reset");
    failure.action = Some("realtime-phase".into());
    failure.last_lines = vec!["U-Boot 2023.01 <again>".into(), "\u{1b}[1mDRAM".into()];
    failure
}

#[test]
fn a_journal_becomes_results_that_survive_their_json() {
    let mut bodies = vec![EventBody::LeaseGranted {
        epoch: Epoch(4),
        console_from: 100,
    }];
    bodies.extend(action("1", "tftp-deploy", 1, Some(panic_failure())));
    bodies.extend(action("1", "tftp-deploy", 2, None));
    bodies.extend([
        EventBody::ConsoleGap {
            offset: 20,
            reason: "before this run".into(),
        },
        EventBody::ConsoleGap {
            offset: 150,
            reason: "keeper was killed".into(),
        },
        EventBody::PayloadStarted {
            level: "3".into(),
            name: "idle".into(),
            attempt: 2,
        },
        EventBody::RawFile {
            path: "raw/0_idle.json".into(),
            sha256: Sha256([1; 32]),
            bytes: 7,
            board_sha256: Sha256([1; 32]),
            via: "tftp".into(),
        },
        phase(idle()),
        EventBody::PowerOutcome {
            request: PowerRequest::Off,
            state: PowerState::Off,
            error: None,
        },
        EventBody::Console {
            span: ConsoleSpan { from: 100, to: 300 },
        },
        finished(Outcome::Pass, None),
    ]);
    let results = Results::from_events(&journal(bodies)).unwrap();
    assert_eq!(
        (results.outcome, results.power),
        (Outcome::Pass, PowerState::Off)
    );
    let ends: Vec<_> = results
        .actions
        .iter()
        .map(|one| (one.attempt, one.end))
        .collect();
    assert_eq!(
        ends,
        [(1, Some(ActionEnd::Failed)), (2, Some(ActionEnd::Done))]
    );
    let console = results.console.as_ref().unwrap();
    assert_eq!(
        (console.from, console.bytes, console.gaps.len()),
        (100, 200, 1)
    );
    assert_eq!(console.gaps[0].offset, 50);
    assert!(
        results
            .cases
            .iter()
            .all(|one| one.suite == "0_idle" && one.attempt == 2)
    );
    assert_eq!(results.phases, [idle()]);
    assert_eq!(results.raw_files[0].via, "tftp");
    let read: Results = serde_json::from_str(&results.to_json()).unwrap();
    assert_eq!(read, results);
}

#[test]
fn only_the_last_attempt_of_a_suite_counts() {
    let bodies = vec![
        case("0_smoke", "boots", CaseOutcome::Fail, 1),
        case("0_smoke", "boots", CaseOutcome::Pass, 2),
    ];
    let results = Results::from_events(&journal(bodies)).unwrap();
    assert_eq!(results.outcome, Outcome::Pass);
    assert_eq!(results.cases.len(), 2);
    assert_eq!(results.counted_cases().len(), 1);
}

#[test]
fn the_outcome_follows_its_order() {
    let canceled = Failure::new(Culprit::Canceled, "canceled", "by the user");
    let broken = panic_failure();
    let none: [CaseResult; 0] = [];
    let all = [Verdict::Fail, Verdict::Invalid, Verdict::Pass];
    assert_eq!(outcome(all, Some(&canceled), &none), Outcome::Canceled);
    assert_eq!(outcome(all, Some(&broken), &none), Outcome::Incomplete);
    assert_eq!(outcome(all, None, &none), Outcome::Fail);
    assert_eq!(
        outcome([Verdict::Invalid, Verdict::Pass], None, &none),
        Outcome::Invalid
    );
    assert_eq!(
        outcome([Verdict::Measured, Verdict::Pass], None, &none),
        Outcome::Pass
    );
    let EventBody::Result { mut result } = case("1_ltp", "fork", CaseOutcome::Fail, 1) else {
        unreachable!("a result")
    };
    assert_eq!(outcome([Verdict::Invalid], None, [&result]), Outcome::Fail);
    result.suite = "lava".into();
    assert_eq!(outcome([Verdict::Pass], None, [&result]), Outcome::Pass);
}

#[test]
fn a_journal_that_does_not_begin_with_accepted_is_refused() {
    assert!(matches!(
        Results::from_events(&[]),
        Err(FoldError::NotAccepted)
    ));
    let tail = journal(vec![finished(Outcome::Pass, None)]).split_off(1);
    assert!(matches!(
        Results::from_events(&tail),
        Err(FoldError::NotAccepted)
    ));
}

#[test]
fn junit_holds_numbers_verdicts_and_the_failure() {
    let mut bodies: Vec<_> = action("1", "tftp-deploy", 1, None).into();
    bodies.extend([
        phase(idle()),
        case("1_smoke", "boots", CaseOutcome::Skip, 1),
    ]);
    bodies.extend(action("3", "realtime", 1, Some(panic_failure())));
    bodies.push(finished(Outcome::Incomplete, Some(panic_failure())));
    let results = Results::from_events(&journal(bodies)).unwrap();
    insta::assert_snapshot!("junit-incomplete", junit(&results).unwrap());
}

#[test]
fn junit_counts_a_bad_number_as_failure_and_a_worthless_one_as_error() {
    let count = |record: LatencyRecord| {
        let bodies = vec![phase(record), finished(Outcome::Pass, None)];
        let results = Results::from_events(&journal(bodies)).unwrap();
        let text = junit(&results).unwrap();
        (
            text.matches("<failure ").count(),
            text.matches("<error ").count(),
        )
    };
    assert_eq!(count(idle()), (0, 0));
    // The thread's maximum, the maximum of all, the verdict.
    assert_eq!(count(loaded()), (3, 0));
    assert_eq!(count(stock()), (0, 1));
}
