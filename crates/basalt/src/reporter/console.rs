//! The board's bytes as lines for people.
//!
//! The console's own file holds every byte. Here a line looks as it would on a terminal, and the
//! dialogue that Basalt itself has with the board's shell is shortened to what it is about.

use std::time::{Duration, Instant};

/// A line without an end is shown after so much silence: a prompt.
const SILENCE: Duration = Duration::from_millis(1500);
/// Longer lines are cut in two.
const LONGEST: usize = 4096;
/// What the runner types after each of its commands begins so.
const STATUS_QUESTION: &str = "; basalt_rc=$?;";
/// Lines that only Basalt reads begin so: statuses and signals of the helpers on the board, which
/// come as results of their own.
const FOR_BASALT: [&str; 4] = [
    "BASALT-RC-",
    "<BASALT_",
    "<LAVA_SIGNAL_",
    "<LAVA_TEST_RUNNER",
];

/// Makes lines of bytes that come in pieces.
#[derive(Debug)]
pub struct ConsoleLines {
    /// The prompt that Basalt sets on the board.
    prompt: String,
    pending: Vec<u8>,
    /// Where the next byte of the line goes: a board may step back over what it said.
    at: usize,
    heard: Option<Instant>,
    /// What was pending has been shown; an empty rest of it is not worth a line.
    shown_part: bool,
}

impl ConsoleLines {
    /// Of a board whose shell has this prompt once Basalt has it.
    pub fn new(prompt: &str) -> Self {
        Self {
            prompt: prompt.to_owned(),
            pending: Vec::new(),
            at: 0,
            heard: None,
            shown_part: false,
        }
    }

    /// Takes bytes; gives the lines that they end, safe to be shown.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) -> Vec<String> {
        self.heard = Some(now);
        let mut lines = Vec::new();
        for byte in bytes {
            match *byte {
                b'\n' => self.end_line(&mut lines),
                0x08 => self.at = self.at.saturating_sub(1),
                byte => {
                    match self.pending.get_mut(self.at) {
                        Some(place) => *place = byte,
                        None => self.pending.push(byte),
                    }
                    self.at += 1;
                    if self.pending.len() >= LONGEST {
                        self.end_line(&mut lines);
                    }
                }
            }
        }
        lines
    }

    /// What waits for the end of its line too long.
    pub fn overdue(&mut self, now: Instant) -> Vec<String> {
        match self.heard {
            Some(heard) if now.duration_since(heard) >= SILENCE => self.flush(),
            _ => Vec::new(),
        }
    }

    /// What waits for the end of its line.
    pub fn flush(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        self.heard = None;
        if !self.pending.is_empty() {
            self.end_line(&mut lines);
            self.shown_part = true;
        }
        lines
    }

    fn end_line(&mut self, lines: &mut Vec<String>) {
        let raw = std::mem::take(&mut self.pending);
        self.at = 0;
        let shown = basalt_console::terminal::sanitize_bytes(&raw);
        let shown = shown.trim_end();
        if std::mem::take(&mut self.shown_part) && shown.is_empty() {
            return;
        }
        let shown = shown.split('\n').filter_map(|line| self.for_people(line));
        lines.extend(shown);
    }

    /// The line without what only Basalt reads; `None` if nothing is left.
    fn for_people(&self, line: &str) -> Option<String> {
        let said = line.strip_prefix(&self.prompt).unwrap_or(line);
        if FOR_BASALT.iter().any(|begin| said.starts_with(begin)) {
            return None;
        }
        Some(match line.split_once(STATUS_QUESTION) {
            Some((command, _)) => command.to_owned(),
            None => line.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> ConsoleLines {
        ConsoleLines::new("lava-test: # ")
    }

    #[test]
    fn lines_come_whole_and_tame_and_a_prompt_after_a_silence() {
        let mut lines = lines();
        let begin = Instant::now();
        assert_eq!(lines.feed(b"U-Boot 20", begin), Vec::<String>::new());
        assert_eq!(
            lines.feed(b"23.01\r\n\x1b]0;owned\x07\x1b[31mred\r\nlogin: ", begin),
            ["U-Boot 2023.01", "red"]
        );
        assert_eq!(lines.overdue(begin), Vec::<String>::new());
        assert_eq!(lines.overdue(begin + SILENCE), ["login:"]);
        assert_eq!(lines.overdue(begin + SILENCE * 2), Vec::<String>::new());
        assert_eq!(lines.feed(b"\r\n# ", begin), Vec::<String>::new());
        assert_eq!(lines.flush(), ["#"]);
    }

    #[test]
    fn a_countdown_looks_as_on_a_terminal() {
        assert_eq!(
            lines().feed(
                b"autoboot:  2 \x08\x08\x08 1 \x08\x08\x08 0 \r\n",
                Instant::now()
            ),
            ["autoboot:  0"]
        );
        // No step leads before the line.
        assert_eq!(lines().feed(b"\x08\x08ab\x08c\n", Instant::now()), ["ac"]);
    }

    #[test]
    fn what_only_basalt_reads_is_left_out() {
        let heard =
            b"lava-test: # uname -a; basalt_rc=$?; echo \"BASALT\"-RC-f01-1:$basalt_rc:\r\n\
            Linux board\r\nBASALT-RC-f01-1:0:\r\nlava-test: # <LAVA_SIGNAL_STARTTC #2:cd95 a>\r\n\
            <BASALT_PHASE #1:f5aa START>\r\nlava-test: # ls\r\n";
        assert_eq!(
            lines().feed(heard, Instant::now()),
            ["lava-test: # uname -a", "Linux board", "lava-test: # ls"]
        );
    }

    #[test]
    fn a_board_that_never_ends_a_line_is_shown_all_the_same() {
        assert_eq!(lines().feed(&[b'.'; 10_000], Instant::now()).len(), 2);
    }
}
