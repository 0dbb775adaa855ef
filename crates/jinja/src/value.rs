//! Values as Python sees them: what they are, how they print, how they compare.

use std::cmp::Ordering;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use crate::arguments::failure;

/// What a value is to Python.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Python<'v> {
    Undefined,
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(&'v str),
    List,
    Tuple,
    Dict,
    /// An iterator, a function, a macro, a namespace, an integer beyond 127 bits.
    Other,
}

pub(crate) fn view(value: &Value) -> Python<'_> {
    match value.kind() {
        ValueKind::Undefined => Python::Undefined,
        ValueKind::None => Python::None,
        ValueKind::Bool => Python::Bool(value.is_true()),
        ValueKind::Number if value.is_integer() => match i128::try_from(value.clone()) {
            Ok(number) => Python::Int(number),
            Err(_) => Python::Other,
        },
        ValueKind::Number => f64::try_from(value.clone()).map_or(Python::Other, Python::Float),
        ValueKind::String => value.as_str().map_or(Python::Other, Python::Str),
        ValueKind::Seq if value.is_tuple() || crate::filters::is_group(value) => Python::Tuple,
        ValueKind::Seq | ValueKind::Iterable => Python::List,
        ValueKind::Map => Python::Dict,
        _ => Python::Other,
    }
}

impl Python<'_> {
    /// The name of its type.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Undefined => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List => "list",
            Self::Tuple => "tuple",
            Self::Dict => "dict",
            Self::Other => "object",
        }
    }

    /// Numbers, among which Python counts the booleans.
    pub(crate) fn number(self) -> Option<Number> {
        match self {
            Self::Bool(value) => Some(Number::Int(i128::from(value))),
            Self::Int(value) => Some(Number::Int(value)),
            Self::Float(value) => Some(Number::Float(value)),
            _ => None,
        }
    }
}

/// An integer or a float.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    pub(crate) fn float(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// The error of doing anything with what is undefined.
pub(crate) fn undefined() -> Error {
    Error::new(ErrorKind::UndefinedError, "a variable is undefined")
}

/// `str(value)`.
pub(crate) fn string(value: &Value) -> String {
    let mut text = String::new();
    write_string(value, &mut text);
    text
}

/// Appends `str(value)`.
pub(crate) fn write_string(value: &Value, text: &mut String) {
    match view(value) {
        Python::Undefined => {}
        Python::Str(string) => text.push_str(string),
        _ => write_repr(value, text),
    }
}

/// Appends `repr(value)`.
pub(crate) fn write_repr(value: &Value, text: &mut String) {
    match view(value) {
        Python::Undefined => text.push_str("Undefined"),
        Python::None => text.push_str("None"),
        Python::Bool(true) => text.push_str("True"),
        Python::Bool(false) => text.push_str("False"),
        Python::Int(number) => text.push_str(&number.to_string()),
        Python::Float(number) => text.push_str(&float(number)),
        Python::Str(string) if value.is_safe() => {
            text.push_str("Markup(");
            quote(string, text);
            text.push(')');
        }
        Python::Str(string) => quote(string, text),
        Python::List => sequence(value, "[", "]", text),
        Python::Tuple if value.len() == Some(1) => sequence(value, "(", ",)", text),
        Python::Tuple => sequence(value, "(", ")", text),
        Python::Dict => dictionary(value, text),
        Python::Other => text.push_str(&value.to_string()),
    }
}

fn sequence(value: &Value, open: &str, close: &str, text: &mut String) {
    text.push_str(open);
    for (place, item) in value.try_iter().into_iter().flatten().enumerate() {
        if place > 0 {
            text.push_str(", ");
        }
        write_repr(&item, text);
    }
    text.push_str(close);
}

fn dictionary(value: &Value, text: &mut String) {
    text.push('{');
    for (place, (key, item)) in pairs(value).into_iter().enumerate() {
        if place > 0 {
            text.push_str(", ");
        }
        write_repr(&key, text);
        text.push_str(": ");
        write_repr(&item, text);
    }
    text.push('}');
}

/// The entries of a dictionary, in their order.
pub(crate) fn pairs(value: &Value) -> Vec<(Value, Value)> {
    let Some(object) = value.as_object() else {
        return Vec::new();
    };
    object.try_iter_pairs().into_iter().flatten().collect()
}

/// `repr` of a float: the shortest digits that read back as the same number.
pub(crate) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    // Rust changes to an exponent at the same places as Python, and writes it without sign.
    let text = format!("{number:?}");
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

/// `repr` of a string.
fn quote(string: &str, text: &mut String) {
    let mark = if string.contains('\'') && !string.contains('"') {
        '"'
    } else {
        '\''
    };
    text.push(mark);
    for character in string.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            _ if character == mark => {
                text.push('\\');
                text.push(mark);
            }
            _ if is_printable(character) => text.push(character),
            _ => {
                let code = u32::from(character);
                text.push_str(&match code {
                    0..=0xff => format!("\\x{code:02x}"),
                    0x100..=0xffff => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                });
            }
        }
    }
    text.push(mark);
}

/// `str.isprintable` of one character: no control, format, surrogate, private or unassigned
/// character, and no separator but the space. Unassigned ones are taken for printable here.
fn is_printable(character: char) -> bool {
    !matches!(u32::from(character),
        0..=0x1f | 0x7f..=0xa0 | 0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x1680 | 0x180e
        | 0x2000..=0x200f | 0x2028..=0x202f | 0x205f..=0x206f | 0x3000 | 0xe000..=0xf8ff
        | 0xfeff | 0xfff0..=0xfffb | 0xfffe..=0xffff | 0x110bd | 0x1bca0..=0x1bca3
        | 0x1d173..=0x1d17a | 0xe0000..=0x10_ffff)
}

/// `==`.
pub(crate) fn equal(one: &Value, other: &Value) -> bool {
    match (view(one), view(other)) {
        (Python::Undefined, Python::Undefined) | (Python::None, Python::None) => true,
        (Python::Str(one), Python::Str(other)) => one == other,
        (Python::List, Python::List) | (Python::Tuple, Python::Tuple) => {
            let (one, other) = (items(one), items(other));
            one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| equal(one, other))
        }
        (Python::Dict, Python::Dict) => {
            let (one, other) = (pairs(one), pairs(other));
            one.len() == other.len()
                && one.iter().all(|(key, value)| {
                    other
                        .iter()
                        .any(|(name, item)| equal(key, name) && equal(value, item))
                })
        }
        (Python::Other, Python::Other) => one == other,
        (one, other) => match (one.number(), other.number()) {
            (Some(Number::Int(one)), Some(Number::Int(other))) => one == other,
            (Some(one), Some(other)) => one.float() == other.float(),
            _ => false,
        },
    }
}

/// The items of a list or tuple.
pub(crate) fn items(value: &Value) -> Vec<Value> {
    value.try_iter().into_iter().flatten().collect()
}

/// The order of two values; `None` where one is not a number.
///
/// # Errors
/// Python gives them no order.
pub(crate) fn compare(one: &Value, other: &Value) -> Result<Option<Ordering>, Error> {
    match (view(one), view(other)) {
        (Python::Undefined, _) | (_, Python::Undefined) => Err(undefined()),
        (Python::Str(one), Python::Str(other)) => Ok(Some(one.cmp(other))),
        (Python::List, Python::List) | (Python::Tuple, Python::Tuple) => {
            let (one, other) = (items(one), items(other));
            for (one, other) in one.iter().zip(&other) {
                if !equal(one, other) {
                    return compare(one, other);
                }
            }
            Ok(Some(one.len().cmp(&other.len())))
        }
        (one, other) => match (one.number(), other.number()) {
            (Some(Number::Int(one)), Some(Number::Int(other))) => Ok(Some(one.cmp(&other))),
            (Some(one), Some(other)) => Ok(one.float().partial_cmp(&other.float())),
            _ => Err(failure(format!(
                "'<' not supported between instances of '{}' and '{}'",
                one.type_name(),
                other.type_name()
            ))),
        },
    }
}

/// What `for x in value` runs over.
///
/// # Errors
/// The value cannot be iterated.
pub(crate) fn iterate(value: &Value) -> Result<Vec<Value>, Error> {
    match view(value) {
        Python::Undefined => Ok(Vec::new()),
        Python::Str(text) => Ok(text
            .chars()
            .map(|one| Value::from(one.to_string()))
            .collect()),
        Python::List | Python::Tuple | Python::Dict => Ok(items(value)),
        Python::Other => value.try_iter().map(Iterator::collect),
        other => Err(failure(format!(
            "'{}' object is not iterable",
            other.type_name()
        ))),
    }
}

/// Whether `if value` holds.
pub(crate) fn truth(value: &Value) -> bool {
    match view(value) {
        Python::Undefined | Python::None => false,
        Python::Float(number) => number != 0.0,
        _ => value.is_true(),
    }
}
