//! The lab of the demonstration: a rack of virtual boards, and `basalt serve` over it as anybody
//! would start it. Its server can be killed and started again; the lab can be left running.
//!
//! Everything lies below one directory: `server.yaml`, `serve.log`, `state/` (what the lab keeps),
//! `config/` (the client's login), `rack/`. What runs of it is found by that directory's path in
//! the processes' command lines.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::rack::{self, Rack};
use crate::{process, workspace};

/// How long a server may take until it greets and its dispatcher is there, and a dispatcher until
/// it is started again.
const START: Duration = Duration::from_secs(120);
/// Between two looks at a file.
const LOOK: Duration = Duration::from_millis(50);
/// How long `basalt serve` may take to end: longer than it gives its runs.
const END: Duration = Duration::from_secs(230);
/// How long a process that was killed may take to be gone, and a client to answer.
const SOON: Duration = Duration::from_secs(30);

/// The name of the file that says whether the lab was left running.
const NOTE: &str = "lab.json";
const VERSION: u32 = 1;

/// What the next demonstration must know of this one.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Note {
    version: u32,
    /// It was asked to stay.
    stays: bool,
    /// The pages' address.
    url: String,
}

/// A lab that serves. Everything of it ends when this is dropped.
pub struct Lab {
    basalt: PathBuf,
    virtual_rack: PathBuf,
    directory: PathBuf,
    rack: Option<Rack>,
    server: Option<Child>,
    stays: bool,
    url: String,
    login_link: String,
}

impl Lab {
    /// Clears the directory, builds the programs, starts the rack and a server over it, and waits
    /// until its dispatcher is there. One that `stays` does not hear this terminal's Ctrl-C.
    pub fn start(directory: &Path, stays: bool) -> Result<Self> {
        let (basalt, virtual_rack) = rack::build_programs(false)?;
        let root = workspace::root();
        if directory.exists() {
            fs::remove_dir_all(directory)
                .with_context(|| format!("clearing {}", directory.display()))?;
        }
        let start_rack = match stays {
            true => Rack::start_apart,
            false => Rack::start,
        };
        let rack = start_rack(
            &virtual_rack,
            &root.join("lab-config/virtual/rack.toml"),
            &root.join("target/boards"),
            &directory.join("rack"),
        )?;
        // JSON's strings and lists are YAML's too.
        let settings = format!(
            "# The server of `cargo xtask demo`. Its dispatcher is started where the boards are.\n\
             version: 1\nlab: {}\nstate: {}\ndispatcher:\n  start_with: {}\n",
            quoted(&root.join("lab-config/virtual")),
            quoted(&directory.join("state")),
            Value::from_iter([
                text(&virtual_rack),
                "exec".to_owned(),
                "--ready".to_owned(),
                text(rack.ready()),
                "--".to_owned(),
            ]),
        );
        write_private(&directory.join("server.yaml"), &settings)?;
        let mut lab = Self {
            basalt,
            virtual_rack,
            directory: directory.to_owned(),
            rack: Some(rack),
            server: None,
            stays,
            url: String::new(),
            login_link: String::new(),
        };
        let greeting = lab.start_server("127.0.0.1:0")?;
        lab.url = word_after(&greeting, "page")?;
        lab.login_link = word_after(&greeting, "log in")?;
        let url = lab.url.clone();
        let note = Note {
            version: VERSION,
            stays,
            url,
        };
        let note = serde_json::to_string(&note).context("writing what the lab is")?;
        write_private(&lab.directory.join(NOTE), &note)?;
        lab.write_curl_settings()?;
        wait_for("the dispatcher", || {
            let boards = lab.client_json(&["boards"])?;
            let mut boards = boards.as_array().into_iter().flatten();
            Ok(boards
                .all(|board| board["dispatcher_state"] == "online")
                .then_some(()))
        })?;
        Ok(lab)
    }

    /// The pages' address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The link of the first start; it logs a browser in once.
    pub fn login_link(&self) -> &str {
        &self.login_link
    }

    /// The rack's log of everything that truly went over the wires.
    pub fn rack_log(&self) -> Result<PathBuf> {
        Ok(self.rack()?.log())
    }

    fn rack(&self) -> Result<&Rack> {
        self.rack.as_ref().context("the rack has ended")
    }

    /// The server's process.
    pub fn server(&self) -> Result<Pid> {
        let server = self.server.as_ref().context("the server has ended")?;
        Ok(Pid::from_child(server))
    }

    /// Kills the server, and nothing that it started; when it was gone, microseconds UTC.
    pub fn kill_server(&mut self) -> Result<i64> {
        let mut server = self.server.take().context("the server has ended")?;
        let early = server.try_wait().context("looking at the server")?;
        ensure!(early.is_none(), "the server had ended by itself: {early:?}");
        server.kill().context("killing the server")?;
        server.wait().context("waiting for the killed server")?;
        now()
    }

    /// Starts the server again, where it was.
    pub fn restart_server(&mut self) -> Result<()> {
        let listen = self.url.replace("http://", "");
        let greeting = self.start_server(&listen)?;
        let url = word_after(&greeting, "page")?;
        ensure!(url == self.url, "the server came back as {url}");
        Ok(())
    }

    /// The dispatcher's process, by its own word.
    pub fn dispatcher(&self) -> Result<Pid> {
        let path = self.directory.join("state/dispatcher/dispatcher.lock");
        let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let instance: Value =
            serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?;
        let pid = instance["pid"]
            .as_i64()
            .and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(Pid::from_raw)
            .with_context(|| format!("{} names no process", path.display()))
    }

    /// The console keeper's process.
    pub fn keeper(&self) -> Result<Pid> {
        let path = self.directory.join("state/keeper.pid");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let pid = text.trim().parse().ok().and_then(Pid::from_raw);
        pid.with_context(|| format!("{} names no process", path.display()))
    }

    /// Waits until another dispatcher than `before` has its place; the server starts it by itself.
    pub fn another_dispatcher(&self, before: Pid) -> Result<Pid> {
        wait_for("another dispatcher", || {
            // Whoever takes the place writes its name a moment later.
            let now = self.dispatcher().ok().filter(|now| *now != before);
            Ok(now.filter(|now| running(&self.directory).iter().any(|one| one.pid == *now)))
        })
    }

    /// `basalt` with the login that the server's first start left.
    pub fn client(&self, arguments: &[&str]) -> Command {
        let mut command = self.basalt(arguments);
        command.current_dir(workspace::root());
        command
    }

    /// What a verb with `--json` says.
    pub fn client_json(&self, arguments: &[&str]) -> Result<Value> {
        let said = process::run(self.client(arguments).arg("--json"), SOON)?;
        serde_json::from_str(&said).with_context(|| format!("basalt {}", arguments.join(" ")))
    }

    /// Fetches `path` of the API into a file: no code of Basalt's is between.
    pub fn fetch(&self, path: &str, file: &Path) -> Result<()> {
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        }
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--fail", "--config"])
            .arg(self.directory.join("curl.conf"))
            .arg("--output")
            .arg(file)
            .arg(format!("{}{path}", self.url));
        process::run(&mut command, SOON)
            .map(drop)
            .with_context(|| format!("fetching {path}"))
    }

    /// A command in the rack's network, for runs without a server.
    pub fn inside(&self, state: &Path) -> Result<Command> {
        let mut command = self.rack()?.command(&self.virtual_rack, &self.basalt);
        command.env("BASALT_STATE", state);
        Ok(command)
    }

    /// Ends the server as Ctrl-C does; nothing that it started may be left. The rack goes on.
    pub fn stop_server(&mut self) -> Result<()> {
        let mut server = self.server.take().context("the server has ended")?;
        kill_process(Pid::from_child(&server), Signal::INT).context("ending the server")?;
        let Some(status) = process::wait(&mut server, END)? else {
            self.server = Some(server);
            bail!("the server did not end within {} s", END.as_secs());
        };
        ensure!(status.success(), "the server ended with {status}");
        let left: Vec<String> = running(&self.directory)
            .into_iter()
            .filter(|one| one.is("basalt"))
            .map(|one| one.to_string())
            .collect();
        ensure!(
            left.is_empty(),
            "the server left behind: {}",
            left.join("; ")
        );
        Ok(())
    }

    /// Ends the rack; nothing of the lab may be left.
    pub fn stop_rack(mut self) -> Result<()> {
        drop(self.rack.take());
        let left: Vec<String> = running(&self.directory)
            .into_iter()
            .map(|one| one.to_string())
            .collect();
        ensure!(left.is_empty(), "the lab left behind: {}", left.join("; "));
        Ok(())
    }

    /// Leaves everything running.
    pub fn leave(mut self) {
        // A child that is dropped goes on.
        self.server = None;
        if let Some(rack) = self.rack.take() {
            rack.leave();
        }
    }

    /// Starts a server; what it greeted with.
    fn start_server(&mut self, listen: &str) -> Result<String> {
        let path = self.directory.join("serve.log");
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("opening {}", path.display()))?;
        let before = log.metadata().map_or(0, |about| about.len() as usize);
        let errors = log.try_clone().context("sharing the server's log")?;
        let mut command = self.basalt(&["serve", "--listen", listen, "--config"]);
        command
            .arg(self.directory.join("server.yaml"))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        if self.stays {
            command.process_group(0);
        }
        let server = command.spawn().context("basalt serve cannot be started")?;
        let server = self.server.insert(server);
        wait_for("the server's greeting", || {
            let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let said = String::from_utf8_lossy(&text[before..]).into_owned();
            if let Some(status) = server.try_wait().context("looking at the server")? {
                bail!("basalt serve ended at its start ({status}):\n{said}");
            }
            // The greeting's last line: all of it is there.
            Ok(said.contains("Ctrl-C ends runs").then_some(said))
        })
    }

    /// `basalt`, without what the caller's environment says to it.
    fn basalt(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.basalt);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BASALT_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .env("XDG_CONFIG_HOME", self.directory.join("config"));
        command
    }

    /// The login for curl, out of everybody's sight.
    fn write_curl_settings(&self) -> Result<()> {
        let path = self.directory.join("config/basalt/client.json");
        let login = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let login: Value = serde_json::from_slice(&login)
            .with_context(|| format!("reading {}", path.display()))?;
        let token = login["token"].as_str().context("the login has no token")?;
        write_private(
            &self.directory.join("curl.conf"),
            &format!("header = \"Authorization: Bearer {token}\"\n"),
        )
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let was_stopped = self.server.is_none() && self.rack.is_none();
        if !was_stopped && let Err(error) = end_all(&self.directory) {
            eprintln!("the lab did not end as it should: {error:#}");
        }
    }
}

/// The address of a lab that was left running in this directory.
pub fn left_running(directory: &Path) -> Result<Option<String>> {
    let path = directory.join(NOTE);
    let note: Note = match fs::read(&path) {
        Ok(text) => {
            serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    ensure!(
        note.version == VERSION,
        "{} is of version {}, this program writes {VERSION}",
        path.display(),
        note.version
    );
    let serves = running(directory).iter().any(|one| one.has_verb("serve"));
    Ok((note.stays && serves).then_some(note.url))
}

/// Ends whatever runs of a lab in this directory, as gently as it lets itself be ended; how many
/// processes there were.
pub fn end_all(directory: &Path) -> Result<usize> {
    let count = running(directory).len();
    // Each of them ends those after it; what was killed before has left some.
    let steps: [(&str, Signal, Duration); 4] = [
        ("serve", Signal::INT, END),
        ("dispatch", Signal::INT, END),
        ("keeper", Signal::TERM, SOON),
        ("virtual-rack", Signal::TERM, SOON),
    ];
    for (what, signal, limit) in steps {
        let those = running(directory).into_iter();
        for one in those.filter(|one| one.has_verb(what) || one.is(what)) {
            end(&one, signal, limit)?;
        }
    }
    let left: Vec<String> = running(directory).iter().map(ToString::to_string).collect();
    ensure!(left.is_empty(), "still there: {}", left.join("; "));
    Ok(count)
}

/// Asks a process to end; kills it when it does not.
fn end(one: &Running, signal: Signal, limit: Duration) -> Result<()> {
    for (signal, limit) in [(signal, limit), (Signal::KILL, SOON)] {
        match kill_process(one.pid, signal) {
            Ok(()) => {}
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("ending {one}")),
        }
        if process::wait_gone(one.pid, limit)? {
            return Ok(());
        }
    }
    bail!("{one} does not end");
}

/// Kills a process at once and waits until it is gone.
pub fn kill(pid: Pid) -> Result<()> {
    kill_process(pid, Signal::KILL).with_context(|| format!("killing process {pid}"))?;
    ensure!(
        process::wait_gone(pid, SOON)?,
        "process {pid} was killed and does not end"
    );
    Ok(())
}

/// Microseconds UTC.
pub fn now() -> Result<i64> {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .context("this host's clock is before 1970")?;
    i64::try_from(since.as_micros()).context("this host's clock is far in the future")
}

/// A process of a lab.
struct Running {
    pid: Pid,
    words: Vec<String>,
}

impl Running {
    /// Whether it runs this program.
    fn is(&self, program: &str) -> bool {
        let first = self.words.first().map(Path::new);
        first
            .and_then(Path::file_name)
            .is_some_and(|name| name == program)
    }

    /// Whether it is `basalt VERB`.
    fn has_verb(&self, verb: &str) -> bool {
        self.is("basalt") && self.words.get(1).is_some_and(|word| word == verb)
    }
}

impl std::fmt::Display for Running {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "process {} ({})", self.pid, self.words.join(" "))
    }
}

/// The processes of the lab in this directory: those of our programs that name it.
fn running(directory: &Path) -> Vec<Running> {
    let place = format!("{}/", directory.display());
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            // Empty for what has ended and was not waited for; it is gone as far as a lab goes.
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line);
            let words: Vec<String> = line.split_terminator('\0').map(str::to_owned).collect();
            let one = Running { pid, words };
            let names_it = one.words.iter().any(|word| word.contains(&place));
            let is_known =
                one.is("basalt") || one.is("virtual-rack") || one.is("qemu-system-aarch64");
            (names_it && is_known).then_some(one)
        })
        .collect()
}

/// Looks until there is something to be seen.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        if begun.elapsed() > START {
            bail!("{what} did not come within {} s", START.as_secs());
        }
        std::thread::sleep(LOOK);
    }
}

/// The first word behind a name that begins a line.
fn word_after(greeting: &str, name: &str) -> Result<String> {
    let lines = greeting.lines();
    let mut rests = lines.filter_map(|line| line.trim_start().strip_prefix(name));
    let word = rests.find_map(|rest| rest.split_whitespace().next());
    word.map(str::to_owned)
        .with_context(|| format!("the server does not say its {name:?}:\n{greeting}"))
}

/// A file that only its owner reads.
fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn quoted(path: &Path) -> Value {
    Value::from(text(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_gives_address_and_link() {
        let greeting = "basalt serves the lab virtual\n\n  page        http://127.0.0.1:5\n  \
                        log in      http://127.0.0.1:5/login?token=x\n              works once\n";
        assert_eq!(word_after(greeting, "page").unwrap(), "http://127.0.0.1:5");
        let link = word_after(greeting, "log in").unwrap();
        assert_eq!(link, "http://127.0.0.1:5/login?token=x");
        assert!(word_after(greeting, "state").is_err());
    }
}
