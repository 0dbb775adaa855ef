//! The job language: LAVA's job YAML and our `realtime` test kind, read into a [`JobDefinition`].
//!
//! Three questions are kept apart:
//!
//! 1. Does the text have the shape of a job? The tables in `schema` answer as LAVA's own validator
//!    does, in its two readings ([`Reading`]); what does not fit is an error at its place.
//! 2. What does it mean? The readers make a [`JobDefinition`] of it, whole: every action, every
//!    option.
//! 3. Can Basalt do it? What LAVA knows and Basalt cannot run yet is named in
//!    [`JobDefinition::refusals`]; a plan is refused with them, so that no job is run in part.
//!
//! All mistakes of a job are reported at once, each at its place.
//!
//! Not done here: whether a board can run the job (`basalt_plan`), and fetching anything.
//!
//! Source of the language: the behaviour of the schemas of LAVA 2026.10 (`lava_common/schemas`),
//! re-implemented from what they take and refuse.

mod action;
mod artifact;
mod boot;
pub mod definition;
mod deploy;
mod inline;
pub mod multinode;
pub mod notify;
mod realtime;
mod schema;
mod test;
mod timeouts;
mod top;
mod values;

pub use definition::{InlineDefinition, JobDefinition};
pub use schema::{destinations, methods};

use std::collections::HashSet;
use std::time::Duration;

use basalt_yaml::{Diagnostics, Node, Severity, parse_file};

/// How a job is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// As LAVA reads what is submitted: a key that nobody knows is a warning.
    #[default]
    Lax,
    /// As LAVA's strict validation: a key that is not in its schema is an error.
    Strict,
}

/// How a job is read, and what the site allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Lax unless said otherwise.
    pub reading: Reading,
    /// Names that are allowed in `context` beside LAVA's (LAVA's `EXTRA_CONTEXT_VARIABLES`).
    pub extra_context: Vec<String>,
}

impl Options {
    fn rules(&self) -> schema::Rules<'_> {
        schema::Rules {
            reading: self.reading,
            extra_context: &self.extra_context,
        }
    }
}

/// Reads a job in the lax reading. `name` is how diagnostics call the text, usually its path.
/// None if there is any error in it; warnings alone do not stop it.
pub fn read(name: &str, text: &str, diagnostics: &mut Diagnostics) -> Option<JobDefinition> {
    read_with(name, text, &Options::default(), diagnostics)
}

/// Reads a job. None if there is any error in it.
pub fn read_with(
    name: &str,
    text: &str,
    options: &Options,
    diagnostics: &mut Diagnostics,
) -> Option<JobDefinition> {
    let before = diagnostics.error_count();
    let node = parse_file(name, text, diagnostics)?;
    schema::check(&node, options.rules(), diagnostics);
    realtime::check(&node, diagnostics);
    check_uploads(&node, diagnostics);
    if diagnostics.error_count() > before {
        also(&node, diagnostics);
        return None;
    }
    // Of the right shape: what the readers still refuse is what cannot be run.
    let mut found = Diagnostics::new();
    let mut job = top::job(&node, &mut found)?;
    for finding in found.sorted() {
        match finding.severity {
            Severity::Error => job.refusals.push(finding.clone()),
            Severity::Warning => {
                let warning = diagnostics.warning(finding.span, finding.message.clone());
                warning.hint.clone_from(&finding.hint);
            }
        }
    }
    Some(job)
}

/// Adds what could not be run of a job that is refused already, as warnings, so that it need not be
/// mended twice. On lines where something is reported it would only be said again.
fn also(node: &Node, diagnostics: &mut Diagnostics) {
    let Some(actions) = node.get("actions") else {
        return;
    };
    let mut found = Diagnostics::new();
    action::actions(actions, Duration::MAX, &mut found);
    let told: HashSet<u32> = diagnostics.iter().map(|told| told.span.line).collect();
    for finding in found.sorted() {
        if finding.severity == Severity::Error && !told.contains(&finding.span.line) {
            let warning = diagnostics.warning(finding.span, finding.message.clone());
            warning.hint.clone_from(&finding.hint);
        }
    }
}

/// `upload:` is Basalt's own, and so are the mistakes in it.
fn check_uploads(node: &Node, diagnostics: &mut Diagnostics) {
    let mut uploads = Vec::new();
    if let Some(actions) = node.get("actions") {
        artifact::uploads(actions, &mut uploads);
    }
    for upload in uploads {
        if !artifact::is_upload_name(&upload.value) {
            diagnostics
                .error(
                    upload.span,
                    format!("`{}` cannot be the name of a file that comes with a job", upload.value.escape_debug()),
                )
                .with_hint("letters, digits, `-`, `_`, `+` and `.`, not beginning with `.`; no directories");
        }
    }
}

/// Reads a test definition in a file of its own ("Lava-Test Test Definition 1.0"). None, and
/// errors, if it is none, or if it needs what Basalt cannot do yet. `skip` is the job's
/// `skip_install`.
pub fn read_test_definition(
    name: &str,
    text: &str,
    skip: &[String],
    options: &Options,
    diagnostics: &mut Diagnostics,
) -> Option<InlineDefinition> {
    let before = diagnostics.error_count();
    let node = parse_file(name, text, diagnostics)?;
    schema::check_definition(&node, options.rules(), diagnostics);
    if diagnostics.error_count() > before {
        return None;
    }
    let definition = inline::read(&node, skip, diagnostics);
    definition.filter(|_| diagnostics.error_count() == before)
}
