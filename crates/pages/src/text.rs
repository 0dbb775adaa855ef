//! Numbers and times as people read them. `text.ts` says the same of what arrives later; both are
//! held to `web/islands/text.cases.json`.

use basalt_model::UtcMicros;
use basalt_realtime::Percentile;
use jiff::Timestamp;

/// A number of things, owned or borrowed: templates hand over references.
pub trait Quantity {
    /// The number.
    fn quantity(&self) -> u64;
}

impl Quantity for u64 {
    fn quantity(&self) -> u64 {
        *self
    }
}

impl Quantity for u32 {
    fn quantity(&self) -> u64 {
        u64::from(*self)
    }
}

impl Quantity for usize {
    fn quantity(&self) -> u64 {
        *self as u64
    }
}

impl<T: Quantity> Quantity for &T {
    fn quantity(&self) -> u64 {
        T::quantity(self)
    }
}

/// A moment, owned or borrowed.
pub trait Moment {
    /// The moment.
    fn moment(&self) -> UtcMicros;
}

impl Moment for UtcMicros {
    fn moment(&self) -> UtcMicros {
        *self
    }
}

impl<T: Moment> Moment for &T {
    fn moment(&self) -> UtcMicros {
        T::moment(self)
    }
}

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Groups of three digits are parted by a narrow blank that no line breaks at.
const NARROW: char = '\u{202f}';

fn timestamp(at: UtcMicros) -> Timestamp {
    // What no calendar holds was not written by a clock; its border stands for it.
    Timestamp::from_microsecond(at.0).unwrap_or(if at.0 < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// `2025-11-23 12:13:20 UTC`.
pub fn absolute(at: impl Moment) -> String {
    timestamp(at.moment())
        .strftime("%Y-%m-%d %H:%M:%S UTC")
        .to_string()
}

/// `2025-11-23T12:13:20Z`, whole seconds.
pub fn rfc3339(at: UtcMicros) -> String {
    timestamp(at).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `23 Nov, 12:13`.
pub fn short_date(at: UtcMicros) -> String {
    timestamp(at).strftime("%-d %b, %H:%M").to_string()
}

/// `12:13:20.042`, for lines of a log.
pub fn clock_time(at: UtcMicros) -> String {
    timestamp(at).strftime("%H:%M:%S%.3f").to_string()
}

/// How long ago: `now`, `12 s ago`, `3 min ago`, `2 h ago`, `4 d ago`; beyond thirty days the day.
pub fn ago(then: UtcMicros, now: UtcMicros) -> String {
    match now.0.saturating_sub(then.0) {
        past if past < 2 * SECOND => "now".into(),
        past if past < MINUTE => format!("{} s ago", past / SECOND),
        past if past < HOUR => format!("{} min ago", past / MINUTE),
        past if past < DAY => format!("{} h ago", past / HOUR),
        past if past < 30 * DAY => format!("{} d ago", past / DAY),
        _ => timestamp(then).strftime("%-d %b %Y").to_string(),
    }
}

/// A duration: `340 ms`, `4.2 s`, `42 s`, `3 min 05 s`, `2 h 07 min`, `3 d 4 h`.
pub fn duration_ms(ms: impl Quantity) -> String {
    let ms = ms.quantity();
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..10 => format!("{}.{} s", seconds, ms % 1000 / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The time from one moment to another.
pub fn between(from: UtcMicros, to: UtcMicros) -> String {
    duration_ms(to.0.saturating_sub(from.0).max(0) as u64 / 1000)
}

/// A number with its digits in groups of three.
pub fn count(number: impl Quantity) -> String {
    let digits = number.quantity().to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(NARROW);
        }
        grouped.push(digit);
    }
    grouped
}

/// A number and its noun: `1 board`, `3 boards`.
pub fn counted(number: impl Quantity, one: &str, many: &str) -> String {
    let number = number.quantity();
    match number {
        1 => format!("1 {one}"),
        _ => format!("{} {many}", count(number)),
    }
}

/// A size: `812 B`, `4.1 kB`, `12 MB`; decimal prefixes.
pub fn bytes(number: impl Quantity) -> String {
    let number = number.quantity();
    let mut value = number as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            return match unit {
                "B" => format!("{number} B"),
                _ if value < 9.95 => format!("{value:.1} {unit}"),
                _ => format!("{value:.0} {unit}"),
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// A latency in microseconds.
pub fn micros(latency: impl Quantity) -> String {
    format!("{} µs", count(latency))
}

/// A percentile: `18 µs`; `≥ 800 µs` where it lies beyond the histogram; a dash where there is none.
pub fn percentile(value: Option<Percentile>) -> String {
    match value {
        Some(Percentile::Exact(latency)) => micros(latency),
        Some(Percentile::AtLeast(latency)) => format!("≥ {}", micros(latency)),
        None => "–".into(),
    }
}

/// A measured number without needless digits.
pub fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        let sign = if value < 0.0 { "−" } else { "" };
        return format!("{sign}{}", count(value.abs() as u64));
    }
    let digits = match value.abs() {
        size if size >= 100.0 => 1,
        size if size >= 1.0 => 2,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    text.trim_end_matches('0')
        .trim_end_matches('.')
        .replace('-', "−")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Cases {
        ago: Vec<(i64, String)>,
        duration_ms: Vec<(u64, String)>,
        count: Vec<(u64, String)>,
        bytes: Vec<(u64, String)>,
    }

    #[test]
    fn numbers_read_as_the_shared_cases_say() {
        let cases: Cases =
            serde_json::from_str(include_str!("../../../web/islands/text.cases.json")).unwrap();
        for (seconds, wanted) in cases.ago {
            let now = UtcMicros(1_763_900_000_000_000);
            assert_eq!(ago(UtcMicros(now.0 - seconds * SECOND), now), wanted);
        }
        for (ms, wanted) in cases.duration_ms {
            assert_eq!(duration_ms(ms), wanted);
        }
        for (number, wanted) in cases.count {
            assert_eq!(count(number), wanted);
        }
        for (number, wanted) in cases.bytes {
            assert_eq!(bytes(number), wanted);
        }
    }

    #[test]
    fn measured_numbers_have_no_needless_digits() {
        assert_eq!(number(12.0), "12");
        assert_eq!(number(12.3456), "12.35");
        assert_eq!(number(-0.5), "−0.5");
        assert_eq!(number(1234.56), "1234.6");
    }

    #[test]
    fn a_percentile_beyond_the_histogram_says_at_least() {
        assert_eq!(percentile(Some(Percentile::AtLeast(800))), "≥ 800 µs");
        assert_eq!(percentile(None), "–");
    }
}
