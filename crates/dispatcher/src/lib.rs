//! A rack of boards: takes runs from a server, performs them, and tells how they go.
//!
//! - [`run`] is a dispatcher's life; [`DispatcherConfig`] what it needs. `actor` owns all that
//!   changes; everything else are tasks that tell it what happened.
//! - `acceptance` turns an assignment into a run on disk; `performance` runs it, whatever breaks.
//! - `uplink` follows a run's files and tells the server: it buffers nothing but what is on its way.
//! - `slice` is the lab that was in force last, kept for the time without a server; `facts` what
//!   relays and consoles say; `keeper` has all consoles captured, always.
//! - `reserve` keeps room on the disk for the ends of runs that find none.
//! - `away` ends the runs of a dispatcher that the server has forgotten about (decision D2).
//! - [`LinkNews`] is what whoever runs a dispatcher hears of its link.
//! - [`instance`] keeps two dispatchers off one state directory and says who runs there.
//!
//! What is not done here: one run (`runner`), what messages look like (`link`), and every decision
//! of a server. A dispatcher never switches a relay but for a run.

mod acceptance;
mod actor;
mod away;
mod common;
mod config;
mod facts;
pub mod instance;
mod keeper;
mod lease;
mod news;
mod performance;
mod reserve;
mod retention;
mod slice;
mod uplink;

pub use actor::run;
pub use basalt_link::StopMode;
pub use config::{DispatcherConfig, DispatcherError, Retention, Tempo};
pub use news::{InForce, LinkNews, Listener};
