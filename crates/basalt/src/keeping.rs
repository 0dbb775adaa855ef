//! The console keeper of a lab: started where none answers, in a session of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use basalt_console::client::KeeperClient;
use basalt_console::session::Restart;
use basalt_console::{Attachment, BoardConsole, KeptConsole};
use tokio::process::Child;
use tokio::time::Instant;

/// A keeper that was started along the way ends when nobody was there for so long.
pub const LINGER: Duration = Duration::from_secs(600);
/// Where a keeper in the background writes what it has to say, below the state directory.
pub const LOG: &str = "keeper.log";

/// How long the way to a console may take to open.
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// How long a keeper that was started may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const ANSWER_PAUSE: Duration = Duration::from_millis(50);

/// How a keeper is started.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// The state directory.
    pub state: PathBuf,
    /// The lab whose consoles it keeps; without it, those that its clients name.
    pub lab: Option<PathBuf>,
    /// How long it stays without clients.
    pub linger: Option<Duration>,
}

impl Keeping {
    /// Starts a keeper in the background. Where one runs already, the new one finds that out and
    /// ends. Returns before it listens.
    pub fn start(&self) -> io::Result<()> {
        // The runtime reaps it, should it end first.
        self.launch().map(drop)
    }

    /// The same, for whoever sees it to its end.
    pub fn launch(&self) -> io::Result<Child> {
        match self.spawn(&std::env::current_exe()?) {
            // This program was replaced while it runs; it can still start itself (proc(5)).
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.spawn(Path::new("/proc/self/exe"))
            }
            started => started,
        }
    }

    fn spawn(&self, program: &Path) -> io::Result<Child> {
        let mut command = tokio::process::Command::new(program);
        command.arg0("basalt");
        command.arg("keeper").arg("--in-background");
        command.arg("--state").arg(&self.state);
        // What is said here holds, not what the environment says.
        command.env_remove("BASALT_LAB").env_remove("BASALT_STATE");
        if let Some(lab) = &self.lab {
            command.arg("--lab").arg(lab);
        }
        if let Some(linger) = self.linger {
            command
                .arg("--linger")
                .arg(basalt_yaml::format_duration(linger));
        }
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn()
    }

    /// Starts a keeper and waits until one answers.
    pub async fn start_and_meet(&self) -> anyhow::Result<KeeperClient> {
        self.start()?;
        let until = Instant::now() + ANSWER_LIMIT;
        loop {
            match KeeperClient::connect(&self.state, "basalt keeper").await {
                Ok(client) => return Ok(client),
                Err(error) if Instant::now() >= until => {
                    return Err(anyhow::Error::new(error).context(format!(
                        "the console keeper does not answer; {} may say why",
                        self.state.join(LOG).display()
                    )));
                }
                Err(_) => tokio::time::sleep(ANSWER_PAUSE).await,
            }
        }
    }

    /// As the hook of a console's session.
    pub fn restart(&self) -> Restart {
        let keeping = Arc::new(self.clone());
        Arc::new(move || {
            let keeping = keeping.clone();
            Box::pin(async move { keeping.start() })
        })
    }

    /// Attaches a console and waits until the way to it is open.
    ///
    /// # Errors
    /// In words, with every cause.
    pub async fn attach(
        &self,
        console: KeptConsole,
        from: Option<u64>,
        writer: Option<String>,
    ) -> Result<BoardConsole, String> {
        let attachment = self.attachment(console, from, writer);
        let mut console = BoardConsole::attach(attachment)
            .await
            .map_err(|error| self.explain(&error))?;
        console
            .wait_open(Instant::now() + OPEN_LIMIT)
            .await
            .map_err(|error| self.explain(&error))?;
        Ok(console)
    }

    /// What a session of a console is attached to.
    pub fn attachment(
        &self,
        console: KeptConsole,
        from: Option<u64>,
        writer: Option<String>,
    ) -> Attachment {
        Attachment {
            state_dir: self.state.clone(),
            console,
            writer,
            from,
            restart: self.restart(),
        }
    }

    /// An error of a console's session with its causes, and where the keeper may say more.
    pub fn explain(&self, error: &basalt_console::session::SessionError) -> String {
        use basalt_console::session::SessionError;
        let mut text = chain(error);
        if matches!(
            error,
            SessionError::Connect { .. } | SessionError::Restart(_)
        ) {
            let log = self.state.join(LOG);
            text.push_str(&format!("; {} may say why", log.display()));
        }
        text
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

/// A keeper of this state directory that answers now, if there is one.
pub async fn meet(state: &Path, client: &str) -> Option<KeeperClient> {
    KeeperClient::connect(state, client).await.ok()
}
