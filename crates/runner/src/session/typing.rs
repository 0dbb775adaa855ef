//! Typing at a board, and running commands at its shell.

use std::time::Duration;

use basalt_console::Pattern;
use basalt_console::client::RequestError;
use basalt_console::protocol::Refusal;
use basalt_console::session::SessionError;
use basalt_model::EventBody;
use tokio::time::Instant;

use super::{CONSOLE_GRACE, Interruption, KEEPER_PATIENCE, Session, chain};

/// How long an answer may take after bytes of the console were lost before it counts as one of them.
const AFTER_GAP: Duration = Duration::from_secs(3);

/// The slowest serial port takes so long for a character.
const CHARACTER_TIME: Duration = Duration::from_millis(2);

/// Ends what stands unfinished at a shell's prompt, and what runs in its foreground.
const INTERRUPT: &str = "\x03";

/// How long a command may be silent before its answer is asked for again; doubled each time.
const ANSWER_QUIET: Duration = Duration::from_secs(2);

/// How often a command is typed where its answer is lost.
const COMMAND_TRIES: u32 = 4;

/// How often a command is typed at a shell of which nobody knows what it does.
const ANEW_TRIES: u32 = 3;

/// Time that passes without a look at the clock counts as so much.
const LOOK: Duration = Duration::from_millis(500);

/// Waits for something for so long, not counting that this process itself stood still: what came
/// meanwhile is still to be read then.
async fn awake_within<T>(limit: Duration, awaited: impl Future<Output = T>) -> Option<T> {
    let mut awaited = std::pin::pin!(awaited);
    let mut left = limit;
    while !left.is_zero() {
        let look = left.min(LOOK);
        if let Ok(come) = tokio::time::timeout(look, awaited.as_mut()).await {
            return Some(come);
        }
        left -= look;
    }
    None
}

impl Session {
    /// Types at the console.
    pub async fn type_text(&mut self, text: &str) -> Result<(), Interruption> {
        self.recorder.record(EventBody::Input {
            text: text.to_owned(),
        })?;
        let characters = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let limit =
            CONSOLE_GRACE + (self.character_delay + CHARACTER_TIME).saturating_mul(characters);
        match awake_within(limit, self.type_when_open(text)).await {
            Some(Err(Interruption::ConsoleGone(why))) => self.gone_or_asleep(why).await,
            Some(typed) => typed,
            None => {
                let why = format!(
                    "it did not take {characters} characters within {} s",
                    limit.as_secs()
                );
                self.gone_or_asleep(why).await
            }
        }
    }

    /// What could not be typed was not, or nobody knows how much of it was, because the keeper stood
    /// still.
    async fn gone_or_asleep(&mut self, why: String) -> Result<(), Interruption> {
        let gaps = self.gaps;
        self.wake_keeper().await;
        match self.gaps == gaps {
            true => Err(Interruption::ConsoleGone(why)),
            false => Err(Interruption::KeeperLost),
        }
    }

    /// Types as soon as the way to the console is open; it may be closed for a moment.
    async fn type_when_open(&mut self, text: &str) -> Result<(), Interruption> {
        let until = Instant::now() + CONSOLE_GRACE;
        loop {
            let write = self.console.write(text.as_bytes(), self.character_delay);
            let Err(error) = write.await else {
                return Ok(());
            };
            let SessionError::Request { source, .. } = &error else {
                return Err(Interruption::ConsoleGone(chain(&error)));
            };
            match source {
                // Nothing was typed.
                RequestError::Refused(Refusal::Down { .. }) if Instant::now() < until => {
                    match self.console.wait_open(until).await {
                        Ok(()) => {}
                        Err(down) => return Err(Interruption::ConsoleGone(chain(&down))),
                    }
                }
                RequestError::Gone | RequestError::Refused(Refusal::Lost { .. }) => {
                    tracing::warn!(error = %chain(&error), "typing was cut short");
                    return Err(Interruption::KeeperLost);
                }
                _ => return Err(Interruption::ConsoleGone(chain(&error))),
            }
        }
    }

    /// Runs a command at the board's shell: its exit code and what it printed (with the echo of
    /// the command where the shell echoes). Where bytes of the console were lost and the answer
    /// with them, the command is typed again: commands must bear being run twice.
    pub async fn command(
        &mut self,
        command: &str,
        deadline: Instant,
    ) -> Result<(i32, String), Interruption> {
        for again in 0..COMMAND_TRIES {
            if again > 0 {
                self.clear_line().await?;
            }
            if let Some(answer) = self.command_once(command, deadline).await? {
                return Ok(answer);
            }
        }
        Err(Interruption::ConsoleGone(
            "it loses the answers of the board's shell".into(),
        ))
    }

    /// As [`Session::command`], at a shell that somebody else may have left in the middle of a line
    /// or of a command. Given up after `patience`.
    pub async fn command_anew(
        &mut self,
        command: &str,
        patience: Duration,
        deadline: Instant,
    ) -> Result<(i32, String), Interruption> {
        let deadline = deadline.min(Instant::now() + patience);
        // A shell that was busy may throw away what was typed ahead together with the line.
        for tries_left in (0..ANEW_TRIES).rev() {
            let now = Instant::now();
            let until = now + deadline.saturating_duration_since(now) / (tries_left + 1);
            self.clear_line().await?;
            match self.command_once(command, until).await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) | Err(Interruption::Timeout) => {}
                Err(other) => return Err(other),
            }
        }
        Err(Interruption::Timeout)
    }

    /// Gets rid of a line that was typed half, and of a command that runs in the foreground. A keeper
    /// that is lost meanwhile is waited for: typing it once more does no harm.
    async fn clear_line(&mut self) -> Result<(), Interruption> {
        let until = Instant::now() + KEEPER_PATIENCE;
        loop {
            match self.type_text(INTERRUPT).await {
                Ok(()) => return self.catch_up().await,
                // Takes in what became of the keeper; typing again waits for the next one.
                Err(Interruption::KeeperLost) if Instant::now() < until => self.catch_up().await?,
                Err(other) => return Err(other),
            }
        }
    }

    /// `None` where the answer was probably lost.
    async fn command_once(
        &mut self,
        command: &str,
        deadline: Instant,
    ) -> Result<Option<(i32, String)>, Interruption> {
        let gaps = self.gaps;
        self.marker += 1;
        // Unique over restarts of the runner too: old output may still be on its way.
        let marker = format!(
            "{:x}{:012x}-{}",
            self.recorder.state().resumes,
            self.offset(),
            self.marker
        );
        // Split, so that the echo does not match; twice, because a kernel message may tear one.
        // The answer names its question: a shell that never read this one has none to it.
        let answer = "echo \"BASALT\"-RC-$basalt_rc:";
        let typed =
            format!("{command}; basalt_rc=$?; basalt_rc={marker}:$basalt_rc; {answer}; {answer}\n");
        match self.type_text(&typed).await {
            Ok(()) => {}
            // Whether it arrived nobody knows; typing it again tells.
            Err(Interruption::KeeperLost) => return Ok(None),
            Err(other) => return Err(other),
        }
        let mut typed_at = Instant::now();
        let pattern = Pattern::once(&format!("BASALT-RC-{marker}:([0-9]+):"))
            .map_err(|error| Interruption::Broken(chain(&error)))?;
        let mut lost_since = None;
        let mut quiet = ANSWER_QUIET;
        loop {
            if let Some(found) = self.expect.find(std::slice::from_ref(&pattern)) {
                let code = found
                    .captures
                    .first()
                    .and_then(|code| code.text.as_deref())
                    .and_then(|code| code.parse().ok())
                    .unwrap_or(-1);
                return Ok(Some((code, found.before)));
            }
            if self.gaps != gaps {
                lost_since.get_or_insert_with(Instant::now);
            }
            let until = lost_since.map_or(deadline, |since| deadline.min(since + AFTER_GAP));
            let ask_again = self.last_data.max(typed_at) + quiet;
            match self.pump(until.min(ask_again)).await {
                Ok(()) => {}
                Err(Interruption::Timeout) if Instant::now() < until => {
                    // Both answers may have been torn. A shell that is still busy with the command
                    // reads this after it, and its own answers come first.
                    if Instant::now() >= ask_again {
                        quiet *= 2;
                        typed_at = Instant::now();
                        match self.type_text(&format!("{answer}; {answer}\n")).await {
                            Ok(()) => {}
                            // The answer may have come while nobody listened.
                            Err(Interruption::KeeperLost) => return Ok(None),
                            Err(other) => return Err(other),
                        }
                    }
                }
                Err(Interruption::Timeout) if Instant::now() < deadline => return Ok(None),
                Err(other) => return Err(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn what_came_while_the_process_stood_still_is_in_time() {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let waiting = tokio::spawn(awake_within(LIMIT, answered));
        tokio::task::yield_now().await;
        // The clock has gone on; the answer is read a moment after that.
        tokio::time::advance(Duration::from_secs(30)).await;
        tokio::task::yield_now().await;
        answer.send("typed").unwrap();
        assert_eq!(waiting.await.unwrap(), Some(Ok("typed")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_is_waited_for_no_longer_than_agreed() {
        let begun = Instant::now();
        let none: Option<()> = awake_within(LIMIT, std::future::pending()).await;
        assert_eq!(none, None);
        assert!(begun.elapsed() >= LIMIT && begun.elapsed() < LIMIT + LOOK);
    }
}
