//! What processes cost: CPU time and memory, as the kernel accounts them.

use std::fs;

use anyhow::{Context, Result};

/// Clock ticks a second in `/proc` (proc_pid_stat(5)): USER_HZ, 100 on every architecture that
/// boards are served from.
const TICKS: f64 = 100.0;

/// CPU seconds of the three processes of a served lab, and of the whole machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    pub server: f64,
    pub dispatcher: f64,
    pub keeper: f64,
    /// Everything that ran on any core.
    pub machine: f64,
    /// This program: it asks, and is no part of what is asked.
    pub bench: f64,
}

impl Cpu {
    /// Basalt's own part.
    pub fn basalt(&self) -> f64 {
        self.server + self.dispatcher + self.keeper
    }

    /// What the rack used, and whatever else the machine did: all but Basalt.
    pub fn others(&self) -> f64 {
        (self.machine - self.basalt()).max(0.0)
    }

    /// From `before` to this.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            server: self.server - before.server,
            dispatcher: self.dispatcher - before.dispatcher,
            keeper: self.keeper - before.keeper,
            machine: self.machine - before.machine,
            bench: self.bench - before.bench,
        }
    }
}

/// The processes of a served lab.
#[derive(Clone, Copy, Debug)]
pub struct Processes {
    pub server: u32,
    /// Absent where a server is measured alone.
    pub dispatcher: Option<u32>,
    pub keeper: Option<u32>,
}

impl Processes {
    /// CPU times until now, each with those of the children that it has waited for.
    pub fn cpu(&self) -> Result<Cpu> {
        let of = |pid: Option<u32>| pid.map_or(Ok(0.0), cpu_of);
        Ok(Cpu {
            server: cpu_of(self.server)?,
            dispatcher: of(self.dispatcher)?,
            keeper: of(self.keeper)?,
            machine: machine()?,
            bench: cpu_of(std::process::id())?,
        })
    }

    /// Memory of all of them, MiB: pages that several share count as their part of it (Pss).
    pub fn memory(&self) -> Result<[f64; 3]> {
        let of = |pid: Option<u32>| pid.map_or(Ok(0.0), memory_of);
        Ok([
            memory_of(self.server)?,
            of(self.dispatcher)?,
            of(self.keeper)?,
        ])
    }
}

/// `utime`, `stime`, `cutime` and `cstime` of `/proc/PID/stat`, seconds.
fn cpu_of(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    stat_ticks(&text)
        .map(|ticks| ticks / TICKS)
        .with_context(|| format!("{path} is not as proc(5) says"))
}

fn stat_ticks(text: &str) -> Option<f64> {
    // The program's name, in parentheses, may hold anything.
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // Fields 14 to 17, where the one after the name is 3.
    let times = fields.get(11..15)?;
    times
        .iter()
        .map(|word| word.parse::<f64>().ok())
        .sum::<Option<f64>>()
}

/// What all cores did but wait, seconds: `user nice system idle iowait irq softirq steal …` of the
/// first line of `/proc/stat`.
fn machine() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let words: Option<Vec<f64>> = line
        .split_whitespace()
        .skip(1)
        .map(|word| word.parse().ok())
        .collect();
    match words.as_deref() {
        Some([user, nice, system, _, _, irq, softirq, ..]) => {
            Ok((user + nice + system + irq + softirq) / TICKS)
        }
        _ => anyhow::bail!("/proc/stat is not as proc(5) says: {line}"),
    }
}

fn memory_of(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib: Option<f64> =
        line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
    Ok(kib.with_context(|| format!("{path} has no Pss"))? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 11 22 33 44 20 0 1 0 5";
        assert_eq!(stat_ticks(line), Some(110.0));
        assert_eq!(stat_ticks("7 (short) S 1"), None);
    }

    #[test]
    fn this_process_has_memory_and_the_machine_time() {
        assert!(memory_of(std::process::id()).unwrap() > 0.1);
        assert!(machine().unwrap() > 0.0);
    }
}
