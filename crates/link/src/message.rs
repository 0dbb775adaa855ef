//! What a dispatcher and its server say to each other (decision D9).
//!
//! Control messages are JSON objects with a `kind`; kinds and fields are only ever added. Times are
//! those of the sender's host. What is durable where, each message says.

use basalt_model::{
    BoardName, BootId, DispatcherName, Epoch, JobId, LeaseId, PowerState, RunId, UserName,
    UtcMicros,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The oldest protocol that this build speaks.
pub const OLDEST_PROTOCOL: u32 = 1;
/// The newest one.
pub const PROTOCOL: u32 = 1;

/// The protocols that a side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolRange {
    /// The oldest.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

impl ProtocolRange {
    /// What this build speaks.
    pub const OURS: Self = Self {
        min: OLDEST_PROTOCOL,
        max: PROTOCOL,
    };

    /// The newest protocol that both speak.
    pub fn common(self, other: Self) -> Option<u32> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }
}

/// The highest epoch that a dispatcher has seen of a board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardEpoch {
    /// The board.
    pub board: BoardName,
    /// The epoch.
    pub epoch: Epoch,
}

/// How a run stands on the dispatcher's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The run.
    pub run: RunId,
    /// Its lease.
    pub lease: LeaseId,
    /// Its job.
    pub job: JobId,
    /// Its board.
    pub board: BoardName,
    /// Under which epoch.
    pub epoch: Epoch,
    /// The last event in its journal; 0 without any.
    pub last_seq: u64,
    /// Its journal ends with `finished`.
    pub finished: bool,
}

/// Whether a console can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleFact {
    /// The source is open.
    pub open: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why a dispatcher does not take a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// It has seen a higher epoch of the board.
    OldEpoch,
    /// It does not serve the board.
    UnknownBoard,
    /// A person or program on its host has the board.
    BoardHeld,
    /// The assignment belongs to another revision of the lab.
    OtherRevision,
    /// It is stopping, or draining.
    Stopping,
    /// It takes no runs for a while; the assignment crossed its [`Up::Closed`].
    Closed,
    /// Its host does not let it: disk, directories.
    Host,
    /// A code of a later release.
    #[serde(other)]
    Other,
}

/// What a dispatcher says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Up {
    /// The first message.
    Hello {
        /// What it speaks.
        protocol: ProtocolRange,
        /// Its version.
        build: String,
        /// Its name; must be the token's.
        dispatcher: DispatcherName,
        /// The boot of its host.
        boot_id: BootId,
        /// The revision of the lab that it serves.
        revision: Option<i64>,
        /// The highest epochs that it has seen.
        epochs: Vec<BoardEpoch>,
        /// Every run on its disk that the server has not let it forget.
        runs: Vec<Standing>,
    },
    /// A run is on disk, durable, and will be performed.
    Accepted {
        /// The run.
        run: RunId,
    },
    /// A run is not taken; nothing of it is kept.
    Refused {
        /// The run.
        run: RunId,
        /// Why.
        code: RefusalCode,
        /// Why, for a person.
        message: String,
    },
    /// Asks for an acknowledgement (decision D2).
    Heartbeat {
        /// Grows by one.
        number: u64,
    },
    /// What is known of a board; sent when it changes, and after `welcome` for every board.
    BoardFact {
        /// The board.
        board: BoardName,
        /// What its relay says.
        power: PowerState,
        /// Since when it is known to say so.
        power_since: UtcMicros,
        /// Its console.
        console: ConsoleFact,
    },
    /// All events, log lines and files of a finished run have been acknowledged. Said again after
    /// every `welcome` until the server says `forget`.
    Ended {
        /// The run.
        run: RunId,
    },
    /// A revision of the lab is in force here, durable.
    Applied {
        /// Which.
        revision: i64,
        /// What of it cannot be served, each in a sentence.
        problems: Vec<String>,
    },
    /// It is stopping: no new runs.
    Stopping,
    /// It takes no runs for a while, or takes them again. Said when it changes, and after `welcome`
    /// where it takes none.
    Closed {
        /// Why not, for a person; nothing where it takes runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A kind of a later release.
    #[serde(other)]
    Unknown,
}

/// What one side says as control messages: [`Up`] or [`Down`].
pub trait Control: Serialize + DeserializeOwned + Send + std::fmt::Debug + 'static {
    /// Whether it is of a kind that only a later release knows.
    fn is_unknown(&self) -> bool;
}

impl Control for Up {
    fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

impl Control for Down {
    fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

/// Where the server's copy of a run ends; the dispatcher goes on from there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCursor {
    /// The run.
    pub run: RunId,
    /// The last event that is durable at the server; 0 for none.
    pub events_seq: u64,
    /// The log's cursor as it came with the last durable batch (`report::joblog::Cursor` as JSON);
    /// `None` before the first.
    pub log: Option<serde_json::Value>,
}

/// One file of a lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabText {
    /// Relative to the lab's directory: `boards/qemu-1.yaml`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A run for a dispatcher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The run.
    pub run: RunId,
    /// Its lease.
    pub lease: LeaseId,
    /// Its job.
    pub job: JobId,
    /// Which run of its job this is, from 1.
    pub attempt: u32,
    /// The board.
    pub board: BoardName,
    /// The lease's epoch.
    pub epoch: Epoch,
    /// The revision of the lab that it was planned with.
    pub revision: i64,
    /// The job's name.
    pub job_name: String,
    /// The job's text.
    pub job_text: String,
    /// The plan (`basalt_plan::Plan`) as JSON.
    pub plan: serde_json::Value,
    /// Whose job it is.
    pub submitter: UserName,
}

/// How a dispatcher is to stop (decision D23).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopMode {
    /// Runs end and go back to the queue; boards off; the keeper ends too.
    End,
    /// Runs finish first.
    Drain,
    /// Boards go on; runs are resumed by the next dispatcher.
    Detach,
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Down {
    /// The answer to `hello`.
    Welcome {
        /// What both speak from now on.
        protocol: u32,
        /// A dispatcher without an acknowledgement for so long ends its runs (decision D2).
        offline_limit_ms: u64,
        /// How often it asks for one.
        heartbeat_ms: u64,
        /// How many bytes of streams may be unacknowledged.
        window_bytes: u64,
        /// The revision of the lab that is in force; `lab` follows where the dispatcher has
        /// another.
        revision: i64,
        /// Where the server's copies of the runs of `hello` end.
        runs: Vec<RunCursor>,
        /// Runs that are not the dispatcher's any more: ended without a word, boards off.
        discard: Vec<RunId>,
    },
    /// The connection is refused; it is closed after this.
    Refuse {
        /// Stable, for programs: `protocol`, `unknown-dispatcher`, `retired`, `token-ended`.
        code: String,
        /// For a person.
        message: String,
    },
    /// A revision of the lab.
    Lab {
        /// Its number.
        revision: i64,
        /// The lab's name.
        name: String,
        /// All its files.
        files: Vec<LabText>,
    },
    /// A run.
    Assign(Box<Assignment>),
    /// A run is to end before its time.
    Cancel {
        /// The run.
        run: RunId,
        /// Who wants it and why, for a person.
        reason: String,
    },
    /// What of a run is durable at the server.
    Ack {
        /// The run.
        run: RunId,
        /// The last durable event.
        events_seq: u64,
        /// The last durable line of the log.
        log_line: u64,
    },
    /// The answer to `heartbeat`.
    HeartbeatAck {
        /// Its number.
        number: u64,
    },
    /// Nothing of the run is needed any more.
    Forget {
        /// The run.
        run: RunId,
    },
    /// The dispatcher is to stop.
    Stop {
        /// How.
        mode: StopMode,
    },
    /// A kind of a later release.
    #[serde(other)]
    Unknown,
}
