//! What a person at the terminal of `basalt serve` reads: where the lab is and how to get in, then a
//! line whenever a dispatcher or a board changes. Tokens are not among it; the login link of the
//! first start works once.

use std::collections::HashMap;
use std::path::PathBuf;

use basalt_api::{BoardChange, DispatcherChange, FeedEvent};
use basalt_model::{BoardHealth, BoardName, DispatcherName, DispatcherState, Sha256};
use basalt_server::{Actor, App, UseCaseError};

use super::embedded::{LOG, Notice};
use crate::terminal::{Ink, Terminal, one_line};
use crate::wording;

/// What a server is, when it answers.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// The lab's name.
    pub lab: String,
    /// The address that people open.
    pub url: String,
    /// The address that programs of this host use.
    pub local_url: String,
    /// A link that logs the first administrator in, at the first start.
    pub login_link: Option<String>,
    /// What became of the local client's login.
    pub client: ClientLogin,
    /// Where everything is kept.
    pub state: PathBuf,
    /// The certificate that the server signed itself.
    pub certificate: Option<Sha256>,
}

/// What became of the local client's login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientLogin {
    /// It was written now.
    Written(PathBuf),
    /// It is this server's already.
    There(PathBuf),
    /// It is another server's, and stays.
    Other {
        /// The file.
        path: PathBuf,
        /// That server.
        server: String,
        /// Where the token for this server is.
        token: PathBuf,
    },
    /// It cannot be kept.
    Failed(String),
}

impl Greeting {
    /// The greeting.
    pub fn text(&self, terminal: &Terminal) -> String {
        let mut rows = vec![("page", terminal.paint(Ink::Accent, &self.url))];
        if self.local_url != self.url {
            rows.push((
                "",
                format!(
                    "{} on this host",
                    terminal.paint(Ink::Accent, &self.local_url)
                ),
            ));
        }
        match &self.login_link {
            Some(link) => {
                rows.push(("log in", terminal.paint(Ink::Accent, link)));
                rows.push((
                    "",
                    "works once, for an hour, as the administrator `admin`".into(),
                ));
            }
            None => rows.push((
                "log in",
                "`basalt login-link` prints a link that works once".into(),
            )),
        }
        rows.push((
            "client",
            match &self.client {
                ClientLogin::Written(path) => format!(
                    "`basalt submit` and the others work for this account; its token is in {}",
                    path.display()
                ),
                ClientLogin::There(path) => format!("logged in by {}", path.display()),
                ClientLogin::Other {
                    path,
                    server,
                    token,
                } => format!(
                    "{} is the login at {server} and stays; this server's token is in {}",
                    path.display(),
                    token.display()
                ),
                ClientLogin::Failed(why) => format!("not logged in: {why}"),
            },
        ));
        rows.push(("state", self.state.display().to_string()));
        if let Some(digest) = self.certificate {
            rows.push(("certificate", format!("SHA-256 {digest}")));
        }
        let mut text = format!(
            "{} serves the lab {}\n\n",
            terminal.paint(Ink::Strong, "basalt"),
            terminal.paint(Ink::Strong, &one_line(&self.lab))
        );
        for (name, value) in rows {
            let name = terminal.paint(Ink::Faint, &format!("{name:<12}"));
            text.push_str(&format!("  {name}{value}\n"));
        }
        text.push_str(&format!(
            "\n{}\n\n",
            terminal.paint(
                Ink::Faint,
                "Ctrl-C ends runs, switches boards off, and stops"
            )
        ));
        text
    }
}

/// What was said last of dispatchers and boards, so that only changes are said.
#[derive(Debug, Default)]
pub struct Status {
    dispatchers: HashMap<DispatcherName, DispatcherState>,
    boards: HashMap<BoardName, BoardHealth>,
}

impl Status {
    /// What stands now is the beginning. A line on the boards.
    pub async fn begin(&mut self, app: &App) -> Result<String, UseCaseError> {
        let mut usable = 0;
        let mut others = Vec::new();
        let boards = app.boards(&Actor::System).await?;
        let count = boards.len();
        for board in boards {
            match board.health {
                BoardHealth::Good | BoardHealth::Unknown => usable += 1,
                health => others.push(format!("{} {health}", board.name)),
            }
            self.boards.insert(board.name, board.health);
        }
        let noun = if count == 1 { "board" } else { "boards" };
        Ok(match others.as_slice() {
            [] => format!("{count} {noun}, open to jobs"),
            others => format!(
                "{count} {noun}, {usable} open to jobs: {}",
                others.join(", ")
            ),
        })
    }

    /// A dispatcher's state; worth saying where it is another than before.
    pub fn met(&mut self, name: DispatcherName, state: DispatcherState) -> Option<(Ink, String)> {
        let text = format!("dispatcher {name} {state}");
        let before = self.dispatchers.insert(name, state);
        match (before, state) {
            (Some(before), now) if before == now => None,
            // At the start nobody is there yet.
            (None, DispatcherState::Offline) => None,
            (_, DispatcherState::Offline) => Some((Ink::Bad, text)),
            (_, DispatcherState::Online) => Some((Ink::Good, text)),
        }
    }

    /// What an entry of the feed is worth saying; `None` for most.
    pub fn hear(&mut self, event: &FeedEvent) -> Option<(Ink, String)> {
        match event {
            FeedEvent {
                dispatcher: Some(DispatcherChange { name, state, .. }),
                ..
            } => self.met(name.clone(), *state),
            FeedEvent {
                board: Some(BoardChange { name, health, .. }),
                ..
            } => {
                let before = self.boards.insert(name.clone(), *health);
                if before == Some(*health) {
                    return None;
                }
                let ink = match health {
                    BoardHealth::Good | BoardHealth::Unknown => Ink::Good,
                    BoardHealth::Bad | BoardHealth::Looping => Ink::Bad,
                    BoardHealth::Maintenance | BoardHealth::Retired => Ink::Odd,
                };
                Some((ink, format!("board {name} {health}")))
            }
            _ => None,
        }
    }
}

/// A line of the status, with its time.
pub fn status_line(terminal: &Terminal, ink: Ink, text: &str) -> String {
    format!(
        "{}  {}",
        terminal.paint(Ink::Faint, &time_of_day()),
        terminal.paint(ink, &one_line(text))
    )
}

/// A line with its time, without colours.
pub fn timed(text: &str) -> String {
    format!("{}  {}", time_of_day(), one_line(text))
}

fn time_of_day() -> String {
    let now = basalt_clock::Clock::system().now().utc;
    // `2026-11-23 20:00:00 UTC`: who watches knows the day.
    let time = wording::utc(now);
    time.get(11..19).unwrap_or(&time).to_owned()
}

/// What happened to the dispatcher's process, for a person.
pub fn notice(notice: &Notice) -> Option<(Ink, String)> {
    match notice {
        Notice::Started { .. } => None,
        Notice::Found { pid } => Some((
            Ink::Plain,
            format!("found the dispatcher (pid {pid}) that a server before this one started"),
        )),
        Notice::OldToken { pid } => Some((
            Ink::Odd,
            format!("the dispatcher (pid {pid}) has a token of before; it is started again"),
        )),
        Notice::Foreign { instance } => Some((
            Ink::Bad,
            format!(
                "dispatcher {} (pid {}) has this state directory, for {}; none is started until it \
                 ends",
                instance.name, instance.pid, instance.server
            ),
        )),
        Notice::Died { how, pause } => Some((
            Ink::Bad,
            format!(
                "the dispatcher ended ({how}); {LOG} may say why; started again in {:.1} s",
                pause.as_secs_f32()
            ),
        )),
        Notice::Failed { why, pause } => Some((
            Ink::Bad,
            format!("{why}; tried again in {:.1} s", pause.as_secs_f32()),
        )),
    }
}
