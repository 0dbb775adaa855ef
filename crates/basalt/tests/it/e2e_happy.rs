//! Jobs on boards that behave: the results are what truly happened.

use std::process::Command;

use serde_json::Value;

use crate::e2e_harness::{Board, Finished, Site, definition, phase};

/// What the rack knows of one thread, in the words of results.json.
fn expected_thread(truth: &Value) -> Value {
    serde_json::json!({
        "cpu": truth["cpu"],
        "cycles": truth["cycles"],
        "min": truth["min"],
        "max": truth["max"],
        "avg": truth["avg"],
        "overflows": truth["overflows"],
        "histogram": truth["histogram"],
    })
}

/// Compares every number of a phase with what the rack drew.
pub fn assert_truth(finished: &Finished, suite: &str, truth: &Value) {
    let results = finished.results();
    let phase = results.phase(suite);
    let threads = phase["threads"].as_array().unwrap();
    let expected = truth["threads"].as_array().unwrap();
    assert_eq!(threads.len(), expected.len(), "{phase:#}");
    for (thread, expected) in threads.iter().zip(expected) {
        let measured = &thread["measured"];
        let expected = expected_thread(expected);
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&measured[key], value, "{suite}: {key}");
        }
    }
    let all = |key: &str| -> Vec<u64> {
        let each = expected.iter().map(|thread| thread[key].as_u64().unwrap());
        each.collect()
    };
    let totals = &phase["totals"];
    assert_eq!(totals["samples"], all("cycles").iter().sum::<u64>());
    assert_eq!(totals["overflows"], all("overflows").iter().sum::<u64>());
    assert_eq!(totals["min"], *all("min").iter().min().unwrap());
    assert_eq!(totals["max"], *all("max").iter().max().unwrap());
    assert_eq!(truth["json_sha256"], phase["raw_file"]["sha256"]);
    assert_eq!(truth["state"], "finished");
}

/// `scripts/recompute.py` over the results and the rack's log.
pub fn recompute(site: &Site, finished: &Finished, board: &str, whole: bool) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/recompute.py");
    let mut command = Command::new("python3");
    command
        .arg(script)
        .arg(&finished.output)
        .arg(site.rack.log_path())
        .arg(board);
    if whole {
        command.arg("whole");
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[test]
fn two_phases_on_a_tcp_console_give_what_the_board_truly_measured() {
    let site = Site::start(&[Board::new("sim-1").uploads()]);
    let job = site.job("two phases").realtime(&[
        phase("idle", "limit: 400us"),
        phase("hackbench", "limit: 400us, load: [hackbench]"),
    ]);
    let finished = site.run("sim-1", &job);
    finished.expect_code(0);
    let results = finished.results();
    assert_eq!((results.outcome(), results.power()), ("pass", "off"));
    let truth = site.rack.truth("sim-1");
    assert_eq!(truth.len(), 2);
    assert_truth(&finished, "0_idle", &truth[0]);
    assert_truth(&finished, "1_hackbench", &truth[1]);
    for suite in ["0_idle", "1_hackbench"] {
        assert_eq!(results.phase(suite)["verdict"], "pass");
    }
    let load = &results.phase("1_hackbench")["loads"][0];
    assert_eq!(
        (&load["name"], &load["alive_at_end"]),
        (&"hackbench".into(), &true.into())
    );
    assert!(site.rack.counter("sim-1", "hackbench_runs") >= 1);
    for raw in results.0["raw_files"].as_array().unwrap() {
        assert_eq!(raw["via"], "tftp", "{raw}");
    }
    let junit = finished.file("junit.xml");
    assert!(junit.contains("1_hackbench"), "{junit}");
    assert!(!junit.contains("<failure"), "{junit}");
    assert!(!site.rack.has_power("sim-1"));
    assert_eq!(site.rack.counter("sim-1", "power_on"), 1);
    recompute(&site, &finished, "sim-1", true);
}

#[test]
fn two_phases_on_a_pty_and_a_relay_that_cannot_be_read_say_that_power_is_unknown() {
    let site = Site::start(&[Board::new("sim-1").pty().lcus()]);
    let job = site.job("two phases").realtime(&[
        phase("idle", "limit: 400us"),
        phase("hackbench", "limit: 400us, load: [hackbench]"),
    ]);
    let finished = site.run("sim-1", &job);
    finished.expect_code(0);
    let results = finished.results();
    assert_eq!((results.outcome(), results.power()), ("pass", "unknown"));
    let said = format!("{}{}", finished.stdout, finished.stderr);
    assert!(said.contains("unknown"), "{said}");
    let truth = site.rack.truth("sim-1");
    assert_truth(&finished, "0_idle", &truth[0]);
    assert_truth(&finished, "1_hackbench", &truth[1]);
    for raw in results.0["raw_files"].as_array().unwrap() {
        assert_eq!(raw["via"], "console", "{raw}");
    }
    assert!(!site.rack.has_power("sim-1"));
    recompute(&site, &finished, "sim-1", true);
}

#[test]
fn definitions_give_the_results_that_their_steps_report() {
    let site = Site::start(&[Board::new("sim-1")]);
    let smoke = definition(
        "smoke",
        &[
            "lava-test-case good --result pass",
            "lava-test-case bad --result fail",
            "lava-test-case number --result pass --measurement 12.5 --units ms",
            "lava-test-set start first",
            "lava-test-case in-set --result skip",
            "lava-test-set stop",
            "lava-test-reference linked --result pass --reference http://example.org/log",
            "lava-test-case shell-good --shell true",
            "lava-test-case shell-bad --shell false",
            "lava-test-case parameter --result $WANTED",
        ],
        &["params: {WANTED: fail}"],
        &["parameters: {WANTED: pass}"],
    );
    let expected = definition(
        "expected",
        &[
            "lava-test-case came --result pass",
            "lava-test-case surprise --result pass",
        ],
        &[],
        &["expected: [came, missing]"],
    );
    let failing = definition(
        "failing",
        &[
            "lava-test-case before --result pass",
            "false",
            "lava-test-case after --result pass",
        ],
        &[],
        &[],
    );
    let uninstalled = definition(
        "uninstalled",
        &["lava-test-case never --result pass"],
        &["install: {steps: ['false']}"],
        &[],
    );
    let last = definition("last", &["lava-test-case end --result pass"], &[], &[]);
    let job = site
        .job("definitions")
        .definitions(&[smoke, expected, failing, uninstalled, last]);
    let finished = site.run("sim-1", &job);
    finished.expect_code(1);
    let results = finished.results();
    assert_eq!(results.outcome(), "fail");
    assert_eq!(
        results.words("0_smoke"),
        [
            "good=pass",
            "bad=fail",
            "number=pass",
            "in-set=skip",
            "linked=pass",
            "shell-good=pass",
            "shell-bad=fail",
            "parameter=pass",
        ]
    );
    let cases = results.cases("0_smoke");
    assert_eq!(cases[2]["measurement"], 12.5);
    assert_eq!(cases[2]["units"], "ms");
    assert_eq!(cases[3]["set"], "first");
    assert_eq!(cases[4]["reference"], "http://example.org/log");
    assert_eq!(
        results.words("1_expected"),
        [
            "came=pass",
            "surprise=pass",
            "missing=fail",
            "surprise=fail"
        ]
    );
    assert_eq!(results.words("2_failing"), ["before=pass"]);
    assert_eq!(results.words("3_uninstalled"), [""; 0]);
    assert_eq!(results.words("4_last"), ["end=pass"]);
    let lava = results.words("lava");
    for word in [
        "0_smoke=pass",
        "1_expected=pass",
        "2_failing=fail",
        "3_uninstalled=fail",
        "4_last=pass",
    ] {
        assert!(lava.iter().any(|case| case == word), "{word}: {lava:?}");
    }
    let uninstalled = results
        .cases("lava")
        .into_iter()
        .find(|case| case["case"] == "3_uninstalled")
        .unwrap();
    assert_eq!(uninstalled["detail"], "an install step failed");
    assert!(!site.rack.has_power("sim-1"));
}

#[test]
fn a_test_that_raises_ends_the_job_and_is_blamed() {
    let site = Site::start(&[Board::new("sim-1")]);
    let raising = definition(
        "raising",
        &[
            "lava-test-case before --result pass",
            "lava-test-raise no such device",
            "lava-test-case after --result pass",
        ],
        &[],
        &[],
    );
    let never = definition("never", &["lava-test-case never --result pass"], &[], &[]);
    let job = site
        .job("raise")
        .definitions(&[raising])
        .definitions(&[never]);
    let finished = site.run("sim-1", &job);
    finished.expect_code(3);
    let results = finished.results();
    assert_eq!(results.blame(), ("test", "test-raise"));
    assert_eq!(results.words("0_raising"), ["before=pass"]);
    assert_eq!(results.words("1_never"), [""; 0]);
    assert!(
        finished.stdout.contains("no such device"),
        "{}",
        finished.stdout
    );
    assert!(!site.rack.has_power("sim-1"));
}

#[test]
fn a_latency_above_the_limit_fails_the_job() {
    let site = Site::start(&[Board::new("sim-1")]);
    site.rack.knobs("sim-1", r#"{"spike": {"us": 777}}"#);
    let job = site.job("limit").realtime(&[phase("idle", "limit: 400us")]);
    let finished = site.run("sim-1", &job);
    finished.expect_code(1);
    let results = finished.results();
    assert_eq!(results.outcome(), "fail");
    let phase = results.phase("0_idle");
    assert_eq!(phase["verdict"], "fail");
    let reason = phase["reason"].as_str().unwrap();
    assert!(reason.contains("777 us"), "{reason}");
    assert_truth(&finished, "0_idle", &site.rack.truth("sim-1")[0]);
}

#[test]
fn a_stock_kernel_makes_the_job_invalid_whatever_its_numbers() {
    let site = Site::start(&[Board::new("sim-1")]);
    let job = site
        .job("stock")
        .deploy(|deploy| deploy.kernel = "vmlinuz-stock".into())
        .realtime(&[phase("idle", "limit: 400us")]);
    let finished = site.run("sim-1", &job);
    finished.expect_code(2);
    let results = finished.results();
    assert_eq!(results.outcome(), "invalid");
    let phase = results.phase("0_idle");
    assert_eq!(phase["verdict"], "invalid");
    let reason = phase["reason"].as_str().unwrap();
    assert!(reason.contains("not a realtime kernel"), "{reason}");
    assert!(
        finished.stdout.contains("not a realtime kernel"),
        "{}",
        finished.stdout
    );
}

#[test]
fn a_run_that_is_interrupted_by_a_person_is_canceled_and_the_board_is_off() {
    let site = Site::start(&[Board::new("sim-1")]);
    let job = site.job("canceled").realtime(&[phase("idle", "")]).text();
    site.rack.hold("sim-1", "LOADS alive=1>");
    let running = site.begin("sim-1", &job, &[]);
    site.rack.wait_held("sim-1", 1);
    assert!(site.rack.has_power("sim-1"));
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(4);
    let results = finished.results();
    assert_eq!(results.blame(), ("canceled", "canceled"));
    assert_eq!(results.power(), "off");
    assert!(!site.rack.has_power("sim-1"));
}

#[test]
fn a_run_that_was_killed_is_finished_by_resuming_it() {
    let site = Site::start(&[Board::new("sim-1").rack("time_scale = 0.2")]);
    let job = site.job("killed").realtime(&[phase("idle", "")]).text();
    site.rack.hold("sim-1", "LOADS alive=1>");
    let running = site.begin("sim-1", &job, &[]);
    site.rack.wait_held("sim-1", 1);
    let killed = running.kill();
    assert_eq!(killed.code, None);
    site.rack.let_go("sim-1");
    let finished = site.resume(&killed.output).wait();
    finished.expect_code(0);
    let truth = site.rack.truth("sim-1");
    assert_truth(&finished, "0_idle", truth.last().unwrap());
    assert!(!site.rack.has_power("sim-1"));
    recompute(&site, &finished, "sim-1", false);
}

#[test]
fn a_board_that_has_a_run_is_refused_to_another_with_the_holders_name() {
    let site = Site::start(&[Board::new("sim-1")]);
    let job = site.job("first").realtime(&[phase("idle", "")]).text();
    site.rack.hold("sim-1", "LOADS alive=1>");
    let running = site.begin("sim-1", &job, &[]);
    site.rack.wait_held("sim-1", 1);
    let second = site.begin("sim-1", &site.job("second").text(), &[]).wait();
    second.expect_code(75);
    assert!(second.stderr.contains("basalt run"), "{}", second.stderr);
    assert!(!second.output.exists());
    site.rack.let_go("sim-1");
    let first = running.wait();
    first.expect_code(0);
    assert_eq!(site.rack.counter("sim-1", "power_on"), 1);
}

#[test]
fn a_board_that_asks_for_a_user_is_logged_in() {
    let board = Board::new("sim-1").rack("login = 'root'\npassword = 'secret'");
    let site = Site::start(&[board]);
    let job = site.job("login").boot_line(
        "auto_login: {login_prompt: 'login:', username: root, password_prompt: 'Password:', password: secret}",
    );
    site.run("sim-1", &job).expect_code(0);
}

#[test]
fn the_second_attempt_of_a_boot_may_succeed() {
    let site = Site::start(&[Board::new("sim-1")]);
    site.rack
        .knobs("sim-1", r#"{"hang": {"stage": "uboot", "times": 1}}"#);
    let job = site
        .job("retry")
        .boot_line("failure_retry: 2")
        .timeout_line("actions: {bootloader-interrupt: {seconds: 6}}")
        .realtime(&[phase("idle", "")]);
    let finished = site.run("sim-1", &job);
    finished.expect_code(0);
    assert_eq!(site.rack.counter("sim-1", "power_on"), 2);
    assert_truth(&finished, "0_idle", &site.rack.truth("sim-1")[0]);
}

#[test]
fn events_are_json_lines_and_nothing_else() {
    let site = Site::start(&[Board::new("sim-1")]);
    let job = site.job("json").text();
    let finished = site.begin("sim-1", &job, &["--json"]).wait();
    finished.expect_code(0);
    let events: Vec<Value> = finished
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (event, number) in events.iter().zip(1..) {
        assert_eq!((&event["v"], &event["seq"]), (&1.into(), &number.into()));
    }
    assert_eq!(events.first().unwrap()["kind"], "accepted");
    assert_eq!(events.last().unwrap()["kind"], "finished");
    assert_eq!(events.last().unwrap()["outcome"], "pass");
}
