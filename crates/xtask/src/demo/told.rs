//! What a person at the terminal of the demonstration reads: one line for each thing that happens.

use std::fmt::Display;
use std::io::IsTerminal;
use std::time::Instant;

/// Longest line of what a board or job says, characters.
const LONGEST: usize = 100;

/// Colours of the terminal (ECMA-48, SGR); none where nobody looks or wants them.
#[derive(Clone, Copy, Debug)]
pub enum Ink {
    Strong,
    Faint,
    Good,
    Bad,
    Odd,
}

/// Writes lines with the time since its making.
pub struct Teller {
    begun: Instant,
    paints: bool,
}

impl Teller {
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
            paints: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    /// A part of the demonstration begins.
    pub fn part(&self, title: &str) {
        println!(
            "\n{} {}",
            self.paint(Ink::Faint, "━━"),
            self.paint(Ink::Strong, title)
        );
    }

    /// Something happened; `who` is the job or part of the lab that it happened to.
    pub fn tell(&self, ink: Option<Ink>, who: &str, text: &str) {
        let time = format!("{:>6.1} s", self.begun.elapsed().as_secs_f64());
        let text = shortened(text);
        let text = ink.map_or_else(|| text.clone(), |ink| self.paint(ink, &text));
        println!("{}  {who:<14}  {text}", self.paint(Ink::Faint, &time));
    }

    /// Something that a person may want to copy: never shortened.
    pub fn value(&self, name: &str, value: impl Display) {
        println!("  {}{value}", self.paint(Ink::Faint, &format!("{name:<9}")));
    }

    pub fn paint(&self, ink: Ink, text: &str) -> String {
        if !self.paints {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Strong => "1",
            Ink::Faint => "2",
            Ink::Good => "32",
            Ink::Bad => "1;31",
            Ink::Odd => "33",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

fn shortened(text: &str) -> String {
    let mut characters = text
        .chars()
        .map(|one| if one.is_control() { ' ' } else { one });
    let mut short: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() {
        short.pop();
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_and_none_moves_a_cursor() {
        let long = shortened(&"ä\x1b".repeat(LONGEST));
        assert_eq!(long.chars().count(), LONGEST);
        assert!(long.ends_with('…') && !long.contains('\x1b'), "{long}");
        assert_eq!(shortened("short"), "short");
    }
}
