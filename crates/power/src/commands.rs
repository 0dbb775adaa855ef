//! Power by commands of the lab's files, as LAVA's dictionaries write them (`power_on_command`).
//!
//! Each is a program and its arguments, run without a shell, standard input from nowhere; success
//! is exit status 0. There is no way to read the outlet back.

use std::ops::RangeInclusive;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

use crate::driver::Fault;

/// The last characters of what a failed command said, quoted in the fault.
const QUOTED: usize = 300;

/// Commands that switch one outlet.
pub(crate) struct CommandRelay {
    on: Vec<Vec<String>>,
    off: Vec<Vec<String>>,
}

impl CommandRelay {
    pub(crate) fn new(on: Vec<Vec<String>>, off: Vec<Vec<String>>) -> Self {
        Self { on, off }
    }

    pub(crate) fn outlets(&self) -> RangeInclusive<u32> {
        1..=1
    }

    /// Runs the commands one after another; what is not done by `bound` is killed.
    pub(crate) async fn switch(&mut self, on: bool, bound: Duration) -> Result<(), Fault> {
        let deadline = Instant::now() + bound;
        for words in if on { &self.on } else { &self.off } {
            run(words, deadline).await?;
        }
        Ok(())
    }
}

async fn run(words: &[String], deadline: Instant) -> Result<(), Fault> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Fault::refused("a command is empty", false));
    };
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Fault::refused(format!("{program} cannot be started: {error}"), false))?;
    let output = timeout_at(deadline, child.wait_with_output())
        .await
        .map_err(|_| Fault::unreachable(format!("{program} did not end in time")))?
        .map_err(|error| Fault::unreachable(format!("waiting for {program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = match output.stderr.trim_ascii().is_empty() {
        true => output.stdout,
        false => output.stderr,
    };
    let said = String::from_utf8_lossy(&said);
    let said = said.trim_end();
    let cut = said.chars().count().saturating_sub(QUOTED);
    let said: String = said
        .chars()
        .skip(cut)
        .flat_map(char::escape_debug)
        .collect();
    Err(Fault::refused(
        format!("{program}: {}: {said}", output.status),
        true,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    #[tokio::test]
    async fn commands_run_in_their_order_and_without_a_shell() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a $(false) b");
        let path = file.to_string_lossy().into_owned();
        let mut relay = CommandRelay::new(
            vec![words(&["touch", &path]), words(&["test", "-e", &path])],
            vec![words(&["rm", &path])],
        );
        let bound = Duration::from_secs(60);
        relay.switch(true, bound).await.unwrap();
        assert!(file.exists());
        relay.switch(false, bound).await.unwrap();
        assert!(!file.exists());
        let fault = relay.switch(false, bound).await.unwrap_err();
        assert!(fault.text.contains("No such file"), "{fault:?}");
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_killed() {
        let mut relay = CommandRelay::new(vec![words(&["sleep", "600"])], Vec::new());
        let fault = relay
            .switch(true, Duration::from_millis(50))
            .await
            .unwrap_err();
        assert!(fault.text.contains("did not end"), "{fault:?}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let mut relay = CommandRelay::new(vec![words(&["/no/such/program"])], Vec::new());
        let fault = relay
            .switch(true, Duration::from_secs(60))
            .await
            .unwrap_err();
        assert!(fault.text.contains("/no/such/program"), "{fault:?}");
        assert!(!fault.again);
    }
}
