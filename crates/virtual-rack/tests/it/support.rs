//! Starts a rack and talks to it like any other software would.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use tempfile::TempDir;

/// No wait in a test is longer.
pub const BOUND: Duration = Duration::from_secs(60);

/// Asks until the answer is there.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + BOUND;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "gave up waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running rack.
pub struct Rack {
    pub dir: TempDir,
    pub ready: Value,
    child: Child,
}

impl Rack {
    /// Starts one with these boards and relays (TOML); `http` is given. It waits long for readers, so that a busy host loses nothing.
    pub fn start(config: &str) -> Rack {
        Rack::start_with_patience(20_000, config)
    }

    /// Starts one that waits this many milliseconds for a reader.
    pub fn start_with_patience(patience_ms: u64, config: &str) -> Rack {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("files")).unwrap();
        let text = format!(
            "version = 1\nrun_dir = 'run'\npatience_ms = {patience_ms}\n[http]\nlisten = '127.0.0.1:0'\nfiles = 'files'\n{config}"
        );
        let path = dir.path().join("rack.toml");
        std::fs::write(&path, text).unwrap();
        let ready_path = dir.path().join("ready.json");
        let mut child = Command::new(env!("CARGO_BIN_EXE_virtual-rack"))
            .arg("--config")
            .arg(&path)
            .arg("--ready")
            .arg(&ready_path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let ready = until("the ready file", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the rack ended with {status}");
            }
            std::fs::read_to_string(&ready_path).ok()
        });
        Rack {
            dir,
            ready: serde_json::from_str(&ready).unwrap(),
            child,
        }
    }

    /// Ends it with a signal and waits.
    pub fn end(&mut self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        self.child.wait().unwrap();
    }

    fn address(&self, value: &Value) -> SocketAddr {
        value.as_str().unwrap().parse().unwrap()
    }

    pub fn tcp(&self, board: &str) -> SocketAddr {
        self.address(&self.ready["boards"][board]["tcp"])
    }

    pub fn pty(&self, board: &str) -> PathBuf {
        self.ready["boards"][board]["pty"].as_str().unwrap().into()
    }

    /// The rack's own HTTP, an answer of 200 in JSON.
    pub fn http(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, body) =
            request(self.address(&self.ready["http"]), method, path, body).unwrap();
        let text = String::from_utf8(body).unwrap();
        assert_eq!(status, 200, "{method} {path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub fn http_address(&self) -> SocketAddr {
        self.address(&self.ready["http"])
    }

    pub fn knobs(&self, board: &str, knobs: &str) {
        self.http("POST", &format!("/boards/{board}/knobs"), knobs);
    }

    pub fn fired(&self, board: &str, knob: &str) -> u64 {
        self.http("GET", &format!("/boards/{board}"), "")["fired"][knob]
            .as_u64()
            .unwrap_or(0)
    }

    pub fn counter(&self, board: &str, counter: &str) -> u64 {
        self.http("GET", &format!("/boards/{board}"), "")["counters"][counter]
            .as_u64()
            .unwrap_or(0)
    }

    pub fn power(&self, board: &str, on: bool) {
        self.http(
            "POST",
            &format!("/boards/{board}/power"),
            &format!("{{\"on\":{on}}}"),
        );
    }

    pub fn relay(&self, relay: &str) -> SocketAddr {
        self.address(&self.ready["relays"][relay]["http"])
    }

    fn log_text(&self) -> String {
        std::fs::read_to_string(self.ready["log"].as_str().unwrap()).unwrap()
    }

    /// All lines of the log so far.
    pub fn log(&self) -> Vec<Value> {
        let text = self.log_text();
        // The last line may be in the making.
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// All bytes of one kind of event at one endpoint of a board.
    pub fn logged(&self, board: &str, event: &str, to: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in self.log() {
            if line["board"] == board && line["ev"] == event && line["to"] == to {
                bytes.extend(STANDARD.decode(line["b64"].as_str().unwrap()).unwrap());
            }
        }
        bytes
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        // Ended already in some tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One HTTP/1.1 request on a connection of its own.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(BOUND))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: rack\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    // A body that is broken off ends in an error; what came is what counts.
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let body = answer[end + 4..].to_vec();
    Ok((status.ok_or(std::io::ErrorKind::InvalidData)?, body))
}

/// A console with everything that was read from it.
pub struct Console<S> {
    stream: S,
    pub seen: Vec<u8>,
    /// Up to where `expect` has looked.
    cursor: usize,
}

impl Console<TcpStream> {
    pub fn tcp(address: SocketAddr) -> Console<TcpStream> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        Console {
            stream,
            seen: Vec::new(),
            cursor: 0,
        }
    }

    /// Connects and waits until the rack has noticed, so that nothing the board says next is lost.
    pub fn attach(rack: &Rack, board: &str) -> Console<TcpStream> {
        let console = Console::tcp(rack.tcp(board));
        let own = format!("\"peer\":\"{}\"", console.stream.local_addr().unwrap());
        // Looked for in the text, for the log of many boards is long.
        until("the rack to accept", || {
            rack.log_text().contains(&own).then_some(())
        });
        console
    }
}

impl Console<std::fs::File> {
    /// Opens a PTY and waits until the rack has noticed.
    pub fn pty(rack: &Rack, board: &str) -> Console<std::fs::File> {
        let before = connects(rack, board);
        let mut options = std::fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, 0o4000 /* O_NONBLOCK */);
        let stream = options
            .read(true)
            .write(true)
            .open(rack.pty(board))
            .unwrap();
        until("the rack to notice", || {
            (connects(rack, board) > before).then_some(())
        });
        Console {
            stream,
            seen: Vec::new(),
            cursor: 0,
        }
    }
}

fn connects(rack: &Rack, board: &str) -> u64 {
    rack.http("GET", &format!("/boards/{board}"), "")["connections"]
        .as_u64()
        .unwrap()
}

impl<S: Read + Write> Console<S> {
    pub fn type_text(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Reads what is there; says whether the stream ended.
    pub fn read_some(&mut self) -> bool {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) => true,
            Ok(count) => {
                self.seen.extend_from_slice(&buffer[..count]);
                false
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock
                        | std::io::ErrorKind::TimedOut
                        | std::io::ErrorKind::Interrupted
                ) =>
            {
                std::thread::sleep(Duration::from_millis(1));
                false
            }
            Err(_) => true,
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads until `text` comes behind what was expected before; returns what came before it.
    pub fn expect(&mut self, text: &str) -> String {
        let end = Instant::now() + BOUND;
        loop {
            let fresh = &self.seen[self.cursor..];
            let found = fresh
                .windows(text.len())
                .position(|window| window == text.as_bytes());
            if let Some(at) = found {
                let before = String::from_utf8_lossy(&fresh[..at]).into_owned();
                self.cursor += at + text.len();
                return before;
            }
            let ended = self.read_some();
            assert!(
                !ended && Instant::now() < end,
                "waited for {text:?}, the board said:\n{}",
                self.text()
            );
        }
    }

    /// Reads until so many bytes were seen in all.
    pub fn read_total(&mut self, count: usize) {
        let end = Instant::now() + BOUND;
        while self.seen.len() < count {
            let ended = self.read_some();
            assert!(
                !ended && Instant::now() < end,
                "got {} of {count} bytes",
                self.seen.len()
            );
        }
    }

    /// Reads until the other side closes.
    pub fn read_to_end(&mut self) {
        let end = Instant::now() + BOUND;
        while !self.read_some() {
            assert!(Instant::now() < end, "the console was not closed");
        }
    }

    /// Stops the countdown.
    pub fn reach_prompt(&mut self) {
        self.expect("Hit any key to stop autoboot");
        self.type_text(" ");
        self.expect("=> ");
    }

    /// One U-Boot command and its output, echo left out.
    pub fn uboot(&mut self, command: &str) -> String {
        self.type_text(&format!("{command}\r"));
        self.expect(&format!("{command}\r\n"));
        self.expect("=> ")
    }

    /// From the prompt of U-Boot into the shell of a board with this kernel and ramdisk on the TFTP server.
    pub fn boot(&mut self, server: SocketAddr) {
        self.uboot(&format!(
            "setenv serverip {}; setenv ipaddr 127.0.0.1",
            server.ip()
        ));
        self.uboot("tftpboot 0x40400000 Image");
        self.uboot("tftpboot 0x46000000 ramdisk.cpio.gz");
        self.uboot("setenv bootargs 'console=ttyAMA0,115200 panic=1'");
        self.type_text("booti 0x40400000 0x46000000:${filesize} ${fdtcontroladdr}\r");
        self.expect("Starting kernel ...");
        self.expect("/ # ");
        self.shell("stty cols 500");
    }

    /// One shell command and its output.
    pub fn shell(&mut self, command: &str) -> String {
        self.type_text(&format!("{command}; echo do''ne\n"));
        let out = self.expect("\r\ndone\r\n");
        self.expect("/ # ");
        match out.split_once("echo do''ne") {
            Some((_, out)) => out.trim_start_matches("\r\n").replace("\r\n", "\n"),
            None => out,
        }
    }
}

pub const VERSION: &str = "Linux version 6.1.0-56-rt-arm64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0) #1 SMP PREEMPT_RT Debian 6.1.192-2 (2026-11-01)";

/// A kernel image that is one as far as the rack looks: the banner among other things, packed.
pub fn kernel_image() -> Vec<u8> {
    let mut plain = b"\0Linux version %s (%s)\n\0".to_vec();
    plain.extend_from_slice(VERSION.as_bytes());
    plain.extend_from_slice(b"\n\0");
    plain.resize(200_000, 0x5a);
    gzip(&plain)
}

/// A ramdisk with one file.
pub fn ramdisk() -> Vec<u8> {
    let mut out = Vec::new();
    for (name, mode, body) in [
        ("hello.txt", 0o100_644, &b"from the ramdisk\n"[..]),
        ("TRAILER!!!", 0, b""),
    ] {
        out.extend_from_slice(
            format!(
                "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
                1, 0, 0, 1, 0, body.len(), 0, 0, 0, 0, name.len() + 1, 0
            )
            .as_bytes(),
        );
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend_from_slice(body);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    gzip(&out)
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Processes whose parent chain or environment cannot be told; found by a word of their command line.
pub fn processes_with(word: &Path) -> Vec<u32> {
    let needle = word.to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // Gone since the listing.
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let root = std::fs::read_link(entry.path().join("root")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(needle) || root.starts_with(word) {
            found.push(pid);
        }
    }
    found
}
