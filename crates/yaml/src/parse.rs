//! Reading a document.

use crate::compose::Composer;
use crate::construct::Constructor;
use crate::scan::Fault;
use crate::{Diagnostics, Node, SourceId, Span, Style, Value};

/// The longest text that is read, in bytes.
pub const MAX_BYTES: usize = 8 << 20;
/// The most nodes of a document, counted with aliases and merge keys followed.
pub const MAX_NODES: u64 = 500_000;
/// The deepest nesting, counted with aliases followed.
pub const MAX_DEPTH: usize = 100;

/// What is to be made of scalars without quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// What PyYAML's safe loader makes of them: jobs, and whatever else LAVA reads.
    #[default]
    PyYaml,
    /// The project's own files, which are read by the type that is expected at a place: scalars
    /// that PyYAML would refuse, such as `2024-13-01`, are texts, and two keys are the same only
    /// if they are written alike, so that `8` and `010`, or `on` and `yes`, are two.
    ByType,
}

/// Reads one document as PyYAML does; an empty text is [`Value::Null`]. None after a mistake that
/// leaves no tree. Where there is a tree beside errors, the places of the errors are
/// [`Node::is_broken`].
pub fn parse(source_text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    parse_as(Reading::PyYaml, source_text, diagnostics)
}

/// [`parse()`], with a choice of the reading.
pub fn parse_as(
    reading: Reading,
    source_text: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Node> {
    match read(reading, source_text, diagnostics) {
        Ok(node) => Some(node),
        Err(fault) => {
            let fault = *fault;
            diagnostics.error(fault.span, fault.message).hint = fault.hint;
            None
        }
    }
}

/// [`Diagnostics::enter_file`] and [`parse()`].
pub fn parse_file(name: &str, source_text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    diagnostics.enter_file(name);
    parse(source_text, diagnostics)
}

/// [`Diagnostics::enter_file`] and [`parse_as`] with [`Reading::ByType`].
pub fn parse_own_file(
    name: &str,
    source_text: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Node> {
    diagnostics.enter_file(name);
    parse_as(Reading::ByType, source_text, diagnostics)
}

fn read(reading: Reading, text: &str, diagnostics: &mut Diagnostics) -> Result<Node, Box<Fault>> {
    let source = diagnostics.current_file();
    if let Some(fault) = too_long(text.len(), diagnostics) {
        return Err(fault);
    }
    if let Some((span, character)) = first_forbidden(text, source) {
        return Err(forbidden(span, character));
    }
    let mut composer = Composer::new(text, source, diagnostics);
    match composer.document()? {
        Some(root) => Constructor::new(composer, reading).node(root),
        None => {
            let start = Span {
                line: 1,
                column: 1,
                source,
                ..Span::default()
            };
            Ok(Node::scalar(start, Value::Null, "", Style::Plain))
        }
    }
}

pub(crate) fn too_long(bytes: usize, diagnostics: &Diagnostics) -> Option<Box<Fault>> {
    (bytes > MAX_BYTES).then(|| {
        Fault::new(
            diagnostics.whole_file(),
            format!(
                "the text is longer than {} MiB ({MAX_BYTES} bytes)",
                MAX_BYTES >> 20
            ),
        )
        .hint("fetch large data by its URL instead of writing it into the file")
    })
}

fn forbidden(span: Span, character: char) -> Box<Fault> {
    let code = u32::from(character);
    let fault = Fault::new(
        span,
        format!("the character U+{code:04X} is not allowed in YAML"),
    );
    match code {
        0 => fault.hint("the file may be damaged, or not be text at all"),
        1..=0xff => fault.hint(format!(
            "remove it, or write it as `\\x{code:02x}` in double quotes"
        )),
        0x100..=0xffff => fault.hint(format!(
            "remove it, or write it as `\\u{code:04x}` in double quotes"
        )),
        _ => fault.hint("remove it"),
    }
}

/// The first character that PyYAML's reader refuses.
fn first_forbidden(text: &str, source: SourceId) -> Option<(Span, char)> {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    let (start, character) = if text.is_ascii() {
        let bad = |byte: u8| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r') || byte == 0x7f;
        let start = text.bytes().position(bad)?;
        (start, char::from(text.as_bytes()[start]))
    } else {
        text.char_indices().find(|(_, c)| !allowed(*c))?
    };
    let span = place_of(text, start, start + character.len_utf8(), source);
    Some((span, character))
}

/// The place of some bytes of a text.
pub(crate) fn place_of(text: &str, start: usize, end: usize, source: SourceId) -> Span {
    let saturate = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let before = text.get(..start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |place| place + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    Span {
        line: saturate(line),
        column: saturate(column),
        start,
        end,
        source,
    }
}
