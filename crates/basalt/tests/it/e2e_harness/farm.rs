//! Two racks of simulated boards behind two dispatchers, and the lab that describes both.
//!
//! The first dispatcher, `main`, is the one beside the server; the other, `second`, is started by
//! whoever needs it, with a state directory of its own. Each has relays of its own.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::site::{NFS_PORT, TFTP_PORT};
use super::slot::Slot;
use super::{Board, Site};

/// The lab's name among those of the site: [`Site::lab`] gives its directory.
pub const FARM: &str = "farm";

/// What one relay box has.
const OUTLETS: usize = 8;

/// Where the second dispatcher keeps its state.
pub fn second_state(site: &Site) -> PathBuf {
    site.path().join("state-2")
}

impl Site {
    /// The boards of `main`, those of `second`, and their lab.
    pub fn farm(main: &[Board], second: &[Board]) -> Self {
        let halves = [main, second];
        let site = Self::over(|slot| rack_config(halves, slot));
        write_lab(&site, halves);
        site
    }
}

/// The boards of each relay box, with the box's name, in the order of halves.
fn boxes(halves: [&[Board]; 2]) -> Vec<(usize, String, &[Board])> {
    let mut boxes = Vec::new();
    for (half, boards) in halves.into_iter().enumerate() {
        for (number, boards) in boards.chunks(OUTLETS).enumerate() {
            boxes.push((half, format!("pdu-{half}-{number}"), boards));
        }
    }
    boxes
}

fn rack_config(halves: [&[Board]; 2], slot: &Slot) -> String {
    let mut text =
        "version = 1\nrun_dir = 'rack'\n[http]\nlisten = '127.0.0.1:0'\nfiles = 'files'\n"
            .to_owned();
    for (_, name, boards) in boxes(halves) {
        let outlets: Vec<String> = boards
            .iter()
            .map(|board| format!("'{}'", board.name()))
            .collect();
        let _ = write!(
            text,
            "[[relay]]\nkind = 'tasmota'\nname = '{name}'\nlisten = '127.0.0.1:0'\noutlets = [{}]\n",
            outlets.join(", ")
        );
    }
    for (index, board) in halves.into_iter().flatten().enumerate() {
        let _ = write!(
            text,
            "[[board]]\nkind = 'simulated'\nname = '{}'\ntcp = '127.0.0.1:0'\naddress = '{}'\ntftp_port = {TFTP_PORT}\ncpus = 2\n{}",
            board.name(),
            slot.board(index),
            board.rack
        );
    }
    text
}

fn write_lab(site: &Site, halves: [&[Board]; 2]) {
    let lab = site.lab(FARM);
    for name in ["dispatchers", "relays", "boards", "device-types"] {
        std::fs::create_dir_all(lab.join(name)).unwrap();
    }
    let put = |path: String, text: String| std::fs::write(lab.join(path), text).unwrap();
    let serves = |half: usize, indent: &str| {
        let address = site.slot.dispatcher(half);
        format!(
            "{indent}address: {address}\n{indent}tftp: {address}:{TFTP_PORT}\n{indent}nfs: {address}:{NFS_PORT}\n{indent}allow_hosts: [127.0.0.1]\n"
        )
    };
    put(
        "lab.yaml".into(),
        format!("version: 1\nname: farm\ndispatcher:\n{}", serves(0, "  ")),
    );
    put(
        "dispatchers/second.yaml".into(),
        format!("version: 1\nname: second\n{}", serves(1, "")),
    );
    put(
        "device-types/simulated-test.yaml".into(),
        DEVICE_TYPE.into(),
    );
    let mut index = 0;
    for (half, relay, boards) in boxes(halves) {
        let http = &site.rack.ready()["relays"][&relay]["http"];
        let owner = ["main", "second"][half];
        put(
            format!("relays/{relay}.yaml"),
            format!(
                "version: 1\nname: {relay}\ndispatcher: {owner}\ndriver: tasmota\nurl: http://{}\ntimeout: 5s\n",
                http.as_str().unwrap()
            ),
        );
        for (outlet, board) in (1..).zip(boards) {
            let name = board.name();
            let tcp = &site.rack.ready()["boards"][name]["tcp"];
            put(
                format!("boards/{name}.yaml"),
                format!(
                    "version: 1\nname: {name}\ntype: simulated-test\npower: {{relay: {relay}, outlet: {outlet}}}\nconsole: {{tcp: {}}}\nnetwork: {{mac: 52:54:00:77:00:{index:02x}, address: {}/8}}\ntags: [{owner}]\n",
                    tcp.as_str().unwrap(),
                    site.slot.board(index),
                ),
            );
            index += 1;
        }
    }
}

/// The built-in type `simulated` with deadlines of a minute: what stands still or is killed for half
/// of one must not be taken for a board that does, and what was lost with a keeper is awaited in vain
/// until its deadline, then done again.
const DEVICE_TYPE: &str = "\
version: 1
name: simulated-test
extends: simulated
timeouts:
  http-download: 300s
  reset-device: 60s
  bootloader-interrupt: 60s
  bootloader-commands: 60s
  auto-login-action: 60s
  login-action: 60s
  expect-shell-connection: 60s
  environment-record: 60s
  lava-test-shell: 60s
  realtime-phase: 60s
  realtime-transfer: 60s
  finalize: 300s
";
