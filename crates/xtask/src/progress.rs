//! What a long piece of work shows: a moving line on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// One step at a time, each with its name and, at the end, its duration.
pub struct Progress {
    bar: Option<ProgressBar>,
    name: String,
    started: Instant,
}

impl Progress {
    /// Starts a step. Shown at once; a step that is dropped without [`done`](Self::done) failed.
    pub fn step(name: impl Into<String>) -> Self {
        let name = name.into();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_message(name.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            eprintln!("  {name} …");
        }
        Self {
            bar,
            name,
            started: Instant::now(),
        }
    }

    /// Makes the step a count of bytes up to `total`.
    pub fn expect_bytes(&self, total: u64) {
        let Some(bar) = &self.bar else { return };
        if let Ok(style) = ProgressStyle::with_template(
            "{spinner} {msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}",
        ) {
            bar.set_style(style);
        }
        bar.set_length(total);
    }

    /// How many bytes are there now.
    pub fn bytes(&self, count: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(count);
        }
    }

    /// Ends the step well.
    pub fn done(self) {
        let line = format!(
            "  {} ({:.1} s)",
            self.name,
            self.started.elapsed().as_secs_f64()
        );
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{line}");
    }
}
