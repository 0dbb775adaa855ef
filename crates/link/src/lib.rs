//! The link between a dispatcher and its server (decision D9).
//!
//! - [`message`]: what they say to each other.

pub mod message;

pub use message::{
    Assignment, BoardEpoch, ConsoleFact, Down, LabText, ProtocolRange, RefusalCode, RunCursor,
    Standing, StopMode, Up,
};
