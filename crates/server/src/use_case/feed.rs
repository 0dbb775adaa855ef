//! The feed: what changed, in the order of commits (decision D15).

use std::collections::HashMap;

use basalt_api::{BoardChange, DispatcherChange, FeedEvent, FeedKind, JobChange, LabApplication};
use basalt_model::{BoardName, JobId};
use basalt_store::{FeedEntry, FeedId};
use tokio::sync::watch;

use crate::actor::Actor;
use crate::app::App;
use crate::authorize::{Action, authorize};
use crate::error::UseCaseError;

/// At most so many entries at once.
const MOST: u32 = 1000;

/// What was looked up for one piece of the feed.
#[derive(Default)]
struct Looked {
    jobs: HashMap<JobId, Option<JobChange>>,
    boards: HashMap<BoardName, Option<BoardChange>>,
}

impl App {
    /// What changed after the entry `after`, at most `most`: each thing as it is now.
    ///
    /// # Errors
    /// He may not.
    pub async fn feed(
        &self,
        actor: &Actor,
        after: i64,
        most: u32,
    ) -> Result<Vec<FeedEvent>, UseCaseError> {
        authorize(actor, Action::See)?;
        let entries = self.store.feed(FeedId(after), most.clamp(1, MOST)).await?;
        let mut looked = Looked::default();
        let mut events = Vec::with_capacity(entries.len());
        for entry in entries {
            events.push(self.feed_event(entry, &mut looked).await?);
        }
        Ok(events)
    }

    /// The newest entry; 0 before the first.
    ///
    /// # Errors
    /// He may not.
    pub async fn feed_last(&self, actor: &Actor) -> Result<i64, UseCaseError> {
        authorize(actor, Action::See)?;
        Ok(self.store.feed_head().await?.0)
    }

    /// Wakes when the feed goes on; what there is then is read with [`App::feed`].
    ///
    /// # Errors
    /// He may not.
    pub fn follow_feed(&self, actor: &Actor) -> Result<watch::Receiver<i64>, UseCaseError> {
        authorize(actor, Action::See)?;
        Ok(self.hub.follow_feed())
    }

    async fn feed_event(
        &self,
        entry: FeedEntry,
        looked: &mut Looked,
    ) -> Result<FeedEvent, UseCaseError> {
        let mut event = FeedEvent {
            id: entry.id.0,
            utc_us: entry.at,
            kind: FeedKind::Lab,
            job: None,
            board: None,
            dispatcher: None,
            lab: None,
        };
        match entry.kind {
            basalt_store::FeedKind::Job => {
                event.kind = FeedKind::Job;
                if let Some(job) = entry.job {
                    event.job = self.job_change(job, looked).await?;
                }
            }
            basalt_store::FeedKind::Board => {
                event.kind = FeedKind::Board;
                if let Some(board) = entry.board {
                    event.board = self.board_change(board, looked).await?;
                }
            }
            basalt_store::FeedKind::Dispatcher => {
                event.kind = FeedKind::Dispatcher;
                if let Some(name) = entry.dispatcher {
                    let all = self.store.dispatchers().await?;
                    let (state, mode) = self.state_of(&name, &all);
                    event.dispatcher = Some(DispatcherChange { name, state, mode });
                }
            }
            basalt_store::FeedKind::Lab => {
                let lab = self.lab();
                event.lab = Some(LabApplication {
                    revision: lab.revision,
                    by: lab.actor.clone(),
                });
            }
        }
        Ok(event)
    }

    async fn job_change(
        &self,
        id: JobId,
        looked: &mut Looked,
    ) -> Result<Option<JobChange>, UseCaseError> {
        if let Some(known) = looked.jobs.get(&id) {
            return Ok(known.clone());
        }
        let change = self.store.job(id).await?.map(|job| JobChange {
            id,
            name: job.name,
            submitter: job.submitter,
            state: job.state,
            health: job.health,
            outcome: job.outcome,
            run: job.run,
            board: job.board,
        });
        looked.jobs.insert(id, change.clone());
        Ok(change)
    }

    async fn board_change(
        &self,
        name: BoardName,
        looked: &mut Looked,
    ) -> Result<Option<BoardChange>, UseCaseError> {
        if let Some(known) = looked.boards.get(&name) {
            return Ok(known.clone());
        }
        let change = self.store.board(&name).await?.map(|board| BoardChange {
            name: board.name,
            state: board.state,
            health: board.health,
            power: board.power,
            job: board.job,
        });
        looked.boards.insert(name, change.clone());
        Ok(change)
    }
}
