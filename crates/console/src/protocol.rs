//! The language of the keeper's socket.
//!
//! Newline-delimited JSON, at most [`MAX_LINE`] bytes a line. A client sends [`Request`]s; the
//! first is `hello` with the version it speaks. The keeper sends [`Message`]s: an answer or a
//! refusal to each request, by its id, and events of the consoles that the client watches. Events
//! are coalesced: a client that reads slowly gets fewer, and the newest always.
//!
//! ```text
//! > {"id":1,"op":{"kind":"hello","version":1,"client":"basalt run"}}
//! < {"kind":"answer","id":1,"result":{"kind":"hello","version":1,"pid":4711,"boot_id":"…"}}
//! > {"id":2,"op":{"kind":"watch","console":"qemu-arm64"}}
//! < {"kind":"answer","id":2,"result":{"kind":"view","console":"qemu-arm64","view":{"end":0,"records":1,"source":{…}}}}
//! < {"kind":"appended","console":"qemu-arm64","end":120,"records":2}
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

use basalt_lab::profile::ConsoleSource;
use basalt_model::UtcMicros;
use serde::{Deserialize, Serialize};

/// The version of the language.
pub const VERSION: u32 = 1;
/// The longest line, either way.
pub const MAX_LINE: usize = 1024 * 1024;
/// The most bytes that one write may type.
pub const MAX_WRITE: usize = 256 * 1024;

/// A console that a keeper keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptConsole {
    /// Its name: the board's.
    pub name: String,
    /// The way to it.
    pub source: ConsoleSource,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the client; the answer carries it.
    pub id: u64,
    /// What.
    pub op: Operation,
}

/// What a client can ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Operation {
    /// First of all. Answer: [`Answer::Hello`].
    Hello {
        /// The version that the client speaks.
        version: u32,
        /// Who it is, for people.
        client: String,
    },
    /// What is kept, and how it goes. Answer: [`Answer::Status`].
    Status,
    /// Events of one console from now on. Answer: [`Answer::View`].
    Watch {
        /// Which.
        console: String,
        /// Only how the way to it is, not what is appended. Keepers of former releases tell both.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        source_only: bool,
    },
    /// The right to type, until released or until this connection ends. Answer: [`Answer::Done`].
    Claim {
        /// Which console.
        console: String,
        /// By which name.
        writer: String,
    },
    /// Gives the right to type back. Answer: [`Answer::Done`].
    Release {
        /// Which console.
        console: String,
    },
    /// Types. Answered with [`Answer::Done`] when the source accepted every byte.
    Write {
        /// Which console.
        console: String,
        /// What, in base64.
        base64: String,
        /// Pause after each byte, microseconds; 0 writes all at once.
        character_delay_us: u64,
    },
    /// Makes durable what was captured so far. Answer: [`Answer::Synced`].
    Sync {
        /// Which console.
        console: String,
    },
    /// Keeps these consoles too. One that is kept from the same source already is left alone, from
    /// another source it is opened anew. Answer: [`Answer::Done`].
    Add {
        /// Which.
        consoles: Vec<KeptConsole>,
    },
    /// Ends the keeper. Answer: [`Answer::Done`].
    Shutdown,
}

/// What the keeper sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Message {
    /// A request was done.
    Answer {
        /// Which.
        id: u64,
        /// What came of it.
        result: Answer,
    },
    /// A request was not done.
    Refused {
        /// Which.
        id: u64,
        /// Why.
        refusal: Refusal,
    },
    /// A watched console has more records.
    Appended {
        /// Which.
        console: String,
        /// Its stream offset.
        end: u64,
        /// How many records this keeper has appended to it.
        records: u64,
    },
    /// The way to a watched console opened or closed.
    Source {
        /// Which.
        console: String,
        /// How it is now.
        source: SourceState,
    },
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Answer {
    /// To `hello`.
    Hello {
        /// The version that the keeper speaks.
        version: u32,
        /// Its process id.
        pid: u32,
        /// The boot of the host that its boot times belong to.
        boot_id: String,
    },
    /// To `status`.
    Status {
        /// How it goes.
        status: Status,
    },
    /// To `watch`.
    View {
        /// Which console.
        console: String,
        /// How it is now.
        view: ConsoleView,
    },
    /// To `sync`.
    Synced {
        /// Everything before this stream offset is durable.
        end: u64,
    },
    /// It was done.
    Done,
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    /// The client's version is another.
    #[error("the keeper speaks version {keeper} of its language, the client {client}")]
    Version {
        /// The keeper's.
        keeper: u32,
        /// The client's.
        client: u32,
    },
    /// The request cannot be read, or came before `hello`.
    #[error("the request is not understood: {reason}")]
    Request {
        /// Why.
        reason: String,
    },
    /// No such console is kept.
    #[error("the keeper does not keep console {console:?}")]
    NoConsole {
        /// Which.
        console: String,
    },
    /// Somebody else types at this console.
    #[error("console {console} is held by {holder}")]
    Held {
        /// Which.
        console: String,
        /// Who.
        holder: String,
    },
    /// The client types without having claimed the console.
    #[error("console {console} was not claimed on this connection")]
    NotClaimed {
        /// Which.
        console: String,
    },
    /// The way to the console is closed.
    #[error("console {console} is down: {reason}")]
    Down {
        /// Which.
        console: String,
        /// Why.
        reason: String,
    },
    /// The way to the console was lost while typing; how much arrived is not known.
    #[error("console {console} was lost while typing: {reason}")]
    Lost {
        /// Which.
        console: String,
        /// Why.
        reason: String,
    },
    /// Too much is waiting to be typed.
    #[error("console {console} has too much waiting to be typed")]
    Busy {
        /// Which.
        console: String,
    },
    /// The host could not do it.
    #[error("the keeper failed: {reason}")]
    Host {
        /// Why.
        reason: String,
    },
}

/// How a console is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleView {
    /// The stream offset after its last byte.
    pub end: u64,
    /// How many records this keeper has appended.
    pub records: u64,
    /// The way to it.
    pub source: SourceState,
}

/// How the way to a console is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// Whether it is open.
    pub open: bool,
    /// Why it is not, or what was opened.
    pub reason: String,
    /// Since when.
    pub since: UtcMicros,
}

/// What a keeper keeps, and how it goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its process id.
    pub pid: u32,
    /// Where it keeps its files.
    pub state_dir: PathBuf,
    /// How many clients are connected, the asking one included.
    pub clients: usize,
    /// The consoles, by name.
    pub consoles: BTreeMap<String, ConsoleStatus>,
}

/// How one console goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsoleStatus {
    /// The way to it, as configured.
    pub source: ConsoleSource,
    /// How it is now.
    pub view: ConsoleView,
    /// Who may type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
    /// What it has cost.
    pub counters: CounterValues,
}

/// What a console has cost since the keeper started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterValues {
    /// Bytes read from the source.
    pub bytes_read: u64,
    /// Bytes typed.
    pub bytes_typed: u64,
    /// Bytes written to segment files.
    pub bytes_written: u64,
    /// Calls of fdatasync.
    pub fsyncs: u64,
    /// How often the source was opened.
    pub opens: u64,
    /// Bytes that were read but could not be stored.
    pub bytes_lost: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_documented_one() {
        let request = Request {
            id: 2,
            op: Operation::Watch {
                console: "a".into(),
                source_only: false,
            },
        };
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            r#"{"id":2,"op":{"kind":"watch","console":"a"}}"#
        );
        let message = Message::Refused {
            id: 3,
            refusal: Refusal::Held {
                console: "a".into(),
                holder: "run 7".into(),
            },
        };
        assert_eq!(
            serde_json::to_string(&message).unwrap(),
            r#"{"kind":"refused","id":3,"refusal":{"code":"held","console":"a","holder":"run 7"}}"#
        );
    }
}
