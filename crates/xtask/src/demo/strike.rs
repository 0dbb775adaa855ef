//! What is killed in a demonstration, when, and whether it struck in the middle.
//!
//! The moment is decided from what the job's log says, never by the clock; the log also shows
//! afterwards where the kill struck.

use std::fmt;

use anyhow::{Context, Result, ensure};

use super::followed::Line;
use super::lab::{Lab, kill, now};

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// `basalt serve`: its process only.
    Server,
    /// The dispatcher, in which runs are driven.
    Dispatcher,
    /// The dispatcher and the console keeper.
    DispatcherAndKeeper,
}

impl fmt::Display for Victim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Server => "the server",
            Self::Dispatcher => "the dispatcher",
            Self::DispatcherAndKeeper => "the dispatcher and the console keeper",
        })
    }
}

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// In the middle of a phase: its loads run, and the program measures.
    Measuring(&'static str),
    /// The kernel has said its first line, and no shell is there yet.
    Booting,
}

/// A kill that is to come.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    pub victim: Victim,
    /// Jobs by their names, and in the middle of what: whichever of them comes first.
    pub moments: &'static [(&'static str, Moment)],
}

/// A kill that was done.
#[derive(Clone, Debug)]
pub struct Struck {
    pub victim: Victim,
    /// The name of the job in whose middle.
    pub job: &'static str,
    pub moment: Moment,
    /// The line of the log that was its moment.
    pub line: Line,
    /// When the process was gone, microseconds UTC.
    pub utc_us: i64,
}

/// What a phase's log says when it begins, when it measures and when that is over.
const BEGINS: &str = "on the board: phase ";
pub const SIGNAL: &str = "signal: ";
const MEASURES: &str = "signal: BASALT_PHASE LOADS alive=1";
const MEASURED: &str = "signal: BASALT_PHASE DONE ";
/// What is said when the kernel and the shell are there.
const KERNEL: &str = "kernel: Linux version ";
const SHELL: &str = "start: 2.5 ";
/// What a dispatcher says that takes a run up again.
pub const RESUMED: &str = "resumed after ";

/// Whether a line is an event of Basalt's, not what the board said.
pub fn is_event(line: &Line) -> bool {
    !matches!(line.level.as_str(), "target" | "input" | "feedback")
}

/// The events of a log.
pub fn events(log: &[Line]) -> impl Iterator<Item = &Line> {
    log.iter().filter(|line| is_event(line))
}

impl Strike {
    /// In the middle of what a job is now, if this is its time; with the line that says so.
    pub fn due<'l>(&self, job: &'static str, log: &'l [Line]) -> Option<(Moment, &'l Line)> {
        let own = self.moments.iter().filter(|(name, _)| *name == job);
        own.map(|(_, moment)| *moment)
            .find_map(|moment| Some((moment, moment.line(log)?)))
    }

    /// Kills, and sees to it that the lab goes on; lines for people, with who each is about.
    pub fn perform(
        &self,
        lab: &mut Lab,
        (job, moment, line): (&'static str, Moment, &Line),
        tell: &mut dyn FnMut(&str),
    ) -> Result<Struck> {
        let utc_us = match self.victim {
            Victim::Server => {
                let before = lab.server()?;
                let gone = lab.kill_server()?;
                lab.restart_server()?;
                let now = lab.server()?;
                tell(&format!(
                    "process {before} is gone after line {} of the job's log; started again as {now}",
                    line.number
                ));
                gone
            }
            Victim::Dispatcher | Victim::DispatcherAndKeeper => {
                let before = lab.dispatcher()?;
                if self.victim == Victim::DispatcherAndKeeper {
                    kill(lab.keeper()?)?;
                }
                kill(before)?;
                let gone = now()?;
                let after = lab.another_dispatcher(before)?;
                tell(&format!(
                    "process {before} is gone after line {} of the job's log; its server has started \
                     {after}",
                    line.number
                ));
                gone
            }
        };
        Ok(Struck {
            victim: self.victim,
            job,
            moment,
            line: line.clone(),
            utc_us,
        })
    }
}

impl Moment {
    /// The line at which it began, while it lasts. What a board said and only its spool gave back
    /// was said too long ago.
    fn line(self, log: &[Line]) -> Option<&Line> {
        match self {
            Self::Booting => log
                .last()
                .filter(|last| is_event(last) && last.text.starts_with(KERNEL)),
            Self::Measuring(phase) => {
                let last = events(log)
                    .filter(|line| line.text.starts_with(SIGNAL) || line.text.starts_with(BEGINS))
                    .last()?;
                let measures = last.text == MEASURES && phase_of(log) == Some(phase);
                measures.then_some(last)
            }
        }
    }
}

/// The phase that a log is in.
fn phase_of(log: &[Line]) -> Option<&str> {
    let mut backwards = log.iter().rev().filter(|line| is_event(line));
    let name = backwards.find_map(|line| line.text.strip_prefix(BEGINS))?;
    // A phase that is begun anew says so behind its name.
    name.split(' ').next()
}

impl Struck {
    /// For people: who died, and in the middle of what.
    pub fn says(victim: Victim, moment: Moment, job: i64) -> String {
        match moment {
            Moment::Measuring(phase) => {
                format!("kill -9 of {victim} in the middle of phase {phase} of job {job}")
            }
            Moment::Booting => format!("kill -9 of {victim} while the kernel of job {job} boots"),
        }
    }

    /// Holds the whole log against what was meant: the kill came before what the moment was the
    /// middle of was over, and a killed dispatcher took the run up again in that middle. Where it
    /// struck, for people.
    pub fn hold(&self, log: &[Line]) -> Result<String> {
        let after: Vec<&Line> = events(log)
            .filter(|line| line.number > self.line.number)
            .collect();
        let over = match self.moment {
            Moment::Measuring(_) => MEASURED,
            Moment::Booting => SHELL,
        };
        let over = after
            .iter()
            .position(|line| line.text.starts_with(over))
            .with_context(|| format!("nothing says {over:?} after line {}", self.line.number))?;
        let end = after[over];
        let seconds = |micros: i64| micros as f64 / 1e6;
        let into = seconds(self.utc_us - self.line.utc_us);
        let left = seconds(end.utc_us - self.utc_us);
        ensure!(
            left > 0.0,
            "the kill came {:.3} s after line {}, {:?}: not in the middle",
            -left,
            end.number,
            end.text
        );
        if self.victim != Victim::Server {
            ensure!(
                after[..over]
                    .iter()
                    .any(|line| line.text.starts_with(RESUMED)),
                "the run was not taken up again between lines {} and {}",
                self.line.number,
                end.number
            );
        }
        Ok(match self.moment {
            Moment::Measuring(phase) => format!(
                "{into:.1} s after {phase} began to measure, {left:.1} s before it was over"
            ),
            Moment::Booting => format!(
                "{into:.1} s after the kernel's first line, {left:.1} s before there was a shell"
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[(&str, &str)]) -> Vec<Line> {
        let numbered = lines.iter().enumerate();
        numbered
            .map(|(index, (level, text))| Line {
                number: index as u64 + 1,
                utc_us: index as i64 * 1000,
                level: (*level).to_owned(),
                text: (*text).to_owned(),
                bytes: None,
            })
            .collect()
    }

    fn whole() -> Vec<Line> {
        log(&[
            ("info", "on the board: phase idle"),
            ("debug", "signal: BASALT_PHASE LOADS alive=1"),
            ("debug", "signal: BASALT_PHASE DONE rc=0"),
            ("info", "on the board: phase hackbench"),
            ("target", "signal: BASALT_PHASE LOADS alive=1"),
            ("debug", "signal: BASALT_PHASE LOADS alive=1"),
            (
                "warning",
                "resumed after 1.0 s: the board may still be as it was left",
            ),
            ("debug", "signal: BASALT_PHASE DONE rc=0"),
        ])
    }

    const STRIKE: Strike = Strike {
        victim: Victim::Dispatcher,
        moments: &[("x", Moment::Measuring("hackbench"))],
    };

    #[test]
    fn the_moment_lasts_from_an_event_of_the_right_phase_to_its_end() {
        let log = whole();
        let due: Vec<usize> = (1..=log.len())
            .filter(|count| STRIKE.due("x", &log[..*count]).is_some())
            .collect();
        assert_eq!(due, [6, 7]);
        assert!(STRIKE.due("y", &log[..6]).is_none());
        let (_, line) = STRIKE.due("x", &log[..7]).unwrap();
        assert_eq!(line.number, 6);
        let mut late = log.clone();
        late[5]
            .text
            .push_str(" (lost on the console, read back from the board)");
        assert!(STRIKE.due("x", &late[..6]).is_none());
    }

    #[test]
    fn a_kill_that_came_too_late_or_changed_nothing_does_not_count() {
        let log = whole();
        let mut struck = Struck {
            victim: Victim::Dispatcher,
            job: "x",
            moment: Moment::Measuring("hackbench"),
            line: log[5].clone(),
            utc_us: 6500,
        };
        let said = struck.hold(&log).unwrap();
        assert!(said.contains("hackbench"), "{said}");
        struck.utc_us = 7000;
        let late = struck.hold(&log).unwrap_err().to_string();
        assert!(late.contains("not in the middle"), "{late}");
        struck.utc_us = 6500;
        let mut unmoved = log.clone();
        unmoved.remove(6);
        assert!(struck.hold(&unmoved).is_err());
        assert!(struck.hold(&log[..7]).is_err());
    }
}
