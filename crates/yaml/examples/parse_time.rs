//! How long it takes to read a file of YAML, for `cargo xtask bench`.
//!
//! `parse_time FILE SECONDS` reads the file again and again for so long, and prints JSON: `bytes`,
//! `nodes` (0 where the file is refused) and `seconds`, the time of each reading.

use std::time::{Duration, Instant};

use basalt_yaml::{Diagnostics, parse};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("a file is needed")?;
    let seconds: f64 = arguments.next().ok_or("seconds are needed")?.parse()?;
    let text = std::fs::read_to_string(path)?;
    let limit = Duration::from_secs_f64(seconds);
    let began = Instant::now();
    let mut times = Vec::new();
    let mut nodes = 0;
    while began.elapsed() < limit || times.is_empty() {
        let started = Instant::now();
        let mut diagnostics = Diagnostics::new();
        let node = parse(&text, &mut diagnostics);
        nodes = node.map_or(0, |node| node.weight());
        times.push(started.elapsed().as_secs_f64());
    }
    let report = serde_json::json!({"bytes": text.len(), "nodes": nodes, "seconds": times});
    println!("{report}");
    Ok(())
}
