//! The lab that was in force last: all its texts, on disk, read with the same room as the server's.
//! A dispatcher serves the boards whose relay is its own (decision D10).

use std::path::Path;

use basalt_console::KeptConsole;
use basalt_lab::profile::BoardProfile;
use basalt_lab::{Lab, LabFile};
use basalt_link::LabText;
use basalt_model::{BoardName, DispatcherName};
use basalt_runner::directory::{DirectoryError, write_durably};
use basalt_yaml::Diagnostics;
use serde::{Deserialize, Serialize};

/// The file in the dispatcher's directory.
pub const FILE: &str = "slice.json";
const VERSION: u32 = 1;

/// `slice.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    version: u32,
    revision: i64,
    name: String,
    files: Vec<LabText>,
}

/// A revision of the lab, as one dispatcher sees it.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The revision.
    pub revision: i64,
    /// All of the lab.
    pub lab: Lab,
    dispatcher: DispatcherName,
}

impl Slice {
    /// Reads a revision.
    ///
    /// # Errors
    /// What is wrong in it, each in a sentence: a server of another release may accept more.
    pub fn read(
        revision: i64,
        files: &[LabText],
        dispatcher: &DispatcherName,
    ) -> Result<Self, Vec<String>> {
        let files: Vec<LabFile> = files
            .iter()
            .map(|file| LabFile {
                path: file.path.clone(),
                text: file.text.clone(),
            })
            .collect();
        let mut diagnostics = Diagnostics::new();
        let builtin = basalt_lab::builtin::types();
        match basalt_lab::read(&files, &builtin, &mut diagnostics) {
            Some(lab) => Ok(Self {
                revision,
                lab,
                dispatcher: dispatcher.clone(),
            }),
            None => {
                let said = diagnostics.iter().map(|one| one.message.clone()).collect();
                Err(said)
            }
        }
    }

    /// The one that was kept, if any; one that this build cannot read is as none.
    pub fn load(path: &Path, dispatcher: &DispatcherName) -> Option<Self> {
        let text = std::fs::read(path).ok()?;
        let read = serde_json::from_slice(&text)
            .map_err(|error| vec![error.to_string()])
            .and_then(|record: Record| Self::read(record.revision, &record.files, dispatcher));
        match read {
            Ok(slice) => Some(slice),
            Err(problems) => {
                let problems = problems.join("; ");
                tracing::error!(%problems, "the lab that was kept cannot be read");
                None
            }
        }
    }

    /// Keeps a revision; durable before this returns.
    pub fn keep(
        path: &Path,
        revision: i64,
        name: &str,
        files: &[LabText],
    ) -> Result<(), DirectoryError> {
        let record = Record {
            version: VERSION,
            revision,
            name: name.to_owned(),
            files: files.to_vec(),
        };
        let text = serde_json::to_vec(&record).expect("texts are plain data");
        write_durably(path, &text)
    }

    /// The boards that this dispatcher serves.
    pub fn boards(&self) -> impl Iterator<Item = &BoardProfile> {
        self.lab.boards_of(&self.dispatcher)
    }

    /// A board, if this dispatcher serves it.
    pub fn board(&self, name: &BoardName) -> Option<&BoardProfile> {
        self.boards().find(|board| board.name == *name)
    }

    /// Their consoles.
    pub fn consoles(&self) -> Vec<KeptConsole> {
        self.boards()
            .map(|board| KeptConsole {
                name: board.name.to_string(),
                source: board.console.source.clone(),
            })
            .collect()
    }

    /// Relays and consoles of the whole lab: no artifact comes from there (decision D21).
    pub fn forbidden_hosts(&self) -> Vec<String> {
        basalt_runner::forbidden_hosts(&self.lab.relays, &self.lab.boards)
    }
}
