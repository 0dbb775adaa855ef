//! Which queued job gets which board.
//!
//! [`Scheduler`] is told what changes ([`Scheduler::apply`]) and asked what to do
//! ([`Scheduler::tick`]): each [`Decision`] is a job and the board that it should get. Why a job
//! waits, [`Scheduler::explain`] says.
//!
//! Jobs are served in the order of [`QueuedJob`]: the higher priority first, then the older. A job
//! whose boards are all taken holds up nobody who wants others. Of several free boards a job gets
//! the one with the fewest tags, so that those with many stay free for jobs that ask for them; then
//! the one that has been idle longest.
//!
//! All is kept by *class*: jobs that want the same boards. A class knows which of its boards are
//! free, so that a change costs what it touches, and a tick over a long queue that can give nothing
//! looks at nothing.
//!
//! Not done here: making decisions true (a guarded transaction does, and may refuse), planning jobs
//! against boards, reading a clock.

mod change;
mod class;
mod explain;
mod explanation;
mod scheduler;

pub use change::{
    BoardFacts, Change, Closed, Decision, DispatcherFacts, Holder, Occupancy, QueuedJob, Wants,
};
pub use explanation::{Candidate, Explanation, Place, Reason};
pub use scheduler::Scheduler;
