//! What a measurement holds for: kernel, board, settings (decision D17).
//!
//! Part of it is read on the board, by a script that writes `environment.txt`: lines of
//! `key=value`, a value being one line without quotes, a key that could not be read left out or
//! left empty. The keys are those of [`KEYS`]; others are kept as they are. The rest is known to
//! the host and filled in there. Where `/sys` has one value a CPU, the script joins the distinct
//! ones with commas.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that a latency depends on, as far as it could be read. Text fields hold what the
/// source says, unchanged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// SHA-256 of the kernel image that was served. From the host.
    pub image_sha256: Option<String>,
    /// `Linux version …` as embedded in the image that was served. From the host.
    pub image_linux_version: Option<String>,
    /// `Linux version …` as the board's kernel printed it at boot. From the host.
    pub banner: Option<String>,
    /// The boot loader's line about itself: `U-Boot 2023.01 …`. From the host.
    pub firmware: Option<String>,
    /// What the board's clock is worth, where its file says so (decision D12). From the host.
    pub timebase: Option<String>,
    /// The measurement's command line. From the host.
    pub measure_command: Option<String>,
    /// The loads' command lines. From the host.
    pub load_commands: Vec<String>,

    /// `uname -r`.
    pub uname_r: Option<String>,
    /// `uname -v`: holds PREEMPT_RT (or PREEMPT RT) on a realtime kernel.
    pub uname_v: Option<String>,
    /// `uname -m`.
    pub uname_m: Option<String>,
    /// `/proc/version`.
    pub proc_version: Option<String>,
    /// `/proc/cmdline`.
    pub cmdline: Option<String>,
    /// CONFIG_PREEMPT_RT of the running kernel (`/proc/config.gz`): `y` or `n`.
    pub preempt_rt_config: Option<bool>,
    /// SHA-256 of the running kernel's configuration.
    pub config_sha256: Option<String>,
    /// `/sys/kernel/realtime`: `1` or `0`. Mainline has no such file.
    pub sys_kernel_realtime: Option<bool>,
    /// `/sys/devices/system/clocksource/clocksource0/current_clocksource`.
    pub clocksource: Option<String>,
    /// `…/cpufreq/scaling_governor`.
    pub governor: Option<String>,
    /// Driver and enabled idle states: `psci_idle: WFI,cpu-sleep`.
    pub cpuidle: Option<String>,
    /// `/proc/sys/kernel/sched_rt_runtime_us`; -1 is no throttling.
    pub sched_rt_runtime_us: Option<i64>,
    /// `/sys/devices/system/cpu/online`: `0-3`.
    pub cpus_online: Option<String>,
    /// `/proc/device-tree/model`.
    pub model: Option<String>,
    /// `/proc/device-tree/serial-number` or what else tells one board from its twin.
    pub hardware_id: Option<String>,
    /// `hackbench --help`'s package version, or rt-tests' version.
    pub hackbench_version: Option<String>,
    /// First line of `cyclictest --help`: `cyclictest V 2.40`.
    pub cyclictest_version: Option<String>,
    /// Keys that this build does not know, and values that are not what their key promises.
    pub other: BTreeMap<String, String>,
}

/// The keys of `environment.txt`.
pub const KEYS: [&str; 17] = [
    "uname_r",
    "uname_v",
    "uname_m",
    "proc_version",
    "cmdline",
    "preempt_rt_config",
    "config_sha256",
    "sys_kernel_realtime",
    "clocksource",
    "governor",
    "cpuidle",
    "sched_rt_runtime_us",
    "cpus_online",
    "model",
    "hardware_id",
    "hackbench_version",
    "cyclictest_version",
];

/// Why a kernel counts as a realtime one, or that nothing says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtEvidence {
    /// What proves it; empty: nothing does.
    pub sources: Vec<RtSource>,
    /// What /sys/kernel/realtime says. It confirms and never decides: mainline lacks the file, and
    /// cyclictest reports that as 0.
    pub sysfs: Option<bool>,
}

/// A proof that a kernel is a realtime one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RtSource {
    /// `uname -v` holds PREEMPT_RT or PREEMPT RT.
    UnameVersion,
    /// CONFIG_PREEMPT_RT=y in the running kernel's configuration.
    Config,
}

impl RtEvidence {
    /// True where something proves that the kernel is a realtime one.
    pub fn is_realtime(&self) -> bool {
        !self.sources.is_empty()
    }
}

impl std::fmt::Display for RtEvidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sources = self.sources.iter().map(|source| match source {
            RtSource::UnameVersion => "PREEMPT_RT in uname -v",
            RtSource::Config => "CONFIG_PREEMPT_RT=y",
        });
        let mut words: Vec<_> = sources.collect();
        if words.is_empty() {
            words.push("none");
        }
        match self.sysfs {
            Some(true) => words.push("/sys/kernel/realtime is 1"),
            Some(false) => words.push("/sys/kernel/realtime is 0"),
            None => {}
        }
        f.write_str(&words.join(", "))
    }
}

impl Environment {
    /// Reads `environment.txt`. Lines without `=` and empty values are passed over; of a key that
    /// comes twice, the last counts.
    pub fn parse(text: &str) -> Self {
        let mut environment = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            let (key, value) = (key.trim(), value.trim());
            if !key.is_empty() && !value.is_empty() {
                environment.set(key, value);
            }
        }
        environment
    }

    fn set(&mut self, key: &str, value: &str) {
        let text = match key {
            "uname_r" => &mut self.uname_r,
            "uname_v" => &mut self.uname_v,
            "uname_m" => &mut self.uname_m,
            "proc_version" => &mut self.proc_version,
            "cmdline" => &mut self.cmdline,
            "config_sha256" => &mut self.config_sha256,
            "clocksource" => &mut self.clocksource,
            "governor" => &mut self.governor,
            "cpuidle" => &mut self.cpuidle,
            "cpus_online" => &mut self.cpus_online,
            "model" => &mut self.model,
            "hardware_id" => &mut self.hardware_id,
            "hackbench_version" => &mut self.hackbench_version,
            "cyclictest_version" => &mut self.cyclictest_version,
            _ => return self.set_typed(key, value),
        };
        *text = Some(value.to_owned());
    }

    fn set_typed(&mut self, key: &str, value: &str) {
        let flag = match value {
            "y" | "1" => Some(true),
            "n" | "0" => Some(false),
            _ => None,
        };
        let number = value.parse().ok();
        match (key, flag, number) {
            ("preempt_rt_config", Some(_), _) => self.preempt_rt_config = flag,
            ("sys_kernel_realtime", Some(_), _) => self.sys_kernel_realtime = flag,
            ("sched_rt_runtime_us", _, Some(_)) => self.sched_rt_runtime_us = number,
            _ => {
                self.other.insert(key.to_owned(), value.to_owned());
            }
        }
    }

    /// How many CPUs are online; `None` where the list is missing or not a list.
    pub fn online_cpus(&self) -> Option<u32> {
        let mut count: u32 = 0;
        for part in self.cpus_online.as_deref()?.split(',') {
            let (first, last) = part
                .trim()
                .split_once('-')
                .unwrap_or((part.trim(), part.trim()));
            let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
            count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
        }
        Some(count)
    }

    /// What says that the kernel is a realtime one (decision D17).
    pub fn rt_evidence(&self) -> RtEvidence {
        let version = self.uname_v.as_deref().or(self.proc_version.as_deref());
        let mut sources = Vec::new();
        if version.is_some_and(says_preempt_rt) {
            sources.push(RtSource::UnameVersion);
        }
        if self.preempt_rt_config == Some(true) {
            sources.push(RtSource::Config);
        }
        RtEvidence {
            sources,
            sysfs: self.sys_kernel_realtime,
        }
    }
}

/// True if a kernel's version text names realtime preemption: `PREEMPT_RT` (mainline and the patch
/// set since 5.x) or `PREEMPT RT` (older patch sets), as words of their own.
pub(crate) fn says_preempt_rt(version: &str) -> bool {
    let words: Vec<_> = version.split_whitespace().collect();
    words.contains(&"PREEMPT_RT") || words.windows(2).any(|pair| pair == ["PREEMPT", "RT"])
}

/// Whether the kernel that the image holds is the one that the board says it runs. Both are lines
/// that hold `Linux version …`; what stands before, and how words are spaced, does not matter.
///
/// # Errors
/// A clause that names both versions.
pub fn same_kernel(embedded: &str, printed: &str) -> Result<(), String> {
    let words = |line: &str| -> Vec<String> {
        let from = line.find("Linux version").unwrap_or(0);
        line[from..].split_whitespace().map(str::to_owned).collect()
    };
    let (embedded, printed) = (words(embedded), words(printed));
    if embedded == printed {
        return Ok(());
    }
    Err(format!(
        "the board runs {:?}, the image served holds {:?}",
        printed.join(" "),
        embedded.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_into_a_field_of_its_own() {
        for key in KEYS {
            let environment = Environment::parse(&format!("{key}=1\n"));
            assert!(environment.other.is_empty(), "{key}");
            assert_ne!(environment, Environment::default(), "{key}");
        }
    }

    #[test]
    fn what_is_missing_or_odd_is_neither_invented_nor_lost() {
        let text = "uname_v=\nno equals sign\nsched_rt_runtime_us=lots\ncmdline=a=b c=d\r\nnew=1\n";
        let environment = Environment::parse(text);
        assert_eq!(environment.uname_v, None);
        assert_eq!(environment.cmdline.as_deref(), Some("a=b c=d"));
        assert_eq!(environment.other["sched_rt_runtime_us"], "lots");
        assert_eq!(environment.other["new"], "1");
    }

    #[test]
    fn online_cpus_are_counted_in_lists_and_ranges() {
        let count = |list: &str| Environment::parse(&format!("cpus_online={list}")).online_cpus();
        assert_eq!(count("0"), Some(1));
        assert_eq!(count("0-3"), Some(4));
        assert_eq!(count("0,2-3,8"), Some(4));
        assert_eq!(count("3-0"), None);
        assert_eq!(count("many"), None);
    }

    #[test]
    fn realtime_is_proved_by_version_or_config_and_never_by_sysfs() {
        let sources = |text: &str| Environment::parse(text).rt_evidence().sources;
        assert_eq!(
            sources("uname_v=#1 SMP PREEMPT_RT Debian 6.1.164-1\nsys_kernel_realtime=0"),
            [RtSource::UnameVersion]
        );
        assert_eq!(
            sources("uname_v=#5 SMP PREEMPT RT Mon Jan 6"),
            [RtSource::UnameVersion]
        );
        assert_eq!(sources("preempt_rt_config=y"), [RtSource::Config]);
        assert_eq!(
            sources("sys_kernel_realtime=1\nuname_v=#1 SMP PREEMPT_DYNAMIC"),
            []
        );
        assert_eq!(sources("uname_v=#1 SMP PREEMPT Debian RT"), []);
    }

    #[test]
    fn the_same_kernel_is_known_through_time_stamps_and_spacing() {
        let image = "Linux version 6.1.0-rt (a@b) (gcc 12) #1 SMP PREEMPT_RT Debian 6.1 (2026)";
        let printed = format!("[    0.000000] {image}\r");
        assert_eq!(same_kernel(image, &printed), Ok(()));
        let other = image.replace("6.1.0-rt", "6.1.0");
        let said = same_kernel(image, &other).unwrap_err();
        assert!(
            said.contains("6.1.0-rt") && said.contains("\"Linux version 6.1.0 "),
            "{said}"
        );
    }
}
