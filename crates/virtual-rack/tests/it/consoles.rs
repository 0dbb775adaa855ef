//! Serial ports: nothing is kept for later, nothing is missing in the log.

use std::net::TcpStream;

use sha2::{Digest, Sha256};

use crate::support::{Console, Rack, until};

const BOARD: &str =
    "[[board]]\nkind = 'simulated'\nname = 'b'\ntcp = '127.0.0.1:0'\npty = 'b.tty'\n";

#[test]
fn random_bytes_of_all_values_arrive_and_are_logged_as_they_were() {
    let rack = Rack::start(BOARD);
    let mut tcp = Console::attach(&rack, "b");
    let mut pty = Console::pty(&rack, "b");
    let answer = std::thread::scope(|scope| {
        let emitted =
            scope.spawn(|| rack.http("POST", "/boards/b/emit", r#"{"bytes":100000,"seed":7}"#));
        let reader = scope.spawn(|| pty.read_total(100_000));
        tcp.read_total(100_000);
        reader.join().unwrap();
        emitted.join().unwrap()
    });
    let sum: String = Sha256::digest(&tcp.seen)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(answer["sha256"], sum);
    assert_eq!(pty.seen, tcp.seen);
    assert!((0..=255).all(|value| tcp.seen.contains(&value)));
    assert_eq!(rack.logged("b", "tx", "tcp"), tcp.seen);
    assert_eq!(rack.logged("b", "tx", "pty"), pty.seen);
    assert!(rack.logged("b", "lost", "tcp").is_empty());
}

#[test]
fn bytes_that_nobody_reads_are_lost_and_recorded() {
    let rack = Rack::start(BOARD);
    rack.http("POST", "/boards/b/emit", r#"{"text":"early"}"#);
    let mut tcp = Console::attach(&rack, "b");
    let mut pty = Console::pty(&rack, "b");
    rack.http("POST", "/boards/b/emit", r#"{"text":"late"}"#);
    tcp.read_total(4);
    pty.read_total(4);
    assert_eq!((tcp.text(), pty.text()), ("late".into(), "late".into()));
    assert_eq!(rack.logged("b", "lost", "tcp"), b"early");
    assert_eq!(rack.logged("b", "lost", "pty"), b"early");
}

#[test]
fn a_new_tcp_client_kicks_the_old_one() {
    let rack = Rack::start(BOARD);
    let mut first = Console::attach(&rack, "b");
    let mut second = Console::attach(&rack, "b");
    first.read_to_end();
    rack.http("POST", "/boards/b/emit", r#"{"text":"for the second"}"#);
    second.expect("for the second");
    assert!(first.seen.is_empty());
}

#[test]
fn a_client_that_does_not_read_loses_bytes_and_holds_up_nobody() {
    let rack = Rack::start_with_patience(200, BOARD);
    let mut stuck = Console::attach(&rack, "b");
    let total = 20_000_000;
    rack.http(
        "POST",
        "/boards/b/emit",
        &format!(r#"{{"bytes":{total},"seed":3}}"#),
    );
    let accepted = rack.logged("b", "tx", "tcp");
    let lost = rack.logged("b", "lost", "tcp");
    assert!(!lost.is_empty());
    assert_eq!(accepted.len() + lost.len(), total);
    stuck.read_total(accepted.len());
    assert_eq!(stuck.seen, accepted);
}

#[test]
fn what_a_client_types_is_logged_and_vanishes_without_power() {
    let rack = Rack::start(BOARD);
    let mut console = Console::attach(&rack, "b");
    console.type_text("nobody hears");
    until("the log to have it", || {
        let log = rack.log();
        let line = log.iter().find(|line| line["ev"] == "rx")?;
        assert_eq!(line["powered"], false);
        Some(())
    });
    rack.power("b", true);
    console.reach_prompt();
    assert!(!console.text().contains("nobody hears"));
}

#[test]
fn the_console_outlives_power_cuts_and_a_gone_console_comes_back() {
    let rack = Rack::start(BOARD);
    let mut console = Console::attach(&rack, "b");
    for _ in 0..3 {
        rack.power("b", true);
        console.reach_prompt();
        rack.power("b", false);
    }
    rack.knobs("b", r#"{"console_gone":{}}"#);
    console.read_to_end();
    until("the port to close", || {
        TcpStream::connect(rack.tcp("b")).is_err().then_some(())
    });
    until("the PTY to go", || (!rack.pty("b").exists()).then_some(()));
    rack.knobs("b", r#"{"console_gone":null}"#);
    until("the port to open", || {
        TcpStream::connect(rack.tcp("b")).ok()
    });
    until("the PTY to come", || rack.pty("b").exists().then_some(()));
    let mut again = Console::attach(&rack, "b");
    rack.power("b", true);
    again.reach_prompt();
    let mut pty = Console::pty(&rack, "b");
    pty.type_text("\r");
    pty.expect("=> ");
    assert_eq!(rack.fired("b", "console_gone"), 1);
}

#[test]
fn characters_can_be_made_to_vanish_in_both_directions() {
    let rack = Rack::start(BOARD);
    let mut console = Console::attach(&rack, "b");
    rack.knobs("b", r#"{"drop_output":{"probability":0.25,"seed":1}}"#);
    rack.http("POST", "/boards/b/emit", r#"{"bytes":10000,"seed":2}"#);
    let dropped = rack.fired("b", "drop_output") as usize;
    assert!((2000..3000).contains(&dropped), "{dropped}");
    console.read_total(10_000 - dropped);
    rack.knobs(
        "b",
        r#"{"drop_output":null,"drop_input":{"probability":1.0,"times":3}}"#,
    );
    rack.power("b", true);
    console.reach_prompt_despite_input_loss();
}

impl Console<TcpStream> {
    /// The first three bytes vanish; the fourth is echoed.
    fn reach_prompt_despite_input_loss(&mut self) {
        self.expect("Hit any key to stop autoboot");
        self.type_text("   ");
        self.type_text(" ");
        self.expect("=> ");
        self.type_text("xyz\r");
        self.expect("Unknown command 'xyz'");
    }
}

#[test]
fn a_pty_that_was_closed_and_opened_again_starts_afresh() {
    let rack = Rack::start(BOARD);
    let mut pty = Console::pty(&rack, "b");
    rack.power("b", true);
    pty.reach_prompt();
    drop(pty);
    rack.http("POST", "/boards/b/emit", r#"{"text":"unheard"}"#);
    let mut again = Console::pty(&rack, "b");
    again.type_text("version\r");
    again.expect("U-Boot 2023.01");
    assert!(!again.text().contains("unheard"));
}
