//! The same texts read here and by PyYAML: accepted or refused alike, and the same values.
//!
//! The oracle is `CSafeLoader`, the loader that LAVA uses; where PyYAML's other safe loader
//! differs is written down in [`known`], and so is where this crate differs on purpose.

pub(crate) mod corpus;
mod known;
pub(crate) mod mutate;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use basalt_yaml::{Diagnostics, Foreign, Node, Value, decode, parse};
use serde_json::{Value as Json, json};

use mutate::Random;

const ORACLE: &str = include_str!("oracle.py");

/// What PyYAML makes of a text.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    /// The JSON of its canonical value; as a text, since it may be deeply nested.
    Value(String),
    Refused(String),
    /// So much, or so deep, that it was not written down.
    Large,
}

impl Answer {
    fn read(answer: &Json) -> Self {
        if let Some(value) = answer.get("value").and_then(Json::as_str) {
            Self::Value(value.to_owned())
        } else if let Some(error) = answer.get("error").and_then(Json::as_str) {
            Self::Refused(error.to_owned())
        } else {
            assert_eq!(answer, &json!({"large": true}));
            Self::Large
        }
    }
}

/// A Python that has PyYAML with libyaml. Its absence is a failure: nothing would be compared.
fn python() -> &'static str {
    let works = |program: &&str| {
        Command::new(program)
            .args(["-c", "import yaml; yaml.CSafeLoader"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(works)
        .expect("python3 has no PyYAML with libyaml; install the Debian package python3-yaml")
}

/// Asks PyYAML's loaders, which are called `c` and `python`, about each document.
fn ask(documents: &[Json], loaders: &[&str]) -> Vec<BTreeMap<String, Answer>> {
    let mut child = Command::new(python())
        .args(["-c", ORACLE])
        .args(loaders)
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut input = child.stdin.take().expect("piped");
    let output = child.stdout.take().expect("piped");
    let lines: String = documents.iter().map(|text| format!("{text}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let answers: Vec<BTreeMap<String, Answer>> = BufReader::new(output)
        .lines()
        .map(|line| {
            let line = line.expect("the oracle writes UTF-8");
            let answers: BTreeMap<String, Json> =
                serde_json::from_str(&line).expect("the oracle writes JSON");
            let read = |(name, answer): (String, Json)| (name, Answer::read(&answer));
            answers.into_iter().map(read).collect()
        })
        .collect();
    writer
        .join()
        .expect("the writer does not panic")
        .expect("the oracle reads to the end");
    assert!(child.wait().expect("the oracle ends").success());
    assert_eq!(answers.len(), documents.len());
    answers
}

/// A value as the oracle writes it.
fn canonical(node: &Node) -> Json {
    let all = |items: &[Node]| -> Vec<Json> { items.iter().map(canonical).collect() };
    match node.value() {
        Value::Null => json!(["null"]),
        Value::Bool(value) => json!(["bool", value]),
        Value::Int(value) => json!(["int", hexadecimal(&value.to_string())]),
        Value::Float(value) if value.is_nan() => json!(["float", "nan"]),
        Value::Float(value) => json!(["float", format!("{:016x}", value.to_bits())]),
        Value::String(text) => json!(["str", &**text]),
        Value::Seq(items) => json!(["list", all(items)]),
        Value::Map(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| json!([canonical(key), canonical(value)]));
            json!(["dict", entries.collect::<Vec<Json>>()])
        }
        Value::Foreign(Foreign::BigInt(digits)) => json!(["int", hexadecimal(digits)]),
        Value::Foreign(Foreign::Date(date)) => json!(["date", date.to_string()]),
        Value::Foreign(Foreign::DateTime(time)) => json!(["datetime", time.to_string()]),
        Value::Foreign(Foreign::Binary(bytes)) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!(["bytes", digits])
        }
        Value::Foreign(Foreign::Set(items)) => {
            let mut items = all(items);
            // As Python's `json.dumps` writes them.
            items.sort_by_key(python_json);
            json!(["set", items])
        }
        Value::Foreign(Foreign::Pairs(pairs)) => {
            let pairs = pairs
                .iter()
                .map(|(key, value)| json!(["tuple", [canonical(key), canonical(value)]]));
            json!(["list", pairs.collect::<Vec<Json>>()])
        }
    }
}

/// Python's `json.dumps`: blanks behind commas and colons, and nothing beyond ASCII.
fn python_json(value: &Json) -> String {
    match value {
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(python_json).collect();
            format!("[{}]", items.join(", "))
        }
        Json::String(text) => {
            let mut out = String::new();
            for unit in Json::from(text.as_str()).to_string().encode_utf16() {
                match char::from_u32(u32::from(unit)).filter(char::is_ascii) {
                    Some(character) => out.push(character),
                    None => out.push_str(&format!("\\u{unit:04x}")),
                }
            }
            out
        }
        other => other.to_string(),
    }
}

/// Python's `hex()` of a decimal number: schoolbook division by sixteen.
fn hexadecimal(decimal: &str) -> String {
    let (sign, digits) = match decimal.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", decimal),
    };
    let mut digits: Vec<u32> = digits
        .chars()
        .map(|c| c.to_digit(10).expect("decimal"))
        .collect();
    let mut out = Vec::new();
    while digits.iter().any(|digit| *digit != 0) {
        let mut carry = 0;
        for digit in &mut digits {
            let value = carry * 10 + *digit;
            *digit = value / 16;
            carry = value % 16;
        }
        out.push(char::from_digit(carry, 16).expect("below sixteen"));
    }
    if out.is_empty() {
        out.push('0');
    }
    out.reverse();
    format!("{sign}0x{}", out.into_iter().collect::<String>())
}

/// What this crate makes of a text. Refused: the messages of its errors.
fn own(document: &Json) -> Result<String, String> {
    let mut diagnostics = Diagnostics::new();
    let node = match document.get("hex").and_then(Json::as_str) {
        Some(digits) => {
            let bytes: Vec<u8> = (0..digits.len())
                .step_by(2)
                .map(|place| u8::from_str_radix(&digits[place..place + 2], 16).expect("hex"))
                .collect();
            decode(&bytes, &mut diagnostics).and_then(|text| parse(&text, &mut diagnostics))
        }
        None => parse(document.as_str().expect("a text"), &mut diagnostics),
    };
    let errors: Vec<&str> = diagnostics
        .iter()
        .filter(|one| one.severity == basalt_yaml::Severity::Error)
        .map(|one| one.message.as_str())
        .collect();
    match node {
        Some(node) if errors.is_empty() => Ok(python_json(&canonical(&node))),
        Some(_) => Err(errors.join("; ")),
        None => {
            assert!(!errors.is_empty(), "refused without a word: {document}");
            Err(errors.join("; "))
        }
    }
}

/// What differs between here and `CSafeLoader`, deliberate differences apart, and how many texts
/// both accept.
fn differences(documents: &[Json]) -> (Vec<String>, usize) {
    let answers = ask(documents, &["c"]);
    let mut found = Vec::new();
    let mut accepted = 0;
    for (document, answers) in documents.iter().zip(answers) {
        let own = own(document);
        accepted += usize::from(own.is_ok());
        let theirs = &answers["c"];
        let same = match (&own, theirs) {
            (Ok(own), Answer::Value(theirs)) => own == theirs,
            (Err(_), Answer::Refused(_)) => true,
            (_, Answer::Large) => true,
            _ => false,
        };
        if !same && known::deliberate(document, &own, theirs).is_none() {
            found.push(format!(
                "{document}\n  own:    {own:?}\n  PyYAML: {theirs:?}"
            ));
        }
    }
    (found, accepted)
}

/// Returns how many of the texts are accepted.
fn assert_no_differences(documents: &[Json], context: &str) -> usize {
    let (found, accepted) = differences(documents);
    // Texts that nobody accepts would show little.
    assert!(
        accepted * 10 > documents.len(),
        "{accepted} of {}",
        documents.len()
    );
    let first: Vec<&String> = found.iter().take(8).collect();
    assert!(
        found.is_empty(),
        "{} of {} texts are read differently ({context}):\n{}",
        found.len(),
        documents.len(),
        first
            .iter()
            .map(|one| one.as_str())
            .collect::<Vec<&str>>()
            .join("\n")
    );
    accepted
}

#[test]
fn the_corpus_is_read_as_pyyaml_reads_it() {
    let documents: Vec<Json> = corpus::texts().into_iter().map(Json::from).collect();
    assert!(documents.len() > 500, "{}", documents.len());
    assert_no_differences(&documents, "the corpus");
}

#[test]
fn bytes_are_decoded_as_pyyaml_decodes_them() {
    let documents: Vec<Json> = corpus::bytes()
        .into_iter()
        .map(|bytes| {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hex": digits })
        })
        .collect();
    assert_no_differences(&documents, "bytes");
}

/// `BASALT_CAMPAIGN_SEED` draws other mutations, and `BASALT_CAMPAIGN_CASES` says how many: the
/// long run of `cargo xtask campaign yaml`.
#[test]
fn mutations_of_the_corpus_are_read_as_pyyaml_reads_them() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let seed = number("BASALT_CAMPAIGN_SEED", 1);
    let cases = number("BASALT_CAMPAIGN_CASES", 4000);
    let mut random = Random::new(seed);
    let seeds = corpus::seeds();
    let (mut left, mut accepted) = (cases, 0);
    while left > 0 {
        let batch = left.min(20_000);
        let documents: Vec<Json> = (0..batch)
            .map(|_| Json::from(mutate::mutation(&seeds, &mut random)))
            .collect();
        accepted += assert_no_differences(&documents, &format!("seed {seed}"));
        left -= batch;
    }
    println!("{cases} mutations of seed {seed} are read alike, {accepted} of them accepted");
}

/// Where the two loaders of PyYAML disagree is known, so that a new release of either shows.
#[test]
fn the_loaders_of_pyyaml_disagree_only_where_that_is_known() {
    let documents: Vec<Json> = corpus::texts().into_iter().map(Json::from).collect();
    let mut seen = BTreeMap::new();
    for (document, answers) in documents.iter().zip(ask(&documents, &["c", "python"])) {
        let (c, python) = (&answers["c"], &answers["python"]);
        let both_refuse = matches!((c, python), (Answer::Refused(_), Answer::Refused(_)));
        if c == python || both_refuse {
            continue;
        }
        let text = document.as_str().expect("a text");
        match known::between_loaders(text, c, python) {
            Some(name) => *seen.entry(name).or_insert(0) += 1,
            None => panic!("{document}\n  CSafeLoader: {c:?}\n  SafeLoader:  {python:?}"),
        }
    }
    let names: Vec<&str> = seen.into_keys().collect();
    assert_eq!(names, known::BETWEEN_LOADERS.map(|(name, _)| name));
}
