//! Times, sizes and names as people read them.

use std::time::Duration;

pub use basalt_report::wording::{bytes, time};

/// `0:03.2`, `12:00.0`, `1:02:03.4`: a time since the run began.
pub fn clock(time: Duration) -> String {
    let tenths = time.as_millis() / 100;
    let (minutes, tenths) = (tenths / 600, tenths % 600);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let seconds = format!("{:02}.{}", tenths / 10, tenths % 10);
    match hours {
        0 => format!("{minutes}:{seconds}"),
        _ => format!("{hours}:{minutes:02}:{seconds}"),
    }
}

/// A job's name as part of a directory's: small letters, digits and single dashes, at most 40.
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
        if slug.len() >= 40 {
            break;
        }
    }
    match slug.trim_end_matches('-') {
        "" => "job".to_owned(),
        slug => slug.to_owned(),
    }
}

/// Who uses a board: the verb, and the user where one is known.
pub fn who(verb: &str) -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    match user {
        Some(user) => format!("{verb} ({user})"),
        None => format!("{verb} (user {})", rustix::process::getuid().as_raw()),
    }
}

/// A UTC time: `2026-01-31 12:34:56`.
pub fn utc(time: basalt_model::UtcMicros) -> String {
    match jiff::Timestamp::from_microsecond(time.0) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => "an unknown time".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_say_them() {
        assert_eq!(clock(Duration::from_millis(3_249)), "0:03.2");
        assert_eq!(clock(Duration::from_secs(3_723)), "1:02:03.0");
        assert_eq!(utc(basalt_model::UtcMicros(0)), "1970-01-01 00:00:00 UTC");
    }

    #[test]
    fn a_slug_is_a_tame_file_name() {
        assert_eq!(slug("realtime arm64 rt"), "realtime-arm64-rt");
        assert_eq!(slug("../../etc/passwd"), "etc-passwd");
        assert_eq!(slug("ÄÖ"), "job");
        assert!(slug(&"x ".repeat(100)).len() <= 40);
    }
}
