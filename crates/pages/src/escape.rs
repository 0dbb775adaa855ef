//! Foreign text in a page: names of jobs, reasons, cases and whatever else people and boards made up.
//!
//! Every template escapes by this (`askama.toml` says so). HTML's own characters become entities;
//! control characters, which HTML forbids, are shown as their pictures, and those that turn the order
//! of the text around them by their numbers, so that no name can pose as another.

use std::fmt::{self, Write};

use askama::filters::{Escaper, Html};

/// The escaper of all templates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Visible;

impl Escaper for Visible {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> fmt::Result {
        let mut rest = string;
        while let Some(at) = rest.find(is_foul) {
            let (before, from) = rest.split_at(at);
            Html.write_escaped_str(&mut dest, before)?;
            let mut characters = from.chars();
            if let Some(foul) = characters.next() {
                show(&mut dest, foul)?;
            }
            rest = characters.as_str();
        }
        Html.write_escaped_str(dest, rest)
    }
}

/// Zero-width characters stay: scripts and emoji need them, and they turn nothing round.
fn is_foul(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => character.is_control(),
    }
}

fn show(dest: &mut impl Write, foul: char) -> fmt::Result {
    match foul {
        '\0'..='\u{1f}' => dest.write_char(char::from_u32(0x2400 + foul as u32).unwrap_or(foul)),
        '\u{7f}' => dest.write_char('\u{2421}'),
        _ => write!(dest, "⟨{:04X}⟩", foul as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        Visible.write_escaped_str(&mut out, text).unwrap();
        out
    }

    #[test]
    fn nothing_foreign_acts_in_a_page_and_everything_is_seen() {
        assert_eq!(
            escaped("a\u{1b}]0;t\u{7}\u{9b}31m\u{202e}<b>\u{7f}"),
            "a␛]0;t␇⟨009B⟩31m⟨202E⟩&#60;b&#62;␡"
        );
    }

    #[test]
    fn pieces_of_html_that_were_made_here_are_not_escaped_again() {
        #[derive(askama::Template)]
        #[template(source = "{{ ours }} {{ theirs }}", ext = "html")]
        struct Piece {
            ours: crate::tag::Html<String>,
            theirs: &'static str,
        }
        let piece = Piece {
            ours: crate::tag::icon("running"),
            theirs: "<b>\u{7}",
        };
        let html = askama::Template::render(&piece).unwrap();
        assert!(html.starts_with("<svg "), "{html}");
        assert!(html.ends_with("</svg> &#60;b&#62;␇"), "{html}");
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in [
            "",
            "two\nlines\tand a tab\r\n",
            "grüß \u{1f469}\u{200d}\u{1f680} שלום",
        ] {
            assert_eq!(escaped(text), text);
        }
    }
}
