//! The board's bytes as lines.

use std::time::{Duration, Instant};

/// A line without an end is shown after so much silence: a prompt.
const SILENCE: Duration = Duration::from_millis(1500);
/// Longer lines are cut in two.
const LONGEST: usize = 4096;

/// Makes lines of bytes that come in pieces.
#[derive(Debug, Default)]
pub struct ConsoleLines {
    pending: Vec<u8>,
    heard: Option<Instant>,
    /// What was pending has been shown; an empty rest of it is not worth a line.
    shown_part: bool,
}

impl ConsoleLines {
    /// Takes bytes; gives the lines that they end, safe to be shown.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) -> Vec<String> {
        self.heard = Some(now);
        let mut lines = Vec::new();
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line(&mut lines);
            } else {
                self.pending.push(*byte);
                if self.pending.len() >= LONGEST {
                    self.end_line(&mut lines);
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
        let shown = basalt_console::terminal::sanitize_bytes(&raw);
        let shown = shown.trim_end();
        if !(std::mem::take(&mut self.shown_part) && shown.is_empty()) {
            lines.extend(shown.split('\n').map(str::to_owned));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_tame_and_a_prompt_after_a_silence() {
        let mut lines = ConsoleLines::default();
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
    fn a_board_that_never_ends_a_line_is_shown_all_the_same() {
        let mut lines = ConsoleLines::default();
        assert_eq!(lines.feed(&[b'.'; 10_000], Instant::now()).len(), 2);
    }
}
