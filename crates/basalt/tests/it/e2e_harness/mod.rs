//! A rack of simulated boards, a lab that describes them, and `basalt` run as people run it.
//!
//! A [`Site`] owns everything: a temporary directory, a `virtual-rack` process, a lab directory, a
//! state directory. Nothing of it is shared with another test: ports of the rack are free ones, and
//! each site has addresses of its own ([`slot`]). What was started is ended by its process id when
//! the site is dropped, and every wait has a bound.

mod door;
mod draw;
mod farm;
pub mod http;
mod job;
mod process;
pub mod rack;
mod results;
pub mod served;
pub mod site;
mod slot;

use std::time::{Duration, Instant};

pub use door::Door;
pub use draw::Draw;
pub use farm::{FARM, second_state};
pub use job::{Deploy, Job, definition, phase};
pub use process::{Finished, Running};
pub use rack::Rack;
pub use results::Results;
pub use served::Served;
pub use site::{Board, Site};

/// No wait in these tests is longer; a run that is healthy takes a few seconds.
pub const BOUND: Duration = Duration::from_secs(120);

/// Asks until the answer is there.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + BOUND;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "gave up waiting for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The realtime kernel of the images that are served.
pub const RT_KERNEL: &str = "Linux version 6.1.0-sim-rt (basalt@test) (gcc 12.2.0) #1 SMP PREEMPT_RT Debian 6.1.1-1 (2026-11-01)";
/// The kernel that is none.
pub const STOCK_KERNEL: &str =
    "Linux version 6.1.0-sim (basalt@test) (gcc 12.2.0) #1 SMP Debian 6.1.1-1 (2026-11-01)";

/// A text with everything that differs from run to run replaced by a word in capitals.
pub fn normalise(site: &Site, text: &str) -> String {
    let root = site.path().to_string_lossy();
    let http = site.rack.http().to_string();
    let mut text = text.replace(&*root, "SITE").replace(&http, "RACK");
    for (pattern, word) in [
        (r"\b127\.77\.\d+\.1\d\d\b", "DISPATCHER"),
        (r"\b127\.77\.\d+\.\d+\b", "BOARD-IP"),
        (r"\b127\.0\.0\.1:\d+\b", "RACK-PORT"),
        // The unguessable name of a boot root.
        (r"\b[0-9a-f]{26}\b", "ROOT"),
        (r"/lava-\d+", "/lava-N"),
        (r"BASALT(.{1,3})RC-[0-9a-f]+-\d+", "BASALT${1}RC-MARKER"),
        (r"\b\d+(\.\d+)? (Ki|Mi)?B/s\b", "SPEED"),
    ] {
        let pattern = regex::Regex::new(pattern).unwrap();
        text = pattern.replace_all(&text, word).into_owned();
    }
    text
}
