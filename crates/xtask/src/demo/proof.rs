//! What a job came to, as the server tells it over its API, held against what is known beforehand,
//! against the raw files, and against what the rack truly sent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::followed::Line;
use super::lab::Lab;
use super::programme::Planted;
use super::strike::{Moment, Struck, Victim, events};
use crate::{process, workspace};

/// Cycles that every thread must have: 10 s at 1000 us.
const CYCLES: u64 = 10_000;
/// How long a client or script may take.
const SOON: Duration = Duration::from_secs(60);

/// Everything that the server says about a finished job.
pub struct Evidence {
    directory: PathBuf,
    pub job: Value,
    run: Value,
    pub latency: Value,
    log: Vec<Line>,
}

impl Evidence {
    /// Asks the server, through the client where it has a verb.
    pub fn collect(lab: &Lab, id: i64, directory: &Path) -> Result<Self> {
        let number = id.to_string();
        fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
        let job = lab.client_json(&["job", &number])?;
        let run = job["run"].as_str().context("the job has no run")?;
        let file = directory.join("run.json");
        lab.fetch(&format!("/api/v1/runs/{run}"), &file)?;
        let run_text = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let latency = lab.client_json(&["latency", &number])?;
        for record in records(&latency) {
            if let Some(path) = record["raw_file"]["path"].as_str() {
                lab.fetch(
                    &format!("/api/v1/runs/{run}/files/{path}"),
                    &directory.join(path),
                )?;
            }
        }
        let console = directory.join("console.bin");
        let output =
            fs::File::create(&console).with_context(|| format!("making {}", console.display()))?;
        let mut command = lab.client(&["logs", &number, "--console"]);
        process::run_into(&mut command, output, SOON)?;
        let said = process::run(&mut lab.client(&["logs", &number, "--json"]), SOON)?;
        let log: Result<Vec<Line>, _> = said.lines().map(serde_json::from_str).collect();
        let evidence = Self {
            directory: directory.to_owned(),
            run: serde_json::from_slice(&run_text).context("reading the run")?,
            job,
            latency,
            log: log.context("reading the log")?,
        };
        evidence.write_results()?;
        Ok(evidence)
    }

    /// What the independent script reads: the server's numbers beside the files that it gave.
    fn write_results(&self) -> Result<()> {
        let records = records(&self.latency);
        let raw_files: Vec<&Value> = records
            .iter()
            .map(|record| &record["raw_file"])
            .filter(|file| !file.is_null())
            .collect();
        let results = json!({
            "phases": records,
            "raw_files": raw_files,
            "console": {"file": "console.bin", "gaps": self.run["gaps"]},
        });
        let path = self.directory.join("results.json");
        fs::write(&path, results.to_string()).with_context(|| format!("writing {}", path.display()))
    }

    /// Holds the job against the truth, and what its follower saw against the log.
    pub fn hold(&self, planted: &Planted, code: Option<i32>, followed: &[Line]) -> Result<()> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        ensure!(
            code == Some(planted.exit),
            "basalt submit ended with {code:?}, not with {}",
            planted.exit
        );
        let outcome = word(&self.job["outcome"]);
        ensure!(
            outcome == planted.outcome,
            "the outcome is {outcome:?}, not {:?}",
            planted.outcome
        );
        let runs = self.job["runs"].as_array().map_or(0, Vec::len);
        let attempt = &self.run["attempt"];
        ensure!(
            runs == 1 && attempt == 1,
            "there are {runs} runs, the last is attempt {attempt}"
        );
        let lease = word(&self.run["lease_state"]);
        ensure!(lease == "ended", "the lease is {lease:?}");
        let power = word(&self.run["power"]);
        ensure!(
            power == "off",
            "the board is not off at the end but {power:?}"
        );
        let records = records(&self.latency);
        ensure!(
            records.len() == 2,
            "there are {} phases, not 2",
            records.len()
        );
        for record in records {
            hold_phase(record, planted)?;
        }
        self.hold_log(followed)
    }

    /// The log has no hole, says each thing once, and its follower saw every line.
    fn hold_log(&self, followed: &[Line]) -> Result<()> {
        let first_off = self
            .log
            .iter()
            .zip(1..)
            .find(|(line, number)| line.number != *number);
        ensure!(first_off.is_none(), "the log has a hole: {first_off:?}");
        let differs = self
            .log
            .iter()
            .zip(followed)
            .find(|(one, other)| one != other);
        ensure!(
            differs.is_none() && self.log.len() == followed.len(),
            "the log has {} lines, its follower saw {}; first difference: {differs:?}",
            self.log.len(),
            followed.len()
        );
        // No phase completes twice, however often it had to be begun.
        for once in [
            "measurement idle, ",
            "measurement hackbench, ",
            "finished: ",
        ] {
            let count = events(&self.log)
                .filter(|line| line.level != "debug" && line.text.contains(once))
                .count();
            ensure!(count == 1, "{once:?} stands in the log {count} times");
        }
        Ok(())
    }

    /// Holds the kills in the middle of this job against its log; where each struck.
    pub fn hold_strikes(&self, struck: &[&Struck]) -> Result<Vec<String>> {
        let mut said = Vec::new();
        for one in struck {
            let held = one.hold(&self.log);
            said.push(held.with_context(|| format!("kill -9 of {}", one.victim))?);
            let resumed = self.run["resumed"].as_u64().unwrap_or(0);
            ensure!(
                one.victim == Victim::Server || resumed > 0,
                "the run was never taken up again"
            );
        }
        let count_of = |text: &str| events(&self.log).filter(|line| line.text == text).count();
        // A board whose shell does not answer in time under its load is booted once more for what
        // is left, and says so; any other boot is one too many.
        let again = count_of("the board is booted again for what is left to do");
        let boots = count_of("power on: asking the relay");
        let in_boot = struck.iter().filter(|one| one.moment == Moment::Booting);
        let expected = 1 + in_boot.count() + again;
        ensure!(
            boots == expected,
            "the board was switched on {boots} times, not {expected}"
        );
        Ok(said)
    }

    /// A script without Basalt's code must find the same numbers in the raw files, and the same
    /// bytes in the rack's log. What it said.
    pub fn recompute(&self, rack_log: &Path, board: &str) -> Result<String> {
        let mut command = Command::new("python3");
        command
            .arg(workspace::root().join("scripts/recompute.py"))
            .arg(&self.directory)
            .arg(rack_log)
            .arg(board);
        let said = process::run(&mut command, SOON)?;
        let lines: Vec<&str> = said.trim_end().lines().collect();
        // The table of each phase comes first.
        Ok(lines[lines.len().saturating_sub(2)..].join("; "))
    }

    /// The rows of the table.
    pub fn rows(&self, planted: &Planted) -> Vec<[String; 8]> {
        let number = |value: &Value| {
            value
                .as_u64()
                .map_or_else(|| "–".to_owned(), |us| format!("{us} µs"))
        };
        let text = |value: &Value| value.as_str().unwrap_or("–").to_owned();
        records(&self.latency)
            .iter()
            .map(|record| {
                [
                    format!("{} {}", self.job["id"], planted.name),
                    text(&self.job["board"]),
                    text(&record["environment"]["uname_r"]),
                    text(&record["phase"]),
                    number(&record["totals"]["max"]),
                    number(&record["limit_us"]),
                    text(&record["verdict"]),
                    planted.verdict.to_owned(),
                ]
            })
            .collect()
    }
}

fn records(latency: &Value) -> &[Value] {
    latency["records"].as_array().map_or(&[], Vec::as_slice)
}

fn hold_phase(record: &Value, planted: &Planted) -> Result<()> {
    let word = |name: &str| record[name].as_str().unwrap_or_default();
    let (name, verdict, reason) = (word("phase"), word("verdict"), word("reason"));
    ensure!(
        verdict == planted.verdict,
        "phase {name} is {verdict:?} ({reason}), not {:?}",
        planted.verdict
    );
    ensure!(
        reason.contains(planted.because),
        "phase {name} says {reason:?}, which does not name {:?}",
        planted.because
    );
    for thread in record["threads"].as_array().into_iter().flatten() {
        let cycles = thread["measured"]["cycles"].as_u64();
        ensure!(
            planted.verdict == "invalid" || cycles == Some(CYCLES),
            "phase {name} has {cycles:?} cycles, not {CYCLES}"
        );
    }
    Ok(())
}
