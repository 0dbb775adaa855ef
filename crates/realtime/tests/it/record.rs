use basalt_model::{CaseOutcome, CaseResult, Sha256, Verdict};
use basalt_realtime::{
    LatencyRecord, LoadReport, ParseError, Percentile, PhaseIdentity, RawFile, RtSource,
};

use crate::{facts, json};

fn identity() -> PhaseIdentity {
    PhaseIdentity {
        phase: "load".into(),
        suite: "1_load".into(),
        measure: "cyclictest".into(),
        limit_source: "job".into(),
    }
}

fn record(name: &str, limit: Option<u64>) -> LatencyRecord {
    let mut facts = facts(2, limit);
    facts.environment.timebase = Some("virtual (icount shift=3)".into());
    facts.loads = vec![LoadReport {
        name: "hackbench".into(),
        alive_at_end: true,
        restarts: 2,
        died: None,
    }];
    let raw_file = RawFile {
        path: "raw/1_load.json".into(),
        sha256: Sha256([7; 32]),
        bytes: 12,
        board_sha256: Some(Sha256([7; 32])),
    };
    LatencyRecord::new(identity(), Ok(&json(name)), &facts, Some(raw_file))
}

fn case<'a>(cases: &'a [CaseResult], name: &str) -> &'a CaseResult {
    cases
        .iter()
        .find(|one| one.case == name)
        .unwrap_or_else(|| panic!("no case {name}"))
}

#[test]
fn a_record_survives_json_text_and_json_values() {
    let record = record("overflow.json", Some(12));
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(
        serde_json::from_str::<LatencyRecord>(&text).unwrap(),
        record
    );
    let value = serde_json::to_value(&record).unwrap();
    assert_eq!(
        serde_json::from_value::<LatencyRecord>(value).unwrap(),
        record
    );
}

#[test]
fn totals_put_two_cpus_together() {
    let record = record("multi.json", Some(800));
    let totals = record.totals.as_ref().unwrap();
    assert_eq!((totals.samples, totals.min, totals.max), (3998, 12, 592));
    let expected = (28.02 * 1998.0 + 29.39 * 2000.0) / 3998.0;
    assert!((totals.avg.unwrap() - expected).abs() < 1e-9);
    assert_eq!(totals.overflows, 0);
    assert!(matches!(totals.percentiles.p50, Some(Percentile::Exact(_))));
    assert_eq!(record.threads[1].expected_cycles, 2000);
    assert_eq!(record.rt_evidence.sources, [RtSource::Config]);
    assert_eq!(record.load_words(), "hackbench");
}

#[test]
fn cases_hold_every_threads_numbers_with_units() {
    let cases = record("multi.json", Some(500)).cases(2);
    assert!(
        cases
            .iter()
            .all(|one| one.suite == "1_load" && one.attempt == 2)
    );
    let max = case(&cases, "t0-max-latency");
    assert_eq!(
        (max.measurement, max.units.as_deref()),
        (Some(411.0), Some("us"))
    );
    assert_eq!(max.result, CaseOutcome::Pass);
    assert_eq!(case(&cases, "t1-max-latency").result, CaseOutcome::Fail);
    assert_eq!(case(&cases, "t1-cycles").measurement, Some(2000.0));
    assert_eq!(case(&cases, "t1-avg-latency").measurement, Some(29.39));
    let last = cases.last().unwrap();
    assert_eq!(
        (last.case.as_str(), last.result),
        ("verdict", CaseOutcome::Fail)
    );
    assert!(
        last.detail
            .as_ref()
            .unwrap()
            .starts_with("fail: 592 us on CPU 1")
    );
}

#[test]
fn a_censored_percentile_is_a_case_without_a_number() {
    let cases = record("overflow.json", Some(2000)).cases(1);
    let censored = case(&cases, "p99.9");
    assert_eq!(
        (censored.measurement, censored.units.as_deref()),
        (None, None)
    );
    assert_eq!(
        censored.detail.as_deref(),
        Some("at least 24 us, above the histogram")
    );
}

#[test]
fn an_invalid_phase_claims_nothing() {
    let mut facts = facts(2, Some(400));
    facts.environment.preempt_rt_config = None;
    let record = LatencyRecord::new(identity(), Ok(&json("multi.json")), &facts, None);
    assert_eq!(record.verdict, Verdict::Invalid);
    assert!(
        record
            .cases(1)
            .iter()
            .all(|one| one.result == CaseOutcome::Unknown)
    );

    let missing = ParseError::Missing;
    let record = LatencyRecord::new(identity(), Err(&missing), &facts, None);
    assert!(record.totals.is_none() && record.threads.is_empty());
    let cases = record.cases(1);
    assert_eq!(cases.len(), 1);
    assert_eq!(
        cases[0].detail.as_deref(),
        Some("invalid: the measurement file is missing")
    );
}
