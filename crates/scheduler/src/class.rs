//! Jobs that can use the same boards.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use basalt_model::{BoardName, JobId, UtcMicros};

use crate::change::{BoardFacts, QueuedJob};

/// Where a job stands in the queue: the least is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Order {
    priority: Reverse<u8>,
    submitted: UtcMicros,
    pub id: JobId,
}

impl Order {
    pub fn of(job: &QueuedJob) -> Self {
        Self {
            priority: Reverse(job.priority),
            submitted: job.submitted,
            id: job.id,
        }
    }
}

/// How gladly a free board is given away: the least first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rank {
    tags: usize,
    idle_since: UtcMicros,
    pub board: BoardName,
}

impl Rank {
    pub fn of(board: &BoardFacts) -> Self {
        Self {
            tags: board.tags.len(),
            idle_since: board.occupancy_since,
            board: board.name.clone(),
        }
    }
}

/// What makes jobs equal for the scheduler, but for their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClassKey {
    pub device_type: Option<String>,
    pub board: Option<BoardName>,
    pub tags: BTreeSet<String>,
    pub unsuitable: BTreeSet<BoardName>,
}

impl ClassKey {
    pub fn of(job: &QueuedJob) -> Self {
        Self {
            device_type: job.wants.device_type.clone(),
            board: job.wants.board.clone(),
            tags: job.wants.tags.iter().cloned().collect(),
            unsuitable: job.unsuitable.keys().cloned().collect(),
        }
    }

    /// Whether a job of this class can run on a board.
    pub fn takes(&self, board: &BoardFacts) -> bool {
        self.device_type
            .as_ref()
            .is_none_or(|wanted| *wanted == board.device_type)
            && self
                .board
                .as_ref()
                .is_none_or(|wanted| *wanted == board.name)
            && self.tags.iter().all(|tag| board.tags.contains(tag))
            && !self.unsuitable.contains(&board.name)
    }
}

/// The number of a class; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClassId(pub u64);

/// Jobs that can use the same boards. It lives as long as it has jobs.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    pub key: ClassKey,
    /// Its jobs, the next first. Never empty between two calls.
    pub queue: BTreeSet<Order>,
    /// The boards that can run its jobs.
    pub boards: BTreeSet<BoardName>,
    /// Those of them that are free now.
    pub free: BTreeSet<Rank>,
}
