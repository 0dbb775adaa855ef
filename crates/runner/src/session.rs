//! The board's console as the actions of a run use it: waits with a bound, typing, and everything
//! that is noticed on the side while waiting (kernel reports, signals, gaps, boot server events).
//!
//! Every wait ends: with what was awaited, at its deadline, or with an [`Interruption`] that says
//! why waiting on makes no sense.

mod hearing;
mod judging;
mod typing;

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use basalt_clock::Clock;
use basalt_console::watch::KernelWatch;
use basalt_console::{BoardConsole, Expect, Match, Pattern};
use basalt_journal::JournalError;
use basalt_model::event::ConsoleSpan;
use basalt_model::{EventBody, KernelReport};
use basalt_netboot::tftp::TransferEvent;
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::ending::Ending;
use crate::inbox::Inbox;
use crate::recorder::Recorder;
use crate::signals::SignalReader;
use crate::state::PayloadKey;

/// How long the way to a console may be gone before a wait on it is given up.
const CONSOLE_GRACE: Duration = Duration::from_secs(10);

/// How long a report of the kernel that has begun may be silent before it counts as ended.
const REPORT_QUIET: Duration = Duration::from_secs(2);

/// How long a console must be silent to have been caught up with.
const QUIET: Duration = Duration::from_millis(20);

/// How long catching up with a console may take at most.
const CATCH_UP: Duration = Duration::from_secs(3);

/// The code of a failure that is nobody's attempt: the way to the console was lost while something
/// was typed.
pub const KEEPER_LOST: &str = "keeper-lost";

/// The code of another such failure: what was awaited did not come, and bytes were lost meanwhile.
pub const UNSEEN: &str = "unseen-timeout";

/// How long a keeper that does not answer is waited for.
const KEEPER_PATIENCE: Duration = Duration::from_secs(60);

/// A keeper that takes longer to answer stood still.
const STANDSTILL: Duration = Duration::from_secs(2);

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
    /// The keeper, or its way to the board, was lost while something was typed: nobody knows how much
    /// arrived.
    KeeperLost,
    /// The run is ended from outside.
    Ended,
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

/// A file that somebody asked the boot servers for, in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFile {
    /// Its name, as it was asked for.
    pub name: String,
    /// Who asked.
    pub client: Ipv4Addr,
}

/// One board's console, and all that a run notices on it.
pub struct Session {
    /// The run's journal and state.
    pub recorder: Recorder,
    /// The host's clocks.
    pub clock: Clock,
    /// Ends the run from outside.
    pub ending: Ending,
    /// Events of the boot servers of this lease.
    pub served: Option<broadcast::Receiver<TransferEvent>>,
    /// Lines of files that the board prints (`basalt-show`): number and data, checked.
    pub file_lines: VecDeque<(u64, String)>,
    /// The last file that somebody asked for in vain.
    pub refused_file: Option<RefusedFile>,
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
        ending: Ending,
        console: BoardConsole,
        character_delay: Duration,
    ) -> Self {
        let offset = console.offset();
        Self {
            recorder,
            clock,
            ending,
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
            match self.pump(deadline).await {
                Ok(()) => {}
                // Both may come in one breath, or be read so late that they do: what the board said
                // before its kernel gave up is found, and the next wait ends with the rest.
                Err(Interruption::Kernel(report)) => match self.expect.find(patterns) {
                    Some(found) if found.end_offset <= report.offset => {
                        self.early_end = Some(Interruption::Kernel(report));
                        return Ok(found);
                    }
                    _ => return Err(Interruption::Kernel(report)),
                },
                Err(why) => return Err(why),
            }
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

    /// Waits for the whole line in which a kernel names itself. A kernel that gives up in the same
    /// breath has named itself all the same; the next wait ends with that.
    pub async fn wait_for_kernel(&mut self, deadline: Instant) -> Result<(), Interruption> {
        while !self.kernel_seen {
            match self.pump(deadline).await {
                Err(end @ Interruption::Kernel(_)) if self.kernel_seen => {
                    self.early_end = Some(end);
                }
                result => result?,
            }
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
        let ending = self.ending.clone();
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
            () = ending.asked() => Err(Interruption::Ended),
            event = served => self.take_served(event),
            event = self.console.next(until) => match event {
                Ok(event) => self.take_console(event),
                Err(error) => Err(Interruption::Broken(chain(&error))),
            },
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

    /// Whether nothing at all was heard yet, by this start of the runner as the first.
    pub fn is_untouched(&self) -> bool {
        !self.heard_anything && self.gaps == 0 && self.recorder.state().resumes == 0
    }

    /// Makes sure that the keeper is awake before a silence is blamed on the board. One that stood
    /// still is waited for; what it has then is looked at, and counts as a gap.
    pub async fn wake_keeper(&mut self) {
        if self.console.ask_keeper(KEEPER_PATIENCE).await >= STANDSTILL {
            self.gaps += 1;
        }
        // A gap that the keeper has just noticed is on record before it answers this.
        let _ = self.console.sync().await;
        self.catch_up_quietly().await;
    }

    /// How often a console keeper went away.
    pub fn keepers_lost(&self) -> u64 {
        self.console.losses()
    }

    /// Whether a kernel named itself since the stage was entered.
    pub fn kernel_seen(&self) -> bool {
        self.kernel_seen
    }

    /// Whether the board said anything since it was switched on.
    pub fn heard_anything(&self) -> bool {
        self.heard_anything
    }
}
