//! What of a board's time was the board's own, read from the rack's log.
//!
//! A board has the word from its power-on, or from the moment at which something is typed, to the
//! last thing that it says before more is typed or its power goes. What is left of a run's time is
//! Basalt's. Fetching by TFTP is counted as the board's: it asks, and says when it has it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

/// One time that a board was on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Powered {
    /// Microseconds UTC.
    pub on_us: i64,
    pub off_us: i64,
    /// Of that, the board's own, microseconds.
    pub own_us: i64,
}

impl Powered {
    /// How long the board was held, milliseconds.
    pub fn held_ms(&self) -> f64 {
        (self.off_us - self.on_us) as f64 / 1e3
    }

    /// The board's own part of it.
    pub fn own_ms(&self) -> f64 {
        self.own_us as f64 / 1e3
    }
}

/// A place in the log, from which on it is read.
#[derive(Clone, Debug)]
pub struct Mark {
    log: PathBuf,
    offset: u64,
}

impl Mark {
    /// The log's end now.
    pub fn at_end(log: &Path) -> Result<Self> {
        let about =
            std::fs::metadata(log).with_context(|| format!("looking at {}", log.display()))?;
        Ok(Self {
            log: log.to_owned(),
            offset: about.len(),
        })
    }

    /// Every line from here on.
    pub fn lines(&self, mut each: impl FnMut(Value)) -> Result<()> {
        let doing = || format!("reading {}", self.log.display());
        let mut file = File::open(&self.log).with_context(doing)?;
        file.seek(SeekFrom::Start(self.offset))
            .with_context(doing)?;
        for line in BufReader::with_capacity(1 << 16, file).lines() {
            let line = line.with_context(doing)?;
            // The last line may be in the making.
            if let Ok(value) = serde_json::from_str(&line) {
                each(value);
            }
        }
        Ok(())
    }

    /// Every time that a board was switched on and off again since, in the order of their ends.
    pub fn powered(&self) -> Result<Vec<Powered>> {
        let mut turns: HashMap<String, Turns> = HashMap::new();
        let mut ended = Vec::new();
        self.lines(|line| {
            let (Some(board), Some(at)) = (line["board"].as_str(), line["t_us"].as_i64()) else {
                return;
            };
            let turns = turns.entry(board.to_owned()).or_default();
            match line["ev"].as_str() {
                Some("power") if line["on"] == true => turns.on(at),
                Some("power") => ended.extend(turns.off(at)),
                Some("rx") => turns.typed(at),
                Some("tx") => turns.said(at),
                _ => {}
            }
        })?;
        Ok(ended)
    }
}

/// Whose turn it is on one console.
#[derive(Debug, Default)]
struct Turns {
    powered: Option<Powered>,
    /// Since when the board has the word.
    since: i64,
    said: i64,
}

impl Turns {
    fn on(&mut self, at: i64) {
        self.powered = Some(Powered {
            on_us: at,
            ..Powered::default()
        });
        (self.since, self.said) = (at, at);
    }

    fn said(&mut self, at: i64) {
        self.said = at;
    }

    fn typed(&mut self, at: i64) {
        if let Some(powered) = &mut self.powered {
            powered.own_us += self.said - self.since;
        }
        (self.since, self.said) = (at, at);
    }

    fn off(&mut self, at: i64) -> Option<Powered> {
        self.typed(at);
        let powered = self.powered.take()?;
        Some(Powered {
            off_us: at,
            ..powered
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_has_the_word_until_it_says_no_more() {
        let mut turns = Turns::default();
        // Said while it is off: no time of a run.
        turns.said(5);
        assert_eq!(turns.off(6), None);
        turns.on(1000);
        turns.said(1100);
        turns.said(1200);
        // Typed 300 after the board's last word: Basalt's.
        turns.typed(1500);
        turns.said(1600);
        let powered = turns.off(2000).unwrap();
        assert_eq!(
            (powered.on_us, powered.off_us, powered.own_us),
            (1000, 2000, 300)
        );
        assert_eq!((powered.held_ms(), powered.own_ms()), (1.0, 0.3));
    }
}
