//! `basalt serve` over a site, spoken to as its users speak to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::{Finished, Running, Site, http, until};

/// A server that runs. What it started is ended with it, however the test ends.
pub struct Served<'s> {
    site: &'s Site,
    running: Option<Running>,
    address: SocketAddr,
}

impl<'s> Served<'s> {
    /// Starts a server over the lab of a board and waits until it greets.
    pub fn start(site: &'s Site, board: &str, more: &[&str]) -> Self {
        let running = begin(site, board, more);
        let address = until("the server's greeting", || {
            let stdout = running.stdout();
            // The greeting's last line: all of it is there.
            stdout.contains("Ctrl-C").then(|| address(&stdout))
        });
        Self {
            site,
            running: Some(running),
            address,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it was not waited for yet")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// What it said so far.
    pub fn stdout(&self) -> String {
        self.running().stdout()
    }

    /// The local account's token.
    pub fn token(&self) -> String {
        let path = config(self.site).join("basalt/client.json");
        let text = std::fs::read_to_string(path).unwrap();
        let login: Value = serde_json::from_str(&text).unwrap();
        login["token"].as_str().unwrap().to_owned()
    }

    /// Asks its API; the answer must be JSON.
    pub fn ask(&self, method: &str, path: &str, content_type: &str, body: &str) -> (u16, Value) {
        let headers = format!(
            "Authorization: Bearer {}\r\nContent-Type: {content_type}\r\n",
            self.token()
        );
        let (status, text) =
            http::request_with(self.address, method, path, &headers, body).unwrap();
        let json = serde_json::from_str(&text);
        (
            status,
            json.unwrap_or_else(|error| panic!("{method} {path}: {error}: {text}")),
        )
    }

    /// Asks for something that is there.
    pub fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask("GET", path, "application/json", "");
        assert_eq!(status, 200, "{path}: {value:#}");
        value
    }

    /// Submits a job; its number.
    pub fn submit(&self, job: &str) -> i64 {
        let (status, value) = self.ask("POST", "/api/v1/jobs", "application/yaml", job);
        assert_eq!(status, 201, "{value:#}");
        value["id"].as_i64().unwrap()
    }

    /// Waits until a job is in this state, and gives it.
    pub fn wait_for(&self, job: i64, state: &str) -> Value {
        until(&format!("job {job} to be {state}"), || {
            let value = self.get(&format!("/api/v1/jobs/{job}"));
            (value["state"] == state).then_some(value)
        })
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        self.running().signal(name);
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Finished {
        self.running.take().expect("it is waited for once").wait()
    }

    /// Waits for its end; what it started goes on.
    pub fn wait_and_leave(mut self) -> Finished {
        let finished = self.running.take().expect("it is waited for once").wait();
        // What it started is the next server's now.
        std::mem::forget(self);
        finished
    }

    /// Ends it as the kernel's out-of-memory killer would; what it started goes on.
    pub fn kill(mut self) -> Finished {
        let finished = self.running.take().expect("it is ended once").kill();
        // What it started is the next server's now.
        std::mem::forget(self);
        finished
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        // Before the dispatcher, which it would start again.
        drop(self.running.take());
        if let Some(pid) = dispatcher(self.site) {
            kill(pid);
        }
    }
}

/// Starts a server without waiting for anything.
pub fn begin(site: &Site, board: &str, more: &[&str]) -> Running {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("serve-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut command = site.basalt(&["serve", "--listen", "127.0.0.1:0"]);
    command
        .arg("--lab")
        .arg(site.lab(board))
        .args(more)
        .env("XDG_CONFIG_HOME", config(site))
        .env("RUST_LOG", "info");
    for (name, _) in std::env::vars_os() {
        let is_ours = name.to_string_lossy().starts_with("BASALT_");
        if is_ours && name != "BASALT_STATE" {
            command.env_remove(name);
        }
    }
    Running::start(command, site.path(), &name, site.path().join(&name))
}

/// The account's own configuration.
pub fn config(site: &Site) -> PathBuf {
    site.path().join("config")
}

/// The address in a greeting.
pub fn address(greeting: &str) -> SocketAddr {
    let (_, rest) = greeting.split_once("://").expect("an address of pages");
    let end = rest.find(|character: char| character.is_whitespace() || character == '/');
    rest[..end.unwrap_or(rest.len())].parse().unwrap()
}

/// The dispatcher that runs at the site's state, by its own word.
pub fn dispatcher(site: &Site) -> Option<u32> {
    let path = site.state().join("dispatcher/dispatcher.lock");
    let text = std::fs::read_to_string(path).ok()?;
    let instance: Value = serde_json::from_str(&text).ok()?;
    let pid = u32::try_from(instance["pid"].as_u64()?).ok()?;
    is_alive(pid).then_some(pid)
}

/// The console keeper of the site's state, by its own word.
pub fn keeper(site: &Site) -> Option<u32> {
    let text = std::fs::read_to_string(site.state().join("keeper.pid")).ok()?;
    let pid = text.trim().parse().ok()?;
    is_alive(pid).then_some(pid)
}

/// Whether a process is one of ours and has not ended.
pub fn is_alive(pid: u32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else {
        return false;
    };
    status.starts_with("Name:\tbasalt") && !status.contains("State:\tZ")
}

/// Ends a process as the kernel's out-of-memory killer would.
pub fn kill(pid: u32) {
    let _ = Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
}
