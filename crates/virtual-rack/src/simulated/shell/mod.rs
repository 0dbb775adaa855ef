//! From login to the end of a boot: a real shell on a terminal whose other side is the serial port.
//!
//! The shell is process 1 of a process namespace, in user, mount and host name namespaces of its own and with the unpacked
//! ramdisk as its root, so nothing on the board has power over the host whoever the rack runs as, and everything ends with it.

mod programs;

use std::{
    collections::BTreeMap,
    io,
    os::fd::AsFd,
    process::{ExitStatus, Stdio},
};

use pty_process::{OwnedReadPty, OwnedWritePty, Pts};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe,
    process::{Child, Command},
    time::{Instant, sleep_until},
};

use super::{Handover, Machine, console::Console, kernel, root::RootDir};
use crate::{
    knobs::{Panic, Stage},
    measure::{Conditions, Options, SystemInfo},
};

/// What waits for a shell that does not read; more is lost, as in a UART's receiver.
const INPUT_LIMIT: usize = 64 << 10;
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
