//! One transfer from its start to its last event.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use super::event::{TransferEventKind, TransferFailure};
use super::packet::{Direction, Request};
use super::root::OpenRoot;
use super::server::Shared;
use super::transfer::{Conversation, Tally};

/// How long a replaced upload may take to let go of its file.
const UPLOAD_TURN_LIMIT: Duration = Duration::from_secs(5);

/// One transfer's place in the registry, given back when it ends, even by a panic.
pub(crate) struct TransferTask {
    pub shared: Arc<Shared>,
    pub root: Arc<OpenRoot>,
    pub id: u64,
    pub client: SocketAddrV4,
    pub direction: Direction,
    pub file: String,
    pub reported: bool,
}

impl TransferTask {
    pub async fn run(mut self, mut conversation: Conversation, request: Request) {
        let mut tally = Tally::default();
        let root = Arc::clone(&self.root);
        let (client, direction, file) = (self.client, self.direction, self.file.clone());
        let announce = |kind| root.report(client, direction, &file, kind);
        let outcome = match (
            self.direction,
            self.root.file(&self.file),
            self.root.uploads.clone(),
        ) {
            (Direction::Download, Some(source), _) => {
                conversation
                    .serve_download(&request, source, &mut tally, announce)
                    .await
            }
            (Direction::Upload, _, Some(directory)) => {
                let turn = self.root.upload_turn(&self.file);
                match tokio::time::timeout(UPLOAD_TURN_LIMIT, turn.lock()).await {
                    Ok(_turn) => {
                        let started = tokio::time::Instant::now();
                        let target = (
                            directory.as_path(),
                            self.file.as_str(),
                            self.root.upload_limit,
                        );
                        let mut stored_tally = None;
                        let stored = |tally: Tally| {
                            announce(finished(&tally, started.elapsed()));
                            stored_tally = Some(tally);
                        };
                        let outcome = conversation
                            .serve_upload(&request, target, &mut tally, announce, stored)
                            .await;
                        self.reported = stored_tally.is_some();
                        outcome
                    }
                    Err(_) => Err(TransferFailure::Store(format!(
                        "a former upload of {} does not end",
                        self.file.escape_debug()
                    ))),
                }
            }
            // Requests are only admitted with a file or a place for uploads.
            (Direction::Download, None, _) | (Direction::Upload, _, None) => {
                Err(TransferFailure::Bug)
            }
        };
        if let Err(failure) = &outcome {
            conversation.say_failure(failure).await;
        }
        if !self.reported {
            self.reported = true;
            announce(match outcome {
                Ok(()) => finished(&tally, conversation.elapsed()),
                Err(reason) => TransferEventKind::Failed {
                    bytes: tally.bytes,
                    duration: conversation.elapsed(),
                    retransmits: tally.retransmits,
                    reason,
                },
            });
        }
    }
}

fn finished(tally: &Tally, duration: Duration) -> TransferEventKind {
    TransferEventKind::Finished {
        bytes: tally.bytes,
        duration,
        retransmits: tally.retransmits,
    }
}

impl Drop for TransferTask {
    fn drop(&mut self) {
        if !self.reported {
            let (bytes, duration, retransmits) = (0, Duration::ZERO, 0);
            let kind = TransferEventKind::Failed {
                bytes,
                duration,
                retransmits,
                reason: TransferFailure::Bug,
            };
            self.root
                .report(self.client, self.direction, &self.file, kind);
        }
        self.shared.remove_transfer(self.client, self.id);
        self.root.running.send_modify(|count| *count -= 1);
    }
}
