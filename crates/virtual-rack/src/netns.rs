//! `--netns`: the rack in a network namespace of its own, with a bridge and one tap a QEMU board.
//!
//! As root a network namespace is enough; else a user namespace comes with it (which needs /dev/net/tun to be usable by
//! everybody, as it is by default). The rack replaces itself by `unshare … virtual-rack …`, so its process id stays.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::config::Network;

/// Set in the environment of the re-executed rack, and only in its own.
pub const INSIDE: &str = "VIRTUAL_RACK_NETNS";

/// Replaces this process by itself in a new namespace; returns there.
pub fn enter() -> anyhow::Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let mut command = Command::new("unshare");
    command.arg("--net");
    let user = !rustix::process::geteuid().is_root();
    if user {
        command.args(["--user", "--map-root-user"]);
    }
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    command
        .arg("--")
        .arg(program)
        .args(std::env::args_os().skip(1));
    command.env(INSIDE, if user { "user" } else { "root" });
    Err(command.exec()).context("cannot run unshare (package util-linux)")
}

/// How to get into this process' namespace: for the ready file.
pub fn describe() -> Value {
    let mut arguments = vec!["--target".to_owned(), std::process::id().to_string()];
    if std::env::var_os(INSIDE).is_some_and(|how| how == "user") {
        arguments.extend(["--user".to_owned(), "--preserve-credentials".to_owned()]);
    }
    arguments.push("--net".to_owned());
    json!({"pid": std::process::id(), "nsenter": arguments})
}

/// Brings up loopback and the bridge with its address, and one tap for each of `boards`; returns the taps' names.
pub fn set_up(network: Option<&Network>, boards: usize) -> anyhow::Result<Vec<String>> {
    ip(&["link", "set", "lo", "up"])?;
    let Some(network) = network else {
        return Ok(Vec::new());
    };
    let bridge = network.bridge.as_str();
    ip(&[
        "link",
        "add",
        bridge,
        "type",
        "bridge",
        "forward_delay",
        "0",
    ])?;
    ip(&["address", "add", &network.address, "dev", bridge])?;
    ip(&["link", "set", bridge, "up"])?;
    let mut taps = Vec::new();
    for number in 0..boards {
        let tap = format!("tap{number}");
        ip(&["tuntap", "add", "dev", &tap, "mode", "tap"])?;
        ip(&["link", "set", &tap, "master", bridge])?;
        ip(&["link", "set", &tap, "up"])?;
        taps.push(tap);
    }
    Ok(taps)
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let done = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("cannot run ip (package iproute2)")?;
    ensure!(
        done.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&done.stderr).trim()
    );
    Ok(())
}

/// `virtual-rack exec`: replaces this process by a command in the namespace of the rack that wrote `ready`.
pub fn exec(ready: &Path, command: &[String]) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(ready)
        .with_context(|| format!("cannot read {}; is the rack running?", ready.display()))?;
    let ready: Value = serde_json::from_str(&text).context("not a ready file")?;
    let (program, arguments) = command.split_first().context("no command given")?;
    let mut enter = match ready["netns"]["nsenter"].as_array() {
        Some(words) => {
            let mut enter = Command::new("nsenter");
            enter
                .args(words.iter().filter_map(Value::as_str))
                .arg("--")
                .arg(program);
            enter
        }
        None if ready["netns"].is_null() => Command::new(program),
        None => bail!("the ready file has no nsenter arguments"),
    };
    Err(enter.args(arguments).exec()).with_context(|| format!("cannot run {program}"))
}
