//! The boot loader's dialogue: texts as U-Boot 2023.01 prints them.

use std::{
    collections::BTreeMap,
    io::Read,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::{
    Handover, Machine, REAL_RESET, Reset,
    command_line::{Link, expand, hex, parse},
    console::{Console, INTERRUPT},
    kernel::find_version,
    tftp,
};
use crate::knobs::{OtherKernelAt, Stage};

const PROMPT: &str = "=> ";
/// `CONFIG_SYS_CBSIZE`: what does not fit is not taken.
const LINE_SIZE: usize = 2048;
/// What `unzip` may produce.
const UNZIP_LIMIT: u64 = 512 << 20;
/// Size of a legacy image header (`bootm`'s mkimage format).
const LEGACY_HEADER: usize = 64;
const LEGACY_MAGIC: [u8; 4] = [0x27, 0x05, 0x19, 0x56];
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
        let line = read_line(console).await?;
        match uboot.line(console, &line).await {
            Outcome::Boot(handover) => return Some(handover),
            Outcome::Reset => return None,
            Outcome::Done(_) => {}
        }
    }
}

fn defaults(machine: &Machine) -> BTreeMap<String, String> {
    let address = machine.config.address.map(|address| address.to_string());
    [
        ("arch", "arm"),
        ("baudrate", "115200"),
        ("board", "rack"),
        ("bootcmd", "run distro_bootcmd"),
        ("ethaddr", "52:54:00:77:ff:01"),
        ("fdt_high", "0xffffffff"),
        ("fdtcontroladdr", "7ed64ea0"),
        ("initrd_high", "0xffffffff"),
        ("loadaddr", "0x40200000"),
        ("stdin", "serial"),
        ("stdout", "serial"),
        (
            "ver",
            "U-Boot 2023.01+rack-1 (Jan 09 2023 - 16:07:33 +0000)",
        ),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .chain(address.map(|address| ("ipaddr".to_owned(), address)))
    .chain([("bootdelay".to_owned(), machine.config.bootdelay.to_string())])
    .collect()
}

/// Reads one line with U-Boot's own echo. `None` never comes; the type lets the caller use `?` beside resets.
async fn read_line(console: &mut Console) -> Option<String> {
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
                    return Some(String::from_utf8_lossy(&line).into_owned());
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

    async fn set(&mut self, console: &Console, name: &str, arguments: &[String]) -> bool {
        let mut arguments = arguments;
        if name == "env" {
            match arguments.split_first() {
                Some((verb, rest)) if verb == "set" => arguments = rest,
                Some((verb, _)) if verb == "default" => {
                    console.line("## Resetting to default environment").await;
                    self.variables = defaults(self.machine);
                    return true;
                }
                Some((verb, rest)) if verb == "print" => return self.show(console, rest).await,
                _ => {
                    console.line("env - environment handling commands").await;
                    return false;
                }
            }
        }
        let forced = arguments.first().is_some_and(|word| word == "-f");
        if forced {
            arguments = &arguments[1..];
        }
        let Some((variable, value)) = arguments.split_first() else {
            console.line("setenv - set environment variables").await;
            return false;
        };
        if variable == "ethaddr" && !forced && self.variables.contains_key("ethaddr") {
            console.line("## Error: Can't overwrite \"ethaddr\"").await;
            console
                .line("## Error inserting \"ethaddr\" variable, errno=1")
                .await;
            return false;
        }
        if value.is_empty() {
            self.variables.remove(variable);
        } else {
            self.variables.insert(variable.clone(), value.join(" "));
        }
        true
    }

    async fn show(&self, console: &Console, names: &[String]) -> bool {
        if names.is_empty() {
            let mut text = String::new();
            for (name, value) in &self.variables {
                text.push_str(&format!("{name}={value}\n"));
            }
            console.print(&text).await;
            let size: usize = self
                .variables
                .iter()
                .map(|(name, value)| name.len() + value.len() + 2)
                .sum();
            console
                .print(&format!("\nEnvironment size: {size}/262140 bytes\n"))
                .await;
            return true;
        }
        let mut good = true;
        for name in names {
            match self.variables.get(name) {
                Some(value) => console.line(&format!("{name}={value}")).await,
                None => {
                    console
                        .line(&format!("## Error: \"{name}\" not defined"))
                        .await;
                    good = false;
                }
            }
        }
        good
    }

    async fn dhcp(&mut self, console: &Console) -> bool {
        let Some(address) = self.machine.config.address else {
            console
                .print("BOOTP broadcast 1\nRetry time exceeded; starting again\n")
                .await;
            return false;
        };
        console
            .print(&format!(
                "BOOTP broadcast 1\nDHCP client bound to address {address} (1 ms)\n"
            ))
            .await;
        self.variables.insert("ipaddr".into(), address.to_string());
        true
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.variables.get(name)?.parse().ok()
    }

    async fn tftp(&mut self, console: &mut Console, arguments: &[String]) -> bool {
        let (address, file) = match arguments {
            [] => (None, None),
            [only] => match hex(only) {
                Some(address) => (Some(address), None),
                None => (None, Some(only.clone())),
            },
            [address, file, ..] => (hex(address), Some(file.clone())),
        };
        let address = address
            .or_else(|| hex(self.variables.get("loadaddr")?))
            .unwrap_or(0x4020_0000);
        let Some(file) = file.or_else(|| self.variables.get("bootfile").cloned()) else {
            console.line("*** ERROR: `bootfile' not set").await;
            return false;
        };
        let (server, file) = match file.split_once(':') {
            Some((server, file)) => (Some(server.to_owned()), file.to_owned()),
            None => (self.variables.get("serverip").cloned(), file),
        };
        let Some(server) = server.and_then(|server| server.parse::<IpAddr>().ok()) else {
            console.line("*** ERROR: `serverip' not set").await;
            return false;
        };
        let Some(own) = self.variables.get("ipaddr").cloned() else {
            console.line("*** ERROR: `ipaddr' not set").await;
            return false;
        };
        console
            .print(&format!(
                "Using ethernet@1000 device\nTFTP from server {server}; our IP address is {own}\nFilename '{file}'.\nLoad address: {address:#x}\nLoading: "
            ))
            .await;
        let board = &self.machine.board;
        let deaf = board
            .knobs
            .take("no_tftp", |knobs| &mut knobs.no_tftp, |_| true)
            .is_some();
        if deaf {
            board.fired("no_tftp");
        }
        let hangs = board.knobs.hangs(Stage::Tftp);
        if hangs {
            board.fired("hang");
        }
        let request = tftp::Request {
            server: SocketAddr::new(server, self.machine.config.tftp_port),
            source: self.machine.config.address,
            file: &file,
            block_size: self.number("tftpblocksize").unwrap_or(tftp::BLOCK_SIZE),
            window: self.number("tftpwindowsize").unwrap_or(1),
            timeout: Duration::from_millis(self.machine.config.tftp_timeout_ms),
            deaf,
            hang_after: hangs.then_some(1),
        };
        board.count("tftp_fetches", 1);
        let begin = Instant::now();
        let data = match tftp::fetch(&request, console).await {
            Ok(data) => data,
            Err(error) => {
                board.event("tftp", json!({"file": file, "error": error.to_string()}));
                console.print(&format!("\n{error}\n")).await;
                if matches!(error, tftp::TftpError::Server { .. }) {
                    console.print("Not retrying...\n").await;
                }
                return false;
            }
        };
        board.count("tftp_bytes", data.len() as u64);
        board.event("tftp", json!({"file": file, "bytes": data.len()}));
        let size = data.len();
        let rate = size as f64 / begin.elapsed().as_secs_f64().max(1e-6) / f64::from(1 << 20);
        console
            .print(&format!(
                "#\n\t {rate:.1} MiB/s\ndone\nBytes transferred = {size} ({size:x} hex)\n"
            ))
            .await;
        self.store(address, data);
        self.variables
            .insert("filesize".into(), format!("{size:x}"));
        self.variables
            .insert("fileaddr".into(), format!("{address:x}"));
        true
    }

    /// Puts data into memory; what it overlaps is destroyed.
    fn store(&mut self, address: u64, data: Vec<u8>) {
        let end = address.saturating_add(data.len() as u64);
        self.memory.retain(|&start, other| {
            start.saturating_add(other.len() as u64) <= address || start >= end
        });
        self.memory.insert(address, data);
    }

    async fn unzip(&mut self, console: &Console, arguments: &[String]) -> bool {
        let addresses = match arguments {
            [from, to, ..] => hex(from).zip(hex(to)),
            _ => None,
        };
        let Some((from, to)) = addresses else {
            console.line("unzip - unzip a memory region").await;
            return false;
        };
        let mut data = Vec::new();
        let packed = self
            .memory
            .get(&from)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let unpacked = flate2::read::GzDecoder::new(packed)
            .take(UNZIP_LIMIT)
            .read_to_end(&mut data);
        if unpacked.is_err() {
            console.line("Error: Bad gzipped data").await;
            return false;
        }
        let size = data.len();
        console
            .line(&format!("Uncompressed size: {size} = {size:#X}"))
            .await;
        self.store(to, data);
        self.variables
            .insert("filesize".into(), format!("{size:x}"));
        true
    }

    async fn boot(
        &mut self,
        console: &Console,
        command: &str,
        arguments: &[String],
    ) -> Option<Handover> {
        let kernel_at = match arguments.first() {
            Some(address) => hex(address),
            None => hex(&self.variables["loadaddr"]),
        };
        let image = kernel_at.and_then(|address| self.memory.get(&address));
        let version = image.and_then(|image| find_version(image));
        let Some(version) = version else {
            console
                .line(match command {
                    "booti" => "Bad Linux ARM64 Image magic!",
                    "bootz" => "Bad Linux ARM zImage magic!",
                    _ => "Wrong Image Format for bootm command\nERROR: can't get kernel image!",
                })
                .await;
            return None;
        };
        let ramdisk = match arguments.get(1).map(String::as_str) {
            None | Some("-") => None,
            Some(place) => match self.ramdisk(place) {
                Some(ramdisk) => Some(ramdisk),
                None => {
                    console
                        .print("Wrong Ramdisk Image Format\nRamdisk image is corrupt or invalid\n")
                        .await;
                    return None;
                }
            },
        };
        if let Some(tree) = arguments.get(2) {
            let at = hex(tree);
            let control = hex(&self.variables["fdtcontroladdr"]);
            if at.is_none_or(|at| Some(at) != control && !self.memory.contains_key(&at)) {
                console
                    .print("ERROR: Did not find a cmdline Flattened Device Tree\nCould not find a valid device tree\n")
                    .await;
                return None;
            }
            let at = at.unwrap_or_default();
            console
                .print(&format!("## Flattened Device Tree blob at {at:08x}\n   Booting using the fdt blob at {at:#x}\n"))
                .await;
        }
        if let Some(ramdisk) = &ramdisk {
            let end = 0x7ed5_0000u64;
            let start = end.saturating_sub(ramdisk.len() as u64) & !0xfff;
            console
                .print(&format!(
                    "   Loading Ramdisk to {start:08x}, end {end:08x} ... OK\n"
                ))
                .await;
        }
        console
            .print("   Loading Device Tree to 000000007ed4a000, end 000000007ed4ffff ... OK\n\nStarting kernel ...\n\n")
            .await;
        let board = &self.machine.board;
        let other = board.knobs.take(
            "other_kernel",
            |knobs| &mut knobs.other_kernel,
            |other| other.at == OtherKernelAt::Boot,
        );
        let version = match other {
            Some(other) => {
                board.fired("other_kernel");
                self.disk_version(other.version)
            }
            None => version,
        };
        self.memory.clear();
        let command_line = self.variables.get("bootargs").cloned().unwrap_or_default();
        Some(Handover {
            version,
            command_line,
            ramdisk,
        })
    }

    /// `ADDRESS:SIZE`, or an address with a legacy image.
    fn ramdisk(&self, place: &str) -> Option<Vec<u8>> {
        let (address, size) = match place.split_once(':') {
            Some((address, size)) => (hex(address)?, Some(hex(size)?)),
            None => (hex(place)?, None),
        };
        let data = self.memory.get(&address)?;
        if let Some(size) = size {
            let size = usize::try_from(size).ok()?.min(data.len());
            return Some(data[..size].to_vec());
        }
        let header = data.get(..LEGACY_HEADER)?;
        let size = header
            .get(12..16)?
            .first_chunk()
            .map(|size| u32::from_be_bytes(*size))?;
        let body = data[LEGACY_HEADER..].get(..usize::try_from(size).ok()?)?;
        (header[..4] == LEGACY_MAGIC).then(|| body.to_vec())
    }
}
