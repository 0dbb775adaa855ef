//! The link between a dispatcher and its server (decision D9).
//!
//! - [`message`]: what they say to each other; [`frame`]: how it stands on the wire.
//! - [`connection`]: control goes first, streams as far as their credit goes, over anything that
//!   carries binary messages: axum's WebSocket at the server, [`dial`]'s at the dispatcher.
//! - [`endpoint`], [`trust`], [`dial`]: how a dispatcher reaches its server: a Unix socket, TLS, or
//!   plain TCP that stays on the host.
//! - [`files`]: how files of runs get there.
//!
//! Not done here: what the messages mean (`dispatcher`, `server`), heartbeats and their limits,
//! dialling again.

pub mod connection;
pub mod dial;
pub mod endpoint;
pub mod files;
pub mod frame;
pub mod message;
pub mod trust;

pub use connection::{Channel, Closed, Pace, ReceiveError, Receiver, Sender};
pub use dial::{DialError, Dialer, Token};
pub use endpoint::{Endpoint, EndpointError};
pub use files::{FileClient, PutError, PutFile};
pub use frame::{Events, LogBatch, Message};
pub use message::{
    Assignment, BoardEpoch, ConsoleFact, Control, Down, LabText, ProtocolRange, RefusalCode,
    RunCursor, Standing, StopMode, Up,
};
pub use trust::{Trust, TrustError};

/// Where a dispatcher opens its WebSocket, with `Authorization: Bearer TOKEN`.
pub const LINK_PATH: &str = "/dispatch/v1/link";
