//! The methods of Python's strings and numbers that templates call.

use minijinja::value::{Tuple, Value};
use minijinja::{Error, ErrorKind, State};

use crate::arguments::{bind, failure, split};
use crate::collections;
use crate::format::braces;
use crate::value::{Number, Python, iterate, undefined, view};

/// Calls `value.method(arguments)`.
pub(crate) fn call(
    _: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    match view(value) {
        Python::Undefined => Err(undefined()),
        Python::Str(text) => string(text, method, arguments),
        Python::Dict => collections::dictionary(value, method, arguments),
        Python::List | Python::Tuple => collections::sequence(value, method, arguments),
        Python::Int(number) if method == "bit_length" => {
            Ok(Value::from(128 - number.unsigned_abs().leading_zeros()))
        }
        Python::Float(number) if method == "is_integer" => Ok(Value::from(number.fract() == 0.0)),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn string(text: &str, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    if let Some(value) = plain(text, method) {
        bind(method, arguments, [], 0)?;
        return Ok(value);
    }
    match method {
        "strip" | "lstrip" | "rstrip" => {
            let [set] = bind(method, arguments, ["chars"], 0)?;
            let set = optional_text(set.as_ref(), method)?;
            Ok(Value::from(strip(
                text,
                set,
                method != "rstrip",
                method != "lstrip",
            )))
        }
        "replace" => {
            let [old, new, count] = bind(method, arguments, ["old", "new", "count"], 2)?;
            let count = count
                .as_ref()
                .map_or(Ok(-1), |count| index(count, method))?;
            replace(text, wanted(&old, method)?, wanted(&new, method)?, count).map(Value::from)
        }
        "split" | "rsplit" => {
            let [separator, most] = bind(method, arguments, ["sep", "maxsplit"], 0)?;
            let separator = optional_text(separator.as_ref(), method)?;
            let most = most.as_ref().map_or(Ok(-1), |most| index(most, method))?;
            let parts = split_text(text, separator, most, method == "rsplit")?;
            Ok(Value::from(
                parts.into_iter().map(Value::from).collect::<Vec<_>>(),
            ))
        }
        "splitlines" => {
            let [keep] = bind(method, arguments, ["keepends"], 0)?;
            let keep = keep.is_some_and(|keep| crate::value::truth(&keep));
            let lines = lines(text, keep).into_iter().map(Value::from);
            Ok(Value::from(lines.collect::<Vec<_>>()))
        }
        "partition" | "rpartition" => {
            let [separator] = bind(method, arguments, ["sep"], 1)?;
            partition(text, wanted(&separator, method)?, method == "rpartition")
        }
        "startswith" | "endswith" => {
            let [what, from, to] = bind(method, arguments, ["prefix", "start", "end"], 1)?;
            let part = section(text, from.as_ref(), to.as_ref(), method)?;
            affix(part.unwrap_or_default(), &what.unwrap_or_default(), method)
                .map(|found| Value::from(found && part.is_some()))
        }
        "find" | "rfind" | "index" | "rindex" | "count" => search(text, method, arguments),
        "join" => {
            let [list] = bind(method, arguments, ["iterable"], 1)?;
            let mut parts = Vec::new();
            for item in iterate(&list.unwrap_or_default())? {
                match view(&item) {
                    Python::Str(part) => parts.push(part.to_owned()),
                    other => {
                        return Err(failure(format!(
                            "join of {}, not of str",
                            other.type_name()
                        )));
                    }
                }
            }
            Ok(Value::from(parts.join(text)))
        }
        "format" => {
            let (positional, named) = split(arguments)?;
            braces(text, &positional, &named).map(Value::from)
        }
        "center" | "ljust" | "rjust" => {
            let [width, fill] = bind(method, arguments, ["width", "fillchar"], 1)?;
            let width = index(&width.unwrap_or_default(), method)?;
            let fill = optional_text(fill.as_ref(), method)?.unwrap_or(" ");
            pad(text, width, fill, method).map(Value::from)
        }
        "zfill" => {
            let [width] = bind(method, arguments, ["width"], 1)?;
            let width = usize::try_from(index(&width.unwrap_or_default(), method)?).unwrap_or(0);
            let (sign, digits) = match text.strip_prefix(['+', '-']) {
                Some(digits) => text.split_at(text.len() - digits.len()),
                None => ("", text),
            };
            let zeros = width.min(100_000).saturating_sub(text.chars().count());
            Ok(Value::from(format!("{sign}{}{digits}", "0".repeat(zeros))))
        }
        "removeprefix" | "removesuffix" => {
            let [part] = bind(method, arguments, ["part"], 1)?;
            let part = wanted(&part, method)?;
            let rest = match method {
                "removeprefix" => text.strip_prefix(part),
                _ => text.strip_suffix(part),
            };
            Ok(Value::from(rest.unwrap_or(text)))
        }
        "expandtabs" => {
            let [size] = bind(method, arguments, ["tabsize"], 0)?;
            let size = size.as_ref().map_or(Ok(8), |size| index(size, method))?;
            Ok(Value::from(expand_tabs(
                text,
                usize::try_from(size).unwrap_or(0).min(1000),
            )))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// Methods without arguments.
fn plain(text: &str, method: &str) -> Option<Value> {
    let all = |test: fn(char) -> bool| Value::from(!text.is_empty() && text.chars().all(test));
    Some(match method {
        "upper" => Value::from(text.to_uppercase()),
        "lower" | "casefold" => Value::from(text.to_lowercase()),
        "capitalize" => Value::from(capitalize(text)),
        "title" => Value::from(title(text)),
        "swapcase" => Value::from(swap_case(text)),
        "isalnum" => all(char::is_alphanumeric),
        "isalpha" => all(char::is_alphabetic),
        "isdigit" => all(|one| one.is_ascii_digit() || (one.is_numeric() && !one.is_ascii())),
        "isdecimal" => all(|one| one.is_ascii_digit()),
        "isnumeric" => all(char::is_numeric),
        "isspace" => all(is_space),
        "isascii" => Value::from(text.is_ascii()),
        "islower" => Value::from(is_cased(text, char::is_lowercase, char::is_uppercase)),
        "isupper" => Value::from(is_cased(text, char::is_uppercase, char::is_lowercase)),
        "isidentifier" => Value::from(
            text.starts_with(|one: char| one.is_alphabetic() || one == '_')
                && text.chars().all(|one| one.is_alphanumeric() || one == '_'),
        ),
        "isprintable" => Value::from(!text.chars().any(char::is_control)),
        _ => return None,
    })
}

/// `str.isspace` of one character: Python counts the separators of ASCII among the spaces.
pub(crate) fn is_space(one: char) -> bool {
    one.is_whitespace() || ('\x1c'..='\x1f').contains(&one)
}

/// Whether there are cased characters, and only such as `is`.
pub(crate) fn is_cased(text: &str, is: fn(char) -> bool, is_not: fn(char) -> bool) -> bool {
    text.chars().any(is) && !text.chars().any(is_not)
}

pub(crate) fn capitalize(text: &str) -> String {
    let mut rest = text.chars();
    match rest.next() {
        Some(first) => first.to_uppercase().collect::<String>() + &rest.as_str().to_lowercase(),
        None => String::new(),
    }
}

fn title(text: &str) -> String {
    let mut after_letter = false;
    let mut made = String::new();
    for one in text.chars() {
        match after_letter {
            true => made.extend(one.to_lowercase()),
            false => made.extend(one.to_uppercase()),
        }
        after_letter = one.is_lowercase() || one.is_uppercase();
    }
    made
}

fn swap_case(text: &str) -> String {
    let mut made = String::new();
    for one in text.chars() {
        match one.is_lowercase() {
            true => made.extend(one.to_uppercase()),
            false => made.extend(one.to_lowercase()),
        }
    }
    made
}

pub(crate) fn strip<'t>(text: &'t str, set: Option<&str>, left: bool, right: bool) -> &'t str {
    let goes = |one: char| set.map_or_else(|| is_space(one), |set| set.contains(one));
    let text = if left {
        text.trim_start_matches(goes)
    } else {
        text
    };
    if right {
        text.trim_end_matches(goes)
    } else {
        text
    }
}

/// `str.replace`; `count` below zero replaces all.
pub(crate) fn replace(text: &str, old: &str, new: &str, count: i64) -> Result<String, Error> {
    let places = text.len() / old.len().max(1) + 1;
    if places.saturating_mul(new.len()) > 10_000_000 {
        return Err(failure("the result of replace is too large"));
    }
    Ok(match usize::try_from(count) {
        Ok(count) => text.replacen(old, new, count),
        Err(_) => text.replace(old, new),
    })
}

fn split_text(
    text: &str,
    separator: Option<&str>,
    most: i64,
    from_right: bool,
) -> Result<Vec<String>, Error> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let Some(separator) = separator else {
        return Ok(split_spaces(text, most, from_right));
    };
    if separator.is_empty() {
        return Err(failure("empty separator"));
    }
    let pieces = most.saturating_add(1);
    Ok(if from_right {
        let mut parts: Vec<String> = text.rsplitn(pieces, separator).map(str::to_owned).collect();
        parts.reverse();
        parts
    } else {
        text.splitn(pieces, separator).map(str::to_owned).collect()
    })
}

fn split_spaces(text: &str, most: usize, from_right: bool) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        rest = strip(rest, None, !from_right, from_right);
        if rest.is_empty() {
            break;
        }
        if parts.len() == most {
            parts.push(strip(rest, None, from_right, !from_right).to_owned());
            break;
        }
        let cut = if from_right {
            rest.rfind(is_space)
        } else {
            rest.find(is_space)
        };
        match cut {
            Some(place) if from_right => {
                let width = rest[place..].chars().next().map_or(1, char::len_utf8);
                parts.push(rest[place + width..].to_owned());
                rest = &rest[..place];
            }
            Some(place) => {
                parts.push(rest[..place].to_owned());
                rest = &rest[place..];
            }
            None => {
                parts.push(rest.to_owned());
                break;
            }
        }
    }
    if from_right {
        parts.reverse();
    }
    parts
}

/// `str.splitlines`.
pub(crate) fn lines(text: &str, keep: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((place, end)) = rest.char_indices().find(|(_, one)| {
        matches!(
            one,
            '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    }) {
        let mut after = place + end.len_utf8();
        if rest[place..].starts_with("\r\n") {
            after += 1;
        }
        found.push(rest[..if keep { after } else { place }].to_owned());
        rest = &rest[after..];
    }
    if !rest.is_empty() {
        found.push(rest.to_owned());
    }
    found
}

fn partition(text: &str, separator: &str, from_right: bool) -> Result<Value, Error> {
    if separator.is_empty() {
        return Err(failure("empty separator"));
    }
    let parts = match (from_right, text.split_once(separator)) {
        (true, Some(_)) => {
            let (before, after) = text.rsplit_once(separator).unwrap_or((text, ""));
            [before, separator, after]
        }
        (true, None) => ["", "", text],
        (false, Some((before, after))) => [before, separator, after],
        (false, None) => [text, "", ""],
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from).to_vec())))
}

fn affix(text: &str, what: &Value, method: &str) -> Result<bool, Error> {
    let one = |part: &str| match method {
        "startswith" => text.starts_with(part),
        _ => text.ends_with(part),
    };
    match view(what) {
        Python::Str(part) => Ok(one(part)),
        Python::Tuple => {
            for part in iterate(what)? {
                match view(&part) {
                    Python::Str(part) if one(part) => return Ok(true),
                    Python::Str(_) => {}
                    other => return Err(expected_text(method, other)),
                }
            }
            Ok(false)
        }
        other => Err(expected_text(method, other)),
    }
}

/// `text[start:end]`; `None` where the start is behind the end of the text.
fn section<'t>(
    text: &'t str,
    start: Option<&Value>,
    end: Option<&Value>,
    method: &str,
) -> Result<Option<&'t str>, Error> {
    let length = text.chars().count() as i64;
    let place = |value: Option<&Value>, default: i64| -> Result<i64, Error> {
        match value {
            None => Ok(default),
            Some(value) if value.is_none() => Ok(default),
            Some(value) => {
                let place = index(value, method)?;
                Ok(if place < 0 {
                    (place + length).max(0)
                } else {
                    place
                })
            }
        }
    };
    let (start, end) = (place(start, 0)?, place(end, length)?.min(length));
    if start > length || start > end {
        return Ok(None);
    }
    let byte = |place: i64| {
        text.char_indices()
            .nth(usize::try_from(place).unwrap_or(0))
            .map_or(text.len(), |(byte, _)| byte)
    };
    Ok(Some(&text[byte(start)..byte(end)]))
}

fn search(text: &str, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let [what, start, end] = bind(method, arguments, ["sub", "start", "end"], 1)?;
    let what = wanted(&what, method)?;
    let part = section(text, start.as_ref(), end.as_ref(), method)?;
    if method == "count" {
        return Ok(Value::from(
            part.map_or(0, |part| part.matches(what).count()),
        ));
    }
    let found = part.and_then(|part| {
        let byte = match method {
            "find" | "index" => part.find(what),
            _ => part.rfind(what),
        }?;
        let before = part.as_ptr() as usize - text.as_ptr() as usize + byte;
        Some(text[..before].chars().count())
    });
    match found {
        Some(place) => Ok(Value::from(place)),
        None if method.ends_with("index") => Err(failure("substring not found")),
        None => Ok(Value::from(-1)),
    }
}

/// `str.center`, `ljust` and `rjust`.
pub(crate) fn pad(text: &str, width: i64, fill: &str, method: &str) -> Result<String, Error> {
    if fill.chars().count() != 1 {
        return Err(failure(
            "the fill character must be exactly one character long",
        ));
    }
    let width = usize::try_from(width).unwrap_or(0).min(1_000_000);
    let length = text.chars().count();
    let missing = width.saturating_sub(length);
    let left = match method {
        "ljust" => 0,
        "rjust" => missing,
        // CPython gives the odd one to the left where the width is odd too.
        _ => missing / 2 + (missing & width & 1),
    };
    Ok(fill.repeat(left) + text + &fill.repeat(missing - left))
}

fn expand_tabs(text: &str, size: usize) -> String {
    let (mut made, mut column) = (String::new(), 0);
    for one in text.chars() {
        match one {
            '\t' if size > 0 => {
                let spaces = size - column % size;
                made.push_str(&" ".repeat(spaces));
                column += spaces;
            }
            '\t' => {}
            '\n' | '\r' => {
                made.push(one);
                column = 0;
            }
            _ => {
                made.push(one);
                column += 1;
            }
        }
    }
    made
}

fn expected_text(method: &str, found: Python<'_>) -> Error {
    match found {
        Python::Undefined => undefined(),
        found => failure(format!("{method} expects a str, not {}", found.type_name())),
    }
}

fn wanted<'v>(value: &'v Option<Value>, method: &str) -> Result<&'v str, Error> {
    match value.as_ref().map(view) {
        Some(Python::Str(text)) => Ok(text),
        Some(other) => Err(expected_text(method, other)),
        None => Err(failure(format!("{method} needs an argument"))),
    }
}

fn optional_text<'v>(value: Option<&'v Value>, method: &str) -> Result<Option<&'v str>, Error> {
    match value.map(view) {
        None | Some(Python::None) => Ok(None),
        Some(Python::Str(text)) => Ok(Some(text)),
        Some(other) => Err(expected_text(method, other)),
    }
}

/// An integer that Python takes as an index or a count.
pub(crate) fn index(value: &Value, method: &str) -> Result<i64, Error> {
    match (view(value), view(value).number()) {
        (Python::Undefined, _) => Err(undefined()),
        (_, Some(Number::Int(number))) => {
            i64::try_from(number).map_err(|_| failure("a number is too large"))
        }
        (other, _) => Err(failure(format!(
            "{method} expects an integer, not {}",
            other.type_name()
        ))),
    }
}
