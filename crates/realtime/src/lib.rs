//! Latency measurements: what the measurement programs write, what the numbers mean, and what may
//! be concluded from them.
//!
//! Bytes and facts in, values out: [`cyclictest`] reads files into a [`Measurement`], [`verdict`]
//! judges it (decision D18), [`LatencyRecord`] is what is kept of both, with the [`Environment`]
//! they hold for (decision D17). Nothing here opens a file, talks to a board or draws; comparing
//! runs with each other is not done here either.

pub mod cyclictest;
pub mod environment;
pub mod measurement;
pub mod percentile;
pub mod record;
pub mod verdict;

pub use cyclictest::ParseError;
pub use environment::{Environment, RtEvidence, RtSource, same_kernel};
pub use measurement::{Measurement, Thread};
pub use percentile::{Percentile, Percentiles};
pub use record::{LatencyRecord, PhaseIdentity, RawFile, ThreadRecord, Totals};
pub use verdict::{Judgement, LoadReport, PhaseFacts, verdict};
