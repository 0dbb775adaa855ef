//! Values of Python's types that JSON lacks.

use std::fmt;
use std::sync::Arc;

use crate::Node;
use crate::number::Wrong;

/// A value that a job or a device may hold, and that none of their keys wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Foreign {
    /// A whole number that does not fit into 64 bits, in decimal digits with its sign.
    BigInt(Arc<str>),
    /// `2001-12-14`.
    Date(Date),
    /// `2001-12-14 21:59:43`.
    DateTime(DateTime),
    /// `!!binary`.
    Binary(Arc<[u8]>),
    /// `!!set`: each item once, in order.
    Set(Vec<Node>),
    /// `!!omap` and `!!pairs`, which PyYAML reads alike: a list of pairs.
    Pairs(Vec<(Node, Node)>),
}

impl Foreign {
    /// What it is, with its article.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BigInt(_) => "a number of more than 64 bits",
            Self::Date(_) => "a date",
            Self::DateTime(_) => "a date with its time",
            Self::Binary(_) => "binary data",
            Self::Set(_) => "a set",
            Self::Pairs(_) => "a list of pairs",
        }
    }
}

/// A day of the Gregorian calendar, of the years 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Date {
    /// From 1 to 9999.
    pub year: u16,
    /// From 1 to 12.
    pub month: u8,
    /// From 1.
    pub day: u8,
}

/// A day and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// The day.
    pub date: Date,
    /// From 0 to 23.
    pub hour: u8,
    /// From 0 to 59.
    pub minute: u8,
    /// From 0 to 59.
    pub second: u8,
    /// From 0 to 999 999.
    pub microsecond: u32,
    /// How far ahead of UTC its place is, in minutes; None where that is not said.
    pub offset_minutes: Option<i32>,
}

/// As Python's `isoformat()`.
impl fmt::Display for Date {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// As Python's `isoformat()`.
impl fmt::Display for DateTime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = (self.hour, self.minute, self.second);
        write!(out, "{}T{hour:02}:{minute:02}:{second:02}", self.date)?;
        if self.microsecond > 0 {
            write!(out, ".{:06}", self.microsecond)?;
        }
        if let Some(offset) = self.offset_minutes {
            let sign = if offset < 0 { '-' } else { '+' };
            let offset = offset.abs();
            write!(out, "{sign}{:02}:{:02}", offset / 60, offset % 60)?;
        }
        Ok(())
    }
}

impl Date {
    /// Days since 0000-03-01, for comparing.
    fn days(self) -> i64 {
        let (year, month) = (i64::from(self.year), i64::from(self.month));
        // Years begin in March, so that the leap day is the last.
        let (year, month) = if month > 2 {
            (year, month - 3)
        } else {
            (year - 1, month + 9)
        };
        365 * year + year / 4 - year / 100
            + year / 400
            + (153 * month + 2) / 5
            + i64::from(self.day)
            - 1
    }
}

impl DateTime {
    /// Microseconds since some moment, in UTC where the offset is known: what Python compares.
    pub(crate) fn moment(&self) -> i64 {
        let minutes = i64::from(self.hour) * 60 + i64::from(self.minute)
            - i64::from(self.offset_minutes.unwrap_or(0));
        let seconds = (self.date.days() * 1440 + minutes) * 60 + i64::from(self.second);
        seconds * 1_000_000 + i64::from(self.microsecond)
    }
}

const NO_TIMESTAMP: Wrong = "it is no date and no time";

/// The value of a scalar of the type `!!timestamp`, as PyYAML's `construct_yaml_timestamp`.
pub(crate) fn timestamp(text: &str) -> Result<Foreign, Wrong> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let mut rest = line;
    let year = digits(&mut rest, 4, 4).ok_or(NO_TIMESTAMP)?;
    let month = after(&mut rest, '-', 1).ok_or(NO_TIMESTAMP)?;
    let day = after(&mut rest, '-', 1).ok_or(NO_TIMESTAMP)?;
    let date = date(year, month, day)?;
    if rest.is_empty() {
        return Ok(Foreign::Date(date));
    }
    let blanks = |rest: &str| rest.len() - rest.trim_start_matches([' ', '\t']).len();
    rest = match rest.strip_prefix(['T', 't']) {
        Some(rest) => rest,
        None if blanks(rest) > 0 => &rest[blanks(rest)..],
        None => return Err(NO_TIMESTAMP),
    };
    let hour = digits(&mut rest, 1, 2).ok_or(NO_TIMESTAMP)?;
    let minute = after(&mut rest, ':', 2).ok_or(NO_TIMESTAMP)?;
    let second = after(&mut rest, ':', 2).ok_or(NO_TIMESTAMP)?;
    let mut microsecond = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        let fraction = &fraction[..fraction.len() - rest.len()];
        for place in 0..6 {
            let digit = fraction.as_bytes().get(place).map_or(0, |byte| byte - b'0');
            microsecond = microsecond * 10 + u32::from(digit);
        }
    }
    let mut offset_minutes = None;
    if !rest.is_empty() {
        rest = &rest[blanks(rest)..];
        offset_minutes = Some(offset(rest)?);
    }
    if hour > 23 || minute > 59 || second > 59 {
        return Err("there is no such time");
    }
    let byte = |number: u32| u8::try_from(number).unwrap_or_default();
    Ok(Foreign::DateTime(DateTime {
        date,
        hour: byte(hour),
        minute: byte(minute),
        second: byte(second),
        microsecond,
        offset_minutes,
    }))
}

fn offset(text: &str) -> Result<i32, Wrong> {
    if text == "Z" {
        return Ok(0);
    }
    let sign = match text.as_bytes().first() {
        Some(b'-') => -1,
        Some(b'+') => 1,
        _ => return Err(NO_TIMESTAMP),
    };
    let mut rest = &text[1..];
    let hours = digits(&mut rest, 1, 2).ok_or(NO_TIMESTAMP)?;
    let minutes = if rest.is_empty() {
        0
    } else {
        after(&mut rest, ':', 2).ok_or(NO_TIMESTAMP)?
    };
    if !rest.is_empty() {
        return Err(NO_TIMESTAMP);
    }
    let offset = hours * 60 + minutes;
    if offset >= 1440 {
        return Err("no place is a day ahead of UTC");
    }
    Ok(sign * i32::try_from(offset).unwrap_or_default())
}

fn date(year: u32, month: u32, day: u32) -> Result<Date, Wrong> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    if year == 0 || day == 0 || day > days {
        return Err("there is no such date");
    }
    Ok(Date {
        year: u16::try_from(year).unwrap_or_default(),
        month: u8::try_from(month).unwrap_or_default(),
        day: u8::try_from(day).unwrap_or_default(),
    })
}

/// Reads digits off the beginning.
fn digits(rest: &mut &str, fewest: usize, most: usize) -> Option<u32> {
    let count = rest
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    let (number, after) = rest.split_at(count);
    *rest = after;
    (count >= fewest).then(|| number.parse().ok()).flatten()
}

/// A sign, and up to two digits.
fn after(rest: &mut &str, sign: char, fewest: usize) -> Option<u32> {
    *rest = rest.strip_prefix(sign)?;
    digits(rest, fewest, 2)
}

/// Python's `base64.decodebytes`, which passes over what is no base64.
pub(crate) fn base64(text: &str) -> Result<Vec<u8>, Wrong> {
    if !text.is_ascii() {
        return Err("base64 is written in ASCII");
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut filled, mut pads) = (0_u32, 0, 0);
    for byte in text.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                if filled >= 2 {
                    pads += 1;
                    if filled + pads >= 4 {
                        return Ok(bytes);
                    }
                }
                continue;
            }
            _ => continue,
        };
        pads = 0;
        bits = (bits << 6) | u32::from(six);
        filled = (filled + 1) % 4;
        // Eight of the bits are new whenever a second, third or fourth character came.
        let shift = match filled {
            2 => 4,
            3 => 2,
            0 => 0,
            _ => continue,
        };
        bytes.push((bits >> shift).to_le_bytes()[0]);
    }
    match filled {
        0 => Ok(bytes),
        1 => Err("one character of base64 is left over"),
        _ => Err("the `=` at the end of the base64 are missing"),
    }
}
