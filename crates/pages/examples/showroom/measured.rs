//! Measurements as a realtime kernel and one that is none leave them.

use std::collections::BTreeMap;

use basalt_model::{Culprit, Verdict};
use basalt_realtime::environment::Environment;
use basalt_realtime::measurement::Thread;
use basalt_realtime::percentile::Percentiles;
use basalt_realtime::record::{LatencyRecord, RawFile, ThreadRecord, Totals};
use basalt_realtime::verdict::LoadReport;

/// A phase: its spread grows with `width`, and one sample stands at `worst`.
pub fn record(
    phase: &str,
    width: f64,
    worst: u64,
    limit: Option<u64>,
    load: bool,
) -> LatencyRecord {
    let threads: Vec<Thread> = (0..4).map(|cpu| thread(cpu, width, worst)).collect();
    let mut merged: BTreeMap<u64, u64> = BTreeMap::new();
    for (latency, count) in threads.iter().flat_map(|thread| &thread.histogram) {
        *merged.entry(*latency).or_default() += count;
    }
    let samples = threads.iter().map(|thread| thread.cycles).sum();
    let overflows = threads.iter().map(|thread| thread.overflows).sum();
    let max = threads
        .iter()
        .filter_map(|thread| thread.max)
        .max()
        .unwrap_or(0);
    let percentiles = Percentiles::of(&merged, overflows, 800);
    let fails = limit.is_some_and(|limit| max > limit);
    LatencyRecord {
        version: 1,
        phase: phase.into(),
        suite: format!("0_{phase}"),
        measure: "cyclictest".into(),
        tool_version: Some("2.40".into()),
        command: Some("cyclictest -q -m -a -t -p 95 -i 1000 -h 800 -D 60".into()),
        loads: load
            .then(|| LoadReport {
                name: "hackbench".into(),
                alive_at_end: true,
                restarts: 12,
                died: None,
            })
            .into_iter()
            .collect(),
        limit_us: limit,
        limit_source: "job".into(),
        duration_s: 60.0,
        interval_us: 1000,
        histogram_limit_us: Some(800),
        totals: Some(Totals {
            samples,
            min: 2,
            avg: Some(width * 1.3 + 4.0),
            max,
            overflows,
            percentiles,
        }),
        threads: threads
            .into_iter()
            .map(|measured| ThreadRecord {
                percentiles: Percentiles::of(&measured.histogram, measured.overflows, 800),
                expected_cycles: 60_000,
                measured,
            })
            .collect(),
        environment: environment(),
        rt_evidence: environment().rt_evidence(),
        verdict: match (limit, fails) {
            (None, _) => Verdict::Measured,
            (Some(_), true) => Verdict::Fail,
            (Some(_), false) => Verdict::Pass,
        },
        reason: match (limit, fails) {
            (Some(limit), true) => format!("{max} us on CPU 1 is above the limit of {limit} us"),
            (Some(limit), false) => {
                format!("no sample of {samples} is above the limit of {limit} us")
            }
            (None, _) => "nobody gave a limit".into(),
        },
        culprit: fails.then_some(Culprit::Kernel),
        partial: false,
        raw_file: Some(RawFile {
            path: format!("raw/0_{phase}.json"),
            sha256: "5f1c6f0c8f0d0b6a2d4f1f6e2a9c7b8d5e3f1a2b4c6d8e0f9a7b5c3d1e2f9ab2"
                .parse()
                .expect("64 digits"),
            bytes: 48_213,
            board_sha256: None,
        }),
    }
}

fn thread(cpu: u32, width: f64, worst: u64) -> Thread {
    let mut histogram = BTreeMap::new();
    let peak = 5.0 + f64::from(cpu) * 0.7 + width * 0.3;
    for latency in 2..(worst.min(799)) {
        let distance = (latency as f64 - peak).max(0.0);
        let near = 24_000.0 * (-((latency as f64 - peak) / (width * 0.35)).powi(2)).exp();
        let tail = 60.0 * (-distance / (width * 1.6)).exp();
        let ripple = 1.0 + 0.5 * (latency as f64 * 0.9 + f64::from(cpu)).sin();
        let count = (near + tail * ripple) as u64;
        if count > 0 {
            histogram.insert(latency, count);
        }
    }
    if cpu == 1 && worst < 800 {
        histogram.insert(worst, 1);
    }
    let overflows = u64::from(cpu == 1 && worst >= 800);
    Thread {
        id: cpu,
        cpu: Some(cpu),
        cycles: histogram.values().sum::<u64>() + overflows,
        min: histogram.keys().next().copied(),
        avg: Some(peak),
        max: match overflows {
            0 => histogram.keys().next_back().copied(),
            _ => Some(worst),
        },
        histogram,
        overflows,
    }
}

fn environment() -> Environment {
    Environment {
        image_sha256: Some("5f1c6f0c8f0d0b6a2d4f1f6e2a9c7b8d5e3f1a2b4c6d8e0f9a7b5c3d1e2f9ab2".into()),
        image_linux_version: Some("Linux version 6.1.0-37-rt-arm64 (debian-kernel@lists.debian.org)".into()),
        banner: Some("Linux version 6.1.0-37-rt-arm64 (debian-kernel@lists.debian.org) #1 SMP PREEMPT_RT Debian 6.1.140-1 (2025-05-22)".into()),
        firmware: Some("U-Boot 2023.01+dfsg-2+deb12u1 (Apr 12 2025 - 09:14:02 +0000)".into()),
        timebase: Some("virtual (icount shift=3)".into()),
        measure_command: Some("cyclictest -q -m -a -t -p 95 -i 1000 -h 800 -D 60 --json=/tmp/idle.json".into()),
        load_commands: vec!["hackbench -l 1000 -g 4".into()],
        uname_r: Some("6.1.0-37-rt-arm64".into()),
        uname_v: Some("#1 SMP PREEMPT_RT Debian 6.1.140-1 (2025-05-22)".into()),
        uname_m: Some("aarch64".into()),
        cmdline: Some("console=ttyAMA0,115200 root=/dev/nfs rw nfsroot=10.77.0.1:/nfs/3kd9,tcp,v3 ip=dhcp isolcpus=2,3".into()),
        preempt_rt_config: Some(true),
        sys_kernel_realtime: Some(true),
        clocksource: Some("arch_sys_counter".into()),
        governor: Some("performance".into()),
        cpuidle: Some("psci_idle: WFI".into()),
        sched_rt_runtime_us: Some(-1),
        cpus_online: Some("0-3".into()),
        model: Some("linux,dummy-virt".into()),
        cyclictest_version: Some("cyclictest V 2.40".into()),
        ..Environment::default()
    }
}
