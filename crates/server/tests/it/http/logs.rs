//! Logs over HTTP: ranges, bytes, and following through breaks.

use basalt_api::{LogEnd, LogLine};
use basalt_report::joblog::LogLevel;
use reqwest::StatusCode;

use super::{Seeded, Site, problem};

async fn lines(site: &Site, seeded: &Seeded, query: &str) -> Vec<LogLine> {
    let path = format!("/api/v1/runs/{}/log{query}", seeded.run);
    let answer = site.get(&path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{query}");
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let text = answer.text().await.unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn numbers(lines: &[LogLine]) -> Vec<u64> {
    lines.iter().map(|line| line.number).collect()
}

const HOSTILE: &[u8] = b"\x1b]52;c;aGFjaw==\x07<script>alert(1)</script>\xff\xfe\x00\x9b2J";

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_found_by_range_level_and_text() {
    let site = Site::start().await;
    let seeded = site.seed().await;
    seeded.say_numbered(10).await;
    seeded
        .say(&[
            (LogLevel::Info, b"booting"),
            (LogLevel::Target, b"Kernel PANIC\r\n"),
            (LogLevel::Error, b"the kernel panicked"),
        ])
        .await;
    assert_eq!(lines(&site, &seeded, "").await.len(), 13);
    let some = lines(&site, &seeded, "?from=3&to=5").await;
    assert_eq!(numbers(&some), [3, 4, 5]);
    assert_eq!(some[0].text, "[         3] line");
    assert_eq!(some[0].bytes, None);
    let last = lines(&site, &seeded, "?from=-2").await;
    assert_eq!(numbers(&last), [12, 13]);
    let own = lines(&site, &seeded, "?level=info,error").await;
    assert_eq!(numbers(&own), [11, 13]);
    let found = lines(&site, &seeded, "?q=panic").await;
    assert_eq!(numbers(&found), [12, 13]);
    let found = lines(&site, &seeded, "?q=panic&level=target").await;
    assert_eq!(numbers(&found), [12]);
    let few = lines(&site, &seeded, "?q=line&limit=4").await;
    assert_eq!(numbers(&few), [1, 2, 3, 4]);
    assert!(lines(&site, &seeded, "?from=14").await.is_empty());
    // The same by the job.
    let path = format!("/api/v1/jobs/{}/log?from=13", seeded.job);
    let text = site.get(&path).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("the kernel panicked"), "{text}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_board_says_harms_no_reader_and_is_there_byte_for_byte() {
    let site = Site::start().await;
    let seeded = site.seed().await;
    let hostile = [HOSTILE, b"\r\n"].concat();
    seeded
        .say(&[
            (LogLevel::Target, &hostile),
            (LogLevel::Info, b"between"),
            (LogLevel::Target, b"login: "),
        ])
        .await;
    let console = site.get(&format!("/api/v1/runs/{}/console", seeded.run));
    let console = console.send().await.unwrap();
    let headers = console.headers().clone();
    assert_eq!(headers["content-type"], "application/octet-stream");
    assert!(
        headers["content-disposition"]
            .to_str()
            .unwrap()
            .starts_with("attachment")
    );
    let bytes = console.bytes().await.unwrap();
    assert_eq!(bytes, [&hostile[..], b"login: "].concat());

    let text = site.get(&format!("/api/v1/runs/{}/log?format=text", seeded.run));
    let text = text.send().await.unwrap();
    assert_eq!(text.headers()["content-type"], "text/plain; charset=utf-8");
    let text = text.text().await.unwrap();
    let is_plain = |one: char| one == '\n' || !one.is_control();
    assert!(text.chars().all(is_plain), "{text:?}");

    let json = site.get(&format!("/api/v1/runs/{}/log?to=1", seeded.run));
    let json = json.send().await.unwrap().text().await.unwrap();
    assert!(!json.trim_end().contains(|one: char| one.is_control()));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_sent_in_pieces_to_its_end() {
    let site = Site::start().await;
    let seeded = site.seed().await;
    for _ in 0..12 {
        seeded.say_numbered(2000).await;
    }
    let all = lines(&site, &seeded, "").await;
    assert_eq!(numbers(&all), (1..=24_000).collect::<Vec<_>>());
    let few = lines(&site, &seeded, "?q=23999").await;
    assert_eq!(numbers(&few), [23_999]);
    site.stop().await;
}

/// Lines are committed while a follower reads, breaks off at odd moments, and comes again with the
/// last id that it has seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_breaks_off_again_and_again_misses_nothing_and_gets_nothing_twice() {
    let site = Site::start().await;
    let seeded = site.seed().await;
    let writer = tokio::spawn({
        let seeded = seeded.clone();
        async move {
            for count in (0..150).map(|step| 1 + step * 7 % 23) {
                seeded.say_numbered(count).await;
            }
            seeded.end().await;
        }
    });
    let path = format!("/api/v1/runs/{}/log/stream", seeded.run);
    let mut seen = Vec::new();
    let mut last: Option<String> = None;
    let end = 'end: loop {
        let mut stream = site.stream(&path, last.as_deref()).await;
        // Another number of events each time, one at least.
        let most = 1 + seen.len() % 97;
        for _ in 0..most {
            let Some(event) = stream.next().await else {
                break;
            };
            if event.name.as_deref() == Some("end") {
                break 'end event;
            }
            let line: LogLine = serde_json::from_str(&event.data).unwrap();
            assert_eq!(event.id, Some(line.number.to_string()));
            seen.push(line.number);
        }
        last = stream.last_id.clone().or(last);
    };
    writer.await.unwrap();
    let end: LogEnd = serde_json::from_str(&end.data).unwrap();
    assert_eq!(seen, (1..=end.lines).collect::<Vec<_>>());
    let all = lines(&site, &seeded, "").await;
    assert_eq!(all.len() as u64, end.lines);
    // Who comes after the end gets the rest and the end, at once.
    let mut late = site.stream(&path, Some(&(end.lines - 1).to_string())).await;
    let line = late.next().await.unwrap();
    assert_eq!(line.id, Some(end.lines.to_string()));
    assert_eq!(late.next().await.unwrap().name.as_deref(), Some("end"));
    assert_eq!(late.next().await, None);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_is_heard_over_its_runs() {
    let site = Site::start().await;
    let first = site.seed().await;
    let mut heard = site
        .stream("/api/v1/boards/board-1/console/stream", None)
        .await;
    first.say(&[(LogLevel::Target, b"one\r\n")]).await;
    let chunk = heard.next().await.unwrap();
    assert_eq!(bytes_of(&chunk.data), b"one\r\n");
    first.end().await;
    let second = site.seed().await;
    second.say(&[(LogLevel::Target, b"two\r\n")]).await;
    let chunk = heard.next().await.unwrap();
    assert_eq!(bytes_of(&chunk.data), b"two\r\n");
    // Taken up again it goes on behind what was heard.
    let last = heard.last_id.clone();
    drop(heard);
    second.say(&[(LogLevel::Target, b"three\r\n")]).await;
    let path = "/api/v1/boards/board-1/console/stream";
    let mut again = site.stream(path, last.as_deref()).await;
    let chunk = again.next().await.unwrap();
    assert_eq!(bytes_of(&chunk.data), b"three\r\n");
    let nobody = site.get("/api/v1/boards/board-9/console/stream");
    problem(nobody.send().await.unwrap(), StatusCode::NOT_FOUND).await;
    site.stop().await;
}

fn bytes_of(data: &str) -> Vec<u8> {
    use base64::Engine;
    let chunk: basalt_api::ConsoleChunk = serde_json::from_str(data).unwrap();
    base64::engine::general_purpose::STANDARD
        .decode(chunk.bytes)
        .unwrap()
}
