//! `basalt console`, on a terminal and on a pipe.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use basalt_model::{BoardName, UtcMicros};
use basalt_runner::host::HostState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{BOUND, Lab, read_until, said, until};

/// Somebody at a terminal of 80 columns.
struct Person {
    terminal: pty_process::Pty,
    child: tokio::process::Child,
    heard: Vec<u8>,
}

impl Person {
    fn sits_down(lab: &Lab, arguments: &[&str]) -> Self {
        let (terminal, line) = pty_process::open().unwrap();
        terminal.resize(pty_process::Size::new(25, 80)).unwrap();
        let plain = lab.basalt(arguments);
        let mut command = pty_process::Command::new(plain.get_program())
            .args(plain.get_args())
            .env("TERM", "xterm");
        for (name, value) in plain.get_envs() {
            command = match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = command.spawn(line).unwrap();
        Self {
            terminal,
            child,
            heard: Vec::new(),
        }
    }

    async fn hears(&mut self, text: &str) -> String {
        let wait = async {
            let mut buffer = [0; 4096];
            loop {
                let heard = String::from_utf8_lossy(&self.heard).into_owned();
                if heard.contains(text) {
                    return heard;
                }
                let count = self.terminal.read(&mut buffer).await.unwrap_or(0);
                assert!(count > 0, "the program ended before {text:?}: {heard:?}");
                self.heard.extend_from_slice(&buffer[..count]);
            }
        };
        tokio::time::timeout(BOUND, wait)
            .await
            .unwrap_or_else(|_| panic!("{text:?} did not come"))
    }

    async fn types(&mut self, bytes: &[u8]) {
        self.terminal.write_all(bytes).await.unwrap();
    }

    async fn leaves(&mut self) -> i32 {
        self.types(b"\x1dq").await;
        let status = tokio::time::timeout(BOUND, self.child.wait())
            .await
            .unwrap();
        status.unwrap().code().unwrap()
    }
}

fn board(lab: &Lab) -> TcpStream {
    let (board, _) = lab.console.accept().unwrap();
    board.set_read_timeout(Some(BOUND)).unwrap();
    board
}

#[tokio::test]
async fn a_person_reads_types_and_leaves_and_nothing_acts_on_the_terminal() {
    let lab = Lab::new();
    let mut person = Person::sits_down(&lab, &["console", "b1"]);
    person.hears("what you type goes to the board").await;
    let mut board = board(&lab);
    board
        .write_all(b"\x1b[31mred\x1b[0m \x1b]52;c;ZXZpbA==\x07=> ")
        .unwrap();
    let heard = person.hears("=> ").await;
    assert!(heard.contains("\x1b[31mred"), "{heard:?}");
    assert!(!heard.contains("]52;"), "{heard:?}");
    person.types(b"printenv\r").await;
    let typed = tokio::task::spawn_blocking(move || read_until(&mut board, "printenv\r"));
    typed.await.unwrap();
    assert_eq!(person.leaves().await, 0);
    // Whoever typed had the board; now it is free, and known to be another than it was.
    let host = HostState::open(&lab.state()).unwrap();
    let lock = host
        .take(&BoardName::new("b1"), "test", UtcMicros(1))
        .unwrap();
    assert_eq!(lock.highest_epoch().0, 1);
}

#[tokio::test]
async fn a_board_that_somebody_has_can_be_watched() {
    let lab = Lab::new();
    let host = HostState::open(&lab.state()).unwrap();
    let name = BoardName::new("b1");
    let held = host
        .take(&name, "run 7 of job \"x\"", UtcMicros(1))
        .unwrap();
    let mut person = Person::sits_down(&lab, &["console", "b1"]);
    person
        .hears("read-only, because run 7 of job \"x\" has the board")
        .await;
    let mut board = board(&lab);
    board.write_all(b"login: ").unwrap();
    person.hears("login: ").await;
    person.types(b"root\r").await;
    assert_eq!(person.leaves().await, 0);
    board.set_nonblocking(true).unwrap();
    let error = board.read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(held.highest_epoch().0, 0);
}

#[test]
fn a_pipe_gets_the_bytes_as_they_are_from_the_first_one_on() {
    let lab = Lab::new();
    let mut console = lab
        .basalt(&["console", "b1", "--from-start"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut board = board(&lab);
    board.write_all(b"one \x1b]0;title\x07\xff two").unwrap();
    let mut output = console.stdout.take().unwrap();
    read_until(&mut output, "two");
    // The end of standard input is the end.
    drop(console.stdin.take());
    until("the end", || console.try_wait().unwrap());
    let again = lab
        .basalt(&["console", "b1", "--from-start"])
        .output()
        .unwrap();
    assert_eq!(again.stdout, b"one \x1b]0;title\x07\xff two");
    let tail = lab
        .basalt(&["console", "b1", "--tail", "3"])
        .output()
        .unwrap();
    assert_eq!(tail.stdout, b"two");
}

#[test]
fn a_console_without_a_line_says_so() {
    let lab = Lab::new();
    lab.write(
        "boards/b1.yaml",
        "version: 1\nname: b1\ntype: simulated\npower: {relay: pdu, outlet: 1}\n\
         console: {serial: /nowhere/tty, baud: 115200}\n",
    );
    let down = said(&mut lab.basalt(&["console", "b1"])).expect(0);
    assert!(down.stderr.contains("line is down"), "{}", down.stderr);
}
