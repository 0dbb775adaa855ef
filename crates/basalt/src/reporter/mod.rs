//! Shows a run while it goes on. The runner says what happens ([`Live`]); only this prints it.

mod console;
mod line;
mod progress;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use basalt_clock::Clock;
use basalt_model::{Event, EventBody, UtcMicros};
use basalt_plan::Plan;
use basalt_plan::plan::BlockKind;
use basalt_runner::Live;
use basalt_runner::results::StageFold;
use tokio::sync::mpsc;

use crate::terminal::{Ink, Terminal, one_line};
use crate::wording;
use console::ConsoleLines;
use line::Line;
use progress::{Progress, Unit};

/// How often time that passes is looked at.
const TICK: Duration = Duration::from_millis(200);

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Events as JSON lines, and nothing else.
    pub json: bool,
    /// No lines of the console.
    pub quiet: bool,
}

/// What a run's watcher is told.
#[derive(Debug)]
pub enum Told {
    /// By the runner.
    Live(Live),
    /// By this program: a line for the user.
    Note(String),
}

/// Shows one run.
#[derive(Debug)]
pub struct Reporter {
    terminal: Terminal,
    options: Options,
    clock: Clock,
    created: UtcMicros,
    /// Suite, name and duration of every phase of the plan.
    phases: Vec<(String, String, Duration)>,
    console: ConsoleLines,
    progress: Progress,
    /// What the signals of tests come to, by block and attempt.
    stages: BTreeMap<(String, u32), StageFold>,
    /// What goes on: block, action.
    doing: Vec<(String, String)>,
}

impl Reporter {
    /// Of a run that was made at `created`.
    pub fn new(terminal: Terminal, options: Options, plan: &Plan, created: UtcMicros) -> Self {
        let phases = plan.blocks.iter().filter_map(|block| match &block.kind {
            BlockKind::Realtime(realtime) => Some(&realtime.phases),
            _ => None,
        });
        Self {
            progress: Progress::new(&terminal, !options.json),
            terminal,
            options,
            clock: Clock::system(),
            created,
            phases: phases
                .flatten()
                .map(|phase| (phase.suite.clone(), phase.name.clone(), phase.duration))
                .collect(),
            console: ConsoleLines::new(&plan.board.shell.prompt),
            stages: BTreeMap::new(),
            doing: Vec::new(),
        }
    }

    /// Shows everything until nobody can say any more.
    pub async fn follow(mut self, mut told: mpsc::UnboundedReceiver<Told>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                next = told.recv() => match next {
                    Some(told) => self.take(told),
                    None => break,
                },
                _ = ticks.tick() => self.pass_time(),
            }
        }
        let rest = self.console.flush();
        self.console_lines(rest);
        self.progress.close();
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Live(Live::Event(event)) if self.options.json => {
                self.terminal.line(&event.to_json());
            }
            Told::Live(_) if self.options.json => {}
            Told::Live(Live::Event(event)) => self.event(&event),
            Told::Live(Live::Console(bytes)) => {
                if !self.options.quiet {
                    let lines = self.console.feed(&bytes, Instant::now());
                    self.console_lines(lines);
                }
            }
            Told::Live(Live::Progress {
                label,
                done,
                total,
                unit,
            }) => {
                let unit = if unit == "bytes" {
                    Unit::Bytes
                } else {
                    Unit::Milliseconds
                };
                let now = Instant::now();
                if let Some(line) = self.progress.advance(&label, done, total, unit, now) {
                    self.remark(&line);
                }
            }
            Told::Note(note) => {
                let terminal = self.terminal;
                self.progress.aside(|| terminal.note(&note));
            }
        }
    }

    fn event(&mut self, event: &Event) {
        self.follow_progress(&event.body);
        let since = self.since(event.stamp.utc);
        let is_phase = |suite: &str| self.phases.iter().any(|(known, _, _)| known == suite);
        let mut lines = line::lines(&event.body, is_phase);
        if let EventBody::Signal {
            text,
            level,
            attempt,
            ..
        } = &event.body
        {
            let stage = self
                .stages
                .entry((level.clone(), *attempt))
                .or_insert_with(|| StageFold::new(*attempt));
            lines.extend(stage.apply(text).iter().map(line::effect));
        }
        for line in lines {
            let line = self.layout(&since, &line);
            self.print(&line);
        }
    }

    /// Bars and the last line of the terminal.
    fn follow_progress(&mut self, body: &EventBody) {
        match body {
            EventBody::ActionStarted { level, name, .. } => {
                self.doing.push((level.clone(), name.clone()));
                self.show_status();
            }
            EventBody::ActionFinished { level, name, .. } => {
                self.doing.retain(|one| (&one.0, &one.1) != (level, name));
                if !level.contains('.') {
                    self.progress.end_all();
                }
                self.show_status();
            }
            EventBody::ArtifactReady { label, .. } => self.progress.end(label),
            EventBody::PayloadStarted { name, .. } => {
                let name = name.strip_prefix("phase ").unwrap_or(name);
                let phase = self.phases.iter().find(|(_, phase, _)| phase == name);
                if let Some((_, _, duration)) = phase {
                    let total = Some(duration.as_millis() as u64);
                    let now = Instant::now();
                    self.progress
                        .advance(name, 0, total, Unit::Milliseconds, now);
                }
            }
            EventBody::PhaseFinished { phase, .. } => self.progress.end(phase),
            EventBody::RawFile { .. } => self.progress.end_all(),
            _ => {}
        }
    }

    fn show_status(&self) {
        let names: Vec<&str> = self.doing.iter().map(|(_, name)| name.as_str()).collect();
        self.progress.status(&names.join(" › "));
    }

    fn pass_time(&mut self) {
        let now = Instant::now();
        for line in self.progress.tick(now) {
            self.remark(&line);
        }
        let overdue = self.console.overdue(now);
        self.console_lines(overdue);
    }

    fn remark(&self, text: &str) {
        let since = self.since(self.clock.now().utc);
        let line = Line {
            depth: 2,
            head: String::new(),
            ink: Ink::Plain,
            text: String::new(),
            aside: text.to_owned(),
        };
        self.print(&self.layout(&since, &line));
    }

    fn console_lines(&self, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        let since = self.since(self.clock.now().utc);
        let text: Vec<String> = lines
            .iter()
            .map(|line| {
                let shown = format!("{since:>9}    │ {line}");
                self.terminal.paint(Ink::Faint, shown.trim_end())
            })
            .collect();
        self.print(&text.join("\n"));
    }

    fn layout(&self, since: &str, line: &Line) -> String {
        let time = self.terminal.paint(Ink::Faint, &format!("{since:>9}"));
        let head = self.terminal.paint(line.ink, &one_line(&line.head));
        let aside = match line.aside.is_empty() {
            true => String::new(),
            false => self
                .terminal
                .paint(Ink::Faint, &format!("  {}", line.aside)),
        };
        let indent = "  ".repeat(line.depth);
        format!("{time}  {indent}{head}{}{aside}", line.text)
    }

    fn print(&self, text: &str) {
        let terminal = self.terminal;
        self.progress.aside(|| terminal.line(text));
    }

    fn since(&self, at: UtcMicros) -> String {
        let micros = at.0.saturating_sub(self.created.0).max(0) as u64;
        wording::clock(Duration::from_micros(micros))
    }
}
