//! How text for a terminal may look.

use basalt_model::Verdict;
use owo_colors::{OwoColorize, XtermColors};

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// ANSI colours (256 of them). The caller respects NO_COLOR and pipes.
    pub color: bool,
    /// Columns of the terminal.
    pub width: usize,
}

/// A meaning that has a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
    Odd,
    /// First of two histograms, alone.
    First,
    /// Second of two histograms, alone.
    Second,
    /// Where both are.
    Both,
    /// Both below, the first alone above: the cell's background.
    BothUnderFirst,
    /// Both below, the second alone above.
    BothUnderSecond,
}

impl Ink {
    /// The numbers of its colours in the palette of 256: of the sign and of what is behind it.
    fn palette(self) -> (Option<u8>, Option<u8>) {
        match self {
            Self::Plain | Self::Strong => (None, None),
            Self::Faint => (Some(244), None),
            Self::Good => (Some(35), None),
            Self::Bad => (Some(203), None),
            Self::Odd => (Some(214), None),
            Self::First => (Some(38), None),
            Self::Second => (Some(208), None),
            Self::Both => (Some(247), None),
            Self::BothUnderFirst => (Some(247), Some(38)),
            Self::BothUnderSecond => (Some(247), Some(208)),
        }
    }

    /// The ink of a verdict.
    pub(crate) fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Good,
            Verdict::Fail => Self::Bad,
            Verdict::Invalid => Self::Odd,
            Verdict::Measured => Self::Strong,
        }
    }
}

impl Style {
    /// `text` in the colour of `ink`, where colours are wanted.
    pub(crate) fn paint(self, ink: Ink, text: &str) -> String {
        if !self.color || ink == Ink::Plain || text.is_empty() {
            return text.to_owned();
        }
        let (sign, behind) = ink.palette();
        let mut style = owo_colors::Style::new();
        if let Some(color) = sign {
            style = style.color(XtermColors::from(color));
        }
        if let Some(color) = behind {
            style = style.on_color(XtermColors::from(color));
        }
        if matches!(ink, Ink::Strong | Ink::Bad) {
            style = style.bold();
        }
        text.style(style).to_string()
    }
}

/// Text from a board, a job or a lab file with what could move a cursor replaced.
pub(crate) fn tame(text: &str) -> String {
    text.chars()
        .map(|one| if one.is_control() { '\u{fffd}' } else { one })
        .collect()
}

/// `1234567` as `1 234 567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1000), "1 000");
        assert_eq!(grouped(1234567), "1 234 567");
    }

    #[test]
    fn a_board_cannot_move_the_cursor() {
        assert_eq!(
            tame("a\u{1b}[2Jb\u{9b}c\r"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}"
        );
    }

    #[test]
    fn without_colour_there_is_no_escape() {
        let style = Style {
            color: false,
            width: 80,
        };
        assert_eq!(style.paint(Ink::Bad, "fail"), "fail");
        let style = Style {
            color: true,
            width: 80,
        };
        assert!(style.paint(Ink::Bad, "fail").starts_with('\u{1b}'));
    }
}
