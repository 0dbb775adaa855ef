//! A lab on disk with a relay and a console that live in the test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// No wait of these tests is longer.
pub const BOUND: Duration = Duration::from_secs(30);

/// Asks until the answer is there.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + BOUND;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "gave up waiting for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a run of the program came to.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    fn new(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self {
            code: output.status.code().expect("the program was not killed"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Fails with everything that was said unless the code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }
}

/// `basalt` without what its environment could change.
pub fn basalt() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_basalt"));
    for name in [
        "BASALT_LAB",
        "BASALT_STATE",
        "NO_COLOR",
        "RUST_LOG",
        "COLUMNS",
    ] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).env("USER", "ada");
    command
}

/// Runs a command to its end.
pub fn said(command: &mut Command) -> Said {
    Said::new(command.output().expect("the program can be started"))
}

/// A lab with one simulated board, `b1`.
pub struct Lab {
    directory: TempDir,
    pub relay: Tasmota,
    pub console: TcpListener,
}

impl Lab {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let relay = Tasmota::start();
        let console = TcpListener::bind("127.0.0.1:0").unwrap();
        let lab = Self {
            directory,
            relay,
            console,
        };
        let lab_yaml = "version: 1\nname: test\ndispatcher: {address: 127.0.0.1}\n";
        lab.write("lab.yaml", lab_yaml);
        let relay_yaml = format!(
            "version: 1\nname: pdu\ndriver: tasmota\nurl: http://127.0.0.1:{}\ntimeout: 5s\n",
            lab.relay.port
        );
        lab.write("relays/pdu.yaml", &relay_yaml);
        let board_yaml = format!(
            "version: 1\nname: b1\ntype: simulated\npower: {{relay: pdu, outlet: 1}}\n\
             console: {{tcp: \"127.0.0.1:{}\"}}\n",
            lab.console.local_addr().unwrap().port()
        );
        lab.write("boards/b1.yaml", &board_yaml);
        lab
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("lab")
    }

    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// `basalt ARGUMENTS --lab LAB --state STATE`.
    pub fn basalt(&self, arguments: &[&str]) -> Command {
        let mut command = basalt();
        command
            .args(arguments)
            .arg("--lab")
            .arg(self.path())
            .arg("--state")
            .arg(self.state());
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A keeper that a test started is told to end; none is there otherwise.
        let _ = self.basalt(&["keeper", "--stop"]).output();
    }
}

/// A relay that speaks Tasmota's HTTP.
pub struct Tasmota {
    pub port: u16,
    outlets: Arc<Mutex<BTreeMap<String, &'static str>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tasmota {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self {
            port: listener.local_addr().unwrap().port(),
            outlets: Arc::default(),
            asked: Arc::default(),
        };
        let (outlets, asked) = (relay.outlets.clone(), relay.asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &outlets, &asked);
            }
        });
        relay
    }

    /// The commands that came, in order: `Power1 On`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: TcpStream,
    outlets: &Mutex<BTreeMap<String, &'static str>>,
    asked: &Mutex<Vec<String>>,
) {
    let mut head = String::new();
    let mut reader = BufReader::new(&stream);
    while reader.read_line(&mut head).unwrap() > 2 {}
    let target = head.split(' ').nth(1).unwrap();
    let command = target
        .strip_prefix("/cm?cmnd=")
        .unwrap()
        .replace("%20", " ");
    let mut words = command.split(' ');
    let outlet = words.next().unwrap().to_uppercase();
    let mut outlets = outlets.lock().unwrap();
    match words.next() {
        Some("On") => drop(outlets.insert(outlet.clone(), "ON")),
        Some("Off") => drop(outlets.insert(outlet.clone(), "OFF")),
        other => assert_eq!(other, None),
    }
    let state = outlets.get(&outlet).copied().unwrap_or("OFF");
    asked.lock().unwrap().push(command);
    let body = format!("{{\"{outlet}\":\"{state}\"}}");
    // The asker may have been killed by its test.
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

/// Reads from a stream until a text has come; returns everything that has.
pub fn read_until(stream: &mut impl Read, text: &str) -> String {
    let mut heard = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).unwrap_or(0);
        let so_far = String::from_utf8_lossy(&heard).into_owned();
        assert!(count > 0, "ended before {text:?}; heard {so_far:?}");
        heard.extend_from_slice(&buffer[..count]);
        let so_far = String::from_utf8_lossy(&heard);
        if so_far.contains(text) {
            return so_far.into_owned();
        }
    }
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}
