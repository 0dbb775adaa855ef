//! The stand-ins for cyclictest and hackbench, and the truth behind them.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    support::{Console, Rack, until},
    tftp_server::TftpServer,
};

type Shell = Console<std::net::TcpStream>;

fn booted(tftp: &TftpServer) -> (Rack, Shell) {
    let rack = Rack::start(&format!(
        "[[board]]\nkind = 'simulated'\nname = 'b'\ntcp = '127.0.0.1:0'\ntftp_port = {}\ncpus = 2\ntime_scale = 0.01\nseed = 42\n",
        tftp.address.port()
    ));
    let mut console = Console::attach(&rack, "b");
    rack.power("b", true);
    console.reach_prompt();
    console.boot(tftp.address);
    (rack, console)
}

const RUN: &str =
    "cyclictest -m -S -p 95 -i 1000 -h 400 -D 10s -q --json=/tmp/rt.json >/tmp/rt.txt";

/// The file as the board has it, byte for byte.
fn file(console: &mut Shell, path: &str) -> Vec<u8> {
    use base64::Engine;
    let text = console.shell(&format!("base64 {path}")).replace('\n', "");
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

fn phase(rack: &Rack, number: usize) -> Value {
    rack.http("GET", "/boards/b/truth", "")["phases"][number - 1].clone()
}

#[test]
fn cyclictest_writes_what_the_truth_says() {
    let tftp = TftpServer::start();
    let (rack, mut console) = booted(&tftp);
    for number in 1..=2 {
        assert_eq!(console.shell(&format!("{RUN}; echo $?")), "0");
        let bytes = file(&mut console, "/tmp/rt.json");
        let truth = phase(&rack, number);
        assert_eq!(
            (&truth["state"], &truth["phase"]),
            (&"finished".into(), &number.into())
        );
        let sum: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(truth["json_sha256"], sum);
        let json: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["num_threads"], 2);
        assert_eq!(json["sysinfo"]["release"], "6.1.0-56-rt-arm64");
        for (thread, expected) in ["0", "1"].iter().zip(truth["threads"].as_array().unwrap()) {
            let thread = &json["thread"][thread];
            assert_eq!(thread["histogram"], expected["histogram"]);
            assert_eq!(
                (&thread["cycles"], &thread["cycles"]),
                (&10_000.into(), &expected["cycles"])
            );
            for key in ["min", "max", "avg"] {
                assert_eq!(thread[key].as_f64(), expected[key].as_f64(), "{key}");
            }
        }
        let text = console.shell("head -2 /tmp/rt.txt; grep Max /tmp/rt.txt");
        assert!(
            text.starts_with("# /dev/cpu_dma_latency set to 0us\n# Histogram\n"),
            "{text}"
        );
    }
    assert_ne!(phase(&rack, 1)["threads"], phase(&rack, 2)["threads"]);
}

#[test]
fn a_stopped_cyclictest_writes_a_partial_file() {
    let tftp = TftpServer::start();
    let (rack, mut console) = booted(&tftp);
    console.shell("cyclictest -S -i 1000 -h 400 -D 1h -q --json=/tmp/rt.json >/dev/null & pid=$!");
    until("the start", || {
        (rack.counter("b", "cyclictest_runs") == 1).then_some(())
    });
    console.shell("kill -INT $pid || kill -TERM $pid; wait $pid");
    let json: Value = serde_json::from_slice(&file(&mut console, "/tmp/rt.json")).unwrap();
    let cycles = json["thread"]["0"]["cycles"].as_u64().unwrap();
    assert!(cycles < 3_600_000);
    let truth = phase(&rack, 1);
    assert_eq!(
        (&truth["state"], truth["threads"][0]["cycles"].as_u64()),
        (&"stopped".into(), Some(cycles))
    );
}

#[test]
fn a_wrong_option_gives_usage_and_no_file() {
    let tftp = TftpServer::start();
    let (rack, mut console) = booted(&tftp);
    let said = console.shell("cyclictest --notrace --json=/tmp/no.json; echo $?; ls /tmp");
    assert!(said.contains("Usage:"), "{said}");
    assert!(said.ends_with("\n0"), "{said}");
    assert_eq!(rack.counter("b", "cyclictest_runs"), 0);
}

#[test]
fn a_measurement_can_be_spoiled_in_every_way() {
    let tftp = TftpServer::start();
    let (rack, mut console) = booted(&tftp);
    rack.knobs("b", r#"{"spike":{"us":900,"times":1}}"#);
    console.shell(RUN);
    let json: Value = serde_json::from_slice(&file(&mut console, "/tmp/rt.json")).unwrap();
    assert_eq!(json["thread"]["0"]["max"], 900);
    assert_eq!(phase(&rack, 1)["threads"][0]["overflows"], 1);
    rack.knobs(
        "b",
        r#"{"truncate_json":{"times":1},"lost_cycles":{"share":0.5,"times":1}}"#,
    );
    console.shell(RUN);
    let half = file(&mut console, "/tmp/rt.json");
    assert!(serde_json::from_slice::<Value>(&half).is_err());
    assert_eq!(phase(&rack, 2)["threads"][0]["cycles"], 5_000);
    rack.knobs("b", r#"{"load_dies":{"after_ms":10,"times":1}}"#);
    assert!(
        console
            .shell("hackbench -l 100; echo status $?")
            .ends_with("status 1")
    );
    assert!(console.shell("hackbench -l 100").contains("Time: 1.000"));
    rack.knobs("b", r#"{"hang":{"stage":"cyclictest","times":1}}"#);
    console.shell(&format!("({RUN} &)"));
    until("the hang", || (rack.fired("b", "hang") == 1).then_some(()));
    assert_eq!(console.shell("echo alive"), "alive");
}

#[test]
fn a_board_panics_or_reboots_in_the_middle_of_a_measurement() {
    let tftp = TftpServer::start();
    let (rack, mut console) = booted(&tftp);
    rack.knobs("b", r#"{"reboot_mid_run":{"times":1}}"#);
    console.type_text(&format!("{RUN}\n"));
    console.reach_prompt();
    assert_eq!(phase(&rack, 1)["state"], "lost");
    console.boot(tftp.address);
    rack.knobs("b", r#"{"panic":{"stage":"cyclictest","times":1}}"#);
    console.type_text(&format!("{RUN}\n"));
    console.expect("Kernel panic - not syncing: Fatal exception in interrupt");
    console.expect("---[ end Kernel panic");
    assert_eq!(
        (
            phase(&rack, 2)["state"].as_str(),
            phase(&rack, 2)["boot"].as_u64()
        ),
        (Some("lost"), Some(2))
    );
}

#[test]
fn what_is_written_to_the_kernel_log_comes_out_of_the_console() {
    let tftp = TftpServer::start();
    let (_rack, mut console) = booted(&tftp);
    console.type_text("echo '<6>hello kernel' >/dev/kmsg\n");
    console.expect("] hello kernel\r\n");
}
