//! The typed reader, and how mistakes are shown.

use std::time::Duration;

use basalt_yaml::{
    Diagnostics, Field, MapReader, Source, Unknown, format_duration, parse, parse_duration,
    parse_file,
};

use crate::{good, shown};

#[test]
fn our_own_files_are_read_by_the_expected_type() {
    let node = good(
        "version: 1\nmac: 52:54:00:12:34:56\noutlet: 010\nkernel: 6.10\nport: 0x1f\nratio: 0.5\non: true\nwait: 1h30m\nlist: [1, a, yes]\n",
    );
    let mut diagnostics = Diagnostics::new();
    let mut reader = MapReader::new(&node, "the file", &mut diagnostics).expect("a mapping");
    assert_eq!(reader.version(&[1]), Some(1));
    assert_eq!(
        reader.required("mac").text().as_deref(),
        Some("52:54:00:12:34:56")
    );
    assert_eq!(reader.required("outlet").text().as_deref(), Some("010"));
    assert_eq!(reader.required("kernel").text().as_deref(), Some("6.10"));
    assert_eq!(reader.required("port").integer(0..=100), Some(31));
    assert_eq!(reader.required("ratio").decimal(0.0..=1.0), Some(0.5));
    assert_eq!(
        reader.optional("wait").duration(),
        Some(Duration::from_secs(5400))
    );
    let list = reader.optional("list").texts();
    assert_eq!(
        list,
        Some(vec!["1".to_owned(), "a".to_owned(), "yes".to_owned()])
    );
    assert_eq!(reader.optional("absent").text(), None);
    // A key, too, is what is written.
    assert_eq!(reader.required("on").bool_strict(), Some(true));
    reader.finish(Unknown::Error);
    assert_eq!(diagnostics.len(), 0);
}

#[test]
fn all_mistakes_of_a_mapping_are_shown_at_once() {
    let text = "version: 2\noutlet: 010\nport: 70000\nwait: 10\nstate: onn\nshared: yes\nlist: [a, [b]]\nbord: x\n";
    let node = good(text);
    let mut diagnostics = Diagnostics::for_file("file.yaml");
    let mut reader = MapReader::new(&node, "the board file", &mut diagnostics).expect("a mapping");
    assert_eq!(reader.version(&[1]), None);
    assert_eq!(reader.required("outlet").integer(0..=8), None);
    assert_eq!(reader.required("port").integer(1..=65535), None);
    assert_eq!(reader.required("wait").duration(), None);
    assert_eq!(
        reader
            .required("state")
            .word(&[("on", true), ("off", false)]),
        None
    );
    assert_eq!(reader.required("shared").bool_strict(), None);
    assert_eq!(reader.required("list").texts(), None);
    assert_eq!(reader.required("board").text(), None);
    reader.finish(Unknown::Error);
    insta::assert_snapshot!(shown(text, &diagnostics), @r"
error: version 2 of the board file is not known; known: 1
 --> file.yaml:1:10
  |
1 | version: 2
  |          ^

error: `outlet` must be a whole number from 0 to 8, found the number `010`
 --> file.yaml:2:9
  |
2 | outlet: 010
  |         ^^^
  = help: write `10` without the leading zero

error: `port` must be a whole number from 1 to 65535, found the number `70000`
 --> file.yaml:3:7
  |
3 | port: 70000
  |       ^^^^^

error: `wait` must be a duration such as `10s` or `400us`, found the number `10`
 --> file.yaml:4:7
  |
4 | wait: 10
  |       ^^
  = help: a unit is missing (d, h, m, s, ms, us, ns)

error: `state` must be one of `on`, `off`, found the text `onn`
 --> file.yaml:5:8
  |
5 | state: onn
  |        ^^^
  = help: did you mean `on`?

error: `shared` must be `true` or `false`, found the boolean `yes`
 --> file.yaml:6:9
  |
6 | shared: yes
  |         ^^^
  = help: write `true`

error: item 2 of `list` must be a text, found a list
 --> file.yaml:7:11
  |
7 | list: [a, [b]]
  |           ^^^

error: unknown key `bord`, and the board file needs `board`
 --> file.yaml:8:1
  |
8 | bord: x
  | ^^^^
  = help: did you mean `board`?
");
    let json = diagnostics.to_json(&[]);
    assert_eq!(json[0]["file"], "file.yaml");
    assert_eq!(json.as_array().map(Vec::len), Some(8));
}

#[test]
fn jobs_are_read_as_pyyaml_reads() {
    let text = "a: yes\nb: 0755\nc: 010\nd: [x, 1]\ne: x\n";
    let node = good(text);
    let mut diagnostics = Diagnostics::for_file("file.yaml");
    let mut reader = MapReader::new(&node, "the job", &mut diagnostics).expect("a mapping");
    assert_eq!(reader.required("a").boolean(), Some(true));
    assert_eq!(reader.required("b").int(0..=1000), Some(493));
    assert_eq!(reader.required("c").string(), None);
    assert_eq!(reader.required("d").strings(), None);
    assert_eq!(
        reader.required("e").string_or_strings(),
        Some(vec!["x".to_owned()])
    );
    reader.finish(Unknown::Warn);
    insta::assert_snapshot!(shown(text, &diagnostics), @r#"
error: `c` must be a text, found the number `010`
 --> file.yaml:3:4
  |
3 | c: 010
  |    ^^^
  = help: put it into quotes: "010"

error: item 2 of `d` must be a text, found the number `1`
 --> file.yaml:4:8
  |
4 | d: [x, 1]
  |        ^
  = help: put it into quotes: "1"
"#);
}

#[test]
fn mistakes_of_several_files_are_shown_each_in_its_own() {
    let sources = [
        Source {
            name: "lab.yaml".into(),
            text: "a: x\n".into(),
        },
        Source {
            name: "boards/b.yaml".into(),
            text: "b: [\n".into(),
        },
    ];
    let mut diagnostics = Diagnostics::new();
    let lab = parse_file("lab.yaml", &sources[0].text, &mut diagnostics).expect("faultless");
    assert!(parse_file("boards/b.yaml", &sources[1].text, &mut diagnostics).is_none());
    let a = lab.get("a").expect("there");
    assert_eq!(Field::new(a, "`a`", &mut diagnostics).integer(0..=1), None);
    insta::assert_snapshot!(diagnostics.render(&sources, false), @r"
error: `a` must be a whole number from 0 to 1, found the text `x`
 --> lab.yaml:1:4
  |
1 | a: x
  |    ^

error: `[` is never closed
 --> boards/b.yaml:1:4
  |
1 | b: [
  |    ^
  = help: write `]` where the list or mapping ends
");
}

#[test]
fn nothing_of_a_text_steers_the_terminal() {
    let text = "a: \"\u{202e}x\u{9b}31m\"\n";
    let mut diagnostics = Diagnostics::for_file("evil\u{1b}.yaml");
    let node = parse(text, &mut diagnostics);
    if let Some(node) = node.as_ref().and_then(|node| node.get("a")) {
        diagnostics.error(node.span, node.describe());
    }
    let source = Source {
        name: "evil\u{1b}.yaml".into(),
        text: text.into(),
    };
    let shown = diagnostics.render(&[source], false);
    assert!(!shown.is_empty());
    assert!(
        shown.chars().all(|c| c == '\n' || !c.is_control()),
        "{shown:?}"
    );
    assert!(!shown.contains('\u{202e}'));
}

#[test]
fn long_lines_and_tabs_keep_the_underline_in_place() {
    let text = format!("{{a: [{}], b:\t*x}}\n", "1, ".repeat(100));
    let mut diagnostics = Diagnostics::for_file("file.yaml");
    parse(&text, &mut diagnostics);
    insta::assert_snapshot!(shown(&text, &diagnostics), @r"
error: no anchor `&x` before this alias
 --> file.yaml:1:312
  |
1 | …1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, ], b:    *x}
  |                                                                 ^^
  = help: put the text into quotes if it merely begins with `*`
");
}

#[test]
fn a_flood_of_mistakes_is_counted_and_not_kept() {
    let mut diagnostics = Diagnostics::new();
    for _ in 0..10_000 {
        diagnostics
            .error(basalt_yaml::Span::default(), "x")
            .with_hint("y");
    }
    assert_eq!(
        (diagnostics.len(), diagnostics.error_count()),
        (500, 10_000)
    );
    assert!(
        diagnostics
            .render(&[], false)
            .ends_with("and 9500 more that are not shown\n")
    );
}

#[test]
fn durations_read_and_write() {
    for (text, nanos) in [
        ("10s", 10_000_000_000),
        ("400us", 400_000),
        ("1000us", 1_000_000),
        ("5m", 300_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("250ms", 250_000_000),
        ("7ns", 7),
        ("0s", 0),
        ("2d", 172_800_000_000_000),
    ] {
        assert_eq!(
            parse_duration(text),
            Ok(Duration::from_nanos(nanos)),
            "{text}"
        );
    }
    for text in [
        "",
        "10",
        "s",
        "1.5s",
        "30m1h",
        "1s1s",
        "-1s",
        "1 s",
        "10S",
        "99999999999999d",
        "1h30",
    ] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
    for nanos in [
        0,
        1,
        90_000_000_000,
        5_400_000_000_000,
        1_000_000,
        86_400_000_000_001,
    ] {
        let duration = Duration::from_nanos(nanos);
        assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }
}
