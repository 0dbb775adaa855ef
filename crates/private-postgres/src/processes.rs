//! The processes of a server, by the kernel's word.

use std::path::PathBuf;

use rustix::process::{Pid, Signal};

/// Sends a signal; a process that is gone already needs none.
pub(crate) fn signal(process: Pid, signal: Signal) {
    match rustix::process::kill_process(process, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        // Ours, or postgres's and we are root.
        Err(error) => unreachable!("own processes can be signalled: {error}"),
    }
}

/// The processes that this one started and that are still there.
pub(crate) fn children_of(parent: Pid) -> std::io::Result<Vec<Pid>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that is gone meanwhile is nobody's child any more.
        let Some((parent_of, _)) = stat(pid) else {
            continue;
        };
        if parent_of == parent.as_raw_nonzero().get() {
            children.extend(Pid::from_raw(pid));
        }
    }
    Ok(children)
}

/// Whether a process is there and has not ended.
pub(crate) fn is_alive(process: Pid) -> bool {
    stat(process.as_raw_nonzero().get()).is_some_and(|(_, state)| state != 'Z')
}

/// Parent and state of a process: `/proc/PID/stat` has the name in parentheses, which may hold
/// anything, then the state, then the parent (proc(5)).
fn stat(pid: i32) -> Option<(i32, char)> {
    let path: PathBuf = ["/proc", &pid.to_string(), "stat"].iter().collect();
    let text = std::fs::read_to_string(path).ok()?;
    let mut words = text.get(text.rfind(')')? + 1..)?.split_whitespace();
    let state = words.next()?.chars().next()?;
    Some((words.next()?.parse().ok()?, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_until_it_has_ended() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        let own = rustix::process::getpid();
        assert!(children_of(own).unwrap().contains(&pid));
        assert!(is_alive(pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_alive(pid));
        assert!(!children_of(own).unwrap().contains(&pid));
    }
}
