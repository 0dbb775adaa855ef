//! The dispatcher beside a server: started in a session of its own, so that it outlives a server
//! that is killed; found again by the next one; started again when it dies; ended with the server.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use basalt_dispatcher::instance::{self, Instance};
use basalt_model::UtcMicros;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use crate::keeping;

/// Where it writes what it has to say, below the state directory.
pub const LOG: &str = "dispatcher.log";

/// Pause before a dispatcher that died is started again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// One that lived so long died of something new.
const HEALTHY: Duration = Duration::from_secs(60);
/// How long a process may take to be gone once it was killed.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// How long the keeper may take to end.
const KEEPER_LIMIT: Duration = Duration::from_secs(5);
/// How long a keeper that a killed dispatcher started may take until it answers.
const KEEPER_BIRTH: Duration = Duration::from_millis(500);
const KEEPER_LOOK: Duration = Duration::from_millis(20);
/// Between two looks at a process that cannot be watched.
const LOOK: Duration = Duration::from_millis(200);

/// What happened to the dispatcher, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// One was started.
    Started {
        /// Its process.
        pid: u32,
    },
    /// One runs already: a server before this one started it.
    Found {
        /// Its process.
        pid: u32,
    },
    /// The one that runs has a token that does not work any more: it is told to let go.
    OldToken {
        /// Its process.
        pid: u32,
    },
    /// Another one, which works for another server, has the place.
    Foreign {
        /// Which.
        instance: Instance,
    },
    /// It ended, and is started again after a pause.
    Died {
        /// How.
        how: String,
        /// The pause.
        pause: Duration,
    },
    /// It cannot be started.
    Failed {
        /// Why not.
        why: String,
        /// The pause before the next try.
        pause: Duration,
    },
}

/// How the dispatcher is started.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// The state directory of the lab.
    pub state: PathBuf,
    /// The words before its command; empty for none.
    pub start_with: Vec<String>,
    /// The server, as the dispatcher dials it.
    pub server: String,
    /// Its token's file.
    pub token_file: PathBuf,
}

impl Embedded {
    /// Sees to it that one runs, until told to stop. Leaves it running then; a process that has not
    /// taken its place yet is handed back.
    pub async fn supervise(
        &self,
        notices: mpsc::UnboundedSender<Notice>,
        stop: CancellationToken,
    ) -> Option<Child> {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let mut found = instance::running(&self.state);
            // It took its place a moment ago and has not named itself yet.
            while found.as_ref().is_some_and(|instance| instance.pid == 0) {
                time::sleep(LOOK).await;
                found = instance::running(&self.state);
            }
            if let Some(instance) = found {
                let pid = instance.pid;
                let is_ours = instance.server == self.server;
                let is_outdated = is_ours && self.token_is_newer(instance.since);
                let _ = notices.send(match (is_ours, is_outdated) {
                    (true, false) => Notice::Found { pid },
                    (true, true) => Notice::OldToken { pid },
                    (false, _) => Notice::Foreign { instance },
                });
                if is_outdated {
                    // Its runs go on with the next one.
                    signal(pid, Signal::TERM);
                }
                tokio::select! {
                    () = self.gone(pid) => {}
                    () = stop.cancelled() => return None,
                }
                let how = "it ended".to_owned();
                let _ = notices.send(Notice::Died { how, pause });
            } else {
                match self.spawn() {
                    Ok(mut child) => {
                        let pid = child.id().unwrap_or_default();
                        let _ = notices.send(Notice::Started { pid });
                        let ended = tokio::select! {
                            ended = child.wait() => ended,
                            () = stop.cancelled() => return Some(child),
                        };
                        if begun.elapsed() >= HEALTHY {
                            pause = FIRST_PAUSE;
                        }
                        let how =
                            ended.map_or_else(|error| error.to_string(), |how| how.to_string());
                        let _ = notices.send(Notice::Died { how, pause });
                    }
                    Err(error) => {
                        let why = format!("{error:#}");
                        let _ = notices.send(Notice::Failed { why, pause });
                    }
                }
            }
            tokio::select! {
                () = time::sleep(pause) => {}
                () = stop.cancelled() => return None,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Whether the token was made after a dispatcher started: the server's database is another one,
    /// and the dispatcher's own token is unknown to it.
    fn token_is_newer(&self, since: UtcMicros) -> bool {
        let written = std::fs::metadata(&self.token_file)
            .and_then(|about| about.modified())
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        written.is_some_and(|time| i128::from(since.0) < time.as_micros() as i128)
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let program = std::env::current_exe().context("cannot find this program")?;
        // This program may be replaced while it runs; it can still start itself (proc(5)).
        let program = match program.exists() {
            true => program,
            false => PathBuf::from(format!("/proc/{}/exe", std::process::id())),
        };
        let mut words: Vec<OsString> = self.start_with.iter().map(OsString::from).collect();
        words.push(program.clone().into());
        words.push("dispatch".into());
        words.push("--server".into());
        words.push(self.server.clone().into());
        words.push("--token-file".into());
        words.push(self.token_file.clone().into());
        words.push("--state".into());
        words.push(self.state.clone().into());
        let mut command = Command::new(&program);
        command
            .arg("in-session")
            .arg("--log")
            .arg(self.state.join(LOG))
            .arg("--")
            .args(words)
            // What is said here holds, not what the environment says; and secrets stay here.
            .env_remove("BASALT_LAB")
            .env_remove("BASALT_STATE")
            .env_remove("BASALT_SERVER")
            .env_remove("BASALT_TOKEN")
            .env_remove("BASALT_DATABASE")
            .env_remove("NOTIFY_SOCKET")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().context("cannot start the dispatcher")
    }

    /// Returns once a dispatcher has left its place.
    async fn gone(&self, pid: u32) {
        loop {
            ended(pid).await;
            // It may have been another process of that number, or one that had not named itself.
            match instance::running(&self.state) {
                Some(instance) if instance.pid == pid => time::sleep(LOOK).await,
                _ => return,
            }
        }
    }

    /// Asks the dispatcher to end its runs, as Ctrl-C asks one that runs by itself. The server says
    /// the same over the link; this reaches it also where the link is down.
    pub fn ask_to_end(&self, child: Option<&Child>) {
        for pid in self.processes(child) {
            signal(pid, Signal::INT);
        }
    }

    /// Asks the dispatcher to finish its runs and end then.
    pub fn ask_to_drain(&self, child: Option<&Child>) {
        for pid in self.processes(child) {
            signal(pid, Signal::USR1);
        }
    }

    /// Returns once no dispatcher is left.
    pub async fn ended(&self, child: Option<&mut Child>) {
        if let Some(child) = child {
            let _ = child.wait().await;
        }
        while let Some(instance) = self.own() {
            self.gone(instance.pid).await;
        }
    }

    /// Ends dispatcher and keeper at once, whatever they are doing.
    pub async fn kill(&self, child: Option<&mut Child>) {
        for pid in self.processes(child.as_deref()) {
            signal(pid, Signal::KILL);
        }
        if time::timeout(KILL_LIMIT, self.ended(child)).await.is_err() {
            tracing::error!("the dispatcher was killed and does not end");
        }
        self.end_keeper(KEEPER_BIRTH).await;
    }

    /// Ends the console keeper, if one is left. One that was started a moment ago may not answer
    /// yet: it is looked for so long.
    pub async fn end_keeper(&self, birth: Duration) {
        let until = Instant::now() + birth;
        let keeper = loop {
            match keeping::meet(&self.state, "basalt serve").await {
                Some(keeper) => break keeper,
                None if Instant::now() >= until => return,
                None => time::sleep(KEEPER_LOOK).await,
            }
        };
        let pid = keeper.pid();
        let ended = async {
            let asked = keeper.shutdown().await;
            ended(pid).await;
            asked
        };
        if !matches!(time::timeout(KEEPER_LIMIT, ended).await, Ok(Ok(()))) {
            signal(pid, Signal::KILL);
        }
    }

    /// The dispatcher that runs for this server.
    fn own(&self) -> Option<Instance> {
        instance::running(&self.state).filter(|instance| instance.server == self.server)
    }

    /// The processes that are to end: the one in its place, and the one that was started.
    fn processes(&self, child: Option<&Child>) -> Vec<u32> {
        let instance = self.own().map(|instance| instance.pid);
        let mut pids: Vec<u32> = instance
            .into_iter()
            .chain(child.and_then(Child::id))
            .filter(|pid| *pid != 0)
            .collect();
        pids.dedup();
        pids
    }
}

/// Returns once a process has ended, at once if there is none.
async fn ended(pid: u32) {
    let watch = || -> Option<AsyncFd<std::os::fd::OwnedFd>> {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe; this descriptor is owned"
        )]
        AsyncFd::with_interest(process, Interest::READABLE).ok()
    };
    // A process's descriptor is readable once it has ended (pidfd_open(2)).
    if let Some(process) = watch() {
        let _ = process.readable().await;
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended meanwhile.
        let _ = kill_process(pid, signal);
    }
}
