//! cyclictest's two outputs: JSON and text.

use std::fmt::Write;

use super::{Options, Thread};

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

    #[test]
    fn the_json_has_the_real_keys() {
        let options = Options::parse(&["-S", "-h", "400", "-D", "10"]).unwrap();
        let thread = |cpu| Thread {
            cpu,
            histogram: [(39, 6000), (40, 3999)].into(),
            overflows: 1,
            cycles: 10_000,
            min: 39,
            max: 900,
            avg: 39.486,
        };
        let system = SystemInfo {
            node: "b".into(),
            release: "6.1".into(),
            version: "#1 SMP PREEMPT_RT".into(),
            machine: "aarch64".into(),
            realtime: true,
        };
        let threads = [thread(0), thread(1)];
        let start_us = 1_763_909_200_000_000;
        let text = json("cyclictest -S", &options, &threads, &system, start_us, 10.0);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["cmdline:"], "cyclictest -S");
        assert_eq!(value["rt_test_version:"], "2.40");
        assert_eq!(value["sysinfo"]["realtime"], 1);
        assert_eq!(value["num_threads"], 2);
        assert_eq!(value["thread"]["1"]["histogram"]["40"], 3999);
        assert_eq!(value["thread"]["1"]["avg"], 39.49);
        assert_eq!(value["start_time"], "Sun, 23 Nov 2025 14:46:40 +0000");
        assert_eq!(value["end_time"], "Sun, 23 Nov 2025 14:46:50 +0000");
    }

    #[test]
    fn the_text_has_a_row_for_each_latency_and_totals_without_overflows() {
        let options = Options::parse(&["-h", "3", "-D", "1"]).unwrap();
        let thread = Thread {
            histogram: [(1, 7)].into(),
            overflows: 2,
            cycles: 9,
            min: 1,
            max: 5,
            avg: 1.9,
            ..Thread::default()
        };
        let text = text(&options, &[thread]);
        assert!(
            text.contains("\n000000 000000\n000001 000007\n000002 000000\n# Total: 000000007\n")
        );
        assert!(text.contains("# Max Latencies: 00005\n# Histogram Overflows: 00002\n"));
    }
}
