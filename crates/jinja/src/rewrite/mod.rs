//! A template written anew, so that minijinja does with it what Jinja2 does with the original.
//!
//! minijinja parses the original and the syntax tree is written as text again:
//! - operators become calls of the functions of `operators`, which have Python's meaning;
//! - what a block, or a loop around a block, sets gets a name of its own, because Jinja2 shows a
//!   block only what is set at the top of a template (`scope`);
//! - white space that `trim_blocks` drops is dropped already;
//! - filters and tests that do not exist are refused here, as Jinja2 does when it compiles, except
//!   in conditions, where it waits until they are used.
//!
//! Every tag stands on its line of the original, so that errors name the right one.

mod expression;
mod scope;
mod statement;

use minijinja::machinery::{ast, parse};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Error, ErrorKind};

/// How originals are read.
fn original() -> SyntaxConfig {
    SyntaxConfig::builder()
        .trim_blocks(true)
        .build()
        .unwrap_or_default()
}

/// How rewritten templates are read: nothing is trimmed.
pub(crate) fn written() -> SyntaxConfig {
    SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .build()
        .unwrap_or_default()
}

/// Rewrites a template.
///
/// # Errors
/// Jinja2 refuses it when it compiles it.
pub(crate) fn rewrite(name: &str, text: &str) -> Result<String, Error> {
    let text = untrimmed(text.replace("\r\n", "\n").replace('\r', "\n"));
    let again;
    let (text, tree) = match parse(&text, name, original()) {
        Ok(tree) => (&text, tree),
        Err(error) => {
            again = otherwise(&text, &error).ok_or(error)?;
            (&again, parse(&again, name, original())?)
        }
    };
    let ast::Stmt::Template(template) = &tree else {
        return Err(Error::new(
            ErrorKind::SyntaxError,
            "the template has no tree",
        ));
    };
    let mut writer = Writer {
        original: text,
        ..Writer::default()
    };
    writer.top(&template.children)?;
    Ok(writer.text)
}

/// The text as far as it is written.
#[derive(Debug, Default)]
struct Writer<'t> {
    original: &'t str,
    text: String,
    /// The line on which the text ends, from 1.
    line: usize,
    /// Names that are written otherwise here, with what is written.
    renamed: Vec<(&'t str, String)>,
    /// How many renamed places there were.
    places: usize,
    /// Whether filters and tests that do not exist are left until they are used.
    lenient: bool,
    /// Whether a macro is being written.
    in_macro: bool,
}

impl Writer<'_> {
    fn push(&mut self, text: &str) {
        self.line += text.matches('\n').count();
        self.text.push_str(text);
    }

    /// Begins a tag that stands on this line of the original.
    fn open(&mut self, tag: &str, line: usize) {
        self.push(tag);
        // Lines are counted from 0 here until the first is written.
        while self.line + 1 < line {
            self.push("\n");
        }
        self.push(" ");
    }
}

/// Jinja2 keeps the line's end behind `{% raw %}`, which minijinja drops as behind any block: one more
/// is put there.
fn untrimmed(text: String) -> String {
    if !text.contains("raw") {
        return text;
    }
    let mut made = String::new();
    let mut rest = text.as_str();
    while let Some(place) = rest.find("{%") {
        let inner = rest[place + 2..]
            .trim_start_matches(['-', '+'])
            .trim_start();
        let (before, _) = rest.split_at(place + 2);
        made.push_str(before);
        rest = &rest[place + 2..];
        let Some(after) = inner.strip_prefix("raw").map(str::trim_start) else {
            continue;
        };
        if let Some(body) = after.strip_prefix("%}\n") {
            made.push_str(&rest[..rest.len() - body.len()]);
            made.push('\n');
            rest = body;
        }
    }
    made.push_str(rest);
    made
}

/// The template with what Jinja2 takes and minijinja refuses written otherwise, if that is why it
/// was refused: a tuple without parentheses in `{{ a, b }}`, and `{% set loop = … %}`.
fn otherwise(text: &str, error: &Error) -> Option<String> {
    let detail = error.detail()?;
    if text.contains("raw") {
        return None;
    }
    if detail.ends_with("reserved variable name loop") {
        let mut made = text.to_owned();
        for word in ["set loop ", "set loop="] {
            made = made.replace(word, &word.replace("loop", "loop__0"));
        }
        return Some(made);
    }
    if !detail.ends_with("expected end of variable block") {
        return None;
    }
    let mut parts = text.split("{{");
    let mut made = parts.next()?.to_owned();
    for part in parts {
        made.push_str("{{");
        match part.find("}}") {
            Some(end) if has_outer_comma(&part[..end]) => {
                let inner = &part[..end];
                let body = inner
                    .trim_start_matches(['-', '+'])
                    .trim_end_matches(['-', '+']);
                let (before, after) = inner.split_once(body)?;
                made.push_str(&format!("{before}({body}){after}{}", &part[end..]));
            }
            _ => made.push_str(part),
        }
    }
    Some(made)
}

/// Whether a comma stands outside quotations and brackets.
fn has_outer_comma(text: &str) -> bool {
    let (mut depth, mut quote) = (0, None);
    let mut letters = text.chars();
    while let Some(one) = letters.next() {
        match (quote, one) {
            (Some(_), '\\') => {
                letters.next();
            }
            (Some(mark), one) if mark == one => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(one),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// What Jinja2 refuses and minijinja takes.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {message}")]
pub(crate) struct Refusal {
    /// The line in the original, from 1.
    pub(crate) line: usize,
    /// Why, in Jinja2's words.
    pub(crate) message: String,
}

fn refuse(message: String, line: usize) -> Error {
    Error::new(ErrorKind::SyntaxError, "the template is refused")
        .with_source(Refusal { line, message })
}
