use basalt_model::{Culprit, Verdict};
use basalt_realtime::cyclictest::ParseError;
use basalt_realtime::{Environment, Judgement, LoadReport, Measurement, PhaseFacts, verdict};

use crate::{facts, json};

/// Two CPUs, 2 s, all cycles, largest latencies 411 and 592 us.
fn good() -> Measurement {
    json("multi.json")
}

fn load() -> LoadReport {
    LoadReport {
        name: "hackbench".into(),
        alive_at_end: true,
        restarts: 3,
        died: None,
    }
}

fn judge(measurement: &Measurement, facts: &PhaseFacts) -> Judgement {
    verdict(Ok(measurement), facts)
}

/// Everything that rules (a) to (c) object to at once; tests take the objections away one by one.
fn everything_wrong() -> (Measurement, PhaseFacts) {
    let mut measurement = good();
    measurement.threads[1].cycles = 0;
    measurement.threads[1].max = None;
    measurement.threads[0].cycles = 1000;
    let mut facts = facts(2, Some(400));
    facts.kernel_matches = Err("the board runs X, the image served holds Y".into());
    facts.environment.uname_v = Some("#1 SMP PREEMPT".into());
    facts.environment.preempt_rt_config = None;
    facts.online_cpus = Some(4);
    facts.loads = vec![LoadReport {
        died: Some("exit 1".into()),
        ..load()
    }];
    (measurement, facts)
}

#[test]
fn enough_samples_and_none_above_the_limit_pass() {
    let mut facts = facts(2, Some(592));
    facts.loads = vec![load()];
    let judged = judge(&good(), &facts);
    assert_eq!(judged.verdict, Verdict::Pass);
    assert_eq!(judged.reason, "no sample above 592 us");
    assert!(!judged.partial);
}

#[test]
fn without_limit_a_complete_run_is_measured() {
    let judged = judge(&good(), &facts(2, None));
    assert_eq!((judged.verdict, judged.partial), (Verdict::Measured, false));
}

#[test]
fn one_sample_above_the_limit_fails() {
    let judged = judge(&good(), &facts(2, Some(591)));
    assert_eq!(judged.verdict, Verdict::Fail);
    assert_eq!(
        judged.reason,
        "592 us on CPU 1 is above the limit of 591 us; 1 of 3998 samples is above"
    );
}

#[test]
fn an_overflow_counts_as_above_only_where_the_histogram_reaches_beyond_the_limit() {
    let overflowing = json("overflow.json");
    let judged = judge(&overflowing, &facts(2, Some(20)));
    assert_eq!(judged.verdict, Verdict::Fail);
    assert!(
        judged.reason.contains(" of 3997 samples are above"),
        "{}",
        judged.reason
    );
    let judged = judge(&overflowing, &facts(2, Some(400)));
    assert_eq!(
        judged.reason,
        "1090 us on CPU 0 is above the limit of 400 us"
    );
    assert_eq!(
        judge(&overflowing, &facts(2, Some(1090))).verdict,
        Verdict::Pass
    );
}

#[test]
fn objections_come_in_the_order_of_decision_d18() {
    let (mut measurement, mut facts) = everything_wrong();
    let said = |measurement: &Measurement, facts: &PhaseFacts| {
        let judged = judge(measurement, facts);
        assert!(judged.partial);
        (judged.verdict, judged.reason)
    };

    let (word, reason) = said(&measurement, &facts);
    assert_eq!(word, Verdict::Invalid);
    assert!(
        reason.starts_with("another kernel: the board runs X"),
        "{reason}"
    );

    facts.kernel_matches = Ok(());
    facts.environment.uname_r = Some("5.10.0".into());
    let (word, reason) = said(&measurement, &facts);
    assert_eq!(word, Verdict::Invalid);
    assert!(
        reason.contains("\"6.18.44\", the board runs \"5.10.0\""),
        "{reason}"
    );

    facts.environment.uname_r = None;
    let (word, reason) = said(&measurement, &facts);
    assert_eq!(word, Verdict::Invalid);
    assert!(
        reason.ends_with("DYNAMIC @0\", the board runs \"#1 SMP PREEMPT\""),
        "{reason}"
    );

    facts.environment.uname_v = measurement.version.clone();
    let (word, reason) = said(&measurement, &facts);
    assert_eq!(word, Verdict::Invalid);
    assert_eq!(
        reason,
        "not a realtime kernel: uname -v is \"#1 SMP PREEMPT_DYNAMIC @0\""
    );

    facts.require_preempt_rt = false;
    assert_eq!(
        said(&measurement, &facts),
        (Verdict::Invalid, "no data from CPU 1".into())
    );

    // Now there is evidence: 411 us on CPU 0 fail, although half of the cycles, a load and two
    // CPUs are missing.
    measurement.threads.truncate(1);
    let (word, reason) = said(&measurement, &facts);
    assert_eq!(word, Verdict::Fail);
    assert!(
        reason.starts_with("411 us on CPU 0 is above the limit of 400 us"),
        "{reason}"
    );

    facts.limit_us = Some(800);
    assert_eq!(
        said(&measurement, &facts),
        (
            Verdict::Invalid,
            "1000 of 2000 expected cycles on CPU 0".into()
        )
    );

    measurement.threads[0].cycles = 1900;
    let judged = judge(&measurement, &facts);
    assert_eq!(judged.verdict, Verdict::Invalid);
    assert_eq!(judged.reason, "the load hackbench died: exit 1");
    assert!(!judged.partial);

    facts.loads[0].died = None;
    facts.loads[0].alive_at_end = false;
    assert_eq!(
        judge(&measurement, &facts).reason,
        "the load hackbench was gone at the end"
    );

    facts.loads[0].alive_at_end = true;
    assert_eq!(
        judge(&measurement, &facts).reason,
        "1 of 4 CPUs were measured"
    );

    // Nothing is wrong any more; without limit it is only measured.
    facts.online_cpus = Some(1);
    assert_eq!(judge(&measurement, &facts).verdict, Verdict::Pass);
    facts.limit_us = None;
    assert_eq!(judge(&measurement, &facts).verdict, Verdict::Measured);
}

#[test]
fn ninety_five_percent_of_the_cycles_are_enough_and_less_is_not() {
    let mut measurement = good();
    measurement.threads[1].cycles = 1900;
    assert_eq!(
        judge(&measurement, &facts(2, Some(800))).verdict,
        Verdict::Pass
    );
    measurement.threads[1].cycles = 1899;
    let judged = judge(&measurement, &facts(2, Some(800)));
    assert_eq!((judged.verdict, judged.partial), (Verdict::Invalid, true));
    assert_eq!(judged.reason, "1899 of 2000 expected cycles on CPU 1");
}

#[test]
fn a_program_that_reports_an_error_does_not_pass() {
    let mut measurement = good();
    measurement.return_code = Some(1);
    let judged = judge(&measurement, &facts(2, Some(800)));
    assert_eq!((judged.verdict, judged.partial), (Verdict::Invalid, true));
    assert_eq!(judged.reason, "cyclictest ended with code 1");
}

#[test]
fn nothing_said_about_the_kernel_is_no_evidence() {
    let mut measurement = good();
    measurement.version = None;
    let mut facts = facts(2, Some(800));
    facts.environment = Environment::default();
    let judged = judge(&measurement, &facts);
    assert_eq!(judged.verdict, Verdict::Invalid);
    assert_eq!(
        judged.reason,
        "nothing says that the kernel is a realtime one"
    );
}

#[test]
fn threads_on_one_cpu_do_not_make_up_for_another() {
    let mut measurement = good();
    measurement.threads[1].cpu = Some(0);
    let judged = judge(&measurement, &facts(2, Some(800)));
    assert_eq!(judged.reason, "1 of 2 CPUs were measured");
}

#[test]
fn whoever_is_at_fault_is_named_and_nobody_where_nothing_is_wrong() {
    let culprit = |change: &dyn Fn(&mut Measurement, &mut PhaseFacts)| {
        let (mut measurement, mut facts) = (good(), facts(2, Some(800)));
        change(&mut measurement, &mut facts);
        judge(&measurement, &facts).culprit
    };
    assert_eq!(culprit(&|_, _| {}), None);
    assert_eq!(culprit(&|_, facts| facts.limit_us = None), None);
    let blamed = [
        culprit(&|_, facts| facts.kernel_matches = Err("X is not Y".into())),
        culprit(&|_, facts| {
            facts.require_preempt_rt = true;
            facts.environment.preempt_rt_config = None;
        }),
        culprit(&|_, facts| facts.limit_us = Some(400)),
        culprit(&|measurement, _| measurement.threads[0].cycles = 1000),
        culprit(&|_, facts| {
            facts.loads = vec![LoadReport {
                died: Some("exit 1".into()),
                ..load()
            }];
        }),
        verdict(Err(&ParseError::Missing), &facts(2, None)).culprit,
    ];
    assert_eq!(
        blamed,
        [
            Some(Culprit::Infrastructure),
            Some(Culprit::Job),
            Some(Culprit::Kernel),
            Some(Culprit::Unknown),
            Some(Culprit::Test),
            Some(Culprit::Test),
        ]
    );
}
