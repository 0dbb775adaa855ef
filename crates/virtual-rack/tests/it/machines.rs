//! Emulated boards and the rack's own network namespace. Needs qemu-system-arm, u-boot-qemu and iproute2.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{Console, Rack, processes_with, until};

#[test]
fn an_emulated_board_comes_up_in_u_boot_and_dies_with_its_power() {
    let rack = Rack::start(
        "[[board]]\nkind = 'qemu'\nname = 'q'\ntcp = '127.0.0.1:0'\nmac = '52:54:00:77:00:0a'\nicount = 3\n",
    );
    let mut console = Console::attach(&rack, "q");
    let socket = rack.dir.path().join("run/q.sock");
    for boot in 1..=2 {
        rack.power("q", true);
        console.expect("U-Boot 2");
        console.reach_prompt();
        assert_eq!(
            console.uboot("printenv ethaddr"),
            "ethaddr=52:54:00:77:00:0a\r\n"
        );
        assert_eq!(rack.counter("q", "boots"), boot);
        assert_eq!(processes_with(&socket).len(), 1);
        rack.power("q", false);
        until("the emulator to end", || {
            processes_with(&socket).is_empty().then_some(())
        });
    }
    // The log's line follows the process' end.
    until("both exits in the log", || {
        let exits = rack
            .log()
            .into_iter()
            .filter(|line| line["ev"] == "qemu-exit");
        let by: Vec<_> = exits.map(|line| line["by"].clone()).collect();
        (by == ["power", "power"]).then_some(())
    });
}

#[test]
fn an_emulator_that_ends_by_itself_or_does_not_start_is_in_the_log() {
    let rack = Rack::start(
        "[[board]]\nkind = 'qemu'\nname = 'bad'\nmac = '52:54:00:77:00:0a'\nextra = ['-no-such-option']\n\
         [[board]]\nkind = 'qemu'\nname = 'none'\nmac = '52:54:00:77:00:0b'\nprogram = '/nonexistent/qemu'\n",
    );
    for board in ["bad", "none"] {
        rack.power(board, true);
        until("the exit", || {
            let log = rack.log();
            log.iter()
                .any(|line| {
                    line["ev"] == "qemu-exit" && line["board"] == board && line["by"] == "itself"
                })
                .then_some(())
        });
    }
}

const NETWORK: &str = "version = 1
[http]
listen = '10.77.0.1:8000'
[network]
address = '10.77.0.1/24'
[[board]]
kind = 'qemu'
name = 'q'
mac = '52:54:00:77:00:0a'
";

fn rack(dir: &Path) -> Command {
    let config = dir.join("rack.toml");
    std::fs::write(&config, NETWORK).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_virtual-rack"));
    command
        .arg("--config")
        .arg(config)
        .arg("--run-dir")
        .arg(dir.join("run"))
        .arg("--netns");
    command
}

#[test]
fn a_command_runs_beside_the_boards_and_its_status_is_the_racks() {
    let dir = tempfile::tempdir().unwrap();
    let script = "ip -brief address show br0; ip -brief link show tap0; exit 7";
    let done = rack(dir.path())
        .args(["--", "sh", "-c", script])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert_eq!(
        done.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(
        said.contains("10.77.0.1/24") && said.contains("tap0"),
        "{said}"
    );
}

#[test]
fn other_programs_get_into_the_racks_network_with_its_ready_file() {
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("ready.json");
    let mut child = rack(dir.path())
        .arg("--ready")
        .arg(&ready)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the ready file", || ready.exists().then_some(()));
    let seen = Command::new(env!("CARGO_BIN_EXE_virtual-rack"))
        .args(["exec", "--ready"])
        .arg(&ready)
        .args(["--", "ip", "-brief", "address", "show", "br0"])
        .output()
        .unwrap();
    let ended = Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(ended.success() && child.wait().unwrap().success());
    let said = String::from_utf8_lossy(&seen.stdout);
    assert!(
        said.contains("10.77.0.1/24"),
        "{said}{}",
        String::from_utf8_lossy(&seen.stderr)
    );
    assert!(!ready.exists());
}
