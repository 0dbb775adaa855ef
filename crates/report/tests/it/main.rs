//! What people and programs get to see, over recorded measurements.

mod documents;
mod drawings;
mod joblog;
mod recompute;

use std::time::Duration;

use basalt_model::Sha256;
use basalt_realtime::cyclictest::parse_json;
use basalt_realtime::{Environment, LatencyRecord, LoadReport, PhaseFacts, PhaseIdentity, RawFile};

const REALTIME: &str = "Linux version 6.1.0-53-rt-arm64 (debian-kernel@lists.debian.org) \
     (gcc-12) #1 SMP PREEMPT_RT Debian 6.1.164-1 (2026-01-01)";

/// One thread: samples by latency, how many overflow (each at the maximum), the maximum.
type Samples<'a> = (&'a [(u64, u64)], u64, u64);

/// A file in cyclictest's format.
fn file(bins: u64, threads: &[Samples<'_>]) -> String {
    let written: Vec<_> = threads
        .iter()
        .enumerate()
        .map(|(id, (histogram, overflows, max))| {
            let counted: u64 = histogram.iter().map(|(_, count)| count).sum();
            let bins: Vec<_> = histogram
                .iter()
                .map(|(bin, count)| format!("\"{bin}\": {count}"))
                .collect();
            let min = histogram.iter().map(|(bin, _)| *bin).min().unwrap_or(*max);
            let sum: u64 = histogram.iter().map(|(bin, count)| bin * count).sum();
            let cycles = counted + overflows;
            format!(
                "\"{id}\": {{\"histogram\": {{{}}}, \"cycles\": {cycles}, \"min\": {min}, \
                 \"max\": {max}, \"avg\": {:.2}, \"cpu\": {id}, \"node\": 0}}",
                bins.join(", "),
                (sum + overflows * max) as f64 / cycles as f64,
            )
        })
        .collect();
    format!(
        "{{\"file_version\": 1,\n\"cmdline:\": \"cyclictest -q -h {bins}\",\n\
         \"rt_test_version:\": \"2.40\", \"return_code\": 0, \"num_threads\": {}, \
         \"resolution_in_ns\": 0, \"thread\": {{{}}}}}",
        threads.len(),
        written.join(", ")
    )
}

/// A bell with a tail, the same each time.
fn bell(center: u64, width: u64, peak: f64, tail: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut bins: Vec<_> = (center.saturating_sub(3 * width)..center + 6 * width)
        .map(|bin| {
            let distance = (bin as f64 - center as f64) / width as f64;
            let steep = if distance < 0.0 { 2.0 } else { 0.5 };
            (
                bin,
                (peak * (-steep * distance * distance).exp()).round() as u64,
            )
        })
        .filter(|(_, count)| *count > 0)
        .collect();
    bins.extend(tail);
    bins.sort_unstable();
    bins
}

struct Phase<'a> {
    name: &'a str,
    loads: &'a [&'a str],
    limit: Option<u64>,
    timebase: Option<&'a str>,
    realtime: bool,
}

impl Phase<'_> {
    fn record(&self, file: &str) -> LatencyRecord {
        let measured = parse_json(file.as_bytes()).expect("a file of ours");
        let samples = measured
            .threads
            .iter()
            .map(|one| one.cycles)
            .max()
            .unwrap_or(0);
        let version = match self.realtime {
            true => "#1 SMP PREEMPT_RT Debian 6.1.164-1 (2026-01-01)",
            false => "#1 SMP Debian 6.1.164-1 (2026-01-01)",
        };
        let facts = PhaseFacts {
            duration: Duration::from_millis(samples),
            interval_us: 1000,
            limit_us: self.limit,
            require_preempt_rt: true,
            loads: self
                .loads
                .iter()
                .map(|name| LoadReport {
                    name: (*name).to_owned(),
                    alive_at_end: true,
                    restarts: 0,
                    died: None,
                })
                .collect(),
            online_cpus: None,
            kernel_matches: Ok(()),
            environment: Environment {
                uname_v: Some(version.into()),
                image_linux_version: Some(REALTIME.into()),
                banner: Some(REALTIME.into()),
                timebase: self.timebase.map(str::to_owned),
                ..Environment::default()
            },
        };
        let identity = PhaseIdentity {
            phase: self.name.into(),
            suite: format!("0_{}", self.name),
            measure: "cyclictest".into(),
            limit_source: "job".into(),
        };
        let raw = RawFile {
            path: format!("raw/0_{}.json", self.name),
            sha256: Sha256([1; 32]),
            bytes: file.len() as u64,
            board_sha256: Some(Sha256([1; 32])),
        };
        LatencyRecord::new(identity, Ok(&measured), &facts, Some(raw))
    }
}

const VIRTUAL: Option<&str> = Some("virtual (icount shift=3)");

fn idle() -> LatencyRecord {
    let bins = bell(48, 9, 900.0, &[(131, 2), (158, 1), (203, 1)]);
    Phase {
        name: "idle",
        loads: &[],
        limit: Some(400),
        timebase: VIRTUAL,
        realtime: true,
    }
    .record(&file(800, &[(&bins, 0, 203)]))
}

fn loaded() -> LatencyRecord {
    let bins = bell(121, 30, 240.0, &[(377, 2), (412, 1), (590, 1)]);
    Phase {
        name: "hackbench",
        loads: &["hackbench"],
        limit: Some(400),
        timebase: VIRTUAL,
        realtime: true,
    }
    .record(&file(800, &[(&bins, 12, 6266)]))
}

fn four_cpus() -> LatencyRecord {
    let cpus: Vec<_> = (0..4)
        .map(|cpu| bell(5 + cpu, 2 + cpu / 2, 90_000.0, &[(30 + 7 * cpu, 3)]))
        .collect();
    let threads: Vec<_> = cpus
        .iter()
        .map(|bins| (bins.as_slice(), 0, bins.last().expect("bins").0))
        .collect();
    Phase {
        name: "all-cpus",
        loads: &[],
        limit: Some(50),
        timebase: None,
        realtime: true,
    }
    .record(&file(400, &threads))
}

fn stock() -> LatencyRecord {
    let bins = bell(60, 12, 500.0, &[]);
    Phase {
        name: "idle",
        loads: &[],
        limit: Some(400),
        timebase: VIRTUAL,
        realtime: false,
    }
    .record(&file(800, &[(&bins, 0, 131)]))
}
