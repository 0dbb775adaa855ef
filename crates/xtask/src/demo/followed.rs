//! A job as whoever submitted it sees it: `basalt submit --follow --json`, line by line, whatever
//! happens to the server meanwhile.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::process;

/// How long the client may take to end once its output has.
const END: Duration = Duration::from_secs(30);

/// A line of a job's log, as the server gives it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Line {
    /// From 1, without holes.
    pub number: u64,
    /// When the dispatcher wrote its event or read its first byte.
    pub utc_us: i64,
    /// `target` for what the board said.
    pub level: String,
    pub text: String,
    /// The exact bytes, where `text` is not.
    #[serde(default)]
    pub bytes: Option<String>,
}

/// What comes from the client.
pub enum Said {
    Line(Line),
    /// All that comes after the log: the finished job as JSON, unless something went wrong.
    Rest(String),
}

/// A client that follows.
pub struct Followed {
    child: Child,
}

impl Followed {
    /// Starts the client and hands what it says to `heard`, with the job's place among the others.
    /// What it says to people goes to the file `errors`.
    pub fn start(
        command: &mut Command,
        errors: &Path,
        place: usize,
        heard: Sender<(usize, Said)>,
    ) -> Result<Self> {
        let errors =
            File::create(errors).with_context(|| format!("making {}", errors.display()))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .context("basalt submit cannot be started")?;
        let output = child.stdout.take().context("a child has the pipe it got")?;
        std::thread::spawn(move || read(output, &mut |said| heard.send((place, said)).is_ok()));
        Ok(Self { child })
    }

    /// The exit code, once the output has ended.
    pub fn code(&mut self) -> Result<Option<i32>> {
        match process::wait(&mut self.child, END)? {
            Some(status) => Ok(status.code()),
            None => bail!("basalt submit closed its output and does not end"),
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        // It has ended already, unless something went wrong.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(output: impl Read, heard: &mut dyn FnMut(Said) -> bool) {
    let mut output = BufReader::new(output);
    let mut text = String::new();
    // An output that breaks off ends the log; that the job is missing is seen by whoever wants it.
    while output.read_line(&mut text).is_ok_and(|count| count > 0) {
        match serde_json::from_str(&text) {
            Ok(line) => {
                if !heard(Said::Line(line)) {
                    return;
                }
                text.clear();
            }
            Err(_) => {
                let _ = output.read_to_string(&mut text);
                break;
            }
        }
    }
    heard(Said::Rest(text));
}

/// The finished job at the end of what the client said.
pub fn finished(rest: &str) -> Result<Value> {
    serde_json::from_str(rest).with_context(|| {
        let said: String = rest.chars().take(200).collect();
        format!("the client ended without the finished job: {said:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_one_by_one_and_the_job_as_the_rest() {
        let output = "{\"number\":1,\"utc_us\":5,\"level\":\"target\",\"text\":\"a\",\"bytes\":\"YQ==\"}\n\
                      {\"number\":2,\"utc_us\":6,\"level\":\"info\",\"text\":\"b\"}\n\
                      {\n  \"id\": 7\n}\n";
        let (mut lines, mut rest) = (Vec::new(), Vec::new());
        read(output.as_bytes(), &mut |said| {
            match said {
                Said::Line(line) => lines.push(line),
                Said::Rest(text) => rest.push(text),
            }
            true
        });
        assert_eq!(
            lines.iter().map(|line| line.number).collect::<Vec<_>>(),
            [1, 2]
        );
        assert_eq!(lines[0].bytes.as_deref(), Some("YQ=="));
        assert_eq!(rest.len(), 1);
        assert_eq!(finished(&rest[0]).unwrap()["id"], 7);
        assert!(finished("").is_err());
    }
}
