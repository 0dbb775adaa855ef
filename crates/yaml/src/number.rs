//! Numbers as PyYAML's constructor and Python's `int()` and `float()` read them.

use crate::{Foreign, Value};

/// Python refuses to read longer decimal numbers; here no number may be longer.
const MOST_DIGITS: usize = 4300;

/// What is wrong with a text that should be a number.
pub(crate) type Wrong = &'static str;

const NO_NUMBER: Wrong = "it is no whole number";
const TOO_LONG: Wrong = "a number of more than 4300 digits is too long";

/// A natural number of any size: digits to the base of 10⁹, the lowest first.
#[derive(Clone, Debug, Default)]
struct Natural(Vec<u32>);

const BASE: u64 = 1_000_000_000;

impl Natural {
    fn multiply_add(&mut self, factor: u32, add: u32) {
        let mut carry = u64::from(add);
        for digit in &mut self.0 {
            let sum = u64::from(*digit) * u64::from(factor) + carry;
            *digit = u32::try_from(sum % BASE).unwrap_or_default();
            carry = sum / BASE;
        }
        while carry > 0 {
            self.0.push(u32::try_from(carry % BASE).unwrap_or_default());
            carry /= BASE;
        }
    }

    fn to_decimal(&self) -> String {
        let mut digits = self.0.iter().rev();
        let mut text = digits.next().map_or("0".to_owned(), u32::to_string);
        for digit in digits {
            text.push_str(&format!("{digit:09}"));
        }
        text
    }
}

/// A whole number of any size.
#[derive(Clone, Debug)]
struct Whole {
    negative: bool,
    magnitude: Natural,
}

impl Whole {
    fn value(self) -> Value {
        let digits = self.magnitude.to_decimal();
        let text = if self.negative {
            format!("-{digits}")
        } else {
            digits
        };
        match text.parse::<i64>() {
            Ok(value) => Value::Int(value),
            Err(_) => Value::Foreign(Foreign::BigInt(text.into())),
        }
    }
}

/// Python's `int(text, base)`.
fn whole(text: &str, base: u32) -> Result<Whole, Wrong> {
    let text = text.trim_matches(is_space);
    let (negative, digits) = signed(text);
    let prefix = match base {
        2 => ["0b", "0B"],
        8 => ["0o", "0O"],
        16 => ["0x", "0X"],
        _ => ["", ""],
    };
    let digits = prefix
        .iter()
        .find_map(|prefix| digits.strip_prefix(prefix))
        .unwrap_or(digits);
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return Err(NO_NUMBER);
    }
    if digits.len() > MOST_DIGITS {
        return Err(TOO_LONG);
    }
    // As many digits at a time as fit.
    let chunk = match base {
        2 => 28,
        16 => 7,
        _ => 9,
    };
    let mut magnitude = Natural::default();
    let mut rest = digits;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(chunk.min(rest.len()));
        let factor = base.pow(u32::try_from(piece.len()).unwrap_or(0));
        let value = u32::from_str_radix(piece, base).map_err(|_| NO_NUMBER)?;
        magnitude.multiply_add(factor, value);
        rest = after;
    }
    Ok(Whole {
        negative,
        magnitude,
    })
}

/// What `str.strip()` removes, as far as it can stand in YAML.
fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

fn signed(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

/// The value of a scalar of the type `!!int`.
pub(crate) fn integer(text: &str) -> Result<Value, Wrong> {
    // Nearly all numbers are short and decimal.
    if text.len() <= 18
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'))
        && let Ok(value) = text.parse::<i64>()
    {
        return Ok(Value::Int(value));
    }
    let text = text.replace('_', "");
    let (negative, digits) = signed(&text);
    let mut number = if let Some(digits) = digits.strip_prefix("0b") {
        whole(digits, 2)?
    } else if let Some(digits) = digits.strip_prefix("0x") {
        whole(digits, 16)?
    } else if digits == "0" {
        whole(digits, 10)?
    } else if digits.starts_with('0') {
        whole(digits, 8)?
    } else if digits.contains(':') {
        sixties(digits)?
    } else {
        whole(digits, 10)?
    };
    number.negative ^= negative;
    Ok(number.value())
}

/// `1:30` is 90.
fn sixties(text: &str) -> Result<Whole, Wrong> {
    if text.len() > MOST_DIGITS {
        return Err(TOO_LONG);
    }
    let mut parts = text.split(':');
    let mut number = whole(parts.next().unwrap_or_default(), 10)?;
    for part in parts {
        let part = whole(part, 10)?;
        let add = match part.magnitude.0.as_slice() {
            [] => 0,
            [add] if !part.negative && !number.negative => *add,
            _ => return Err("the parts of a number to the base of 60 must be small"),
        };
        number.magnitude.multiply_add(60, add);
    }
    Ok(number)
}

/// The value of a scalar of the type `!!float`.
pub(crate) fn float(text: &str) -> Result<Value, Wrong> {
    let text = text.replace('_', "").to_lowercase();
    let (negative, digits) = signed(&text);
    if text.is_empty() {
        return Err("it is no number");
    }
    let magnitude = match digits {
        ".inf" => f64::INFINITY,
        ".nan" => return Ok(Value::Float(f64::NAN)),
        _ if digits.contains(':') => float_in_sixties(digits)?,
        _ => one_float(digits)?,
    };
    Ok(Value::Float(if negative { -magnitude } else { magnitude }))
}

/// Python's `float(text)`.
fn one_float(text: &str) -> Result<f64, Wrong> {
    let text = text.trim_matches(is_space);
    text.parse().map_err(|_| "it is no number")
}

/// PyYAML adds from the last part to the first, which rounds otherwise than the other way round.
fn float_in_sixties(text: &str) -> Result<f64, Wrong> {
    let mut sum = 0.0;
    let mut power = Natural(vec![1]);
    for part in text.rsplit(':') {
        // Rounded once, from the exact power.
        let factor: f64 = power.to_decimal().parse().unwrap_or(f64::INFINITY);
        if !factor.is_finite() {
            return Err("it is too large for a number");
        }
        sum += one_float(part)? * factor;
        power.multiply_add(60, 0);
    }
    Ok(sum)
}
