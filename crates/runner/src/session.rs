//! The board's console as the actions of a run use it: waits with a bound, typing, and everything
//! that is noticed on the side while waiting (kernel reports, signals, gaps, boot server events).
//!
//! Every wait ends: with what was awaited, at its deadline, or with an [`Interruption`] that says
//! why waiting on makes no sense.

use std::collections::VecDeque;
use std::time::Duration;

use basalt_clock::Clock;
use basalt_console::client::RequestError;
use basalt_console::session::SessionError;
use basalt_console::watch::{KernelWatch, WatchEvent};
use basalt_console::{BoardConsole, Expect, Match, Pattern};
use basalt_journal::JournalError;
use basalt_model::event::{ConsoleSpan, Level};
use basalt_model::{Culprit, EventBody, Failure, KernelReport, Part, PowerState};
use basalt_netboot::tftp::{TransferEvent, TransferEventKind};
use tokio::sync::broadcast;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::inbox::{self, Inbox};
use crate::recorder::{Live, Recorder};
use crate::signals::{Heard, Seen, SignalReader};
use crate::state::PayloadKey;

/// How long the way to a console may be gone before a wait on it is given up.
const CONSOLE_GRACE: Duration = Duration::from_secs(10);

/// How long a report of the kernel that has begun may be silent before it counts as ended.
const REPORT_QUIET: Duration = Duration::from_secs(2);

/// How long an answer may take after bytes of the console were lost before it counts as one of them.
const AFTER_GAP: Duration = Duration::from_secs(3);

/// How long a console must be silent to have been caught up with.
const QUIET: Duration = Duration::from_millis(20);

/// How long catching up with a console may take at most.
const CATCH_UP: Duration = Duration::from_secs(3);

/// The slowest serial port takes so long for a character.
const CHARACTER_TIME: Duration = Duration::from_millis(2);

/// Ends what stands unfinished at a shell's prompt, and what runs in its foreground.
const INTERRUPT: &str = "\x03";

/// The code of a failure that is nobody's attempt: the keeper went away while something was typed.
pub const KEEPER_LOST: &str = "keeper-lost";

/// The code of another such failure: what was awaited did not come, and bytes were lost meanwhile.
pub const UNSEEN: &str = "unseen-timeout";

/// How long a command may be silent before its answer is asked for again; doubled each time.
const ANSWER_QUIET: Duration = Duration::from_secs(2);

/// How often a command is typed where its answer is lost.
const COMMAND_TRIES: u32 = 4;

/// How often a command is typed at a shell of which nobody knows what it does.
const ANEW_TRIES: u32 = 3;

/// How many lines of the board stand in a failure.
const EVIDENCE_LINES: usize = 8;

/// How many bytes an expression may reach back; LAVA's is twice its spawn_maxread.
const EXPECT_WINDOW: usize = 2 * 8184;

/// Why waiting makes no sense any more.
#[derive(Debug)]
pub enum Interruption {
    /// The deadline is over.
    Timeout,
    /// The kernel cannot go on.
    Kernel(Box<KernelReport>),
    /// The board began to boot by itself; the line that tells.
    Reset(String),
    /// The console has been gone for longer than it may; why.
    ConsoleGone(String),
    /// The keeper went away while something was typed: nobody knows how much arrived.
    KeeperLost,
    /// A person or client ended the job.
    Canceled,
    /// Our own house: journal or keeper.
    Broken(String),
}

impl From<JournalError> for Interruption {
    fn from(error: JournalError) -> Self {
        Self::Broken(chain(&error))
    }
}

/// An error and all its sources, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// What the kernel watch may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Off, or in the boot loader: kernels and loaders may show up as they like.
    Loader,
    /// The kernel boots: it may show up once; a panic or a loader ends the wait.
    Kernel,
    /// A shell is there: a panic, a loader or another kernel ends the wait.
    Shell,
}

/// Whose signals are being listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// The block or phase.
    pub level: String,
    /// Its attempt.
    pub attempt: u32,
    /// Its directory on the board, which its last signal names.
    pub directory: String,
    /// What comes now is read from the spool.
    pub from_spool: bool,
}

impl Listening {
    /// As the run's state names it.
    fn key(&self) -> PayloadKey {
        (self.level.clone(), self.attempt)
    }
}

/// One board's console, and all that a run notices on it.
pub struct Session {
    /// The run's journal and state.
    pub recorder: Recorder,
    /// The host's clocks.
    pub clock: Clock,
    /// Ends the run when it is canceled.
    pub cancel: CancellationToken,
    /// Events of the boot servers of this lease.
    pub served: Option<broadcast::Receiver<TransferEvent>>,
    /// Lines of files that the board prints (`basalt-show`): number and data, checked.
    pub file_lines: VecDeque<(u64, String)>,
    /// The last file that the board asked for in vain.
    pub refused_file: Option<String>,
    console: BoardConsole,
    character_delay: Duration,
    expect: Expect,
    watch: KernelWatch,
    signals: SignalReader,
    listening: Option<Listening>,
    inbox: Inbox,
    stage: Stage,
    kernel_seen: bool,
    /// What ends the wait for the kernel before that wait has begun.
    early_end: Option<Interruption>,
    source_down: Option<(Instant, String)>,
    /// Output came since the power was switched on.
    heard_anything: bool,
    last_data: Instant,
    /// The last wait ended without anything.
    silent: bool,
    /// How often bytes were lost.
    gaps: u64,
    marker: u64,
}

impl Session {
    /// Takes an attached console over. It goes on at the console's own offset.
    pub fn new(
        recorder: Recorder,
        clock: Clock,
        cancel: CancellationToken,
        console: BoardConsole,
        character_delay: Duration,
    ) -> Self {
        let offset = console.offset();
        Self {
            recorder,
            clock,
            cancel,
            served: None,
            file_lines: VecDeque::new(),
            refused_file: None,
            console,
            character_delay,
            expect: Expect::starting_at(EXPECT_WINDOW, offset),
            watch: KernelWatch::new(),
            signals: SignalReader::at(offset),
            listening: None,
            inbox: Inbox::default(),
            stage: Stage::Loader,
            kernel_seen: false,
            early_end: None,
            source_down: None,
            heard_anything: false,
            last_data: Instant::now(),
            silent: false,
            gaps: 0,
            marker: 0,
        }
    }

    /// The console's offset up to which everything was looked at.
    pub fn offset(&self) -> u64 {
        self.console.offset()
    }

    /// What the kernel watch may end from now on.
    pub fn enter(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// The loader is about to be told to jump. A fast board says the kernel's first lines, or its
    /// last ones, in one breath with the loader's last word: from here on they count, though the
    /// stage is still the loader's.
    pub fn about_to_jump(&mut self) {
        self.kernel_seen = false;
        self.early_end = None;
    }

    /// Forgets what the board said so far: it is about to be switched on.
    pub fn forget(&mut self) {
        self.expect.clear();
        self.kernel_seen = false;
        self.heard_anything = false;
        self.refused_file = None;
    }

    /// Listens to the signals of one payload, or to none. What waits for a signal before it stays
    /// where the payload is the one that is listened to already.
    pub fn listen(&mut self, listening: Option<Listening>) {
        if listening.is_some() && self.listening == listening {
            return;
        }
        self.listening = listening;
        let seen = self.seen().cloned();
        self.inbox.begin(seen.as_ref());
    }

    /// The numbers of the payload's signals that are on record.
    fn seen(&self) -> Option<&Seen> {
        let listening = self.listening.as_ref()?;
        self.recorder.state().signals.get(&listening.key())
    }

    /// Waits for one of the patterns. The earliest in the stream wins, then the first in the list.
    pub async fn expect(
        &mut self,
        patterns: &[Pattern],
        deadline: Instant,
    ) -> Result<Match, Interruption> {
        loop {
            if let Some(found) = self.expect.find(patterns) {
                return Ok(found);
            }
            self.pump(deadline).await?;
        }
    }

    /// Waits until `done` says so of the run's state, looking again whenever something happens.
    pub async fn wait_until(
        &mut self,
        deadline: Instant,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Result<(), Interruption> {
        while !done(self) {
            self.pump(deadline).await?;
        }
        Ok(())
    }

    /// Looks at what the console already has, without waiting for more; bounded, because a board
    /// may never stop talking.
    pub async fn catch_up(&mut self) -> Result<(), Interruption> {
        let bound = Instant::now() + CATCH_UP;
        loop {
            self.silent = false;
            let quiet = Instant::now() + QUIET;
            match self.pump(quiet.min(bound)).await {
                // However long it took this process to get round to what it took.
                Ok(()) if !self.silent && Instant::now() < bound => {}
                Ok(()) => return Ok(()),
                Err(Interruption::Timeout) if Instant::now() < bound => {}
                Err(Interruption::Timeout) => return Ok(()),
                Err(other) => return Err(other),
            }
        }
    }

    /// Waits for the next thing that happens and takes it in.
    async fn pump(&mut self, deadline: Instant) -> Result<(), Interruption> {
        if self.stage != Stage::Loader
            && let Some(end) = self.early_end.take()
        {
            return Err(end);
        }
        if let Some((since, reason)) = &self.source_down
            && since.elapsed() >= CONSOLE_GRACE
        {
            return Err(Interruption::ConsoleGone(reason.clone()));
        }
        if Instant::now() >= deadline {
            // A panic whose last line never came is still a panic.
            self.flush_watch()?;
            return Err(Interruption::Timeout);
        }
        let mut until = deadline;
        if let Some((since, _)) = &self.source_down {
            until = until.min(*since + CONSOLE_GRACE);
        }
        if self.watch.pending().is_some() {
            until = until.min(self.last_data + REPORT_QUIET);
        }
        let cancel = self.cancel.clone();
        let served = async {
            match &mut self.served {
                Some(served) => loop {
                    match served.recv().await {
                        Ok(event) => break event,
                        // Only evidence was missed, never a byte.
                        Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                    }
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Interruption::Canceled),
            event = served => self.take_served(event),
            event = self.console.next(until) => match event {
                Ok(event) => self.take_console(event),
                Err(error) => Err(Interruption::Broken(chain(&error))),
            },
        }
    }

    fn take_served(&mut self, event: TransferEvent) -> Result<(), Interruption> {
        match event.kind {
            TransferEventKind::Started { .. } => {}
            TransferEventKind::Finished {
                bytes,
                duration,
                retransmits,
            } => self.recorder.record(EventBody::Served {
                protocol: "tftp".into(),
                name: event.file,
                bytes,
                duration_ms: duration.as_millis() as u64,
                retransmits,
            })?,
            TransferEventKind::Failed { bytes, reason, .. } => self.recorder.log(
                Level::Warning,
                format!(
                    "TFTP transfer of {} ended after {bytes} bytes: {reason}",
                    event.file
                ),
            )?,
            TransferEventKind::Refused { reason } => {
                self.recorder.log(
                    Level::Warning,
                    format!("TFTP request for {} refused: {reason}", event.file),
                )?;
                self.refused_file = Some(event.file);
            }
        }
        Ok(())
    }

    fn take_console(&mut self, event: basalt_console::Event) -> Result<(), Interruption> {
        match event {
            basalt_console::Event::Data {
                offset,
                stamp,
                bytes,
            } => self.take_bytes(offset, stamp.utc, &bytes),
            basalt_console::Event::Gap { offset, reason, .. } => {
                self.signals.cut();
                let known = &self.recorder.state().gaps;
                if !known
                    .iter()
                    .any(|(at, why)| *at == offset && *why == reason)
                {
                    self.gaps += 1;
                    self.recorder
                        .record(EventBody::ConsoleGap { offset, reason })?;
                }
                Ok(())
            }
            basalt_console::Event::Input { .. } => Ok(()),
            basalt_console::Event::SourceDown { reason, .. } => {
                if self.source_down.is_none() {
                    self.recorder
                        .log(Level::Warning, format!("the console is gone: {reason}"))?;
                    self.source_down = Some((Instant::now(), reason));
                }
                Ok(())
            }
            basalt_console::Event::SourceUp { .. } => {
                if self.source_down.take().is_some() {
                    self.recorder
                        .log(Level::Info, "the console is back".to_owned())?;
                }
                Ok(())
            }
            basalt_console::Event::KeeperLost => {
                self.recorder.log(
                    Level::Warning,
                    "the console keeper is gone; it is being started again",
                )?;
                Ok(())
            }
            basalt_console::Event::KeeperBack => {
                self.recorder
                    .log(Level::Info, "the console keeper is back".to_owned())?;
                Ok(())
            }
            basalt_console::Event::Timeout => {
                self.silent = true;
                if self.last_data.elapsed() >= REPORT_QUIET {
                    self.flush_watch()?;
                }
                Ok(())
            }
        }
    }

    fn take_bytes(
        &mut self,
        offset: u64,
        utc: basalt_model::UtcMicros,
        bytes: &[u8],
    ) -> Result<(), Interruption> {
        self.heard_anything = true;
        self.last_data = Instant::now();
        let _ = self.recorder.live().send(Live::Console(bytes.to_vec()));
        self.expect.feed(bytes);
        for (end, heard) in self.signals.feed(bytes) {
            self.take_heard(end, heard)?;
        }
        let seen = self.watch.feed(offset, utc, bytes);
        self.take_watched(seen)
    }

    fn flush_watch(&mut self) -> Result<(), Interruption> {
        let seen = self.watch.flush();
        self.take_watched(seen)
    }

    fn take_watched(&mut self, seen: Vec<WatchEvent>) -> Result<(), Interruption> {
        let mut ends = None;
        for event in seen {
            match event {
                WatchEvent::Report(report) => {
                    let known = &self.recorder.state().kernel;
                    if known.iter().any(|old| old.offset == report.offset) {
                        continue;
                    }
                    let level = self.listening.as_ref().map_or_else(
                        || {
                            let open = self.recorder.state().open.last();
                            open.map_or_else(String::new, |open| open.level.clone())
                        },
                        |listening| listening.level.clone(),
                    );
                    self.recorder.record(EventBody::Kernel {
                        report: report.clone(),
                        level,
                    })?;
                    if report.fatal {
                        ends.get_or_insert(Interruption::Kernel(Box::new(report)));
                    }
                }
                WatchEvent::KernelStart {
                    line, after_loader, ..
                } => {
                    // `dmesg` in a test prints the same line; a boot has a boot loader before it.
                    if self.stage == Stage::Shell && !after_loader {
                        continue;
                    }
                    if self.kernel_seen || self.stage == Stage::Shell {
                        ends.get_or_insert(Interruption::Reset(line.clone()));
                    }
                    self.kernel_seen = true;
                    self.recorder.record(EventBody::KernelBanner { line })?;
                }
                WatchEvent::LoaderBanner { line, .. } => {
                    self.recorder
                        .record(EventBody::LoaderBanner { line: line.clone() })?;
                    if self.kernel_seen || self.stage != Stage::Loader {
                        ends.get_or_insert(Interruption::Reset(line));
                    }
                }
            }
        }
        match ends {
            None => Ok(()),
            Some(end) if self.stage == Stage::Loader => {
                self.early_end.get_or_insert(end);
                Ok(())
            }
            Some(end) => Err(end),
        }
    }

    fn take_heard(&mut self, end: u64, heard: Heard) -> Result<(), Interruption> {
        let signal = match heard {
            Heard::Signal(signal) => signal,
            // A numbered one is read from the spool later; its number is missing until then.
            Heard::Damaged { .. } => {
                self.inbox.take_torn();
                return Ok(());
            }
        };
        if signal.name == "BASALT_FILE" {
            if let Some(number) = signal.number {
                self.file_lines.push_back((number, signal.text));
            }
            return Ok(());
        }
        let Some(listening) = &self.listening else {
            return Ok(());
        };
        // The payload before says its last word thrice, and may be slow about it.
        if signal.name == "BASALT_STAGE"
            && signal.text.strip_prefix("END ") != Some(&listening.directory)
        {
            return Ok(());
        }
        let number = signal.number.unwrap_or(0);
        // The console is read again from before the moment at which a runner was killed.
        if number == 0 && end <= self.recorder.state().printed_to(&listening.key()) {
            return Ok(());
        }
        let text = if signal.text.is_empty() {
            signal.name
        } else {
            format!("{} {}", signal.name, signal.text)
        };
        self.inbox.take(inbox::Heard {
            number,
            text,
            offset: end,
        });
        self.release_signals(false)
    }

    /// Records held back signals in the order of their numbers, as far as none is missing; all of
    /// them where nothing better will come.
    pub fn release_signals(&mut self, all: bool) -> Result<(), Interruption> {
        let seen = self.seen().cloned();
        for heard in self.inbox.release(seen.as_ref(), all) {
            self.record_signal(heard.number, heard.text, heard.offset)?;
        }
        Ok(())
    }

    /// Numbers that are known to be missing: below one that was heard.
    pub fn missing_signals(&self) -> Vec<u64> {
        self.inbox.missing(self.seen())
    }

    /// Whether a held back or recorded signal of the payload begins with `start`.
    pub fn heard_signal(&self, start: &str) -> bool {
        let Some(listening) = &self.listening else {
            return false;
        };
        let recorded = self.recorder.state().progress.get(&listening.key());
        self.inbox.holds(start)
            || recorded.is_some_and(|texts| texts.iter().any(|text| text.starts_with(start)))
    }

    fn record_signal(
        &mut self,
        number: u64,
        text: String,
        offset: u64,
    ) -> Result<(), Interruption> {
        let Some(listening) = self.listening.clone() else {
            return Ok(());
        };
        let complaints = self.recorder.state().complaints.len();
        self.recorder.record(EventBody::Signal {
            number,
            text,
            offset,
            level: listening.level,
            attempt: listening.attempt,
            from_spool: listening.from_spool,
        })?;
        let new: Vec<String> = self.recorder.state().complaints[complaints..].to_vec();
        for complaint in new {
            self.recorder.log(Level::Error, complaint)?;
        }
        Ok(())
    }

    /// Types at the console.
    pub async fn type_text(&mut self, text: &str) -> Result<(), Interruption> {
        self.recorder.record(EventBody::Input {
            text: text.to_owned(),
        })?;
        let write = self.console.write(text.as_bytes(), self.character_delay);
        let characters = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let limit =
            CONSOLE_GRACE + (self.character_delay + CHARACTER_TIME).saturating_mul(characters);
        match tokio::time::timeout(limit, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(
                error @ SessionError::Request {
                    source: RequestError::Gone,
                    ..
                },
            )) => {
                tracing::warn!(error = %chain(&error), "typing was cut short");
                Err(Interruption::KeeperLost)
            }
            Ok(Err(error)) => Err(Interruption::ConsoleGone(chain(&error))),
            Err(_) => Err(Interruption::ConsoleGone(format!(
                "it did not take {characters} characters within {} s",
                limit.as_secs()
            ))),
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

    /// Gets rid of a line that was typed half, and of a command that runs in the foreground.
    async fn clear_line(&mut self) -> Result<(), Interruption> {
        for _ in 0..COMMAND_TRIES {
            match self.type_text(INTERRUPT).await {
                Ok(()) => return self.catch_up().await,
                Err(Interruption::KeeperLost) => {}
                Err(other) => return Err(other),
            }
        }
        Err(Interruption::KeeperLost)
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
        let answer = format!("echo \"BASALT\"-RC-{marker}:$basalt_rc:");
        let typed = format!("{command}; basalt_rc=$?; {answer}; {answer}\n");
        match self.type_text(&typed).await {
            Ok(()) => {}
            // Whether it arrived nobody knows; typing it again tells.
            Err(Interruption::KeeperLost) => return Ok(None),
            Err(other) => return Err(other),
        }
        let mut typed_at = Instant::now();
        let pattern = Pattern::regex(&format!("BASALT-RC-{marker}:([0-9]+):"))
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
                        self.type_text(&format!("{answer}; {answer}\n")).await?;
                    }
                }
                Err(Interruption::Timeout) if Instant::now() < deadline => return Ok(None),
                Err(other) => return Err(other),
            }
        }
    }

    /// How often bytes of the console were lost since this session began.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Makes the console's bytes durable that were read so far (decision D7), and looks at them.
    /// However far behind this side was: what the board said before is not taken for what it says
    /// next.
    pub async fn sync_console(&mut self) -> Result<(), Interruption> {
        // A keeper that goes away just now is started again; the second try meets it.
        let synced = match self.console.sync().await {
            Ok(end) => Ok(end),
            Err(_) => self.console.sync().await,
        };
        let end = synced.map_err(|error| Interruption::Broken(chain(&error)))?;
        let bound = Instant::now() + CATCH_UP;
        while self.offset() < end {
            match self.pump(bound).await {
                Ok(()) => {}
                Err(why @ Interruption::Broken(_)) => return Err(why),
                // Whatever ends a wait will be met again at the next one.
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Notes how far the console was followed: what comes before is never looked at again. What
    /// has begun and not ended, a report or a signal, is looked at again after a kill.
    pub fn mark_console(&mut self) -> Result<(), Interruption> {
        let report = self.watch.pending().map(|pending| pending.offset);
        let to = self.signals.offset().min(report.unwrap_or(u64::MAX));
        self.mark_to(to)
    }

    /// Notes that the run's part of the console ends here.
    pub fn end_console(&mut self) -> Result<(), Interruption> {
        self.flush_watch()?;
        self.mark_to(self.offset())
    }

    fn mark_to(&mut self, to: u64) -> Result<(), Interruption> {
        let from = self.recorder.state().console_from;
        if to > self.recorder.state().console_to {
            self.recorder.record(EventBody::Console {
                span: ConsoleSpan { from, to },
            })?;
        }
        Ok(())
    }

    /// What comes now is (or is not any more) read from the spool.
    pub fn listening_to_spool(&mut self, from_spool: bool) {
        if let Some(listening) = &mut self.listening {
            listening.from_spool = from_spool;
        }
    }

    /// As [`Session::wait_until`], looking again a few times a second, for things that happen
    /// outside of the console.
    pub async fn wait_briefly(
        &mut self,
        deadline: Instant,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Result<(), Interruption> {
        while !done(self) {
            let soon = Instant::now() + Duration::from_millis(50);
            match self.pump(soon.min(deadline)).await {
                Ok(()) => {}
                Err(Interruption::Timeout) if Instant::now() < deadline => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// As [`Session::catch_up`], where whatever ends a wait will be met again at the next one.
    pub async fn catch_up_quietly(&mut self) {
        let _ = self.catch_up().await;
    }

    /// Whether a kernel named itself since the stage was entered.
    pub fn kernel_seen(&self) -> bool {
        self.kernel_seen
    }

    /// Takes the boot servers' news that has come already.
    pub fn hear_servers(&mut self) -> Result<(), Interruption> {
        while let Some(event) = self
            .served
            .as_mut()
            .and_then(|served| served.try_recv().ok())
        {
            self.take_served(event)?;
        }
        Ok(())
    }

    /// Whether the board said anything since it was switched on.
    pub fn heard_anything(&self) -> bool {
        self.heard_anything
    }

    /// A failure with the evidence of this moment.
    pub fn failure(
        &self,
        culprit: Culprit,
        part: Option<Part>,
        code: &str,
        message: impl Into<String>,
        awaited: Option<String>,
    ) -> Failure {
        let state = self.recorder.state();
        let mut failure = Failure::new(culprit, code, message);
        failure.part = part;
        failure.awaited = awaited;
        failure.last_lines = self.expect.last_lines(EVIDENCE_LINES);
        failure.kernel = state
            .kernel
            .iter()
            .filter(|report| report.fatal)
            .cloned()
            .collect();
        failure.power = state.power.filter(|power| *power != PowerState::Unknown);
        failure
    }

    /// The failure that an interruption amounts to, whatever was awaited; `None` for a timeout,
    /// which only the action can judge.
    pub fn judge(&self, interruption: &Interruption, awaited: &str) -> Option<Failure> {
        let awaited = Some(awaited.to_owned());
        Some(match interruption {
            Interruption::Timeout => {
                let (_, reason) = self.source_down.as_ref()?;
                self.failure(
                    Culprit::Infrastructure,
                    Some(Part::Console),
                    "console-gone",
                    format!("the console is gone: {reason}"),
                    awaited,
                )
            }
            Interruption::Kernel(report) => {
                let first = report.text.lines().next().unwrap_or_default().trim();
                let first = basalt_console::terminal::sanitize(first);
                self.failure(
                    Culprit::Kernel,
                    None,
                    &format!("kernel-{}", report.kind.replace('_', "-")),
                    format!("the kernel reported {}: {first}", report.kind),
                    awaited,
                )
            }
            Interruption::Reset(line) => {
                let line = basalt_console::terminal::sanitize(line.trim());
                let panicked = self
                    .recorder
                    .state()
                    .kernel
                    .iter()
                    .any(|report| report.fatal);
                if panicked {
                    self.failure(
                        Culprit::Kernel,
                        None,
                        "kernel-reset",
                        format!("the board restarted after a kernel panic ({line})"),
                        awaited,
                    )
                } else {
                    self.failure(
                        Culprit::Infrastructure,
                        Some(Part::Board),
                        "unexpected-reset",
                        format!(
                            "the board restarted by itself, without a word of the kernel ({line})"
                        ),
                        awaited,
                    )
                }
            }
            Interruption::ConsoleGone(reason) => self.failure(
                Culprit::Infrastructure,
                Some(Part::Console),
                "console-gone",
                format!("the console is gone: {reason}"),
                awaited,
            ),
            Interruption::KeeperLost => self.failure(
                Culprit::Infrastructure,
                Some(Part::Host),
                KEEPER_LOST,
                "the console keeper went away while something was typed",
                awaited,
            ),
            Interruption::Canceled => self.failure(
                Culprit::Canceled,
                None,
                "canceled",
                "the job was canceled",
                awaited,
            ),
            Interruption::Broken(why) => self.failure(
                Culprit::Infrastructure,
                Some(Part::Host),
                "host",
                why.clone(),
                awaited,
            ),
        })
    }
}
