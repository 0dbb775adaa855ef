//! Every difference that is known, and why it is one.

use serde_json::Value as Json;

use super::Answer;

/// Differences between this crate and PyYAML's `CSafeLoader` that are meant: a name and the reason.
pub(super) const DELIBERATE: [(&str, &str); 5] = [
    (
        "depth",
        "more than 100 levels of nesting are refused: no job comes near, and everything that walks the tree may recurse",
    ),
    (
        "nodes",
        "more than 500 000 nodes with aliases followed are refused: an alias bomb is a few hundred bytes long",
    ),
    (
        "recursion",
        "a list or mapping that holds itself is refused: nothing in a job or a device means one",
    ),
    (
        "long numbers",
        "whole numbers of more than 4300 digits are refused in every base, as Python does for decimal ones",
    ),
    (
        "odd digits",
        "behind `!!int` and `!!float`, Python takes digits of any script and signs within `1:30`",
    ),
];

/// The name of the deliberate difference that explains a case.
pub(super) fn deliberate(
    document: &Json,
    own: &Result<String, String>,
    theirs: &Answer,
) -> Option<&'static str> {
    let name = match (own, theirs) {
        (Err(message), Answer::Value(_) | Answer::Large) => {
            let text = document.as_str().unwrap_or_default();
            if message.contains("levels deep") {
                "depth"
            } else if message.contains("nodes, aliases and merge keys followed") {
                "nodes"
            } else if message.contains("stands within what it refers to") {
                "recursion"
            } else if message.contains("4300 digits") {
                "long numbers"
            } else if message.contains("does not fit its tag")
                && (!text.is_ascii() || message.contains("base of 60"))
            {
                "odd digits"
            } else {
                return None;
            }
        }
        _ => return None,
    };
    assert!(DELIBERATE.iter().any(|(known, _)| *known == name));
    Some(name)
}

/// Differences between `CSafeLoader`, which this crate follows because LAVA loads with it, and
/// `SafeLoader`: a name and what `CSafeLoader` does.
pub(super) const BETWEEN_LOADERS: [(&str, &str); 10] = [
    (
        "byte order mark within a text",
        "is dropped at the beginning of a line, where it takes the place of a blank",
    ),
    (
        "colon in flow",
        "`[a:]`, `[a:,b]` and `[a:[b]]` are refused",
    ),
    (
        "comment behind a block's header",
        "`|# comment` needs no blank",
    ),
    (
        "directive",
        "an unknown one is refused, and so are YAML 1.0 and 1.3 and later",
    ),
    (
        "empty key in flow",
        "`[? : a]`, `[?, a]` and `[? ]` are refused",
    ),
    ("half of a surrogate pair", "is refused as an escape"),
    ("lone exclamation mark", "is an empty text and not null"),
    ("question mark in flow", "`[a?]` and `{a?: b}` are texts"),
    (
        "tab",
        "may separate what blanks may separate, but not indent",
    ),
    ("tag in flow", "ends at a comma"),
];

/// The name of the difference between the loaders that explains a case.
pub(super) fn between_loaders(text: &str, c: &Answer, python: &Answer) -> Option<&'static str> {
    let said = |answer: &Answer, words: &str| match answer {
        Answer::Refused(error) => error.contains(words),
        _ => false,
    };
    let tab = text.contains('\t') && matches!(python, Answer::Refused(_));
    let rows = [
        (
            "lone exclamation mark",
            text.contains('!')
                && !text.contains("!!")
                && !matches!(c, Answer::Refused(_))
                && !matches!(python, Answer::Refused(_)),
        ),
        (
            "half of a surrogate pair",
            matches!(python, Answer::Value(value) if value.contains("surrogates")),
        ),
        ("tab", tab),
        (
            "directive",
            said(c, "directive") || said(c, "incompatible YAML document"),
        ),
        ("colon in flow", said(c, "found unexpected ':'")),
        ("question mark in flow", said(python, "got '?'")),
        (
            "comment behind a block's header",
            said(
                python,
                "expected chomping or indentation indicators, but found '#'",
            ),
        ),
        (
            "tag in flow",
            text.contains('!') && text.contains(',') && matches!(python, Answer::Refused(_)),
        ),
        (
            "empty key in flow",
            text.contains("[?") && said(c, "did not find expected ',' or ']'"),
        ),
        ("byte order mark within a text", text.contains('\u{feff}')),
    ];
    rows.into_iter()
        .find(|(_, explains)| *explains)
        .map(|(name, _)| name)
}
