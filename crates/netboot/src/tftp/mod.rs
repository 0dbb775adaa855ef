//! A TFTP server whose files belong to leases.
//!
//! RFC 1350 with the options of RFC 2347 (blksize, 2348; timeout and tsize, 2349; windowsize, 7440), octet mode, both
//! directions. One transfer is a state machine without I/O (`send`, `receive`) that a task with a socket of its own drives
//! (`transfer`); the listener (`server`) only looks at requests, so one transfer never waits for another.
//!
//! Not done here: directories (a root is a flat list of files), multicast, netascii.

mod event;
mod negotiate;
mod packet;
mod receive;
mod root;
mod send;
mod server;
mod source;
mod task;
mod transfer;
mod upload;

#[cfg(test)]
mod lossy_network;

pub use event::{Direction, StrayRequest, TransferEvent, TransferEventKind, TransferFailure};
pub use root::{OpenRootError, Root, RootSpec};
pub use server::TftpServer;
pub use source::FileSource;
