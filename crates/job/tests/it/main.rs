//! The job language from outside.

mod jobs;
mod mistakes;

use basalt_job::{JobDefinition, read};
use basalt_yaml::{Diagnostics, Source};

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
        "job_name: test\nvisibility: public\ntimeouts: {{job: {{minutes: 10}}}}\nactions:\n{actions}"
    )
}

/// `line:column message` of everything found, in order.
fn places(text: &str) -> Vec<String> {
    let mut diagnostics = Diagnostics::new();
    assert_eq!(
        read("job.yaml", text, &mut diagnostics).is_none(),
        diagnostics.has_errors()
    );
    diagnostics
        .sorted()
        .iter()
        .map(|diagnostic| {
            let span = diagnostic.span;
            format!("{}:{} {}", span.line, span.column, diagnostic.message)
        })
        .collect()
}
