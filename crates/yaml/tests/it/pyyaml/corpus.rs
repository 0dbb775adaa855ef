//! The texts that are compared, and what mutations begin with.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "texts.rs"]
mod texts;

/// A job with every construct that LAVA's users write.
const JOB: &str = include_str!("job.yaml");
/// What LAVA's base template makes of a device, in its own peculiar layout.
const DEVICE: &str = include_str!("device.yaml");

/// Texts at the limits, which are too long to be written down.
fn long() -> Vec<String> {
    let key = |length: usize| format!("{}: b", "a".repeat(length));
    vec![
        key(1022),
        key(1023),
        key(1024),
        key(1025),
        key(1026),
        format!("'{}': b", "é".repeat(1021)),
        format!("'{}': b", "é".repeat(1022)),
        format!("'{}': b", "é".repeat(1023)),
        format!("[{}]", key(1024)),
        format!("[{}]", key(1025)),
        format!("{{{}}}", key(1025)),
        format!("? {}\n: b", "a".repeat(2000)),
        format!("[{}]: b", "a, ".repeat(400)),
        "9".repeat(4300),
        "9".repeat(4301),
        format!("{}.5", "9".repeat(500)),
        format!("1{}", ":00".repeat(200)),
        format!("1{}.0", ":00".repeat(150)),
        format!("1{}.0", ":00".repeat(200)),
        format!("{}a{}", "[".repeat(90), "]".repeat(90)),
        (0..90)
            .map(|level| format!("{}a:\n", " ".repeat(level)))
            .collect(),
        "- ".repeat(90),
    ]
}

/// Plain scalars in every place where they may stand.
fn scalars_in_places() -> Vec<String> {
    let scalars = [
        "yes",
        "010",
        "1:30",
        "1.5",
        "1e3",
        "~",
        "",
        "<<",
        "=",
        "2001-01-01",
        "a b",
        "a#b",
        "a #b",
        "a:b",
        "a,b",
        "-a",
        "?a",
        ":a",
        "'a'",
        "\"a\"",
        "!!str 1",
        "&x a",
        "a\tb",
        "a\u{a0}b",
        "0x_",
        "[a]",
        "{a: b}",
        "|\n  a",
        ">\n  a",
    ];
    let places = [
        "%",
        "- %",
        "a: %",
        "%: a",
        "? %",
        "? %\n: %",
        "[%]",
        "[%, %]",
        "{%}",
        "{%: %}",
        "{a: %}",
        "[a: %]",
        "- - %",
        "- a: %\n  b: c",
        "a:\n  %",
        "a:\n  %\n  b",
        "a: %\nb: c",
        "--- %",
        "---\n%\n...",
        "!!set {%}",
        "!!omap [%: a]",
        "{<<: {a: %}, b: %}",
        "a: % # c",
        "a: %\t",
        "[%,\n%]",
        " %",
        "\n\n  %\n\n",
    ];
    let mut texts = Vec::new();
    for scalar in scalars {
        for place in places {
            texts.push(place.replace('%', scalar));
        }
    }
    texts
}

pub(super) fn texts() -> Vec<String> {
    let mut texts: Vec<String> = texts::TEXTS.iter().map(|text| (*text).to_owned()).collect();
    texts.extend(long());
    texts.extend(scalars_in_places());
    texts.extend(files());
    texts
}

/// What mutations begin with.
pub(crate) fn seeds() -> Vec<String> {
    let mut seeds: Vec<String> = texts::TEXTS.iter().map(|text| (*text).to_owned()).collect();
    let files = files();
    // As many mutations of whole files as of single constructs.
    let copies = seeds.len() / files.len().max(1);
    for file in files {
        seeds.extend(std::iter::repeat_n(file, copies.max(1)));
    }
    seeds
}

/// The YAML files of the repository, and a job and a device in LAVA's manner.
fn files() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut paths = Vec::new();
    for directory in [
        "lab-config",
        "device-types",
        "crates/job/tests",
        "crates/server/tests",
    ] {
        collect(&root.join(directory), &mut paths);
    }
    paths.sort();
    assert!(paths.len() > 10, "{paths:?}");
    let read = |path: PathBuf| fs::read_to_string(path).expect("a readable file");
    let mut files: Vec<String> = paths.into_iter().map(read).collect();
    files.push(JOB.to_owned());
    files.push(DEVICE.to_owned());
    files
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            paths.push(path);
        }
    }
}

/// Encodings, good and broken.
pub(super) fn bytes() -> Vec<Vec<u8>> {
    let text = "a: é\n\u{1f600}: [b]\n";
    let utf16 = |text: &str, unit: fn(u16) -> [u8; 2], mark: [u8; 2]| -> Vec<u8> {
        mark.into_iter()
            .chain(text.encode_utf16().flat_map(unit))
            .collect()
    };
    let le = utf16(text, u16::to_le_bytes, [0xff, 0xfe]);
    let be = utf16(text, u16::to_be_bytes, [0xfe, 0xff]);
    vec![
        text.as_bytes().to_vec(),
        format!("\u{feff}{text}").into_bytes(),
        le[..le.len() - 1].to_vec(),
        be[..be.len() - 1].to_vec(),
        utf16("a: \u{1f600}", u16::to_le_bytes, [0xff, 0xfe])[..10].to_vec(),
        vec![0xff, 0xfe, 0x00, 0xd8, b'a', 0],
        vec![0xff, 0xfe, 0x00, 0xdc, b'a', 0],
        vec![0xff, 0xfe, 0, 0],
        vec![0xff, 0xfe],
        vec![0xfe, 0xff],
        vec![0xef, 0xbb, 0xbf],
        vec![0xef, 0xbb],
        vec![],
        le,
        be,
        b"a: \xff".to_vec(),
        b"a: \xc3".to_vec(),
        b"a: \xc3(".to_vec(),
        b"a: \xed\xa0\x80".to_vec(),
        b"a: \xf4\x90\x80\x80".to_vec(),
        b"a: \xc0\x80".to_vec(),
        b"a: \x00".to_vec(),
        b"a: b\x00c".to_vec(),
        b"a: \x80".to_vec(),
        b"\xef\xbb\xbfa: 1\nb: 2\n".to_vec(),
        b"a: 1\n\xef\xbb\xbfb: 2\n".to_vec(),
    ]
}
