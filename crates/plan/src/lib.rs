//! (JobDefinition, BoardProfile) -> Plan: actions, deadlines, retries. Pure.
//!
//! Everything that can be known before a board is touched is decided and checked here: whether the
//! board is one that the job wants, whether what a boot needs was deployed, which commands are
//! typed, how long each action may take, how the measurement program is called. Mistakes are
//! diagnostics at their place in the job.
//!
//! Not done here: reading the job (`basalt_job`), and everything that only the run knows: paths in
//! the lease's boot root, ports, the state of the board.

mod boot;
mod build;
mod checks;
mod context;
mod deploy;
mod measurement;
pub mod plan;
mod timeouts;

pub use build::plan;
pub use plan::Plan;
