//! What a served lab costs: `basalt serve` with its dispatcher and keeper, over simulated boards.
//!
//! All of it is real: the three processes of a release build, HTTP, relays and consoles over
//! sockets. The rack lives in a network namespace of its own, and the dispatcher in it; the server
//! listens on a free port of the host's loopback.
//!
//! - `job`: one job after the other, and jobs on many boards at once;
//! - `memory`: idle, and with a run on every board;
//! - `chatter`: a board that talks all the time, into the store and to a listener;
//! - `answers`: HTTP over a store of many jobs;
//! - `rack_time`, `usage` and `http` read the rack's log, ask the kernel, and ask the server.

pub mod answers;
pub mod chatter;
mod http;
pub mod job;
pub mod memory;
mod rack_time;
mod usage;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use self::http::{Client, Events, Site};
use self::rack_time::Mark;
use self::usage::Processes;
use super::{Options, simulated};
use crate::rack::Rack;
use crate::{process, workspace};

/// How long a server may take to greet, to find its dispatcher, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest that jobs of one bench may take.
const LONGEST: Duration = Duration::from_secs(300);
/// Boards behind one relay: the most that Tasmota switches.
const OUTLETS: usize = 8;
const LAB: &str = include_str!("simulated/lab.yaml");
/// A board type whose deadlines a busy machine keeps too.
const DEVICE_TYPE: &str = include_str!("served/device-type.yaml");
const SIMULATED_JOB: &str = include_str!("simulated/job.yaml");
/// What the kernel of a served bench weighs: transfers are not what it is about.
const KERNEL_BYTES: usize = 64 << 10;

/// A lab that is served. Everything that it started ends with it.
pub struct Lab {
    server: Server,
    /// After the server, which switches its boards off.
    rack: Rack,
}

impl Lab {
    /// Serves a new lab of so many boards, in a directory that is emptied first.
    pub fn start(options: &Options, name: &str, boards: usize) -> Result<Self> {
        let (basalt, virtual_rack) = options.programs()?;
        let directory = workspace::root().join("target/bench").join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory)
                .with_context(|| format!("clearing {}", directory.display()))?;
        }
        write_lab(&directory, boards)?;
        let files = directory.join("files");
        simulated::write(&files.join("kernel"), &simulated::kernel(KERNEL_BYTES))?;
        simulated::pack_ramdisk(&directory, &files.join("ramdisk.cpio"))?;
        let rack_directory = directory.join("rack");
        let rack = Rack::start(
            &virtual_rack,
            &directory.join("rack.toml"),
            &files,
            &rack_directory,
        )?;
        let inside = format!(
            "{} exec --ready {} --",
            virtual_rack.display(),
            rack_directory.join("ready.json").display()
        );
        let server = Server::start(&basalt, &directory, &["--dispatcher-start-with", &inside])?;
        let mut lab = Self { server, rack };
        lab.server.find_children(boards)?;
        Ok(lab)
    }

    /// The processes.
    pub fn processes(&self) -> &Processes {
        &self.server.processes
    }

    /// A new connection to the server.
    pub fn connect(&self) -> Result<Client> {
        self.server.site.connect()
    }

    /// The end of the rack's log now.
    pub fn mark(&self) -> Result<Mark> {
        Mark::at_end(&self.rack.log())
    }

    /// Hears of jobs from now on.
    pub fn listen(&self) -> Result<Jobs> {
        Ok(Jobs {
            events: self.connect()?.follow("/api/v1/events")?,
            told: HashSet::new(),
        })
    }

    /// Puts so many jobs into the queue and waits until all have passed; when the first was sent
    /// and the last was told to be finished.
    pub fn perform(&self, job: &str, count: usize) -> Result<(Instant, Instant)> {
        let mut jobs = self.listen()?;
        let mut client = self.connect()?;
        let begun = Instant::now();
        for _ in 0..count {
            client.submit(job)?;
        }
        let mut last = begun;
        for _ in 0..count {
            last = jobs.finished()?;
        }
        Ok((begun, last))
    }
}

/// What a server says of jobs as they change.
pub struct Jobs {
    events: Events,
    /// Which jobs were told in which state: an entry of the feed says how its job stands when it is
    /// sent, so that several may say the same.
    told: HashSet<(String, i64)>,
}

impl Jobs {
    /// Waits for the next job that is finished; when that was heard. It must have passed.
    pub fn finished(&mut self) -> Result<Instant> {
        let job = self.reached("finished")?;
        let now = Instant::now();
        ensure!(job["outcome"] == "pass", "a job did not pass: {job}");
        Ok(now)
    }

    /// Waits for another job to be in this state.
    pub fn reached(&mut self, state: &str) -> Result<Value> {
        let begun = Instant::now();
        while begun.elapsed() < LONGEST {
            let (_, data) = self.events.next()?;
            let event: Value = serde_json::from_str(&data).context("reading the feed")?;
            let job = &event["job"];
            if job["state"] == state
                && let Some(id) = job["id"].as_i64()
                && self.told.insert((state.to_owned(), id))
            {
                return Ok(job.clone());
            }
        }
        bail!("no job was {state} within {} s", LONGEST.as_secs())
    }
}

/// A running `basalt serve`; ended when dropped, with what it started.
pub struct Server {
    child: Child,
    directory: PathBuf,
    pub site: Site,
    pub processes: Processes,
}

impl Server {
    /// Starts one with its state and its account's configuration below `directory`, and waits for
    /// its greeting.
    pub fn start(basalt: &Path, directory: &Path, more: &[&str]) -> Result<Self> {
        let output = directory.join("serve.txt");
        let create =
            |path: &Path| File::create(path).with_context(|| format!("making {}", path.display()));
        let mut child = Command::new(basalt)
            .args(["serve", "--listen", "127.0.0.1:0", "--lab"])
            .arg(directory.join("lab"))
            .arg("--state")
            .arg(directory.join("state"))
            .args(more)
            .env("XDG_CONFIG_HOME", directory.join("config"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(create(&output)?)
            .stderr(create(&directory.join("serve.stderr.txt"))?)
            .spawn()
            .context("basalt serve cannot be started")?;
        let address = match greeting(&mut child, &output) {
            Ok(address) => address,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let processes = Processes {
            server: child.id(),
            dispatcher: None,
            keeper: None,
        };
        let mut server = Self {
            child,
            directory: directory.to_owned(),
            site: Site {
                address,
                token: String::new(),
            },
            processes,
        };
        let login = server.read_json("config/basalt/client.json")?;
        server.site.token = login["token"]
            .as_str()
            .context("the login has no token")?
            .to_owned();
        Ok(server)
    }

    fn read_json(&self, name: &str) -> Result<Value> {
        let path = self.directory.join(name);
        let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// Waits until dispatcher and keeper run and every console is open.
    fn find_children(&mut self, boards: usize) -> Result<()> {
        let mut client = self.site.connect()?;
        let begun = Instant::now();
        loop {
            let known = client.json("/api/v1/boards")?;
            let open = known["items"].as_array().map_or(0, |items| {
                let is_open = |board: &&Value| board["console"]["open"] == true;
                items.iter().filter(is_open).count()
            });
            let dispatcher = self
                .read_json("state/dispatcher/dispatcher.lock")
                .ok()
                .and_then(|instance| u32::try_from(instance["pid"].as_u64()?).ok());
            let keeper = fs::read_to_string(self.directory.join("state/keeper.pid"))
                .ok()
                .and_then(|text| text.trim().parse().ok());
            (self.processes.dispatcher, self.processes.keeper) = (dispatcher, keeper);
            if open == boards && dispatcher.is_some() && keeper.is_some() {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "{open} of {boards} consoles are open: {known:#}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends its runs, switches their boards off and ends its children; a second signal ends
        // all of them at once.
        for _ in 0..2 {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            if matches!(process::wait(&mut self.child, PATIENCE), Ok(Some(_))) {
                return;
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let children = [self.processes.dispatcher, self.processes.keeper];
        for pid in children.into_iter().flatten() {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            if let Some(pid) = pid {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// Waits for a server's greeting; where it listens.
fn greeting(child: &mut Child, output: &Path) -> Result<SocketAddr> {
    let begun = Instant::now();
    loop {
        let said = fs::read_to_string(output).unwrap_or_default();
        // The greeting's last line: all of it is there.
        if said.contains("Ctrl-C") {
            let rest = said.split_once("://").map_or("", |(_, rest)| rest);
            let end = rest.find(|character: char| character.is_whitespace() || character == '/');
            return rest[..end.unwrap_or(rest.len())]
                .parse()
                .with_context(|| format!("the greeting names no address:\n{said}"));
        }
        if let Some(status) = child.try_wait().context("waiting for basalt serve")? {
            let errors = fs::read_to_string(output.with_extension("stderr.txt"));
            bail!(
                "basalt serve ended at its start ({status}):\n{said}{}",
                errors.unwrap_or_default()
            );
        }
        ensure!(begun.elapsed() < PATIENCE, "basalt serve does not greet");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The lab's files and the rack's, for so many boards.
fn write_lab(directory: &Path, boards: usize) -> Result<()> {
    let lab = directory.join("lab");
    let put = |path: String, text: String| simulated::write(&lab.join(path), text.as_bytes());
    put("lab.yaml".into(), LAB.into())?;
    put("device-types/patient.yaml".into(), DEVICE_TYPE.into())?;
    let mut rack =
        "version = 1\nlog = \"rack.log\"\n[http]\nlisten = \"127.0.0.1:8000\"\n".to_owned();
    for relay in 0..boards.div_ceil(OUTLETS) {
        let port = 8100 + relay;
        put(
            format!("relays/relay-{relay}.yaml"),
            format!(
                "version: 1\nname: relay-{relay}\ndriver: tasmota\n\
                 url: http://127.0.0.1:{port}\ntimeout: 5s\n"
            ),
        )?;
        let first = relay * OUTLETS;
        let outlets: Vec<String> = (first..boards.min(first + OUTLETS))
            .map(|board| format!("\"sim-{board}\""))
            .collect();
        let _ = write!(
            rack,
            "[[relay]]\nkind = \"tasmota\"\nname = \"relay-{relay}\"\n\
             listen = \"127.0.0.1:{port}\"\noutlets = [{}]\n",
            outlets.join(", ")
        );
    }
    for board in 0..boards {
        let (console, address) = (7001 + board, 10 + board);
        put(
            format!("boards/sim-{board}.yaml"),
            format!(
                "version: 1\nname: sim-{board}\ntype: patient\n\
                 power: {{relay: relay-{}, outlet: {}}}\nconsole: {{tcp: 127.0.0.1:{console}}}\n\
                 network: {{mac: 52:54:00:77:02:{board:02x}, address: 127.77.0.{address}/8}}\n",
                board / OUTLETS,
                board % OUTLETS + 1
            ),
        )?;
        let _ = write!(
            rack,
            "[[board]]\nkind = \"simulated\"\nname = \"sim-{board}\"\n\
             tcp = \"127.0.0.1:{console}\"\naddress = \"127.77.0.{address}\"\n\
             speed = \"fast\"\nbootdelay = 1\n"
        );
    }
    simulated::write(&directory.join("rack.toml"), rack.as_bytes())
}

/// The small job: two files, a boot, three cases.
fn small_job() -> String {
    SIMULATED_JOB.replace("device_type: simulated", "device_type: patient")
}

/// A job of one test definition with these steps.
fn job_of(name: &str, steps: &[&str]) -> String {
    let job = small_job();
    let (head, _) = job
        .split_once("              steps:\n")
        .expect("the bench's own job has steps");
    let mut text = head.replace("job_name: three cases", &format!("job_name: {name}"));
    text.push_str("              steps:\n");
    for step in steps {
        let _ = writeln!(text, "                - '{}'", step.replace('\'', "''"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_the_steps_that_it_is_given() {
        let job = job_of("talks", &["echo 'all'"]);
        assert!(job.contains("job_name: talks\n"), "{job}");
        assert!(
            job.ends_with("steps:\n                - 'echo ''all'''\n"),
            "{job}"
        );
    }
}
