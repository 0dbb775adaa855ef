//! From the network into memory and from memory into a kernel: `tftpboot`, `unzip`, `booti` and its relatives.

use std::{
    io::Read,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde_json::json;
use tokio::time::Instant;

use super::{
    super::{Handover, command_line::hex, console::Console, kernel::find_version, tftp},
    Uboot,
};
use crate::knobs::{OtherKernelAt, Stage};

/// What `unzip` may produce.
const UNZIP_LIMIT: u64 = 512 << 20;
/// Size of a legacy image header (`bootm`'s mkimage format).
const LEGACY_HEADER: usize = 64;
const LEGACY_MAGIC: [u8; 4] = [0x27, 0x05, 0x19, 0x56];

impl Uboot<'_> {
    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.variables.get(name)?.parse().ok()
    }

    pub(super) async fn tftp(&mut self, console: &mut Console, arguments: &[String]) -> bool {
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
        // `tftpdstp` is U-Boot's own variable for servers on another port (`CONFIG_TFTP_PORT`).
        let port = self
            .number("tftpdstp")
            .unwrap_or(self.machine.config.tftp_port);
        let request = tftp::Request {
            server: SocketAddr::new(server, port),
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

    pub(super) async fn unzip(&mut self, console: &Console, arguments: &[String]) -> bool {
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

    pub(super) async fn boot(
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
