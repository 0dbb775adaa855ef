//! Filters of numbers.

use minijinja::Error;
use minijinja::value::Value;

use super::Filter;
use crate::arguments::{bind, failure};
use crate::methods::index;
use crate::value::{Number, Python, undefined, view};

pub(super) const FILTERS: [(&str, Filter); 4] = [
    ("abs", absolute),
    ("float", float),
    ("int", integer),
    ("round", round),
];

fn absolute(value: &Value, given: &[Value]) -> Result<Value, Error> {
    bind("abs", given, [], 0)?;
    match (view(value), view(value).number()) {
        (Python::Undefined, _) => Err(undefined()),
        (_, Some(Number::Int(number))) => Ok(Value::from(number.abs())),
        (_, Some(Number::Float(number))) => Ok(Value::from(number.abs())),
        (other, None) => Err(failure(format!(
            "bad operand type for abs(): '{}'",
            other.type_name()
        ))),
    }
}

fn float(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let [default] = bind("float", given, ["default"], 0)?;
    let number = match view(value) {
        Python::Undefined => return Err(undefined()),
        Python::Str(text) => parse_float(text),
        other => other.number().map(Number::float),
    };
    Ok(number.map_or_else(|| default.unwrap_or_else(|| Value::from(0.0)), Value::from))
}

fn integer(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let [default, base] = bind("int", given, ["default", "base"], 0)?;
    let base = base.as_ref().map_or(Ok(10), |base| index(base, "int"))?;
    let number = match view(value) {
        Python::Undefined => return Err(undefined()),
        Python::Str(text) => {
            parse_integer(text, base).or_else(|| parse_float(text).and_then(truncated))
        }
        other => match other.number() {
            Some(Number::Int(number)) => Some(number),
            Some(Number::Float(number)) => truncated(number),
            None => None,
        },
    };
    Ok(number.map_or_else(|| default.unwrap_or_else(|| Value::from(0)), Value::from))
}

fn truncated(number: f64) -> Option<i128> {
    number.is_finite().then_some(number.trunc() as i128)
}

/// `int(text, base)`.
fn parse_integer(text: &str, base: i64) -> Option<i128> {
    let text = crate::methods::strip(text, None, true, true);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefix = digits.get(..2).map(str::to_ascii_lowercase);
    let of_prefix = match prefix.as_deref() {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => 0,
    };
    let (radix, digits) = match base {
        0 if of_prefix == 0 && digits.starts_with('0') => {
            // A number of zeros only is taken, other leading zeros are not.
            return digits
                .chars()
                .all(|one| one == '0' || one == '_')
                .then_some(0);
        }
        0 if of_prefix == 0 => (10, digits),
        0 => (
            of_prefix,
            digits[2..].strip_prefix('_').unwrap_or(&digits[2..]),
        ),
        _ if base == of_prefix => (base, digits[2..].strip_prefix('_').unwrap_or(&digits[2..])),
        _ => (base, digits),
    };
    let digits = without_underscores(digits)?;
    let radix = u32::try_from(radix)
        .ok()
        .filter(|radix| (2..=36).contains(radix))?;
    if !digits.chars().all(|one| one.is_digit(radix)) {
        return None;
    }
    let number = i128::from_str_radix(&digits, radix).ok()?;
    Some(if negative { -number } else { number })
}

/// Digits with single underscores between them; `None` where they stand elsewhere.
fn without_underscores(digits: &str) -> Option<String> {
    let wrong = digits.is_empty()
        || digits.starts_with('_')
        || digits.ends_with('_')
        || digits.contains("__");
    (!wrong).then(|| digits.replace('_', ""))
}

/// `float(text)`.
fn parse_float(text: &str) -> Option<f64> {
    let text = without_underscores(crate::methods::strip(text, None, true, true))?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let is_word = ["inf", "infinity", "nan"].contains(&digits.to_ascii_lowercase().as_str());
    let is_number = digits.starts_with(|one: char| one.is_ascii_digit() || one == '.');
    (is_word || is_number).then(|| text.parse().ok())?
}

fn round(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let [precision, method] = bind("round", given, ["precision", "method"], 0)?;
    let precision = precision
        .as_ref()
        .map_or(Ok(0), |places| index(places, "round"))?;
    let precision = i32::try_from(precision.clamp(-400, 400)).unwrap_or(0);
    let method = method.as_ref().and_then(Value::as_str).unwrap_or("common");
    let number = match (view(value), view(value).number()) {
        (Python::Undefined, _) => return Err(undefined()),
        (_, Some(number)) => number,
        (other, None) => return Err(failure(format!("round of {}", other.type_name()))),
    };
    let scale = 10_f64.powi(precision);
    match (method, number) {
        ("common", Number::Int(number)) => Ok(Value::from(round_integer(number, precision))),
        ("common", Number::Float(number)) => Ok(Value::from(round_float(number, precision))),
        ("ceil", number) => Ok(Value::from((number.float() * scale).ceil() / scale)),
        ("floor", number) => Ok(Value::from((number.float() * scale).floor() / scale)),
        _ => Err(failure("method must be common, ceil or floor")),
    }
}

/// Half to even, as `round` does.
fn round_integer(number: i128, precision: i32) -> i128 {
    let Some(unit) = u32::try_from(-precision)
        .ok()
        .and_then(|zeros| 10_i128.checked_pow(zeros))
    else {
        return if precision < 0 { 0 } else { number };
    };
    let (down, rest) = (number.div_euclid(unit), number.rem_euclid(unit));
    let up = rest * 2 > unit || (rest * 2 == unit && down % 2 != 0);
    (down + i128::from(up)) * unit
}

fn round_float(number: f64, precision: i32) -> f64 {
    if !number.is_finite() {
        return number;
    }
    match usize::try_from(precision) {
        // Rust rounds the exact value of the number, half to even, as Python does.
        Ok(places) => format!("{number:.places$}").parse().unwrap_or(number),
        Err(_) => {
            let unit = 10_f64.powi(-precision);
            (number / unit).round_ties_even() * unit
        }
    }
}
