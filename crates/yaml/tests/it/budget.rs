//! What a text may cost: counted nodes, levels and bytes, never time.

use std::process::Command;

use basalt_yaml::{Diagnostics, MAX_BYTES, decode, parse};

use crate::read;

/// Names the text whose parsing the test below shall measure.
const MEASURED: &str = "BASALT_YAML_MEASURED";

/// Texts of a few hundred bytes to a few hundred kilobytes that grow when they are read without care.
fn hostile(name: &str) -> String {
    let mut text = String::new();
    match name {
        "aliases" => {
            text.push_str("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
            for level in 1..30 {
                let list = [format!("*a{}", level - 1).as_str(); 9].join(", ");
                text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
            }
        }
        "merges" => {
            text.push_str("m0: &m0 {k: v}\n");
            for level in 1..60 {
                let before = level - 1;
                text.push_str(&format!(
                    "m{level}: &m{level} {{<<: [*m{before}, *m{before}], k{level}: v}}\n"
                ));
            }
        }
        "brackets" => text.push_str(&"[".repeat(200_000)),
        "dashes" => text.push_str(&"- ".repeat(100_000)),
        "questions" => text.push_str(&"? ".repeat(100_000)),
        other => panic!("no text {other}"),
    }
    text
}

/// The most memory that this process has had, in KiB.
fn high_water() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says what it holds");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a line of memory");
    let digits = line.trim().trim_end_matches(" kB");
    digits.parse().expect("a number")
}

/// In a process of its own, since the tests beside it take memory as well.
#[test]
fn a_small_text_never_takes_ten_megabytes() {
    for name in ["aliases", "merges", "brackets", "dashes", "questions"] {
        let output = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "budget::what_one_text_takes", "--nocapture"])
            .env(MEASURED, name)
            .output()
            .expect("the tests start");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{name}: {said}");
        let kibibytes: u64 = said
            .split_once("taken:")
            .and_then(|(_, rest)| rest.split_whitespace().next())
            .and_then(|digits| digits.parse().ok())
            .unwrap_or_else(|| panic!("{name}: {said}"));
        assert!(kibibytes < 10 * 1024, "{name} takes {kibibytes} KiB");
    }
}

/// Says what the test above asks for.
#[test]
fn what_one_text_takes() {
    let name = std::env::var(MEASURED).unwrap_or("aliases".to_owned());
    let text = hostile(&name);
    let before = high_water();
    let mut diagnostics = Diagnostics::new();
    assert!(parse(&text, &mut diagnostics).is_none());
    println!("taken: {} KiB", high_water() - before);
}

#[test]
fn a_text_of_ten_megabytes_is_refused_by_its_size() {
    let text = format!("a: {}\n", "x".repeat(10_000_000));
    let (node, shown) = read(&text);
    assert!(node.is_none());
    insta::assert_snapshot!(shown, @r"
error: the text is longer than 8 MiB (8388608 bytes)
 --> file.yaml
 = help: fetch large data by its URL instead of writing it into the file
");
    let mut diagnostics = Diagnostics::new();
    assert!(decode(text.as_bytes(), &mut diagnostics).is_none());
    let said = &diagnostics.sorted()[0].message;
    assert!(said.contains("longer than 8 MiB"), "{said}");
}

/// Each of these is linear; if one were not, this test would take minutes instead of a second.
#[test]
fn long_texts_of_every_kind_are_read_to_their_end() {
    let texts = [
        "a: b\n".repeat(100_000),
        "- [a, b, {c: d}]\n".repeat(20_000),
        "a: ".repeat(100_000),
        format!("[{}]", "a: b, ".repeat(50_000)),
        format!("{{{}}}", "é: 'ü', ".repeat(50_000)),
        format!("a: \"{}\"", "\\n ".repeat(100_000)),
        format!("a: '{}'", "b\n\n ".repeat(100_000)),
        format!("a: {}", "b\n  ".repeat(100_000)),
        format!("a: |\n{}", "  é\n".repeat(100_000)),
        format!("a: >\n{}", "\n".repeat(200_000)),
        "# comment\n".repeat(50_000),
        " ".repeat(500_000),
        (0..20_000).map(|n| format!("k{n}: &a{n} {n}\n")).collect(),
        format!("x: &x {{a: b}}\ny:\n{}", "- *x\n".repeat(50_000)),
        format!(
            "x: &x {{a: b}}\ny:\n{}",
            "- {<<: *x, c: d}\n".repeat(20_000)
        ),
        "!!int '1' ".repeat(20_000),
        "&a ".repeat(50_000),
        "9".repeat(400_000),
        format!("1{}", ":1".repeat(100_000)),
        "'".repeat(300_001),
        "}".repeat(200_000),
        "---\n".repeat(50_000),
        format!("a: {}", "b: ".repeat(300)),
    ];
    for text in texts {
        assert!(text.len() < MAX_BYTES);
        let mut diagnostics = Diagnostics::new();
        let node = parse(&text, &mut diagnostics);
        assert!(node.is_some() || diagnostics.has_errors());
    }
}
