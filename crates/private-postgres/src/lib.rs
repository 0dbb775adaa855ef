//! A PostgreSQL cluster of one's own, for tests and benches: in a temporary directory, on a Unix
//! socket only, gone when it is dropped.
//!
//! It can be killed, frozen and restarted, as a database in the world can. It dies with the
//! process that started it. PostgreSQL refuses to run as root, so root starts it as `postgres`.
//!
//! Not done here: talking to it. [`PrivatePostgres::url`] is what a driver takes.

mod processes;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

/// How long a server may take to start, stop or answer: machines of tests are slow.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a server may take to end without a checkpoint before it is killed.
const AT_ONCE: Duration = Duration::from_secs(10);
/// How often the server's state is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Where Debian and Ubuntu keep the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Why there is no cluster, or why it does not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// PostgreSQL is not installed.
    #[error("there is no PostgreSQL under {VERSIONS}; install it: apt-get install postgresql")]
    NotInstalled,
    /// Root cannot run PostgreSQL, and the account that could is missing.
    #[error("there is no account `postgres` to run PostgreSQL as; install the package postgresql")]
    NoAccount,
    /// A file or process of the cluster failed.
    #[error("cannot {doing}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A program of PostgreSQL failed.
    #[error("{program} failed: {said}")]
    Program {
        /// Which.
        program: String,
        /// What it said.
        said: String,
    },
    /// The server did not come up.
    #[error("the PostgreSQL server {problem}; its log ends: {log}")]
    Server {
        /// What it did instead.
        problem: &'static str,
        /// The last lines of its log.
        log: String,
    },
}

/// How the cluster is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether commits reach the disk. Off is faster, and loses nothing while only processes are
    /// killed.
    pub fsync: bool,
}

/// A running cluster.
pub struct PrivatePostgres {
    binaries: PathBuf,
    account: Option<Account>,
    directory: TempDir,
    server: Option<Server>,
}

/// The account that root runs the server as.
#[derive(Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

/// The server's first process.
struct Server {
    child: Child,
    pid: Pid,
    /// Keeps the thread that started it: the server dies with that thread.
    _starter: mpsc::Sender<()>,
}

impl PrivatePostgres {
    /// Makes a cluster and starts its server. Blocks until it takes connections.
    pub fn start(settings: Settings) -> Result<Self, ClusterError> {
        let binaries = find_binaries(Path::new(VERSIONS)).ok_or(ClusterError::NotInstalled)?;
        let account = match rustix::process::geteuid().is_root() {
            true => Some(find_account()?),
            false => None,
        };
        let directory = tempfile::Builder::new()
            .prefix("basalt-postgres-")
            .tempdir()
            .map_err(|source| system("make a directory for the cluster", source))?;
        if let Some(account) = account {
            std::os::unix::fs::chown(directory.path(), Some(account.user), Some(account.group))
                .map_err(|source| system("give the directory to postgres", source))?;
        }
        let mut cluster = Self {
            binaries,
            account,
            directory,
            server: None,
        };
        cluster.initialize(settings)?;
        cluster.start_server()?;
        Ok(cluster)
    }

    /// The URL of the cluster's first database, for the superuser.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Makes another database, empty; its URL.
    pub fn create_database(&self, name: &str) -> Result<String, ClusterError> {
        let mut command = self.command("createdb");
        command
            .arg("-h")
            .arg(self.directory.path())
            .args(["-U", "postgres", name]);
        run(&mut command)?;
        Ok(self.url_of(name))
    }

    /// Kills all processes of the server with SIGKILL, at whatever they are. Blocks until they are
    /// gone.
    pub fn kill9(&mut self) -> Result<(), ClusterError> {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        // A stopped one starts no others, so the list is complete.
        processes::signal(server.pid, Signal::STOP);
        let children = processes::children_of(server.pid)
            .map_err(|source| system("list the server's processes", source))?;
        for child in &children {
            processes::signal(*child, Signal::KILL);
        }
        processes::signal(server.pid, Signal::KILL);
        server
            .child
            .wait()
            .map_err(|source| system("wait for the server's end", source))?;
        let until = Instant::now() + PATIENCE;
        while children.iter().any(|child| processes::is_alive(*child)) {
            if Instant::now() > until {
                return Err(self.server_error("does not end after SIGKILL"));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Stops all processes of the server where they are: connections stay open, nothing answers.
    pub fn freeze(&self) -> Result<(), ClusterError> {
        if let Some(server) = &self.server {
            processes::signal(server.pid, Signal::STOP);
            self.signal_children(server.pid, Signal::STOP)?;
        }
        Ok(())
    }

    /// Lets frozen processes go on.
    pub fn thaw(&self) -> Result<(), ClusterError> {
        if let Some(server) = &self.server {
            self.signal_children(server.pid, Signal::CONT)?;
            processes::signal(server.pid, Signal::CONT);
        }
        Ok(())
    }

    /// Starts the server again, after killing it if it runs. Blocks until it takes connections.
    pub fn restart(&mut self) -> Result<(), ClusterError> {
        self.kill9()?;
        self.start_server()
    }

    fn signal_children(&self, server: Pid, signal: Signal) -> Result<(), ClusterError> {
        let children = processes::children_of(server)
            .map_err(|source| system("list the server's processes", source))?;
        for child in children {
            processes::signal(child, signal);
        }
        Ok(())
    }

    fn url_of(&self, database: &str) -> String {
        let host = self.directory.path().display();
        format!("postgres://postgres@localhost/{database}?host={host}")
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// One of PostgreSQL's programs, run as the account that may. What it starts dies with the
    /// thread that started it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        if let Some(account) = self.account {
            command
                .arg(format!("--reuid={}", account.user))
                .arg(format!("--regid={}", account.group))
                .arg("--clear-groups");
        }
        command
            .args(["--pdeathsig", "QUIT", "--"])
            .arg(self.binaries.join(program))
            .current_dir(self.directory.path())
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    fn initialize(&self, settings: Settings) -> Result<(), ClusterError> {
        let mut command = self.command("initdb");
        command
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "-D"])
            .arg(self.data());
        run(&mut command)?;
        // Shared memory as files of the cluster's own directory: a server that is killed leaves none
        // behind in the host's memory.
        let configuration = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nfsync = {}\n\
             max_connections = 100\nshared_buffers = '32MB'\n\
             dynamic_shared_memory_type = mmap\n",
            self.directory.path().display(),
            if settings.fsync { "on" } else { "off" },
        );
        let path = self.data().join("postgresql.auto.conf");
        std::fs::write(&path, configuration)
            .map_err(|source| system("write the cluster's configuration", source))
    }

    fn start_server(&mut self) -> Result<(), ClusterError> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .map_err(|source| system("open the server's log", source))?;
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .stdout(Stdio::null())
            .stderr(log);
        // What is left of a killed one must not be taken for the word of the new one.
        match std::fs::remove_file(self.data().join("postmaster.pid")) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(system("remove the old server's pid file", source));
            }
            _ => {}
        }
        let (starter, until_dropped) = mpsc::channel::<()>();
        let (started, child) = mpsc::channel();
        std::thread::spawn(move || {
            if started.send(command.spawn()).is_ok() {
                // Ends when the cluster lets go of its side.
                until_dropped.iter().for_each(drop);
            }
        });
        let child = child
            .recv()
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|source| system("start setpriv", source))?;
        let pid = Pid::from_child(&child);
        self.server = Some(Server {
            child,
            pid,
            _starter: starter,
        });
        self.await_ready()
    }

    /// Waits until the server's pid file says `ready` in its eighth line
    /// (`src/include/utils/pidfile.h` of PostgreSQL).
    fn await_ready(&mut self) -> Result<(), ClusterError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let pid_file = std::fs::read_to_string(self.data().join("postmaster.pid"));
            if pid_file.is_ok_and(|text| text.lines().nth(7).is_some_and(|l| l.trim() == "ready")) {
                return Ok(());
            }
            if let Some(server) = &mut self.server
                && matches!(server.child.try_wait(), Ok(Some(_)))
            {
                self.server = None;
                return Err(self.server_error("ended at once"));
            }
            if Instant::now() > until {
                return Err(self.server_error("does not come up"));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Asks the server to end without a checkpoint. One that is killed instead leaves a segment of
    /// System V shared memory behind, and a host has only so many of them.
    fn end_at_once(&mut self) {
        let Some(server) = &mut self.server else {
            return;
        };
        processes::signal(server.pid, Signal::QUIT);
        let until = Instant::now() + AT_ONCE;
        // One that does not end, a frozen one say, is killed by whoever called.
        while Instant::now() < until {
            if matches!(server.child.try_wait(), Ok(Some(_))) {
                self.server = None;
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    fn server_error(&self, problem: &'static str) -> ClusterError {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let log = lines[lines.len().saturating_sub(10)..].join("\n");
        ClusterError::Server { problem, log }
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        self.end_at_once();
        if let Err(error) = self.kill9() {
            eprintln!("a private PostgreSQL is left behind: {error}");
        }
    }
}

/// The programs of the newest version that is installed.
fn find_binaries(versions: &Path) -> Option<PathBuf> {
    std::fs::read_dir(versions)
        .ok()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version: u32 = path.file_name().and_then(OsStr::to_str)?.parse().ok()?;
            let binaries = path.join("bin");
            let whole = ["postgres", "initdb", "createdb"]
                .iter()
                .all(|program| binaries.join(program).is_file());
            whole.then_some((version, binaries))
        })
        .max()
        .map(|(_, binaries)| binaries)
}

/// Looks `postgres` up in `/etc/passwd`.
fn find_account() -> Result<Account, ClusterError> {
    let accounts = std::fs::read_to_string("/etc/passwd")
        .map_err(|source| system("read /etc/passwd", source))?;
    accounts
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some("postgres") {
                return None;
            }
            Some(Account {
                user: fields.nth(1)?.parse().ok()?,
                group: fields.next()?.parse().ok()?,
            })
        })
        .ok_or(ClusterError::NoAccount)
}

fn run(command: &mut Command) -> Result<(), ClusterError> {
    let output = command
        .output()
        .map_err(|source| system("start setpriv", source))?;
    if output.status.success() {
        return Ok(());
    }
    Err(ClusterError::Program {
        program: format!("{command:?}"),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

fn system(doing: &str, source: std::io::Error) -> ClusterError {
    ClusterError::System {
        doing: doing.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_version_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(find_binaries(directory.path()), None);
        for (version, programs) in [
            ("9", &["postgres", "initdb", "createdb"][..]),
            ("15", &["postgres", "initdb", "createdb"]),
            ("17", &["createdb"]),
        ] {
            let binaries = directory.path().join(version).join("bin");
            std::fs::create_dir_all(&binaries).unwrap();
            for program in programs {
                std::fs::write(binaries.join(program), "").unwrap();
            }
        }
        let found = find_binaries(directory.path());
        assert_eq!(found, Some(directory.path().join("15/bin")));
    }
}
