//! Filters of texts.

use minijinja::Error;
use minijinja::value::{Tuple, Value};

use super::Filter;
use crate::arguments::{bind, failure, split};
use crate::format::percent;
use crate::methods::{self, index, lines, pad, strip};
use crate::value::{Number, Python, iterate, string, truth, undefined, view};

pub(super) const FILTERS: [(&str, Filter); 20] = [
    ("capitalize", |value, given| {
        plain("capitalize", value, given, methods::capitalize)
    }),
    ("center", center),
    ("e", escape),
    ("escape", escape),
    ("filesizeformat", file_size),
    ("forceescape", |value, given| {
        bind("forceescape", given, [], 0)?;
        Ok(Value::from_safe_string(escaped(&string(value))))
    }),
    ("format", |value, given| {
        let (positional, named) = split(given)?;
        if !positional.is_empty() && !named.is_empty() {
            return Err(failure(
                "format takes positional or named arguments, not both",
            ));
        }
        let given = match named.is_empty() {
            true => Value::from(Tuple::from(positional)),
            false => Value::from_pairs(named),
        };
        percent(&string(value), &given).map(Value::from)
    }),
    ("indent", indent),
    ("join", join),
    ("lower", |value, given| {
        plain("lower", value, given, str::to_lowercase)
    }),
    ("replace", replace),
    ("safe", |value, given| {
        bind("safe", given, [], 0)?;
        Ok(Value::from_safe_string(string(value)))
    }),
    ("string", |value, given| {
        bind("string", given, [], 0)?;
        Ok(match view(value) {
            Python::Str(_) => value.clone(),
            _ => Value::from(string(value)),
        })
    }),
    ("striptags", |value, given| {
        plain("striptags", value, given, strip_tags)
    }),
    ("title", |value, given| plain("title", value, given, title)),
    ("trim", |value, given| {
        let [set] = bind("trim", given, ["chars"], 0)?;
        let set = set.filter(|set| !set.is_none()).map(|set| string(&set));
        Ok(Value::from(strip(
            &string(value),
            set.as_deref(),
            true,
            true,
        )))
    }),
    ("truncate", truncate),
    ("upper", |value, given| {
        plain("upper", value, given, str::to_uppercase)
    }),
    ("urlencode", url_encode),
    ("wordcount", |value, given| {
        bind("wordcount", given, [], 0)?;
        let text = string(value);
        let words = text.split(|one: char| !(one.is_alphanumeric() || one == '_'));
        Ok(Value::from(words.filter(|word| !word.is_empty()).count()))
    }),
];

fn plain(
    name: &str,
    value: &Value,
    given: &[Value],
    change: impl Fn(&str) -> String,
) -> Result<Value, Error> {
    bind(name, given, [], 0)?;
    Ok(Value::from(change(&string(value))))
}

fn center(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let [width] = bind("center", given, ["width"], 0)?;
    let width = width
        .as_ref()
        .map_or(Ok(80), |width| index(width, "center"))?;
    pad(&string(value), width, " ", "center").map(Value::from)
}

fn escape(value: &Value, given: &[Value]) -> Result<Value, Error> {
    bind("escape", given, [], 0)?;
    Ok(match value.is_safe() {
        true => value.clone(),
        false => Value::from_safe_string(escaped(&string(value))),
    })
}

/// The five characters as MarkupSafe escapes them.
fn escaped(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => made.push_str("&amp;"),
            '<' => made.push_str("&lt;"),
            '>' => made.push_str("&gt;"),
            '\'' => made.push_str("&#39;"),
            '"' => made.push_str("&#34;"),
            _ => made.push(one),
        }
    }
    made
}

/// A title as Jinja2 makes it: a word begins after white space, a hyphen or an opening bracket.
fn title(text: &str) -> String {
    let mut begins = true;
    let mut made = String::new();
    for one in text.chars() {
        match begins {
            true => made.extend(one.to_uppercase()),
            false => made.extend(one.to_lowercase()),
        }
        begins = methods::is_space(one) || matches!(one, '-' | '(' | '{' | '[' | '<');
    }
    made
}

fn strip_tags(text: &str) -> String {
    let mut made = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        match after.split_once('>') {
            Some((_, after)) => {
                made.push_str(before);
                rest = after;
            }
            None => break,
        }
    }
    made.push_str(rest);
    let words: Vec<&str> = made.split_whitespace().collect();
    words
        .join(" ")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

fn indent(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let [width, first, blank] = bind("indent", given, ["width", "first", "blank"], 0)?;
    let indention = match width.as_ref().map(|width| (view(width), width)) {
        None => "    ".to_owned(),
        Some((Python::Str(text), _)) => text.to_owned(),
        Some((_, width)) => " ".repeat(
            usize::try_from(index(width, "indent")?)
                .unwrap_or(0)
                .min(100_000),
        ),
    };
    let text = match view(value) {
        Python::Str(text) => format!("{text}\n"),
        Python::Undefined => return Err(undefined()),
        other => return Err(failure(format!("indent of {}", other.type_name()))),
    };
    let mut lines = lines(&text, false).into_iter();
    let mut made = String::new();
    if first.is_some_and(|first| truth(&first)) {
        made.push_str(&indention);
    }
    made.push_str(&lines.next().unwrap_or_default());
    let blank = blank.is_some_and(|blank| truth(&blank));
    for line in lines {
        made.push('\n');
        if blank || !line.is_empty() {
            made.push_str(&indention);
        }
        made.push_str(&line);
    }
    Ok(Value::from(made))
}

fn join(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let [separator, attribute] = bind("join", given, ["d", "attribute"], 0)?;
    let separator = separator
        .map(|separator| string(&separator))
        .unwrap_or_default();
    let mut made = String::new();
    for (place, item) in iterate(value)?.iter().enumerate() {
        if place > 0 {
            made.push_str(&separator);
        }
        let item = super::sequence::attribute(item, attribute.as_ref())?;
        crate::value::write_string(&item, &mut made);
    }
    Ok(Value::from(made))
}

fn replace(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let [old, new, count] = bind("replace", given, ["old", "new", "count"], 2)?;
    let count = match &count {
        Some(count) if !count.is_none() => index(count, "replace")?,
        _ => -1,
    };
    let (old, new) = (
        string(&old.unwrap_or_default()),
        string(&new.unwrap_or_default()),
    );
    methods::replace(&string(value), &old, &new, count).map(Value::from)
}

fn truncate(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let names = ["length", "killwords", "end", "leeway"];
    let [length, kill, end, leeway] = bind("truncate", given, names, 0)?;
    let number = |value: Option<Value>, default| {
        value
            .filter(|value| !value.is_none())
            .map_or(Ok(default), |value| index(&value, "truncate"))
    };
    let (length, leeway) = (number(length, 255)?, number(leeway, 5)?);
    let end = end.map_or_else(|| "...".to_owned(), |end| string(&end));
    let text = match view(value) {
        Python::Str(text) => text.to_owned(),
        Python::Undefined => return Ok(value.clone()),
        // Shorter lists are left as they are, longer ones cannot be joined with the end.
        Python::List | Python::Tuple | Python::Dict
            if (iterate(value)?.len() as i64) <= length + leeway =>
        {
            return Ok(value.clone());
        }
        other => return Err(failure(format!("truncate of {}", other.type_name()))),
    };
    let count = text.chars().count() as i64;
    let short = length - end.chars().count() as i64;
    if short < 0 {
        return Err(failure(
            "the length of truncate is less than that of its end",
        ));
    }
    if leeway < 0 {
        return Err(failure("the leeway of truncate is negative"));
    }
    if count <= length + leeway {
        return Ok(Value::from(text));
    }
    let cut: String = text
        .chars()
        .take(usize::try_from(short).unwrap_or(0))
        .collect();
    let kept = match kill.is_some_and(|kill| truth(&kill)) {
        true => cut.as_str(),
        false => cut
            .rsplit_once(' ')
            .map_or(cut.as_str(), |(before, _)| before),
    };
    Ok(Value::from(format!("{kept}{end}")))
}

fn file_size(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let [binary] = bind("filesizeformat", given, ["binary"], 0)?;
    let bytes = match view(value) {
        Python::Str(text) => text.trim().parse().map_err(|_| failure("not a number"))?,
        other => other
            .number()
            .map(Number::float)
            .ok_or_else(|| failure("not a number"))?,
    };
    let (base, units) = match binary.is_some_and(|binary| truth(&binary)) {
        true => (
            1024.0,
            ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"],
        ),
        false => (1000.0, ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]),
    };
    let bytes: f64 = bytes;
    if bytes == 1.0 {
        return Ok(Value::from("1 Byte"));
    }
    if bytes < base {
        return Ok(Value::from(format!("{} Bytes", bytes.trunc() as i64)));
    }
    let mut unit_size = base;
    for (place, name) in units.iter().enumerate() {
        unit_size *= base;
        if bytes < unit_size || place + 1 == units.len() {
            return Ok(Value::from(format!(
                "{:.1} {name}",
                base * bytes / unit_size
            )));
        }
    }
    Ok(Value::from(""))
}

/// Percent encoding; of dictionaries and lists of pairs, `a=b&c=d`.
fn url_encode(value: &Value, given: &[Value]) -> Result<Value, Error> {
    bind("urlencode", given, [], 0)?;
    let pairs = match view(value) {
        Python::Dict => crate::value::pairs(value),
        Python::List | Python::Tuple => {
            let mut pairs = Vec::new();
            for item in iterate(value)? {
                match iterate(&item)?.as_slice() {
                    [key, value] => pairs.push((key.clone(), value.clone())),
                    _ => return Err(failure("urlencode expects pairs")),
                }
            }
            pairs
        }
        _ => return Ok(Value::from(percent_encoded(&string(value), "/"))),
    };
    let parts: Vec<String> = pairs
        .iter()
        .map(|(key, value)| {
            let (key, value) = (
                percent_encoded(&string(key), ""),
                percent_encoded(&string(value), ""),
            );
            format!("{key}={value}").replace("%20", "+")
        })
        .collect();
    Ok(Value::from(parts.join("&")))
}

fn percent_encoded(text: &str, also: &str) -> String {
    let mut made = String::new();
    for byte in text.bytes() {
        let one = char::from(byte);
        match byte.is_ascii_alphanumeric() || "_.-~".contains(one) || also.contains(one) {
            true => made.push(one),
            false => made.push_str(&format!("%{byte:02X}")),
        }
    }
    made
}
