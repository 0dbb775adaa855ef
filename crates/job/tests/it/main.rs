//! The job language from outside.

mod features;
mod jobs;
mod lava;
mod mistakes;
mod strict;

use basalt_job::{JobDefinition, read};
use basalt_yaml::{Diagnostic, Diagnostics, Source};

/// Reads a job under the name `job.yaml` and renders what was found.
fn shown(text: &str) -> (Option<JobDefinition>, String) {
    let mut diagnostics = Diagnostics::new();
    let job = read("job.yaml", text, &mut diagnostics);
    assert_eq!(job.is_none(), diagnostics.has_errors());
    let source = Source {
        name: "job.yaml".into(),
        text: text.into(),
    };
    (job, diagnostics.render(&[source], false))
}

/// A faultless job with these actions, each line of them indented as it stands.
fn with_actions(actions: &str) -> String {
    format!(
        "job_name: test\ndevice_type: board\nvisibility: public\ntimeouts: {{job: {{minutes: 10}}}}\nactions:\n{actions}"
    )
}

fn place(diagnostic: &Diagnostic) -> String {
    let span = diagnostic.span;
    format!("{}:{} {}", span.line, span.column, diagnostic.message)
}

/// The same of a job that is taken: what cannot be run of it.
fn refusals(text: &str) -> Vec<String> {
    let mut diagnostics = Diagnostics::new();
    let job = read("job.yaml", text, &mut diagnostics);
    assert_eq!(diagnostics.error_count(), 0, "{:?}", diagnostics.sorted());
    job.expect("no errors").refusals.iter().map(place).collect()
}

/// `line:column message` of everything found, in order; of a job that is taken, what cannot be run
/// of it too.
fn places(text: &str) -> Vec<String> {
    let mut diagnostics = Diagnostics::new();
    let job = read("job.yaml", text, &mut diagnostics);
    assert_eq!(job.is_none(), diagnostics.has_errors());
    if let Some(job) = &job {
        job.warn_of_refusals(&mut diagnostics);
    }
    diagnostics.sorted().into_iter().map(place).collect()
}
