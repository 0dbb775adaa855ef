//! `scripts/recompute.py` over a results directory that Basalt wrote: it agrees, and it does not
//! where anything was changed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use basalt_model::event::ConsoleSpan;
use basalt_model::{Epoch, EventBody, Sha256, Verdict};
use basalt_realtime::cyclictest::parse_json;
use basalt_realtime::{Environment, LatencyRecord, PhaseFacts, PhaseIdentity, RawFile};
use basalt_report::Results;

use crate::documents::{journal, phase};

/// SHA-256 by the system's own program, as on the board.
fn sha256(path: &Path) -> Sha256 {
    let output = Command::new("sha256sum")
        .arg(path)
        .output()
        .expect("sha256sum runs");
    let text = String::from_utf8(output.stdout).expect("hexadecimal digits");
    Sha256::from_str(text.split_whitespace().next().expect("a digest")).expect("a digest")
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for sign in 0..4 {
            match sign <= chunk.len() {
                true => text.push(SIGNS[(word >> (18 - 6 * sign)) as usize & 63] as char),
                false => text.push('='),
            }
        }
    }
    text
}

/// Every byte value in an order that repeats late.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7u32;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

const RECORDINGS: [&str; 9] = [
    "multi.json",
    "overflow.json",
    "quote.json",
    "zero.json",
    "nohist.json",
    "ns.json",
    "smp.json",
    "starved.json",
    "truncated.json",
];

struct Run {
    directory: tempfile::TempDir,
    rack_log: PathBuf,
}

impl Run {
    /// One phase a recording, the last one cut short; a console that lost what the rack sent
    /// between `lost`.
    fn new(lost: std::ops::Range<usize>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = directory.path();
        std::fs::create_dir(root.join("raw")).expect("a directory");
        let mut bodies = vec![EventBody::LeaseGranted {
            epoch: Epoch(1),
            console_from: 40,
        }];
        for name in RECORDINGS {
            bodies.extend(recorded(root, name));
        }
        let sent = noise(5000);
        let mut console = sent[..lost.start].to_vec();
        console.extend(&sent[lost.end..]);
        std::fs::write(root.join("console.bin"), &console).expect("a file");
        if !lost.is_empty() {
            bodies.push(EventBody::ConsoleGap {
                offset: 40 + lost.start as u64,
                reason: "killed".into(),
            });
        }
        bodies.push(EventBody::Console {
            span: ConsoleSpan {
                from: 40,
                to: 40 + console.len() as u64,
            },
        });
        let results = Results::from_events(&journal(bodies)).expect("a journal");
        std::fs::write(root.join("results.json"), results.to_json()).expect("a file");
        let mut log = String::from("{\"ev\":\"power\",\"relay\":1}\n");
        for chunk in sent.chunks(700) {
            let text = base64(chunk);
            log.push_str(&format!(
                "{{\"ev\":\"tx\",\"board\":\"b1\",\"b64\":\"{text}\"}}\n"
            ));
            log.push_str("{\"ev\":\"tx\",\"board\":\"b2\",\"b64\":\"AAAA\"}\n");
        }
        let rack_log = root.join("rack.log");
        std::fs::write(&rack_log, log).expect("a file");
        Self {
            directory,
            rack_log,
        }
    }

    fn replace(&self, file: &str, from: &str, to: &str) {
        let path = self.directory.path().join(file);
        let text = std::fs::read_to_string(&path).expect("a file of the run");
        assert!(text.contains(from), "{from} is not in {file}");
        std::fs::write(path, text.replace(from, to)).expect("a file");
    }

    /// The script's exit code and everything it said.
    fn recompute(&self) -> (Option<i32>, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/recompute.py");
        let output = Command::new("python3")
            .arg(script)
            .arg(self.directory.path())
            .arg(&self.rack_log)
            .args(["b1", "whole"])
            .output()
            .expect("python3 runs");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8(said).expect("UTF-8"),
        )
    }
}

fn recorded(root: &Path, name: &str) -> [EventBody; 2] {
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../realtime/tests/data");
    let bytes = match name {
        "truncated.json" => {
            let whole = std::fs::read(recordings.join("multi.json")).expect("a recording");
            whole[..whole.len() / 2].to_vec()
        }
        _ => std::fs::read(recordings.join(name)).expect("a recording"),
    };
    let path = format!("raw/{name}");
    std::fs::write(root.join(&path), &bytes).expect("a file");
    let digest = sha256(&root.join(&path));
    let facts = PhaseFacts {
        duration: Duration::from_secs(1),
        interval_us: 1000,
        limit_us: Some(400),
        require_preempt_rt: false,
        loads: Vec::new(),
        online_cpus: None,
        kernel_matches: Ok(()),
        environment: Environment::default(),
    };
    let identity = PhaseIdentity {
        phase: name.into(),
        suite: format!("0_{name}"),
        measure: "cyclictest".into(),
        limit_source: "job".into(),
    };
    let raw_file = RawFile {
        path: path.clone(),
        sha256: digest,
        bytes: bytes.len() as u64,
        board_sha256: Some(digest),
    };
    let measured = parse_json(&bytes);
    let record = LatencyRecord::new(identity, measured.as_ref(), &facts, Some(raw_file));
    assert_eq!(
        record.totals.is_none(),
        ["zero.json", "truncated.json"].contains(&name)
    );
    assert!(!record.reason.is_empty() && record.verdict != Verdict::Measured);
    let arrived = EventBody::RawFile {
        path,
        sha256: digest,
        bytes: bytes.len() as u64,
        board_sha256: digest,
        via: "tftp".into(),
    };
    [arrived, phase(record)]
}

#[test]
fn it_agrees_on_every_recording_and_on_a_console_without_gaps() {
    let (code, said) = Run::new(0..0).recompute();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("9 phases and 9 raw files agree"), "{said}");
    assert!(
        said.contains("5000 bytes agree, 0 gaps; 0 sent before, 0 after"),
        "{said}"
    );
}

#[test]
fn it_agrees_on_recorded_gaps_wherever_they_are() {
    for lost in [2000..2300, 0..10, 4990..5000] {
        let (code, said) = Run::new(lost.clone()).recompute();
        assert_eq!(code, Some(0), "{lost:?}: {said}");
        assert!(said.contains("1 gaps"), "{said}");
    }
}

#[test]
fn it_tells_a_console_that_lost_bytes_anywhere_but_at_the_gap() {
    let run = Run::new(2000..2300);
    run.replace("results.json", "\"offset\": 2000", "\"offset\": 1999");
    let (code, said) = run.recompute();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("DIFFERS: "), "{said}");

    let run = Run::new(0..0);
    let console = run.directory.path().join("console.bin");
    let bytes = std::fs::read(&console).expect("a console");
    std::fs::write(&console, &bytes[..4999]).expect("a file");
    let (code, said) = run.recompute();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("the rack sent 0 bytes before and 1 after"),
        "{said}"
    );
}

#[test]
fn it_tells_changed_files_and_changed_numbers() {
    let changes = [
        (
            "raw/multi.json",
            "\"cycles\": 1998",
            "\"cycles\": 1999",
            "SHA-256",
        ),
        (
            "results.json",
            "\"samples\": 3998",
            "\"samples\": 3999",
            "0_multi.json: recomputed",
        ),
        (
            "results.json",
            "\"at_least\": 24",
            "\"exact\": 24",
            "0_overflow.json: recomputed",
        ),
    ];
    for (file, from, to, expected) in changes {
        let run = Run::new(0..0);
        run.replace(file, from, to);
        let (code, said) = run.recompute();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn it_is_at_most_sixty_lines() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/recompute.py");
    let text = std::fs::read_to_string(script).expect("the script");
    assert!(text.lines().count() <= 60 && !text.contains("import basalt"));
}
