//! A block of measurements: each phase run detached, its raw file brought back, its record judged.

use basalt_model::{Culprit, EventBody, Failure, Verdict};
use basalt_plan::plan::{Block, Phase, Realtime, action};
use basalt_realtime::cyclictest;
use basalt_realtime::environment::Environment;
use basalt_realtime::record::{LatencyRecord, PhaseIdentity, RawFile};
use basalt_realtime::verdict::{LoadReport, PhaseFacts};
use tokio::time::Instant;

use crate::directory::write_durably;
use crate::overlay::{phase_directory, quote};
use crate::payload::Payload;
use crate::run::{Place, Run};
use crate::session::chain;
use crate::signals::words;

/// The environment record's file in the run's directory.
const ENVIRONMENT_FILE: &str = "environment.txt";

impl Run {
    /// One attempt of a block of measurements. Phases that are complete are not run again.
    pub(crate) async fn measure(
        &mut self,
        block: &Block,
        realtime: &Realtime,
        attempt: u32,
        deadline: Instant,
    ) -> Result<(), Failure> {
        for (index, phase) in realtime.phases.iter().enumerate() {
            let key = (block.level.clone(), index);
            if self.session.recorder.state().phases.contains_key(&key) {
                continue;
            }
            let level = format!("{}.{}", block.level, index + 1);
            let here = Place {
                level: level.clone(),
                name: action::PHASE.into(),
                attempt,
                deadline: deadline.min(Instant::now() + block.timeout_of(action::PHASE)),
            };
            self.action(here, async |run, deadline| {
                run.run_phase(block, realtime, index, phase, attempt, deadline)
                    .await
            })
            .await?;
        }
        Ok(())
    }

    async fn run_phase(
        &mut self,
        block: &Block,
        realtime: &Realtime,
        index: usize,
        phase: &Phase,
        attempt: u32,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let level = format!("{}.{}", block.level, index + 1);
        let directory = phase_directory(&self.overlay_root(), realtime.stage, index);
        // A payload that was started before the board was switched is gone; the next one has a
        // number of its own.
        let state = self.session.recorder.state();
        let of_this = |(started, _): &&(String, u32)| *started == level;
        let started = state.payloads.iter().filter(of_this).count() as u32;
        let run = match state.is_on_board(&level, started) {
            true => started,
            false => started + 1,
        };
        let payload = Payload {
            level: level.clone(),
            name: format!("phase {}", phase.name),
            attempt: run,
            directory: format!("{directory}/run-{run}"),
            command: format!(
                "{}/bin/basalt-phase {}",
                self.overlay_root(),
                quote(&directory)
            ),
            silence: phase.duration,
        };
        self.run_payload(&payload, deadline).await?;
        self.session
            .mark_console()
            .map_err(|why| self.kernel_failure(&why, "the journal", "the journal fails"))?;

        let raw_file = format!("{}.json", phase.suite);
        let here = Place {
            level: format!("{level}.1"),
            name: action::TRANSFER.into(),
            attempt,
            deadline: deadline.min(Instant::now() + block.timeout_of(action::TRANSFER)),
        };
        let arrived = self
            .action(here, async |run, deadline| {
                let file = format!("{directory}/out/result.json");
                run.fetch(&file, &raw_file, deadline).await
            })
            .await?;
        let raw = match &arrived {
            None => None,
            Some(arrived) => {
                let path = format!("raw/{raw_file}");
                write_durably(&self.directory.file(&path), &arrived.bytes).map_err(host_failure)?;
                self.journal_durably(EventBody::RawFile {
                    path: path.clone(),
                    sha256: arrived.sha256,
                    bytes: arrived.bytes.len() as u64,
                    board_sha256: arrived.sha256,
                    via: arrived.via.into(),
                })?;
                Some(RawFile {
                    path,
                    sha256: crate::transfer::sha256(&arrived.bytes),
                    bytes: arrived.bytes.len() as u64,
                    board_sha256: Some(arrived.sha256),
                })
            }
        };
        let measured = match &arrived {
            Some(arrived) => cyclictest::parse_json(&arrived.bytes),
            None => Err(cyclictest::ParseError::Missing),
        };
        let facts = self.facts(phase, &level, run)?;
        let record = LatencyRecord::new(
            PhaseIdentity {
                phase: phase.name.clone(),
                suite: phase.suite.clone(),
                measure: phase.measure.clone(),
                limit_source: phase.limit_source.clone(),
            },
            measured.as_ref(),
            &facts,
            raw,
        );
        self.keep_phase(block, index, attempt, &record)
    }

    fn keep_phase(
        &mut self,
        block: &Block,
        index: usize,
        attempt: u32,
        record: &LatencyRecord,
    ) -> Result<(), Failure> {
        let value = serde_json::to_value(record).map_err(|error| {
            Failure::new(
                Culprit::Bug,
                "record",
                format!("the latency record cannot be written: {error}"),
            )
        })?;
        // The cases are derived from this record, so the phase and its numbers are one event.
        let _ = attempt;
        self.journal_durably(EventBody::PhaseFinished {
            level: block.level.clone(),
            phase: record.phase.clone(),
            index,
            verdict: record.verdict,
            reason: record.reason.clone(),
            record: value,
        })?;
        if record.verdict == Verdict::Invalid {
            self.log_warning(format!(
                "phase {} proves nothing: {}",
                record.phase, record.reason
            ))?;
        }
        Ok(())
    }

    /// What was asked for and what was seen around the measurement.
    fn facts(&self, phase: &Phase, level: &str, attempt: u32) -> Result<PhaseFacts, Failure> {
        let state = self.session.recorder.state();
        let mut environment = self.environment()?;
        environment.measure_command = Some(phase.command.join(" "));
        environment.load_commands = phase
            .loads
            .iter()
            .map(|(_, command)| command.join(" "))
            .collect();
        let done = state
            .progress
            .get(&(level.to_owned(), attempt))
            .and_then(|texts| {
                let done = |text: &&String| text.starts_with("BASALT_PHASE DONE");
                texts.iter().find(done).cloned()
            })
            .unwrap_or_default();
        let loads = phase
            .loads
            .iter()
            .map(|(name, _)| load_report(name, &done))
            .collect();
        let kernel_matches = match (&environment.image_linux_version, &environment.banner) {
            (Some(served), Some(printed)) => {
                basalt_realtime::environment::same_kernel(served, printed)
            }
            _ => Ok(()),
        };
        Ok(PhaseFacts {
            duration: phase.duration,
            interval_us: phase.interval_us,
            limit_us: phase.limit_us,
            require_preempt_rt: phase.require_preempt_rt,
            loads,
            online_cpus: environment.online_cpus(),
            kernel_matches,
            environment,
        })
    }

    /// Collects the environment record on the board.
    pub(crate) async fn record_environment(&mut self, deadline: Instant) -> Result<(), Failure> {
        let root = self.overlay_root();
        let file = format!("{root}/{ENVIRONMENT_FILE}");
        let command = format!("{root}/bin/basalt-environment {file}");
        self.shell(&command, deadline).await?;
        let Some(arrived) = self.fetch(&file, ENVIRONMENT_FILE, deadline).await? else {
            return self.log_warning("the board gave no environment record".to_owned());
        };
        write_durably(&self.directory.file(ENVIRONMENT_FILE), &arrived.bytes).map_err(host_failure)
    }

    /// The environment record: what the board said, and what only the host knows (decision D17).
    fn environment(&self) -> Result<Environment, Failure> {
        let state = self.session.recorder.state();
        let text = std::fs::read(self.directory.file(ENVIRONMENT_FILE)).unwrap_or_default();
        let mut environment = Environment::parse(&String::from_utf8_lossy(&text));
        let kernel = state.artifact("kernel");
        environment.image_sha256 = kernel.map(|kernel| kernel.sha256.to_string());
        environment.image_linux_version = kernel.and_then(|kernel| kernel.linux_version.clone());
        environment.banner = state.banner.clone();
        environment.firmware = state.firmware.clone();
        environment.timebase = self.plan.board.timebase.clone();
        Ok(environment)
    }
}

/// Reads `load.NAME=STATE,ROUNDS` of the phase's last signal; a load that it does not name died.
fn load_report(name: &str, done: &str) -> LoadReport {
    let key = format!("load.{name}");
    let said = words(done).find(|(word, _)| *word == key);
    let (state, rounds) = said.map_or(("", ""), |(_, value)| {
        value.split_once(',').unwrap_or((value, ""))
    });
    let died = match state {
        "alive" => None,
        "" => Some("nobody saw it".to_owned()),
        state => Some(match state.strip_prefix("died:") {
            Some(code) => format!("exit {code}"),
            None => "it was gone at the end".to_owned(),
        }),
    };
    LoadReport {
        name: name.to_owned(),
        alive_at_end: state == "alive",
        restarts: rounds.parse().unwrap_or(0),
        died,
    }
}

fn host_failure(error: crate::directory::DirectoryError) -> Failure {
    Failure::infrastructure(basalt_model::Part::Host, "host", chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_alive_only_where_the_board_says_so() {
        let done = "BASALT_PHASE DONE rc=0 load.hackbench=alive,12 load.grep=died:1,3 bytes=5";
        let hackbench = load_report("hackbench", done);
        assert!(hackbench.alive_at_end && hackbench.restarts == 12 && hackbench.died.is_none());
        assert_eq!(load_report("grep", done).died.as_deref(), Some("exit 1"));
        assert!(!load_report("other", done).alive_at_end);
    }
}
