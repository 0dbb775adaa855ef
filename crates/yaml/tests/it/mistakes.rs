//! What people get wrong in YAML, and what they are told.

use crate::read;

/// Each mistake with its place, message and hint on one line.
fn told(text: &str) -> String {
    let mut diagnostics = basalt_yaml::Diagnostics::new();
    basalt_yaml::parse(text, &mut diagnostics);
    let lines = diagnostics.sorted().into_iter().map(|one| {
        format!(
            "{}:{}: {} ({})",
            one.span.line,
            one.span.column,
            one.message,
            one.hint.as_deref().unwrap_or("no hint")
        )
    });
    lines.collect::<Vec<String>>().join("\n")
}

#[test]
fn every_mistake_is_told_with_its_place_and_its_mending() {
    let texts = [
        "a: b: c\n",
        "a: 1\nb 2\nc: 3\n",
        "a: 1\n b: 2\n",
        "a:\n    b: 1\n  c: 2\n",
        "a: 1\n- b\n",
        "- a\nb: 1\n",
        "- a\n - b\n- c\n  - d\n",
        "a:\n  - b\n c: d\n",
        "a: - b\n",
        "a: ? b\n",
        "a: 'b\nc: d\n",
        "a: \"b\nc: d\n",
        "a: 'it's'\n",
        "a: 'b' c\n",
        "a: \"\\d+\"\n",
        "a: \"\\xg\"\n",
        "a: \"\\ud800\"\n",
        "a: [b, c\nd: e\n",
        "a: [b, c\n",
        "a: {b: c\nd: e\n",
        "a: [b c]\nd: [e f: g h: i]\n",
        "a: [b}\n",
        "a: [b, , c]\n",
        "a: [- b]\n",
        "a: ]\n",
        "a: b, c\n- d\n",
        "a: [b:]\n",
        "a: [\"b\" \"c\"]\n",
        "a: @b\n",
        "a: `b`\n",
        "a: %b\n",
        "%b\n",
        "%YAML 2.0\n---\na\n",
        "%YAML 1.1\na: b\n",
        "%TAG a\n---\na\n",
        "a: *b\nbcd: &bcd 1\ne: *bdc\n",
        "a: &x 1\nb: &x 2\n",
        "a: &x [*x]\n",
        "a: & b\n",
        "a: ** b\n",
        "a: !b c\n",
        "a: !b!c d\n",
        "a: !!int x\n",
        "a: !!bool maybe\n",
        "a: !!binary a\n",
        "a: !!seq b\n",
        "a: !!map [b]\n",
        "a: !!pairs [b]\n",
        "a: !<b c\n",
        "a: <<\n",
        "a: =\n",
        "<<: 1\n",
        "a: 2026-02-30\n",
        "a: 0b_\n",
        "a: {{ b }}\n",
        "{{ a }}: b\n",
        "[a]: b\n",
        "a: |x\n",
        "a: |0\n",
        "a: | b\n",
        "a: |\n\tb\n",
        "a:\n\tb: 1\n",
        "a: b\n\tc\n",
        "a: 1\n---\nb: 2\n",
        "a: 1\n...\nb: 2\n",
        "a: \u{7}\n",
        "a: 1\nb: 2\na: 3\n",
        "on: 1\nyes: 2\n",
        "a\n",
    ];
    let all: Vec<String> = texts
        .iter()
        .map(|text| format!("{text:?}\n{}\n", told(text)))
        .collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn mistakes_that_leave_a_tree_are_all_told_at_once() {
    let text = "a: *nowhere\nb: !!int x\nc: !t y\nd: {<<: 1}\n[e]: f\ng: 2026-13-01\n";
    let (node, shown) = read(text);
    assert!(node.is_some());
    assert_eq!(shown.matches("error: ").count(), 6, "{shown}");
}
