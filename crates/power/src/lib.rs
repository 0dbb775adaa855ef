//! Relays: switching the outlets that feed boards, and reading them back.
//!
//! One task owns a controller, so commands to one relay never overlap, and a file lock keeps
//! other processes of this host out meanwhile (decision D20). A power cycle is one operation that
//! nobody can cut short (invariant 6); every exchange has a bound (invariant 7); a state that
//! nobody can read is [`PowerState::Unknown`](basalt_model::PowerState), never a guess
//! (invariant 5).
//!
//! A new HTTP model is a row in `http.rs`; any other model is a file beside `lcus.rs` and an arm
//! in `driver.rs`.
//!
//! Not done here: which board hangs on which outlet, leases and their epochs (the caller asks
//! only under a lease), staggering of several boards, and forwarding to a dispatcher that already
//! owns the relay.

mod commands;
mod driver;
mod error;
mod handle;
mod http;
mod lcus;
mod lock;

pub use error::{Asked, PowerError, Question};
pub use handle::{LONGEST_OFF_TIME, Pace, RelayHandle, SHORTEST_OFF_TIME};
