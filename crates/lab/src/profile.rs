//! What a lab knows about one board: the value that planning and running need.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use basalt_model::{BoardName, DispatcherName, RelayName};
use serde::{Deserialize, Serialize};

/// One lab, read from its directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Lab {
    /// Its name: `[a-z0-9][a-z0-9-]*`. Names the state directory.
    pub name: String,
    /// The dispatcher of `lab.yaml`: it has every relay that names no other.
    pub default_dispatcher: DispatcherName,
    /// Every dispatcher, in the order of their names.
    pub dispatchers: Vec<DispatcherProfile>,
    /// Every relay, in the order of their names.
    pub relays: Vec<Relay>,
    /// Every board, with everything that its type gives it, in the order of their names.
    pub boards: Vec<BoardProfile>,
}

impl Lab {
    /// The dispatcher of a name.
    pub fn dispatcher(&self, name: &DispatcherName) -> Option<&DispatcherProfile> {
        self.dispatchers.iter().find(|one| one.name == *name)
    }

    /// The relay of a name.
    pub fn relay(&self, name: &RelayName) -> Option<&Relay> {
        self.relays.iter().find(|one| one.name == *name)
    }

    /// The board of a name.
    pub fn board(&self, name: &BoardName) -> Option<&BoardProfile> {
        self.boards.iter().find(|one| one.name == *name)
    }

    /// The relay that switches a board.
    ///
    /// # Panics
    /// The board is none of this lab's: the reader gives no board whose relay is missing.
    pub fn relay_of(&self, board: &BoardProfile) -> &Relay {
        self.relay(&board.power.relay)
            .unwrap_or_else(|| panic!("relay {} is none of this lab's", board.power.relay))
    }

    /// The dispatcher that serves a board: its relay's (decision D10).
    ///
    /// # Panics
    /// As [`Lab::relay_of`].
    pub fn dispatcher_of(&self, board: &BoardProfile) -> &DispatcherProfile {
        let name = &self.relay_of(board).dispatcher;
        self.dispatcher(name)
            .unwrap_or_else(|| panic!("dispatcher {name} is none of this lab's"))
    }

    /// The boards that a dispatcher serves, in the order of their names.
    pub fn boards_of<'l>(
        &'l self,
        dispatcher: &'l DispatcherName,
    ) -> impl Iterator<Item = &'l BoardProfile> {
        self.boards
            .iter()
            .filter(move |board| self.relay_of(board).dispatcher == *dispatcher)
    }
}

/// The name of a dispatcher whose file gives it none, and of those in plans that were made before
/// dispatchers had names.
pub const DEFAULT_DISPATCHER: &str = "main";

fn default_dispatcher() -> DispatcherName {
    DispatcherName::new(DEFAULT_DISPATCHER)
}

/// Left out, so that a plan from before is written again as it was read: a run that is resumed
/// compares the two.
fn is_default_dispatcher(name: &DispatcherName) -> bool {
    name.as_str() == DEFAULT_DISPATCHER
}

/// How a dispatcher's host serves boards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DispatcherProfile {
    /// Its name in the lab.
    #[serde(
        default = "default_dispatcher",
        skip_serializing_if = "is_default_dispatcher"
    )]
    pub name: DispatcherName,
    /// The host's address as boards see it.
    pub address: Ipv4Addr,
    /// Where TFTP listens. Real boot loaders ask port 69.
    pub tftp_listen: SocketAddrV4,
    /// Where NFSv3 listens.
    pub nfs_listen: SocketAddrV4,
    /// Directories below which `file:` URLs may lie (decision D21).
    pub file_roots: Vec<PathBuf>,
    /// Hosts that artifact URLs may name although they are loopback or link-local.
    pub allow_hosts: Vec<String>,
}

/// A relay and how it is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relay {
    /// Its name in the lab.
    pub name: RelayName,
    /// The one dispatcher that asks it (decision D10).
    #[serde(
        default = "default_dispatcher",
        skip_serializing_if = "is_default_dispatcher"
    )]
    pub dispatcher: DispatcherName,
    /// How it is asked.
    pub driver: RelayDriver,
    /// How long one exchange may take.
    pub timeout: Duration,
}

/// How a relay is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayDriver {
    /// Tasmota's HTTP commands: `GET URL/cm?cmnd=Power<N>%20On`.
    Tasmota {
        /// `http://host[:port]`, without path.
        url: String,
        /// User and password, where the device wants them.
        credentials: Option<(String, String)>,
    },
    /// Commands of the lab's files, run on the dispatcher's host without a shell, one after another
    /// (decision D21). Cannot be read back; has outlet 1 only.
    Commands {
        /// What switches on: programs with their arguments.
        on: Vec<Vec<String>>,
        /// What switches off.
        off: Vec<Vec<String>>,
    },
    /// LCUS-type serial relay card: four bytes `A0 channel state sum`. Cannot be read back.
    Lcus {
        /// The serial port.
        path: PathBuf,
        /// Bits per second.
        baud: u32,
    },
}

/// Everything that the lab's files say about one board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoardProfile {
    /// The board.
    pub name: BoardName,
    /// Its type.
    pub device_type: String,
    /// Tags that jobs may ask for.
    pub tags: Vec<String>,
    /// The outlet that feeds it.
    pub power: PowerProfile,
    /// Its serial console.
    pub console: ConsoleProfile,
    /// Its network port.
    pub network: Option<NetworkProfile>,
    /// What its clock is worth, where it is not a real one: `virtual (icount shift=3)`.
    pub timebase: Option<String>,
    /// Limits that hold where a job states none.
    pub limits: Vec<LimitProfile>,
    /// How it boots with U-Boot, where it can.
    pub u_boot: Option<UBootProfile>,
    /// The shell and paths on the board.
    pub shell: ShellProfile,
    /// Deadlines of the type, by action name (LAVA's device `timeouts`).
    pub timeouts: Vec<(String, Duration)>,
}

/// The outlet that feeds a board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerProfile {
    /// The relay.
    pub relay: RelayName,
    /// The outlet or channel, counted as the device counts (Tasmota and LCUS from 1).
    pub outlet: u32,
    /// How long it must stay off in a cycle.
    pub off_time: Duration,
}

/// A serial console and the way to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsoleProfile {
    /// The way to it.
    pub source: ConsoleSource,
    /// Pause between typed characters.
    pub character_delay: Duration,
}

/// The way to a console.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleSource {
    /// Raw TCP, as ser2net's `raw`.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A serial port or pseudo-terminal of this host.
    Serial {
        /// Its path.
        path: PathBuf,
        /// Bits per second.
        baud: u32,
    },
}

/// A board's network port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkProfile {
    /// `52:54:00:77:00:0a`, lower case.
    pub mac: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Bits of the network's prefix.
    pub prefix: u8,
    /// The way out, where there is one.
    pub gateway: Option<Ipv4Addr>,
}

/// A latency limit of a board or type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitProfile {
    /// `cyclictest`.
    pub measure: String,
    /// The loads, sorted; empty means idle.
    pub load: Vec<String>,
    /// The largest latency that passes.
    pub limit: Duration,
    /// Which file says so.
    #[serde(default)]
    pub origin: LimitOrigin,
}

/// Which file a limit comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitOrigin {
    /// The board's own file.
    #[default]
    Board,
    /// The file of its type, or of a type that this one extends.
    Type,
}

impl LimitOrigin {
    /// The word in plans and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Board => "board",
            Self::Type => "type",
        }
    }
}

/// How a board boots with U-Boot. Defaults are those of LAVA 2026.07's base template (facts).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UBootProfile {
    /// Text that says that a key stops the automatic boot.
    pub interrupt_prompt: String,
    /// What is typed then; without newline.
    pub interrupt_character: String,
    /// The prompt: a regular expression.
    pub prompt: String,
    /// What U-Boot says before it jumps: literal text.
    pub final_message: String,
    /// What U-Boot says when a command failed: literal texts.
    pub error_messages: Vec<String>,
    /// Command sets by name (`ramdisk`, `nfs`), with the placeholders of [`crate::placeholder`].
    pub commands: Vec<(String, Vec<String>)>,
    /// Where the parts go in memory, by type of kernel image (`image`, `zimage`, `uimage`).
    pub load_addresses: Vec<(String, LoadAddresses)>,
    /// What `{KERNEL_ARGS}` stands for, e.g. `console=ttyAMA0,115200`. May hold placeholders.
    pub kernel_args: String,
    /// What `{NFS_ARGS}` stands for: the further kernel arguments for an NFS root. May hold
    /// placeholders.
    pub nfs_args: String,
    /// Where the device tree is when the job gives none, as the boot command takes it:
    /// `${fdtcontroladdr}`. Without it the boot command then gets no device tree.
    #[serde(default)]
    pub default_dtb: Option<String>,
}

/// Addresses in hexadecimal, as U-Boot takes them: `0x40400000`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadAddresses {
    /// Of the kernel.
    pub kernel: String,
    /// Of the ramdisk.
    pub ramdisk: String,
    /// Of the device tree.
    pub dtb: String,
}

/// The shell on the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShellProfile {
    /// `/bin/sh`.
    pub shell: String,
    /// Directory of the overlay with `%s` for the job's number: `/lava-%s`.
    pub results_dir: String,
    /// Regular expression of the kernel's first line.
    pub kernel_start_message: String,
    /// The prompt that Basalt sets once it has a shell: literal text.
    pub prompt: String,
}
