//! `tojson`: Python's `json.dumps` with sorted keys, made safe to stand in HTML.

use minijinja::Error;
use minijinja::value::Value;

use super::Filter;
use crate::arguments::{bind, failure};
use crate::methods::index;
use crate::value::{Python, compare, float, items, pairs, view};

pub(super) const FILTERS: [(&str, Filter); 1] = [("tojson", to_json)];

fn to_json(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let [indent] = bind("tojson", given, ["indent"], 0)?;
    let indent = match &indent {
        Some(indent) if !indent.is_none() => match view(indent) {
            Python::Str(text) => Some(text.to_owned()),
            _ => Some(
                " ".repeat(
                    usize::try_from(index(indent, "tojson")?)
                        .unwrap_or(0)
                        .min(1000),
                ),
            ),
        },
        _ => None,
    };
    let mut text = String::new();
    write(value, indent.as_deref(), 0, &mut text)?;
    let text = text
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\'', "\\u0027");
    Ok(Value::from_safe_string(text))
}

fn write(
    value: &Value,
    indent: Option<&str>,
    depth: usize,
    text: &mut String,
) -> Result<(), Error> {
    match view(value) {
        Python::None => text.push_str("null"),
        Python::Bool(flag) => text.push_str(if flag { "true" } else { "false" }),
        Python::Int(number) => text.push_str(&number.to_string()),
        Python::Float(number) => text.push_str(&json_float(number)),
        Python::Str(string) => quote(string, text),
        Python::List | Python::Tuple => {
            let items = items(value);
            enclosed(
                ('[', ']'),
                items.len(),
                indent,
                depth,
                text,
                |place, text| write(&items[place], indent, depth + 1, text),
            )?;
        }
        Python::Dict => {
            let entries = sorted(pairs(value))?;
            enclosed(
                ('{', '}'),
                entries.len(),
                indent,
                depth,
                text,
                |place, text| {
                    let (key, item) = &entries[place];
                    quote(&key_text(key)?, text);
                    text.push_str(": ");
                    write(item, indent, depth + 1, text)
                },
            )?;
        }
        other => {
            return Err(failure(format!(
                "Object of type {} is not JSON serializable",
                other.type_name()
            )));
        }
    }
    Ok(())
}

fn enclosed(
    (open, close): (char, char),
    count: usize,
    indent: Option<&str>,
    depth: usize,
    text: &mut String,
    mut item: impl FnMut(usize, &mut String) -> Result<(), Error>,
) -> Result<(), Error> {
    text.push(open);
    for place in 0..count {
        if place > 0 {
            text.push_str(if indent.is_some() { "," } else { ", " });
        }
        if let Some(indent) = indent {
            text.push('\n');
            text.push_str(&indent.repeat(depth + 1));
        }
        item(place, text)?;
    }
    if let (Some(indent), 1..) = (indent, count) {
        text.push('\n');
        text.push_str(&indent.repeat(depth));
    }
    text.push(close);
    Ok(())
}

fn sorted(mut entries: Vec<(Value, Value)>) -> Result<Vec<(Value, Value)>, Error> {
    let mut wrong = None;
    entries.sort_by(|(one, _), (other, _)| match compare(one, other) {
        Ok(order) => order.unwrap_or(std::cmp::Ordering::Equal),
        Err(error) => {
            wrong.get_or_insert(error);
            std::cmp::Ordering::Equal
        }
    });
    match wrong {
        Some(error) => Err(error),
        None => Ok(entries),
    }
}

fn key_text(key: &Value) -> Result<String, Error> {
    match view(key) {
        Python::Str(text) => Ok(text.to_owned()),
        Python::None => Ok("null".to_owned()),
        Python::Bool(flag) => Ok(if flag { "true" } else { "false" }.to_owned()),
        Python::Int(number) => Ok(number.to_string()),
        Python::Float(number) => Ok(json_float(number)),
        other => Err(failure(format!(
            "keys must be str, not {}",
            other.type_name()
        ))),
    }
}

fn json_float(number: f64) -> String {
    match number {
        _ if number.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        _ => float(number),
    }
}

/// A string with everything beyond ASCII escaped.
fn quote(string: &str, text: &mut String) {
    text.push('"');
    for one in string.chars() {
        match one {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\x08' => text.push_str("\\b"),
            '\x0c' => text.push_str("\\f"),
            ' '..='~' => text.push(one),
            _ => {
                for unit in one.encode_utf16(&mut [0; 2]) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    text.push('"');
}
