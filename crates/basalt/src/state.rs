//! The directory in which this host keeps what it knows of one lab.

use std::path::{Path, PathBuf};

use anyhow::Context;
use basalt_runner::host::HostState;
use serde::{Deserialize, Serialize};

use crate::exit::refused;

/// Which lab a state directory belongs to.
const OWNER_FILE: &str = "lab.json";

/// `lab.json`: names of boards are only unique within a lab, so a directory serves one.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    version: u32,
    name: String,
}

/// The state directory of a lab: the one that was asked for, else the user's own.
pub fn directory(asked_for: Option<&Path>, lab: &str) -> anyhow::Result<PathBuf> {
    match asked_for {
        Some(directory) => std::path::absolute(directory)
            .with_context(|| format!("cannot find out where {} is", directory.display())),
        None => Ok(base(rustix::process::geteuid().is_root(), |name| {
            std::env::var_os(name).filter(|value| !value.is_empty())
        })?
        .join(lab)),
    }
}

/// Where the state of labs lies by default (XDG Base Directory Specification for users).
fn base(
    root: bool,
    variable: impl Fn(&str) -> Option<std::ffi::OsString>,
) -> anyhow::Result<PathBuf> {
    if root {
        return Ok("/var/lib/basalt".into());
    }
    let own = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    own("XDG_STATE_HOME")
        .or_else(|| own("HOME").map(|home| home.join(".local/state")))
        .map(|directory| directory.join("basalt"))
        .ok_or_else(|| refused("there is no home directory; say where to keep state with --state"))
}

/// Opens the state directory of a lab, making it where needed.
pub fn open(asked_for: Option<&Path>, lab: &str) -> anyhow::Result<HostState> {
    let directory = directory(asked_for, lab)?;
    let host = HostState::open(&directory).map_err(|error| {
        let error = anyhow::Error::new(error);
        match asked_for {
            Some(_) => error,
            None => {
                error.context("no place to keep what this host knows (--state DIR names another)")
            }
        }
    })?;
    claim(&directory, lab)?;
    Ok(host)
}

/// Notes that the directory is this lab's; refuses one that is another's.
fn claim(directory: &Path, lab: &str) -> anyhow::Result<()> {
    let path = directory.join(OWNER_FILE);
    if !path.exists() {
        let owner = Owner {
            version: 1,
            name: lab.to_owned(),
        };
        // Several programs may come first at once: each writes a file of its own, and one of them
        // gets the name.
        let own = directory.join(format!("lab-{}.json", uuid::Uuid::now_v7()));
        basalt_runner::directory::write_durably(&own, &serde_json::to_vec(&owner)?)?;
        let linked = std::fs::hard_link(&own, &path);
        std::fs::remove_file(&own).with_context(|| format!("cannot remove {}", own.display()))?;
        if let Err(error) = linked
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(error).with_context(|| format!("cannot write {}", path.display()));
        }
    }
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let owner: Owner =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
    if owner.name == lab {
        return Ok(());
    }
    Err(refused(format!(
        "the state directory {} belongs to the lab `{}`, not to `{lab}`; give each lab its own",
        directory.display(),
        owner.name
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_keeps_state_for_the_host_and_users_for_themselves() {
        let nothing = |_: &str| None;
        assert_eq!(base(true, nothing).unwrap(), Path::new("/var/lib/basalt"));
        let home = |name: &str| (name == "HOME").then(|| "/home/ada".into());
        assert_eq!(
            base(false, home).unwrap(),
            Path::new("/home/ada/.local/state/basalt")
        );
        let xdg = |name: &str| (name == "XDG_STATE_HOME").then(|| "/s".into());
        assert_eq!(base(false, xdg).unwrap(), Path::new("/s/basalt"));
        assert!(base(false, nothing).is_err());
    }

    #[test]
    fn a_state_directory_serves_one_lab() {
        let directory = tempfile::tempdir().unwrap();
        open(Some(directory.path()), "one").unwrap();
        open(Some(directory.path()), "one").unwrap();
        let error = open(Some(directory.path()), "two").unwrap_err();
        assert!(
            error.to_string().contains("belongs to the lab `one`"),
            "{error}"
        );
    }
    #[test]
    fn of_many_that_come_first_at_once_each_finds_the_directory_its_own() {
        let directory = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| open(Some(directory.path()), "one").unwrap());
            }
        });
        let left: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name.to_string_lossy().starts_with("lab"))
            .collect();
        assert_eq!(left, [OWNER_FILE]);
    }
}
