//! A board that talks all the time: into the store, to a listener, and its log opened afterwards.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::http::Client;
use super::rack_time::Mark;
use super::{LONGEST, Lab, job_of, small_job};
use crate::bench::{Options, Row, median};

const LINES: u64 = 250_000;
/// What the board says: as long as lines of kernels are.
const SAYS: &str = "awk 'BEGIN { for (i = 0; i < 250000; i++) printf \"line %06d of a board that talks as fast as its serial port lets it talk\\n\", i }'";
/// The same with pauses: about a thousand lines a second.
const MUTTERS: &str = "awk 'BEGIN { for (i = 0; i < 2000; i++) { printf \"line %06d of a board that talks now and then, as boards do\\n\", i; if (i % 10 == 9) { fflush(); system(\"usleep 10000\") } } }'";

/// Intake without a listener, delay with one, and what it takes to look at the log.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let lab = Lab::start(options, "serve-chatter", 1)?;
    lab.perform(&small_job(), 3)?;
    let job = job_of("talks", &[SAYS]);
    let (mut rates, mut net_rates, mut cpus) = (Vec::new(), Vec::new(), Vec::new());
    let (mut servers, mut dispatchers, mut keepers) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = 0;
    for _ in 0..options.runs.min(3) {
        let intake = intake(&lab, &job)?;
        rates.push(intake.lines as f64 / intake.wall_s);
        net_rates.push(intake.lines as f64 / intake.net_s);
        let each = |seconds: f64| seconds * 1e6 / intake.lines as f64;
        cpus.push(each(intake.cpu.basalt()));
        servers.push(each(intake.cpu.server));
        dispatchers.push(each(intake.cpu.dispatcher));
        keepers.push(each(intake.cpu.keeper));
        last = intake.job;
    }
    let fast = delays(&lab, &job)?;
    let slow = delays(&lab, &job_of("mutters", &[MUTTERS]))?;
    let mut rows = vec![
        Row::median("chatty board: lines a second into the store", &rates, ""),
        Row::median(
            "chatty board: lines a second, less others' CPU time",
            &net_rates,
            "",
        )
        .at_least(200_000.0),
        Row::median("chatty board: CPU a line", &cpus, "us").aimed(3.0),
        Row::median("chatty board: CPU a line, server", &servers, "us"),
        Row::median("chatty board: CPU a line, dispatcher", &dispatchers, "us"),
        Row::median("chatty board: CPU a line, keeper", &keepers, "us"),
        Row::median(
            "delay to a listener, 1000 lines a second, median",
            &slow,
            "ms",
        ),
        Row::once(
            "delay to a listener, 1000 lines a second, p99",
            p99(&slow),
            "ms",
        ),
        Row::median("delay to a listener, at full speed, median", &fast, "ms"),
        Row::once("delay to a listener, at full speed, p99", p99(&fast), "ms"),
    ];
    rows.extend(opened(&mut lab.connect()?, last, options)?);
    Ok(rows)
}

/// The value that one in a hundred is above.
pub fn p99(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

struct Intake {
    job: i64,
    lines: u64,
    /// From the board's first line to the last one's commit.
    wall_s: f64,
    /// The same, less the others' part of the cores.
    net_s: f64,
    cpu: super::usage::Cpu,
}

/// How many lines of a job's log are stored; 0 before it has a run.
fn stored(client: &mut Client, job: i64) -> Result<u64> {
    let path = format!("/api/v1/jobs/{job}/log?from=1&to=1");
    let answer = client.ask("GET", &path, "application/json", "")?;
    if answer.status == 404 {
        return Ok(0);
    }
    let lines = answer
        .header("basalt-log-lines")
        .context("an answer does not say how many lines there are")?;
    lines.parse().context("reading a number of lines")
}

fn intake(lab: &Lab, job: &str) -> Result<Intake> {
    let mut client = lab.connect()?;
    let mut jobs = lab.listen()?;
    let id = client.submit(job)?;
    let wait = |client: &mut Client, more_than: u64| -> Result<u64> {
        let begun = Instant::now();
        loop {
            let lines = stored(client, id)?;
            if lines > more_than {
                return Ok(lines);
            }
            ensure!(begun.elapsed() < LONGEST, "job {id} has {lines} lines");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    // A boot has fewer lines than this, so the board is talking.
    let from = wait(&mut client, 2000)?;
    let (before, begun) = (lab.processes().cpu()?, Instant::now());
    let to = wait(&mut client, LINES)?;
    let (after, wall_s) = (lab.processes().cpu()?, begun.elapsed().as_secs_f64());
    jobs.finished()?;
    let cpu = after.since(&before);
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    Ok(Intake {
        job: id,
        lines: to - from,
        wall_s,
        net_s: wall_s - cpu.others() / cores,
        cpu,
    })
}

/// Milliseconds from the rack's writing a line to a listener's having it, for every line.
fn delays(lab: &Lab, job: &str) -> Result<Vec<f64>> {
    let mut client = lab.connect()?;
    let mut jobs = lab.listen()?;
    let mark = lab.mark()?;
    let id = client.submit(job)?;
    jobs.reached("running")?;
    let mut events = lab
        .connect()?
        .follow(&format!("/api/v1/jobs/{id}/log/stream"))?;
    let mut heard: HashMap<String, i64> = HashMap::new();
    loop {
        let (name, data) = events.next()?;
        if name == "end" {
            break;
        }
        if let Some(number) = number(&data) {
            heard.insert(number.to_owned(), now_us()?);
        }
    }
    jobs.finished()?;
    let said = said(&mark)?;
    let delays: Vec<f64> = said
        .iter()
        .filter_map(|(number, at)| Some((heard.get(number)? - at) as f64 / 1e3))
        .collect();
    ensure!(
        !delays.is_empty() && delays.len() == said.len(),
        "{} of {} lines were heard",
        delays.len(),
        said.len()
    );
    Ok(delays)
}

/// The number in a line `line NNNNNN of a board`.
fn number(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("line ")?;
    let number = rest.get(..6)?;
    let is_one = number.bytes().all(|byte| byte.is_ascii_digit()) && rest[6..].starts_with(" of");
    is_one.then_some(number)
}

fn now_us() -> Result<i64> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .context("reading the clock")?;
    i64::try_from(now.as_micros()).context("reading the clock")
}

/// When the rack had written the end of each numbered line.
fn said(mark: &Mark) -> Result<Vec<(String, i64)>> {
    let mut said = Vec::new();
    let mut line: Vec<u8> = Vec::new();
    mark.lines(|event: Value| {
        let (Some("tx"), Some(bytes), Some(at)) = (
            event["ev"].as_str(),
            event["b64"].as_str(),
            event["t_us"].as_i64(),
        ) else {
            return;
        };
        for byte in STANDARD.decode(bytes).unwrap_or_default() {
            line.push(byte);
            if byte == b'\n' {
                let text = String::from_utf8_lossy(&line);
                if text.starts_with("line ")
                    && let Some(number) = number(&text)
                {
                    said.push((number.to_owned(), at));
                }
                line.clear();
            }
        }
    })?;
    Ok(said)
}

/// What a viewer asks for when it opens the log, and the whole of it.
fn opened(client: &mut Client, job: i64, options: &Options) -> Result<Vec<Row>> {
    let mut time = |path: &str| -> Result<(Vec<f64>, usize)> {
        let (mut samples, mut bytes) = (Vec::new(), 0);
        for _ in 0..options.runs {
            let begun = Instant::now();
            bytes = client.get(path)?.body.len();
            samples.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        Ok((samples, bytes))
    };
    let (health, _) = time("/healthz")?;
    let base = format!("/api/v1/jobs/{job}");
    let (end, _) = time(&format!("{base}/log?from=-500"))?;
    let (middle, _) = time(&format!("{base}/log?from=125000&to=125499"))?;
    let (text, bytes) = time(&format!("{base}/log?format=text"))?;
    let (search, _) = time(&format!("{base}/log?q=line+249999"))?;
    ensure!(bytes as u64 > LINES * 60, "the whole log has {bytes} bytes");
    let copy = copied(bytes);
    let against = |row: Row, yardstick: &str, by: &[f64]| {
        let ratio = row.value / median(by);
        row.against(yardstick, ratio)
    };
    let health_is = "an answer of /healthz";
    Ok(vec![
        against(
            Row::median("250 000-line log: its last 500 lines", &end, "ms"),
            health_is,
            &health,
        ),
        against(
            Row::median("250 000-line log: 500 lines in its middle", &middle, "ms"),
            health_is,
            &health,
        ),
        against(
            Row::median("250 000-line log: all of it as text", &text, "ms"),
            "copying the bytes over a socket",
            &copy,
        ),
        against(
            Row::median("250 000-line log: searched for a word", &search, "ms"),
            "all of it as text",
            &text,
        ),
    ])
}

/// Milliseconds that so many bytes take over a socket and nothing else.
fn copied(bytes: usize) -> Vec<f64> {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    let copy = || -> std::io::Result<f64> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let text = vec![b'x'; bytes];
        let begun = Instant::now();
        let writer = std::thread::spawn(move || -> std::io::Result<()> {
            TcpStream::connect(address)?.write_all(&text)
        });
        let mut read = Vec::with_capacity(bytes);
        listener.accept()?.0.read_to_end(&mut read)?;
        let _ = writer.join();
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    };
    (0..5).filter_map(|_| copy().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbered_lines_count() {
        assert_eq!(number("line 000017 of a board that"), Some("000017"));
        assert_eq!(number("{\"text\":\"line 123456 of\"}"), Some("123456"));
        assert_eq!(number("line %06d of a board"), None);
        assert_eq!(number("a line"), None);
    }

    #[test]
    fn one_in_a_hundred_is_above() {
        let samples: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(p99(&samples), 198.0);
        assert_eq!(p99(&[7.0]), 7.0);
    }
}
