//! Durations in the project's own files: `10s`, `400us`, `1h30m`.

use std::time::Duration;

/// The units, largest first, in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// A number stands alone.
    #[error("a unit is missing (d, h, m, s, ms, us, ns)")]
    NoUnit,
    /// Not numbers and units.
    #[error("a duration is a whole number and a unit (d, h, m, s, ms, us, ns), as in 10s or 1h30m")]
    Malformed,
    /// `30m1h`, `1s1s`.
    #[error("the units of a duration go from large to small, each once")]
    Order,
    /// More than 584 years.
    #[error("the duration is too long")]
    TooLong,
}

/// Reads `10s`, `400us`, `1h30m`, `2d`: whole numbers with units, larger units first.
///
/// # Errors
/// Anything else, a number without a unit included.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text;
    let mut nanos: u64 = 0;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.len()
            - tail
                .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let (unit, tail) = tail.split_at(letters);
        if number.is_empty() {
            return Err(DurationError::Malformed);
        }
        if unit.is_empty() {
            let alone = tail.is_empty();
            return Err(if alone {
                DurationError::NoUnit
            } else {
                DurationError::Malformed
            });
        }
        if !UNITS.iter().any(|(name, _)| *name == unit) {
            return Err(DurationError::Malformed);
        }
        let Some((_, factor)) = units.find(|(name, _)| *name == unit) else {
            return Err(DurationError::Order);
        };
        nanos = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*factor))
            .and_then(|part| nanos.checked_add(part))
            .ok_or(DurationError::TooLong)?;
        rest = tail;
    }
    if text.is_empty() {
        return Err(DurationError::Malformed);
    }
    Ok(Duration::from_nanos(nanos))
}

/// Writes a duration in the fewest units that [`parse_duration`] reads back: `90s` as `1m30s`.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, factor) in UNITS {
        let factor = u128::from(factor);
        if rest >= factor {
            text.push_str(&format!("{}{name}", rest / factor));
            rest %= factor;
        }
    }
    text
}
