//! The lab that is in force: an immutable revision (decision D10), read.

use std::sync::Arc;

use basalt_api::Diagnostic;
use basalt_lab::{Lab, LabFile};
use basalt_link::LabText;
use basalt_model::UtcMicros;
use basalt_store::LabRevision;
use basalt_yaml::Diagnostics;

use crate::planning;

/// A revision of the lab.
#[derive(Debug)]
pub struct LabInForce {
    /// Its number.
    pub revision: i64,
    /// What its files say.
    pub lab: Lab,
    /// The files.
    pub files: Vec<LabFile>,
    /// Who applied it.
    pub actor: String,
    /// When.
    pub applied: UtcMicros,
}

impl LabInForce {
    /// Reads a stored revision.
    ///
    /// # Errors
    /// This build finds mistakes in files that another one had taken.
    pub fn read(revision: LabRevision) -> Result<Arc<Self>, Vec<Diagnostic>> {
        let files = from_store(revision.files);
        let (lab, mistakes) = read(&files);
        let lab = lab.ok_or(mistakes)?;
        Ok(Arc::new(Self {
            revision: revision.id,
            lab,
            files,
            actor: revision.actor,
            applied: revision.applied,
        }))
    }

    /// The files as a dispatcher gets them.
    pub fn texts(&self) -> Vec<LabText> {
        let texts = self.files.iter().map(|file| LabText {
            path: file.path.clone(),
            text: file.text.clone(),
        });
        texts.collect()
    }
}

/// Reads a lab's files; `None` if there are errors among what is found.
pub fn read(files: &[LabFile]) -> (Option<Lab>, Vec<Diagnostic>) {
    let mut diagnostics = Diagnostics::new();
    let lab = basalt_lab::read(files, &basalt_lab::builtin::types(), &mut diagnostics);
    (lab, planning::mistakes(&diagnostics))
}

/// The files as the store keeps them, those that no lab has left out, by path.
pub fn to_store(files: &[LabFile]) -> Vec<basalt_store::LabFile> {
    let mut files: Vec<_> = files
        .iter()
        .filter(|file| basalt_lab::FileKind::of(&file.path).is_some())
        .map(|file| basalt_store::LabFile {
            path: file.path.clone(),
            text: file.text.clone(),
        })
        .collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn from_store(files: Vec<basalt_store::LabFile>) -> Vec<LabFile> {
    let files = files.into_iter().map(|file| LabFile {
        path: file.path,
        text: file.text,
    });
    files.collect()
}
