//! Files of cyclictest (rt-tests 2.4; the format is unchanged in 2.8).
//!
//! Sources of the facts: recordings of rt-tests 2.4 under `tests/data`, one for each trap.
//! - The keys `cmdline:` and `rt_test_version:` hold a colon.
//! - The command line is written without escapes, so a quote in a path breaks the JSON.
//! - A thread without cycles has `"avg": -nan` (not JSON), `"min": 1000000` and `"max": 0`.
//! - The histogram lacks what is at or above its size: overflow is cycles less the sum of the bins.
//! - `resolution_in_ns` is 0 for microseconds and 1 for nanoseconds (`-N`), bins included.
//! - A signal or a break (`-b`) ends with exit 0, return code 0 and a complete file; an unknown
//!   option with exit 0 and no file.

mod command;
mod json;
mod text;

pub use command::{Options, options};
pub use json::parse_json;
pub use text::parse_text;

/// Larger than any real count or latency (three days of nanoseconds, nine years of microseconds), small enough to add up.
const LARGEST: u64 = 1 << 48;

/// The file is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// The program left no file: it was killed, or did not understand its arguments.
    #[error("the measurement file is missing")]
    Missing,
    /// The file has no bytes.
    #[error("the measurement file is empty")]
    Empty,
    /// The file ends in the middle.
    #[error("the measurement file is truncated in line {line}")]
    Truncated {
        /// Its last line, from 1.
        line: usize,
    },
    /// The file is something else.
    #[error("the file is not a cyclictest result: {what}")]
    NotCyclictest {
        /// What was found or missed.
        what: String,
    },
    /// A newer format.
    #[error("cyclictest file version {0}; this build reads version 1")]
    Version(u64),
    /// The file announces other threads than it holds.
    #[error("the file announces {announced} threads and holds {found}")]
    Threads {
        /// `num_threads`.
        announced: u64,
        /// Entries below `thread`.
        found: u64,
    },
    /// The numbers contradict each other.
    #[error("thread {thread} contradicts itself: {what}")]
    Inconsistent {
        /// The thread.
        thread: u32,
        /// How.
        what: String,
    },
}
