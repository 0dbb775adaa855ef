//! The project's own files: the same syntax, read by the type that is expected.

use basalt_yaml::{Diagnostics, MapReader, Node, Reading, Unknown, decode, parse_as};

fn own(text: &str) -> Node {
    let mut diagnostics = Diagnostics::new();
    let node = parse_as(Reading::ByType, text, &mut diagnostics).expect("a tree");
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(&[], false));
    node
}

#[test]
fn what_an_administrator_writes_is_what_is_read() {
    let node = own(
        "version: 1\nmac: 52:54:00:12:34:56\noutlet: 010\nkernel: 6.10\nbuilt: 2026-02-30\nspan: 2001-12-14 25:00:00\nmask: 0x_\nsign: =\narrow: <<\nhuge: 99999999999999999999\nempty: ''\nclock: 12:30:45\nratio: 1_0.5\ncountry: no\ntilde: '~'\n",
    );
    let text = |key: &str| {
        let mut diagnostics = Diagnostics::new();
        let mut reader = MapReader::new(&node, "the file", &mut diagnostics).expect("a mapping");
        reader.required(key).text().expect("a text")
    };
    assert_eq!(text("mac"), "52:54:00:12:34:56");
    assert_eq!(text("outlet"), "010");
    assert_eq!(text("kernel"), "6.10");
    assert_eq!(text("built"), "2026-02-30");
    assert_eq!(text("span"), "2001-12-14 25:00:00");
    assert_eq!(text("mask"), "0x_");
    assert_eq!(text("sign"), "=");
    assert_eq!(text("arrow"), "<<");
    assert_eq!(text("huge"), "99999999999999999999");
    assert_eq!(text("clock"), "12:30:45");
    assert_eq!(text("ratio"), "1_0.5");
    assert_eq!(text("country"), "no");
    assert_eq!(text("tilde"), "~");
}

#[test]
fn keys_are_the_same_only_if_they_are_written_alike() {
    let node = own(
        "outlets:\n  8: a\n  010: b\n  0x8: c\non: 1\noff: 2\nyes: 3\ntrue: 4\nnull: 5\n~: 6\n",
    );
    let outlets = node.get("outlets").expect("there");
    let of = |node: &Node, key: &str| {
        node.get(key)
            .and_then(|node| node.source_text())
            .map(str::to_owned)
    };
    for (key, value) in [("8", "a"), ("010", "b"), ("0x8", "c")] {
        assert_eq!(of(outlets, key).as_deref(), Some(value));
    }
    for (key, value) in [
        ("on", "1"),
        ("off", "2"),
        ("yes", "3"),
        ("true", "4"),
        ("null", "5"),
        ("~", "6"),
    ] {
        assert_eq!(of(&node, key).as_deref(), Some(value));
    }
    let mut diagnostics = Diagnostics::for_file("file.yaml");
    parse_as(
        Reading::ByType,
        "on: 1\noff: 2\n\"on\": 3\n",
        &mut diagnostics,
    );
    assert_eq!(diagnostics.len(), 1);
    assert!(diagnostics.sorted()[0].message.contains("comes twice"));
}

#[test]
fn anchors_and_merge_keys_work_as_in_jobs() {
    let node = own("base: &base {on: 1, 010: 2}\nboard: {<<: *base, on: 3}\n");
    let board = node.get("board").expect("there");
    assert_eq!(board.get("on").and_then(Node::source_text), Some("3"));
    assert_eq!(board.get("010").and_then(Node::source_text), Some("2"));
}

#[test]
fn a_key_that_stands_in_a_merged_mapping_is_known_to_the_reader() {
    let node = own("a: &a {x: 1}\nb: {<<: *a}\n");
    let mut diagnostics = Diagnostics::new();
    let b = node.get("b").expect("there");
    let mut reader = MapReader::new(b, "b", &mut diagnostics).expect("a mapping");
    assert_eq!(reader.required("x").integer(0..=9), Some(1));
    reader.finish(Unknown::Error);
    assert!(diagnostics.is_empty());
}

#[test]
fn a_file_of_any_encoding_gives_its_text() {
    let mut diagnostics = Diagnostics::for_file("file.yaml");
    let utf16: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain("a: é\n".encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    assert_eq!(decode(&utf16, &mut diagnostics).as_deref(), Some("a: é\n"));
    assert_eq!(
        decode(b"\xef\xbb\xbfa: 1\n", &mut diagnostics).as_deref(),
        Some("a: 1\n")
    );
    assert!(diagnostics.is_empty());
    assert_eq!(decode(b"a: 1\nb: \xe9\n", &mut diagnostics), None);
    insta::assert_snapshot!(diagnostics.render(&[], false), @r"
error: the byte 0xe9 is not part of UTF-8
 --> file.yaml:2:4
  = help: save the file as UTF-8
");
}
