use basalt_model::Verdict;
use basalt_realtime::cyclictest::{parse_json, parse_text};
use basalt_realtime::{ParseError, Percentile, Percentiles, verdict};

use crate::{data, facts, json, text};

#[test]
fn two_cpus_are_read_with_everything_the_file_says() {
    let found = json("multi.json");
    assert_eq!(found.tool_version.as_deref(), Some("2.40"));
    assert_eq!(found.release.as_deref(), Some("6.18.44"));
    assert_eq!(found.version.as_deref(), Some("#1 SMP PREEMPT_DYNAMIC @0"));
    assert_eq!(
        (found.realtime_flag, found.return_code),
        (Some(false), Some(0))
    );
    assert_eq!(
        (found.resolution_ns, found.histogram_limit),
        (1000, Some(800))
    );
    assert!(found.start.is_some() && found.end.is_some());
    let cpus: Vec<_> = found.threads.iter().map(|one| (one.id, one.cpu)).collect();
    assert_eq!(cpus, [(0, Some(0)), (1, Some(1))]);
    let first = &found.threads[0];
    assert_eq!(
        (first.cycles, first.min, first.max),
        (1998, Some(12), Some(411))
    );
    assert_eq!((first.avg, first.overflows), (Some(28.02), 0));
    let merged: u64 = found.merged_histogram().values().sum();
    assert_eq!(merged, 1998 + 2000);
}

#[test]
fn trap_1_overflow_is_cycles_less_the_bins_and_agrees_with_the_text() {
    for (name, expected) in [("overflow", [1655, 1302]), ("sum", [647, 1415])] {
        let from_json: Vec<_> = json(&format!("{name}.json"))
            .threads
            .iter()
            .map(|one| one.overflows)
            .collect();
        let from_text: Vec<_> = text(&format!("{name}.txt"))
            .threads
            .iter()
            .map(|one| one.overflows)
            .collect();
        assert_eq!(from_json, expected, "{name}");
        assert_eq!(from_text, expected, "{name}");
    }
}

#[test]
fn trap_2_a_percentile_in_the_overflow_is_at_least_the_histogram_limit() {
    let found = json("overflow.json");
    let second = &found.threads[1];
    let percentiles = Percentiles::of(&second.histogram, second.overflows, found.overflow_floor());
    assert_eq!(percentiles.p50, Some(Percentile::AtLeast(24)));
    assert_eq!(percentiles.p99_99, Some(Percentile::AtLeast(24)));
}

#[test]
fn trap_3_a_break_shows_in_the_maximum_and_the_missing_cycles_only() {
    let broken = json("break.json");
    assert_eq!(broken.return_code, Some(0));
    let judged = verdict(Ok(&broken), &facts(5, Some(60)));
    assert_eq!((judged.verdict, judged.partial), (Verdict::Fail, true));
    let judged = verdict(Ok(&broken), &facts(5, Some(400)));
    assert_eq!((judged.verdict, judged.partial), (Verdict::Invalid, true));
    assert_eq!(judged.reason, "13 of 5000 expected cycles on CPU 0");
    assert_eq!(text("break.txt").break_value, Some(67));
}

#[test]
fn trap_4_a_usage_text_or_no_file_is_an_error_by_name() {
    let usage = String::from_utf8(data("usage.txt")).unwrap();
    let error = parse_text(&usage).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the file is not a cyclictest result: it begins with \"cyclictest: unrecognized option \
         '--frobnicate'\""
    );
    assert!(matches!(
        parse_json(usage.as_bytes()),
        Err(ParseError::NotCyclictest { .. })
    ));
    assert!(matches!(parse_json(b""), Err(ParseError::Empty)));
    let judged = verdict(Err(&ParseError::Missing), &facts(2, Some(400)));
    assert_eq!(judged.verdict, Verdict::Invalid);
    assert_eq!(judged.reason, "the measurement file is missing");
}

#[test]
fn trap_5_a_run_ended_by_a_signal_is_known_by_its_cycles() {
    let ended = json("sigint.json");
    assert_eq!(ended.return_code, Some(0));
    let judged = verdict(Ok(&ended), &facts(10, Some(400)));
    assert_eq!((judged.verdict, judged.partial), (Verdict::Invalid, true));
    assert_eq!(judged.reason, "1501 of 10000 expected cycles on CPU 0");
}

#[test]
fn trap_6_a_quote_in_the_command_line_does_not_hide_the_numbers() {
    let found = json("quote.json");
    assert!(serde_json::from_slice::<serde_json::Value>(&data("quote.json")).is_err());
    assert!(found.command.unwrap().ends_with(r#"--json=a"b/quote.json"#));
    assert_eq!(found.histogram_limit, Some(800));
    assert_eq!(found.threads[0].cycles, 100);
}

#[test]
fn trap_7_a_thread_without_cycles_has_no_numbers() {
    for found in [json("zero.json"), text("zero.txt")] {
        for thread in &found.threads {
            assert_eq!((thread.cycles, thread.min, thread.max), (0, None, None));
            assert_eq!(thread.avg, None);
        }
        let judged = verdict(Ok(&found), &facts(2, Some(400)));
        assert_eq!(judged.verdict, Verdict::Invalid);
        assert!(
            judged.reason.starts_with("no data from "),
            "{}",
            judged.reason
        );
    }
    assert!(
        String::from_utf8(data("zero.json"))
            .unwrap()
            .contains("-nan")
    );
}

#[test]
fn trap_8_the_sum_column_is_no_thread() {
    let (with_sum, same_run) = (text("sum.txt"), json("sum.json"));
    assert_eq!(with_sum.threads.len(), 2);
    assert_eq!(with_sum.histogram_limit, same_run.histogram_limit);
    for (from_text, from_json) in with_sum.threads.iter().zip(&same_run.threads) {
        assert_eq!(from_text.histogram, from_json.histogram);
        assert_eq!(from_text.cycles, from_json.cycles);
        assert_eq!(
            (from_text.min, from_text.max),
            (from_json.min, from_json.max)
        );
    }
}

#[test]
fn text_and_json_of_one_run_agree_through_long_overflow_lists() {
    assert!(
        String::from_utf8(data("overflow.txt"))
            .unwrap()
            .contains("# 01631 others")
    );
    let (from_text, from_json) = (text("overflow.txt"), json("overflow.json"));
    assert_eq!(from_text.histogram_limit, Some(24));
    for (text, json) in from_text.threads.iter().zip(&from_json.threads) {
        assert_eq!((text.cycles, text.overflows), (json.cycles, json.overflows));
        assert_eq!(text.histogram, json.histogram);
        assert_eq!(text.avg, json.avg.map(f64::trunc));
    }
}

#[test]
fn trap_9_further_threads_are_expected_to_be_slower_where_they_are() {
    let smp = json("smp.json");
    assert_eq!(smp.threads[1].cycles, 665);
    assert_eq!(
        verdict(Ok(&smp), &facts(1, Some(2000))).verdict,
        Verdict::Pass
    );
    // With a histogram the intervals are equal, and 665 cycles are not enough.
    let mut equal = smp;
    equal.command = Some("cyclictest -S -h 800".into());
    let judged = verdict(Ok(&equal), &facts(1, Some(2000)));
    assert_eq!(judged.reason, "665 of 1000 expected cycles on CPU 1");
}

#[test]
fn trap_9_cycles_lost_by_an_overloaded_host_do_not_pass() {
    let starved = json("starved.json");
    assert_eq!(starved.return_code, Some(0));
    let mut asked = facts(1, Some(4000));
    asked.interval_us = 5;
    let judged = verdict(Ok(&starved), &asked);
    assert_eq!((judged.verdict, judged.partial), (Verdict::Invalid, true));
    assert_eq!(judged.reason, "43535 of 200000 expected cycles on CPU 0");
}

#[test]
fn trap_10_the_realtime_flag_neither_proves_nor_disproves() {
    let mut mainline = json("multi.json");
    let mut asked = facts(2, Some(800));
    asked.environment.uname_v = None;
    asked.environment.preempt_rt_config = None;
    mainline.realtime_flag = Some(true);
    assert_eq!(verdict(Ok(&mainline), &asked).verdict, Verdict::Invalid);
    mainline.realtime_flag = Some(false);
    mainline.version = Some("#1 SMP PREEMPT_RT Debian 6.12.1-1".into());
    assert_eq!(verdict(Ok(&mainline), &asked).verdict, Verdict::Pass);
}

#[test]
fn nanoseconds_become_microseconds_rounded_up() {
    let found = json("ns.json");
    assert_eq!((found.resolution_ns, found.histogram_limit), (1, Some(20)));
    let first = &found.threads[0];
    assert_eq!(
        (first.min, first.max, first.cycles),
        (Some(14), Some(38), 40)
    );
    assert!((first.avg.unwrap() - 22.278_47).abs() < 1e-9);
    assert_eq!(
        (first.histogram.values().sum::<u64>(), first.overflows),
        (20, 20)
    );
    assert!(
        first
            .histogram
            .keys()
            .all(|latency| (14..=20).contains(latency))
    );
}

#[test]
fn without_histogram_there_are_no_overflows_and_no_percentiles() {
    for found in [json("nohist.json"), text("nohist.txt")] {
        assert!(!found.has_histogram());
        assert_eq!(found.threads.len(), 2);
        assert_eq!(
            (found.threads[0].cycles, found.threads[0].overflows),
            (20, 0)
        );
        assert_eq!(found.threads[1].max, Some(43));
    }
}

#[test]
fn of_repeated_status_lines_the_last_counts() {
    let found = text("live.txt");
    assert_eq!(
        (found.threads[0].cycles, found.threads[0].max),
        (192, Some(130))
    );
    assert_eq!(
        (found.threads[1].cycles, found.threads[1].max),
        (128, Some(66))
    );
}

#[test]
fn a_file_cut_anywhere_is_never_taken_for_a_whole_one() {
    let whole = data("multi.json");
    let body = whole.trim_ascii_end().len();
    for end in 1..body {
        let error = parse_json(&whole[..end]).expect_err("a cut file");
        assert!(
            matches!(
                error,
                ParseError::Truncated { .. } | ParseError::Empty | ParseError::NotCyclictest { .. }
            ),
            "cut at {end}: {error}"
        );
    }
    let whole = data("overflow.txt");
    let text = std::str::from_utf8(&whole).unwrap();
    let summary = text.find("# Histogram Overflows").unwrap();
    for end in (text.find("# Histogram").unwrap() + 12)..summary {
        assert!(
            matches!(parse_text(&text[..end]), Err(ParseError::Truncated { .. })),
            "cut at {end}"
        );
    }
}

#[test]
fn files_that_contradict_themselves_are_refused_by_thread() {
    let whole = String::from_utf8(data("quote.json")).unwrap();
    for (from, to, what) in [
        (
            "\"cycles\": 100",
            "\"cycles\": 99",
            "100 samples in the histogram of 99 cycles",
        ),
        (
            "\"max\": 121",
            "\"max\": 120",
            "a sample above its maximum of 120",
        ),
        ("\"min\": 22", "\"min\": -1", "a latency below zero"),
        (
            "\"cycles\": 100",
            "\"cycles\": 18446744073709551615",
            "numbers that no run can reach",
        ),
    ] {
        assert!(whole.contains(from), "{from}");
        let error = parse_json(whole.replace(from, to).as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("thread 0 contradicts itself: {what}")
        );
    }
    let other = whole.replace("\"num_threads\": 1", "\"num_threads\": 2");
    let error = parse_json(other.as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the file announces 2 threads and holds 1"
    );
    let newer = whole.replace("\"file_version\": 1", "\"file_version\": 2");
    assert!(matches!(
        parse_json(newer.as_bytes()),
        Err(ParseError::Version(2))
    ));
}
