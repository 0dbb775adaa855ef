//! `text.format(values)`.

use minijinja::Error;
use minijinja::value::Value;

use super::{Field, WIDEST};
use crate::arguments::failure;
use crate::value::{Number, Python, equal, items, pairs, string, undefined, view, write_repr};

/// What the fields may name.
struct Values<'v> {
    positional: &'v [Value],
    named: &'v [(String, Value)],
    /// The next field without a number, once there was one; `Some(None)` after a numbered one.
    automatic: Option<Option<usize>>,
}

/// Formats `text`.
pub(crate) fn braces(
    text: &str,
    positional: &[Value],
    named: &[(String, Value)],
) -> Result<String, Error> {
    let mut values = Values {
        positional,
        named,
        automatic: None,
    };
    fields(text, &mut values, 2)
}

fn fields(text: &str, values: &mut Values<'_>, depth: usize) -> Result<String, Error> {
    if depth == 0 {
        return Err(failure("Max string recursion exceeded"));
    }
    let mut made = String::new();
    let mut rest = text;
    while let Some(place) = rest.find(['{', '}']) {
        made.push_str(&rest[..place]);
        let brace = &rest[place..=place];
        rest = &rest[place + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            made.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err(failure("Single '}' encountered in format string"));
        }
        let end = closing(rest)?;
        made.push_str(&field(&rest[..end], values, depth)?);
        rest = &rest[end + 1..];
    }
    made.push_str(rest);
    Ok(made)
}

/// Where the brace is closed.
fn closing(text: &str) -> Result<usize, Error> {
    let mut open = 1;
    for (place, one) in text.char_indices() {
        match one {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Ok(place);
        }
    }
    Err(failure("expected '}' before end of string"))
}

fn field(text: &str, values: &mut Values<'_>, depth: usize) -> Result<String, Error> {
    let bracket = text.find('[').unwrap_or(text.len());
    let behind = text[bracket..].find(']').map_or(0, |place| bracket + place);
    let end = text
        .char_indices()
        .find(|(place, one)| matches!(one, ':' | '!') && !(bracket < *place && *place < behind))
        .map_or(text.len(), |(place, _)| place);
    let (name, rest) = text.split_at(end);
    let (conversion, spec) = match rest.strip_prefix('!') {
        Some(rest) => {
            let mut letters = rest.chars();
            let letter = letters
                .next()
                .ok_or_else(|| failure("unmatched '{' in format spec"))?;
            let spec = letters.as_str();
            if !spec.is_empty() && !spec.starts_with(':') {
                return Err(failure("expected ':' after conversion specifier"));
            }
            (Some(letter), spec)
        }
        None => (None, rest),
    };
    let value = named(name, values)?;
    let spec = fields(spec.strip_prefix(':').unwrap_or(spec), values, depth - 1)?;
    let value = match conversion {
        None => value,
        Some('s') => Value::from(string(&value)),
        Some('r' | 'a') => {
            let mut text = String::new();
            write_repr(&value, &mut text);
            Value::from(text)
        }
        Some(other) => return Err(failure(format!("Unknown conversion specifier '{other}'"))),
    };
    formatted(&value, &spec)
}

/// The value of a field's name: `0`, `name`, nothing for the next one, then `.part` and `[part]`.
fn named(name: &str, values: &mut Values<'_>) -> Result<Value, Error> {
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (first, mut rest) = name.split_at(end);
    let mut value = match first.parse::<usize>() {
        Err(_) if first.is_empty() => {
            let next = match values.automatic {
                None => 0,
                Some(Some(next)) => next,
                Some(None) => return Err(failure("cannot switch to automatic field numbering")),
            };
            values.automatic = Some(Some(next + 1));
            positional(values, next)?
        }
        Ok(number) => {
            if matches!(values.automatic, Some(Some(_))) {
                return Err(failure("cannot switch to manual field specification"));
            }
            values.automatic = Some(None);
            positional(values, number)?
        }
        Err(_) => match values.named.iter().find(|(known, _)| known == first) {
            Some((_, value)) => value.clone(),
            None => return Err(failure(format!("there is no key '{first}'"))),
        },
    };
    while !rest.is_empty() {
        let Some(inner) = rest.strip_prefix('[') else {
            // A sandbox looks a name up as it looks up an item; methods are not shown.
            let name = &rest[1..];
            let end = name.find(['.', '[']).unwrap_or(name.len());
            if end == 0 {
                return Err(failure("Empty attribute in format string"));
            }
            value = part(&value, &name[..end])?;
            rest = &name[end..];
            continue;
        };
        let (key, after) = inner
            .split_once(']')
            .ok_or_else(|| failure("Missing ']' in format string"))?;
        if !after.is_empty() && !after.starts_with(['.', '[']) {
            return Err(failure(
                "Only '.' or '[' may follow ']' in format field specifier",
            ));
        }
        value = part(&value, key)?;
        rest = after;
    }
    Ok(value)
}

fn positional(values: &Values<'_>, place: usize) -> Result<Value, Error> {
    let value = values.positional.get(place).cloned();
    value.ok_or_else(|| failure("Replacement index out of range for positional args tuple"))
}

/// An item; undefined where there is none, as everywhere in a sandbox.
fn part(value: &Value, key: &str) -> Result<Value, Error> {
    let number = key.parse::<usize>();
    let found = match (view(value), number) {
        (Python::Undefined, _) => return Err(undefined()),
        (Python::Dict, number) => {
            let key = number.map_or_else(|_| Value::from(key), Value::from);
            let found = pairs(value).into_iter().find(|(name, _)| equal(name, &key));
            found.map(|(_, item)| item)
        }
        (Python::List | Python::Tuple, Ok(number)) => items(value).get(number).cloned(),
        (Python::Str(text), Ok(number)) => text
            .chars()
            .nth(number)
            .map(|one| Value::from(one.to_string())),
        _ => None,
    };
    Ok(found.unwrap_or_default())
}

/// `format(value, spec)`.
fn formatted(value: &Value, spec: &str) -> Result<String, Error> {
    let seen = view(value);
    if spec.is_empty() {
        return Ok(string(value));
    }
    let field = read(spec, matches!(seen, Python::Str(_)))?;
    let unknown = |kind: char| {
        failure(format!(
            "Unknown format code '{kind}' for object of type '{}'",
            seen.type_name()
        ))
    };
    match seen {
        Python::Str(text) => {
            match field.kind {
                None | Some('s') => {}
                Some(kind) => return Err(unknown(kind)),
            }
            if field.sign.is_some() || field.alternate || field.align == Some('=') {
                return Err(failure("not allowed in string format specifier"));
            }
            if let Some(separator) = field.grouping {
                return Err(failure(format!("Cannot specify '{separator}' with 's'.")));
            }
            let most = field.precision.unwrap_or(usize::MAX);
            let text: String = text.chars().take(most).collect();
            Ok(field.pad("", &text, '<'))
        }
        Python::Bool(_) | Python::Int(_) => integer(&field, seen, unknown),
        Python::Float(number) => match field.kind {
            Some(kind) if !"eEfFgGn%".contains(kind) => Err(unknown(kind)),
            kind => field.float(number, kind),
        },
        other => Err(failure(format!(
            "unsupported format string passed to {}.__format__",
            other.type_name()
        ))),
    }
}

fn integer(
    field: &Field,
    seen: Python<'_>,
    unknown: impl Fn(char) -> Error,
) -> Result<String, Error> {
    let Some(Number::Int(number)) = seen.number() else {
        return Err(unknown('d'));
    };
    let kind = field.kind.unwrap_or('d');
    match kind {
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%' => field.float(number as f64, Some(kind)),
        _ if field.precision.is_some() => {
            Err(failure("Precision not allowed in integer format specifier"))
        }
        'c' => {
            if field.sign.is_some() || field.alternate {
                return Err(failure("not allowed with integer format specifier 'c'"));
            }
            let one = u32::try_from(number).ok().and_then(char::from_u32);
            let one = one.ok_or_else(|| failure("%c arg not in range(0x110000)"))?;
            Ok(field.pad("", &one.to_string(), '>'))
        }
        'd' | 'n' => Ok(field.integer(number, 'd')),
        'x' | 'X' | 'o' | 'b' if field.grouping == Some(',') => {
            Err(failure(format!("Cannot specify ',' with '{kind}'.")))
        }
        'x' | 'X' | 'o' | 'b' => Ok(field.integer(number, kind)),
        kind => Err(unknown(kind)),
    }
}

/// `[[fill]align][sign][#][0][width][grouping][.precision][type]`.
fn read(spec: &str, of_text: bool) -> Result<Field, Error> {
    let letters: Vec<char> = spec.chars().collect();
    let mut field = Field::default();
    let mut place = 0;
    let is_align = |one: Option<&char>| one.is_some_and(|one| "<>^=".contains(*one));
    if is_align(letters.get(1)) {
        (field.fill, field.align) = (Some(letters[0]), Some(letters[1]));
        place = 2;
    } else if is_align(letters.first()) {
        field.align = Some(letters[0]);
        place = 1;
    }
    let mut take = |wanted: &str| {
        let found = letters
            .get(place)
            .copied()
            .filter(|one| wanted.contains(*one));
        place += usize::from(found.is_some());
        found
    };
    field.sign = take("+- ");
    field.alternate = take("#").is_some();
    if take("0").is_some() {
        field.fill.get_or_insert('0');
        field.align.get_or_insert(if of_text { '<' } else { '=' });
    }
    while let Some(digit) = take("0123456789") {
        let digit = digit.to_digit(10).unwrap_or(0) as usize;
        field.width = (field.width * 10 + digit).min(WIDEST);
    }
    field.grouping = take(",_");
    if take(".").is_some() {
        let mut precision = None;
        while let Some(digit) = take("0123456789") {
            let digit = digit.to_digit(10).unwrap_or(0) as usize;
            precision = Some((precision.unwrap_or(0) * 10 + digit).min(WIDEST));
        }
        field.precision =
            Some(precision.ok_or_else(|| failure("Format specifier missing precision"))?);
    }
    field.kind = letters.get(place).copied();
    match letters.len() > place + 1 {
        true => Err(failure(format!("Invalid format specifier '{spec}'"))),
        false => Ok(field),
    }
}
