//! Any text as a job.
#![no_main]

use basalt_yaml::{Diagnostics, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut diagnostics = Diagnostics::for_file("fuzz.yaml");
    let job = basalt_job::read("fuzz.yaml", text, &mut diagnostics);
    assert!(job.is_some() || diagnostics.has_errors());
    let source = Source {
        name: "fuzz.yaml".to_owned(),
        text: text.to_owned(),
    };
    diagnostics.render(&[source], false);
});
