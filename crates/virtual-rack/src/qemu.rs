//! QEMU boards: arm64 `virt` with U-Boot, cold power.
//!
//! Power on starts the emulator, off kills it with SIGKILL: memory is lost, the log ends in mid-line. QEMU connects as a client to
//! a Unix socket of the rack, so the console outlives it. In the rack's network namespace each board has a tap on the
//! bridge and its own MAC address; without one it gets QEMU's user network. The network device is the MMIO one, because Debian's U-Boot
//! reads one and the same MAC from every PCI one. `icount = N` gives `-icount shift=N,sleep=off`: latencies in virtual time.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    process::{Child, Command},
};

use crate::{board::Board, config::Qemu};

/// How the board's network device is connected.
#[derive(Debug, Clone)]
pub enum Link {
    /// A tap that exists already.
    Tap(String),
    /// QEMU's own NAT.
    User,
}

/// A QEMU board with its console socket.
pub struct Emulated {
    board: Arc<Board>,
    config: Qemu,
    link: Link,
    socket: PathBuf,
    listener: UnixListener,
    output: PathBuf,
}

impl Emulated {
    /// Makes the console socket below `run_dir`.
    pub fn new(
        board: Arc<Board>,
        config: Qemu,
        link: Link,
        run_dir: &Path,
    ) -> io::Result<Emulated> {
        let socket = run_dir.join(format!("{}.sock", board.name));
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&socket)?;
        let output = run_dir.join(format!("{}.qemu.log", board.name));
        Ok(Emulated {
            board,
            config,
            link,
            socket,
            listener,
            output,
        })
    }

    /// Lives through power-ups and cuts for ever.
    pub async fn run(self) {
        let mut power = self.board.watch_power();
        loop {
            let Ok(on) = power.wait_for(|power| power.on).await.map(|power| *power) else {
                return;
            };
            self.board.count("boots", 1);
            let mut child = match self.spawn() {
                Ok(child) => child,
                Err(error) => {
                    let what = format!("cannot start {}: {error}", self.config.program.display());
                    self.board.event("error", json!({"what": what}));
                    if power
                        .wait_for(|now| !now.on || now.cuts != on.cuts)
                        .await
                        .is_err()
                    {
                        return;
                    }
                    continue;
                }
            };
            self.board.event("qemu-start", json!({"pid": child.id()}));
            let cut = tokio::select! {
                cut = power.wait_for(|now| !now.on || now.cuts != on.cuts) => cut.is_err(),
                () = self.converse(&mut child) => unreachable!("the board's console ends with its power"),
            };
            self.board.port.detach();
            // Already gone is what is wanted.
            let _ = child.start_kill();
            let status = child.wait().await.map(|status| status.to_string());
            let status = status.unwrap_or_else(|error| error.to_string());
            self.board
                .event("qemu-exit", json!({"status": status, "by": "power"}));
            if cut {
                return;
            }
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        let config = &self.config;
        let netdev = match &self.link {
            Link::Tap(name) => format!("tap,id=n0,ifname={name},script=no,downscript=no"),
            Link::User => "user,id=n0".to_owned(),
        };
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.output)?;
        // The parent-death signal is sent when the *thread* that forked ends; this runs on a worker of the runtime, which stays.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&config.program);
        command.args([
            "-M",
            "virt",
            "-cpu",
            &config.cpu,
            "-smp",
            &config.cpus.to_string(),
        ]);
        command.args([
            "-m",
            &config.memory_mib.to_string(),
            "-display",
            "none",
            "-monitor",
            "none",
        ]);
        command.arg("-bios").arg(&config.bios);
        command.args([
            "-chardev",
            &format!("socket,id=s0,path={}", self.socket.display()),
        ]);
        command.args(["-serial", "chardev:s0", "-netdev", &netdev]);
        command.args([
            "-device",
            &format!("virtio-net-device,netdev=n0,mac={}", config.mac),
        ]);
        if let Some(shift) = config.icount {
            command.args(["-icount", &format!("shift={shift},sleep=off")]);
        }
        command.args(&config.extra);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        command.spawn()
    }

    /// Carries the console of one power-up. Ends only with the future: a board whose emulator ended is dead until its power is cut.
    async fn converse(&self, child: &mut Child) {
        let stream = tokio::select! {
            accepted = self.listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    self.board.event("error", json!({"what": format!("console socket: {error}")}));
                    return std::future::pending().await;
                }
            },
            status = child.wait() => {
                self.ended(status);
                return std::future::pending().await;
            }
        };
        self.carry(stream).await;
        let status = child.wait().await;
        self.ended(status);
        std::future::pending().await
    }

    fn ended(&self, status: io::Result<std::process::ExitStatus>) {
        let status = match status {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        self.board
            .event("qemu-exit", json!({"status": status, "by": "itself"}));
    }

    async fn carry(&self, stream: UnixStream) {
        let mut input = self.board.port.attach();
        let (mut from, mut to) = stream.into_split();
        let listen = async {
            let mut buffer = [0; 4096];
            loop {
                match from.read(&mut buffer).await {
                    Ok(count) if count > 0 => self.board.port.send(&buffer[..count]).await,
                    _ => return,
                }
            }
        };
        let talk = async {
            while let Some(bytes) = input.recv().await {
                if to.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await
        };
        tokio::select! {
            () = listen => {}
            () = talk => {}
        }
    }
}
