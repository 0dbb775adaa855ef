//! Scalars against what PyYAML 6.0.3's safe loader made of them.

use basalt_yaml::{Foreign, Style, Value};

use crate::{good, read};

/// One line a scalar: source, type and value, as recorded from `yaml.safe_load("[ source ]")[0]`.
const RECORDED: &str = include_str!("pyyaml_scalars.tsv");

#[test]
fn plain_scalars_are_what_pyyaml_makes_of_them() {
    let mut count = 0;
    for line in RECORDED.lines() {
        let mut fields = line.split('\t');
        let (Some(source), Some(kind), Some(expected)) =
            (fields.next(), fields.next(), fields.next())
        else {
            panic!("malformed line {line:?}");
        };
        let list = good(&format!("[ {source} ]"));
        let node = &list.as_seq().expect("a list")[0];
        let (found_kind, found) = match node.value() {
            Value::Null => ("null", String::new()),
            Value::Bool(value) => ("bool", value.to_string()),
            Value::Int(value) => ("int", value.to_string()),
            Value::Float(value) => {
                let expected: f64 = expected.parse().expect("recorded as a float");
                let same =
                    value.to_bits() == expected.to_bits() || (value.is_nan() && expected.is_nan());
                assert!(same, "{source}: {value} instead of {expected}");
                ("float", expected.to_string())
            }
            Value::String(text) => ("str", text.to_string()),
            Value::Map(_) => ("map", String::new()),
            Value::Seq(_) => ("seq", String::new()),
            Value::Foreign(_) => ("foreign", String::new()),
        };
        assert_eq!(found_kind, kind, "{source}");
        if kind != "float" {
            assert_eq!(found, expected, "{source}");
        }
        count += 1;
    }
    assert!(count > 100, "{count} scalars recorded");
}

#[test]
fn quoted_and_block_scalars_are_text() {
    let node = good("- 'yes'\n- \"010\"\n- |\n  1\n- >-\n  2\n  3\n- !!str 4\n");
    let found: Vec<(&str, Style)> = node
        .as_seq()
        .expect("a list")
        .iter()
        .map(|item| (item.as_str().expect("text"), item.style().expect("scalar")))
        .collect();
    let expected = [
        ("yes", Style::Quoted),
        ("010", Style::Quoted),
        ("1\n", Style::Block),
        ("2 3", Style::Block),
        ("4", Style::Plain),
    ];
    assert_eq!(found, expected);
}

#[test]
fn tags_of_pyyaml_are_taken_and_others_refused() {
    let node =
        good("[!!int '0x10', !!float 1, !!bool 'Yes', !!null x, ! '12', !!seq [], !!map {}]");
    assert_eq!(node.to_json().to_string(), "[16,1.0,true,null,12,[],{}]");
    let (_, shown) = read("a: !python/object:os.system x\nb: !!int x\n");
    insta::assert_snapshot!(shown, @r"
error: the tag `!python/object:os.system` is not known
 --> file.yaml:1:4
  |
1 | a: !python/object:os.system x
  |    ^^^^^^^^^^^^^^^^^^^^^^^^
  = help: known tags: !!str, !!int, !!float, !!bool, !!null, !!timestamp, !!binary, !!seq, !!map, !!set, !!omap, !!pairs

error: the value `x` does not fit its tag `!!int`: it is no whole number
 --> file.yaml:2:10
  |
2 | b: !!int x
  |          ^
");
}

#[test]
fn an_integer_beyond_64_bits_keeps_its_digits() {
    let node = good("a: 99999999999999999999\nb: -0xffffffffffffffffff\n");
    let digits = |key| match node.get(key).map(|node| node.value()) {
        Some(Value::Foreign(Foreign::BigInt(digits))) => digits.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(digits("a"), "99999999999999999999");
    assert_eq!(digits("b"), "-4722366482869645213695");
}

#[test]
fn source_text_survives_resolution() {
    let node = good("mac: 52:54:00:12:34:56\noutlet: 010\nversion: 6.10\nempty:\n");
    let text = |key| node.get(key).and_then(|node| node.source_text());
    assert_eq!(text("mac"), Some("52:54:00:12:34:56"));
    assert_eq!(text("outlet"), Some("010"));
    assert_eq!(text("version"), Some("6.10"));
    assert_eq!(text("empty"), Some(""));
    assert_eq!(
        node.get("outlet").map(|node| node.value()),
        Some(&Value::Int(8))
    );
}
