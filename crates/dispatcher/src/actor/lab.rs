//! The lab: applied when the server sends it, in force from disk before.

use std::sync::Arc;

use basalt_lab::profile::Relay;
use basalt_link::{LabText, Up};
use basalt_model::{BoardName, PowerState};
use tokio::sync::mpsc;

use super::{Actor, Connection};
use crate::common::{Common, Notice};
use crate::news::{InForce, LinkNews};
use crate::slice::{self, Slice};

impl Actor {
    /// A revision of the lab: kept, then in force. One that cannot be read here changes nothing.
    pub(super) fn apply_lab(
        &mut self,
        revision: i64,
        name: &str,
        files: &[LabText],
        connection: &Connection,
    ) {
        let mut problems = Vec::new();
        match Slice::read(revision, files, &self.config.name) {
            Ok(slice) => {
                let path = self.place.file(slice::FILE);
                if let Err(error) = Slice::keep(&path, revision, name, files) {
                    problems.push(basalt_runner::session::chain(&error));
                }
                if slice.lab.dispatcher(&self.config.name).is_none() {
                    problems.push(format!(
                        "the lab has no dispatcher named {}",
                        self.config.name
                    ));
                }
                tracing::info!(
                    lab.revision = revision,
                    lab.name = name,
                    "the lab is in force"
                );
                self.slice = Some(slice);
                self.serve_lab();
            }
            Err(said) => problems = said,
        }
        for problem in &problems {
            tracing::error!(
                lab.revision = revision,
                problem,
                "the lab cannot be served whole"
            );
        }
        connection.tell(Up::Applied {
            revision: self.slice.as_ref().map_or(0, |slice| slice.revision),
            problems,
        });
        for fact in self.facts.all() {
            connection.tell(fact);
        }
        self.tell_lab();
    }

    /// Tells that the server has let this dispatcher in and what is in force then, or that this has
    /// changed.
    pub(super) fn tell_lab(&mut self) {
        let in_force = self.slice.as_ref().map(|slice| InForce {
            lab: slice.lab.name.clone(),
            revision: slice.revision,
            boards: slice.boards().map(|board| board.name.clone()).collect(),
        });
        let news = match (self.lab_to_come.take(), in_force) {
            (Some(_), in_force) => LinkNews::Connected(in_force),
            (None, Some(in_force)) => LinkNews::Lab(in_force),
            (None, None) => return,
        };
        self.config.listener.tell(news);
    }

    /// Puts the lab in force: consoles captured, relays read. Nothing is switched (decision D10).
    pub(super) fn serve_lab(&mut self) {
        let Some(slice) = &self.slice else {
            return;
        };
        self.common.forbid(slice.forbidden_hosts());
        self.consoles.send_replace(slice.consoles());
        let now = self.common.clock.now().utc;
        let boards = slice.boards().map(|board| board.name.clone());
        self.facts.serve(boards, now);
        for board in slice.boards() {
            tokio::spawn(read_relay(
                self.common.clone(),
                slice.lab.relay_of(board).clone(),
                board.power.outlet,
                board.name.clone(),
                self.notifier.clone(),
            ));
        }
    }
}

/// Bounded by the relay's own patience.
async fn read_relay(
    common: Arc<Common>,
    relay: Relay,
    outlet: u32,
    board: BoardName,
    notices: mpsc::Sender<Notice>,
) {
    let relay = common.shared.relay(&relay, &common.relay_locks());
    let power = match relay.read(outlet).await {
        Ok(power) => power,
        Err(error) => {
            tracing::warn!(%board, %error, "a board's relay does not say how it is");
            PowerState::Unknown
        }
    };
    // The dispatcher may have ended meanwhile.
    let _ = notices.send(Notice::Power { board, power }).await;
}
