//! What stands on disk once everything has ended: the server's store, the dispatchers' journals and
//! segments, the rack's log. Looked at as they are, past the server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use basalt_console::ChunkBody;
use basalt_console::segment::read_all;
use basalt_model::{Event, EventBody, JobId};
use basalt_store::{EventRow, Run, Store, StoreConfig};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A run as the server's store has it.
pub struct StoredRun {
    pub run: Run,
    pub events: Vec<EventRow>,
}

/// Everything that the store has of these jobs, in their order; and how many boards are not idle.
pub fn stored(database: &str, objects: &Path, jobs: &[i64]) -> (Vec<Vec<StoredRun>>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let config = StoreConfig::new(database, objects.display().to_string());
        let store = Store::open(&config).await.unwrap();
        let mut all = Vec::new();
        for job in jobs {
            let mut runs = Vec::new();
            for run in store.runs_of_job(JobId(*job)).await.unwrap() {
                let mut events = Vec::new();
                loop {
                    let next = events.len() as u64 + 1;
                    let piece = store.events(run.id, next, 500).await.unwrap();
                    if piece.is_empty() {
                        break;
                    }
                    events.extend(piece);
                }
                runs.push(StoredRun { run, events });
            }
            all.push(runs);
        }
        let open = store.open_runs().await.unwrap();
        let mut wrong: Vec<String> = open.iter().map(|run| format!("{run:?} is open")).collect();
        for board in store.boards(true).await.unwrap() {
            if board.lease.is_some() || board.run.is_some() {
                wrong.push(format!("{board:?} is held"));
            }
        }
        store.close().await;
        (all, wrong)
    })
}

/// A run as its dispatcher's journal has it.
pub struct Journal {
    pub path: PathBuf,
    /// Each event's JSON as it stands in the file.
    pub raw: Vec<Vec<u8>>,
    pub events: Vec<Event>,
}

impl Journal {
    /// The journal of a run below a dispatcher's state; none where it never took the run.
    pub fn of(state: &Path, run: &str) -> Option<Self> {
        let runs = state.join("runs");
        let path = [runs.join("done").join(run), runs.join(run)]
            .into_iter()
            .map(|directory| directory.join("journal"))
            .find(|path| path.exists())?;
        let mut reader = basalt_journal::Reader::open(&path).unwrap();
        let mut raw = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            raw.push(record.json.to_vec());
        }
        let events = raw.iter().map(|json| Event::from_json(json).unwrap());
        let events = events.collect();
        Some(Self { path, raw, events })
    }

    /// When the run began and when it ended.
    pub fn interval(&self) -> Option<(i64, i64)> {
        let first = self.events.first()?;
        let last = self.events.last()?;
        matches!(last.body, EventBody::Finished { .. })
            .then_some((first.stamp.utc.0, last.stamp.utc.0))
    }

    /// The part of the console that is the run's.
    pub fn span(&self) -> (u64, u64) {
        let mut span = (0, 0);
        for event in &self.events {
            match &event.body {
                EventBody::LeaseGranted { console_from, .. } => {
                    span = (*console_from, *console_from)
                }
                EventBody::Console { span: part } => span.1 = span.1.max(part.to),
                _ => {}
            }
        }
        span
    }
}

/// What a keeper kept of a console: pieces of bytes between recorded gaps.
pub struct Kept {
    pub bytes: Vec<u8>,
    /// Where gaps are, and when each was recorded.
    pub gaps: Vec<(usize, i64)>,
    /// When the first bytes were read.
    pub begun: Option<i64>,
}

impl Kept {
    pub fn of(state: &Path, board: &str) -> Self {
        let mut kept = Self {
            bytes: Vec::new(),
            gaps: Vec::new(),
            begun: None,
        };
        for chunk in read_all(state, board, 0, u64::MAX) {
            let chunk = chunk.unwrap();
            match chunk.body {
                ChunkBody::Data(bytes) => {
                    kept.begun.get_or_insert(chunk.stamp.utc.0);
                    kept.bytes.extend_from_slice(&bytes);
                }
                ChunkBody::Gap(_) => kept.gaps.push((kept.bytes.len(), chunk.stamp.utc.0)),
                ChunkBody::Source(_) | ChunkBody::Input(_) => {}
            }
        }
        kept
    }

    /// Finds the pieces in what the board said, where nothing may be missing but at gaps; what is
    /// wrong otherwise.
    pub fn compare(&self, said: &[u8]) -> Result<usize, String> {
        let mut cuts: Vec<usize> = self.gaps.iter().map(|(offset, _)| *offset).collect();
        cuts.push(self.bytes.len());
        let (mut start, mut at, mut missing) = (0, 0, 0);
        for (number, end) in cuts.iter().enumerate() {
            let piece = &self.bytes[start..*end];
            let found = match piece.is_empty() {
                true => Some(0),
                false => said[at..]
                    .windows(piece.len())
                    .position(|window| window == piece),
            };
            let Some(found) = found else {
                return Err(format!(
                    "{} bytes from {start} on were not said after {at}: {:?}",
                    piece.len(),
                    String::from_utf8_lossy(&piece[..piece.len().min(80)])
                ));
            };
            if number == 0 && found != 0 {
                return Err(format!("{found} bytes are missing at the beginning"));
            }
            missing += found;
            at += found + piece.len();
            start = *end;
        }
        let left = said.len() - at;
        if left > 0 && self.gaps.is_empty() {
            return Err(format!("{left} bytes are missing at the end"));
        }
        Ok(missing + left)
    }
}

/// What the rack's log says of a board.
#[derive(Default)]
pub struct Truly {
    /// Everything that the board said, heard or not.
    pub said: Vec<u8>,
    /// When it was switched on and off.
    pub power: Vec<(i64, bool)>,
    /// When something was typed at it.
    pub typed: Vec<i64>,
}

/// The rack's log by board.
pub fn rack(log: &[Value]) -> BTreeMap<String, Truly> {
    let mut boards: BTreeMap<String, Truly> = BTreeMap::new();
    for line in log {
        let Some(name) = line["board"].as_str() else {
            continue;
        };
        let board = boards.entry(name.to_owned()).or_default();
        let at = line["t_us"].as_i64().unwrap();
        let bytes = || STANDARD.decode(line["b64"].as_str().unwrap()).unwrap();
        match line["ev"].as_str().unwrap() {
            "tx" | "lost" => board.said.extend(bytes()),
            "power" => board.power.push((at, line["on"].as_bool().unwrap())),
            "rx" => board.typed.push(at),
            _ => {}
        }
    }
    boards
}

#[test]
fn bytes_of_a_console_are_missed_unless_there_is_a_gap() {
    let kept = |bytes: &str, gaps: &[usize]| Kept {
        bytes: bytes.as_bytes().to_vec(),
        gaps: gaps.iter().map(|offset| (*offset, 0)).collect(),
        begun: Some(0),
    };
    let said = b"boot loader, kernel, shell";
    assert_eq!(kept("boot loader, kernel, shell", &[]).compare(said), Ok(0));
    assert_eq!(kept("boot loader, shell", &[13]).compare(said), Ok(8));
    assert_eq!(kept("boot loader", &[11]).compare(said), Ok(15));
    for (bytes, gaps) in [
        ("boot loader, shell", &[][..]),
        ("boot loader, shell", &[4]),
        ("boot loader, kernel", &[]),
        ("loader, kernel, shell", &[8]),
        ("boot loader, kernel, kernel, shell", &[13]),
    ] {
        assert!(kept(bytes, gaps).compare(said).is_err(), "{bytes} {gaps:?}");
    }
}
