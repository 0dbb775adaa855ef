//! What comes over the console is kept byte for byte, and what comes in between spoils nothing.

use std::process::Command;

use basalt_model::EventBody;

use crate::e2e_happy::{assert_truth, recompute};
use crate::e2e_harness::{Board, Job, Running, Site, definition, phase, until};

/// A job of many small results and a measurement whose file comes back over the console.
fn talkative(site: &Site) -> Job {
    let steps: Vec<String> = (0..12)
        .map(|number| {
            format!(
                "lava-test-case case-{number} --result pass --measurement {number}.5 --units us"
            )
        })
        .collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    site.job("talkative")
        .definitions(&[definition("many", &steps, &[], &[])])
        .realtime(&[phase("idle", "limit: 400us")])
}

#[test]
fn kernel_messages_in_the_middle_of_lines_neither_lose_nor_change_a_result() {
    let places = [
        ("second", r#"{"every": 2}"#),
        ("third", r#"{"every": 3}"#),
        ("fifth", r#"{"every": 5}"#),
        (
            "bracket",
            r#"{"after": "<LAVA_SIGNAL_TESTCASE", "times": 6}"#,
        ),
        ("number", r##"{"after": "TESTCASE #", "times": 6}"##),
        ("value", r#"{"after": "MEASUREMENT=", "times": 6}"#),
        ("result", r#"{"after": "RESULT=pa", "times": 6}"#),
        ("closing", r#"{"after": ".5>", "times": 6}"#),
        ("stage", r#"{"after": "<BASALT_STA", "times": 3}"#),
        ("end", r#"{"after": "BASALT_STAGE", "times": 4}"#),
        ("answer", r#"{"after": "BASALT-RC-", "times": 3}"#),
        ("file", r#"{"after": "<BASALT_FILE #1", "times": 9}"#),
    ];
    let boards: Vec<Board> = places.iter().map(|(name, _)| Board::new(name)).collect();
    let site = Site::start(&boards);
    let job = talkative(&site).text();
    for group in places.chunks(4) {
        let running: Vec<_> = group
            .iter()
            .map(|(name, knob)| {
                site.rack.knobs(name, &format!("{{\"printk\": {knob}}}"));
                (name, site.begin(name, &job, &[]))
            })
            .collect();
        for (name, running) in running {
            let finished = running.wait();
            finished.expect_code(0);
            let results = finished.results();
            let cases = results.cases("0_many");
            assert_eq!(cases.len(), 12, "{name}: {cases:#?}");
            for (number, case) in cases.iter().enumerate() {
                assert_eq!(case["case"], format!("case-{number}"), "{name}");
                assert_eq!(case["measurement"], number as f64 + 0.5, "{name}");
                assert_eq!(case["result"], "pass", "{name}");
            }
            assert_truth(&finished, "1_idle", &site.rack.truth(name)[0]);
            assert!(site.rack.fired(name, "printk") > 0, "{name}");
            recompute(&site, &finished, name, true);
        }
    }
}

#[test]
fn a_board_without_a_program_for_uploads_sends_its_file_over_the_console() {
    let site = Site::start(&[Board::new("sim-1").uploads()]);
    // The rack's busybox with the name of one applet changed, so that its table stays in order.
    let mut busybox = std::fs::read(site.path().join("rack/busybox")).unwrap();
    let name = b"\0tftp\0";
    let at = busybox
        .windows(name.len())
        .position(|window| window == name)
        .unwrap();
    busybox[at + 4] = b'o';
    site.write_ramdisk(
        "without-tftp.cpio.gz",
        &[("busybox-without-tftp", &busybox)],
    );
    let replace = "mv /busybox-without-tftp /bin/busybox";
    let job = site
        .job("no tftp on the board")
        .deploy(|deploy| deploy.ramdisk = "without-tftp.cpio.gz".into())
        .definitions(&[definition("cripple", &[replace], &[], &[])])
        .realtime(&[phase("idle", "limit: 400us")]);
    let finished = site.run("sim-1", &job);
    finished.expect_code(0);
    let results = finished.results();
    let raw = &results.0["raw_files"][0];
    assert_eq!(raw["via"], "console");
    assert_truth(&finished, "1_idle", &site.rack.truth("sim-1")[0]);
}

/// Starts a job and waits until its board is about to measure; there it stands still until it is let
/// go.
fn begin_and_hold(site: &Site, job: &str) -> Running {
    site.rack.hold("sim-1", "LOADS alive=1>");
    let running = site.begin("sim-1", job, &[]);
    site.rack.wait_held("sim-1", 1);
    running
}

#[test]
fn any_bytes_that_a_board_says_are_kept_as_they_are() {
    let site = Site::start(&[Board::new("sim-1")]);
    let running = begin_and_hold(&site, &talkative(&site).text());
    let all: String =
        serde_json::to_string(&(0u8..=255).map(char::from).collect::<String>()).unwrap();
    site.rack.ask(
        "POST",
        "/boards/sim-1/emit",
        &format!("{{\"text\": {all}}}"),
    );
    for seed in 0..8 {
        let body = format!("{{\"bytes\": 50000, \"seed\": {seed}}}");
        site.rack.ask("POST", "/boards/sim-1/emit", &body);
    }
    site.rack.let_go("sim-1");
    let finished = running.wait();
    finished.expect_code(0);
    assert_truth(&finished, "1_idle", &site.rack.truth("sim-1")[0]);
    let console = finished.bytes("console.bin");
    assert!(console.len() > 400_000);
    let kinds: std::collections::BTreeSet<u8> = console.iter().copied().collect();
    assert_eq!(kinds.len(), 256);
    assert!(
        console == site.rack.said("sim-1"),
        "console.bin is not what was said"
    );
    recompute(&site, &finished, "sim-1", true);
}

#[test]
fn a_console_that_was_away_for_a_moment_is_a_recorded_gap_and_no_failure() {
    for board in [Board::new("sim-1"), Board::new("sim-1").pty()] {
        let site = Site::start(&[board]);
        let job = site
            .job("gap")
            .realtime(&[phase("idle", "limit: 400us")])
            .text();
        let running = begin_and_hold(&site, &job);
        let connections = || site.rack.board("sim-1")["connections"].as_u64().unwrap();
        let before = connections();
        site.rack.knobs("sim-1", r#"{"console_gone": {}}"#);
        site.rack.wait_for("the console to be closed", |line| {
            line["board"] == "sim-1" && line["ev"] == "console" && line["present"] == false
        });
        site.rack.ask(
            "POST",
            "/boards/sim-1/emit",
            r#"{"text": "nobody hears this\n"}"#,
        );
        site.rack.knobs("sim-1", r#"{"console_gone": null}"#);
        until("somebody at the console", || {
            (connections() > before).then_some(())
        });
        site.rack.let_go("sim-1");
        let finished = running.wait();
        finished.expect_code(0);
        let results = finished.results();
        let gaps = results.0["console"]["gaps"].as_array().unwrap();
        assert!(!gaps.is_empty(), "{:#}", results.0["console"]);
        let console = finished.bytes("console.bin");
        let heard = String::from_utf8_lossy(&console);
        assert!(!heard.contains("nobody hears this"));
        assert_truth(&finished, "0_idle", &site.rack.truth("sim-1")[0]);
        recompute(&site, &finished, "sim-1", true);
    }
}

#[test]
fn a_console_that_stays_away_ends_the_run_and_the_board_is_switched_off() {
    let site = Site::start(&[Board::new("sim-1")]);
    let job = site
        .job("gone")
        .realtime(&[phase("idle", "limit: 400us")])
        .text();
    let running = begin_and_hold(&site, &job);
    // The runner awaits nothing else any more.
    let journal = running.output.join("journal");
    until("the runner to have heard the board", || {
        let events = basalt_journal::read(&journal).unwrap();
        let heard = |event: &basalt_model::Event| matches!(&event.body, EventBody::Signal { text, .. } if text.contains("LOADS"));
        events.iter().any(heard).then_some(())
    });
    site.rack.knobs("sim-1", r#"{"console_gone": {}}"#);
    let finished = running.wait();
    finished.expect_code(3);
    let results = finished.results();
    assert_eq!(results.blame(), ("infrastructure", "console-gone"));
    assert_eq!(results.power(), "off");
    assert!(!site.rack.has_power("sim-1"));
    let failure = &results.0["failure"];
    assert_eq!(failure["part"], "console");
    assert_eq!(failure["awaited"], "the end of phase idle");
    recompute(&site, &finished, "sim-1", true);
}

#[test]
fn one_changed_byte_of_the_console_is_noticed_by_the_script() {
    let site = Site::start(&[Board::new("sim-1")]);
    let finished = site.run("sim-1", &site.job("boot"));
    finished.expect_code(0);
    recompute(&site, &finished, "sim-1", true);
    let mut console = finished.bytes("console.bin");
    let middle = console.len() / 2;
    console[middle] ^= 1;
    std::fs::write(finished.output.join("console.bin"), console).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/recompute.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(&finished.output)
        .arg(site.rack.log_path())
        .args(["sim-1", "whole"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
}
