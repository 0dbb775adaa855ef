//! What a job asks for: the value that the reader makes of a job's text.
//!
//! Everything in here has been checked; positions are kept only where a later stage (planning
//! against a board) may still have to complain.

use std::time::Duration;

use basalt_model::Sha256;
use basalt_yaml::{Diagnostic, Diagnostics, Node, Span};
use serde::Serialize;

use crate::multinode::Protocols;
use crate::notify::Notify;

/// One job, as read. Field by field LAVA's job definition (facts: LAVA 2026.07 schemas), and our
/// `realtime` test kind.
#[derive(Clone, Debug, PartialEq)]
pub struct JobDefinition {
    /// 1 to 200 characters.
    pub job_name: String,
    /// The type of board that the job wants.
    pub device_type: Option<Spanned<String>>,
    /// The one board that the job wants.
    pub device: Option<Spanned<String>>,
    /// All timeouts that the job states at its top.
    pub timeouts: JobTimeouts,
    /// Who may see it.
    pub visibility: Visibility,
    /// 0 to 100; LAVA's `low`, `medium`, `high` are 0, 50, 100.
    pub priority: u8,
    /// Tags that the board must have, all of them.
    pub tags: Vec<String>,
    /// LAVA's template variables, in the job's order.
    pub context: Vec<(String, Spanned<ContextValue>)>,
    /// Free data, kept as JSON.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Variables for the board's test shell.
    pub environment: Vec<(String, String)>,
    /// The one dispatcher that the job wants; nobody asks for it yet.
    pub worker: Option<String>,
    /// Values for the host and the board that no log shows.
    pub secrets: Vec<(String, String)>,
    /// Who is told of the job's end.
    pub notify: Option<Notify>,
    /// Several boards, or a network block device.
    pub protocols: Protocols,
    /// Bring the board back to fastboot at the end.
    pub reboot_to_fastboot: bool,
    /// The actions, in order.
    pub actions: Vec<Action>,
    /// `url: upload:NAME`: the names of the files that must come with the job.
    pub uploads: Vec<Spanned<String>>,
    /// What LAVA takes and Basalt cannot run, each at its place. A job that has any is read, shown
    /// and checked, but no plan is made of it.
    pub refusals: Vec<Diagnostic>,
}

impl JobDefinition {
    /// Adds [`JobDefinition::refusals`] as warnings, for those who only want to know.
    pub fn warn_of_refusals(&self, diagnostics: &mut Diagnostics) {
        for refusal in &self.refusals {
            let warning = diagnostics.warning(refusal.span, refusal.message.clone());
            warning.hint.clone_from(&refusal.hint);
        }
    }
}

/// A value and where it stands in the job's text.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

/// A value in `context`.
#[derive(Clone, Debug, PartialEq)]
pub enum ContextValue {
    /// A word or text.
    Text(String),
    /// A number.
    Integer(i64),
    /// Several.
    List(Vec<String>),
}

/// Who may see a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everybody who may see the board.
    Public,
    /// The submitter.
    Personal,
    /// Members of all these groups.
    Group(Vec<String>),
}

/// A time limit. `skip`: when it is over, the failed result is kept and the job goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// How long.
    pub duration: Duration,
    /// Go on with the next block.
    pub skip: bool,
}

/// `timeouts` at the top of a job (facts: LAVA 2026.07, lava_common/timeout.py).
#[derive(Clone, Debug, PartialEq)]
pub struct JobTimeouts {
    /// The whole job.
    pub job: Timeout,
    /// Every action that has nothing nearer.
    pub action: Option<Timeout>,
    /// By action name.
    pub actions: Vec<(String, Timeout)>,
    /// Longest silence of one wait on a console.
    pub connection: Option<Timeout>,
    /// The same by action name.
    pub connections: Vec<(String, Timeout)>,
    /// How long the job may wait in the queue.
    pub queue: Option<Timeout>,
}

/// One item of `actions`.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Where it stands.
    pub span: Span,
    /// The block's own `timeout`.
    pub timeout: Option<Timeout>,
    /// The block's own `timeouts`, by action name.
    pub timeouts: Vec<(String, Timeout)>,
    /// `failure_retry`: how many attempts in all; at least 1.
    pub failure_retry: Option<u32>,
    /// `failure_retry_interval`: the pause between attempts.
    pub failure_retry_interval: Option<Duration>,
    /// `repeat`: how often the action is performed.
    pub repeat: Option<u32>,
    /// LAVA's `namespace`; one console a job is run now, so only one namespace.
    pub namespace: Option<String>,
    /// `connection-namespace`: whose console is used.
    pub connection_namespace: Option<String>,
    /// The roles that perform it, in a multinode job.
    pub roles: Vec<String>,
    /// What it asks of a protocol, as JSON.
    pub protocols: Option<serde_json::Value>,
    /// What it does.
    pub kind: ActionKind,
}

/// What an action does.
#[expect(
    clippy::large_enum_variant,
    reason = "a job has a handful of actions, and boxes would be in every reader's way"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum ActionKind {
    /// `deploy`, `to: tftp`.
    DeployTftp(DeployTftp),
    /// `boot`, `method: u-boot`.
    BootUBoot(BootUBoot),
    /// `test` with `definitions`.
    TestDefinitions(Vec<TestDefinition>),
    /// `test` with `realtime`: our own.
    TestRealtime(Vec<Phase>),
    /// What Basalt cannot run yet; [`JobDefinition::refusals`] says so.
    Other(Other),
}

/// An action that has the right shape and cannot be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Other {
    /// `deploy`, `boot`, `test` or `command`.
    pub action: &'static str,
    /// The destination, method or command.
    pub word: Option<String>,
    /// All that stands in it.
    pub block: Node,
}

/// `deploy`, `to: tftp`.
#[derive(Clone, Debug, PartialEq)]
pub struct DeployTftp {
    /// The kernel image and its type.
    pub kernel: Option<(Artifact, KernelType)>,
    /// The flattened device tree.
    pub dtb: Option<Artifact>,
    /// The ramdisk.
    pub ramdisk: Option<Ramdisk>,
    /// The NFS root.
    pub nfsrootfs: Option<NfsRoot>,
    /// Kernel modules, to be unpacked over the root.
    pub modules: Option<Artifact>,
    /// The distribution that the root holds; decides only how packages are installed.
    pub os: Option<String>,
}

/// The type of a kernel image, which decides U-Boot's boot command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelType {
    /// `booti`.
    Image,
    /// `bootz`.
    Zimage,
    /// `bootm`.
    Uimage,
}

/// A ramdisk.
#[derive(Clone, Debug, PartialEq)]
pub struct Ramdisk {
    /// The file.
    pub artifact: Artifact,
    /// `header: u-boot`: the file carries U-Boot's legacy header.
    pub uboot_header: bool,
    /// `install_overlay`, true unless said otherwise.
    pub install_overlay: bool,
}

/// A root file system to be served over NFS.
#[derive(Clone, Debug, PartialEq)]
pub struct NfsRoot {
    /// A tar archive.
    pub artifact: Artifact,
    /// Path within the archive that is the root.
    pub prefix: Option<String>,
    /// `install_overlay`, true unless said otherwise.
    pub install_overlay: bool,
}

/// A file that the job names by URL.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    /// `http:`, `https:` or `file:`.
    pub url: Spanned<String>,
    /// How it is compressed. Unless said, it is served as it is.
    pub compression: Option<Compression>,
    /// `archive: tar`.
    pub archive_tar: bool,
    /// The checksum that the job states.
    pub checksum: Option<Checksum>,
    /// Request headers.
    pub headers: Vec<(String, String)>,
}

/// LAVA's words for compressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// gzip
    Gz,
    /// xz
    Xz,
    /// bzip2
    Bz2,
    /// zip
    Zip,
    /// zstd
    Zstd,
}

/// A checksum of the file as downloaded (before decompression).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Checksum {
    /// 32 lower-case hexadecimal digits.
    Md5(String),
    /// SHA-256.
    Sha256(Sha256),
    /// 128 lower-case hexadecimal digits.
    Sha512(String),
}

/// `boot`, `method: u-boot`.
#[derive(Clone, Debug, PartialEq)]
pub struct BootUBoot {
    /// The command set of the board's type, or the commands themselves.
    pub commands: Commands,
    /// Regular expressions (of the `regex` crate) of the shell prompt; at least one.
    pub prompts: Vec<Spanned<String>>,
    /// How to log in.
    pub auto_login: Option<AutoLogin>,
    /// `failure_message`: a regular expression that ends the boot at once.
    pub failure_message: Option<String>,
    /// `ignore_kernel_messages`.
    pub ignore_kernel_messages: bool,
    /// `parameters: kernel-start-message`.
    pub kernel_start_message: Option<String>,
    /// `parameters: bootloader-final-message`.
    pub bootloader_final_message: Option<String>,
}

/// What is typed at the boot loader.
#[derive(Clone, Debug, PartialEq)]
pub enum Commands {
    /// A set that the board's type defines: `ramdisk`, `nfs`.
    Named(Spanned<String>),
    /// The job's own.
    List(Vec<String>),
}

/// `auto_login`.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoLogin {
    /// Regular expression of the login prompt.
    pub login_prompt: String,
    /// The user.
    pub username: String,
    /// Regular expression of the password prompt, and the password.
    pub password: Option<(String, String)>,
    /// Typed after the login, one by one.
    pub login_commands: Vec<String>,
}

/// One item of `test: definitions`.
#[derive(Clone, Debug, PartialEq)]
pub struct TestDefinition {
    /// The suite's name without its number: `[-_a-zA-Z0-9.]+`.
    pub name: String,
    /// The path that the job states; for inline definitions only a label.
    pub path: String,
    /// The definition itself (`from: inline`).
    pub inline: InlineDefinition,
    /// `parameters` of the job over those of the definition, in order.
    pub parameters: Vec<(String, String)>,
    /// `lava-signal: kmsg`.
    pub kmsg: bool,
}

/// "Lava-Test Test Definition 1.0".
#[derive(Clone, Debug, PartialEq)]
pub struct InlineDefinition {
    /// `metadata: name`.
    pub name: String,
    /// `metadata: description`.
    pub description: Option<String>,
    /// `params`/`parameters`: defaults.
    pub parameters: Vec<(String, String)>,
    /// `install: steps`, run before the test; packages and sources are refused by name for now.
    pub install_steps: Vec<String>,
    /// `run: steps`.
    pub steps: Vec<String>,
    /// `expected`: cases that must come, and no others.
    pub expected: Vec<String>,
    /// The definition as YAML text, put beside the test as testdef.yaml.
    pub source: String,
}

/// One item of `test: realtime`: a measurement under load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// The suite's name without its number: `[-_a-zA-Z0-9.]+`; unique in its block.
    pub name: String,
    /// The measurement program.
    pub measure: Measure,
    /// How long it measures.
    pub duration: Duration,
    /// The interval of the measuring threads.
    pub interval: Duration,
    /// The largest latency that passes. Without one here or in the board's file the phase is
    /// `measured`.
    pub limit: Option<Duration>,
    /// What runs beside it.
    pub load: Vec<Load>,
    /// The scheduling priority of the measuring threads, 1 to 99.
    pub priority: u8,
    /// Whether the kernel must be a realtime one (`preempt_rt: true`, the default).
    pub require_preempt_rt: bool,
}

/// A measurement program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// cyclictest of rt-tests.
    Cyclictest,
}

/// A load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Load {
    /// hackbench of rt-tests, over and over.
    Hackbench,
}

impl Load {
    /// The word in jobs, limits and tables.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Hackbench => "hackbench",
        }
    }
}

impl Measure {
    /// The word in jobs, limits and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cyclictest => "cyclictest",
        }
    }
}
