//! Recorded files of cyclictest, one for each trap (`tests/data/README.md` says how they were
//! made), and every branch of the verdict over them.

mod record;
mod traps;
mod verdicts;

use basalt_realtime::cyclictest::{parse_json, parse_text};
use basalt_realtime::{Environment, Measurement, PhaseFacts};
use std::time::Duration;

fn data(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json(name: &str) -> Measurement {
    parse_json(&data(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn text(name: &str) -> Measurement {
    let text = String::from_utf8(data(name)).expect("recorded text is UTF-8");
    parse_text(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A kernel whose configuration says realtime (the recordings' own is none), no loads, one run of `seconds` at 1 ms.
fn facts(seconds: u64, limit_us: Option<u64>) -> PhaseFacts {
    PhaseFacts {
        duration: Duration::from_secs(seconds),
        interval_us: 1000,
        limit_us,
        require_preempt_rt: true,
        loads: Vec::new(),
        online_cpus: Some(2),
        kernel_matches: Ok(()),
        environment: Environment::parse(
            "uname_r=6.18.44\nuname_v=#1 SMP PREEMPT_DYNAMIC @0\npreempt_rt_config=y\n",
        ),
    }
}
