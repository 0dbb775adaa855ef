//! Folds go on where they were, and no more of them are kept than is allowed.

use basalt_model::{
    BoardName, BootId, BootNanos, CaseOutcome, CaseResult, Epoch, Outcome, PowerState, Sha256,
    Stamp, UtcMicros,
};
use uuid::Uuid;

use super::*;

fn run(number: u128) -> RunId {
    RunId::from_uuid(Uuid::from_u128(number))
}

fn event((body, seq): (EventBody, u64)) -> Event {
    Event {
        run: run(1),
        seq,
        stamp: Stamp {
            utc: UtcMicros(seq as i64),
            boot: BootNanos(seq),
        },
        boot_id: BootId("boot".into()),
        body,
    }
}

fn started(level: &str, attempt: u32) -> EventBody {
    EventBody::ActionStarted {
        level: level.into(),
        name: "action".into(),
        attempt,
        deadline: BootNanos(1_000),
    }
}

fn done(level: &str, attempt: u32) -> EventBody {
    EventBody::ActionFinished {
        level: level.into(),
        name: "action".into(),
        attempt,
        end: ActionEnd::Done,
        duration_ms: 7,
        failure: None,
    }
}

fn case(name: &str, result: CaseOutcome) -> EventBody {
    EventBody::Result {
        result: CaseResult {
            suite: "boot".into(),
            case: name.into(),
            result,
            attempt: 1,
            set: None,
            measurement: None,
            units: None,
            detail: None,
            reference: None,
        },
    }
}

fn journal() -> Vec<Event> {
    let gap = |offset| EventBody::ConsoleGap {
        offset,
        reason: "the console was away".into(),
    };
    let bodies = vec![
        EventBody::Accepted {
            job_name: "latency".into(),
            board: BoardName::new("board-1"),
            device_type: "simulated".into(),
            job_sha256: Sha256([7; 32]),
            plan_sha256: Sha256([8; 32]),
            timebase: None,
        },
        EventBody::LeaseGranted {
            epoch: Epoch(1),
            console_from: 100,
        },
        started("1", 1),
        gap(120),
        // Killed here, and taken up again.
        started("1", 1),
        started("1.1", 1),
        done("1.1", 1),
        case("first", CaseOutcome::Pass),
        done("1", 1),
        gap(110),
        case("second", CaseOutcome::Fail),
        EventBody::Console {
            span: basalt_model::event::ConsoleSpan { from: 100, to: 130 },
        },
        EventBody::Finished {
            outcome: Outcome::Fail,
            failure: None,
            power: PowerState::Off,
        },
    ];
    bodies.into_iter().zip(1..).map(event).collect()
}

#[test]
fn a_fold_that_goes_on_says_at_each_event_what_a_whole_one_says() {
    let journal = journal();
    let mut folded = Folded::default();
    assert_eq!(folded.results(), Ok(None));
    for (event, count) in journal.iter().zip(1..) {
        folded.add(event, 100);
        let whole = Results::from_events(&journal[..count]).unwrap();
        assert_eq!(folded.results(), Ok(Some(whole)), "after {count} events");
    }
    let gaps = folded.known().unwrap().gaps();
    let gaps: Vec<u64> = gaps.iter().map(|gap| gap.offset).collect();
    assert_eq!(gaps, [10, 20]);
    assert_eq!(folded.seq, journal.len() as u64);
    // What leaves nothing costs nothing.
    assert_eq!(folded.bytes, 100 * (journal.len() - 1));
}

#[test]
fn a_step_that_began_twice_was_interrupted_and_none_goes_on_when_all_is_over() {
    let mut folded = Folded::default();
    let states = |folded: &Folded, is_over| {
        let steps = folded.steps(is_over);
        let states = steps.iter().map(|step| (step.level.clone(), step.state));
        states.collect::<Vec<_>>()
    };
    for event in &journal()[..6] {
        folded.add(event, 100);
    }
    use StepState::{Done, Interrupted, Running};
    let of = |first, second, inner| {
        [("1", first), ("1", second), ("1.1", inner)]
            .map(|(level, state)| (level.to_owned(), state))
    };
    assert_eq!(states(&folded, false), of(Interrupted, Running, Running));
    assert_eq!(
        states(&folded, true),
        of(Interrupted, Interrupted, Interrupted)
    );
    for event in &journal()[6..] {
        folded.add(event, 100);
    }
    assert_eq!(states(&folded, true), of(Interrupted, Done, Done));
}

#[test]
fn a_journal_that_makes_no_results_shows_its_steps_all_the_same() {
    let mut folded = Folded::default();
    for event in &journal()[1..4] {
        folded.add(event, 100);
    }
    let said = folded.results().unwrap_err();
    assert_eq!(said, "the journal does not begin with an accepted run");
    assert!(folded.known().is_none());
    assert_eq!(folded.steps(false).len(), 1);
}

#[test]
fn no_more_is_kept_than_is_allowed_and_what_was_looked_at_last_stays() {
    let folds = Folds::with_limits(100, 3);
    let kept = || {
        let kept = folds.lock();
        let mut runs: Vec<_> = kept.runs.keys().copied().collect();
        runs.sort();
        (runs, kept.bytes)
    };
    let look = |number, bytes| {
        let entry = folds.entry(run(number));
        folds.charge(run(number), &entry, bytes);
        entry
    };
    let first = look(1, 40);
    look(2, 40);
    assert_eq!(kept(), (vec![run(1), run(2)], 80));
    look(1, 40);
    look(3, 40);
    assert_eq!(kept(), (vec![run(1), run(3)], 80));
    look(4, 0);
    look(5, 0);
    assert_eq!(kept(), (vec![run(3), run(4), run(5)], 40));
    // One that was forgotten while somebody had it, and begun again, is another one.
    look(1, 10);
    folds.charge(run(1), &first, 90);
    assert_eq!(kept(), (vec![run(1), run(4), run(5)], 10));
    // What is too large by itself is not kept either.
    look(5, 101);
    assert_eq!(kept(), (vec![], 0));
}
