//! What a LAVA dictionary costs on its way to a profile, beside Jinja2 and PyYAML in the same run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{Options, Row};
use crate::oracle::Oracle;
use crate::{process, templates, workspace};

const LIMIT: Duration = Duration::from_secs(900);
/// As many kinds and boards as a large lab has.
const KINDS: usize = 20;
const BOARDS: usize = 1000;

/// Seconds a board.
#[derive(Deserialize)]
struct Ours {
    new: Vec<f64>,
    known: Vec<f64>,
}

#[derive(Deserialize)]
struct Theirs {
    seconds: Vec<f64>,
}

/// A thousand boards of twenty of LAVA's device types.
pub fn measure(_: &Options) -> Result<Vec<Row>> {
    let oracle = Oracle::open()?;
    let directory = lab(&oracle.device_types())?;
    let mut own = Command::new(templates::example("basalt-lab", "lava_profiles")?);
    let ours: Ours = read(own.arg(&directory))?;
    let mut python = oracle.python();
    let script = workspace::root().join("scripts/lava_profiles.py");
    let theirs: Theirs = read(python.arg(script).arg(&directory))?;

    let milliseconds = |name: &str, seconds: &[f64]| {
        let samples: Vec<f64> = seconds.iter().map(|one| one * 1e3).collect();
        Row::median(name, &samples, "ms")
    };
    let new = milliseconds(
        "lava: a dictionary to profile, context not seen before",
        &ours.new,
    );
    let known = milliseconds("lava: a dictionary to profile, context known", &ours.known);
    let python = milliseconds(
        "lava: a dictionary, Jinja2 and PyYAML (libyaml)",
        &theirs.seconds,
    );
    let share = |name: &str, row: &Row| Row::once(name, row.value / python.value, "x");
    Ok(vec![
        share(
            "lava: Basalt's share of that time, context not seen before",
            &new,
        ),
        share("lava: Basalt's share of that time, context known", &known).aimed(0.02),
        new.aimed(1.0),
        known.aimed(1.0),
        python,
    ])
}

fn read<T: for<'de> Deserialize<'de>>(command: &mut Command) -> Result<T> {
    let said = process::run(command, LIMIT)?;
    serde_json::from_str(&said).with_context(|| format!("it said {said}"))
}

/// Writes the dictionaries; the device types are read where they lie.
fn lab(types: &Path) -> Result<PathBuf> {
    let directory = workspace::root().join("target/bench/lava");
    let devices = directory.join("devices");
    if directory.exists() {
        fs::remove_dir_all(&directory).context("removing the last bench's dictionaries")?;
    }
    fs::create_dir_all(&devices).context("making a directory for dictionaries")?;
    symlink(types, directory.join("device-types")).context("linking LAVA's device types")?;
    let mut kinds: Vec<String> = fs::read_dir(types)
        .with_context(|| format!("reading {}", types.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            name.ends_with(".jinja2") && !name.contains("base") && !name.contains("common")
        })
        .collect();
    kinds.sort();
    if kinds.len() < KINDS {
        bail!("{} holds {} device types", types.display(), kinds.len());
    }
    let apart = kinds.len() / KINDS;
    for number in 0..BOARDS {
        let kind = &kinds[number % KINDS * apart];
        let text = format!(
            "{{% extends '{kind}' %}}\n{{% set connection_command = 'telnet ser2net {}' %}}\n\
             {{% set power_on_command = 'pdu {number} on' %}}\n\
             {{% set power_off_command = 'pdu {number} off' %}}\n",
            7000 + number
        );
        fs::write(devices.join(format!("board-{number}.jinja2")), text)
            .context("writing a dictionary")?;
    }
    Ok(directory)
}
