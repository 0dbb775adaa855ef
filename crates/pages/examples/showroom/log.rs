//! A log of 200 000 lines, one that grows, and a console that talks.

use std::time::Duration;

use axum::extract::{Path, Query};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use basalt_model::UtcMicros;
use basalt_pages::job::LogLine;
use futures::stream;
use serde::Deserialize;
use serde_json::json;

/// When the logs begin, before now.
const BEGAN_US: i64 = 214_000_000;
/// Lines of the long log.
pub const LONG: u64 = 200_000;
/// Lines of the log that grows, when it is first looked at.
pub const YOUNG: u64 = 320;

/// What boards say that no page should do.
const HOSTILE: [&str; 6] = [
    "\u{1b}[2J\u{1b}[1;1H<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\u{1b}]52;c;b3duZWQ=\u{7}the clipboard is not yours",
    "not UTF-8: \u{fffd}\u{fffd}\u{fffd}(",
    "\u{202e}sdrawkcab \u{1b}[8mhidden\u{1b}[0m",
    "10 %\r20 %\r30 %\u{8}\u{0}",
];

/// One line of any of them.
pub fn line(number: u64, began: i64) -> LogLine {
    let (level, text) = words(number);
    LogLine {
        number,
        at: UtcMicros(began + number as i64 * 1_007),
        level: level.into(),
        bytes: text.into_bytes(),
    }
}

fn words(number: u64) -> (&'static str, String) {
    let seconds = number as f64 * 0.001_007;
    match number {
        1 => ("info", "start: 1 tftp-deploy (timeout 00:05:00)".into()),
        2 => (
            "info",
            "start: 1.1.1 http-download (timeout 00:04:59)".into(),
        ),
        3 => (
            "debug",
            "fetched Image, 38 MB, in 0.4 s; sha256 5f1c…9ab2".into(),
        ),
        4 => (
            "info",
            "end: 1.1.1 http-download (duration 00:00:00)".into(),
        ),
        40..=45 => ("target", HOSTILE[(number - 40) as usize].into()),
        60 => (
            "input",
            "setenv bootargs 'console=ttyAMA0 root=/dev/nfs rw'".into(),
        ),
        61 => (
            "target",
            "=> setenv bootargs 'console=ttyAMA0 root=/dev/nfs rw'".into(),
        ),
        77 => ("warning", "the relay took 1.3 s to answer".into()),
        123_456 => (
            "error",
            "needle: latency 642 us on CPU 1 is above the limit".into(),
        ),
        n if n % 9_973 == 0 => ("info", format!("end: 3.{} lava-test-shell", n / 9_973)),
        n if n % 4_001 == 0 => ("results", format!("case latency-{n}: pass")),
        n if n % 17 == 0 => (
            "target",
            format!(
                "\u{1b}[32m[  OK  ]\u{1b}[0m Started \u{1b}[1mserv{n}.service\u{1b}[0m - A service of this board."
            ),
        ),
        n => (
            "target",
            format!(
                "[{seconds:12.6}] cyclictest[{}]: T:{} I:1000 C:{n:7} Min:      3 Act:{:5} Avg:    9 Max:      47",
                400 + n % 7,
                n % 4,
                n * 7919 % 43
            ),
        ),
    }
}

/// When the logs began.
pub fn began() -> i64 {
    super::now().0 - BEGAN_US
}

#[derive(Deserialize)]
pub struct Asked {
    from: Option<u64>,
    to: Option<u64>,
    level: Option<String>,
    q: Option<String>,
    format: Option<String>,
}

fn wire(line: &LogLine) -> String {
    json!({
        "number": line.number,
        "utc_us": line.at.0,
        "level": line.level,
        "text": String::from_utf8_lossy(&line.bytes),
    })
    .to_string()
}

pub async fn range(Path(run): Path<String>, Query(asked): Query<Asked>) -> Response {
    let last = if run.ends_with('1') {
        LONG
    } else {
        YOUNG + 100_000
    };
    let from = asked.from.unwrap_or(1).max(1);
    let to = asked.to.unwrap_or(last).min(last);
    let levels: Vec<&str> = asked
        .level
        .as_deref()
        .unwrap_or_default()
        .split(',')
        .filter(|one| !one.is_empty())
        .collect();
    let wanted = asked.q.unwrap_or_default().to_lowercase();
    let began = began();
    let chosen = (from..=to)
        .map(|number| line(number, began))
        .filter(|line| {
            (levels.is_empty() || levels.contains(&line.level.as_str()))
                && (wanted.is_empty()
                    || String::from_utf8_lossy(&line.bytes)
                        .to_lowercase()
                        .contains(&wanted))
        });
    if asked.format.as_deref() == Some("text") {
        let text: String = chosen
            .map(|line| String::from_utf8_lossy(&line.bytes).into_owned() + "\n")
            .collect();
        return ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response();
    }
    let lines: String = chosen.map(|line| wire(&line) + "\n").collect();
    ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
}

#[derive(Deserialize)]
pub struct Following {
    from: Option<u64>,
}

pub async fn follow(Query(following): Query<Following>) -> Response {
    let lines = stream::unfold(following.from.unwrap_or(1), |number| async move {
        tokio::time::sleep(Duration::from_millis(120)).await;
        let line = line(number, began());
        Some((
            format!("id: {number}\ndata: {}\n\n", wire(&line)).into(),
            number + 1,
        ))
    });
    super::event_stream(lines)
}

/// `U-Boot` again and again.
pub async fn console() -> Response {
    const SAYS: [&str; 4] = [
        "VS1Cb290IDIwMjMuMDEgKEphbiAwOSAyMDIzKQ0K",
        "DQpEUkFNOiAgMjU2IE1pQg0K",
        "G1szMm1Db3JlOiAgNDkgZGV2aWNlcxtbMG0NCg==",
        "SGl0IGFueSBrZXkgdG8gc3RvcCBhdXRvYm9vdDog",
    ];
    let chunks = stream::unfold(0usize, |at| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let chunk = json!({"utc_us": super::now().0, "bytes": SAYS[at % SAYS.len()]});
        Some((format!("data: {chunk}\n\n").into(), at + 1))
    });
    super::event_stream(chunks)
}
