//! The processes of a rack's host: a dispatcher, which a test may kill, and its keeper.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{Site, until};

/// A dispatcher that runs; killed when dropped.
pub struct Dispatcher {
    child: Child,
}

impl Dispatcher {
    /// Starts one for the server behind a socket.
    pub fn start(site: &Site, server: &str) -> Self {
        std::fs::create_dir_all(site.state()).unwrap();
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(site.path().join("dispatcher.log"))
            .unwrap();
        let state = site.state();
        let state = state.to_str().unwrap();
        let child = crate::process::command(&["dispatch", state, "main", server])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop.
    pub fn signal(&self, which: Signal) {
        signal(self.child.id(), which);
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        until("the dispatcher to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The keeper's process.
pub fn keeper_pid(site: &Site) -> u32 {
    let pid = std::fs::read_to_string(site.state().join("keeper.pid")).unwrap();
    pid.trim().parse().unwrap()
}

/// Sends a signal to a process that a test has started.
pub fn signal(pid: u32, which: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, which).unwrap();
}

/// Ends the keeper of a state directory, if there is one; its process id is its own word.
pub fn end_keeper(state: &Path) {
    let Ok(pid) = std::fs::read_to_string(state.join("keeper.pid")) else {
        return;
    };
    let pid = pid.trim().to_owned();
    let own = std::env::current_exe().unwrap();
    if std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == own)
        && let Ok(pid) = pid.parse()
    {
        signal(pid, Signal::KILL);
    }
}
