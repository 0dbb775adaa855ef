//! What the firmware's programs ask the rack: `cyclictest`, `hackbench`, `reboot`. One line a request, over a FIFO.

use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::{io::AsyncWriteExt, net::unix::pipe, time::Instant};

use super::{End, Fault, Run, Session};
use crate::{
    knobs::{PanicStage, Stage},
    log::now_us,
    measure::{self, Conditions, Options, Phase, PhaseState},
};

/// How long a program of the board may take to open its answer.
const REPLY_WITHIN: Duration = Duration::from_secs(10);
impl Session<'_> {
    /// Answers a program of the firmware: `PID VERB ARGUMENT…`.
    pub(super) fn request(&mut self, text: &str) -> Option<End> {
        let mut words = text.split_whitespace();
        let pid = words.next()?.parse().ok()?;
        let verb = words.next()?;
        let arguments: Vec<&str> = words.collect();
        match verb {
            "reboot" => return Some(End::Reboot),
            "poweroff" => return Some(End::Off("Power down")),
            "halt" => return Some(End::Off("System halted")),
            "hackbench-start" => self.hackbench(pid, &arguments),
            "cyclictest-start" => self.start_run(pid, &arguments),
            "cyclictest-finish" => self.finish_run(pid, !arguments.is_empty()),
            "cyclictest-json" => self.json(pid),
            "cyclictest-text" => {
                let text = self.running.remove(&pid).map(|run| {
                    let threads = self.truth(|truth| truth.phases[run.phase].threads.clone());
                    // Without a histogram, -q leaves only the last line of each thread, which is what `text` gives.
                    measure::text(&run.options, &threads)
                });
                self.reply(pid, text.unwrap_or_default().into_bytes());
            }
            other => self
                .machine
                .board
                .event("error", json!({"what": format!("firmware asks {other:?}")})),
        }
        None
    }

    fn truth<T>(&self, with: impl FnOnce(&mut measure::Truth) -> T) -> T {
        let truth = self
            .machine
            .board
            .truth
            .as_ref()
            .expect("simulated boards have a truth");
        with(
            &mut truth
                .lock()
                .expect("nothing panics while it holds the truth"),
        )
    }

    fn hackbench(&self, pid: u32, arguments: &[&str]) {
        self.machine.board.count("hackbench_runs", 1);
        let loops = arguments
            .iter()
            .position(|word| *word == "-l" || *word == "--loops")
            .and_then(|at| arguments.get(at + 1)?.parse::<f64>().ok())
            .unwrap_or(100.0);
        let seconds = loops / 100.0;
        let dies =
            self.machine
                .board
                .knobs
                .take("load_dies", |knobs| &mut knobs.load_dies, |_| true);
        let (real, status) = match dies {
            Some(dies) => {
                self.machine.board.fired("load_dies");
                (dies.after_ms as f64 / 1000.0, 1)
            }
            None => (seconds * self.machine.config.time_scale, 0),
        };
        self.reply(
            pid,
            format!("{real:.3} {status} {seconds:.3}\n").into_bytes(),
        );
    }

    fn start_run(&mut self, pid: u32, arguments: &[&str]) {
        let board = &self.machine.board;
        let Some(options) = Options::parse(arguments) else {
            self.reply(
                pid,
                b"usage\ncyclictest V 2.40\nUsage:\ncyclictest <options>\n".to_vec(),
            );
            return;
        };
        board.count("cyclictest_runs", 1);
        if board.knobs.hangs(Stage::Cyclictest) {
            board.fired("hang");
            self.reply(pid, b"hang\n".to_vec());
            return;
        }
        let spike = board
            .knobs
            .take("spike", |knobs| &mut knobs.spike, |_| true);
        let starved = board
            .knobs
            .take("lost_cycles", |knobs| &mut knobs.lost_cycles, |_| true);
        for (knob, set) in [
            ("spike", spike.is_some()),
            ("lost_cycles", starved.is_some()),
        ] {
            if set {
                board.fired(knob);
            }
        }
        let config = &self.machine.config;
        let boot = board.counter("kernels");
        let command = format!("cyclictest {}", arguments.join(" "));
        // Without an end, a day's sleep; whoever wants less stops it.
        let seconds = options.seconds().unwrap_or(86_400.0);
        let (phase, conditions) = self.truth(|truth| {
            let conditions = Conditions {
                seed: truth.seed,
                phase: truth.phases.len() as u64 + 1,
                cpus: config.cpus,
                latency_us: config.latency_us,
                spike_us: spike.map(|spike| spike.us),
                lost_cycles: starved.map_or(0.0, |starved| starved.share),
                seconds,
            };
            truth.phases.push(Phase {
                phase: conditions.phase,
                boot,
                command,
                state: PhaseState::Running,
                threads: measure::measure(&options, &conditions),
                json_sha256: None,
            });
            (truth.phases.len() - 1, conditions)
        });
        let real = seconds * config.time_scale;
        self.plant_faults(Instant::now() + Duration::from_secs_f64(real / 2.0));
        let run = Run {
            phase,
            options,
            conditions,
            started: Instant::now(),
            started_us: now_us(),
        };
        self.running.insert(pid, run);
        self.reply(pid, format!("run {real:.3}\n").into_bytes());
    }

    fn plant_faults(&mut self, at: Instant) {
        let board = &self.machine.board;
        if let Some(panic) = self.machine.panics_at(PanicStage::Cyclictest) {
            self.fault = Some((at, Fault::Panic(panic)));
        } else if board
            .knobs
            .take(
                "reboot_mid_run",
                |knobs| &mut knobs.reboot_mid_run,
                |_| true,
            )
            .is_some()
        {
            board.fired("reboot_mid_run");
            self.fault = Some((at, Fault::Reboot));
        }
    }

    fn finish_run(&mut self, pid: u32, stopped: bool) {
        if let Some(run) = self.running.get_mut(&pid) {
            let scale = self.machine.config.time_scale.max(1e-6);
            let measured = run.started.elapsed().as_secs_f64() / scale;
            let mut partial = None;
            if stopped && measured < run.conditions.seconds {
                run.conditions.seconds = measured;
                partial = Some(measure::measure(&run.options, &run.conditions));
            }
            let phase = run.phase;
            self.truth(|truth| {
                let phase = &mut truth.phases[phase];
                phase.state = if stopped {
                    PhaseState::Stopped
                } else {
                    PhaseState::Finished
                };
                if let Some(threads) = partial {
                    phase.threads = threads;
                }
            });
        }
        self.reply(pid, b"done\n".to_vec());
    }

    fn json(&mut self, pid: u32) {
        let Some(run) = self.running.get(&pid) else {
            return self.reply(pid, Vec::new());
        };
        let (command, threads) = self.truth(|truth| {
            (
                truth.phases[run.phase].command.clone(),
                truth.phases[run.phase].threads.clone(),
            )
        });
        let text = measure::json(
            &command,
            &run.options,
            &threads,
            &self.system,
            run.started_us,
            run.conditions.seconds,
        );
        let mut bytes = text.into_bytes();
        let board = &self.machine.board;
        if board
            .knobs
            .take("truncate_json", |knobs| &mut knobs.truncate_json, |_| true)
            .is_some()
        {
            board.fired("truncate_json");
            bytes.truncate(bytes.len() / 2);
        }
        let sum: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.truth(|truth| truth.phases[run.phase].json_sha256 = Some(sum));
        self.reply(pid, bytes);
    }

    /// Writes an answer without holding up the console.
    fn reply(&self, pid: u32, bytes: Vec<u8>) {
        let path = self.root.path().join(format!(".rack/reply.{pid}"));
        let board = std::sync::Arc::clone(&self.machine.board);
        tokio::spawn(async move {
            let answer = async {
                let mut sender = loop {
                    // There is no reader until the program opens it.
                    match pipe::OpenOptions::new().open_sender(&path) {
                        Err(error)
                            if error.raw_os_error()
                                == Some(rustix::io::Errno::NXIO.raw_os_error()) =>
                        {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }
                        opened => break opened?,
                    }
                };
                sender.write_all(&bytes).await
            };
            let error = match tokio::time::timeout(REPLY_WITHIN, answer).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "nobody takes the answer".to_owned(),
            };
            board.event("firmware", json!({"unanswered": pid, "why": error}));
        });
    }

    /// The board goes away under what still runs.
    pub(super) fn lose_phases(&self) {
        self.truth(|truth| {
            for phase in truth
                .phases
                .iter_mut()
                .filter(|phase| phase.state == PhaseState::Running)
            {
                phase.state = PhaseState::Lost;
            }
        });
    }
}
