//! Payloads that run detached on the board (decision D8): started once, listened to, and found
//! again after the runner was killed.
//!
//! The board-side `basalt-stage` makes its directory first: whoever comes second does nothing, so
//! a start that was typed twice runs once.

use std::time::Duration;

use basalt_model::{Culprit, EventBody, Failure};
use tokio::time::Instant;

use crate::overlay::quote;
use crate::run::Run;
use crate::session::{Interruption, Listening};

/// One payload.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    /// The block or phase: `3`, `3.1`.
    pub level: String,
    /// For people: the stage's or phase's name.
    pub name: String,
    /// Which attempt.
    pub attempt: u32,
    /// Its directory on the board, made by `basalt-stage`.
    pub directory: String,
    /// What to run, as words of a shell.
    pub command: String,
    /// How long it is silent because it measures; nobody disturbs it meanwhile.
    pub silence: Duration,
}

/// How long a payload may be silent beyond that before the board is asked whether it has ended.
const QUIET: Duration = Duration::from_secs(5);

impl Run {
    /// Starts the payload unless it was started before, and listens until it ends.
    ///
    /// # Errors
    /// The time is over, or the board, console or kernel ended it. Signals that had come until then
    /// are kept.
    pub(crate) async fn run_payload(
        &mut self,
        payload: &Payload,
        deadline: Instant,
    ) -> Result<(), Failure> {
        self.session.listen(Some(Listening {
            level: payload.level.clone(),
            attempt: payload.attempt,
            directory: payload.directory.clone(),
            from_spool: false,
        }));
        let outcome = self.start_and_wait(payload, deadline).await;
        if outcome.is_err() {
            // The spool is out of reach; what came is worth more than its order.
            let _ = self.session.release_signals(true);
        }
        self.session.listen(None);
        outcome
    }

    async fn start_and_wait(
        &mut self,
        payload: &Payload,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let state = self.session.recorder.state();
        let known = state.is_on_board(&payload.level, payload.attempt);
        if !known {
            self.journal_durably(EventBody::PayloadStarted {
                level: payload.level.clone(),
                name: payload.name.clone(),
                attempt: payload.attempt,
            })?;
        }
        let mut gaps = self.session.gaps();
        if known && self.payload_ended(payload, deadline).await? {
            return self.read_spool(payload, deadline, true).await;
        }
        let root = self.overlay_root();
        let start = format!(
            "if command -v setsid >/dev/null 2>&1; then setsid {root}/bin/basalt-stage {dir} {command} </dev/null & else {root}/bin/basalt-stage {dir} {command} </dev/null & fi",
            dir = quote(&payload.directory),
            command = payload.command,
        );
        self.shell(&start, deadline).await?;
        // Where the console stood when the board had been asked last.
        let mut asked = None;
        loop {
            let ended = |session: &crate::session::Session| {
                session.heard_signal("BASALT_STAGE END") || session.gaps() != gaps
            };
            let before = self.session.offset();
            let quiet = deadline.min(Instant::now() + payload.silence + QUIET);
            match self.session.wait_until(quiet, ended).await {
                Ok(()) => {}
                Err(Interruption::Timeout) if Instant::now() < deadline => {
                    // Its end may have been torn by kernel messages, all three times.
                    let silent = self.session.offset() == before;
                    if !silent || asked == Some(before) {
                        continue;
                    }
                }
                Err(why) => {
                    let awaited = format!("the end of {}", payload.name);
                    return Err(self.payload_failure(&why, payload, &awaited));
                }
            }
            if self.session.heard_signal("BASALT_STAGE END") {
                return self.read_spool(payload, deadline, false).await;
            }
            // Bytes were lost, perhaps the end with them: the board itself is asked.
            gaps = self.session.gaps();
            if self.payload_ended(payload, deadline).await? {
                return self.read_spool(payload, deadline, true).await;
            }
            self.session.catch_up_quietly().await;
            asked = Some(self.session.offset());
        }
    }

    /// Whether the payload has ended already, asked of the board itself.
    async fn payload_ended(
        &mut self,
        payload: &Payload,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let state = quote(&format!("{}/state", payload.directory));
        let (code, _) = self
            .shell(&format!("grep -q '^done' {state} 2>/dev/null"), deadline)
            .await?;
        Ok(code == 0)
    }

    /// Reads what is missing from the spool on the board: the numbers known to be missing, or all.
    async fn read_spool(
        &mut self,
        payload: &Payload,
        deadline: Instant,
        all: bool,
    ) -> Result<(), Failure> {
        self.session.catch_up_quietly().await;
        let missing = self.session.missing_signals();
        if missing.is_empty() && !all {
            return self.release(true);
        }
        let show = format!(
            "{}/bin/basalt-spool {}",
            self.overlay_root(),
            quote(&format!("{}/spool", payload.directory)),
        );
        let mut command = match all {
            true => show.clone(),
            false => format!("{show} {}", twice(&missing)),
        };
        self.session.listening_to_spool(true);
        // A kernel message may tear these lines too; what is still missing is asked for again.
        for _ in 0..5 {
            self.shell(&command, deadline).await?;
            self.release(false)?;
            let missing = self.session.missing_signals();
            if missing.is_empty() {
                break;
            }
            command = format!("{show} {}", twice(&missing));
        }
        self.session.listening_to_spool(false);
        let lost = self.session.missing_signals();
        if !lost.is_empty() {
            self.log_warning(format!(
                "signals {lost:?} of {} are lost: neither the console nor the board's spool has them whole",
                payload.name
            ))?;
        }
        self.release(true)
    }

    fn release(&mut self, all: bool) -> Result<(), Failure> {
        self.session
            .release_signals(all)
            .map_err(|why| self.kernel_failure(&why, "the journal", "the journal fails"))
    }

    /// A payload that did not end.
    fn payload_failure(&self, why: &Interruption, payload: &Payload, awaited: &str) -> Failure {
        self.session.judge(why, awaited).unwrap_or_else(|| {
            self.session.failure(
                Culprit::Test,
                None,
                "test-timeout",
                format!("{} did not end within its time", payload.name),
                Some(awaited.to_owned()),
            )
        })
    }
}

/// The numbers as words of a shell, each twice: messages that come regularly may tear the same line
/// each time.
fn twice(numbers: &[u64]) -> String {
    let words: Vec<String> = numbers
        .iter()
        .map(|number| format!("{number} {number}"))
        .collect();
    words.join(" ")
}
