//! `text % values`.

use std::iter::Peekable;
use std::str::Chars;

use minijinja::Error;
use minijinja::value::Value;

use super::{Field, WIDEST};
use crate::arguments::failure;
use crate::methods::index;
use crate::value::{Number, Python, equal, items, pairs, string, undefined, view, write_repr};

/// The values, and how many of them are used.
struct Values<'v> {
    whole: &'v Value,
    list: Vec<Value>,
    used: usize,
    by_name: bool,
}

impl Values<'_> {
    fn next(&mut self) -> Result<Value, Error> {
        let value = self.list.get(self.used).cloned();
        self.used += 1;
        value.ok_or_else(|| failure("not enough arguments for format string"))
    }

    fn named(&mut self, name: &str) -> Result<Value, Error> {
        self.by_name = true;
        if view(self.whole) != Python::Dict {
            return Err(failure("format requires a mapping"));
        }
        let name = Value::from(name);
        let found = pairs(self.whole)
            .into_iter()
            .find(|(key, _)| equal(key, &name));
        found
            .map(|(_, value)| value)
            .ok_or_else(|| failure(format!("there is no key {name}")))
    }
}

/// Formats `text` with `values`: a tuple of them, a dictionary, or one value.
pub(crate) fn percent(text: &str, values: &Value) -> Result<String, Error> {
    let list = match view(values) {
        Python::Tuple => items(values),
        _ => vec![values.clone()],
    };
    let mut values = Values {
        whole: values,
        list,
        used: 0,
        by_name: false,
    };
    let mut made = String::new();
    let mut rest = text.chars().peekable();
    while let Some(one) = rest.next() {
        if one == '%' {
            field(&mut rest, &mut values, &mut made)?;
        } else {
            made.push(one);
        }
    }
    // Python lets what can be asked for keys or indexes go unused.
    let may_be_left = values.by_name
        || matches!(
            view(values.whole),
            Python::Dict | Python::List | Python::Undefined
        );
    if values.used < values.list.len() && !may_be_left {
        return Err(failure(
            "not all arguments converted during string formatting",
        ));
    }
    Ok(made)
}

fn field(
    rest: &mut Peekable<Chars<'_>>,
    values: &mut Values<'_>,
    made: &mut String,
) -> Result<(), Error> {
    let incomplete = || failure("incomplete format");
    let mut named = None;
    if rest.next_if_eq(&'(').is_some() {
        let mut name = String::new();
        let mut depth = 1;
        loop {
            let one = rest
                .next()
                .ok_or_else(|| failure("incomplete format key"))?;
            match one {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            name.push(one);
        }
        named = Some(values.named(&name)?);
    }
    let (mut field, mut zero) = (Field::default(), false);
    while let Some(flag) = rest.next_if(|one| "#0- +".contains(*one)) {
        match flag {
            '#' => field.alternate = true,
            '0' => zero = true,
            '-' => field.align = Some('<'),
            ' ' if field.sign.is_none() => field.sign = Some(' '),
            '+' => field.sign = Some('+'),
            _ => {}
        }
    }
    let width = number(rest, values)?;
    if width < 0 {
        field.align = Some('<');
    }
    field.width = usize::try_from(width.unsigned_abs())
        .unwrap_or(WIDEST)
        .min(WIDEST);
    if rest.next_if_eq(&'.').is_some() {
        let precision = number(rest, values)?;
        field.precision = Some(usize::try_from(precision).unwrap_or(0).min(WIDEST));
    }
    while rest.next_if(|one| "hlL".contains(*one)).is_some() {}
    let kind = rest.next().ok_or_else(incomplete)?;
    if kind == '%' {
        made.push('%');
        return Ok(());
    }
    let value = match named {
        Some(value) => value,
        None => values.next()?,
    };
    if zero && field.align.is_none() && !"srac".contains(kind) {
        (field.fill, field.align) = (Some('0'), Some('='));
    }
    made.push_str(&converted(&field, kind, &value)?);
    Ok(())
}

/// Digits, or a star for a value.
fn number(rest: &mut Peekable<Chars<'_>>, values: &mut Values<'_>) -> Result<i64, Error> {
    if rest.next_if_eq(&'*').is_some() {
        return match view(&values.next()?) {
            Python::Int(number) => i64::try_from(number).map_err(|_| failure("width too big")),
            _ => Err(failure("* wants int")),
        };
    }
    let mut number: i64 = 0;
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        let digit = i64::from(digit.to_digit(10).unwrap_or(0));
        number = number.saturating_mul(10).saturating_add(digit);
    }
    Ok(number)
}

fn converted(field: &Field, kind: char, value: &Value) -> Result<String, Error> {
    let seen = view(value);
    let wrong = |wanted: &str| match seen {
        Python::Undefined => undefined(),
        _ => failure(format!(
            "%{kind} format: {wanted} is required, not {}",
            seen.type_name()
        )),
    };
    Ok(match kind {
        's' | 'r' | 'a' => {
            let mut text = String::new();
            match kind {
                's' => text = string(value),
                _ => write_repr(value, &mut text),
            }
            if let Some(most) = field.precision {
                text = text.chars().take(most).collect();
            }
            field.pad("", &text, '>')
        }
        'd' | 'i' | 'u' => match seen.number() {
            Some(Number::Int(number)) => field.integer(number, 'd'),
            Some(Number::Float(number)) if number.is_finite() => {
                field.integer(number.trunc() as i128, 'd')
            }
            Some(Number::Float(_)) => return Err(failure("cannot convert float to integer")),
            None => return Err(wrong("a real number")),
        },
        'x' | 'X' | 'o' => match seen.number() {
            Some(Number::Int(number)) => field.integer(number, kind),
            _ => return Err(wrong("an integer")),
        },
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => match seen.number() {
            Some(number) => field.float(number.float(), Some(kind))?,
            None => return Err(wrong("a real number")),
        },
        'c' => match seen {
            Python::Str(text) if text.chars().count() == 1 => field.pad("", text, '>'),
            Python::Int(_) | Python::Bool(_) => {
                let code = u32::try_from(index(value, "%c")?)
                    .ok()
                    .and_then(char::from_u32);
                let one = code.ok_or_else(|| failure("%c arg not in range(0x110000)"))?;
                field.pad("", &one.to_string(), '>')
            }
            _ => return Err(wrong("an int or a character")),
        },
        _ => return Err(failure(format!("unsupported format character '{kind}'"))),
    })
}
