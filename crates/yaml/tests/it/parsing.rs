//! Structure, positions, mistakes and budgets.

use basalt_yaml::{Diagnostics, MAX_DEPTH, Value, parse};
use proptest::prelude::*;

use crate::{good, read};

#[test]
fn every_node_knows_its_place() {
    let text = "\u{feff}# comment\njob: \"ä\"\nlist:\n- é: [one, two]\n";
    let node = good(text);
    let job = node.get("job").expect("there");
    assert_eq!((job.span.line, job.span.column), (2, 6));
    assert_eq!(&text[job.span.start..job.span.end], "\"ä\"");
    let list = node
        .get("list")
        .and_then(|list| list.as_seq())
        .expect("a list");
    let two = &list[0]
        .get("é")
        .and_then(|list| list.as_seq())
        .expect("a list")[1];
    assert_eq!((two.span.line, two.span.column), (4, 12));
    assert_eq!(&text[two.span.start..two.span.end], "two");
}

#[test]
fn merge_keys_merge_as_in_pyyaml() {
    let node = good(
        "base: &base {a: 1, b: 1}\nover: &over {<<: *base, b: 2, c: 2}\nlist: {<<: [*over, *base], d: 3}\ntwo: {<<: *over, <<: *base}\nown: {b: 9, <<: *base}\nquoted: {\"<<\": 1}\n",
    );
    let json = |key| node.get(key).expect("there").to_json().to_string();
    assert_eq!(json("over"), r#"{"a":1,"b":2,"c":2}"#);
    assert_eq!(json("list"), r#"{"a":1,"b":2,"c":2,"d":3}"#);
    assert_eq!(json("two"), r#"{"a":1,"b":1,"c":2}"#);
    assert_eq!(json("own"), r#"{"a":1,"b":9}"#);
    assert_eq!(json("quoted"), r#"{"<<":1}"#);
}

#[test]
fn of_duplicate_keys_the_last_wins_and_both_places_are_named() {
    let (node, shown) = read("timeout: 1\nname: x\ntimeout: 2\nyes: a\ntrue: b\n");
    let node = node.expect("a warning leaves the tree");
    assert_eq!(
        node.to_json().to_string(),
        r#"{"timeout":2,"name":"x","yes":"b"}"#
    );
    insta::assert_snapshot!(shown, @r"
warning: the key `timeout` comes twice in this mapping; the last counts, the one at line 1, column 1 has no effect
 --> file.yaml:3:1
  |
3 | timeout: 2
  | ^^^^^^^
  = help: remove one of the two

warning: the key `true` is the same as `yes` at line 4, column 1; the last value counts, the first has no effect
 --> file.yaml:5:1
  |
5 | true: b
  | ^^^^
  = help: remove one of the two, or put them into quotes if they are meant as texts
");
}

#[test]
fn mistakes_in_aliases_merges_and_keys_are_collected() {
    let (_, shown) = read("a: *nowhere\nb: &b [*b]\nc: {<<: 1}\n[x]: 1\n");
    insta::assert_snapshot!(shown, @r"
error: no anchor `&nowhere` before this alias
 --> file.yaml:1:4
  |
1 | a: *nowhere
  |    ^^^^^^^^
  = help: put the text into quotes if it merely begins with `*`

error: the alias stands within what it refers to
 --> file.yaml:2:8
  |
2 | b: &b [*b]
  |        ^^
  = help: nothing can hold itself; write out what is meant

error: `<<` merges a mapping or a list of mappings
 --> file.yaml:3:9
  |
3 | c: {<<: 1}
  |         ^
  = help: name mappings with aliases: `<<: *name` or `<<: [*one, *two]`

error: a key must be a single value, found a list
 --> file.yaml:4:1
  |
4 | [x]: 1
  | ^^^
  = help: braces and brackets begin collections; put a text with them, such as `{{ name }}`, into quotes
");
}

#[test]
fn syntax_errors_have_their_place() {
    insta::assert_snapshot!(read("a:\n\tb: 1\n").1, @r"
error: a tab stands where only blanks may indent
 --> file.yaml:2:1
  |
2 |     b: 1
  | ^^^^
  = help: indent with blanks; YAML does not allow tabs there
");
    insta::assert_snapshot!(read("a: [1, 2\nb: 3\n").1, @r"
error: the `[` at line 1, column 4 is not closed before this, and no `,` stands before it
 --> file.yaml:2:2
  |
2 | b: 3
  |  ^
  = help: write `]` where it ends, or `,` between its entries
");
    insta::assert_snapshot!(read("a: \"x\u{0}\"\n").1, @r#"
error: the character U+0000 is not allowed in YAML
 --> file.yaml:1:6
  |
1 | a: "x�"
  |      ^
  = help: the file may be damaged, or not be text at all
"#);
    insta::assert_snapshot!(read("a: x\u{1b}[31m\n").1, @r"
error: the character U+001B is not allowed in YAML
 --> file.yaml:1:5
  |
1 | a: x�[31m
  |     ^
  = help: remove it, or write it as `\x1b` in double quotes
");
}

#[test]
fn a_second_document_is_an_error() {
    let (_, shown) = read("a: 1\n---\nb: 2\n");
    insta::assert_snapshot!(shown, @r"
error: a second document begins here; only one document in a file is supported
 --> file.yaml:2:1
  |
2 | ---
  | ^^^
  = help: remove the `---`, or put the second document into a file of its own
");
    assert_eq!(good("---\na: 1\n...\n").to_json().to_string(), r#"{"a":1}"#);
    assert!(good("").is_null());
    assert!(good("# nothing\n").is_null());
}

/// Nine levels of nine aliases each: a thousand million nodes in 400 bytes.
fn bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let alias = format!("*a{}", level - 1);
        let list = [alias.as_str(); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    text
}

#[test]
fn an_alias_bomb_is_refused_at_once() {
    let (node, shown) = read(&bomb());
    assert!(node.is_none());
    insta::assert_snapshot!(shown, @r"
error: the document has more than 500000 nodes, aliases and merge keys followed
 --> file.yaml:6:40
  |
6 | a5: &a5 [*a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4]
  |                                        ^^^
");
}

#[test]
fn a_merge_bomb_is_refused_at_once() {
    let mut text = "m0: &m0 {k: v}\n".to_owned();
    for level in 1..60 {
        let before = level - 1;
        text.push_str(&format!(
            "m{level}: &m{level} {{<<: [*m{before}, *m{before}], k{level}: v}}\n"
        ));
    }
    let (node, shown) = read(&text);
    assert!(node.is_none());
    assert!(shown.contains("more than 500000 nodes"), "{shown}");
}

#[test]
fn nesting_is_limited_with_aliases_followed() {
    let deep = |levels: usize| format!("{}x{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(read(&deep(MAX_DEPTH - 1)).1, "");
    assert!(read(&deep(MAX_DEPTH + 1)).1.contains("nested more than"));
    assert!(read(&deep(5000)).0.is_none());
    assert!(read(&"- ".repeat(5000)).0.is_none());
    let half = MAX_DEPTH / 2;
    let text = format!(
        "a: &a {}\nb: {}*a{}\n",
        deep(half),
        "[".repeat(half),
        "]".repeat(half)
    );
    assert!(read(&text).1.contains("nested more than"));
}

#[test]
fn aliases_share_and_stand_where_their_anchor_stands() {
    let node = good("a: &a {k: v}\nb: *a\n");
    let b = node.get("b").and_then(|b| b.get("k")).expect("there");
    assert_eq!((b.span.line, b.span.column), (1, 11));
    assert_eq!(node.get("a"), node.get("b"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parsing_never_panics(text in "\\PC{0,200}") {
        check(&text);
    }

    #[test]
    fn parsing_yaml_like_text_never_panics(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "a", ": ", "- ", "\n", "  ", "[", "]", "{", "}", ", ", "&x ", "*x", "<<", "|", ">", "'", "\"",
                "!!int ", "!t ", "0x1F", "1:30", "#", "---\n", "...\n", "\t", "\r", "? ", "é", "\u{feff}", "%", "\\",
            ]),
            0..60,
        )
    ) {
        check(&pieces.concat());
    }
}

/// Parses and renders; spans must lie within the text.
fn check(text: &str) {
    let mut diagnostics = Diagnostics::new();
    let node = parse(text, &mut diagnostics);
    if let Some(node) = &node {
        let _ = node.to_json();
        within(node, text);
    } else {
        assert!(diagnostics.has_errors());
    }
    let source = basalt_yaml::Source {
        name: "x".into(),
        text: text.into(),
    };
    diagnostics.render(std::slice::from_ref(&source), true);
    diagnostics.to_json(&[source]);
}

pub(crate) fn within(node: &basalt_yaml::Node, text: &str) {
    assert!(
        text.get(node.span.start..node.span.end).is_some(),
        "{:?} in {text:?}",
        node.span
    );
    match node.value() {
        Value::Seq(items) => items.iter().for_each(|item| within(item, text)),
        Value::Map(entries) => entries.iter().for_each(|(key, value)| {
            within(key, text);
            within(value, text);
        }),
        _ => {}
    }
}
