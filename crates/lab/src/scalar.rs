//! Single values as they stand in a lab's files, each read by the type that is expected there.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use basalt_yaml::{Diagnostics, Field, Span, closest};

use crate::placeholder;

/// A value and where it stands.
pub(crate) type Placed<T> = (T, Span);

/// The name of a board, relay or type. It becomes a part of paths and of commands.
pub(crate) fn name(field: Field<'_>) -> Option<Placed<String>> {
    field.spanned(|field| {
        field.parsed("a name such as qemu-1", |text| {
            let good = text.len() <= 63
                && text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
            if good {
                Ok(text.to_owned())
            } else {
                Err(
                    "letters, digits, `-`, `_` and `.`, at most 63, a letter or digit first"
                        .to_owned(),
                )
            }
        })
    })
}

/// The name of a lab: `[a-z0-9][a-z0-9-]*`.
pub(crate) fn lab_name(field: Field<'_>) -> Option<String> {
    field.parsed("a name such as munich-2", |text| {
        let good = text.len() <= 63
            && !text.starts_with('-')
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if good {
            Ok(text.to_owned())
        } else {
            Err("lower-case letters, digits and `-`, at most 63, no `-` first".to_owned())
        }
    })
}

/// A MAC address of one board, given back in lower case.
pub(crate) fn mac(field: Field<'_>) -> Option<Placed<String>> {
    field.spanned(|field| {
        field.parsed("a MAC address such as 52:54:00:12:34:56", |text| {
            let bytes: Option<Vec<u8>> = text
                .split(':')
                .map(|part| {
                    let two_digits =
                        part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
                    two_digits
                        .then(|| u8::from_str_radix(part, 16).ok())
                        .flatten()
                })
                .collect();
            match bytes.as_deref() {
                Some([first, ..]) if first & 1 == 1 => {
                    Err("the first byte is odd: this is a group's address, no board's".to_owned())
                }
                Some([_, _, _, _, _, _]) => Ok(text.to_ascii_lowercase()),
                _ => Err(String::new()),
            }
        })
    })
}

/// `10.77.0.10/24`.
pub(crate) fn address_with_prefix(field: Field<'_>) -> Option<Placed<(Ipv4Addr, u8)>> {
    field.spanned(|field| {
        field.parsed(
            "an address with its network's prefix, such as 10.77.0.10/24",
            |text| {
                let (address, prefix) = text
                    .split_once('/')
                    .ok_or_else(|| format!("add the prefix: {text}/24"))?;
                let address: Ipv4Addr = address.parse().map_err(|_| String::new())?;
                match prefix.parse::<u8>() {
                    Ok(prefix @ 1..=32) => Ok((address, prefix)),
                    _ => Err("the prefix is a number of bits from 1 to 32".to_owned()),
                }
            },
        )
    })
}

/// `10.77.0.1`.
pub(crate) fn address(field: Field<'_>) -> Option<Ipv4Addr> {
    field.parsed("an IPv4 address such as 10.77.0.1", |text| {
        text.parse().map_err(|_| String::new())
    })
}

/// `HOST:PORT`; an IPv6 address stands in brackets.
pub(crate) fn host_and_port(field: Field<'_>) -> Option<(String, u16)> {
    field.parsed("a host and a port, such as 10.77.0.1:7001", |text| {
        let (host, port) = text.rsplit_once(':').ok_or("the port is missing")?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if !is_host(host) {
            return Err(String::new());
        }
        match port.parse() {
            Ok(port @ 1..) => Ok((host.to_owned(), port)),
            _ => Err("the port is a number from 1 to 65535".to_owned()),
        }
    })
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'))
}

/// `http://host[:port]`, given back without a slash at its end.
pub(crate) fn http_url(field: Field<'_>) -> Option<String> {
    field.parsed("a URL such as http://10.77.0.1:8081", |text| {
        let rest = text
            .strip_prefix("http://")
            .ok_or("it starts with http://; relays of this kind speak nothing else")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err("host and port only; the rest is the driver's".to_owned());
        }
        if rest.contains('@') {
            return Err("user and password go into `credentials`".to_owned());
        }
        let host = match rest.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok_and(|port| port > 0) => host,
            Some(_) => return Err("the port is a number from 1 to 65535".to_owned()),
            None => rest,
        };
        if is_host(host) {
            Ok(format!("http://{rest}"))
        } else {
            Err(String::new())
        }
    })
}

/// An absolute path of the dispatcher's host.
pub(crate) fn path(field: Field<'_>) -> Option<PathBuf> {
    field.parsed("an absolute path", |text| {
        if text.starts_with('/') {
            Ok(PathBuf::from(text))
        } else {
            Err("it starts with `/`".to_owned())
        }
    })
}

/// A regular expression that compiles and matches more than nothing.
pub(crate) fn pattern(field: Field<'_>) -> Option<String> {
    field.parsed("a regular expression", |text| {
        match regex::Regex::new(text) {
            Ok(pattern) if pattern.is_match("") => {
                Err("it matches the empty text, so that it would always match".to_owned())
            }
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(last_line(&error.to_string())),
        }
    })
}

/// The regex crate draws the mistake over several lines and says it in the last.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// A number in hexadecimal as U-Boot takes it, kept as it is written: `0x40400000`.
pub(crate) fn hex(field: Field<'_>) -> Option<Placed<String>> {
    field.spanned(|field| {
        field.parsed(
            "an address in hexadecimal, such as 0x40400000",
            |text| match text.strip_prefix("0x") {
                Some(digits) if u64::from_str_radix(digits, 16).is_ok() => Ok(text.to_owned()),
                Some(_) => Err(String::new()),
                None => Err("it starts with 0x".to_owned()),
            },
        )
    })
}

/// A line for the boot loader or kernel; its placeholders must be known.
pub(crate) fn template(field: Field<'_>) -> Option<String> {
    field.parsed("one line with known placeholders", |text| {
        if text.contains('\n') {
            return Err("a line break in it would be typed as one".to_owned());
        }
        let unknown = placeholder::names(text)
            .into_iter()
            .find(|name| !placeholder::is_known(name));
        let Some(name) = unknown else {
            return Ok(text.to_owned());
        };
        let known = placeholder::BY_RUNNER
            .into_iter()
            .chain(placeholder::BY_PLAN);
        Err(match closest(name, known) {
            Some(meant) => format!("nothing stands for `{{{name}}}`; did you mean `{{{meant}}}`?"),
            None => format!("nothing stands for `{{{name}}}`"),
        })
    })
}

/// `FILE:LINE:COLUMN` of a place in another file.
pub(crate) fn place(span: Span, diagnostics: &Diagnostics) -> String {
    let file = diagnostics.file_name(span.source).unwrap_or("?");
    format!("{file}:{}:{}", span.line, span.column)
}

/// What to do about a name that does not exist.
pub(crate) fn suggestion<'n>(name: &str, existing: impl Iterator<Item = &'n str>) -> String {
    let existing: Vec<&str> = existing.collect();
    match closest(name, existing.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if existing.is_empty() => "there are none".to_owned(),
        None => format!("there are: {}", existing.join(", ")),
    }
}
