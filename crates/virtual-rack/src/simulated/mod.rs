//! Simulated boards: U-Boot, kernel and shell as a dialogue in this process.
//!
//! What is real: the TFTP client, the kernel's version string (taken from the fetched file), the unpacked ramdisk, the shell
//! (`busybox sh` in it, in namespaces of its own), the programs of busybox, and the host's network. What is not: everything between U-Boot's
//! `booti` and the shell's prompt, and the measurement programs (see `firmware`). No latency from here says anything about any hardware.
//!
//! A board is one task. Cutting its power drops that task's future, and with it the shell and all it started.

mod command_line;
mod console;
mod firmware;
mod kernel;
mod ramdisk;
mod root;
mod shell;
mod tftp;
mod uboot;

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::json;

use self::console::Console;
pub use self::firmware::Firmware;
use crate::{
    board::Board,
    config::{Simulated, Speed},
    knobs::{PanicStage, Stage},
};

/// The pause between reset and the banner of a board that takes its time.
const REAL_RESET: Duration = Duration::from_millis(400);
/// The pause between kernel lines of such a board.
const REAL_LINE: Duration = Duration::from_millis(15);

/// A simulated board with what it is made of.
pub struct Machine {
    board: Arc<Board>,
    config: Simulated,
    firmware: Arc<Firmware>,
    /// Where the roots of its boots are unpacked.
    roots: PathBuf,
}

/// Why the board starts again from its boot loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reset {
    /// Power was switched on.
    PowerOn,
    /// Somebody asked for it, or a panic's timeout passed.
    Warm,
}

/// What the boot loader hands over.
struct Handover {
    /// `Linux version …`.
    version: String,
    /// `bootargs`.
    command_line: String,
    /// The ramdisk as fetched; `None`: none was given. A kernel from disk has `Some` of nothing, its root is the disk.
    ramdisk: Option<Vec<u8>>,
}

impl Machine {
    /// A board; `roots` is an existing directory.
    pub fn new(
        board: Arc<Board>,
        config: Simulated,
        firmware: Arc<Firmware>,
        roots: PathBuf,
    ) -> Machine {
        Machine {
            board,
            config,
            firmware,
            roots,
        }
    }

    /// Lives through power-ups and cuts for ever.
    pub async fn run(self) {
        let mut power = self.board.watch_power();
        loop {
            let Ok(on) = power.wait_for(|power| power.on).await.map(|power| *power) else {
                return;
            };
            let input = self.board.port.attach();
            let console = Console::new(Arc::clone(&self.board), input);
            let cut = tokio::select! {
                cut = power.wait_for(|now| !now.on || now.cuts != on.cuts) => cut.is_err(),
                () = self.powered(console) => unreachable!("a powered board never ends"),
            };
            self.board.port.detach();
            if cut {
                return;
            }
        }
    }

    async fn powered(&self, mut console: Console) {
        let mut reset = Reset::PowerOn;
        loop {
            self.hang_at(Stage::Power, &mut console).await;
            self.stage("uboot");
            self.board.count("boots", 1);
            let handover = uboot::run(self, &mut console, reset).await;
            if let Some(handover) = handover {
                self.linux(&mut console, handover).await;
            }
            console.restart_lines();
            reset = Reset::Warm;
        }
    }

    /// From `Starting kernel ...` to the reset.
    async fn linux(&self, console: &mut Console, handover: Handover) {
        self.stage("kernel");
        self.board.count("kernels", 1);
        kernel::boot(self, console, &handover).await;
        if let Some(panic) = self.panics_at(PanicStage::Boot) {
            return kernel::panic(
                console,
                "Attempted to kill init! exitcode=0x0000000b",
                panic.reboot_after_ms,
            )
            .await;
        }
        let Some(ramdisk) = &handover.ramdisk else {
            let why = "VFS: Unable to mount root fs on unknown-block(0,0)";
            return kernel::panic(console, why, kernel::panic_timeout(&handover.command_line))
                .await;
        };
        let made = root::make(self, ramdisk, &handover.version, &handover.command_line).await;
        let root = match made {
            Ok(root) => root,
            Err(root::RootError::Ramdisk(error)) => {
                console
                    .line(&format!(
                        "[    1.204100] Initramfs unpacking failed: {error}"
                    ))
                    .await;
                let why = "VFS: Unable to mount root fs on unknown-block(0,0)";
                return kernel::panic(console, why, kernel::panic_timeout(&handover.command_line))
                    .await;
            }
            Err(error) => {
                self.board
                    .event("error", json!({"what": error.to_string()}));
                return std::future::pending().await;
            }
        };
        self.hang_at(Stage::Login, console).await;
        console
            .line("[    1.318211] Run /init as init process")
            .await;
        if let Err(error) = shell::run(self, console, &root, &handover).await {
            self.board
                .event("error", json!({"what": format!("shell: {error}")}));
            std::future::pending().await
        }
    }

    fn stage(&self, stage: &str) {
        self.board.event("stage", json!({"stage": stage}));
    }

    /// Stops for ever if the knob says so; input goes nowhere.
    async fn hang_at(&self, stage: Stage, console: &mut Console) {
        if self.board.knobs.hangs(stage) {
            self.board.fired("hang");
            loop {
                console.input().await;
            }
        }
    }

    fn panics_at(&self, stage: PanicStage) -> Option<crate::knobs::Panic> {
        let panic = self.board.knobs.take(
            "panic",
            |knobs| &mut knobs.panic,
            |panic| panic.stage == stage,
        )?;
        self.board.fired("panic");
        Some(panic)
    }

    /// A pause that only slow boards take.
    async fn pause(&self, length: Duration) {
        if self.config.speed == Speed::Real {
            tokio::time::sleep(length).await;
        }
    }
}
