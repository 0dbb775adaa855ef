//! The boot loader's dialogue: texts as U-Boot 2023.01 prints them.

mod environment;
mod load;

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, timeout_at};

use self::environment::defaults;
use super::{
    Handover, Machine, REAL_RESET, Reset,
    command_line::{Link, expand, parse},
    console::{Console, INTERRUPT},
};
use crate::knobs::{OtherKernelAt, Stage};

const PROMPT: &str = "=> ";
/// `CONFIG_SYS_CBSIZE`: what does not fit is not taken.
const LINE_SIZE: usize = 2048;
const OLD_KERNEL: &str = "Linux version 5.10.0-disk (builder@factory) (gcc 10.2.1) #1 SMP PREEMPT Debian 5.10.1-1 (2021-01-01)";

/// One stay in the boot loader.
struct Uboot<'a> {
    machine: &'a Machine,
    variables: BTreeMap<String, String>,
    /// What was loaded where; loading over something destroys it.
    memory: BTreeMap<u64, Vec<u8>>,
}

/// What a command came to.
enum Outcome {
    Done(bool),
    Boot(Handover),
    Reset,
}

/// From the banner until a kernel is started (`Some`) or the board resets (`None`).
pub async fn run(machine: &Machine, console: &mut Console, reset: Reset) -> Option<Handover> {
    machine.pause(REAL_RESET).await;
    if reset == Reset::Warm {
        console.print("\n").await;
    }
    let mut uboot = Uboot {
        machine,
        variables: defaults(machine),
        memory: BTreeMap::new(),
    };
    console
        .print(
            "\nU-Boot 2023.01+rack-1 (Jan 09 2023 - 16:07:33 +0000)\n\n\
             DRAM:  1 GiB\nCore:  51 devices, 14 uclasses, devicetree: board\n\
             Loading Environment from nowhere... OK\nIn:    serial\nOut:   serial\nErr:   serial\n\
             Net:   eth0: ethernet@1000\n",
        )
        .await;
    machine.hang_at(Stage::Uboot, console).await;
    let from_disk = machine.board.knobs.take(
        "other_kernel",
        |knobs| &mut knobs.other_kernel,
        |other| other.at == OtherKernelAt::Power,
    );
    if let Some(other) = from_disk {
        machine.board.fired("other_kernel");
        return Some(uboot.disk(console, other.version).await);
    }
    if !uboot.countdown(console).await {
        if machine.config.disk_kernel.is_some() {
            return Some(uboot.disk(console, None).await);
        }
        console.print("No bootable device found\n").await;
    }
    loop {
        let line = read_line(console).await;
        match uboot.line(console, &line).await {
            Outcome::Boot(handover) => return Some(handover),
            Outcome::Reset => return None,
            Outcome::Done(_) => {}
        }
    }
}

/// Reads one line with U-Boot's own echo.
async fn read_line(console: &mut Console) -> String {
    console.print(PROMPT).await;
    let mut line: Vec<u8> = Vec::new();
    let mut previous = 0;
    loop {
        let bytes = console.input().await;
        let mut echo: Vec<u8> = Vec::new();
        let mut bytes = bytes.into_iter();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\n' if previous == b'\r' => {}
                b'\r' | b'\n' => {
                    echo.extend_from_slice(b"\r\n");
                    console.send(&echo).await;
                    let mut rest: Vec<u8> = bytes.collect();
                    if byte == b'\r' && rest.first() == Some(&b'\n') {
                        rest.remove(0);
                    }
                    console.put_back(rest);
                    return String::from_utf8_lossy(&line).into_owned();
                }
                INTERRUPT => {
                    line.clear();
                    echo.extend_from_slice(b"<INTERRUPT>\r\n=> ");
                }
                0x08 | 0x7f => {
                    if line.pop().is_some() {
                        echo.extend_from_slice(b"\x08 \x08");
                    }
                }
                // Control-U.
                0x15 => {
                    for _ in line.drain(..) {
                        echo.extend_from_slice(b"\x08 \x08");
                    }
                }
                byte if byte >= b' ' && line.len() < LINE_SIZE => {
                    line.push(byte);
                    echo.push(byte);
                }
                // A terminal's bell for what does not fit or has no meaning here.
                _ => echo.push(7),
            }
            previous = byte;
        }
        if !echo.is_empty() {
            console.send(&echo).await;
        }
    }
}

impl Uboot<'_> {
    /// Whether somebody stopped it.
    async fn countdown(&self, console: &mut Console) -> bool {
        let step = Duration::from_millis(self.machine.config.countdown_ms);
        let mut left = self.machine.config.bootdelay;
        console
            .print(&format!("Hit any key to stop autoboot: {left:2} "))
            .await;
        while left > 0 {
            if timeout_at(Instant::now() + step, console.byte())
                .await
                .is_ok()
            {
                console.print("\x08\x08\x08 0 \n").await;
                return true;
            }
            left -= 1;
            console.print(&format!("\x08\x08\x08{left:2} ")).await;
        }
        console.print("\n").await;
        false
    }

    async fn disk(&self, console: &Console, version: Option<String>) -> Handover {
        console
            .print("Scanning virtio 0:1...\nFound U-Boot script /boot.scr\nBooting from disk\n\nStarting kernel ...\n\n")
            .await;
        Handover {
            version: self.disk_version(version),
            command_line: "console=ttyAMA0,115200 root=/dev/vda1 ro quiet".to_owned(),
            ramdisk: Some(Vec::new()),
        }
    }

    fn disk_version(&self, version: Option<String>) -> String {
        version
            .or_else(|| self.machine.config.disk_kernel.clone())
            .unwrap_or_else(|| OLD_KERNEL.to_owned())
    }

    /// Runs one typed line.
    async fn line(&mut self, console: &mut Console, line: &str) -> Outcome {
        let mut good = true;
        for (link, words) in parse(line) {
            let skip = match link {
                Link::Then => false,
                Link::And => !good,
                Link::Or => good,
            };
            if skip {
                continue;
            }
            let words: Vec<String> = words
                .iter()
                .map(|word| expand(word, &self.variables))
                // A word that was only an unset variable is no word, as in U-Boot.
                .filter(|word| !word.is_empty())
                .collect();
            match self.command(console, &words).await {
                Outcome::Done(success) => good = success,
                other => return other,
            }
        }
        Outcome::Done(good)
    }

    async fn command(&mut self, console: &mut Console, words: &[String]) -> Outcome {
        let Some((name, arguments)) = words.split_first() else {
            return Outcome::Done(true);
        };
        let success = match name.as_str() {
            "setenv" | "env" => self.set(console, name, arguments).await,
            "printenv" | "print" => self.show(console, arguments).await,
            "echo" => {
                console.line(&arguments.join(" ")).await;
                true
            }
            "tftpboot" | "tftp" => self.tftp(console, arguments).await,
            "dhcp" => self.dhcp(console).await,
            "unzip" => self.unzip(console, arguments).await,
            "booti" | "bootz" | "bootm" => {
                return match self.boot(console, name, arguments).await {
                    Some(handover) => Outcome::Boot(handover),
                    None => Outcome::Done(false),
                };
            }
            "run" => return Box::pin(self.run_variables(console, arguments)).await,
            "boot" => {
                let command = self.variables.get("bootcmd").cloned().unwrap_or_default();
                return Box::pin(self.line(console, &command)).await;
            }
            "reset" => {
                console.print("resetting ...\n").await;
                return Outcome::Reset;
            }
            "version" => {
                console.line(&self.variables["ver"].clone()).await;
                true
            }
            // What boards do before they have a network; here there is nothing to start.
            "usb" | "pci" | "mmc" | "mii" | "true" | "sleep" => true,
            "false" => false,
            "help" | "?" => {
                console
                    .print("bootm     - boot application image from memory\ntftpboot  - load file via network using TFTP protocol\n")
                    .await;
                true
            }
            unknown => {
                console
                    .line(&format!("Unknown command '{unknown}' - try 'help'"))
                    .await;
                false
            }
        };
        Outcome::Done(success)
    }

    async fn run_variables(&mut self, console: &mut Console, names: &[String]) -> Outcome {
        for name in names {
            let Some(command) = self.variables.get(name).cloned() else {
                console
                    .line(&format!("## Error: \"{name}\" not defined"))
                    .await;
                return Outcome::Done(false);
            };
            match self.line(console, &command).await {
                Outcome::Done(true) => {}
                other => return other,
            }
        }
        Outcome::Done(true)
    }
}
