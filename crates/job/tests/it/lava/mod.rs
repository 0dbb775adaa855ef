//! The verdicts of LAVA's own schemas, a black box beside ours.
//!
//! `cargo xtask campaign jobs` unpacks LAVA's packages and runs this; by itself it is ignored.
//! Environment: `BASALT_LAVA_PYTHON` (an interpreter), `BASALT_LAVA_PATH` (its `PYTHONPATH`, with
//! `lava_common` and `lava_scheduler_app`), `BASALT_CAMPAIGN_SEED`, `BASALT_CAMPAIGN_CASES`, and
//! `BASALT_LAVA_JOBS`, a directory with more jobs to begin with.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use basalt_job::{Options, Reading, read_with};
use basalt_yaml::{Diagnostics, Severity};

type Answer = (String, Option<String>, Option<String>, Option<String>);

fn setting(name: &str, otherwise: &str) -> String {
    env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

/// What we say against a job; None if we take it.
fn ours(text: &str, reading: Reading) -> Option<String> {
    let mut diagnostics = Diagnostics::new();
    let options = Options {
        reading,
        ..Options::default()
    };
    if read_with("job.yaml", text, &options, &mut diagnostics).is_some() {
        return None;
    }
    let errors: Vec<String> = diagnostics
        .sorted()
        .into_iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|diagnostic| diagnostic.message.clone())
        .collect();
    Some(errors.join(" | "))
}

/// What LAVA has learned between 2023.01 and 2026.10: words of jobs that only the newer one takes.
const LEARNED: &[&str] = &[
    "avh",
    "qdl",
    "usbg-ms",
    "to: sd",
    "nodebooter",
    "services:",
    "filename:",
    "use_cache:",
    "overlay_backend:",
    "login:",
    "boot_part:",
    "root_uuid:",
    "kernel_type:",
    "kernel:",
    "ramdisk:",
    "dtb:",
    "reset",
    "dtbo:",
    "extra_files:",
    "shallow:",
    "recursive:",
    "expected:",
    "strip-components:",
    "headers:",
    "device:",
    "worker:",
    "no_network",
    "deploy_character_delay",
    "pool_pattern:",
    "uniquify:",
    "download:",
    "image:",
    "root_partition:",
    "devices:",
    "skip_uuu_if_bootloader_valid:",
    "coretype:",
    "commands:",
    "prompts:",
    "disconnect_connection:",
    "git-repos:",
    "branch:",
    "from: url",
    "to: tftp",
    "method: ssh",
    "method: fvp",
    "method: bootloader",
    "environment:",
    "overlays:",
    "erpc_app:",
    "ubl_license:",
];

/// What it has forgotten, or looks at more closely now.
const FORGOTTEN: &[&str] = &[
    "lxc",
    "vland",
    "qcow2",
    "secrets:",
    "connection:",
    "flasher",
    "to: usb",
    "to: sata",
    "images:",
    "timeout",
    "context:",
    "metadata",
    "role",
    "protocols:",
];

/// Whether a difference is known and meant.
fn deliberate(text: &str, ours: Option<&str>, release: &str) -> bool {
    // A kind of test that LAVA does not have.
    if text.contains("realtime:") {
        return true;
    }
    let words = match ours {
        None => LEARNED,
        Some(_) => FORGOTTEN,
    };
    release.starts_with("2023.01") && words.iter().any(|word| text.contains(word))
}

#[test]
fn jobs_are_taken_and_refused_as_lava_does() {
    if env::var_os("BASALT_LAVA_PATH").is_none() {
        eprintln!("skipped: needs LAVA's packages; `cargo xtask campaign jobs` fetches them");
        return;
    }
    let release = setting("BASALT_LAVA_RELEASE", "");
    let jobs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jobs");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/lava/oracle.py");
    let mut child = Command::new(setting("BASALT_LAVA_PYTHON", "/usr/bin/python3"))
        .args(["-s", script])
        .arg(setting("BASALT_CAMPAIGN_SEED", "1"))
        .arg(setting("BASALT_CAMPAIGN_CASES", "400"))
        .arg(jobs)
        .args(env::var("BASALT_LAVA_JOBS"))
        .env("PYTHONPATH", setting("BASALT_LAVA_PATH", ""))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let (mut asked, mut taken, mut meant, mut submitted) = (0, 0, 0, 0);
    let mut differences = Vec::new();
    for line in output.lines() {
        let (text, strict, lax, submission): Answer =
            serde_json::from_str(&line.expect("readable")).expect("four values");
        for (reading, lava) in [(Reading::Strict, &strict), (Reading::Lax, &lax)] {
            asked += 1;
            let own = ours(&text, reading);
            taken += usize::from(own.is_none());
            if own.is_none() == lava.is_none() {
                continue;
            }
            if deliberate(&text, own.as_deref(), &release) {
                meant += 1;
            } else {
                differences.push(format!(
                    "{reading:?}: LAVA says {lava:?}, we say {own:?} of\n{text}"
                ));
            }
        }
        submitted += usize::from(submission.is_some() != lax.is_some());
    }
    assert!(child.wait().expect("it was started").success());
    println!(
        "LAVA {release}: {asked} verdicts, {taken} taken, {meant} known differences, {} others; \
         LAVA's schema for submissions differs from its own lax one on {submitted} jobs",
        differences.len()
    );
    assert!(asked > 0, "the oracle said nothing");
    assert!(
        differences.is_empty(),
        "{} differences, the first:\n{}",
        differences.len(),
        differences[..differences.len().min(5)].join("\n----\n")
    );
}
