//! Memory: server, dispatcher and keeper with nothing to do, and with a run on every board.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{LONGEST, Lab, job_of, small_job};
use crate::bench::{Options, Row};

const BOARDS: usize = 100;
const NAMES: [&str; 3] = ["server", "dispatcher", "keeper"];
/// Memory is looked at until it has not grown for so long: what a start leaves to do is done.
const CALM: Duration = Duration::from_secs(3);

/// Idle, and with a hundred running: after a start, and after some jobs.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let lab = Lab::start(options, "serve-memory", BOARDS)?;
    let fresh = calm(&lab)?;
    let running = run_everywhere(&lab)?;
    drop(lab);
    rows.extend(idle("idle, 100 boards", &fresh));
    rows.extend(each("a running job, after a start", &fresh, &running));
    let lab = Lab::start(options, "serve-memory", BOARDS)?;
    // What every later run finds made, and what the allocators keep.
    lab.perform(&small_job(), 2 * BOARDS)?;
    let after = calm(&lab)?;
    let running = run_everywhere(&lab)?;
    rows.extend(idle("idle, 100 boards, after 200 jobs", &after));
    rows.extend(each("a running job, after 200 others", &after, &running));
    Ok(rows)
}

fn sum(memory: &[f64; 3]) -> f64 {
    memory.iter().sum()
}

fn idle(when: &str, memory: &[f64; 3]) -> Vec<Row> {
    let all = Row::once(format!("{when}: all three"), sum(memory), "MiB").aimed(60.0);
    let of = |(name, value): (&&str, &f64)| Row::once(format!("{when}: {name}"), *value, "MiB");
    std::iter::once(all)
        .chain(NAMES.iter().zip(memory).map(of))
        .collect()
}

/// What each of the runs needs.
fn each(when: &str, before: &[f64; 3], running: &[f64; 3]) -> Vec<Row> {
    let share = |now: f64, then: f64| (now - then) / BOARDS as f64;
    let all = share(sum(running), sum(before));
    let mut rows = vec![Row::once(format!("{when}: memory"), all, "MiB").aimed(0.1)];
    for (place, name) in NAMES.iter().enumerate() {
        let value = share(running[place], before[place]);
        rows.push(Row::once(format!("{when}: {name}"), value, "MiB"));
    }
    rows
}

/// Memory with a run on every board; none is left afterwards.
fn run_everywhere(lab: &Lab) -> Result<[f64; 3]> {
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
    let running = calm(lab)?;
    for id in &ids {
        let path = format!("/api/v1/jobs/{id}/cancel");
        let answer = client.ask("POST", &path, "application/json", "{\"reason\":\"done\"}")?;
        ensure!(answer.status < 300, "job {id} cannot be canceled");
    }
    for _ in 0..BOARDS {
        jobs.reached("finished")?;
    }
    Ok(running)
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
