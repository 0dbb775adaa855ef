//! A log of a million lines, from the link over sealing to every reader, in a process of its own
//! whose memory is measured (decision D14).

use std::fmt::Write as _;
use std::process::Command;

use basalt_api::NewToken;
use basalt_link::{Down, LogBatch, Up};
use basalt_model::{Outcome, RunId, UserName, UtcMicros};
use basalt_report::joblog::{BatchWriter, Line, LogLevel};
use basalt_server::Actor;
use futures::StreamExt;
use sha2::{Digest, Sha256};

use super::site::Process;
use super::{Disk, Script, Site};

/// Set for the process that is measured.
const MEASURED: &str = "BASALT_TEST_LARGE_LOG";
const NAME: &str = "dispatching::large_log::a_log_of_a_million_lines_is_never_in_memory_whole";

const LINES: u64 = 1_000_000;
/// As many lines as fit into a frame of the link.
const BATCH: u64 = 400;
/// Every so many lines, one is an error.
const ERROR_EVERY: u64 = 100_000;
/// What is searched for stands in one line.
const NEEDLE_AT: u64 = 654_321;
/// How much more memory may be in use at any moment than before: databases' caches, what is being
/// sealed, what is on its way, and what the allocator keeps. The log itself has more than twice as
/// many bytes, and four times as many as lines in memory.
const MOST_BYTES: u64 = 40 << 20;

#[test]
fn a_log_of_a_million_lines_is_never_in_memory_whole() {
    if std::env::var_os(MEASURED).is_some() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(measured());
    }
    // Other tests of this process have memory of their own.
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(MEASURED, "1")
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
    println!("{said}");
    assert!(ended.status.success());
    assert!(said.contains("the console: "), "nothing was measured");
}

async fn measured() {
    let mut site = Site::new();
    site.tcp = true;
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let job = server.submit().await;
    let run = script.take(&mut disk).await;
    disk.runs.get_mut(&run).unwrap().begin_without_lines();
    script.send_all(&disk, run).await;
    let new = NewToken {
        label: "test".into(),
        user: Some(UserName::new("admin")),
        expires_utc_us: None,
    };
    let token = server.app.create_token(&Actor::System, &new).await.unwrap();
    let reader = Reader::new(&server, run, token.secret);
    reader.read("", "a log without lines").await;

    let memory = Memory::begin();
    let console = send(&mut script, run).await;
    memory.check("intake");
    let on_disk = disk.runs.get_mut(&run).unwrap();
    on_disk.end(Outcome::Pass, None);
    let known = script.known[&run].events;
    for events in disk.runs[&run].events_after(known, 10) {
        script.sender.events(events).await.unwrap();
    }
    let all = disk.runs[&run].events.len() as u64;
    script
        .hear_until("the acknowledgement of its end", |down| {
            matches!(down, Down::Ack { events_seq, .. } if *events_seq == all).then_some(())
        })
        .await;
    script.say_ended(&mut disk, run).await;
    assert_eq!(server.job(job).await.outcome, Some(Outcome::Pass));
    let mut sealed = 0;
    loop {
        let report = server.app.store.seal(&[run], server.app.now()).await;
        let report = report.unwrap();
        sealed += report.batches;
        if !report.more {
            break;
        }
    }
    assert!(sealed > 0, "upkeep sealed all of it before");
    memory.check("sealing");

    let json = reader.read("", "all lines as JSON").await;
    assert_eq!(json.lines, LINES);
    assert!(
        json.last.contains(&format!("\"number\":{LINES},")),
        "{}",
        json.last
    );
    memory.check("all lines as JSON");
    let text = reader.read("?format=text", "all lines as text").await;
    assert_eq!(text.lines, LINES);
    memory.check("all lines as text");
    let errors = reader.read("?level=error", "errors").await;
    assert_eq!(errors.lines, LINES / ERROR_EVERY);
    let found = reader.read("?q=NEEDLE", "a text").await;
    assert_eq!(found.lines, 1);
    let number = format!("\"number\":{NEEDLE_AT},");
    assert!(found.last.contains(&number), "{}", found.last);
    let end = reader.read("?from=-50", "the end").await;
    assert_eq!(end.lines, 50);
    assert!(
        end.last.contains(&format!("\"number\":{LINES},")),
        "{}",
        end.last
    );
    let middle = reader.read("?from=500001&limit=10", "the middle").await;
    assert_eq!(middle.lines, 10);
    memory.check("levels, search, end and middle");
    assert!(
        reader.console().await == console,
        "other bytes than the board sent"
    );
    memory.check("the console");
    server.stop().await;
}

fn text_of(number: u64, text: &mut String) -> LogLevel {
    text.clear();
    let level = match number % ERROR_EVERY {
        0 => LogLevel::Error,
        _ => LogLevel::Target,
    };
    let word = if number == NEEDLE_AT {
        "needle"
    } else {
        "straw"
    };
    let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "[{:12.6}] cpu{} irq/{}: {word} {noise:016x} of the board that talks and talks and talks\r\n",
        number as f64 / 1000.0,
        number % 8,
        noise % 512,
    );
    level
}

/// Sends all lines as fast as they are taken; the digest of what the board said.
async fn send(script: &mut Script, run: RunId) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut acknowledged = 0;
    let mut text = String::new();
    let mut batch = BatchWriter::new();
    for from_line in (1..=LINES).step_by(BATCH as usize) {
        let count = BATCH.min(LINES + 1 - from_line);
        for number in from_line..from_line + count {
            let level = text_of(number, &mut text);
            if level == LogLevel::Target {
                digest.update(&text);
            }
            batch.push(Line {
                number,
                utc: UtcMicros(1_800_000_000_000_000 + number as i64),
                level,
                text: text.as_bytes(),
            });
        }
        let lines = LogBatch {
            run,
            from_line,
            count: count as u32,
            cursor: Some(serde_json::json!({ "line": from_line + count })),
            batch: batch.take().into(),
        };
        // Acknowledgements give credit back: both sides go on at once.
        let sender = script.sender.clone();
        let sending = sender.log(lines);
        tokio::pin!(sending);
        loop {
            tokio::select! {
                sent = sending.as_mut() => break sent.unwrap(),
                heard = script.receiver.next() => hear(heard.unwrap(), &mut acknowledged),
            }
        }
    }
    while acknowledged < LINES {
        hear(script.receiver.next().await.unwrap(), &mut acknowledged);
    }
    script.say(Up::Heartbeat { number: 1 }).await;
    digest.finalize().into()
}

fn hear(down: Option<Down>, acknowledged: &mut u64) {
    if let Down::Ack { log_line, .. } = down.expect("the server ended the link") {
        *acknowledged = log_line;
    }
}

/// The most memory that this process had in use, as the kernel counts it (proc(5)).
struct Memory {
    before: u64,
}

impl Memory {
    /// Counts anew.
    fn begin() -> Self {
        let before = status("VmRSS:");
        let memory = Self { before };
        memory.reset();
        memory
    }

    fn reset(&self) {
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
    }

    fn check(&self, what: &str) {
        let more = status("VmHWM:").saturating_sub(self.before);
        println!("{what}: {} KiB more than before", more >> 10);
        assert!(more < MOST_BYTES, "{what} took {} KiB", more >> 10);
        self.reset();
    }
}

fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<u64>().unwrap() << 10
}

/// Reads over HTTP as a client does that keeps nothing.
struct Reader {
    client: reqwest::Client,
    url: String,
    token: String,
}

#[derive(Default)]
struct Read {
    lines: u64,
    /// The last whole line.
    last: String,
}

impl Reader {
    fn new(server: &Process, run: RunId, token: String) -> Self {
        // Fails only if another test was first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
        Self {
            client: client.build().unwrap(),
            url: format!("{}/api/v1/runs/{run}", server.url),
            token,
        }
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        let request = self.client.get(format!("{}{path}", self.url));
        let response = request.bearer_auth(&self.token).send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {response:?}");
        response
    }

    async fn read(&self, query: &str, what: &str) -> Read {
        let mut pieces = self.get(&format!("/log{query}")).await.bytes_stream();
        let mut read = Read::default();
        let mut line = Vec::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.unwrap_or_else(|error| panic!("{what}: {error}"));
            for part in piece.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(part);
                if line.ends_with(b"\n") {
                    read.lines += 1;
                    read.last = String::from_utf8_lossy(&line).into_owned();
                    line.clear();
                }
            }
        }
        assert!(line.is_empty(), "{what} ends in the middle of a line");
        read
    }

    async fn console(&self) -> [u8; 32] {
        let mut pieces = self.get("/console").await.bytes_stream();
        let mut digest = Sha256::new();
        while let Some(piece) = pieces.next().await {
            digest.update(piece.unwrap());
        }
        digest.finalize().into()
    }
}
