//! The lab's clients: who submits, who follows the feed, who asks how jobs stand. All of them come
//! again until they are answered.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::case::PlannedJob;

/// A client hangs up after so long without a byte, and comes again.
const HANG_UP: Duration = Duration::from_secs(8);
/// Jobs are submitted so many strokes before theirs has come.
const AHEAD: usize = 4;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Where the server is, and what lets a client in.
#[derive(Clone)]
pub struct Access {
    pub address: SocketAddr,
    pub token: String,
}

impl Access {
    fn connect(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(HANG_UP))?;
        // HTTP/1.0: the body ends with the connection.
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        )?;
        Ok(stream)
    }

    /// Status and body of an answer that came whole.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> std::io::Result<(u16, Vec<u8>)> {
        let mut answer = Vec::new();
        self.connect(method, path, headers, body)?
            .read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.ok_or(ErrorKind::UnexpectedEof)?;
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let body = answer.split_off(end + 4);
        if length.is_some_and(|length: usize| length != body.len()) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok((status.ok_or(ErrorKind::InvalidData)?, body))
    }

    /// Asks for something that is there.
    pub fn get(&self, path: &str) -> std::io::Result<Value> {
        let (status, body) = self.ask("GET", path, "", "")?;
        let json = serde_json::from_slice(&body);
        match (status, json) {
            (200, Ok(value)) => Ok(value),
            (status, _) => Err(std::io::Error::other(format!(
                "{path}: {status} {}",
                String::from_utf8_lossy(&body)
            ))),
        }
    }
}

/// What the threads of a case share.
#[derive(Default)]
pub struct Shared {
    /// Everybody goes home.
    pub stop: AtomicBool,
    /// Numbers of jobs, in the order of the case.
    pub ids: Mutex<Vec<Option<i64>>>,
    /// Strokes dealt so far.
    pub strokes: AtomicUsize,
    /// The feed, as a listener saw it that came again after each break.
    pub feed: Mutex<Vec<(i64, Value)>>,
    /// What was wrong with it.
    pub feed_wrong: Mutex<Vec<String>>,
    /// How often it was taken up again.
    pub feed_breaks: AtomicUsize,
    /// How jobs stand.
    pub standing: Mutex<Option<Standing>>,
}

/// How jobs stood a moment ago.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Jobs that are not finished.
    pub active: usize,
    /// The most runs that one of them has had.
    pub attempts: u64,
    /// Asked after so many jobs had been submitted.
    pub submitted: usize,
}

/// Sends everybody home when it goes, so that a failure is not waited for.
pub struct GoHome<'s>(pub &'s Shared);

impl Drop for GoHome<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The jobs that were submitted, in the order of the case.
    pub fn numbers(&self) -> Vec<i64> {
        let ids = self.ids.lock().unwrap();
        ids.iter().flatten().copied().collect()
    }

    pub fn submitted(&self) -> usize {
        self.numbers().len()
    }

    pub fn feed_count(&self) -> u64 {
        self.feed.lock().unwrap().len() as u64
    }
}

/// Submits every `step`-th job from `first` on. Not all at once: some wait for strokes, so that
/// there is work as long as there are strokes.
pub fn submit(
    shared: &Shared,
    access: &Access,
    jobs: &[PlannedJob],
    (first, step): (usize, usize),
    strokes: usize,
) {
    for number in (first..jobs.len()).step_by(step) {
        let strokes = number * strokes / jobs.len();
        while shared.strokes.load(Ordering::Relaxed) < strokes.saturating_sub(AHEAD)
            && !shared.is_over()
        {
            std::thread::sleep(PAUSE);
        }
        let Some(id) = submit_one(shared, access, &jobs[number]) else {
            return;
        };
        shared.ids.lock().unwrap()[number] = Some(id);
        if number % 3 == 0 {
            // Somebody whose answer was lost.
            let Some(again) = submit_one(shared, access, &jobs[number]) else {
                return;
            };
            assert_eq!(again, id, "one key, two jobs");
        }
    }
}

fn submit_one(shared: &Shared, access: &Access, job: &PlannedJob) -> Option<i64> {
    let headers = format!(
        "Content-Type: application/yaml\r\nIdempotency-Key: {}\r\n",
        job.key
    );
    while !shared.is_over() {
        match access.ask("POST", "/api/v1/jobs", &headers, &job.text) {
            Ok((200 | 201, body)) => {
                let value: Value = serde_json::from_slice(&body).unwrap();
                return Some(value["id"].as_i64().unwrap());
            }
            Ok((status, body)) => {
                let text = String::from_utf8_lossy(&body);
                assert!(status >= 500, "{}: {status} {text}", job.name);
            }
            Err(_) => {}
        }
        std::thread::sleep(PAUSE);
    }
    None
}

/// Asks how jobs stand, again and again.
pub fn watch(shared: &Shared, access: &Access) {
    while !shared.is_over() {
        let submitted = shared.submitted();
        if let Ok(jobs) = access.get("/api/v1/jobs?state=active&limit=500") {
            let jobs = jobs["items"].as_array().unwrap();
            let attempts = jobs.iter().filter_map(|job| job["attempts"].as_u64()).max();
            *shared.standing.lock().unwrap() = Some(Standing {
                active: jobs.len(),
                attempts: attempts.unwrap_or(0),
                submitted,
            });
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Follows the feed from its beginning, and takes it up again after each break from the last entry
/// that it has seen.
pub fn follow(shared: &Shared, access: &Access) {
    let mut last = 0;
    while !shared.is_over() {
        // It ends by breaking off; whatever was seen before stands.
        let _ = follow_once(shared, access, &mut last);
        shared.feed_breaks.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(PAUSE);
    }
}

fn follow_once(shared: &Shared, access: &Access, last: &mut i64) -> std::io::Result<()> {
    let headers = format!("Last-Event-ID: {last}\r\n");
    let stream = access.connect("GET", "/api/v1/events", &headers, "")?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    let (mut id, mut name, mut data) = (None, None, None);
    let mut heard = Instant::now();
    let mut is_head = true;
    while !shared.is_over() {
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if !line.ends_with(b"\n") => break,
            Ok(_) => heard = Instant::now(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // Quiet ones beat every 15 s.
                if heard.elapsed() > Duration::from_secs(40) {
                    break;
                }
                continue;
            }
            Err(error) => return Err(error),
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        if is_head {
            is_head = !text.is_empty();
            continue;
        }
        if let Some(rest) = text.strip_prefix("id: ") {
            id = rest.parse::<i64>().ok();
        } else if let Some(rest) = text.strip_prefix("event: ") {
            name = Some(rest.to_owned());
        } else if let Some(rest) = text.strip_prefix("data: ") {
            data = serde_json::from_str::<Value>(rest).ok();
        } else if text.is_empty() {
            let wrong = |text: String| shared.feed_wrong.lock().unwrap().push(text);
            if let Some(name) = name.take() {
                wrong(format!("after {last} came the event {name}"));
            }
            if let Some(data) = data.take() {
                if id != Some(*last + 1) {
                    wrong(format!("after {last} came {id:?}"));
                }
                shared.feed.lock().unwrap().push((id.unwrap_or(-1), data));
            } else if id.is_some_and(|id| id != *last) {
                wrong(format!("at {last} it was moved on to {id:?}"));
            }
            *last = id.unwrap_or(*last);
        }
    }
    Ok(())
}
