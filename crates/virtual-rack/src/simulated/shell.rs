//! From login to the end of a boot: a real shell on a terminal whose other side is the serial port.
//!
//! The shell is process 1 of a process namespace, in user, mount and host name namespaces of its own and with the unpacked
//! ramdisk as its root, so nothing on the board has power over the host whoever the rack runs as, and everything ends with it.

use std::{
    collections::BTreeMap,
    io,
    os::fd::AsFd,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use pty_process::{OwnedReadPty, OwnedWritePty, Pts};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe,
    process::{Child, Command},
    time::{Instant, sleep_until},
};

use super::{Handover, Machine, console::Console, kernel, root::RootDir};
use crate::{
    knobs::{Panic, PanicStage, Stage},
    log::now_us,
    measure::{self, Conditions, Options, Phase, PhaseState, SystemInfo},
};

/// What waits for a shell that does not read; more is lost, as in a UART's receiver.
const INPUT_LIMIT: usize = 64 << 10;
/// How long a program of the board may take to open its answer.
const REPLY_WITHIN: Duration = Duration::from_secs(10);
/// Prepares the namespaces; `$1` is busybox on the host, the current directory is the board's root.
const SET_UP: &str = r#"set -e
"$1" mount -t proc proc proc
for device in null zero full random urandom tty; do "$1" mount -o bind /dev/$device dev/$device; done
console=$("$1" tty)
for device in console ttyAMA0; do "$1" mount -o bind "$console" dev/$device; done
for fact in version cmdline cpuinfo; do "$1" mount -o bind .rack/$fact proc/$fact; done
"$1" mount -o bind .rack/osrelease proc/sys/kernel/osrelease
"$1" hostname "$2"
exec "$1" chroot . /bin/busybox setsid -c /bin/sh
"#;

/// Runs login and shell. Returns when the board resets.
pub async fn run(
    machine: &Machine,
    console: &mut Console,
    root: &RootDir,
    handover: &Handover,
) -> io::Result<()> {
    if let Some(user) = &machine.config.login {
        login(machine, console, user).await;
    }
    machine.stage("shell");
    machine.board.count("shells", 1);
    let hangs = machine.board.knobs.hangs(Stage::Shell);
    let mut session = Session::start(machine, root, handover)?;
    let end = session.run(console, hangs).await?;
    session.lose_phases();
    drop(session);
    match end {
        End::Exited(status) => {
            let code = status.code().unwrap_or(9) << 8;
            let why = format!("Attempted to kill init! exitcode={code:#010x}");
            kernel::panic(console, &why, kernel::panic_timeout(&handover.command_line)).await;
        }
        End::Panic(panic) => {
            kernel::panic(
                console,
                "Fatal exception in interrupt",
                panic.reboot_after_ms,
            )
            .await;
        }
        End::Reboot => {
            console
                .line("[  131.870221] reboot: Restarting system")
                .await
        }
        // A watchdog or a brown-out says nothing.
        End::Silent => {}
        End::Off(word) => {
            console
                .line(&format!("[  131.870221] reboot: {word}"))
                .await;
            return std::future::pending().await;
        }
    }
    Ok(())
}

async fn login(machine: &Machine, console: &mut Console, user: &str) {
    let name = &machine.board.name;
    console
        .print(&format!("\nDebian GNU/Linux 12 {name} ttyAMA0\n\n"))
        .await;
    loop {
        console.print(&format!("{name} login: ")).await;
        let typed = typed_line(console, true).await;
        if typed.is_empty() {
            continue;
        }
        let mut right = typed == user;
        if let Some(password) = &machine.config.password {
            console.print("Password: ").await;
            right &= typed_line(console, false).await == *password;
        }
        if right {
            return;
        }
        console.print("\nLogin incorrect\n").await;
    }
}

async fn typed_line(console: &mut Console, echo: bool) -> String {
    let mut line = Vec::new();
    loop {
        match console.byte().await {
            b'\r' | b'\n' => {
                console.print("\n").await;
                return String::from_utf8_lossy(&line).into_owned();
            }
            0x08 | 0x7f => {
                line.pop();
            }
            byte => {
                line.push(byte);
                if echo {
                    console.send(&[byte]).await;
                }
            }
        }
    }
}

/// How a shell came to its end.
enum End {
    Exited(ExitStatus),
    Panic(Panic),
    Reboot,
    Silent,
    Off(&'static str),
}

/// A fault that waits for its moment.
enum Fault {
    Panic(Panic),
    Reboot,
}

struct Session<'a> {
    machine: &'a Machine,
    system: SystemInfo,
    output: OwnedReadPty,
    input: OwnedWritePty,
    /// Held so that the terminal never hangs up while the board runs.
    _terminal_end: Pts,
    child: Child,
    requests: BufReader<pipe::Receiver>,
    kernel_messages: BufReader<pipe::Receiver>,
    root: &'a RootDir,
    running: BTreeMap<u32, Run>,
    fault: Option<(Instant, Fault)>,
}

/// A cyclictest on the board.
struct Run {
    /// Index into the truth.
    phase: usize,
    options: Options,
    conditions: Conditions,
    started: Instant,
    started_us: i64,
}

impl<'a> Session<'a> {
    fn start(machine: &'a Machine, root: &'a RootDir, handover: &Handover) -> io::Result<Self> {
        let (terminal, end) = pty_process::open().map_err(io::Error::other)?;
        let (output, input) = terminal.into_split();
        let stdio = || io::Result::Ok(Stdio::from(end.as_fd().try_clone_to_owned()?));
        let receiver = |path: &str| {
            let opened = pipe::OpenOptions::new()
                .read_write(true)
                .open_receiver(root.path().join(path))?;
            io::Result::Ok(BufReader::new(opened))
        };
        let requests = receiver(".rack/ask")?;
        let kernel_messages = receiver("dev/kmsg")?;
        let busybox = machine.firmware.busybox();
        let name = &machine.board.name;
        // The parent-death signal is sent when the *thread* that forked ends; this runs on a worker of the runtime, which stays.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args([
                "unshare",
                "--map-root-user",
                "--mount",
                "--pid",
                "--uts",
                "--ipc",
                "--fork",
                "--kill-child=SIGKILL",
                "--",
            ])
            .arg(busybox)
            .args(["sh", "-c", SET_UP, "set-up"])
            .arg(busybox)
            .arg(name)
            .current_dir(root.path())
            .env_clear()
            .env("PATH", "/sbin:/usr/sbin:/bin:/usr/bin")
            .env("HOME", "/")
            .env("TERM", "linux")
            .stdin(stdio()?)
            .stdout(stdio()?)
            .stderr(stdio()?)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Session {
            machine,
            system: SystemInfo {
                node: name.clone(),
                release: kernel::release(&handover.version).to_owned(),
                version: kernel::build(&handover.version).to_owned(),
                machine: machine.config.machine.clone(),
                realtime: kernel::is_realtime(&handover.version),
            },
            output,
            input,
            _terminal_end: end,
            child,
            requests,
            kernel_messages,
            root,
            running: BTreeMap::new(),
            fault: None,
        })
    }

    async fn run(&mut self, console: &mut Console, hangs: bool) -> io::Result<End> {
        let mut typed: Vec<u8> = Vec::new();
        let mut request = Vec::new();
        let mut message = Vec::new();
        let mut output = vec![0; 4096];
        let mut said = false;
        loop {
            let fault_at = self.fault.as_ref().map(|(at, _)| *at);
            tokio::select! {
                biased;
                // Output first: a request that follows some output must not overtake it.
                count = self.output.read(&mut output) => {
                    console.shell_output(&output[..count?]).await;
                    if hangs && !said {
                        said = true;
                        self.machine.board.fired("hang");
                    }
                }
                line = self.kernel_messages.read_until(b'\n', &mut message) => {
                    line?;
                    console.line(&kernel_message(&message)).await;
                    message.clear();
                }
                line = self.requests.read_until(b'\n', &mut request) => {
                    line?;
                    let text = String::from_utf8_lossy(&request).trim_end().to_owned();
                    request.clear();
                    if let Some(end) = self.request(&text) {
                        return Ok(end);
                    }
                }
                status = self.child.wait() => return Ok(End::Exited(status?)),
                () = sleep_until(fault_at.unwrap_or_else(Instant::now)), if fault_at.is_some() => {
                    match self.fault.take() {
                        Some((_, Fault::Panic(panic))) => return Ok(End::Panic(panic)),
                        Some((_, Fault::Reboot)) => return Ok(End::Silent),
                        None => {}
                    }
                }
                written = self.input.write(&typed), if !typed.is_empty() => {
                    typed.drain(..written?);
                }
                bytes = console.input() => {
                    if hangs {
                        continue;
                    }
                    let room = INPUT_LIMIT.saturating_sub(typed.len());
                    if bytes.len() > room {
                        self.machine.board.event("rx-lost", json!({"n": bytes.len() - room}));
                    }
                    typed.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
            }
        }
    }

    /// Answers a program of the firmware: `PID VERB ARGUMENT…`.
    fn request(&mut self, text: &str) -> Option<End> {
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
    fn lose_phases(&self) {
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

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.lose_phases();
    }
}

/// A line written to /dev/kmsg, with its level if it has one, as the console shows it.
fn kernel_message(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end();
    let text = match text.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((level, rest)) if level.chars().all(|c| c.is_ascii_digit()) => rest,
        _ => text,
    };
    format!("[  130.000000] {text}")
}
