//! Journals of every release are still read, and mean what they meant (decision D5).
//!
//! A journal here was written by the release that its name says, on an emulated arm64 board, and is
//! never changed; a release that writes other events adds another.

use std::path::{Path, PathBuf};

use basalt_model::{EventBody, Outcome, PowerState, Verdict};
use basalt_report::Results;
use basalt_runner::state::RunState;

fn journals() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data");
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "journal")
        })
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_event_of_a_former_release_is_known_and_survives_its_json() {
    let journals = journals();
    assert!(!journals.is_empty());
    for path in journals {
        for event in basalt_journal::read(&path).unwrap() {
            assert!(
                !matches!(event.body, EventBody::Unknown { .. }),
                "{}: {:?}",
                path.display(),
                event.body
            );
            let json = event.to_json();
            let again = basalt_model::Event::from_json(json.as_bytes()).unwrap();
            assert_eq!(again.to_json(), json);
        }
    }
}

#[test]
fn a_passed_realtime_job_of_0_1_0_is_still_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/0.1.0-realtime.journal");
    let events = basalt_journal::read(&path).unwrap();
    let results = Results::from_events(&events).unwrap();
    assert_eq!(results.outcome, Outcome::Pass);
    assert_eq!(results.power, PowerState::Off);
    let phases: Vec<_> = results
        .phases
        .iter()
        .map(|phase| {
            let samples = phase.totals.as_ref().map(|totals| totals.samples);
            (phase.suite.as_str(), phase.verdict, samples)
        })
        .collect();
    assert_eq!(
        phases,
        [
            ("0_idle", Verdict::Pass, Some(10_000)),
            ("1_hackbench", Verdict::Pass, Some(10_000))
        ]
    );
    assert_eq!(results.raw_files.len(), 2);
    let state = RunState::of(&events);
    assert_eq!(state.phases.len(), 2);
    assert!(state.block_done("1") && state.block_done("2") && state.block_done("3"));
    assert!(
        state
            .banner
            .is_some_and(|banner| banner.contains("PREEMPT_RT"))
    );
    assert_eq!(state.finished, Some((Outcome::Pass, None)));
}
