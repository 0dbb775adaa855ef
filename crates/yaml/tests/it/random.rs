//! Drawn texts: whatever they are, reading ends, stays within its budget and says what is wrong.

use basalt_yaml::{
    Diagnostics, MAX_DEPTH, MAX_NODES, Node, Reading, Source, Value, decode, parse_as,
};

use crate::pyyaml::corpus;
use crate::pyyaml::mutate::{Random, mutation};

/// How deep a tree is.
fn depth(node: &Node) -> usize {
    let deepest = match node.value() {
        Value::Seq(items) => items.iter().map(depth).max(),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| depth(key).max(depth(value)))
            .max(),
        _ => return 0,
    };
    1 + deepest.unwrap_or(0)
}

/// Reads a text both ways.
fn check(text: &str) {
    for reading in [Reading::PyYaml, Reading::ByType] {
        let mut diagnostics = Diagnostics::new();
        let node = parse_as(reading, text, &mut diagnostics);
        match &node {
            Some(node) => {
                assert!(node.weight() <= MAX_NODES, "{text:?}");
                assert!(depth(node) <= MAX_DEPTH, "{text:?}");
                node.to_json();
                crate::parsing::within(node, text);
            }
            None => assert!(diagnostics.has_errors(), "{text:?}"),
        }
        for one in diagnostics.iter() {
            let (start, end) = (one.span.start, one.span.end);
            assert!(
                start <= text.len() && end <= text.len() + 1,
                "{one:?} in {text:?}"
            );
            assert!(text.is_char_boundary(start), "{one:?} in {text:?}");
            assert!(!one.message.is_empty());
        }
        let source = Source {
            name: "x".into(),
            text: text.into(),
        };
        diagnostics.render(std::slice::from_ref(&source), true);
        diagnostics.to_json(&[source]);
    }
}

#[test]
fn drawn_texts_are_read_within_their_budget() {
    let mut random = Random::new(2);
    let seeds = corpus::seeds();
    for _ in 0..8000 {
        check(&mutation(&seeds, &mut random));
    }
}

#[test]
fn drawn_bytes_are_decoded_and_read() {
    let mut random = Random::new(3);
    let seeds = corpus::seeds();
    for _ in 0..2000 {
        let mut bytes = mutation(&seeds, &mut random).into_bytes();
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len().max(1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = u8::try_from(random.below(256)).expect("a byte");
            }
        }
        if random.below(3) == 0 {
            bytes.splice(0..0, [0xff, 0xfe]);
        }
        let mut diagnostics = Diagnostics::new();
        match decode(&bytes, &mut diagnostics) {
            Some(text) => check(&text),
            None => assert!(diagnostics.has_errors()),
        }
    }
}
