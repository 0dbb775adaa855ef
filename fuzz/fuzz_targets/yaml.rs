//! Any bytes: decoded, read both ways, and what is wrong shown.
#![no_main]

use basalt_yaml::{Diagnostics, MAX_NODES, Reading, Source, decode, parse_as};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut diagnostics = Diagnostics::for_file("fuzz.yaml");
    let Some(text) = decode(bytes, &mut diagnostics) else {
        assert!(diagnostics.has_errors());
        return;
    };
    let source = Source {
        name: "fuzz.yaml".to_owned(),
        text: text.into_owned(),
    };
    for reading in [Reading::PyYaml, Reading::ByType] {
        let mut diagnostics = Diagnostics::for_file("fuzz.yaml");
        match parse_as(reading, &source.text, &mut diagnostics) {
            Some(node) => {
                assert!(node.weight() <= MAX_NODES);
                node.to_json();
            }
            None => assert!(diagnostics.has_errors()),
        }
        diagnostics.render(std::slice::from_ref(&source), true);
    }
});
