//! A `virtual-rack` process, and what it says truly happened.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::until;

/// A program of this build, beside the tests' own. Cargo builds only this package's programs for
/// its tests, so another's is built here if it is not there.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = super::built("virtual-rack");
        if !program.exists() {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--quiet", "--package", "virtual-rack"]);
            let status = build.status().expect("cargo runs");
            assert!(status.success(), "virtual-rack cannot be built");
        }
        program
    })
}

/// A running rack; ended when dropped.
pub struct Rack {
    pub ready: Value,
    child: Child,
}

impl Rack {
    pub fn start(directory: &Path, config: &str) -> Self {
        let path = directory.join("rack.toml");
        std::fs::write(&path, config).unwrap();
        let ready_path = directory.join("rack-ready.json");
        let mut child = Command::new(program())
            .arg("--config")
            .arg(&path)
            .arg("--ready")
            .arg(&ready_path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let ready = until("the rack's ready file", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the rack ended with {status}:\n{config}");
            }
            std::fs::read_to_string(&ready_path).ok()
        });
        Self {
            ready: serde_json::from_str(&ready).unwrap(),
            child,
        }
    }

    pub fn http(&self) -> SocketAddr {
        self.ready["http"].as_str().unwrap().parse().unwrap()
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(self.http()).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: rack\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{method} {path}: {answer}");
        serde_json::from_str(body).unwrap()
    }

    /// Has a board stand still once it has said this.
    pub fn hold(&self, board: &str, after: &str) {
        let knob = serde_json::json!({"hold": {"after": after, "nth": 1}});
        self.ask("POST", &format!("/boards/{board}/knobs"), &knob.to_string());
    }

    /// Waits until a board stands still.
    pub fn wait_held(&self, board: &str) {
        until(&format!("{board} to stand still"), || {
            let about = self.ask("GET", &format!("/boards/{board}"), "");
            (about["fired"]["hold"].as_u64() >= Some(1)).then_some(())
        });
    }

    /// Lets a board go on.
    pub fn let_go(&self, board: &str) {
        self.ask(
            "POST",
            &format!("/boards/{board}/knobs"),
            r#"{"hold": null}"#,
        );
    }

    /// Whether a board truly has power.
    pub fn has_power(&self, board: &str) -> bool {
        let about = self.ask("GET", &format!("/boards/{board}"), "");
        about["power"].as_bool().unwrap()
    }

    /// How often a board was switched on.
    pub fn counter(&self, board: &str, counter: &str) -> u64 {
        let about = self.ask("GET", &format!("/boards/{board}"), "");
        about["counters"][counter].as_u64().unwrap_or(0)
    }

    pub fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.ready["log"].as_str().unwrap()).unwrap();
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Everything that a board's console accepted, in order.
    pub fn said(&self, board: &str) -> Vec<u8> {
        self.log()
            .iter()
            .filter(|line| line["board"] == board && line["ev"] == "tx")
            .flat_map(|line| STANDARD.decode(line["b64"].as_str().unwrap()).unwrap())
            .collect()
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
