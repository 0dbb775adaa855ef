//! Numbers as both ways of formatting write them.

use minijinja::Error;

use super::{Field, WIDEST};
use crate::arguments::failure;
use crate::value::float;

impl Field {
    /// An integer in the base of `kind` (`d`, `x`, `X`, `o`, `b`).
    pub(super) fn integer(&self, number: i128, kind: char) -> String {
        let size = number.unsigned_abs();
        let (prefix, mut digits) = match kind {
            'x' => ("0x", format!("{size:x}")),
            'X' => ("0X", format!("{size:X}")),
            'o' => ("0o", format!("{size:o}")),
            'b' => ("0b", format!("{size:b}")),
            _ => ("", size.to_string()),
        };
        if let Some(precision) = self.precision {
            digits = format!(
                "{}{digits}",
                "0".repeat(precision.min(WIDEST).saturating_sub(digits.len()))
            );
        }
        let group = if kind == 'd' { 3 } else { 4 };
        let sign = self.sign_of(number < 0);
        let prefix = if self.alternate { prefix } else { "" };
        self.grouped(&format!("{sign}{prefix}"), &digits, group)
    }

    fn sign_of(&self, negative: bool) -> String {
        match (negative, self.sign) {
            (true, _) => "-".to_owned(),
            (false, Some('+')) => "+".to_owned(),
            (false, Some(' ')) => " ".to_owned(),
            _ => String::new(),
        }
    }

    /// Pads, with separators between groups of the digits before the point.
    fn grouped(&self, prefix: &str, digits: &str, size: usize) -> String {
        let Some(separator) = self.grouping else {
            return self.pad(prefix, digits, '>');
        };
        let end = digits
            .find(|one: char| !one.is_ascii_hexdigit())
            .unwrap_or(digits.len());
        let (whole, rest) = digits.split_at(end);
        let mut whole = whole.to_owned();
        if self.fill == Some('0') && self.align == Some('=') {
            // Zeros are grouped too, and a group never begins with a separator.
            let room = self.width.saturating_sub(prefix.len() + rest.len());
            while separated(&whole, separator, size).len() < room {
                whole.insert(0, '0');
            }
        }
        self.pad(
            prefix,
            &format!("{}{rest}", separated(&whole, separator, size)),
            '>',
        )
    }

    /// A float; `kind` is `e`, `f`, `g`, `%`, a capital of these, or nothing for `repr`'s way.
    pub(super) fn float(&self, number: f64, kind: Option<char>) -> Result<String, Error> {
        let size = number.abs();
        let negative = number.is_sign_negative() && !number.is_nan();
        let precision = self.precision.unwrap_or(6).min(WIDEST);
        let upper = kind.is_some_and(|kind| kind.is_ascii_uppercase());
        let mut digits = if !number.is_finite() {
            let word = if number.is_nan() { "nan" } else { "inf" };
            if kind == Some('%') {
                format!("{word}%")
            } else {
                word.to_owned()
            }
        } else {
            match kind.map(|kind| kind.to_ascii_lowercase()) {
                Some('e') => exponent(size, precision, self.alternate),
                Some('f') => fixed(size, precision, self.alternate),
                Some('%') => format!("{}%", fixed(size * 100.0, precision, self.alternate)),
                Some('g' | 'n') => general(size, precision, self.alternate, false),
                None if self.precision.is_some() => general(size, precision, self.alternate, true),
                None => float(size),
                Some(kind) => {
                    return Err(failure(format!(
                        "unknown format code '{kind}' for object of type 'float'"
                    )));
                }
            }
        };
        if upper {
            digits = digits.to_uppercase();
        }
        Ok(self.grouped(&self.sign_of(negative), &digits, 3))
    }
}

fn separated(digits: &str, separator: char, size: usize) -> String {
    let mut made = String::new();
    for (place, one) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(size) {
            made.push(separator);
        }
        made.push(one);
    }
    made
}

fn fixed(size: f64, precision: usize, alternate: bool) -> String {
    let point = if alternate && precision == 0 { "." } else { "" };
    format!("{size:.precision$}{point}")
}

fn exponent(size: f64, precision: usize, alternate: bool) -> String {
    let text = format!("{size:.precision$e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if alternate && precision == 0 { "." } else { "" };
    let (sign, power) = match power.strip_prefix('-') {
        Some(power) => ('-', power),
        None => ('+', power),
    };
    format!("{digits}{point}e{sign}{power:0>2}")
}

/// `%g`: as many digits as asked for, with an exponent where the number is very large or small.
/// `as_repr` is the format of no letter, which keeps a digit after the point.
fn general(size: f64, precision: usize, alternate: bool, as_repr: bool) -> String {
    let precision = precision.max(1);
    let scientific = format!("{size:.*e}", precision - 1);
    let power: i64 = scientific
        .split_once('e')
        .and_then(|(_, power)| power.parse().ok())
        .unwrap_or(0);
    let most = precision as i64 - i64::from(as_repr && precision > 1);
    let wide = if as_repr {
        most.max(1)
    } else {
        precision as i64
    };
    if power < -4 || power >= wide {
        let text = exponent(size, precision - 1, alternate);
        let (digits, rest) = text.split_once('e').unwrap_or((&text, "+00"));
        let digits = if alternate { digits } else { shorter(digits) };
        return format!("{digits}e{rest}");
    }
    let places = usize::try_from(precision as i64 - 1 - power).unwrap_or(0);
    let text = fixed(size, places, alternate);
    let text = if alternate {
        text.as_str()
    } else {
        shorter(&text)
    };
    match as_repr && !text.contains('.') {
        true => format!("{text}.0"),
        false => text.to_owned(),
    }
}

/// Without zeros at the end of the fraction.
fn shorter(digits: &str) -> &str {
    match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    }
}
