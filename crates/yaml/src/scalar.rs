//! What a scalar means in YAML 1.1 as PyYAML 6 resolves and constructs it.
//!
//! Source of the rules: the YAML 1.1 type repository and the behaviour of PyYAML 6.0.3's
//! SafeLoader, recorded in `tests/it/pyyaml_scalars.tsv`. Unlike YAML 1.1, PyYAML takes neither
//! `y` nor `n` for a boolean, wants a dot in floats and a sign in their exponents.

use std::sync::LazyLock;

use regex::Regex;

use crate::Value;

/// What became of a scalar.
#[derive(Debug, PartialEq)]
pub(crate) enum Resolved {
    Value(Value),
    /// An integer of more than 64 bits.
    TooLarge,
    /// The text does not fit its tag.
    Invalid,
}

static FLOAT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
    )
});

static INT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$",
    )
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant")
}

/// The value of a plain scalar without a tag.
pub(crate) fn resolve_plain(text: &str) -> Resolved {
    if is_null(text) {
        return Resolved::Value(Value::Null);
    }
    if let Some(value) = boolean(text) {
        return Resolved::Value(Value::Bool(value));
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || "-+.".contains(c));
    if numeric && FLOAT.is_match(text) {
        return float(text);
    }
    if numeric && INT.is_match(text) {
        return match integer(text) {
            // `0b_` and `0x_` match the pattern and mean nothing.
            Resolved::Invalid => string(text),
            other => other,
        };
    }
    string(text)
}

/// The value of a scalar with one of the tags of `tag:yaml.org,2002:`. None: not a scalar's tag,
/// or one that is not supported.
pub(crate) fn resolve_tagged(tag: &str, text: &str) -> Option<Resolved> {
    Some(match tag {
        // A timestamp stays text, as it does without a tag.
        "str" | "timestamp" => string(text),
        "null" => Resolved::Value(Value::Null),
        "bool" => match boolean(&text.to_ascii_lowercase()) {
            Some(value) => Resolved::Value(Value::Bool(value)),
            None => Resolved::Invalid,
        },
        "int" => integer(text),
        "float" => float(text),
        _ => return None,
    })
}

fn string(text: &str) -> Resolved {
    Resolved::Value(Value::String(text.into()))
}

pub(crate) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn integer(text: &str) -> Resolved {
    let text = text.replace('_', "");
    let (negative, digits) = split_sign(&text);
    let magnitude = if let Some(digits) = digits.strip_prefix("0b") {
        in_base(digits, 2)
    } else if let Some(digits) = digits.strip_prefix("0x") {
        in_base(digits, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        in_base(&digits[1..], 8)
    } else if digits.contains(':') {
        in_sixties(digits)
    } else {
        in_base(digits, 10)
    };
    match magnitude {
        Magnitude::Is(value) => {
            let value = if negative { -value } else { value };
            i64::try_from(value).map_or(Resolved::TooLarge, |value| {
                Resolved::Value(Value::Int(value))
            })
        }
        Magnitude::TooLarge => Resolved::TooLarge,
        Magnitude::Nonsense => Resolved::Invalid,
    }
}

enum Magnitude {
    Is(i128),
    TooLarge,
    Nonsense,
}

fn in_base(digits: &str, base: u32) -> Magnitude {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return Magnitude::Nonsense;
    }
    // All digits are good, so that only the size can be wrong.
    u64::from_str_radix(digits, base).map_or(Magnitude::TooLarge, |value| {
        Magnitude::Is(i128::from(value))
    })
}

fn in_sixties(digits: &str) -> Magnitude {
    let mut sum: i128 = 0;
    for part in digits.split(':') {
        let Magnitude::Is(part) = in_base(part, 10) else {
            return Magnitude::Nonsense;
        };
        sum = match sum.checked_mul(60).and_then(|sum| sum.checked_add(part)) {
            Some(sum) => sum,
            None => return Magnitude::TooLarge,
        };
    }
    Magnitude::Is(sum)
}

fn float(text: &str) -> Resolved {
    let text = text.replace('_', "").to_ascii_lowercase();
    let (negative, digits) = split_sign(&text);
    let magnitude = match digits {
        ".inf" => f64::INFINITY,
        ".nan" => f64::NAN,
        _ if digits.contains(':') => {
            let mut sum = 0.0;
            for part in digits.split(':') {
                let Ok(part) = part.parse::<f64>() else {
                    return Resolved::Invalid;
                };
                sum = sum * 60.0 + part;
            }
            sum
        }
        _ => match digits.parse::<f64>() {
            Ok(value) if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => value,
            _ => return Resolved::Invalid,
        },
    };
    Resolved::Value(Value::Float(if negative { -magnitude } else { magnitude }))
}
