//! The consoles of a dispatcher's host: captured always, by a process of its own, into files.
//!
//! - [`keeper`]: the process that owns the consoles. It appends what they say to [`segment`]
//!   files before anybody is told, and types what the one claimed writer sends.
//! - [`cursor`]: readers. They read the files at their own pace; only wake-ups come from the
//!   keeper, so no reader can slow capture.
//! - [`session`]: one board's console as a run uses it, through losses of source and keeper.
//! - [`client`]: the keeper's socket, for whoever asks or writes; [`protocol`] is its language.
//! - [`expect`], [`watch`], [`terminal`]: what the bytes mean. Pure.
//!
//! What is not done here: deciding what to type or what a text is worth (the runner), journals,
//! leases, and the removal of old segments.

pub mod client;
pub mod cursor;
mod escape;
pub mod expect;
pub mod keeper;
pub mod layout;
mod lines;
pub mod protocol;
pub mod segment;
pub mod session;
pub mod terminal;
pub mod watch;

pub use cursor::Cursor;
pub use expect::{Expect, Match, Pattern};
pub use keeper::{KeeperConfig, serve};
pub use protocol::KeptConsole;
pub use segment::{Chunk, ChunkBody};
pub use session::{Attachment, BoardConsole, Event};
pub use watch::{KernelWatch, WatchEvent};
