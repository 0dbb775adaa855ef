//! The rack's log: what truly went over the wires.
//!
//! One JSON object a line, appended with a single write each, so that the file is whole up to its last line even after SIGKILL.
//! Every line has `t_us` (microseconds UTC) and `ev`; lines about a board or relay have `board` or `relay`.
//!
//! | `ev` | further fields | meaning |
//! |---|---|---|
//! | `start` | `version`, `pid` | first line of a run |
//! | `tx` | `to` (`tcp`, `pty`), `conn`, `b64` | bytes that the console socket or PTY accepted, logged right after the write |
//! | `lost` | `to`, `b64`, `why` | bytes that the board said and this endpoint did not take: `nobody`, `full`, `closed` |
//! | `unread` | `to`, `b64` or `unknown` | bytes that a PTY client had accepted and never read when it closed |
//! | `rx` | `from`, `conn`, `b64`, `powered` | bytes that a client sent; without power they vanish |
//! | `rx-lost` | `n` | of those, bytes that the board did not take |
//! | `knob-dropped` | `dir` (`out`, `in`), `b64` | bytes that a knob removed |
//! | `connect`, `disconnect` | `conn`, `peer`, `why` | console clients |
//! | `switch` | `relay`, `outlet`, `board`, `asked`, `on` | a relay was asked; `on` is the board's power afterwards |
//! | `power` | `board`, `on`, `by` | power of the board changed |
//! | `stage` | `board`, `stage` | simulated boards: U-Boot, kernel, shell, … |
//! | `fired` | `board`, `knob` | a knob acted |
//! | `qemu-start`, `qemu-exit` | `board`, `pid`, `status` | the emulator |
//! | `error` | `what` | something in the rack itself failed |
//!
//! For each endpoint that exists, `tx` and `lost` together are everything that the board said, in order.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::Mutex,
    time::SystemTime,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

/// The open log file.
pub struct RackLog {
    file: Mutex<File>,
}

impl RackLog {
    /// Opens the file for appending.
    pub fn open(path: &Path) -> std::io::Result<RackLog> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(RackLog {
            file: Mutex::new(file),
        })
    }

    /// Appends one line; `fields` is a JSON object.
    pub fn event(&self, event: &str, fields: Value) {
        let mut line = Map::new();
        let mut file = self
            .file
            .lock()
            .expect("nothing panics while it writes the log");
        // The time is taken under the lock so that lines are in order of time.
        line.insert("t_us".into(), now_us().into());
        let Value::Object(fields) = fields else {
            unreachable!("log fields are an object");
        };
        for key in ["board", "relay"] {
            if let Some(value) = fields.get(key) {
                line.insert(key.into(), value.clone());
            }
        }
        line.insert("ev".into(), event.into());
        line.extend(
            fields
                .into_iter()
                .filter(|(key, _)| key != "board" && key != "relay"),
        );
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        if let Err(error) = file.write_all(text.as_bytes()) {
            tracing::error!("cannot write the rack's log: {error}");
        }
    }
}

/// Bytes as the log shows them.
pub fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Microseconds UTC since 1970.
pub fn now_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
