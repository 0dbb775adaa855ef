//! The rack's configuration file (TOML, `version = 1`).
//!
//! Unknown keys are errors. Relative paths are relative to the configuration file, except
//! PTY links and the log, which live below `run_dir`. `EXAMPLE` is what `--example-config` prints.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

/// The annotated example that `--example-config` prints; a test parses it.
pub const EXAMPLE: &str = include_str!("example.toml");

/// A whole rack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of this format; 1.
    pub version: u32,
    /// Directory for sockets, PTY links, board roots and the log. Default: a new temporary directory that is removed at the end.
    pub run_dir: Option<PathBuf>,
    /// Log file, relative to `run_dir`.
    #[serde(default = "default_log")]
    pub log: PathBuf,
    /// How long one console write waits for a reader that is connected but does not read.
    #[serde(default = "default_patience")]
    pub patience_ms: u64,
    /// The control interface and file server.
    pub http: Http,
    /// The bridge that `--netns` makes.
    pub network: Option<Network>,
    /// Relays.
    #[serde(default, rename = "relay")]
    pub relays: Vec<Relay>,
    /// Boards.
    #[serde(default, rename = "board")]
    pub boards: Vec<Board>,
}

/// Where the rack's own HTTP listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Directory served below `/files/`.
    pub files: Option<PathBuf>,
}

/// The network inside `--netns`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Name of the bridge.
    #[serde(default = "default_bridge")]
    pub bridge: String,
    /// The host's address on it with prefix length, such as `10.77.0.1/24`.
    pub address: String,
}

/// One relay box.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Relay {
    /// Tasmota's HTTP interface, `GET /cm?cmnd=Power1%20On`.
    Tasmota {
        /// Name in the ready file and log.
        name: String,
        /// Address; port 0 takes a free one.
        listen: SocketAddr,
        /// Board of outlet 1, 2, …; an empty text is an outlet without a board.
        outlets: Vec<String>,
        /// With a password: commands without them are answered 401.
        user: Option<String>,
        /// See `user`.
        password: Option<String>,
    },
    /// A CH340 board of the LCUS family: four bytes `A0 channel state sum`, no answer.
    Lcus {
        /// Name in the ready file and log.
        name: String,
        /// Name of the link to the PTY below `run_dir`.
        pty: PathBuf,
        /// Board of channel 1, 2, …
        outlets: Vec<String>,
    },
}

impl Relay {
    /// The relay's name.
    pub fn name(&self) -> &str {
        match self {
            Relay::Tasmota { name, .. } | Relay::Lcus { name, .. } => name,
        }
    }

    /// The boards in order of outlets.
    pub fn outlets(&self) -> &[String] {
        match self {
            Relay::Tasmota { outlets, .. } | Relay::Lcus { outlets, .. } => outlets,
        }
    }
}

/// One board with its serial port.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Board {
    /// A dialogue in this process.
    Simulated(Simulated),
    /// A virtual machine.
    Qemu(Qemu),
}

impl Board {
    /// The board's name.
    pub fn name(&self) -> &str {
        match self {
            Board::Simulated(board) => &board.name,
            Board::Qemu(board) => &board.name,
        }
    }

    /// Raw TCP port of the console.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Board::Simulated(board) => board.tcp,
            Board::Qemu(board) => board.tcp,
        }
    }

    /// Link to the PTY of the console.
    pub fn pty(&self) -> Option<&Path> {
        match self {
            Board::Simulated(board) => board.pty.as_deref(),
            Board::Qemu(board) => board.pty.as_deref(),
        }
    }
}

/// How fast a simulated board answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speed {
    /// At once.
    Fast,
    /// With the pauses of a small real board.
    Real,
}

/// A simulated board.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulated {
    /// Name, unique in the rack.
    pub name: String,
    /// Raw TCP port of the console.
    pub tcp: Option<SocketAddr>,
    /// Link to the PTY of the console, below `run_dir`.
    pub pty: Option<PathBuf>,
    /// Source address of its TFTP requests, so that a server can tell boards apart (such as `127.77.0.10`).
    pub address: Option<IpAddr>,
    /// UDP port of the TFTP server, unless U-Boot is told otherwise (`setenv tftpdstp`).
    #[serde(default = "default_tftp_port")]
    pub tftp_port: u16,
    /// U-Boot's timeout before it asks again; it gives up after ten.
    #[serde(default = "default_tftp_timeout")]
    pub tftp_timeout_ms: u64,
    /// Pauses.
    #[serde(default = "default_speed")]
    pub speed: Speed,
    /// Count of the autoboot countdown.
    #[serde(default = "default_bootdelay")]
    pub bootdelay: u32,
    /// Length of one step of the countdown.
    #[serde(default = "default_countdown")]
    pub countdown_ms: u64,
    /// `Linux version …` of a kernel on the board's disk, started when nobody stops the countdown.
    pub disk_kernel: Option<String>,
    /// Asks for this user before the shell.
    pub login: Option<String>,
    /// Asks for this password after the user.
    pub password: Option<String>,
    /// CPUs that it claims.
    #[serde(default = "default_cpus")]
    pub cpus: u32,
    /// What `uname -m` says.
    #[serde(default = "default_machine")]
    pub machine: String,
    /// Real seconds for one measured second.
    #[serde(default = "default_time_scale")]
    pub time_scale: f64,
    /// Seed of its latencies. Default: derived from the time of the rack's start and the name; see `GET /boards/NAME/truth`.
    pub seed: Option<u64>,
    /// Where its latencies centre.
    #[serde(default = "default_latency")]
    pub latency_us: u32,
}

/// A QEMU board: arm64 `virt` with U-Boot.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qemu {
    /// Name, unique in the rack.
    pub name: String,
    /// Raw TCP port of the console.
    pub tcp: Option<SocketAddr>,
    /// Link to the PTY of the console, below `run_dir`.
    pub pty: Option<PathBuf>,
    /// MAC address of its network device.
    pub mac: String,
    /// `-icount shift=N,sleep=off`: repeatable latencies in virtual time. Absent: plain emulation.
    pub icount: Option<u8>,
    /// Memory.
    #[serde(default = "default_memory")]
    pub memory_mib: u32,
    /// CPU model.
    #[serde(default = "default_cpu")]
    pub cpu: String,
    /// CPUs; more than one spoils `icount` latencies.
    #[serde(default = "default_cpus")]
    pub cpus: u32,
    /// Firmware.
    #[serde(default = "default_bios")]
    pub bios: PathBuf,
    /// The emulator.
    #[serde(default = "default_qemu")]
    pub program: PathBuf,
    /// Arguments added at the end.
    #[serde(default)]
    pub extra: Vec<String>,
}

fn default_log() -> PathBuf {
    "rack.log".into()
}
fn default_patience() -> u64 {
    // A PTY holds 12 KiB; a reader on a host that is busy may be kept from it for a second or two.
    5000
}
fn default_bridge() -> String {
    "br0".into()
}
fn default_tftp_port() -> u16 {
    69
}
fn default_tftp_timeout() -> u64 {
    // U-Boot's own default.
    5000
}
fn default_speed() -> Speed {
    Speed::Fast
}
fn default_bootdelay() -> u32 {
    2
}
fn default_countdown() -> u64 {
    1000
}
fn default_cpus() -> u32 {
    1
}
fn default_machine() -> String {
    "aarch64".into()
}
fn default_time_scale() -> f64 {
    0.02
}
fn default_latency() -> u32 {
    40
}
fn default_memory() -> u32 {
    256
}
fn default_cpu() -> String {
    "cortex-a57".into()
}
fn default_bios() -> PathBuf {
    "/usr/lib/u-boot/qemu_arm64/u-boot.bin".into()
}
fn default_qemu() -> PathBuf {
    "qemu-system-aarch64".into()
}

impl Config {
    /// Reads and checks a file. Paths come back absolute or relative to the current directory, PTY links relative to `run_dir`.
    pub fn load(path: &Path) -> anyhow::Result<Config> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let mut config = Config::parse(&text).with_context(|| format!("in {}", path.display()))?;
        let base = path.parent().unwrap_or(Path::new(""));
        config.run_dir = config.run_dir.map(|dir| base.join(dir));
        config.http.files = config.http.files.map(|dir| base.join(dir));
        Ok(config)
    }

    /// Reads and checks a text.
    pub fn parse(text: &str) -> anyhow::Result<Config> {
        let config: Config = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.version == 1,
            "version {} is not known; this program reads version 1",
            self.version
        );
        let mut boards = BTreeSet::new();
        for board in &self.boards {
            check_name("board", board.name())?;
            ensure!(
                boards.insert(board.name()),
                "two boards are called {}",
                board.name()
            );
            if let Some(pty) = board.pty() {
                check_link(pty)?;
            }
            if let Board::Simulated(simulated) = board {
                ensure!(
                    simulated.time_scale.is_finite() && simulated.time_scale >= 0.0,
                    "{}: time_scale must be a number from 0 up",
                    simulated.name
                );
                ensure!(
                    (1..=1024).contains(&simulated.cpus),
                    "{}: cpus must be 1 to 1024",
                    simulated.name
                );
            }
        }
        let mut relays = BTreeSet::new();
        let mut wired = BTreeSet::new();
        for relay in &self.relays {
            check_name("relay", relay.name())?;
            ensure!(
                relays.insert(relay.name()),
                "two relays are called {}",
                relay.name()
            );
            for outlet in relay.outlets().iter().filter(|outlet| !outlet.is_empty()) {
                ensure!(
                    boards.contains(outlet.as_str()),
                    "relay {}: there is no board {outlet}",
                    relay.name()
                );
                ensure!(
                    wired.insert(outlet),
                    "board {outlet} is wired to two outlets"
                );
            }
            if let Relay::Lcus { pty, .. } = relay {
                check_link(pty)?;
            }
        }
        Ok(())
    }
}

fn check_name(what: &str, name: &str) -> anyhow::Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fine) {
        bail!("{what} name {name:?}: use letters, digits, - _ .");
    }
    Ok(())
}

fn check_link(link: &Path) -> anyhow::Result<()> {
    ensure!(
        link.components().count() == 1 && link.file_name().is_some(),
        "pty {}: give a file name, the link is made in run_dir",
        link.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_valid_configuration() {
        let config = Config::parse(EXAMPLE).unwrap();
        assert_eq!(config.boards.len(), 2);
        assert_eq!(config.relays.len(), 2);
    }

    #[test]
    fn unknown_keys_and_boards_are_refused() {
        let head = "version = 1\n[http]\nlisten = '127.0.0.1:0'\n";
        let unknown =
            format!("{head}[[board]]\nkind = 'simulated'\nname = 'a'\ntpc = '127.0.0.1:0'\n");
        assert!(
            Config::parse(&unknown)
                .unwrap_err()
                .to_string()
                .contains("tpc")
        );
        let nowhere =
            format!("{head}[[relay]]\nkind = 'lcus'\nname = 'r'\npty = 'r'\noutlets = ['gone']\n");
        assert!(
            Config::parse(&nowhere)
                .unwrap_err()
                .to_string()
                .contains("no board gone")
        );
        assert!(Config::parse("version = 2\n[http]\nlisten = '127.0.0.1:0'\n").is_err());
    }
}
