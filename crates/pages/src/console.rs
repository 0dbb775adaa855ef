//! What a board said, as text that can harm no page (invariant 10).
//!
//! Colours and styles (SGR) are kept; every other escape sequence, control character, byte that is no
//! UTF-8 and character that reorders text is shown as what it is and does nothing. `sgr.ts` does the
//! same to lines that arrive later; both are held to `web/islands/console.cases.json`. Styles end with
//! their line: a line looks the same wherever reading begins.
//!
//! Sequences are those of ECMA-48, 5th edition: CSI 5.4, SGR 8.3.117, OSC 8.3.89.

use std::fmt::Write as _;

use crate::tag::{Html, escape};

/// The most that is shown of one line; the rest is counted.
pub const LONGEST: usize = 16 * 1024;

/// A part of a line in one style.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The classes of `basalt.css`, parted by blanks; empty for plain text.
    pub classes: String,
    /// The text; control characters only as their pictures.
    pub text: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Style {
    bold: bool,
    faint: bool,
    italic: bool,
    underline: bool,
    strike: bool,
    inverse: bool,
    ink: Option<u8>,
    ground: Option<u8>,
}

impl Style {
    fn classes(&self) -> String {
        let mut classes: Vec<String> = Vec::new();
        let flags = [
            (self.bold, "t-bold"),
            (self.faint, "t-faint"),
            (self.italic, "t-italic"),
            (self.underline, "t-underline"),
            (self.strike, "t-strike"),
            (self.inverse, "t-inverse"),
        ];
        classes.extend(
            flags
                .iter()
                .filter(|(on, _)| *on)
                .map(|(_, class)| (*class).to_owned()),
        );
        classes.extend(self.ink.map(|ink| format!("t-ink-{ink}")));
        classes.extend(self.ground.map(|ground| format!("t-ground-{ground}")));
        classes.join(" ")
    }

    /// Follows the parameters of one SGR sequence; what it does not know it passes over.
    fn follow(&mut self, parameters: &str) {
        let numbers: Vec<u32> = parameters
            .split([';', ':'])
            .map(|one| one.parse().unwrap_or(0))
            .collect();
        let mut rest = numbers.as_slice();
        while let [first, tail @ ..] = rest {
            rest = tail;
            match *first {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.faint = true,
                3 => self.italic = true,
                4 | 21 => self.underline = true,
                7 => self.inverse = true,
                9 => self.strike = true,
                22 => (self.bold, self.faint) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                27 => self.inverse = false,
                29 => self.strike = false,
                code @ 30..=37 => self.ink = Some((code - 30) as u8),
                code @ 40..=47 => self.ground = Some((code - 40) as u8),
                code @ 90..=97 => self.ink = Some((code - 90 + 8) as u8),
                code @ 100..=107 => self.ground = Some((code - 100 + 8) as u8),
                39 => self.ink = None,
                49 => self.ground = None,
                code @ (38 | 48) => {
                    let (colour, after) = extended(rest);
                    rest = after;
                    if code == 38 {
                        self.ink = colour;
                    } else {
                        self.ground = colour;
                    }
                }
                // Blinking and hiding are for terminals; here nothing hides.
                _ => {}
            }
        }
    }
}

/// The colour after 38 or 48, as one of sixteen, and what follows it.
fn extended(rest: &[u32]) -> (Option<u8>, &[u32]) {
    match rest {
        [5, index, tail @ ..] => (Some(of_table(*index)), tail),
        [2, red, green, blue, tail @ ..] => (Some(nearest([*red, *green, *blue])), tail),
        _ => (None, &[]),
    }
}

/// An entry of xterm's table of 256 colours.
fn of_table(index: u32) -> u8 {
    match index {
        0..=15 => index as u8,
        16..=231 => {
            let level = |step: u32| if step == 0 { 0 } else { 55 + step * 40 };
            let cube = index - 16;
            nearest([level(cube / 36), level(cube / 6 % 6), level(cube % 6)])
        }
        _ => {
            let grey = 8 + (index.min(255) - 232) * 10;
            nearest([grey; 3])
        }
    }
}

/// xterm's sixteen colours.
const SIXTEEN: [[u32; 3]; 16] = [
    [0, 0, 0],
    [205, 0, 0],
    [0, 205, 0],
    [205, 205, 0],
    [0, 0, 238],
    [205, 0, 205],
    [0, 205, 205],
    [229, 229, 229],
    [127, 127, 127],
    [255, 0, 0],
    [0, 255, 0],
    [255, 255, 0],
    [92, 92, 255],
    [255, 0, 255],
    [0, 255, 255],
    [255, 255, 255],
];

fn nearest(colour: [u32; 3]) -> u8 {
    let distance = |other: &[u32; 3]| -> u32 {
        (0..3)
            .map(|at| colour[at].min(255).abs_diff(other[at]).pow(2))
            .sum()
    };
    (0..16u8)
        .min_by_key(|at| distance(&SIXTEEN[usize::from(*at)]))
        .unwrap_or(0)
}

/// The line without what ends it.
fn without_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// Characters that change the order or the look of what stands beside them, or that nobody sees.
fn is_treacherous(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

fn shown(character: char) -> String {
    match u32::from(character) {
        code @ 0..=0x1f => char::from_u32(0x2400 + code).into_iter().collect(),
        0x7f => "\u{2421}".into(),
        code => format!("⟨{code:04X}⟩"),
    }
}

struct Reader {
    spans: Vec<Span>,
    style: Style,
}

impl Reader {
    fn push(&mut self, classes: &str, text: &str) {
        match self.spans.last_mut() {
            Some(last) if last.classes == classes => last.text.push_str(text),
            _ => self.spans.push(Span {
                classes: classes.to_owned(),
                text: text.to_owned(),
            }),
        }
    }

    fn neutral(&mut self, sequence: &str) {
        let text: String = sequence
            .chars()
            .map(|character| match character {
                other if other.is_control() || is_treacherous(other) => shown(other),
                other => other.to_string(),
            })
            .collect();
        self.push("t-control", &text);
    }
}

/// One line in its styles. The bytes may be anything.
pub fn spans(line: &[u8]) -> Vec<Span> {
    let text = String::from_utf8_lossy(line);
    spans_of(&text)
}

/// [`spans`] of text.
pub fn spans_of(text: &str) -> Vec<Span> {
    let mut reader = Reader {
        spans: Vec::new(),
        style: Style::default(),
    };
    let mut rest = without_end(text);
    let mut more = 0;
    if let Some((cut, _)) = rest.char_indices().nth(LONGEST) {
        more = rest[cut..].chars().count();
        rest = &rest[..cut];
    }
    while let Some(character) = rest.chars().next() {
        if character == '\u{1b}' {
            let length = sequence_length(rest);
            let sequence = &rest[..length];
            match style_parameters(sequence) {
                Some(parameters) => reader.style.follow(parameters),
                None => reader.neutral(sequence),
            }
            rest = &rest[length..];
        } else if character != '\t' && (character.is_control() || is_treacherous(character)) {
            let length = character.len_utf8();
            reader.neutral(&rest[..length]);
            rest = &rest[length..];
        } else {
            let end = rest
                .find(|one: char| (one != '\t' && one.is_control()) || is_treacherous(one))
                .unwrap_or(rest.len());
            let classes = reader.style.classes();
            reader.push(&classes, &rest[..end]);
            rest = &rest[end..];
        }
    }
    if more > 0 {
        reader.push("t-control", &format!(" … {more} more"));
    }
    reader.spans
}

/// The length in bytes of the sequence that begins with an escape character.
fn sequence_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.get(1) {
        Some(b'[') => {
            let parameters = bytes[2..]
                .iter()
                .take_while(|byte| (0x20..=0x3f).contains(*byte))
                .count();
            let end = 2 + parameters;
            match bytes.get(end) {
                Some(0x40..=0x7e) => end + 1,
                _ => end,
            }
        }
        // Strings end with BEL or with escape and backslash: DCS, SOS, OSC, PM, APC.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let bell = text.find('\u{7}').map(|at| at + 1);
            let terminator = text[1..].find("\u{1b}\\").map(|at| at + 3);
            match (bell, terminator) {
                (Some(bell), Some(terminator)) => bell.min(terminator),
                (Some(end), None) | (None, Some(end)) => end,
                (None, None) => 2,
            }
        }
        Some(0x20..=0x7e) => 2,
        _ => 1,
    }
}

fn style_parameters(sequence: &str) -> Option<&str> {
    let parameters = sequence.strip_prefix("\u{1b}[")?.strip_suffix('m')?;
    parameters
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'))
        .then_some(parameters)
}

/// One line as HTML.
pub fn html(line: &[u8]) -> Html<String> {
    let mut html = String::new();
    for span in spans(line) {
        let text = escape(&span.text);
        if span.classes.is_empty() {
            html.push_str(&text);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(html, "<span class=\"{}\">{text}</span>", span.classes);
        }
    }
    Html(html)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        what: String,
        line: String,
        spans: Vec<(String, String)>,
    }

    #[test]
    fn lines_look_as_the_shared_cases_say() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../../web/islands/console.cases.json")).unwrap();
        for case in cases {
            let found: Vec<_> = spans_of(&case.line)
                .into_iter()
                .map(|span| (span.classes, span.text))
                .collect();
            assert_eq!(found, case.spans, "{}", case.what);
        }
    }

    #[test]
    fn html_in_a_line_is_text() {
        assert_eq!(
            html(b"<script>alert('x')</script>\r\n").to_string(),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"
        );
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced() {
        assert_eq!(html(b"a\xff\xfeb\n").to_string(), "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn no_byte_sequence_leaves_a_control_character_in_the_page() {
        // Every pair of bytes after an escape, and every byte alone.
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let html = html(&[b'x', 0x1b, first, second, b'm', b'\n']).to_string();
                assert!(
                    html.chars().all(|one| one == '\t' || !one.is_control()),
                    "{first:#x} {second:#x}: {html:?}"
                );
                assert!(
                    !html
                        .replace("<span class=\"t-", "")
                        .replace("</span>", "")
                        .contains('<')
                );
            }
        }
    }

    #[test]
    fn an_endless_line_is_cut_and_counted() {
        let spans = spans_of(&"x".repeat(LONGEST + 5));
        assert_eq!(spans[0].text.len(), LONGEST);
        assert_eq!(spans[1].text, " … 5 more");
    }
}
