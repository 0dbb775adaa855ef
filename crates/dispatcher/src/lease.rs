//! Runs on disk: `STATE/runs/RUN/`, each a run directory with the lease that it was given under.
//!
//! ```text
//! RUN/lease.json   under which lease, for which job
//! done/RUN         the server needs nothing of it any more; kept for a while
//! broken/RUN       nothing can be made of it; kept for people, for as long
//! ```

use std::path::{Path, PathBuf};

use basalt_journal::JournalError;
use basalt_link::{Assignment, Standing};
use basalt_model::{BoardName, Epoch, Event, EventBody, JobId, LeaseId, RunId, UserName};
use basalt_runner::Grown;
use serde::{Deserialize, Serialize};

/// The file with the lease.
pub const LEASE_FILE: &str = "lease.json";
const VERSION: u32 = 1;

/// `lease.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// 1.
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// The lease.
    pub lease: LeaseId,
    /// The job.
    pub job: JobId,
    /// Which run of its job this is.
    pub attempt: u32,
    /// The board.
    pub board: BoardName,
    /// The lease's epoch.
    pub epoch: Epoch,
    /// The revision of the lab that it was planned with.
    pub revision: i64,
    /// Whose job it is.
    pub submitter: UserName,
}

impl LeaseRecord {
    /// The lease of an assignment.
    pub fn of(assignment: &Assignment) -> Self {
        Self {
            version: VERSION,
            run: assignment.run,
            lease: assignment.lease,
            job: assignment.job,
            attempt: assignment.attempt,
            board: assignment.board.clone(),
            epoch: assignment.epoch,
            revision: assignment.revision,
            submitter: assignment.submitter.clone(),
        }
    }

    /// How the run stands, for the server.
    pub fn standing(&self, grown: Grown) -> Standing {
        Standing {
            run: self.run,
            lease: self.lease,
            job: self.job,
            board: self.board.clone(),
            epoch: self.epoch,
            last_seq: grown.seq,
            finished: grown.finished,
        }
    }
}

/// A run that was found at the start.
#[derive(Debug)]
pub struct Found {
    /// Its directory.
    pub path: PathBuf,
    /// Its lease.
    pub lease: LeaseRecord,
    /// How far it got.
    pub grown: Grown,
    /// Nothing is left to do but to tell the server.
    pub ended: bool,
}

/// All runs below `runs` that the server has not said to forget. What cannot be read is left where
/// it is, and said.
pub fn find(runs: &Path) -> std::io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(runs)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            // A kill left it before it had its name: nobody was told of it.
            if name.ends_with(".new") {
                std::fs::remove_dir_all(&path)?;
            }
            continue;
        }
        if name.parse::<RunId>().is_err() {
            continue;
        }
        match look(&path) {
            Ok(run) => found.push(run),
            Err(error) => {
                tracing::error!(run.path = %path.display(), %error, "a run cannot be read");
            }
        }
    }
    // Older runs first: their ids sort by their time.
    found.sort_by_key(|found| found.lease.run);
    Ok(found)
}

fn look(path: &Path) -> Result<Found, String> {
    let text = std::fs::read(path.join(LEASE_FILE)).map_err(|error| error.to_string())?;
    let lease: LeaseRecord = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let grown = match basalt_journal::read(&path.join("journal")) {
        Ok(events) => grown(&events),
        Err(JournalError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Grown::default()
        }
        // Whoever goes on with it finds out the same, and knows what to do.
        Err(error) => {
            tracing::error!(run.id = %lease.run, %error, "a run's journal cannot be read");
            Grown::default()
        }
    };
    Ok(Found {
        ended: grown.finished && path.join("results.json").exists(),
        path: path.to_owned(),
        lease,
        grown,
    })
}

fn grown(events: &[Event]) -> Grown {
    let mut grown = Grown::default();
    for event in events {
        grown.seq = event.seq;
        match &event.body {
            EventBody::LeaseGranted { console_from, .. } => grown.console = *console_from,
            EventBody::Console { span } => grown.console = grown.console.max(span.to),
            EventBody::PowerOutcome { state, .. } => grown.power = Some(*state),
            EventBody::Finished { .. } => grown.finished = true,
            _ => {}
        }
    }
    grown
}
