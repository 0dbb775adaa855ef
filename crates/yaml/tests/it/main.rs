//! The YAML room from outside.

mod budget;
mod mistakes;
mod own;
mod parsing;
mod pyyaml;
mod random;
mod reading;
mod scalars;

use basalt_yaml::{Diagnostics, Node, Source, parse};

/// Reads a text under the name `file.yaml` and renders what was found.
fn read(text: &str) -> (Option<Node>, String) {
    let mut diagnostics = Diagnostics::for_file("file.yaml");
    let node = parse(text, &mut diagnostics);
    (node, shown(text, &diagnostics))
}

fn shown(text: &str, diagnostics: &Diagnostics) -> String {
    let source = Source {
        name: "file.yaml".into(),
        text: text.into(),
    };
    diagnostics.render(&[source], false)
}

/// Reads a text that must be faultless.
fn good(text: &str) -> Node {
    let (node, shown) = read(text);
    assert_eq!(shown, "", "{text}");
    node.expect("a text without errors has a tree")
}
