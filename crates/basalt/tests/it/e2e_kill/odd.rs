//! Kills where nobody expects them: twice, between intent and outcome, in the last second, while
//! somebody else has the board.

use std::time::Duration;

use basalt_model::EventBody;
use basalt_model::event::PowerRequest;

use super::cell::{Again, Cell, Victim};
use super::{MEASURES, SUITES, begins, measures, perform_all, two_phases};
use crate::e2e_harness::{Board, Finished, Job, Site, definition, phase, until};

struct Odd {
    name: &'static str,
    job: fn(Job) -> Job,
    perform: fn(&Cell, &Site) -> String,
}

const ODDS: [Odd; 13] = [
    Odd {
        name: "in its first moments",
        job: two_phases,
        perform: in_its_first_moments,
    },
    Odd {
        name: "canceled, then killed",
        job: two_phases,
        perform: canceled_then_killed,
    },
    Odd {
        name: "killed again and again",
        job: two_phases,
        perform: again_and_again,
    },
    Odd {
        name: "killed while booting anew",
        job: two_phases,
        perform: while_booting_anew,
    },
    Odd {
        name: "intent without outcome",
        job: two_phases,
        perform: intent_without_outcome,
    },
    Odd {
        name: "torn tail",
        job: two_phases,
        perform: torn_tail,
    },
    Odd {
        name: "in finalize",
        job: two_phases,
        perform: in_finalize,
    },
    Odd {
        name: "before its results",
        job: two_phases,
        perform: before_its_results,
    },
    Odd {
        name: "among test cases",
        job: test_cases,
        perform: among_test_cases,
    },
    Odd {
        name: "among test cases, both",
        job: test_cases,
        perform: among_test_cases_both,
    },
    Odd {
        name: "board lent to another run",
        job: two_phases,
        perform: board_lent,
    },
    Odd {
        name: "keeper killed thrice",
        job: two_phases,
        perform: keeper_thrice,
    },
    Odd {
        name: "asked to end",
        job: two_phases,
        perform: asked_to_end,
    },
];

/// Whether an event is a signal with this in its text.
fn signals(event: &serde_json::Value, part: &str) -> bool {
    event["kind"] == "signal"
        && event["text"]
            .as_str()
            .is_some_and(|text| text.contains(part))
}

fn again_and_again(cell: &Cell, _: &Site) -> String {
    let kernel = |event: &serde_json::Value| event["kind"] == "kernel_banner";
    cell.hold("Machine model");
    cell.kill_held(cell.start(), Victim::Run, "the kernel", kernel);
    cell.hold("Loading: ");
    cell.kill_held(
        cell.again(Again::Resume),
        Victim::Both,
        "the loader",
        |event| begins(event, "bootloader-commands"),
    );
    cell.hold(MEASURES);
    let running = cell.again(Again::SameCommand);
    cell.wait_held(&running, "idle", |event| measures(event, "3.1"));
    assert!(cell.kill(running, Victim::Run).is_none());
    // At once after it came back, to a board that still stands where it stood.
    cell.kill_at(cell.again(Again::Resume), Victim::Run, "resumed", |event| {
        event["kind"] == "resumed"
    });
    // In the middle of the line that starts the second payload.
    cell.hold("phase-1/run-1");
    cell.kill_held(cell.again(Again::Resume), Victim::Run, "load", |event| {
        begins(event, "realtime-phase") && event["level"] == "3.2"
    });
    let finished = cell.again(Again::Resume).wait();
    cell.check(&finished, &SUITES);
    assert_eq!(finished.results().0["resumed"], 5);
    assert_eq!(cell.counters(), (2, 3));
    "5 kills, 3 boots, 2 measured".into()
}

fn in_its_first_moments(cell: &Cell, _: &Site) -> String {
    let mut journals = 0;
    for milliseconds in (20..=320).step_by(20) {
        // A directory that is there can be resumed, however early it was left.
        let running = match cell.output.exists() {
            true => cell.again(Again::Resume),
            false => cell.start(),
        };
        // What is tried is the moment, not a condition.
        std::thread::sleep(Duration::from_millis(milliseconds));
        cell.kill(running, Victim::Run);
        journals += u32::from(cell.output.join("journal").exists());
    }
    let finished = cell.start().wait();
    cell.check(&finished, &SUITES);
    assert_eq!(cell.counters().0, 2);
    format!("16 kills, {journals} of them with a journal")
}

fn canceled_then_killed(cell: &Cell, site: &Site) -> String {
    cell.hold(MEASURES);
    let running = cell.start();
    cell.wait_held(&running, "idle", |event| measures(event, "3.1"));
    running.signal("INT");
    cell.wait_for(&running, "the end of the block", |event| {
        event["kind"] == "action_finished" && event["level"] == "3"
    });
    cell.kill(running, Victim::Run);
    cell.let_go();
    let finished = cell.again(Again::SameCommand).wait();
    // Where it was quicker than the kill there is nothing to go on with.
    finished.expect_code(if finished.stdout.is_empty() { 64 } else { 4 });
    assert!(cell.stands().finished.is_some());
    let results = finished.results();
    assert_eq!((results.outcome(), results.power()), ("canceled", "off"));
    assert!(!site.rack.has_power(&cell.board));
    "still canceled, off".into()
}

fn while_booting_anew(cell: &Cell, site: &Site) -> String {
    cell.hold(MEASURES);
    cell.kill_held(cell.start(), Victim::Run, "idle", |event| {
        measures(event, "3.1")
    });
    cell.wait_measured(1);
    let off = "{\"on\": false}";
    site.rack
        .ask("POST", &format!("/boards/{}/power", cell.board), off);
    cell.hold("basalt-environment");
    cell.kill_held(cell.again(Again::Resume), Victim::Run, "a shell", |event| {
        begins(event, "environment-record")
    });
    // The board is up again, but the payload of the first boot is not on it.
    let finished = cell.again(Again::Resume).wait();
    cell.check(&finished, &SUITES);
    // Lost with the power, and both phases.
    assert_eq!(cell.counters().0, 3);
    "3 measured, one lost".into()
}

fn intent_without_outcome(cell: &Cell, _: &Site) -> String {
    let kernel = |event: &serde_json::Value| event["kind"] == "kernel_banner";
    cell.hold("Machine model");
    cell.kill_held(cell.start(), Victim::Run, "the kernel", kernel);
    let events = cell.events();
    let intent = events
        .iter()
        .rfind(|event| matches!(event.body, EventBody::PowerIntent { .. }))
        .unwrap();
    cell.cut_journal(&cell.journal(), intent.seq, 6);
    assert_eq!(cell.stands().power_intent, Some(PowerRequest::On));
    let finished = cell.again(Again::SameCommand).wait();
    cell.check(&finished, &SUITES);
    assert_eq!(cell.counters(), (2, 2));
    "2 boots, 2 measured".into()
}

fn torn_tail(cell: &Cell, _: &Site) -> String {
    cell.hold_at(MEASURES, 2);
    cell.kill_held(cell.start(), Victim::Run, "load", |event| {
        measures(event, "3.2")
    });
    let last = cell.events().last().unwrap().seq;
    cell.cut_journal(&cell.journal(), last - 1, 9);
    assert_eq!(cell.events().last().unwrap().seq, last - 1);
    let finished = cell.again(Again::Resume).wait();
    cell.check(&finished, &SUITES);
    assert_eq!(cell.counters(), (2, 1));
    "1 boot, 2 measured".into()
}

fn in_finalize(cell: &Cell, site: &Site) -> String {
    cell.start().wait().expect_code(0);
    let events = cell.events();
    let journal = cell.journal();
    let number = |wanted: fn(&EventBody) -> bool| {
        let found = events.iter().rfind(|event| wanted(&event.body));
        found.unwrap().seq
    };
    let first = number(|body| matches!(body, EventBody::PhaseFinished { .. }));
    let last = number(|body| matches!(body, EventBody::Finished { .. }));
    for after in first..last {
        cell.cut_journal(&journal, after, 3);
        std::fs::remove_file(cell.output.join("results.json")).unwrap();
        let finished = cell.again(Again::Resume).wait();
        cell.check(&finished, &SUITES);
    }
    assert_eq!(cell.counters(), (2, 1), "the board was needed again");
    assert!(!site.rack.has_power(&cell.board));
    format!("{} places between two events", last - first)
}

fn before_its_results(cell: &Cell, _: &Site) -> String {
    cell.start().wait().expect_code(0);
    std::fs::remove_file(cell.output.join("results.json")).unwrap();
    let finished = cell.again(Again::Resume).wait();
    cell.check(&finished, &SUITES);
    assert_eq!(cell.counters(), (2, 1));
    // Now it is finished, and says so.
    cell.again(Again::Resume).wait().expect_code(64);
    "nothing done again".into()
}

/// Cases by our helper and cases that the test prints itself, slowly. `%s`, so that the shell's own
/// trace of the step is not taken for one.
pub fn test_cases(job: Job) -> Job {
    let mut steps = Vec::new();
    for number in 1..=6 {
        steps.push(format!("lava-test-case ours-{number} --result pass"));
        steps.push(format!(
            "printf \"<LAVA_SIGNAL_%s TEST_CASE_ID=own-{number} RESULT=pass>\\n\" TESTCASE"
        ));
        steps.push("sleep 0.1".to_owned());
    }
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    job.definitions(&[definition("slow", &steps, &[], &[])])
}

/// The numbers of the cases by our helper, in the attempt that counts.
pub fn last_cases_of_ours(finished: &Finished, suite: &str) -> Vec<u64> {
    let results = finished.results();
    let cases = results.cases(suite);
    let attempt = |case: &serde_json::Value| case["attempt"].as_u64();
    let last = cases.iter().filter_map(|case| attempt(case)).max();
    cases
        .iter()
        .filter(|case| attempt(case) == last && case["result"] == "pass")
        .filter_map(|case| case["case"].as_str()?.strip_prefix("ours-")?.parse().ok())
        .collect()
}

/// What the board says in a case that the test prints itself.
fn case_of_its_own(number: u32) -> String {
    // With the word before, which the shell's trace of the step has not.
    format!("TESTCASE TEST_CASE_ID=own-{number} RESULT=pass>")
}

fn among_test_cases(cell: &Cell, site: &Site) -> String {
    cell.hold(&case_of_its_own(2));
    let running = cell.start();
    cell.wait_held(&running, "a case", |event| {
        signals(event, "TEST_CASE_ID=own-2")
    });
    assert!(cell.kill(running, Victim::Run).is_none());
    // Nobody listens, and it goes on.
    cell.hold(&case_of_its_own(5));
    until("a case that nobody hears", || {
        let said = String::from_utf8_lossy(&site.rack.said(&cell.board)).into_owned();
        said.contains(&case_of_its_own(4)).then_some(())
    });
    cell.kill_held(
        cell.again(Again::Resume),
        Victim::Run,
        "another case",
        |event| signals(event, "TEST_CASE_ID=own-5"),
    );
    let finished = cell.again(Again::SameCommand).wait();
    cell.check(&finished, &[]);
    let expected: Vec<String> = (1..=6)
        .flat_map(|number| [format!("ours-{number}=pass"), format!("own-{number}=pass")])
        .collect();
    assert_eq!(finished.results().words("0_slow"), expected);
    assert_eq!(cell.counters().1, 1);
    "12 cases in order, none twice".into()
}

fn among_test_cases_both(cell: &Cell, _: &Site) -> String {
    cell.hold(&case_of_its_own(3));
    cell.kill_held(cell.start(), Victim::Both, "a case", |event| {
        signals(event, "TEST_CASE_ID=own-3")
    });
    let finished = cell.again(Again::Resume).wait();
    let gaps = cell.check(&finished, &[]);
    assert!(gaps > 0);
    assert_eq!(
        last_cases_of_ours(&finished, "0_slow"),
        (1..=6).collect::<Vec<_>>()
    );
    let words = finished.results().words("0_slow");
    assert_eq!(cell.counters().1, 1);
    format!(
        "6 cases of our helper, {} of the test's own",
        words.len() - 6
    )
}

fn board_lent(cell: &Cell, site: &Site) -> String {
    cell.hold_at(MEASURES, 2);
    cell.kill_held(cell.start(), Victim::Run, "load", |event| {
        measures(event, "3.2")
    });
    cell.wait_measured(2);
    let between = site.job("between").realtime(&[phase("between", "")]);
    let between = cell.beside(&between.text());
    let other = between.start().wait();
    between.check_beside(&other);
    let finished = cell.again(Again::Resume).wait();
    let gaps = cell.check(&finished, &SUITES);
    assert!(gaps > 0, "another run had the board");
    // Idle stays as it was; load was lost, and done again on another boot.
    assert_eq!(cell.counters(), (4, 3));
    "idle kept, load done again".into()
}

fn keeper_thrice(cell: &Cell, _: &Site) -> String {
    cell.hold("Hit any key");
    let running = cell.start();
    cell.wait_held(&running, "the loader", |event| {
        begins(event, "bootloader-interrupt")
    });
    let running = cell.kill(running, Victim::Keeper).unwrap();
    cell.hold(MEASURES);
    cell.wait_held(&running, "idle", |event| measures(event, "3.1"));
    let running = cell.kill(running, Victim::Keeper).unwrap();
    cell.hold("phase-1/out/result.json");
    cell.wait_held(&running, "a transfer", |event| {
        begins(event, "realtime-transfer") && event["level"] == "3.2.1"
    });
    let running = cell.kill(running, Victim::Keeper).unwrap();
    cell.let_go();
    let finished = running.wait();
    let gaps = cell.check(&finished, &SUITES);
    assert_eq!(cell.counters().0, 2);
    assert!(gaps >= 3, "{gaps} gaps");
    format!("{gaps} gaps, 2 measured")
}

fn asked_to_end(cell: &Cell, site: &Site) -> String {
    cell.hold(MEASURES);
    let running = cell.start();
    cell.wait_held(&running, "idle", |event| measures(event, "3.1"));
    running.signal("TERM");
    let finished = running.wait();
    finished.expect_code(4);
    let results = finished.results();
    assert_eq!((results.outcome(), results.power()), ("canceled", "off"));
    assert!(!site.rack.has_power(&cell.board));
    assert_eq!(results.0["phases"].as_array().unwrap().len(), 0);
    "canceled, off".into()
}

#[test]
fn a_run_that_is_killed_at_odd_moments_is_finished_too() {
    let board = |index: usize| Board::new(&format!("odd-{index}")).rack("time_scale = 0.1");
    let boards: Vec<Board> = (0..ODDS.len()).map(board).collect();
    let site = Site::start(&boards);
    let rows: Vec<(usize, &Odd)> = ODDS.iter().enumerate().collect();
    perform_all(
        &rows,
        |(_, odd)| odd.name,
        |(index, odd)| {
            let job = (odd.job)(site.job(odd.name)).text();
            let cell = Cell::new(&site, &format!("odd-{index}"), &job);
            (odd.perform)(&cell, &site)
        },
    );
}
