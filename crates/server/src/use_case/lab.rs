//! The lab's files: what is in force, what others would change, and putting them into force
//! (decision D10).

use std::collections::BTreeSet;
use std::sync::Arc;

use basalt_api::{ApplyLab, Lab, LabApplied, LabChange, LabDiff, LabFile, LabSubject, LabVerb};
use basalt_lab::diff::{self, Change, Subject};
use basalt_model::BoardHealth;
use basalt_store::{Applied, BoardEntry, NewRevision};

use super::patiently;
use crate::actor::Actor;
use crate::app::App;
use crate::authorize::{Action, authorize};
use crate::error::UseCaseError;
use crate::lab_in_force::{self, LabInForce};
use crate::planning::is_error;
use crate::scheduling::Message;

impl App {
    /// The lab that is in force; with its files for those who may see them.
    ///
    /// # Errors
    /// He may not.
    pub async fn lab_revision(&self, actor: &Actor) -> Result<Lab, UseCaseError> {
        authorize(actor, Action::See)?;
        let lab = self.lab();
        let files = authorize(actor, Action::SeeLabFiles).is_ok().then(|| {
            let files = lab.files.iter().map(|file| LabFile {
                path: file.path.clone(),
                text: file.text.clone(),
            });
            files.collect()
        });
        Ok(Lab {
            name: lab.lab.name.clone(),
            revision: lab.revision,
            applied_utc_us: lab.applied,
            applied_by: lab.actor.clone(),
            dispatchers: lab
                .lab
                .dispatchers
                .iter()
                .map(|one| one.name.clone())
                .collect(),
            boards: u32::try_from(lab.lab.boards.len()).unwrap_or(u32::MAX),
            files,
        })
    }

    /// What files would change.
    ///
    /// # Errors
    /// He may not.
    pub async fn diff_lab(
        &self,
        actor: &Actor,
        files: &[LabFile],
    ) -> Result<LabDiff, UseCaseError> {
        authorize(actor, Action::SeeLabFiles)?;
        let in_force = self.lab();
        let (lab, diagnostics) = lab_in_force::read(&plain(files));
        Ok(LabDiff {
            revision: Some(in_force.revision),
            valid: lab.is_some(),
            diagnostics,
            changes: lab.map_or_else(Vec::new, |lab| changes(&in_force.lab, &lab)),
        })
    }

    /// Puts files into force: dispatchers hear of it, and the queue is looked at anew.
    ///
    /// # Errors
    /// [`UseCaseError::Invalid`] with every mistake; [`UseCaseError::Conflict`] if another revision
    /// is in force than was expected, or a run holds a board that would go.
    pub async fn apply_lab(
        &self,
        actor: &Actor,
        apply: &ApplyLab,
    ) -> Result<LabApplied, UseCaseError> {
        authorize(actor, Action::ApplyLab)?;
        let _alone = self.applying.lock().await;
        let before = self.lab();
        if let Some(expected) = apply.expected_revision
            && expected != before.revision
        {
            return Err(UseCaseError::Conflict {
                message: format!(
                    "revision {} of the lab is in force, not {expected}",
                    before.revision
                ),
                hint: Some("compare with what is in force now, and apply again".into()),
            });
        }
        let files = plain(&apply.files);
        let (lab, diagnostics) = lab_in_force::read(&files);
        let Some(lab) = lab else {
            let errors = diagnostics.iter().filter(|one| is_error(one)).count();
            return Err(UseCaseError::Invalid {
                message: format!("the lab's files have {errors} mistakes"),
                diagnostics,
            });
        };
        let changes = changes(&before.lab, &lab);
        let new = revision_of(&lab, &files, &actor.label(), false);
        let now = self.now();
        let applied = patiently!(self.store.apply_revision(&new, now))?;
        let revision = match applied {
            Applied::Unchanged { revision } => revision,
            Applied::BoardHeld { board } => {
                return Err(UseCaseError::Conflict {
                    message: format!("a run holds the board {board}, which would go"),
                    hint: Some("wait for its end, or cancel its job".into()),
                });
            }
            Applied::New { revision, feed } => {
                let in_force = LabInForce {
                    revision,
                    lab,
                    files,
                    actor: actor.label(),
                    applied: now,
                };
                self.lab.send_replace(Arc::new(in_force));
                self.tell_feed(&feed);
                self.tell_dispatchers();
                self.scheduling.tell(Message::Reload).await;
                tracing::info!(
                    lab.revision = revision,
                    user.name = actor.label(),
                    "a lab was applied"
                );
                revision
            }
        };
        Ok(LabApplied {
            revision,
            diagnostics,
            changes,
        })
    }

    /// Sends the lab in force to every dispatcher; those that it has no more lose their links.
    fn tell_dispatchers(&self) {
        let lab = self.lab();
        for name in self.registry.connected() {
            if lab.lab.dispatcher(&name).is_some() {
                self.send_lab(&name);
            } else if let Some(link) = self.registry.link(&name) {
                link.close.cancel();
            }
        }
    }
}

/// A lab as the store takes it. The boards of a lab's first revision may be used at once; those
/// that come later wait in maintenance until a person says so.
pub(crate) fn revision_of(
    lab: &basalt_lab::Lab,
    files: &[basalt_lab::LabFile],
    actor: &str,
    first: bool,
) -> NewRevision {
    let types: BTreeSet<&str> = lab
        .boards
        .iter()
        .map(|board| board.device_type.as_str())
        .collect();
    NewRevision {
        name: lab.name.clone(),
        files: lab_in_force::to_store(files),
        actor: actor.to_owned(),
        boards: lab
            .boards
            .iter()
            .map(|board| BoardEntry {
                name: board.name.clone(),
                was: None,
                device_type: board.device_type.clone(),
                dispatcher: lab.dispatcher_of(board).name.clone(),
                tags: board.tags.clone(),
                initial_health: match first {
                    true => BoardHealth::Unknown,
                    false => BoardHealth::Maintenance,
                },
            })
            .collect(),
        dispatchers: lab
            .dispatchers
            .iter()
            .map(|one| (one.name.clone(), None))
            .collect(),
        device_types: types
            .into_iter()
            .map(|name| (name.to_owned(), None))
            .collect(),
    }
}

fn plain(files: &[LabFile]) -> Vec<basalt_lab::LabFile> {
    let files = files.iter().map(|file| basalt_lab::LabFile {
        path: file.path.clone(),
        text: file.text.clone(),
    });
    files.collect()
}

fn changes(old: &basalt_lab::Lab, new: &basalt_lab::Lab) -> Vec<LabChange> {
    basalt_lab::diff(old, new).into_iter().map(change).collect()
}

fn change(change: Change) -> LabChange {
    LabChange {
        subject: match change.subject {
            Subject::Lab => LabSubject::Lab,
            Subject::Dispatcher => LabSubject::Dispatcher,
            Subject::Relay => LabSubject::Relay,
            Subject::DeviceType => LabSubject::DeviceType,
            Subject::Board => LabSubject::Board,
        },
        name: change.name,
        verb: match change.action {
            diff::Action::Added => LabVerb::Added,
            diff::Action::Removed => LabVerb::Removed,
            diff::Action::Changed => LabVerb::Changed,
        },
        details: change.words,
    }
}
