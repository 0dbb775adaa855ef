//! One run of a job on one board: deploy, boot, test, finalize; resumed after any kill.
//!
//! - [`run`] performs a [`basalt_plan::Plan`] in a [`directory::RunDirectory`]; `blocks` orders its
//!   attempts; `deploy`, `boot`, `stage` (test definitions), `measure` (phases) are files of actions;
//! - [`session`] is the board's console with everything that is noticed on it;
//! - [`state`] folds the journal, [`recorder`] writes it and tells who watches;
//! - [`overlay`] and `board/` are what runs on the board; [`signals`] and [`results`] read what it
//!   says;
//! - [`Shared`] is what the runs of one process have in common; [`Ending`] ends one from outside;
//! - [`host`] holds the locks and epochs that arbitrate boards on one host.
//!
//! What is not done here: planning, scheduling, and every decision of a server. The runner takes
//! concrete handles to the owners of relay, console and boot servers.

mod blocks;
mod boot;
mod deploy;
pub mod directory;
pub mod ending;
mod export;
pub mod host;
mod hosts;
mod inbox;
mod measure;
pub mod overlay;
mod payload;
pub mod recorder;
mod resources;
pub mod results;
mod roots;
mod run;
pub mod session;
mod shared;
pub mod signals;
mod stage;
pub mod state;
mod transfer;
mod watcher;

pub use directory::RunDirectory;
pub use ending::Ending;
pub use hosts::forbidden_hosts;
pub use resources::{Attach, Leaves, Resources, RunError, Summary};
pub use run::{give_up, run};
pub use shared::Shared;
pub use watcher::{Grown, Live, Watcher};
