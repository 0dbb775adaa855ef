//! The processes of a lab, looked after as a host's service manager would: what ends is started
//! again, what stands still goes on when its time has come.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use basalt_private_postgres::{PrivatePostgres, Settings};
use serde_json::Value;

use super::case::{Blow, Case, Database, Stroke, Victim};
use super::clients::Access;
use crate::e2e_harness::{Door, FARM, Running, Site, second_state, served, until};

/// Between the end of a process and its next start.
const PAUSE: Duration = Duration::from_millis(100);

/// A process that stands still, or PostgreSQL's where there is none.
struct Frozen {
    victim: Victim,
    pid: Option<u32>,
    until: Instant,
}

/// A stroke that hit something.
#[derive(Clone, Copy, Debug)]
pub struct Dealt {
    pub victim: Victim,
    pub blow: Blow,
    /// Microseconds UTC.
    pub at: i64,
}

/// Everything that runs.
pub struct Lab<'s> {
    site: &'s Site,
    /// The clients' way to the server.
    pub door: Door,
    /// The second dispatcher's.
    pub link: Door,
    settings: Vec<String>,
    database: Option<String>,
    serve: Option<Running>,
    greeted: bool,
    second: Option<Running>,
    second_starts: u32,
    postgres: Option<PrivatePostgres>,
    postgres_back: Option<Instant>,
    frozen: Vec<Frozen>,
    pause: Instant,
    /// What was done so far.
    pub dealt: Vec<Dealt>,
}

impl<'s> Lab<'s> {
    /// Starts server and dispatchers, and waits until both dispatchers are there.
    pub fn start(site: &'s Site, case: &Case) -> (Self, Access) {
        let postgres = (case.database == Database::Postgres).then(|| {
            // Nothing but processes is killed.
            PrivatePostgres::start(Settings { fsync: false }).unwrap()
        });
        let database = postgres
            .as_ref()
            .map(|postgres| postgres.create_database("basalt").unwrap());
        Self::over(site, case.scale.limits, postgres, database)
    }

    /// The same over SQLite with these limits: heartbeat, offline limit, margin.
    pub fn quiet(site: &'s Site, limits: [Duration; 3]) -> (Self, Access) {
        Self::over(site, limits, None, None)
    }

    fn over(
        site: &'s Site,
        limits: [Duration; 3],
        postgres: Option<PrivatePostgres>,
        database: Option<String>,
    ) -> (Self, Access) {
        let config = site.path().join("server.yaml");
        let [heartbeat, offline_limit, margin] = limits.map(|limit| limit.as_millis());
        let text = format!(
            "version: 1\nlimits: {{heartbeat: {heartbeat}ms, offline_limit: {offline_limit}ms, margin: {margin}ms}}\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut settings = vec!["--config".to_owned(), config.to_str().unwrap().to_owned()];
        if let Some(url) = &database {
            settings.extend(["--database".to_owned(), url.clone()]);
        }
        let mut lab = Self {
            site,
            door: Door::open(),
            link: Door::open(),
            settings,
            database,
            serve: None,
            greeted: false,
            second: None,
            second_starts: 0,
            postgres,
            postgres_back: None,
            frozen: Vec::new(),
            pause: Instant::now(),
            dealt: Vec::new(),
        };
        until("the server's greeting", || {
            lab.tend();
            lab.greeted.then_some(())
        });
        let access = Access {
            address: lab.door.address(),
            token: token(site),
        };
        let headers = "Content-Type: application/json\r\n";
        let (status, body) = access
            .ask(
                "POST",
                "/api/v1/dispatchers",
                headers,
                r#"{"name": "second"}"#,
            )
            .unwrap();
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
        write_for_owner(&token_file(site), &body);
        until("both dispatchers to be online", || {
            lab.tend();
            lab.is_whole(&access).then_some(())
        });
        (lab, access)
    }

    /// Where the server keeps its state.
    pub fn database(&self) -> String {
        self.database.clone().unwrap_or_else(|| {
            let file = self.site.state().join("server/basalt.db");
            format!("sqlite:{}", file.display())
        })
    }

    /// Starts what has ended, lets go on what has stood still for long enough.
    pub fn tend(&mut self) {
        let now = Instant::now();
        let frozen = std::mem::take(&mut self.frozen).into_iter();
        let (due, frozen): (Vec<_>, Vec<_>) = frozen.partition(|one| one.until <= now);
        self.frozen = frozen;
        for frozen in due {
            self.thaw(&frozen);
        }
        if let Some(postgres) = &mut self.postgres
            && self.postgres_back.is_some_and(|back| back <= now)
        {
            self.postgres_back = None;
            postgres.restart().unwrap();
        }
        self.tend_server();
        self.tend_second();
    }

    fn tend_server(&mut self) {
        if self.serve.as_mut().is_some_and(Running::has_ended) {
            self.serve = None;
            self.pause = Instant::now() + PAUSE;
        }
        if self.serve.is_none() && self.pause <= Instant::now() {
            let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
            self.serve = Some(served::begin(self.site, FARM, &settings));
            self.greeted = false;
        }
        if let Some(serve) = &self.serve
            && !self.greeted
        {
            let stdout = serve.stdout();
            if stdout.contains("Ctrl-C") {
                let address = served::address(&stdout);
                self.door.lead_to(address);
                self.link.lead_to(address);
                self.greeted = true;
            }
        }
    }

    fn tend_second(&mut self) {
        if self.second.as_mut().is_some_and(Running::has_ended) {
            self.second = None;
        }
        let token = token_file(self.site);
        if self.second.is_some() || !token.exists() {
            return;
        }
        self.second_starts += 1;
        let server = format!("http://{}", self.link.address());
        let mut command = self.site.basalt(&["dispatch", "--server", &server]);
        command
            .arg("--token-file")
            .arg(token)
            .env("BASALT_STATE", second_state(self.site))
            .env("RUST_LOG", "info");
        let name = format!("second-{}", self.second_starts);
        let path = self.site.path();
        self.second = Some(Running::start(command, path, &name, path.join(&name)));
    }

    fn thaw(&self, frozen: &Frozen) {
        match frozen.pid {
            Some(pid) => send(self.site, pid, "CONT"),
            None => {
                if let Some(postgres) = &self.postgres {
                    postgres.thaw().unwrap();
                }
            }
        }
    }

    /// Lets everything go on that stands still.
    pub fn thaw_all(&mut self) {
        for frozen in std::mem::take(&mut self.frozen) {
            self.thaw(&frozen);
        }
    }

    /// Whoever it is now.
    pub fn pid(&self, victim: Victim) -> Option<u32> {
        let pid = match victim {
            Victim::Server => self.serve.as_ref()?.pid(),
            Victim::Dispatcher(which) => {
                let path = state(self.site, which).join("dispatcher/dispatcher.lock");
                let instance: Value =
                    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
                u32::try_from(instance["pid"].as_u64()?).ok()?
            }
            Victim::Keeper(which) => {
                let path = state(self.site, which).join("keeper.pid");
                let text = std::fs::read_to_string(path).ok()?;
                text.trim().parse().ok()?
            }
            Victim::Postgres => return None,
        };
        is_ours(self.site, pid).then_some(pid)
    }

    /// Strikes; false where there is nothing to strike, or it stands still already.
    pub fn strike(&mut self, stroke: &Stroke) -> bool {
        let frozen = |frozen: &Frozen| frozen.victim == stroke.victim;
        let pid = self.pid(stroke.victim);
        match (stroke.victim, stroke.blow) {
            (_, Blow::Freeze(_)) if self.frozen.iter().any(frozen) => return false,
            (Victim::Postgres, blow) => {
                let Some(postgres) = &mut self.postgres else {
                    return false;
                };
                if self.postgres_back.is_some() {
                    return false;
                }
                match blow {
                    Blow::Kill => {
                        postgres.kill9().unwrap();
                        self.postgres_back = Some(Instant::now() + Duration::from_millis(500));
                    }
                    Blow::Freeze(_) => postgres.freeze().unwrap(),
                }
            }
            (_, blow) => {
                let Some(pid) = pid else {
                    return false;
                };
                let signal = match blow {
                    Blow::Kill => "KILL",
                    Blow::Freeze(_) => "STOP",
                };
                send(self.site, pid, signal);
            }
        }
        if let Blow::Freeze(time) = stroke.blow {
            self.frozen.push(Frozen {
                victim: stroke.victim,
                pid,
                until: Instant::now() + time,
            });
        }
        self.dealt.push(Dealt {
            victim: stroke.victim,
            blow: stroke.blow,
            at: now_us(),
        });
        true
    }

    /// Nothing stands still or is away, and both dispatchers are connected.
    pub fn is_whole(&self, access: &Access) -> bool {
        let whole = self.frozen.is_empty() && self.postgres_back.is_none() && self.greeted;
        whole
            && access.get("/api/v1/dispatchers").is_ok_and(|list| {
                let list = list["items"].as_array().unwrap();
                list.len() == 2 && list.iter().all(|one| one["state"] == "online")
            })
    }

    /// Ends everything as a person does, and finds nothing left behind.
    pub fn end(mut self) -> (Option<PrivatePostgres>, Vec<Dealt>) {
        let second = self.second.take().expect("it was looked after");
        second.signal("INT");
        second.wait().expect_code(0);
        let serve = self.serve.take().expect("it was looked after");
        serve.signal("INT");
        let ended = serve.wait();
        ended.expect_code(0);
        let left: Vec<String> = ours(self.site)
            .into_iter()
            .map(|pid| {
                let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&words).replace('\0', " ")
            })
            .collect();
        assert_eq!(left, [""; 0], "left behind");
        (self.postgres.take(), std::mem::take(&mut self.dealt))
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        // Who starts others goes first. Killed, not asked: they may stand still.
        drop(self.serve.take());
        drop(self.second.take());
        for pid in ours(self.site) {
            send(self.site, pid, "KILL");
        }
        if let Some(postgres) = &self.postgres {
            let _ = postgres.thaw();
        }
    }
}

/// The state directory of a dispatcher.
pub fn state(site: &Site, which: usize) -> PathBuf {
    match which {
        0 => site.state(),
        _ => second_state(site),
    }
}

/// Microseconds UTC.
pub fn now_us() -> i64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(now.as_micros()).unwrap()
}

fn token(site: &Site) -> String {
    let path = site.state().join("server/client-token.json");
    let login: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    login["token"].as_str().unwrap().to_owned()
}

fn token_file(site: &Site) -> PathBuf {
    site.path().join("second.json")
}

fn write_for_owner(path: &Path, content: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let new = path.with_extension("new");
    let file = options.write(true).create_new(true).mode(0o600).open(&new);
    file.unwrap().write_all(content).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// Whether a process is a `basalt` of this site. Numbers are used again, and other tests run beside
/// this one.
fn is_ours(site: &Site, pid: u32) -> bool {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let environment = || std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let path = site.path().to_str().unwrap().as_bytes();
    let names = |text: &[u8]| text.windows(path.len()).any(|part| part == path);
    served::is_alive(pid) && (names(&words) || names(&environment()))
}

/// All of them.
fn ours(site: &Site) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| is_ours(site, *pid)).collect()
}

fn send(site: &Site, pid: u32, signal: &str) {
    if is_ours(site, pid) {
        // It may end in this moment.
        let _ = Command::new("kill")
            .args([&format!("-{signal}"), &pid.to_string()])
            .status();
    }
}
