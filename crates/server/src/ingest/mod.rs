//! Takes what dispatchers send, commits it in groups, and acknowledges what is committed
//! (decision D7).
//!
//! One task owns the order. What waits while a commit goes on is the next group; only where more
//! than one thing waits does it wait a little longer for others, never longer than [`WINDOW`] after
//! the commit before. The queue is bounded: a link whose things do not fit waits, and its
//! dispatcher has only so much unacknowledged. While the store is away a group is tried again as it
//! is, so nothing is lost and nothing overtakes.
//!
//! Not done here: what a run came to ([`end`]), and telling whether a dispatcher is alive.

pub(crate) mod end;
mod group;
mod task;

use std::time::Duration;

use basalt_link::{Events, LogBatch, RefusalCode};
use basalt_model::{DispatcherName, RunId};
use basalt_store::{BoardFact, RunEnded, RunFile};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub(crate) use task::run;

/// Things that may wait for the next group.
const QUEUE: usize = 1024;
/// A group commit has at most so many bytes of streams, so that no transaction is endless.
const GROUP_BYTES: usize = 8 << 20;
/// How long a group may wait for others after the commit before it.
const WINDOW: Duration = Duration::from_millis(20);

/// Something that a dispatcher sent.
#[derive(Debug)]
pub(crate) struct Item {
    /// Who.
    pub dispatcher: DispatcherName,
    /// Ends the connection that it came over, where it makes no sense.
    pub close: CancellationToken,
    /// What.
    pub kind: Kind,
}

/// What it was.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A run is durable there.
    Accepted(RunId),
    /// A run is not taken.
    Refused {
        run: RunId,
        code: RefusalCode,
        message: String,
    },
    /// Events.
    Events(Events),
    /// Lines of a log.
    Log(LogBatch),
    /// Everything of a run has arrived, and this is what it came to.
    Ended(RunId, Box<RunEnded>),
    /// A board's state.
    Fact(BoardFact),
    /// A file's content is durable; now it is to be the run's.
    File {
        run: RunId,
        file: RunFile,
        stored: oneshot::Sender<()>,
    },
    /// Everything that was sent before is committed, or will never be.
    Barrier(oneshot::Sender<()>),
    /// The same, and nothing that waits for more is kept: what comes next is from a new connection.
    Reset(oneshot::Sender<()>),
}

impl Kind {
    fn bytes(&self) -> usize {
        match self {
            Self::Events(events) => events.lines.len(),
            Self::Log(log) => log.batch.len(),
            Self::Ended(_, ended) => ended.results.len(),
            _ => 0,
        }
    }

    /// Whether somebody waits for just this.
    fn is_urgent(&self) -> bool {
        !matches!(self, Self::Events(_) | Self::Log(_) | Self::Fact(_))
    }
}

/// Where links put what they hear; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Ingest {
    queue: mpsc::Sender<Item>,
}

/// The task's end of it.
#[derive(Debug)]
pub(crate) struct Inbox(mpsc::Receiver<Item>);

/// The task has ended: the server is stopping.
#[derive(Debug, thiserror::Error)]
#[error("the server is stopping")]
pub(crate) struct Stopping;

impl Ingest {
    pub(crate) fn new() -> (Self, Inbox) {
        let (queue, inbox) = mpsc::channel(QUEUE);
        (Self { queue }, Inbox(inbox))
    }

    /// Waits for a place in the queue.
    pub(crate) async fn place(&self) -> Result<mpsc::Permit<'_, Item>, Stopping> {
        self.queue.reserve().await.map_err(|_| Stopping)
    }

    /// Puts something into the queue.
    pub(crate) async fn put(&self, item: Item) -> Result<(), Stopping> {
        self.queue.send(item).await.map_err(|_| Stopping)
    }

    /// Waits until everything that an ended connection put into the queue is committed.
    pub(crate) async fn settled(&self, dispatcher: &DispatcherName) -> Result<(), Stopping> {
        let (sender, settled) = oneshot::channel();
        self.put(Item {
            dispatcher: dispatcher.clone(),
            close: CancellationToken::new(),
            kind: Kind::Reset(sender),
        })
        .await?;
        settled.await.map_err(|_| Stopping)
    }
}
