//! The words that every room shares: ids, times, verdicts, failures, events.
//!
//! Small and stable. Nothing here reads a clock, opens a file or decides anything; it only gives
//! names and shapes to what the others say to each other, on disk and on the wire.

pub mod event;
pub mod failure;
pub mod id;
pub mod outcome;
pub mod result;
pub mod state;
pub mod time;

pub use event::{Event, EventBody, ParseEventError};
pub use failure::{Culprit, Failure, KernelReport, Part};
pub use id::{
    BoardName, DispatcherName, Epoch, JobId, LeaseId, RelayName, RunId, Sha256, UserName,
};
pub use outcome::{CaseOutcome, Health, Outcome, PowerState, Verdict};
pub use result::CaseResult;
pub use state::{
    BoardHealth, BoardState, DispatcherMode, DispatcherState, JobState, LeaseState, Role,
};
pub use time::{BootId, BootNanos, Stamp, UtcMicros};
