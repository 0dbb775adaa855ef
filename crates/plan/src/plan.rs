//! What will be done to one board for one job: blocks, deadlines, attempts.
//!
//! A plan is a value: the same job and the same board give the same plan, and a run keeps its plan
//! beside its journal, so that a resumed run does what the first one set out to do.

use std::time::Duration;

use basalt_lab::profile::{BoardProfile, DispatcherProfile, LoadAddresses, Relay};
use basalt_model::Sha256;
use serde::{Deserialize, Serialize};

/// The version of a plan on disk.
pub const VERSION: u32 = 1;

/// A job against a board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// The job's name.
    pub job_name: String,
    /// SHA-256 of the job's text.
    pub job_sha256: Sha256,
    /// The board as the lab's files describe it.
    pub board: BoardProfile,
    /// The relay that switches it.
    pub relay: Relay,
    /// How the host serves it.
    pub dispatcher: DispatcherProfile,
    /// How long the whole job may take.
    pub job_timeout: Duration,
    /// How long finalizing may take.
    pub finalize_timeout: Duration,
    /// Variables for the board's test shell.
    pub environment: Vec<(String, String)>,
    /// The job's metadata, kept for the results.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// The blocks, in order.
    pub blocks: Vec<Block>,
}

/// One item of the job's `actions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// `1`, `2`, …; actions inside are `1.1`, `1.2`, ….
    pub level: String,
    /// LAVA's name: `tftp-deploy`, `uboot-action`, `lava-test-retry`; ours `realtime`.
    pub name: String,
    /// How long all its attempts may take together.
    pub timeout: Duration,
    /// When the time is over: keep the failed result and go on with the next block.
    pub skip_on_timeout: bool,
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// Pause between attempts.
    pub retry_interval: Duration,
    /// Deadlines of the actions inside, for one attempt, by name; every action that the runner
    /// performs in this kind of block is listed (see [`action`]).
    pub timeouts: Vec<(String, Duration)>,
    /// Longest silence of one wait on the console, where the job states one.
    pub connection_timeout: Option<Duration>,
    /// What it does.
    pub kind: BlockKind,
}

impl Block {
    /// The deadline of the named action in one attempt; the block's own where none is listed.
    pub fn timeout_of(&self, action: &str) -> Duration {
        self.timeouts
            .iter()
            .find(|(name, _)| name == action)
            .map_or(self.timeout, |(_, timeout)| *timeout)
            .min(self.timeout)
    }
}

/// Names of actions as LAVA's clients know them; those that LAVA lacks are ours.
pub mod action {
    /// Everything is checked before anything is touched.
    pub const VALIDATE: &str = "validate";
    /// The deploy block.
    pub const TFTP_DEPLOY: &str = "tftp-deploy";
    /// Fetching one file over HTTP.
    pub const HTTP_DOWNLOAD: &str = "http-download";
    /// Fetching one local file.
    pub const FILE_DOWNLOAD: &str = "file-download";
    /// Building the overlay of helpers and tests.
    pub const OVERLAY: &str = "lava-overlay";
    /// Opening the lease's TFTP and NFS roots.
    pub const PREPARE_TFTP: &str = "prepare-tftp-overlay";
    /// The boot block.
    pub const UBOOT: &str = "uboot-action";
    /// Power cycle.
    pub const RESET: &str = "reset-device";
    /// Stopping U-Boot's automatic boot.
    pub const INTERRUPT: &str = "bootloader-interrupt";
    /// Typing the boot commands.
    pub const COMMANDS: &str = "bootloader-commands";
    /// From the kernel's first line to a shell.
    pub const AUTO_LOGIN: &str = "auto-login-action";
    /// The login dialogue inside it.
    pub const LOGIN: &str = "login-action";
    /// Taking the shell over: prompt, terminal width, overlay there.
    pub const EXPECT_SHELL: &str = "expect-shell-connection";
    /// Collecting the environment record (decision D17). Ours.
    pub const ENVIRONMENT: &str = "environment-record";
    /// The test block.
    pub const TEST_RETRY: &str = "lava-test-retry";
    /// One stage of test definitions.
    pub const TEST_SHELL: &str = "lava-test-shell";
    /// The realtime block. Ours.
    pub const REALTIME: &str = "realtime";
    /// One measurement phase. Ours.
    pub const PHASE: &str = "realtime-phase";
    /// Bringing one raw file back. Ours.
    pub const TRANSFER: &str = "realtime-transfer";
    /// The end of every run.
    pub const FINALIZE: &str = "finalize";
    /// Switching off inside it.
    pub const POWER_OFF: &str = "power-off";
}

/// What a block does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "a plan holds a handful of blocks, and matching on them stays plain"
)]
pub enum BlockKind {
    /// Fetch files, build the overlay, open the boot root.
    Deploy(Deploy),
    /// Power on, boot loader, kernel, shell.
    Boot(Boot),
    /// Run test definitions.
    Test(TestStage),
    /// Measure.
    Realtime(Realtime),
}

/// Files for a network boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deploy {
    /// Every file, in the order kernel, dtb, ramdisk, nfsrootfs, modules.
    pub downloads: Vec<Download>,
    /// `image`, `zimage`, `uimage`; empty without a kernel.
    pub kernel_type: String,
    /// Append the overlay to the ramdisk.
    pub overlay_in_ramdisk: bool,
    /// Graft the overlay into the NFS root.
    pub overlay_in_nfsroot: bool,
    /// The ramdisk carries U-Boot's legacy header.
    pub ramdisk_has_uboot_header: bool,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Download {
    /// `kernel`, `dtb`, `ramdisk`, `nfsrootfs`, `modules`.
    pub label: String,
    /// Where it is.
    pub url: String,
    /// Request headers.
    pub headers: Vec<(String, String)>,
    /// `gz`, `xz`, `bz2`, `zstd`: unpacked before it is served.
    pub compression: Option<String>,
    /// It is a tar archive.
    pub archive_tar: bool,
    /// Path within the archive that is the root.
    pub prefix: Option<String>,
    /// `md5`, `sha256` or `sha512`, and the digits.
    pub checksum: Option<(String, String)>,
}

/// Power on to shell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Boot {
    /// What is typed at U-Boot. Planning has put in `{KERNEL_ARGS}`, `{NFS_ARGS}`, `{BOOTX}` and
    /// `{TFTP_PORT}`; the runner's placeholders are still in
    /// ([`basalt_lab::placeholder::BY_RUNNER`]).
    pub commands: Vec<String>,
    /// Where the parts go in memory.
    pub load_addresses: LoadAddresses,
    /// `booti`, `bootz`, `bootm`.
    pub boot_command: String,
    /// The boot serves its root over NFS (the command set is `nfs`).
    pub nfs: bool,
    /// Regular expressions of the shell prompt.
    pub prompts: Vec<String>,
    /// How to log in.
    pub login: Option<Login>,
    /// A regular expression that ends the boot at once.
    pub failure_message: Option<String>,
    /// Kernel reports do not end the boot.
    pub ignore_kernel_messages: bool,
    /// Regular expression of the kernel's first line.
    pub kernel_start_message: String,
    /// Literal text that U-Boot says before it jumps.
    pub final_message: String,
}

/// The login dialogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Login {
    /// Regular expression.
    pub prompt: String,
    /// The user.
    pub username: String,
    /// Regular expression of the password prompt, and the password.
    pub password: Option<(String, String)>,
    /// Typed after the login, one by one.
    pub commands: Vec<String>,
}

/// One `test` block with definitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestStage {
    /// Its directory in the overlay: the count of test blocks before it.
    pub stage: usize,
    /// The definitions.
    pub definitions: Vec<Definition>,
}

/// One test definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// `<N>_<name>`, N counting definitions and phases over the whole job.
    pub suite: String,
    /// The name without number.
    pub name: String,
    /// The path that the job states.
    pub path: String,
    /// Shell assignments before the first step.
    pub parameters: Vec<(String, String)>,
    /// Run before the test.
    pub install_steps: Vec<String>,
    /// The test.
    pub steps: Vec<String>,
    /// Cases that must come, and no others; empty: whatever comes.
    pub expected: Vec<String>,
    /// Signals go through /dev/kmsg.
    pub kmsg: bool,
    /// The definition's YAML.
    pub source: String,
}

/// One `test` block with measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Realtime {
    /// Its directory in the overlay: the count of test blocks before it.
    pub stage: usize,
    /// The phases, in order.
    pub phases: Vec<Phase>,
}

/// One measurement under load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// `<N>_<name>`, N counting definitions and phases over the whole job.
    pub suite: String,
    /// The name without number.
    pub name: String,
    /// `cyclictest`.
    pub measure: String,
    /// The measurement's arguments, program first, with `{JSON}` for the result file.
    pub command: Vec<String>,
    /// How long it measures.
    pub duration: Duration,
    /// The interval of the first measuring thread, microseconds.
    pub interval_us: u64,
    /// Bins of the histogram (`-h`), microseconds: at least twice the limit.
    pub histogram_us: u64,
    /// The largest latency that passes, microseconds.
    pub limit_us: Option<u64>,
    /// Where the limit comes from: `job`, `board`, `type`; empty without one.
    pub limit_source: String,
    /// Loads by name (`hackbench`), sorted, each with its arguments, program first.
    pub loads: Vec<(String, Vec<String>)>,
    /// The kernel must be a realtime one.
    pub require_preempt_rt: bool,
}
