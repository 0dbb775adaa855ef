//! Files that jobs name by URL: downloaded, checked, unpacked, kept by their SHA-256; and the
//! small archives that are laid over them.
//!
//! [`Cache::fetch`] gets one file, [`Cache::unpacked_tar`] a directory from an archive.
//! [`cpio`] writes overlays for ramdisks, [`uimage`] U-Boot's header around them, and
//! [`kernel_identity`] reads from an image which kernel it is.
//!
//! Not done here: deciding which files a job needs, serving them, and waiting longer than one
//! file's own bounds (the caller's deadline holds; a fetch that is dropped goes on later where it
//! stopped). Archives are unpacked in this process, on a blocking thread, with every path resolved
//! below the destination by the kernel; the confined child of decision D21 is not here yet. HTTP
//! proxies are not used: addresses are checked after DNS, which a proxy would do out of sight.

mod address;
mod cache;
pub mod cpio;
mod decode;
mod error;
mod file;
mod http;
mod kernel;
mod part;
mod request;
mod tree;
pub mod uimage;
mod unpack;

pub use address::{HostRules, Rejected, public_url};
pub use cache::Cache;
pub use error::{FetchError, Subject};
pub use kernel::kernel_identity;
pub use request::{Fetched, Patience, Policy, Progress, Request};
pub use unpack::{UnpackError, UnpackLimits, UnpackReport, unpack_tar};
