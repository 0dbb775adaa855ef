//! Memory: server, dispatcher and keeper with nothing to do, and with a run on every board.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{LONGEST, Lab, job_of, small_job};
use crate::bench::{Options, Row};

const BOARDS: usize = 100;
const NAMES: [&str; 3] = ["server", "dispatcher", "keeper"];
/// Memory is looked at until it has not grown for so long: what a start leaves to do is done.
const CALM: Duration = Duration::from_secs(3);

/// Idle before any job, idle after some, and with a hundred running.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let lab = Lab::start(options, "serve-memory", BOARDS)?;
    let fresh = calm(&lab)?;
    // What every later run finds made, and what the allocators keep.
    lab.perform(&small_job(), 2 * BOARDS)?;
    let before = calm(&lab)?;
    let mut jobs = lab.listen()?;
    let mut client = lab.connect()?;
    let job = job_of(
        "stays",
        &["lava-test-case first --result pass", "sleep 3600"],
    );
    let mut ids = Vec::new();
    for _ in 0..BOARDS {
        ids.push(client.submit(&job)?);
    }
    for _ in 0..BOARDS {
        jobs.reached("running")?;
    }
    let begun = Instant::now();
    for id in &ids {
        // Far enough when its first case is in the log.
        let path = format!("/api/v1/jobs/{id}/log?q=TEST_CASE_ID%3Dfirst&limit=1");
        while client.get(&path)?.body.is_empty() {
            ensure!(begun.elapsed() < LONGEST, "job {id} has no first case");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let running = calm(&lab)?;
    for id in &ids {
        let path = format!("/api/v1/jobs/{id}/cancel");
        let answer = client.ask("POST", &path, "application/json", "{\"reason\":\"done\"}")?;
        ensure!(answer.status < 300, "job {id} cannot be canceled");
    }
    for _ in 0..BOARDS {
        jobs.reached("finished")?;
    }
    let sum = |memory: &[f64; 3]| memory.iter().sum::<f64>();
    let mut rows =
        vec![Row::once("idle, 100 boards: memory of all three", sum(&fresh), "MiB").aimed(60.0)];
    for (name, value) in NAMES.iter().zip(fresh) {
        rows.push(Row::once(format!("idle, 100 boards: {name}"), value, "MiB"));
    }
    let after = "idle, 100 boards, after 200 jobs: all three";
    rows.push(Row::once(after, sum(&before), "MiB").aimed(60.0));
    for (name, value) in NAMES.iter().zip(before) {
        rows.push(Row::once(
            format!("idle, after 200 jobs: {name}"),
            value,
            "MiB",
        ));
    }
    let each = |now: f64, then: f64| (now - then) / BOARDS as f64;
    let all = each(sum(&running), sum(&before));
    rows.push(Row::once("a running job: memory", all, "MiB").aimed(0.1));
    for (place, name) in NAMES.iter().enumerate() {
        let value = each(running[place], before[place]);
        rows.push(Row::once(format!("a running job: {name}"), value, "MiB"));
    }
    Ok(rows)
}

/// Memory of each process once it does not change any more.
fn calm(lab: &Lab) -> Result<[f64; 3]> {
    let begun = Instant::now();
    let mut last = lab.processes().memory()?;
    while begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(CALM);
        let now = lab.processes().memory()?;
        let moved = last
            .iter()
            .zip(now)
            .any(|(last, now)| (last - now).abs() > 0.25);
        last = now;
        if !moved {
            break;
        }
    }
    Ok(last)
}
