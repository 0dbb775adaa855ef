//! The job language: LAVA's job YAML and our `realtime` test kind, read into a [`JobDefinition`].
//!
//! [`read`] is as lax as LAVA is where jobs are submitted: what nobody knows is a warning. What
//! LAVA knows and Basalt cannot run yet is an error that names it, so that no job is run in part.
//! All mistakes of a job are reported at once, each at its place.
//!
//! Not done here: whether a board can run the job (`basalt_plan`), and fetching anything.
//!
//! Source of the language: the schemas of LAVA 2026.07 (`lava_common/schemas`), re-implemented
//! from their description.

mod action;
mod artifact;
mod boot;
pub mod definition;
mod deploy;
mod inline;
mod realtime;
mod test;
mod timeouts;
mod top;
mod values;

pub use definition::JobDefinition;

use basalt_yaml::{Diagnostics, parse_file};

/// Reads a job. `name` is how diagnostics call the text, usually its path. None if there is any
/// error in it; warnings alone do not stop it.
pub fn read(name: &str, text: &str, diagnostics: &mut Diagnostics) -> Option<JobDefinition> {
    let before = diagnostics.error_count();
    let node = parse_file(name, text, diagnostics)?;
    let job = top::job(&node, diagnostics);
    job.filter(|_| diagnostics.error_count() == before)
}
