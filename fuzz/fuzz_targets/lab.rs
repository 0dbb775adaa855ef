//! Any texts as the files of a lab. A line `%%% path` begins the next file; what stands before the
//! first such line is `lab.yaml`.
#![no_main]

use basalt_lab::LabFile;
use basalt_yaml::{Diagnostics, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut files = Vec::new();
    for (number, part) in text.split("\n%%% ").enumerate() {
        let (path, text) = match number {
            0 => ("lab.yaml", part),
            _ => part.split_once('\n').unwrap_or((part, "")),
        };
        files.push(LabFile {
            path: path.to_owned(),
            text: text.to_owned(),
        });
    }
    let mut diagnostics = Diagnostics::new();
    let lab = basalt_lab::read(&files, &basalt_lab::builtin::types(), &mut diagnostics);
    assert!(lab.is_some() || diagnostics.has_errors());
    let sources: Vec<Source> = files
        .into_iter()
        .map(|file| Source {
            name: file.path,
            text: file.text,
        })
        .collect();
    diagnostics.render(&sources, false);
});
