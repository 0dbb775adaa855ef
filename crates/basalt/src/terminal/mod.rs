//! What the terminal can do, and what may reach it.
//!
//! Everything that is printed goes through here: standard output for what a verb was asked for,
//! standard error for remarks. A pipe that nobody reads any more is no error; the run goes on.

pub mod filter;
pub mod raw;

use std::io::{IsTerminal, Write};

use basalt_report::Style as ReportStyle;
use owo_colors::{OwoColorize, Style};

use crate::arguments::ColorChoice;

/// Columns where nobody says how many there are.
const USUAL_WIDTH: usize = 100;
/// Wider than this no line is easy to read.
const WIDEST: usize = 140;

/// What the terminal can do.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Colours on standard output.
    pub color: bool,
    /// Colours on standard error.
    pub error_color: bool,
    /// Standard error is a terminal that can be drawn on.
    pub draws: bool,
    /// Columns.
    pub width: usize,
}

/// A meaning that has a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
    Odd,
    Accent,
}

impl Ink {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().bright_black(),
            Self::Good => Style::new().green(),
            Self::Bad => Style::new().red().bold(),
            Self::Odd => Style::new().yellow(),
            Self::Accent => Style::new().cyan(),
        }
    }
}

/// Whether the user wants colours at all: `NO_COLOR` (no-color.org) and terminals without any.
pub fn wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && !is_dumb()
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

impl Terminal {
    /// Finds out.
    pub fn new(choice: ColorChoice) -> Self {
        let colors = |stream: &dyn Fn() -> bool| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => wanted() && stream(),
        };
        let output = || std::io::stdout().is_terminal();
        let error = || std::io::stderr().is_terminal();
        Self {
            color: colors(&output),
            error_color: colors(&error),
            draws: error() && !is_dumb(),
            width: width(),
        }
    }

    /// How reports are drawn.
    pub fn report_style(&self) -> ReportStyle {
        ReportStyle {
            color: self.color,
            width: self.width,
        }
    }

    /// Text for standard output in a colour.
    pub fn paint(&self, ink: Ink, text: &str) -> String {
        paint(self.color, ink, text)
    }

    /// Prints a line on standard output.
    pub fn line(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// Prints text on standard output as it is.
    pub fn write(&self, text: &str) {
        let mut output = std::io::stdout().lock();
        let _ = output.write_all(text.as_bytes());
        let _ = output.flush();
    }

    /// A remark on standard error.
    pub fn note(&self, text: &str) {
        self.note_raw(&format!("{}\n", paint(self.error_color, Ink::Faint, text)));
    }

    /// Text on standard error as it is.
    pub fn note_raw(&self, text: &str) {
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    /// Why the program ends without having done what it was asked: the error and its causes.
    pub fn say_error(&self, error: &anyhow::Error) {
        let mut text = error.to_string();
        for cause in error.chain().skip(1) {
            let cause = cause.to_string();
            // Some errors already end with their cause.
            if !text.ends_with(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
        }
        let head = paint(self.error_color, Ink::Bad, "error:");
        self.note_raw(&format!("{head} {}\n", one_line(&text)));
        let hints = error.chain().filter_map(|cause| cause.downcast_ref());
        for hint in hints.filter_map(basalt_client::ClientError::hint) {
            let line = format!("  hint: {}", one_line(&hint));
            self.note(&line);
        }
    }
}

fn paint(color: bool, ink: Ink, text: &str) -> String {
    if !color || ink == Ink::Plain || text.is_empty() {
        return text.to_owned();
    }
    text.style(ink.style()).to_string()
}

fn width() -> usize {
    let asked = rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0);
    let said = || std::env::var("COLUMNS").ok()?.parse::<usize>().ok();
    asked.or_else(said).unwrap_or(USUAL_WIDTH).clamp(40, WIDEST)
}

/// A value as JSON that means the same and does nothing to a terminal: serde escapes the control
/// characters of ASCII, and here those of eight bits follow, and what turns text around.
pub fn harmless_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        let is_foul = character > '\x7e'
            && (character.is_control() || basalt_console::terminal::deceives(character));
        if is_foul {
            // All of them are in the first plane, and JSON has none outside of its strings.
            text.push_str(&format!("\\u{:04x}", character as u32));
        } else {
            text.push(character);
        }
    }
    text
}

/// Text from anywhere as one line that does nothing but be read.
pub fn one_line(text: &str) -> String {
    basalt_console::terminal::sanitize(text).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_there_is_no_escape_and_with_it_there_is() {
        assert_eq!(paint(false, Ink::Bad, "fail"), "fail");
        assert!(paint(true, Ink::Bad, "fail").starts_with('\u{1b}'));
    }

    #[test]
    fn json_means_the_same_and_does_nothing() {
        let evil = "a\u{9b}31m\u{202e}\u{7f}\u{1b}[2J grüß \u{1f980}";
        let json = harmless_json(&serde_json::to_string(evil).unwrap());
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), evil);
        assert!(json.contains("\\u009b31m\\u202e\\u007f"), "{json}");
        assert!(json.contains("grüß \u{1f980}"), "{json}");
    }

    #[test]
    fn foreign_text_stays_on_its_line() {
        assert_eq!(one_line("a\r\nb\u{1b}[2J\u{1b}]0;t\u{7}c"), "a bc");
    }
}
