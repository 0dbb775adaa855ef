//! Diagnostics for people and for programs.

use std::fmt::Write;

use crate::{Diagnostic, Diagnostics, Severity, Source, SourceId, Span};

/// Longer source lines are shown only around the mistake.
const WIDEST: usize = 160;
const BEFORE: usize = 60;

struct Paint {
    error: &'static str,
    warning: &'static str,
    frame: &'static str,
    bold: &'static str,
    end: &'static str,
}

const PLAIN: Paint = Paint {
    error: "",
    warning: "",
    frame: "",
    bold: "",
    end: "",
};

const COLOURED: Paint = Paint {
    error: "\x1b[1;31m",
    warning: "\x1b[1;33m",
    frame: "\x1b[1;34m",
    bold: "\x1b[1m",
    end: "\x1b[0m",
};

impl Diagnostics {
    /// All diagnostics by place, each with its source line and the mistake underlined. Files are
    /// found in `sources` by the names under which they were entered; where no name was, by
    /// their order. Nothing of the text can steer a terminal.
    pub fn render(&self, sources: &[Source], color: bool) -> String {
        let paint = if color { &COLOURED } else { &PLAIN };
        let mut out = String::new();
        for diagnostic in self.sorted() {
            let source = self.source(diagnostic.span.source, sources);
            let name = self.name(diagnostic.span.source, sources);
            render_one(&mut out, diagnostic, name, source, paint);
            out.push('\n');
        }
        if self.left_out > 0 {
            // Formatting into a String cannot fail.
            let _ = writeln!(out, "and {} more that are not shown", self.left_out);
        }
        out
    }

    /// All diagnostics by place: a list of `{severity, message, hint, file, line, column}`; hint,
    /// line and column are absent where there is none.
    pub fn to_json(&self, sources: &[Source]) -> serde_json::Value {
        let entries = self.sorted().into_iter().map(|diagnostic| {
            let mut entry = serde_json::Map::new();
            entry.insert("severity".into(), diagnostic.severity.as_str().into());
            entry.insert("message".into(), diagnostic.message.clone().into());
            if let Some(hint) = &diagnostic.hint {
                entry.insert("hint".into(), hint.clone().into());
            }
            let name = self.name(diagnostic.span.source, sources);
            entry.insert("file".into(), name.into());
            if diagnostic.span.line > 0 {
                entry.insert("line".into(), diagnostic.span.line.into());
                entry.insert("column".into(), diagnostic.span.column.into());
            }
            serde_json::Value::Object(entry)
        });
        serde_json::Value::Array(entries.collect())
    }

    fn source<'s>(&self, id: SourceId, sources: &'s [Source]) -> Option<&'s Source> {
        match self.file_name(id) {
            Some(name) => sources.iter().find(|source| source.name == name),
            None => sources.get(id.0 as usize),
        }
    }

    fn name<'s>(&'s self, id: SourceId, sources: &'s [Source]) -> &'s str {
        self.file_name(id)
            .or_else(|| {
                sources
                    .get(id.0 as usize)
                    .map(|source| source.name.as_str())
            })
            .unwrap_or("<input>")
    }
}

fn render_one(
    out: &mut String,
    diagnostic: &Diagnostic,
    name: &str,
    source: Option<&Source>,
    paint: &Paint,
) {
    let Span { line, column, .. } = diagnostic.span;
    let colour = match diagnostic.severity {
        Severity::Error => paint.error,
        Severity::Warning => paint.warning,
    };
    let (frame, bold, end) = (paint.frame, paint.bold, paint.end);
    let word = diagnostic.severity.as_str();
    let message = printable(&diagnostic.message);
    let number = line.to_string();
    let margin = " ".repeat(if line == 0 { 0 } else { number.len() });
    let name = printable(name);
    // Formatting into a String cannot fail.
    let _ = writeln!(out, "{colour}{word}{end}{bold}: {message}{end}");
    if line == 0 {
        let _ = writeln!(out, "{frame} -->{end} {name}");
    } else {
        let _ = writeln!(out, "{margin}{frame}-->{end} {name}:{line}:{column}");
    }
    let excerpt = source
        .filter(|_| line > 0)
        .and_then(|source| excerpt(&source.text, diagnostic.span));
    if let Some((text, blanks, carets)) = excerpt {
        let (blanks, carets) = (" ".repeat(blanks), "^".repeat(carets));
        let _ = writeln!(out, "{margin} {frame}|{end}");
        let _ = writeln!(out, "{frame}{number} |{end} {text}");
        let _ = writeln!(out, "{margin} {frame}|{end} {blanks}{colour}{carets}{end}");
    }
    if let Some(hint) = &diagnostic.hint {
        let hint = printable(hint);
        let _ = writeln!(out, "{margin} {frame}={end} {bold}help{end}: {hint}");
    }
}

/// The line at the span's start, blanks before the carets, and the number of carets.
fn excerpt(text: &str, span: Span) -> Option<(String, usize, usize)> {
    let before = text.get(..span.start)?;
    let from = before.rfind(['\n', '\r']).map_or(0, |place| place + 1);
    let line = text.get(from..)?.split(['\n', '\r']).next()?;
    let start = before.get(from..)?.chars().count();
    let end = span.end.clamp(span.start, from + line.len());
    let marked = text
        .get(span.start..end)
        .map_or(0, |marked| marked.chars().count());
    let length = line.chars().count();
    let first = if length > WIDEST {
        start.saturating_sub(BEFORE)
    } else {
        0
    };
    let mut shown = String::new();
    let (mut blanks, mut carets) = (0, 0);
    if first > 0 {
        shown.push('…');
        blanks += 1;
    }
    for (place, character) in line.chars().enumerate().skip(first).take(WIDEST) {
        let piece = if character == '\t' {
            "    "
        } else {
            printable_char(character)
        };
        let mut buffer = [0; 4];
        let piece = if piece.is_empty() {
            character.encode_utf8(&mut buffer)
        } else {
            piece
        };
        let width = piece.chars().count();
        if place < start {
            blanks += width;
        } else if place < start + marked {
            carets += width;
        }
        shown.push_str(piece);
    }
    if first + WIDEST < length {
        shown.push('…');
    }
    Some((shown.trim_end().to_owned(), blanks, carets.max(1)))
}

/// What to print instead of a character that would steer a terminal; empty where it is harmless.
fn printable_char(character: char) -> &'static str {
    let steers = character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    if steers { "\u{fffd}" } else { "" }
}

fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if printable_char(character).is_empty() {
                character
            } else {
                '\u{fffd}'
            }
        })
        .collect()
}
