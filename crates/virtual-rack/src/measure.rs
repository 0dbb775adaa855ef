//! Results of the simulated cyclictest: computed from a seed, in the format of rt-tests 2.4.
//!
//! They are arithmetic, not measurements. Thread `t` of phase `n` draws its samples from SplitMix64 seeded with
//! `seed_of(seed, "n/t")`. The formats (text and JSON, with keys that end in a colon and a histogram that leaves out overflows) are those
//! that cyclictest 2.4 was seen to write.

use std::{collections::BTreeMap, fmt::Write};

use serde::Serialize;

use crate::random::Random;

/// More samples than this are scaled up from as many.
const DRAWN: u64 = 100_000;
/// Default distance between threads' intervals in microseconds.
const DISTANCE_US: u64 = 500;

/// Everything that a board's measurements should have said.
#[derive(Debug, Clone, Serialize)]
pub struct Truth {
    /// The board's seed.
    pub seed: u64,
    /// All measurements since the rack's start, in order.
    pub phases: Vec<Phase>,
}

/// How a measurement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseState {
    /// Started.
    Running,
    /// Ran to its end.
    Finished,
    /// A signal ended it before.
    Stopped,
    /// The board went away under it.
    Lost,
}

/// One run of cyclictest.
#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    /// Counted from 1 over the rack's life.
    pub phase: u64,
    /// In which start of a kernel on this board.
    pub boot: u64,
    /// The command line.
    pub command: String,
    /// How it stands.
    pub state: PhaseState,
    /// What the whole run gives, or what it gave when it was stopped.
    pub threads: Vec<Thread>,
    /// SHA-256 of the JSON that the board wrote, in hexadecimal.
    pub json_sha256: Option<String>,
}

/// One measuring thread.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Thread {
    /// Its CPU.
    pub cpu: u32,
    /// Latencies below the histogram's size, with their counts.
    pub histogram: BTreeMap<u32, u64>,
    /// Samples at or above the histogram's size.
    pub overflows: u64,
    /// All samples.
    pub cycles: u64,
    /// Smallest; 1000000 without samples, as cyclictest has it.
    pub min: u32,
    /// Largest.
    pub max: u32,
    /// Mean over all samples.
    pub avg: f64,
}

/// The command line as far as it matters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// `-D`, in seconds; `None` runs until it is stopped.
    pub duration: Option<f64>,
    /// `-l`.
    pub loops: Option<u64>,
    /// `-i`, in microseconds.
    pub interval: u64,
    /// `-h`, in microseconds.
    pub histogram: Option<u32>,
    /// `-t N`; `Some(0)`: one a CPU.
    pub threads: Option<u32>,
    /// `-d`.
    pub distance: Option<u64>,
    /// `-q`.
    pub quiet: bool,
    /// `--json=FILE`.
    pub json: Option<String>,
}

impl Options {
    /// Reads arguments as cyclictest does; `None` for what it would answer with its usage text.
    pub fn parse(arguments: &[&str]) -> Option<Options> {
        let mut options = Options {
            interval: 1000,
            ..Options::default()
        };
        let mut smp = false;
        let mut words = arguments.iter().peekable();
        while let Some(word) = words.next() {
            if let Some(long) = word.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (long, None),
                };
                // Long options may have their value in the next word.
                let mut value = || value.or_else(|| words.next().copied());
                match name {
                    "duration" => options.duration = Some(duration(value()?)?),
                    "interval" => options.interval = value()?.parse().ok()?,
                    "loops" => options.loops = Some(value()?.parse().ok()?),
                    "histogram" => options.histogram = Some(value()?.parse().ok()?),
                    "distance" => options.distance = Some(value()?.parse().ok()?),
                    "json" => options.json = Some(value()?.to_owned()),
                    "quiet" => options.quiet = true,
                    "smp" => smp = true,
                    "priority" | "policy" | "latency" | "mainaffinity" | "clock" => drop(value()?),
                    "threads" | "affinity" => {
                        let count = long.split_once('=').map(|(_, value)| value);
                        if name == "threads" {
                            options.threads =
                                Some(count.map_or(Some(0), |count| count.parse().ok())?);
                        }
                    }
                    "mlockall" | "default-system" | "laptop" | "priospread" | "secaligned"
                    | "aligned" | "relative" | "verbose" => {}
                    _ => return None,
                }
                continue;
            }
            let mut letters = word.strip_prefix('-')?;
            while let Some(letter) = letters.chars().next() {
                letters = &letters[1..];
                let mut value = || -> Option<&str> {
                    let rest = std::mem::take(&mut letters);
                    if rest.is_empty() {
                        words.next().copied()
                    } else {
                        Some(rest)
                    }
                };
                match letter {
                    'D' => options.duration = Some(duration(value()?)?),
                    'i' => options.interval = value()?.parse().ok()?,
                    'l' => options.loops = Some(value()?.parse().ok()?),
                    'h' => options.histogram = Some(value()?.parse().ok()?),
                    'd' => options.distance = Some(value()?.parse().ok()?),
                    'p' | 'c' => drop(value()?),
                    // Values that may be left out: in the same word, or a number in the next.
                    't' | 'a' => {
                        let rest = std::mem::take(&mut letters);
                        let next =
                            words.next_if(|next| next.starts_with(|c: char| c.is_ascii_digit()));
                        let text = if rest.is_empty() {
                            next.copied().unwrap_or("")
                        } else {
                            rest
                        };
                        if letter == 't' {
                            options.threads = Some(if text.is_empty() {
                                0
                            } else {
                                text.parse().ok()?
                            });
                        }
                    }
                    'S' => smp = true,
                    'q' => options.quiet = true,
                    'm' | 'n' | 'v' | 'M' | 'A' | 'r' | 's' | 'u' => {}
                    _ => return None,
                }
            }
        }
        if smp && options.threads.is_none() {
            options.threads = Some(0);
        }
        if smp || options.histogram.is_some() {
            options.distance.get_or_insert(0);
        }
        (options.interval > 0).then_some(options)
    }

    fn thread_count(&self, cpus: u32) -> u32 {
        match self.threads {
            None => 1,
            Some(0) => cpus,
            Some(count) => count,
        }
    }

    /// How long it runs, in measured seconds; `None`: until it is stopped.
    pub fn seconds(&self) -> Option<f64> {
        self.duration
            .or_else(|| Some(self.loops? as f64 * self.interval as f64 / 1e6))
    }
}

/// A time with cyclictest's suffixes m, h, d; `s` and none are seconds.
fn duration(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Some(digits.parse::<u32>().ok()? as f64 * factor)
}

/// What shapes a measurement besides its options.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// The board's seed.
    pub seed: u64,
    /// Which measurement of the board.
    pub phase: u64,
    /// The board's CPUs.
    pub cpus: u32,
    /// Where latencies centre.
    pub latency_us: u32,
    /// One sample of the first thread is this late.
    pub spike_us: Option<u32>,
    /// Share of missing cycles.
    pub lost_cycles: f64,
    /// Measured seconds that it ran; the options' if it ran to its end.
    pub seconds: f64,
}

/// The threads' results.
pub fn measure(options: &Options, conditions: &Conditions) -> Vec<Thread> {
    let distance = options.distance.unwrap_or(DISTANCE_US);
    (0..options.thread_count(conditions.cpus))
        .map(|number| {
            let interval = options.interval + distance * u64::from(number);
            let due = (conditions.seconds * 1e6 / interval as f64).round() as u64;
            let due = options.loops.map_or(due, |loops| loops.min(due));
            let cycles = (due as f64 * (1.0 - conditions.lost_cycles.clamp(0.0, 1.0))) as u64;
            let spike = conditions.spike_us.filter(|_| number == 0);
            let name = format!("{}/{number}", conditions.phase);
            let mut random = Random::new(Random::seed_of(conditions.seed, &name));
            thread(
                number % conditions.cpus,
                cycles,
                options.histogram,
                conditions.latency_us,
                spike,
                &mut random,
            )
        })
        .collect()
}

fn thread(
    cpu: u32,
    cycles: u64,
    size: Option<u32>,
    latency_us: u32,
    spike: Option<u32>,
    random: &mut Random,
) -> Thread {
    let drawn = cycles.min(DRAWN);
    let mut samples: BTreeMap<u32, u64> = BTreeMap::new();
    for _ in 0..drawn {
        // A bulk around the centre with a thin tail, never above three times the centre.
        let tail = -(1.0 - random.unit()).ln() * 0.12;
        let factor = (0.85 + random.unit() * 0.15 + tail).min(3.0);
        let latency = (f64::from(latency_us) * factor).round().max(1.0) as u32;
        *samples.entry(latency).or_default() += 1;
    }
    if drawn < cycles {
        let mut left = cycles;
        for count in samples.values_mut() {
            *count = (u128::from(*count) * u128::from(cycles) / u128::from(drawn)) as u64;
            left -= *count;
        }
        let fullest = samples
            .iter()
            .max_by_key(|(_, count)| **count)
            .map(|(&latency, _)| latency);
        if let Some(fullest) = fullest {
            *samples.entry(fullest).or_default() += left;
        }
    }
    if let Some(spike) = spike
        && let Some(mut first) = samples.first_entry()
    {
        *first.get_mut() -= 1;
        if *first.get() == 0 {
            first.remove();
        }
        *samples.entry(spike).or_default() += 1;
    }
    let sum: u128 = samples
        .iter()
        .map(|(&latency, &count)| u128::from(latency) * u128::from(count))
        .sum();
    let size = size.unwrap_or(0);
    Thread {
        cpu,
        min: samples.keys().next().copied().unwrap_or(1_000_000),
        max: samples.keys().next_back().copied().unwrap_or(0),
        avg: if cycles == 0 {
            0.0
        } else {
            (sum as f64 / cycles as f64 * 100.0).round() / 100.0
        },
        overflows: samples.range(size..).map(|(_, count)| count).sum(),
        cycles,
        histogram: samples
            .into_iter()
            .filter(|(latency, _)| *latency < size)
            .collect(),
    }
}

/// What `sysinfo` says about the board.
#[derive(Debug, Clone)]
pub struct SystemInfo {
    /// `uname -n`.
    pub node: String,
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
    /// `uname -m`.
    pub machine: String,
    /// /sys/kernel/realtime.
    pub realtime: bool,
}

/// The file that `--json=` writes.
pub fn json(
    command: &str,
    options: &Options,
    threads: &[Thread],
    system: &SystemInfo,
    start_us: i64,
    seconds: f64,
) -> String {
    let mut out = String::new();
    let when = |us: i64| {
        jiff::Timestamp::from_microsecond(us)
            .map(|time| time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string())
            .unwrap_or_default()
    };
    let end_us = start_us + (seconds * 1e6) as i64;
    // Not escaped, as cyclictest does not escape it either.
    let _ = write!(
        out,
        "{{\n  \"file_version\": 1,\n  \"cmdline:\": \"{command}\",\n  \"rt_test_version:\": \"2.40\",\n  \"start_time\": \"{}\",\n  \"end_time\": \"{}\",\n  \"return_code\": 0,\n  \"sysinfo\": {{\n    \"sysname\": \"Linux\",\n    \"nodename\": \"{}\",\n    \"release\": \"{}\",\n    \"version\": \"{}\",\n    \"machine\": \"{}\",\n    \"realtime\": {}\n  }},\n  \"num_threads\": {},\n  \"resolution_in_ns\": 0,\n  \"thread\": {{\n",
        when(start_us),
        when(end_us),
        system.node,
        system.release,
        system.version,
        system.machine,
        u8::from(system.realtime),
        threads.len()
    );
    for (number, thread) in threads.iter().enumerate() {
        let _ = writeln!(out, "    \"{number}\": {{");
        if options.histogram.is_some() {
            let bins: Vec<String> = thread
                .histogram
                .iter()
                .map(|(latency, count)| format!("        \"{latency}\": {count}"))
                .collect();
            let _ = write!(
                out,
                "      \"histogram\": {{\n{}\n      }},\n",
                bins.join(",\n")
            );
        }
        let _ = write!(
            out,
            "      \"cycles\": {},\n      \"min\": {},\n      \"max\": {},\n      \"avg\": {:.2},\n      \"cpu\": {},\n      \"node\": 0\n    }}{}\n",
            thread.cycles,
            thread.min,
            thread.max,
            thread.avg,
            thread.cpu,
            if number + 1 < threads.len() { "," } else { "" }
        );
    }
    out.push_str("  }\n}\n");
    out
}

/// What is printed at the end.
pub fn text(options: &Options, threads: &[Thread]) -> String {
    let mut out = "# /dev/cpu_dma_latency set to 0us\n".to_owned();
    let each = |value: &dyn Fn(&Thread) -> String| -> String {
        threads
            .iter()
            .map(|thread| format!(" {}", value(thread)))
            .collect()
    };
    let Some(size) = options.histogram else {
        for (number, thread) in threads.iter().enumerate() {
            let _ = writeln!(
                out,
                "T:{number:2} ({:5}) P:95 I:{} C:{:7} Min:{:7} Act:{:5} Avg:{:5} Max:{:8}",
                100 + number,
                options.interval,
                thread.cycles,
                thread.min,
                thread.min,
                thread.avg as u64,
                thread.max
            );
        }
        return out;
    };
    out.push_str("# Histogram\n");
    for latency in 0..size {
        let _ = write!(out, "{latency:06} ");
        let row: Vec<String> = threads
            .iter()
            .map(|thread| {
                format!(
                    "{:06}",
                    thread.histogram.get(&latency).copied().unwrap_or(0)
                )
            })
            .collect();
        let _ = writeln!(out, "{}", row.join("\t"));
    }
    let total = each(&|thread| format!("{:09}", thread.cycles - thread.overflows));
    let _ = writeln!(out, "# Total:{total}");
    let _ = writeln!(
        out,
        "# Min Latencies:{}",
        each(&|thread| format!("{:05}", thread.min))
    );
    let _ = writeln!(
        out,
        "# Avg Latencies:{}",
        each(&|thread| format!("{:05}", thread.avg as u64))
    );
    let _ = writeln!(
        out,
        "# Max Latencies:{}",
        each(&|thread| format!("{:05}", thread.max))
    );
    let _ = writeln!(
        out,
        "# Histogram Overflows:{}",
        each(&|thread| format!("{:05}", thread.overflows))
    );
    out.push_str("# Histogram Overflow at cycle number:\n");
    for number in 0..threads.len() {
        let _ = writeln!(out, "# Thread {number}:");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(phase: u64) -> Conditions {
        Conditions {
            seed: 5,
            phase,
            cpus: 2,
            latency_us: 40,
            spike_us: None,
            lost_cycles: 0.0,
            seconds: 10.0,
        }
    }

    fn options(line: &str) -> Option<Options> {
        Options::parse(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn the_options_that_payloads_use_are_understood() {
        let parsed = options("-m -S -p 95 -i 1000 -h 400 -D 10s -q --json=/tmp/x.json").unwrap();
        assert_eq!(parsed.seconds(), Some(10.0));
        assert_eq!((parsed.histogram, parsed.thread_count(4)), (Some(400), 4));
        assert_eq!(parsed.json.as_deref(), Some("/tmp/x.json"));
        let combined = options("-mSp99 -i500 -D2m -t1").unwrap();
        assert_eq!(
            (
                combined.interval,
                combined.seconds(),
                combined.thread_count(4)
            ),
            (500, Some(120.0), 1)
        );
        assert_eq!(options("-q -l 100 -i 200").unwrap().seconds(), Some(0.02));
        assert_eq!(options("--notrace"), None);
    }

    #[test]
    fn every_sample_is_in_the_histogram_or_an_overflow() {
        let parsed = options("-S -i 1000 -h 45 -D 10").unwrap();
        for thread in measure(&parsed, &conditions(1)) {
            assert_eq!(thread.cycles, 10_000);
            assert!(thread.overflows > 0);
            assert_eq!(
                thread.histogram.values().sum::<u64>() + thread.overflows,
                10_000
            );
            assert!(thread.min <= thread.avg as u32 && thread.avg as u32 <= thread.max);
        }
    }

    #[test]
    fn phases_and_threads_differ_and_repeat() {
        let parsed = options("-S -h 400 -D 10").unwrap();
        let first = measure(&parsed, &conditions(1));
        assert_eq!(first, measure(&parsed, &conditions(1)));
        assert_ne!(first, measure(&parsed, &conditions(2)));
        assert_ne!(first[0].histogram, first[1].histogram);
    }

    #[test]
    fn a_spike_replaces_one_sample_and_lost_cycles_are_missing() {
        let parsed = options("-S -h 400 -D 10").unwrap();
        let spiked = measure(
            &parsed,
            &Conditions {
                spike_us: Some(900),
                ..conditions(1)
            },
        );
        assert_eq!(
            (spiked[0].max, spiked[0].overflows, spiked[0].cycles),
            (900, 1, 10_000)
        );
        assert!(spiked[1].max < 400);
        let starved = measure(
            &parsed,
            &Conditions {
                lost_cycles: 0.5,
                ..conditions(1)
            },
        );
        assert_eq!(starved[0].cycles, 5_000);
    }

    #[test]
    fn a_day_of_samples_is_counted_in_full() {
        let parsed = options("-h 400 -i 200 -D 1d").unwrap();
        let day = measure(
            &parsed,
            &Conditions {
                seconds: 86_400.0,
                ..conditions(1)
            },
        );
        assert_eq!(day[0].cycles, 432_000_000);
        assert_eq!(day[0].histogram.values().sum::<u64>(), 432_000_000);
    }

    #[test]
    fn the_json_has_the_real_keys() {
        let parsed = options("-S -h 400 -D 10 --json=x").unwrap();
        let threads = measure(&parsed, &conditions(1));
        let system = SystemInfo {
            node: "b".into(),
            release: "6.1".into(),
            version: "#1 SMP PREEMPT_RT".into(),
            machine: "aarch64".into(),
            realtime: true,
        };
        let text = json(
            "cyclictest -S",
            &parsed,
            &threads,
            &system,
            1_763_909_200_000_000,
            10.0,
        );
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["cmdline:"], "cyclictest -S");
        assert_eq!(value["rt_test_version:"], "2.40");
        assert_eq!(value["sysinfo"]["realtime"], 1);
        assert_eq!(value["num_threads"], 2);
        assert_eq!(value["thread"]["1"]["cycles"], 10_000);
        assert_eq!(value["start_time"], "Sun, 23 Nov 2025 14:46:40 +0000");
    }
}
