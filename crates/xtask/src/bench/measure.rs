//! What one command costs the host: wall and CPU time, memory, bytes written, calls of fsync.
//!
//! `scripts/measure.py` starts the command and reads its resource usage, which Rust's standard
//! library does not give; strace counts what makes data durable.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{process, workspace};

/// What `scripts/measure.py` writes.
#[derive(Clone, Debug, Deserialize)]
pub struct Cost {
    /// From start to end, seconds.
    pub wall_s: f64,
    /// CPU time in the program, seconds.
    pub user_s: f64,
    /// CPU time in the kernel for it, seconds.
    pub system_s: f64,
    /// Most resident memory, KiB.
    pub peak_kib: u64,
    /// Bytes written to file systems, in whole pages.
    pub written_bytes: u64,
}

impl Cost {
    /// CPU time in all, seconds.
    pub fn cpu_s(&self) -> f64 {
        self.user_s + self.system_s
    }

    /// Reads what the script wrote.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("reading {}", file.display()))
    }
}

/// Makes of `run` (a way to start `python3`) a command that measures what is appended to it. The
/// cost is in `file` when it has ended.
pub fn measured(mut run: Command, file: &Path, limit: Duration) -> Command {
    run.arg(workspace::root().join("scripts/measure.py"))
        .arg(file)
        .arg(limit.as_secs().to_string());
    run
}

/// Makes of `run` (a way to start `strace`) a command that counts, in the program appended to it
/// and all its threads, the calls that make data durable.
pub fn counted(mut run: Command, file: &Path) -> Command {
    run.args(["-f", "-qq", "-c", "-e"])
        .arg("trace=fsync,fdatasync,syncfs,sync_file_range,msync")
        .arg("-o")
        .arg(file)
        .arg("--");
    run
}

/// Runs a command that [`counted`] made; returns the number of calls.
pub fn count(command: &mut Command, file: &Path, limit: Duration) -> Result<u64> {
    process::run(command, limit)?;
    let table = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    calls(&table).with_context(|| format!("{} is not strace's table:\n{table}", file.display()))
}

/// The calls in strace's summary: `% time, seconds, usecs/call, calls, [errors,] syscall` a line,
/// the sum in the last. Empty where there were none.
fn calls(table: &str) -> Option<u64> {
    if table.trim().is_empty() {
        return Some(0);
    }
    table
        .lines()
        .find(|line| line.ends_with(" total"))?
        .split_whitespace()
        .nth(3)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_from_a_table_with_and_without_errors() {
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 90.00    0.000900          90        10         1 fdatasync
 10.00    0.000100         100         1           fsync
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000          90        11         1 total
";
        assert_eq!(calls(table), Some(11));
        assert_eq!(calls(""), Some(0));
        assert_eq!(calls("strace: not permitted"), None);
    }

    #[test]
    fn a_command_is_measured_with_its_exit_status() {
        let file = std::env::temp_dir().join(format!("basalt-measure-{}", std::process::id()));
        let mut command = measured(Command::new("python3"), &file, Duration::from_secs(30));
        command.args([
            "sh",
            "-c",
            "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 3",
        ]);
        let failed = process::run(&mut command, Duration::from_secs(60)).unwrap_err();
        assert!(failed.to_string().contains("exit status: 3"), "{failed}");
        let cost = Cost::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(cost.wall_s > 0.0 && cost.cpu_s() > 0.0, "{cost:?}");
        assert!(cost.cpu_s() < cost.wall_s * 4.0, "{cost:?}");
        assert!((1..50_000).contains(&cost.peak_kib), "{cost:?}");
    }
}
