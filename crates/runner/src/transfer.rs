//! Bringing a file back from the board whole: over the network where the board can, else over the
//! console in checked lines; in both cases compared with what the board says it is.

use std::collections::BTreeMap;
use std::time::Duration;

use basalt_model::{Culprit, Failure, Part, Sha256};
use base64::Engine;
use sha2::Digest;
use tokio::time::Instant;

use crate::overlay::quote;
use crate::run::Run;

/// The largest file that is brought back, bytes.
pub(crate) const LARGEST: u64 = 16 << 20;

/// Bytes a line of `basalt-show`.
const LINE: u64 = 48;

/// Lines asked for at once; bounded by the shell's command line.
const LINES_A_REQUEST: usize = 50;

/// How many requests in a row may bring nothing new.
const FRUITLESS_REQUESTS: u32 = 20;

/// How long the host waits for an upload that the board says has arrived.
const ARRIVAL: Duration = Duration::from_secs(5);

/// A file that arrived whole.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What both sides agree on.
    pub sha256: Sha256,
    /// `tftp` or `console`.
    pub via: &'static str,
}

impl Run {
    /// Brings `file` from the board as `name`. `None` where the board has no such file.
    pub(crate) async fn fetch(
        &mut self,
        file: &str,
        name: &str,
        deadline: Instant,
    ) -> Result<Option<Arrived>, Failure> {
        let Some((size, expected)) = self.ask_size_and_sum(file, deadline).await? else {
            return Ok(None);
        };
        if size > LARGEST {
            return Err(Failure::new(
                Culprit::Test,
                "file-too-large",
                format!("{file} on the board has {size} bytes; at most {LARGEST} are brought back"),
            ));
        }
        if let Some(bytes) = self
            .fetch_by_network(file, name, expected, deadline)
            .await?
        {
            return Ok(Some(Arrived {
                bytes,
                sha256: expected,
                via: "tftp",
            }));
        }
        let bytes = self
            .fetch_by_console(file, size, expected, deadline)
            .await?;
        Ok(Some(Arrived {
            bytes,
            sha256: expected,
            via: "console",
        }))
    }

    /// Size and SHA-256 as the board computes them; asked again where a kernel message tore the
    /// answer.
    async fn ask_size_and_sum(
        &mut self,
        file: &str,
        deadline: Instant,
    ) -> Result<Option<(u64, Sha256)>, Failure> {
        let command = format!(
            "{}/bin/basalt-show {} sum",
            self.overlay_root(),
            quote(file)
        );
        for _ in 0..3 {
            self.session.file_lines.clear();
            let (code, _) = self.shell(&command, deadline).await?;
            if code != 0 {
                return Ok(None);
            }
            let answer = self
                .session
                .file_lines
                .iter()
                .filter(|(number, _)| *number == 0)
                .find_map(|(_, data)| data.split_once(' '));
            if let Some((size, sum)) = answer
                && let (Ok(size), Ok(sum)) = (size.parse(), sum.parse())
            {
                return Ok(Some((size, sum)));
            }
        }
        Err(self.session.failure(
            Culprit::Infrastructure,
            Some(Part::Console),
            "torn-answer",
            format!("the board's answer about {file} came torn three times"),
            None,
        ))
    }

    async fn fetch_by_network(
        &mut self,
        file: &str,
        name: &str,
        expected: Sha256,
        deadline: Instant,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let Some(roots) = &self.roots else {
            return Ok(None);
        };
        let (address, port, root) = roots.upload_target();
        let command = format!(
            "{}/bin/basalt-send {} {} {address} {port} {root}",
            self.overlay_root(),
            quote(file),
            quote(name),
        );
        let arrived = self.directory.file("uploads").join(name);
        for _ in 0..2 {
            let _ = std::fs::remove_file(&arrived);
            let (code, _) = self.shell(&command, deadline).await?;
            // 3: the board has no program for it.
            if code == 3 {
                return Ok(None);
            }
            if code != 0 {
                continue;
            }
            let until = deadline.min(Instant::now() + ARRIVAL);
            let there = |_: &crate::session::Session| arrived.exists();
            // The server renames an upload when it is whole; the board may be ahead of that.
            let _ = self.session.wait_briefly(until, there).await;
            match std::fs::read(&arrived) {
                Ok(bytes) if sha256(&bytes) == expected => return Ok(Some(bytes)),
                Ok(bytes) => self.log_warning(format!(
                    "{name} came over TFTP with {} bytes that are not what the board sent",
                    bytes.len()
                ))?,
                Err(error) => {
                    self.log_warning(format!("{name} did not arrive over TFTP: {error}"))?;
                }
            }
        }
        self.log_warning(format!(
            "{name} could not be brought over the network; trying the console"
        ))?;
        Ok(None)
    }

    async fn fetch_by_console(
        &mut self,
        file: &str,
        size: u64,
        expected: Sha256,
        deadline: Instant,
    ) -> Result<Vec<u8>, Failure> {
        let lines = size.div_ceil(LINE);
        let mut come: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let show = format!("{}/bin/basalt-show {}", self.overlay_root(), quote(file));
        // Kernel messages tear some lines: all are asked for once, then only what is missing.
        let mut command = show.clone();
        let mut fruitless = 0;
        while come.len() as u64 != lines && fruitless < FRUITLESS_REQUESTS {
            let before = come.len();
            self.session.file_lines.clear();
            self.shell(&command, deadline).await?;
            for (number, data) in std::mem::take(&mut self.session.file_lines) {
                if (1..=lines).contains(&number)
                    && let Some(bytes) = decode(&data)
                {
                    come.insert(number, bytes);
                }
            }
            fruitless = if come.len() > before {
                0
            } else {
                fruitless + 1
            };
            let missing = (1..=lines).filter(|number| !come.contains_key(number));
            // Twice, because messages that come regularly may tear the same line each time.
            let numbers: Vec<String> = missing
                .take(LINES_A_REQUEST)
                .flat_map(|number| [number, number])
                .map(|number| number.to_string())
                .collect();
            command = format!("{show} {}", numbers.join(" "));
        }
        let bytes: Vec<u8> = come.into_values().flatten().collect();
        if sha256(&bytes) == expected {
            return Ok(bytes);
        }
        Err(self.session.failure(
            Culprit::Infrastructure,
            Some(Part::Console),
            "transfer",
            format!("{file} could not be brought from the board: neither network nor console gave it whole"),
            None,
        ))
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

/// One line's data: base64, or `x` and hexadecimal digits.
fn decode(data: &str) -> Option<Vec<u8>> {
    if let Some(digits) = data.strip_prefix('x')
        && digits.len() % 2 == 0
        && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    {
        return (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok())
            .collect();
    }
    base64::engine::general_purpose::STANDARD.decode(data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_in_both_of_its_forms() {
        assert_eq!(decode("aGk=").unwrap(), b"hi");
        assert_eq!(decode("x6869").unwrap(), b"hi");
        assert!(decode("!").is_none());
    }
}
