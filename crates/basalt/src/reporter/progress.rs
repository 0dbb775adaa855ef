//! What takes long: bars where standard error is a terminal, else a line now and then.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal::{Terminal, one_line};
use crate::wording;

/// Lines about progress come no closer than this.
const PACE: Duration = Duration::from_secs(10);
/// Columns of what stands beside a bar of bytes, at its widest. A line that wraps cannot be redrawn.
const BESIDE_BYTES: usize = 56;
/// And beside a bar of time.
const BESIDE_TIME: usize = 44;
/// How often bars are drawn.
const TICK: Duration = Duration::from_millis(120);

/// Everything that goes on.
#[derive(Debug)]
pub struct Progress {
    bars: Option<Bars>,
    tasks: BTreeMap<String, Task>,
}

#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    status: ProgressBar,
    color: bool,
    /// Columns of the terminal.
    width: usize,
}

/// One thing that takes long.
#[derive(Debug)]
struct Task {
    unit: Unit,
    total: Option<u64>,
    done: u64,
    /// The moment from which time is counted, for what is measured in time.
    begun: Instant,
    said: Instant,
    bar: Option<ProgressBar>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Milliseconds, which pass by themselves.
    Milliseconds,
}

impl Progress {
    /// Nothing yet. `draw`: bars may be drawn.
    pub fn new(terminal: &Terminal, draw: bool) -> Self {
        let bars = (draw && terminal.draws).then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
            let status = all.add(ProgressBar::new_spinner());
            status.set_style(style("{spinner} {wide_msg}", terminal.error_color));
            Bars {
                all,
                status,
                color: terminal.error_color,
                width: terminal.width,
            }
        });
        Self {
            bars,
            tasks: BTreeMap::new(),
        }
    }

    /// Prints with the bars out of the way.
    pub fn aside(&self, print: impl FnOnce()) {
        match &self.bars {
            Some(bars) => bars.all.suspend(print),
            None => print(),
        }
    }

    /// What is being done, for the last line of the terminal.
    pub fn status(&self, text: &str) {
        if let Some(bars) = &self.bars {
            bars.status.set_message(one_line(text));
            bars.status.enable_steady_tick(TICK);
        }
    }

    /// How far something is. Returns a line about it where one is due.
    pub fn advance(
        &mut self,
        label: &str,
        done: u64,
        total: Option<u64>,
        unit: Unit,
        now: Instant,
    ) -> Option<String> {
        let bars = self.bars.as_ref();
        let task = self.tasks.entry(label.to_owned()).or_insert_with(|| Task {
            unit,
            total,
            done: 0,
            begun: now,
            said: now,
            bar: bars.map(|bars| bars.add(label, unit)),
        });
        task.total = total;
        task.done = done;
        if unit == Unit::Milliseconds {
            task.begun = now.checked_sub(Duration::from_millis(done)).unwrap_or(now);
        }
        task.show();
        let due = task.bar.is_none() && now.duration_since(task.said) >= PACE;
        due.then(|| task.say(label, now))
    }

    /// Time passes. Returns the lines that are due.
    pub fn tick(&mut self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for (label, task) in &mut self.tasks {
            if task.unit != Unit::Milliseconds {
                continue;
            }
            task.done = now.duration_since(task.begun).as_millis() as u64;
            task.show();
            if task.bar.is_none() && now.duration_since(task.said) >= PACE {
                lines.push(task.say(label, now));
            }
        }
        lines
    }

    /// It is over.
    pub fn end(&mut self, label: &str) {
        if let Some(task) = self.tasks.remove(label)
            && let Some(bar) = task.bar
        {
            bar.finish_and_clear();
        }
    }

    /// Everything is over.
    pub fn end_all(&mut self) {
        for (_, task) in std::mem::take(&mut self.tasks) {
            if let Some(bar) = task.bar {
                bar.finish_and_clear();
            }
        }
    }

    /// Nothing is drawn any more.
    pub fn close(&mut self) {
        self.end_all();
        if let Some(bars) = self.bars.take() {
            bars.status.finish_and_clear();
        }
    }
}

impl Bars {
    fn add(&self, label: &str, unit: Unit) -> ProgressBar {
        let bar = self
            .all
            .insert_before(&self.status, ProgressBar::no_length());
        let beside = match unit {
            Unit::Bytes => BESIDE_BYTES,
            Unit::Milliseconds => BESIDE_TIME,
        };
        let columns = self.width.saturating_sub(beside).clamp(2, 32);
        let template = match unit {
            Unit::Bytes => format!(
                "  {{msg:12}} {{bar:{columns}.cyan/238}} {{binary_bytes:>10}} of {{binary_total_bytes}}  {{binary_bytes_per_sec}}"
            ),
            Unit::Milliseconds => format!("  {{msg:12}} {{bar:{columns}.cyan/238}} {{prefix}}"),
        };
        bar.set_style(style(&template, self.color));
        bar.set_message(one_line(label));
        bar
    }
}

fn style(template: &str, color: bool) -> ProgressStyle {
    let template = match color {
        true => template.to_owned(),
        false => template.replace(".cyan/238", ""),
    };
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━╌")
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

impl Task {
    fn show(&self) {
        let Some(bar) = &self.bar else {
            return;
        };
        match self.total {
            Some(total) => bar.set_length(total),
            None => bar.unset_length(),
        }
        bar.set_position(self.total.map_or(self.done, |total| self.done.min(total)));
        if self.unit == Unit::Milliseconds {
            bar.set_prefix(self.far());
        }
    }

    fn say(&mut self, label: &str, now: Instant) -> String {
        self.said = now;
        format!("{}: {}", one_line(label), self.far())
    }

    fn far(&self) -> String {
        let say = |amount: u64| match self.unit {
            Unit::Bytes => wording::bytes(amount),
            Unit::Milliseconds => wording::time(Duration::from_millis(amount)),
        };
        match self.total {
            Some(total) => format!("{} of {}", say(self.done.min(total)), say(total)),
            None => say(self.done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Progress {
        Progress {
            bars: None,
            tasks: BTreeMap::new(),
        }
    }

    #[test]
    fn without_a_terminal_a_download_says_how_far_it_is_every_ten_seconds() {
        let mut progress = plain();
        let begin = Instant::now();
        let mut at = |seconds, done| {
            let now = begin + Duration::from_secs(seconds);
            progress.advance("kernel", done, Some(20 << 20), Unit::Bytes, now)
        };
        assert_eq!(at(0, 1), None);
        assert_eq!(at(9, 2), None);
        let line = at(10, 10 << 20);
        assert_eq!(line.as_deref(), Some("kernel: 10.0 MiB of 20.0 MiB"));
        assert_eq!(at(19, 3), None);
    }

    #[test]
    fn a_phase_goes_on_by_itself_and_never_beyond_its_end() {
        let mut progress = plain();
        let begin = Instant::now();
        progress.advance("idle", 0, Some(15_000), Unit::Milliseconds, begin);
        assert!(progress.tick(begin + Duration::from_secs(5)).is_empty());
        let line = progress.tick(begin + Duration::from_secs(10));
        assert_eq!(line, ["idle: 10.0 s of 15.0 s"]);
        let line = progress.tick(begin + Duration::from_secs(30));
        assert_eq!(line, ["idle: 15.0 s of 15.0 s"]);
        progress.end("idle");
        assert!(progress.tick(begin + Duration::from_secs(60)).is_empty());
    }
}
