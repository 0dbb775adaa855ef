//! What happens in a run, as it stands in its journal (decisions D3, D5, D8).
//!
//! An event is an envelope and a body. On disk and on the wire it is one JSON object,
//! `{"v":1,"run":…,"seq":…,"utc_us":…,"boot_ns":…,"boot_id":…,"kind":…, the body's fields}`.
//! Kinds that this build does not know are kept as they are ([`EventBody::Unknown`]); fields are
//! only ever added, and added fields are optional.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::failure::{Failure, KernelReport};
use crate::id::{BoardName, Epoch, RunId, Sha256};
use crate::outcome::{Outcome, PowerState, Verdict};
use crate::result::CaseResult;
use crate::time::{BootId, BootNanos, Stamp, UtcMicros};

/// The version of the envelope.
pub const VERSION: u32 = 1;

/// One event of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The run it belongs to.
    pub run: RunId,
    /// Its place in the run, from 1, without holes.
    pub seq: u64,
    /// When it was written.
    pub stamp: Stamp,
    /// The boot of the host that `stamp.boot` belongs to.
    pub boot_id: BootId,
    /// What happened.
    pub body: EventBody,
}

/// The severity of a line of Basalt's own log; LAVA's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For whoever debugs the lab.
    Debug,
    /// What is being done.
    Info,
    /// Odd, but the run goes on.
    Warning,
    /// Why the run does not go on.
    Error,
}

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionEnd {
    /// It did what it was for.
    Done,
    /// It failed; the failure stands beside this.
    Failed,
}

/// What was asked of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerRequest {
    /// Switch on.
    On,
    /// Switch off.
    Off,
    /// Off, wait, on; unbroken.
    Cycle,
}

/// A part of a console's bytes: `from` (inclusive) to `to` (exclusive), counted since the console
/// was first captured (decision D6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleSpan {
    /// First byte.
    pub from: u64,
    /// One past the last byte.
    pub to: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventBody {
    /// The run exists. Durable before anything is touched.
    Accepted {
        /// The job's name.
        job_name: String,
        /// The board.
        board: BoardName,
        /// The board's type.
        device_type: String,
        /// SHA-256 of the job's text.
        job_sha256: Sha256,
        /// SHA-256 of the plan's JSON; a resumed run refuses another plan.
        plan_sha256: Sha256,
        /// What the board's clock is worth, where its file says so (decision D12).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timebase: Option<String>,
    },
    /// The board was given to this run.
    LeaseGranted {
        /// The lease's epoch.
        epoch: Epoch,
        /// Where the board's console stood: the run's first byte.
        console_from: u64,
    },
    /// The runner was started again over this journal.
    Resumed {
        /// How long nobody ran it, where the host did not reboot meanwhile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        downtime_ms: Option<u64>,
        /// What it did about the action that was interrupted: `skip`, `redo`, `reattach`.
        decision: String,
    },
    /// A block or action begins.
    ActionStarted {
        /// Its place in the tree: `2.1`.
        level: String,
        /// Its name, LAVA's where LAVA has one.
        name: String,
        /// Which attempt of its block, from 1.
        attempt: u32,
        /// When it must have ended.
        deadline: BootNanos,
    },
    /// A block or action ended.
    ActionFinished {
        /// Its place in the tree.
        level: String,
        /// Its name.
        name: String,
        /// Which attempt of its block, from 1.
        attempt: u32,
        /// How it ended.
        end: ActionEnd,
        /// How long it took.
        duration_ms: u64,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Box<Failure>>,
    },
    /// A line of Basalt's own log.
    Log {
        /// Severity.
        level: Level,
        /// One line, for a person.
        message: String,
    },
    /// A file was fetched and checked.
    ArtifactReady {
        /// What the job calls it: `kernel`, `ramdisk`, `dtb`, `nfsrootfs`.
        label: String,
        /// Where it came from, without credentials.
        url: String,
        /// SHA-256 of what is served to the board (after decompression).
        sha256: Sha256,
        /// Size of the same, bytes.
        bytes: u64,
        /// `Linux version …` as embedded in the image, for kernels.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        linux_version: Option<String>,
    },
    /// A boot server finished sending a file to the board.
    Served {
        /// The protocol: `tftp`, `nfs`.
        protocol: String,
        /// Which file.
        name: String,
        /// How many bytes the board acknowledged.
        bytes: u64,
        /// How long it took.
        duration_ms: u64,
        /// Blocks that were sent more than once.
        retransmits: u64,
    },
    /// A relay is about to be switched. Durable before the relay is asked.
    PowerIntent {
        /// What will be asked.
        request: PowerRequest,
        /// Under which lease.
        epoch: Epoch,
    },
    /// The relay was switched, or refused.
    PowerOutcome {
        /// What was asked.
        request: PowerRequest,
        /// What the relay said when it was read back.
        state: PowerState,
        /// Why it did not do as asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Characters were typed at the console.
    Input {
        /// What was typed, as text.
        text: String,
    },
    /// The line in which the boot loader names itself.
    LoaderBanner {
        /// The line: `U-Boot 2023.01 …`.
        line: String,
    },
    /// The line in which the booted kernel names itself.
    KernelBanner {
        /// The line, from `Linux version` on.
        line: String,
    },
    /// The kernel said something about itself.
    Kernel {
        /// What it said.
        report: KernelReport,
        /// The block in which it was said.
        level: String,
    },
    /// Bytes of the console were lost, and why.
    ConsoleGap {
        /// Where.
        offset: u64,
        /// Why.
        reason: String,
    },
    /// A board-side helper sent a signal, or the spool gave it back later.
    Signal {
        /// The helper's sequence number in its stage, from 1; 0 for a string that a test printed
        /// itself.
        number: u64,
        /// The signal: its name, a blank, its text.
        text: String,
        /// Where on the console it ended.
        offset: u64,
        /// The block or phase in which it was sent.
        level: String,
        /// Which attempt of its block, from 1.
        attempt: u32,
        /// True if it was read from the spool because the console had not shown it.
        from_spool: bool,
    },
    /// One result.
    Result {
        /// The result.
        result: CaseResult,
    },
    /// A payload that runs detached on the board was started: a stage of tests or a phase.
    PayloadStarted {
        /// The block.
        level: String,
        /// The test definition or phase.
        name: String,
        /// Which attempt of the block.
        attempt: u32,
    },
    /// A raw file arrived from the board.
    RawFile {
        /// Its path in the results directory.
        path: String,
        /// SHA-256 of what arrived.
        sha256: Sha256,
        /// Size, bytes.
        bytes: u64,
        /// SHA-256 that the board computed before sending.
        board_sha256: Sha256,
        /// The way it came: `tftp`, `console`.
        via: String,
    },
    /// A measurement phase is complete. Never written twice for one phase of one run.
    PhaseFinished {
        /// The block.
        level: String,
        /// The phase's name.
        phase: String,
        /// Its place in the block, from 0.
        index: usize,
        /// The verdict.
        verdict: Verdict,
        /// Why.
        reason: String,
        /// The latency record (`realtime::LatencyRecord`) as JSON.
        record: Value,
    },
    /// The part of the console's bytes that this run owns, so far.
    Console {
        /// The part.
        span: ConsoleSpan,
    },
    /// The end. Nothing follows.
    Finished {
        /// What it came to.
        outcome: Outcome,
        /// Why it is incomplete.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Box<Failure>>,
        /// What the relay says about the board at the end.
        power: PowerState,
    },
    /// A kind that this build does not know; kept as it is.
    #[serde(skip)]
    Unknown {
        /// The kind's word.
        kind: String,
        /// Its fields.
        fields: Map<String, Value>,
    },
}

/// The JSON is not an event.
#[derive(Debug, thiserror::Error)]
pub enum ParseEventError {
    /// Not a JSON object.
    #[error("an event is a JSON object")]
    NotAnObject(#[source] serde_json::Error),
    /// The version of the envelope is newer than this build.
    #[error("event of envelope version {0}; this build reads up to {VERSION}")]
    Version(u64),
    /// A field is missing or of the wrong type.
    #[error("field {field:?} of an event is missing or wrong")]
    Field {
        /// Which.
        field: &'static str,
        /// Why, where the field is there.
        #[source]
        source: Option<serde_json::Error>,
    },
}

impl Event {
    /// The event as one JSON object.
    pub fn to_json(&self) -> String {
        let mut object = Map::new();
        object.insert("v".into(), VERSION.into());
        object.insert("run".into(), self.run.to_string().into());
        object.insert("seq".into(), self.seq.into());
        object.insert("utc_us".into(), self.stamp.utc.0.into());
        object.insert("boot_ns".into(), self.stamp.boot.0.into());
        object.insert("boot_id".into(), self.boot_id.0.clone().into());
        match &self.body {
            EventBody::Unknown { kind, fields } => {
                object.insert("kind".into(), kind.clone().into());
                object.extend(fields.clone());
            }
            known => match serde_json::to_value(known) {
                Ok(Value::Object(fields)) => object.extend(fields),
                // Every body is a struct variant of plain data with string keys.
                Ok(_) | Err(_) => unreachable!("an event body is a JSON object"),
            },
        }
        Value::Object(object).to_string()
    }

    /// Reads what [`Event::to_json`] wrote, in this or any other release.
    pub fn from_json(json: &[u8]) -> Result<Self, ParseEventError> {
        let mut object: Map<String, Value> =
            serde_json::from_slice(json).map_err(ParseEventError::NotAnObject)?;
        let version: u64 = take(&mut object, "v")?;
        if version > u64::from(VERSION) {
            return Err(ParseEventError::Version(version));
        }
        let run: RunId = take(&mut object, "run")?;
        let seq = take(&mut object, "seq")?;
        let stamp = Stamp {
            utc: UtcMicros(take(&mut object, "utc_us")?),
            boot: BootNanos(take(&mut object, "boot_ns")?),
        };
        let boot_id = BootId(take(&mut object, "boot_id")?);
        let kind = object
            .get("kind")
            .and_then(Value::as_str)
            .ok_or(ParseEventError::Field {
                field: "kind",
                source: None,
            })?
            .to_owned();
        let body = match serde_json::from_value(Value::Object(object.clone())) {
            Ok(body) => body,
            // A known kind whose fields do not fit was written by a release that broke the rule
            // of D5; keeping it as it is loses nothing.
            Err(_) => {
                object.remove("kind");
                EventBody::Unknown {
                    kind,
                    fields: object,
                }
            }
        };
        Ok(Self {
            run,
            seq,
            stamp,
            boot_id,
            body,
        })
    }
}

fn take<T: serde::de::DeserializeOwned>(
    object: &mut Map<String, Value>,
    field: &'static str,
) -> Result<T, ParseEventError> {
    let value = object.remove(field).ok_or(ParseEventError::Field {
        field,
        source: None,
    })?;
    serde_json::from_value(value).map_err(|source| ParseEventError::Field {
        field,
        source: Some(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(body: EventBody) -> Event {
        Event {
            run: "0193a1b2-7c00-7000-8000-000000000001".parse().unwrap(),
            seq: 7,
            stamp: Stamp {
                utc: UtcMicros(1_763_900_000_000_000),
                boot: BootNanos(u64::MAX),
            },
            boot_id: BootId("b".into()),
            body,
        }
    }

    #[test]
    fn an_event_survives_its_json() {
        let event = event(EventBody::PowerOutcome {
            request: PowerRequest::Off,
            state: PowerState::Unknown,
            error: Some("relay answered 500".into()),
        });
        assert_eq!(Event::from_json(event.to_json().as_bytes()).unwrap(), event);
    }

    #[test]
    fn a_kind_from_a_later_release_is_kept_as_it_is() {
        let json = r#"{"v":1,"run":"0193a1b2-7c00-7000-8000-000000000001","seq":1,"utc_us":1,"boot_ns":2,"boot_id":"b","kind":"levitated","height_mm":3}"#;
        let event = Event::from_json(json.as_bytes()).unwrap();
        assert!(matches!(&event.body, EventBody::Unknown { kind, .. } if kind == "levitated"));
        assert_eq!(event.to_json(), json);
    }

    #[test]
    fn a_later_envelope_is_refused_by_its_number() {
        let error = Event::from_json(br#"{"v":2}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "event of envelope version 2; this build reads up to 1"
        );
    }
}
