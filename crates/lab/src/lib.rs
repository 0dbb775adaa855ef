//! The lab's own files (boards, types, relays), handed in as texts, read into a [`profile::Lab`].
//!
//! [`read()`] reads all files of a lab at once and collects every mistake at its place. A lab is
//! `lab.yaml`, `dispatchers/*.yaml`, `relays/*.yaml`, `boards/*.yaml` and `device-types/*.yaml`
//! ([`FileKind`]); board types that come with Basalt are in [`builtin`] and may be extended by a lab's own.
//!
//! What each key means stands in the examples under `lab-config/` and `device-types/`; what it
//! becomes, in [`profile`].
//!
//! [`diff()`] says in words what one lab has that another has not.
//!
//! Not done here: opening files or directories, resolving names of hosts, asking hardware.

mod board;
pub mod builtin;
mod check;
pub mod diff;
mod dispatcher;
mod file;
mod inherit;
mod lab_file;
pub mod lava;
pub mod placeholder;
pub mod profile;
mod read;
mod relay;
mod scalar;
pub mod timeouts;
mod values;

pub use diff::diff;
pub use file::{FileKind, LabFile};
pub use profile::Lab;
pub use read::read;
