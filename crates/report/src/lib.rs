//! Results for people and programs: values in, text out.
//!
//! - [`Results`] is the document `results.json` of a run, folded from its journal;
//! - [`junit`] is the same for CI systems;
//! - [`joblog`] makes a run's log of its events and its console;
//! - [`table`], [`histogram`], [`overlay`] and [`identity`] are for the terminal.
//!
//! Nothing here writes a file, reads a clock or asks whether the output is a terminal: the caller
//! says so in [`Style`]. Text that came from a board is shown with its control characters replaced.

mod canvas;
pub mod fold;
mod histogram;
mod identity;
pub mod joblog;
mod junit;
pub mod results;
mod style;
mod table;
pub mod wording;

pub use fold::{FoldError, RunFold, outcome};
pub use histogram::{histogram, overlay};
pub use identity::identity;
pub use junit::{JunitError, junit};
pub use results::Results;
pub use style::Style;
pub use table::table;
