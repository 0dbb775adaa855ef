//! Mistakes are all found at once, each at its place.

use basalt_lab::{builtin, read};
use basalt_yaml::Diagnostics;

use crate::{LAB, RELAY, board, file, lines, read_with_builtin, refused};

#[test]
fn five_mistakes_in_a_lab_come_at_once_each_at_its_line_and_column() {
    let (lab, rendered) = read_with_builtin(&[
        file(
            "lab.yaml",
            &LAB.replace("10.77.0.1}", "10.77.0.1, tfpt: 10.77.0.1:69}"),
        ),
        file("relays/rack.yaml", RELAY),
        file("boards/one.yaml", &board(1)),
        file(
            "boards/two.yaml",
            "\
version: 1
name: sim-2
type: simulatd
power:
  relay: rack
  outlet: 1
console:
  tcp: 10.77.0.1
network:
  mac: 52:54:00:77:0g:02
  address: 10.77.0.12/24
",
        ),
    ]);
    assert_eq!(lab, None);
    insta::assert_snapshot!(rendered, @r#"
    error: unknown key `tfpt` in `dispatcher`
     --> lab.yaml:3:34
      |
    3 | dispatcher: {address: 10.77.0.1, tfpt: 10.77.0.1:69}
      |                                  ^^^^
      = help: did you mean `tftp`?

    error: there is no type `simulatd`
     --> boards/two.yaml:3:7
      |
    3 | type: simulatd
      |       ^^^^^^^^
      = help: did you mean `simulated`?

    error: outlet 1 of relay `rack` belongs to board `sim-1` already, at boards/one.yaml:4:30
     --> boards/two.yaml:6:11
      |
    6 |   outlet: 1
      |           ^

    error: `tcp` must be a host and a port, such as 10.77.0.1:7001, found the text `10.77.0.1`
     --> boards/two.yaml:8:8
      |
    8 |   tcp: 10.77.0.1
      |        ^^^^^^^^^
      = help: the port is missing

    error: `mac` must be a MAC address such as 52:54:00:12:34:56, found the text `52:54:00:77:0g:02`
      --> boards/two.yaml:10:8
       |
    10 |   mac: 52:54:00:77:0g:02
       |        ^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn what_two_boards_use_is_named_with_both_places() {
    let found = refused(&[
        file("lab.yaml", LAB),
        file("relays/rack.yaml", RELAY),
        file(
            "relays/card.yaml",
            "version: 1\nname: card\ndriver: lcus\npath: /dev/ttyUSB0\n",
        ),
        file("boards/a.yaml", &board(1)),
        file("boards/b.yaml", &board(1)),
        file(
            "boards/c.yaml",
            &board(2)
                .replace("tcp: 10.77.0.1:7002", "serial: /dev/ttyUSB0")
                .replace("address: 10.77.0.12", "address: 10.77.0.1"),
        ),
    ]);
    insta::assert_snapshot!(found.join("\n"), @r#"
    boards/b.yaml:2:7: the name `sim-1` belongs to another board already, at boards/a.yaml:2:7 (-)
    boards/b.yaml:4:30: outlet 1 of relay `rack` belongs to board `sim-1` already, at boards/a.yaml:4:30 (-)
    boards/b.yaml:5:16: the console `10.77.0.1:7001` belongs to board `sim-1` already, at boards/a.yaml:5:16 (-)
    boards/b.yaml:6:16: the MAC address 52:54:00:77:00:01 belongs to board `sim-1` already, at boards/a.yaml:6:16 (-)
    boards/b.yaml:6:44: the address 10.77.0.11 belongs to board `sim-1` already, at boards/a.yaml:6:44 (-)
    boards/c.yaml:5:19: the console `/dev/ttyUSB0` belongs to relay `card` already, at relays/card.yaml:4:7 (-)
    boards/c.yaml:6:44: 10.77.0.1 is the dispatcher's address (-)
    "#);
}

#[test]
fn every_kind_of_value_is_checked() {
    let found = refused(&[
        file(
            "lab.yaml",
            "\
version: 2
name: My Lab
dispatcher:
  address: 10.77.0
  nfs: 2049
  file_roots: [srv/files]
",
        ),
        file(
            "relays/a.yaml",
            "version: 1\nname: a\ndriver: tasmotta\nurl: http://x\n",
        ),
        file(
            "relays/b.yaml",
            "\
version: 1
name: b
driver: tasmota
url: https://relay/cm
timeout: 5
credentials: {user: admin}
",
        ),
        file(
            "relays/c.yaml",
            "version: 1\nname: c\ndriver: lcus\nurl: http://x\n",
        ),
        file(
            "boards/b.yaml",
            "\
version: 1
name: -b
type: simulated
power: {relay: b, outlet: 010, off_time: 2s}
console: {character_delay: 5s}
network: {mac: 01:00:5e:00:00:01, address: 10.77.0.5}
limits:
  - {measure: cyclictst, load: [hackbench], limit: 400}
",
        ),
        file(
            "device-types/t.yaml",
            "\
version: 1
name: t
extends: base-u-boot
u_boot:
  prompt: '=> ('
  kernel_args: root={NFSROOT}
  commands:
    ramdisk: ['tftpboot {KERNLE_ADDR} x', '{BOOTX}']
  load_addresses:
    image: {kernel: 0x40400000, ramdisk: 0x40400000, dtb: 4a000000}
    Image: {}
shell: {results_dir: /lava}
timeouts: {bootloader-interupt: 10s}
",
        ),
    ]);
    insta::assert_snapshot!(found.join("\n"), @r#"
    device-types/t.yaml:5:11: `prompt` must be a regular expression, found the text `=> (` (unclosed group)
    device-types/t.yaml:6:16: `kernel_args` must be one line with known placeholders, found the text `root={NFSROOT}` (nothing stands for `{NFSROOT}`; did you mean `{NFSROOTFS}`?)
    device-types/t.yaml:8:15: item 1 of `ramdisk` must be one line with known placeholders, found the text `tftpboot {KERNLE_ADDR} x` (nothing stands for `{KERNLE_ADDR}`; did you mean `{KERNEL_ADDR}`?)
    device-types/t.yaml:10:42: `ramdisk` would overwrite `kernel`: both are loaded at 0x40400000 (-)
    device-types/t.yaml:10:59: `dtb` must be an address in hexadecimal, such as 0x40400000, found the text `4a000000` (it starts with 0x)
    device-types/t.yaml:11:5: unknown key `Image` in `load_addresses` (did you mean `zimage`?)
    device-types/t.yaml:12:22: `results_dir` must be an absolute path with %s for the job's number, found the text `/lava` (such as /lava-%s)
    device-types/t.yaml:13:12: unknown key `bootloader-interupt` in `timeouts` (did you mean `bootloader-interrupt`?)
    lab.yaml:1:10: version 2 of the lab is not known; known: 1 (-)
    lab.yaml:2:7: `name` must be a name such as munich-2, found the text `My Lab` (lower-case letters, digits and `-`, at most 63, no `-` first)
    lab.yaml:4:12: `address` must be an IPv4 address such as 10.77.0.1, found the text `10.77.0` (-)
    lab.yaml:5:8: `nfs` must be an address and a port, such as 10.77.0.1:69, found the number `2049` (-)
    lab.yaml:6:16: item 1 of `file_roots` must be an absolute path, found the text `srv/files` (it starts with `/`)
    relays/a.yaml:3:9: `driver` must be one of `tasmota`, `lcus`, found the text `tasmotta` (did you mean `tasmota`?)
    relays/b.yaml:4:6: `url` must be a URL such as http://10.77.0.1:8081, found the text `https://relay/cm` (it starts with http://; relays of this kind speak nothing else)
    relays/b.yaml:5:10: `timeout` must be a duration from 10ms to 5m, found the number `5` (a unit is missing (d, h, m, s, ms, us, ns))
    relays/b.yaml:6:14: `credentials` needs `password` (-)
    relays/c.yaml:1:1: the relay needs `path` (-)
    relays/c.yaml:4:1: unknown key `url` in the relay (known keys: baud, dispatcher, driver, name, path, timeout, version)
    boards/b.yaml:2:7: `name` must be a name such as qemu-1, found the text `-b` (letters, digits, `-`, `_` and `.`, at most 63, a letter or digit first)
    boards/b.yaml:4:27: `outlet` must be a whole number from 1 to 255, found the number `010` (write `10` without the leading zero)
    boards/b.yaml:5:10: `console` needs `tcp` or `serial` (`tcp: HOST:PORT` for a raw TCP port, `serial: /dev/…` for a port of this host)
    boards/b.yaml:5:28: `character_delay` must be a duration from 0s to 1s, found the text `5s` (-)
    boards/b.yaml:6:16: `mac` must be a MAC address such as 52:54:00:12:34:56, found the text `01:00:5e:00:00:01` (the first byte is odd: this is a group's address, no board's)
    boards/b.yaml:6:44: `address` must be an address with its network's prefix, such as 10.77.0.10/24, found the text `10.77.0.5` (add the prefix: 10.77.0.5/24)
    boards/b.yaml:8:15: `measure` must be `cyclictest`, found the text `cyclictst` (did you mean `cyclictest`?)
    boards/b.yaml:8:52: `limit` must be a duration from 1us to 500ms, found the number `400` (a unit is missing (d, h, m, s, ms, us, ns))
    "#);
}

#[test]
fn an_unreadable_file_causes_no_further_complaints() {
    let found = refused(&[
        file("lab.yaml", LAB),
        file("relays/rack.yaml", "version: 1\nname: [\n"),
        file("device-types/mine.yaml", "version: 1\nname: {\n"),
        file("boards/one.yaml", &board(1).replace("simulated", "mine")),
    ]);
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn a_lab_without_its_file_is_told_so() {
    assert_eq!(
        refused(&[]),
        ["lab.yaml:0:0: a lab needs this file, with its name and dispatcher (-)"]
    );
}

#[test]
fn a_board_out_of_reach_is_only_a_warning() {
    let mut diagnostics = Diagnostics::new();
    let lab = read(
        &[
            file("lab.yaml", LAB),
            file("relays/rack.yaml", RELAY),
            file(
                "boards/one.yaml",
                &board(1).replace("10.77.0.11", "10.78.0.11"),
            ),
        ],
        &builtin::types(),
        &mut diagnostics,
    );
    assert!(lab.is_some());
    let found = lines(&diagnostics);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("does not reach the dispatcher"),
        "{found:?}"
    );
}

const EAST: &str = "version: 1\nname: east\naddress: 10.78.0.1\n";

/// A relay of a dispatcher, and a board on it with the given outlet and console.
fn elsewhere(
    dispatcher: &str,
    url: &str,
    console: &str,
    address: &str,
) -> [basalt_lab::LabFile; 2] {
    [
        file(
            "relays/else.yaml",
            &RELAY
                .replace(
                    "name: rack",
                    &format!("name: else\ndispatcher: {dispatcher}"),
                )
                .replace("http://10.77.0.1:8081", url),
        ),
        file(
            "boards/else.yaml",
            &board(2)
                .replace("relay: rack", "relay: else")
                .replace("tcp: 10.77.0.1:7002", console)
                .replace("10.77.0.12", address),
        ),
    ]
}

#[test]
fn dispatchers_have_names_of_their_own_and_relays_name_those_that_exist() {
    let [relay, _] = elsewhere("eats", "http://10.78.0.2", "tcp: x:1", "10.78.0.12");
    let found = refused(&[
        file("lab.yaml", LAB),
        file("dispatchers/a.yaml", EAST),
        file("dispatchers/b.yaml", EAST),
        file("dispatchers/c.yaml", &EAST.replace("east", "main")),
        file(
            "dispatchers/d.yaml",
            "version: 1\nname: d\nadress: 10.0.0.1\n",
        ),
        relay.clone(),
    ]);
    insta::assert_snapshot!(found.join("\n"), @"
    dispatchers/b.yaml:2:7: the name `east` belongs to another dispatcher already, at dispatchers/a.yaml:2:7 (-)
    dispatchers/c.yaml:2:7: the name `main` belongs to another dispatcher already, at lab.yaml:3:1 (-)
    dispatchers/d.yaml:3:1: unknown key `adress`, and the dispatcher needs `address` (did you mean `address`?)
    relays/else.yaml:3:13: there is no dispatcher `eats` (did you mean `east`?)
    ");
    let found = refused(&[
        file("lab.yaml", LAB),
        file("dispatchers/a.yaml", EAST),
        relay,
    ]);
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn what_two_dispatchers_share_is_found_and_what_only_looks_alike_is_not() {
    let lab = |east: &str, files: [basalt_lab::LabFile; 2]| {
        let mut all = vec![
            file("lab.yaml", LAB),
            file("dispatchers/east.yaml", east),
            file("relays/rack.yaml", RELAY),
            file("boards/one.yaml", &board(1)),
        ];
        all.extend(files);
        all
    };
    // The same device, console and addresses, reached from two hosts.
    let same = elsewhere(
        "east",
        "http://10.77.0.1:8081",
        "tcp: 10.77.0.1:7001",
        "10.77.0.11",
    );
    let found = refused(&lab(EAST, same.clone()));
    insta::assert_snapshot!(found.join("\n"), @"
    relays/rack.yaml:4:6: `http://10.77.0.1:8081` belongs to relay `else` already, at relays/else.yaml:5:6 (-)
    boards/else.yaml:6:44: 10.77.0.11/24 does not reach the dispatcher, 10.78.0.1 (it is in another network, and the board has no `gateway`)
    boards/one.yaml:5:16: the console `10.77.0.1:7001` belongs to board `sim-2` already, at boards/else.yaml:5:16 (-)
    boards/one.yaml:6:44: the address 10.77.0.11 belongs to board `sim-2` already, at boards/else.yaml:6:44 (-)
    ");
    // Two racks that are built alike: their dispatchers have one address, so the networks are apart.
    let twin = EAST.replace("10.78", "10.77");
    assert_eq!(crate::good(&lab(&twin, same)).boards.len(), 2);
    // A serial port and a loopback address are another's on another host.
    let local = |dispatcher: &str, address: &str| {
        let mut files = lab(
            EAST,
            elsewhere(
                dispatcher,
                "http://127.0.0.1:81",
                "serial: /dev/ttyS1",
                address,
            ),
        );
        files[2].text = RELAY.replace("10.77.0.1:8081", "127.0.0.1:81");
        files[3].text = board(1).replace("tcp: 10.77.0.1:7001", "serial: /dev/ttyS1");
        files
    };
    assert_eq!(crate::good(&local("east", "10.78.0.12")).boards.len(), 2);
    let found = refused(&local("main", "10.77.0.12"));
    insta::assert_snapshot!(found.join("\n"), @"
    relays/rack.yaml:4:6: `http://127.0.0.1:81` belongs to relay `else` already, at relays/else.yaml:5:6 (-)
    boards/one.yaml:5:19: the console `/dev/ttyS1` belongs to board `sim-2` already, at boards/else.yaml:5:19 (-)
    ");
}
