//! `basalt console`.

mod keys;

use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use basalt_clock::Clock;
use basalt_console::segment::end_offset;
use basalt_console::{BoardConsole, Event};
use basalt_lab::profile::{BoardProfile, Lab};
use basalt_runner::host::{BoardLock, HostError, HostState};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::arguments::ConsoleArguments;
use crate::exit::Exit;
use crate::keeping::{Keeping, LINGER, chain};
use crate::signals::Signals;
use crate::terminal::filter::Filter;
use crate::terminal::raw::RawTerminal;
use crate::terminal::{Ink, Terminal, one_line};
use crate::{laboratory, state, wording};
use keys::{Key, Keys};

/// How long one wait for the console is; only there to have a bound.
const LOOK: Duration = Duration::from_secs(60);
/// What was said before standard input ended is still shown, as long as more comes within this.
const DRAIN: Duration = Duration::from_millis(200);

const HELP: &str = "Ctrl-] q leaves, Ctrl-] Ctrl-] types one Ctrl-], Ctrl-] ? shows this";

/// Somebody at a console.
struct Sitting {
    console: BoardConsole,
    terminal: Terminal,
    filter: Filter,
    /// Standard output gets the bytes as they are.
    verbatim: bool,
    /// The board, where it may be typed at.
    lock: Option<BoardLock>,
    /// It was typed at.
    typed: bool,
    character_delay: Duration,
    raw: Option<RawTerminal>,
}

/// Why a sitting is over.
enum Over {
    Left,
    Signal,
    InputEnded,
    ReaderGone,
}

/// Shows a console, and types at it where that is possible.
pub async fn perform(
    arguments: &ConsoleArguments,
    state: Option<&Path>,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    let mut signals = Signals::catch()?;
    let lab = laboratory::open(&arguments.lab.lab, &terminal)?;
    let board = laboratory::board(&lab, &arguments.board)?;
    let host = state::open(state, &lab.name)?;
    let keyboard = std::io::stdin().is_terminal();
    let screen = std::io::stdout().is_terminal();
    let wants_to_type = keyboard && screen && !arguments.read_only;
    let (lock, holder) = take(&host, &lab, board, wants_to_type)?;
    let end = end_offset(host.path(), board.name.as_str())
        .map_err(|error| anyhow::anyhow!(chain(&error)))?;
    let from = match arguments.from_start {
        true => 0,
        false => end.saturating_sub(arguments.tail),
    };
    let keeping = Keeping {
        state: host.path().to_owned(),
        lab: Some(laboratory::absolute(&arguments.lab.lab)?),
        linger: Some(LINGER),
    };
    let writer = lock.is_some().then(|| wording::who("basalt console"));
    let attachment = keeping.attachment(laboratory::kept_console(board), Some(from), writer);
    let console = BoardConsole::attach(attachment)
        .await
        .map_err(|error| anyhow::anyhow!(keeping.explain(&error)))?;
    let mut sitting = Sitting {
        filter: Filter::new(lock.is_some()),
        verbatim: !screen,
        typed: false,
        character_delay: board.console.character_delay,
        raw: None,
        console,
        terminal,
        lock,
    };
    sitting.greet(arguments, holder.as_deref());
    if keyboard && screen {
        let raw = RawTerminal::enter().context("the terminal cannot be made raw")?;
        sitting.raw = Some(raw);
    }
    // A keyboard is only listened to where its keys can be told apart.
    let input = (!keyboard || screen).then(read_input);
    let over = sitting.sit(input, &mut signals, keyboard).await?;
    sitting.raw = None;
    if screen {
        terminal.line("");
        if let Over::Left | Over::Signal = over {
            terminal.note(&format!("left the console of {}", board.name));
        }
    }
    Ok(Exit::DONE)
}

/// The board's lock, or who has it.
fn take(
    host: &HostState,
    lab: &Lab,
    board: &BoardProfile,
    wanted: bool,
) -> anyhow::Result<(Option<BoardLock>, Option<String>)> {
    if !wanted {
        return Ok((None, None));
    }
    let now = Clock::system().now().utc;
    let taken = host
        .take(&board.name, &wording::who("basalt console"), now)
        .and_then(|lock| lock.with_outlet(lab.relay_of(board), board.power.outlet));
    match taken {
        Ok(lock) => Ok((Some(lock), None)),
        Err(HostError::Held { holder, .. }) => Ok((None, Some(holder.who))),
        Err(HostError::OutletHeld { pid, uid, .. }) => Ok((
            None,
            Some(format!(
                "process {pid} of user {uid}, under another lab or account"
            )),
        )),
        Err(error) => Err(error.into()),
    }
}

impl Sitting {
    fn greet(&self, arguments: &ConsoleArguments, holder: Option<&str>) {
        if self.verbatim {
            return;
        }
        let name = self.console.name().to_owned();
        let how = match (holder, &self.lock) {
            (Some(holder), _) => format!("read-only, because {} has the board", one_line(holder)),
            (None, Some(_)) => "what you type goes to the board".to_owned(),
            (None, None) if arguments.read_only => "read-only".to_owned(),
            (None, None) => "read-only, because standard input is no terminal".to_owned(),
        };
        let source = match self.console.source() {
            Some(source) if !source.open => format!("; the line is down: {}", source.reason),
            _ => String::new(),
        };
        self.terminal.note(&format!(
            "console of {name}: {how}; Ctrl-] q leaves{source}"
        ));
    }

    async fn sit(
        &mut self,
        mut input: Option<mpsc::Receiver<Vec<u8>>>,
        signals: &mut Signals,
        keyboard: bool,
    ) -> anyhow::Result<Over> {
        let mut keys = Keys::default();
        loop {
            let typed = async {
                match &mut input {
                    Some(input) => input.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = self.console.next(Instant::now() + LOOK) => {
                    let event = event.map_err(|error| anyhow::anyhow!(chain(&error)))?;
                    if !self.show(event) {
                        return Ok(Over::ReaderGone);
                    }
                }
                bytes = typed => match bytes {
                    None => {
                        self.drain().await?;
                        return Ok(Over::InputEnded);
                    }
                    // What comes from a pipe is not typed at a board.
                    Some(_) if !keyboard => {}
                    Some(bytes) => for key in keys.read(&bytes) {
                        match key {
                            Key::Leave => return Ok(Over::Left),
                            Key::Help => self.remark(HELP),
                            Key::Typed(bytes) => self.write(&bytes).await?,
                        }
                    },
                },
                _ = signals.next() => return Ok(Over::Signal),
            }
        }
    }

    /// Shows what is there already.
    async fn drain(&mut self) -> anyhow::Result<()> {
        loop {
            let event = self.console.next(Instant::now() + DRAIN).await;
            match event.map_err(|error| anyhow::anyhow!(chain(&error)))? {
                Event::Timeout => return Ok(()),
                event => {
                    if !self.show(event) {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let Some(lock) = &self.lock else {
            return Ok(());
        };
        if !std::mem::replace(&mut self.typed, true) {
            // From here on the board is not as an interrupted run left it.
            lock.grant()?;
        }
        if let Err(error) = self.console.write(bytes, self.character_delay).await {
            self.remark(&format!("not typed: {}", chain(&error)));
        }
        Ok(())
    }

    /// False when nobody reads what is shown.
    fn show(&mut self, event: Event) -> bool {
        match event {
            Event::Data { bytes, .. } => {
                let mut output = std::io::stdout().lock();
                let written = match self.verbatim {
                    true => output.write_all(&bytes),
                    false => output.write_all(&self.filter.pass(&bytes)),
                };
                written.and_then(|()| output.flush()).is_ok()
            }
            Event::Gap { reason, .. } => self.said(&format!("bytes are missing here: {reason}")),
            Event::SourceDown { reason, .. } => self.said(&format!("the line is down: {reason}")),
            Event::SourceUp { .. } => self.said("the line is open"),
            Event::KeeperLost => self.said("the console keeper went away; it is started again"),
            Event::KeeperBack => self.said("the console keeper is back"),
            Event::Input { .. } | Event::Timeout => true,
        }
    }

    fn said(&self, text: &str) -> bool {
        self.remark(text);
        true
    }

    /// A remark beside what the board says; never in what a pipe gets.
    fn remark(&self, text: &str) {
        let text = format!("[{}]", one_line(text));
        match self.verbatim {
            true => self.terminal.note(&text),
            false => {
                let text = self.terminal.paint(Ink::Odd, &text);
                self.terminal.write(&format!("\r\n{text}\r\n"));
            }
        }
    }
}

/// Standard input, read by a thread of its own: such a read cannot be interrupted.
fn read_input() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        let mut input = std::io::stdin().lock();
        while let Ok(count @ 1..) = input.read(&mut buffer) {
            if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}
