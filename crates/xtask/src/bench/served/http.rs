//! A client of the served lab's HTTP: one connection that is kept, and streams of events.
//!
//! Small on purpose: what it costs is taken from the same cores as what is measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The longest that an answer, or an event, may be waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where a server is, and who asks.
#[derive(Clone, Debug)]
pub struct Site {
    pub address: SocketAddr,
    pub token: String,
}

impl Site {
    /// A connection of its own.
    pub fn connect(&self) -> Result<Client> {
        let stream = TcpStream::connect(self.address).context("connecting to the server")?;
        stream.set_nodelay(true).context("setting up a socket")?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .context("setting up a socket")?;
        Ok(Client {
            site: self.clone(),
            stream: BufReader::with_capacity(1 << 16, stream),
        })
    }
}

/// A connection that is kept from one request to the next.
pub struct Client {
    site: Site,
    stream: BufReader<TcpStream>,
}

/// What was answered.
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl Client {
    /// Asks for something; any status is an answer.
    pub fn ask(&mut self, method: &str, path: &str, kind: &str, body: &str) -> Result<Answer> {
        self.send(method, path, kind, body)?;
        self.answer()
            .with_context(|| format!("reading the answer to {method} {path}"))
    }

    /// Asks for something that must be there.
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        let answer = self.ask("GET", path, "application/json", "")?;
        ensure!(
            answer.status == 200,
            "GET {path}: {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        Ok(answer)
    }

    /// The same, as JSON.
    pub fn json(&mut self, path: &str) -> Result<Value> {
        let answer = self.get(path)?;
        serde_json::from_slice(&answer.body).with_context(|| format!("reading {path}"))
    }

    /// Submits a job; its number.
    pub fn submit(&mut self, job: &str) -> Result<i64> {
        let answer = self.ask("POST", "/api/v1/jobs", "application/yaml", job)?;
        ensure!(
            answer.status == 201,
            "the job was not taken: {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        let job: Value = serde_json::from_slice(&answer.body).context("reading a job")?;
        job["id"].as_i64().context("a job has no number")
    }

    fn send(&mut self, method: &str, path: &str, kind: &str, body: &str) -> Result<()> {
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            self.site.address,
            self.site.token,
            body.len()
        );
        self.stream
            .get_mut()
            .write_all(text.as_bytes())
            .with_context(|| format!("sending {method} {path}"))
    }

    fn head(&mut self) -> Result<(u16, String)> {
        let mut head = String::new();
        loop {
            let before = head.len();
            let read = self.stream.read_line(&mut head)?;
            ensure!(read > 0, "the server closed the connection");
            if head[before..].trim_end().is_empty() {
                break;
            }
        }
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.with_context(|| format!("{head:?} is no answer"))?;
        Ok((status, head))
    }

    fn answer(&mut self) -> Result<Answer> {
        let (status, head) = self.head()?;
        let mut body = Vec::new();
        if let Some(length) = header(&head, "content-length") {
            let length: usize = length.parse().context("reading an answer's length")?;
            body.resize(length, 0);
            self.stream.read_exact(&mut body)?;
        } else {
            ensure!(
                header(&head, "transfer-encoding") == Some("chunked"),
                "an answer has no length: {head}"
            );
            while self.chunk(&mut body)? {}
        }
        Ok(Answer { status, head, body })
    }

    /// Appends the next chunk (RFC 9112, section 7.1); `false` after the last one.
    fn chunk(&mut self, body: &mut Vec<u8>) -> Result<bool> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim_end(), 16)
            .with_context(|| format!("{line:?} is no length of a chunk"))?;
        let begin = body.len();
        body.resize(begin + length + 2, 0);
        self.stream.read_exact(&mut body[begin..])?;
        body.truncate(begin + length);
        Ok(length > 0)
    }

    /// Makes a stream of events of the connection.
    pub fn follow(mut self, path: &str) -> Result<Events> {
        self.send("GET", path, "application/json", "")?;
        let (status, head) = self.head()?;
        ensure!(status == 200, "GET {path}: {head}");
        Ok(Events {
            client: self,
            read: Vec::new(),
            at: 0,
        })
    }
}

/// Server-sent events (WHATWG HTML, section 9.2), as they come.
pub struct Events {
    client: Client,
    read: Vec<u8>,
    at: usize,
}

impl Events {
    /// The next event's name (empty for a plain one) and its data.
    pub fn next(&mut self) -> Result<(String, String)> {
        let (mut name, mut data) = (String::new(), String::new());
        let begun = Instant::now();
        loop {
            let line = self.line()?;
            // Heartbeats come for ever.
            ensure!(begun.elapsed() < PATIENCE, "no event came");
            if line.is_empty() {
                if !data.is_empty() {
                    return Ok((name, data));
                }
                name.clear();
            } else if let Some(text) = line.strip_prefix("data: ") {
                data.push_str(text);
            } else if let Some(text) = line.strip_prefix("event: ") {
                name = text.to_owned();
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        loop {
            let rest = &self.read[self.at..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&rest[..end]).into_owned();
                self.at += end + 1;
                return Ok(line);
            }
            self.read.drain(..self.at);
            self.at = 0;
            if !self.client.chunk(&mut self.read)? {
                bail!("the stream of events ended");
            }
        }
    }
}
