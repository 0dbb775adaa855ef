//! What a small job costs the host, in counters that no slow host changes.

use crate::e2e_harness::{Board, Finished, Running, Site, definition};

/// What the keeper says that a board's console has cost so far.
fn console(site: &Site, counter: &str) -> u64 {
    let status = site.keeper_status();
    let counters = &status["consoles"]["sim-1"]["counters"];
    counters[counter]
        .as_u64()
        .unwrap_or_else(|| panic!("no {counter} in {status:#}"))
}

/// A number that the runner logs at its end.
fn journal(finished: &Finished, name: &str) -> u64 {
    let name = format!("journal.{name}=");
    let (_, rest) = finished
        .stderr
        .split_once(&name)
        .unwrap_or_else(|| panic!("no {name} in {}", finished.stderr));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn a_small_job_costs_the_disk_little() {
    let site = Site::start(&[Board::new("sim-1")]);
    let steps = ["lava-test-case a --result pass"; 5];
    let job = site
        .job("small")
        .definitions(&[definition("smoke", &steps, &[], &[])])
        .text();
    // The first run of a lab makes its directories and starts the keeper.
    site.begin("sim-1", &job, &[]).wait().expect_code(0);
    let counters = ["fsyncs", "bytes_read", "bytes_written", "opens"];
    let before = counters.map(|counter| console(&site, counter));
    let path = site.path().join("small.yaml");
    std::fs::write(&path, &job).unwrap();
    let output = site.path().join("counted");
    let mut command = site.basalt(&["run", "--board", "sim-1"]);
    command
        .arg(&path)
        .arg("--lab")
        .arg(site.lab("sim-1"))
        .arg("--output")
        .arg(&output)
        .env("RUST_LOG", "basalt_runner=debug");
    let finished = Running::start(command, site.path(), "counted", output).wait();
    finished.expect_code(0);
    let after = counters.map(|counter| console(&site, counter));
    let [fsyncs, read, written, opens] = std::array::from_fn(|at| after[at] - before[at]);
    assert_eq!(read, finished.bytes("console.bin").len() as u64);
    assert_eq!(opens, 0, "the console stays open between runs");
    // What nobody asks to be durable is synced once a second.
    let seconds = finished.took.as_secs() + 1;
    assert!(fsyncs <= 2 + seconds, "{fsyncs} fsyncs of the console");
    assert!(written <= 3 * read + 4096, "{written} bytes for {read}");
    let syncs = journal(&finished, "syncs");
    assert!(syncs <= 6 + seconds, "{syncs} syncs of the journal");
    let bytes = journal(&finished, "bytes");
    assert!(bytes <= 24 * 1024, "{bytes} bytes of journal");
}
