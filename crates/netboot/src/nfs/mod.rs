//! An NFSv3 server for root file systems that belong to leases.
//!
//! Read-only: a board writes into a layer of its own memory. An export is an unpacked root directory, found under a random
//! path, with the lease's own directories grafted in at the top. The protocol is `nfs3_server`'s; here are the tree, the
//! handles, and who may connect.
//!
//! Linux mounts it with `vers=3,proto=tcp,port=P,mountport=P,mountproto=tcp,nolock`; no portmapper, no lock manager.
//!
//! What `nfs3_server` 0.11.1 cannot do: it grants read access to every user of the board whatever the mode bits say (an
//! overlay on the board checks them itself), and reports a file system of 1 TiB.
//!
//! Not done here: writing, NFSv4, device nodes that work (the board mounts devtmpfs), UDP.

mod export;
mod handle;
mod relay;
mod server;
mod tree;
mod vfs;

pub use export::{Export, ExportActivity, ExportError, ExportSpec};
pub use server::NfsServer;
