//! The filters that LAVA adds, as its programs behave (LAVA 2026.10, seen from outside).

use minijinja::Error;
use minijinja::value::Value;

use super::Filter;
use crate::arguments::{bind, failure};
use crate::value::{Python, compare, float, items, pairs, truth, view};

pub(super) const FILTERS: [(&str, Filter); 3] = [
    ("qemu_guest_fs_interface", guest_interface),
    ("shlex_quote", shell_quote),
    ("yaml_quote", yaml_quote),
];

/// The kind of disk on which QEMU shows a guest file system, unless one is named.
fn guest_interface(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let names = ["guestfs_interface"];
    let [named] = bind("qemu_guest_fs_interface", given, names, 1)?;
    match named.filter(truth) {
        Some(named) => Ok(named),
        None => Ok(Value::from(match view(value) {
            Python::Str("x86_64" | "amd64" | "i386") => "ide",
            _ => "virtio",
        })),
    }
}

/// Python's `shlex.quote`.
fn shell_quote(value: &Value, given: &[Value]) -> Result<Value, Error> {
    bind("shlex_quote", given, [], 0)?;
    if !truth(value) {
        return Ok(Value::from("''"));
    }
    let Python::Str(text) = view(value) else {
        let found = view(value).type_name();
        return Err(failure(format!(
            "expected string or bytes-like object, got '{found}'"
        )));
    };
    let is_safe = |one: char| one.is_ascii_alphanumeric() || "_@%+=:,./-".contains(one);
    Ok(Value::from(match text.chars().all(is_safe) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\"'\"'")),
    }))
}

/// YAML in flow style with every scalar in double quotes, and what is no string tagged `!`.
fn yaml_quote(value: &Value, given: &[Value]) -> Result<Value, Error> {
    bind("yaml_quote", given, [], 0)?;
    let mut text = String::new();
    write(value, &mut text)?;
    Ok(Value::from(text))
}

fn write(value: &Value, text: &mut String) -> Result<(), Error> {
    match view(value) {
        Python::Str(string) if !value.is_safe() => quote(string, text),
        Python::None => text.push_str("! \"null\""),
        Python::Bool(true) => text.push_str("! \"true\""),
        Python::Bool(false) => text.push_str("! \"false\""),
        Python::Int(number) => text.push_str(&format!("! \"{number}\"")),
        Python::Float(number) => text.push_str(&format!("! \"{}\"", yaml_float(number))),
        Python::List | Python::Tuple => {
            text.push('[');
            for (place, item) in items(value).iter().enumerate() {
                if place > 0 {
                    text.push_str(", ");
                }
                write(item, text)?;
            }
            text.push(']');
        }
        Python::Dict => {
            let mut entries = pairs(value);
            let mut ordered = true;
            entries.sort_by(|(one, _), (other, _)| {
                let order = compare(one, other).ok().flatten();
                ordered &= order.is_some();
                order.unwrap_or(std::cmp::Ordering::Equal)
            });
            // Keys without an order among them stay where they are.
            let entries = if ordered { entries } else { pairs(value) };
            text.push('{');
            for (place, (key, item)) in entries.iter().enumerate() {
                if place > 0 {
                    text.push_str(", ");
                }
                write(key, text)?;
                text.push_str(": ");
                write(item, text)?;
            }
            text.push('}');
        }
        other => {
            return Err(failure(format!(
                "cannot represent an object: {}",
                other.type_name()
            )));
        }
    }
    Ok(())
}

/// A float as PyYAML writes it.
fn yaml_float(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let text = float(number);
    match text.split_once('e') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0e{exponent}"),
        _ => text,
    }
}

fn quote(string: &str, text: &mut String) {
    text.push('"');
    for one in string.chars() {
        let code = u32::from(one);
        match one {
            '\0' => text.push_str("\\0"),
            '\x07' => text.push_str("\\a"),
            '\x08' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\x0b' => text.push_str("\\v"),
            '\x0c' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            '\x1b' => text.push_str("\\e"),
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{85}' => text.push_str("\\N"),
            '\u{a0}' => text.push_str("\\_"),
            '\u{2028}' => text.push_str("\\L"),
            '\u{2029}' => text.push_str("\\P"),
            ' '..='~' => text.push(one),
            _ if code <= 0xff => text.push_str(&format!("\\x{code:02X}")),
            _ if code <= 0xffff => text.push_str(&format!("\\u{code:04X}")),
            _ => text.push_str(&format!("\\U{code:08X}")),
        }
    }
    text.push('"');
}
