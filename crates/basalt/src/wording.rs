//! Times, sizes and names as people read them.

use std::time::Duration;

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

/// `12 ms`, `12.3 s`, `2 min 05 s`, `1 h 02 min`: how long something took.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// `812 B`, `2.8 KiB`, `34.2 MiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
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
        assert_eq!(time(Duration::from_millis(412)), "412 ms");
        assert_eq!(time(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(time(Duration::from_secs(125)), "2 min 05 s");
        assert_eq!(time(Duration::from_secs(3_725)), "1 h 02 min");
        assert_eq!(bytes(812), "812 B");
        assert_eq!(bytes(35_861_299), "34.2 MiB");
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
