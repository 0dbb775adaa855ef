//! A `virtual-rack` process, and what it says truly happened.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{http, until};

/// The rack's program. Cargo builds only this package's own programs for its tests, so it is built
/// here if it is not beside them; `cargo xtask test` has built it before.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let basalt = Path::new(env!("CARGO_BIN_EXE_basalt"));
        let program = basalt.with_file_name("virtual-rack");
        if !program.exists() {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--quiet", "--package", "virtual-rack"]);
            if basalt.parent().is_some_and(|dir| dir.ends_with("release")) {
                build.arg("--release");
            }
            let status = build.status().expect("cargo runs");
            assert!(status.success(), "virtual-rack cannot be built");
            assert!(program.exists(), "there is no {}", program.display());
        }
        program
    })
}

/// A running rack; ended when dropped.
pub struct Rack {
    ready: Value,
    child: Child,
}

impl Rack {
    /// Starts one over this configuration (TOML), with everything below `directory`.
    pub fn start(directory: &Path, config: &str) -> Self {
        let path = directory.join("rack.toml");
        std::fs::write(&path, config).unwrap();
        let ready_path = directory.join("rack-ready.json");
        let errors = std::fs::File::create(directory.join("rack.stderr")).unwrap();
        let mut child = Command::new(program())
            .arg("--config")
            .arg(&path)
            .arg("--ready")
            .arg(&ready_path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .unwrap();
        let ready = until("the rack's ready file", || {
            if let Some(status) = child.try_wait().unwrap() {
                let errors = std::fs::read_to_string(directory.join("rack.stderr"));
                panic!("the rack ended with {status}: {errors:?}\n{config}");
            }
            std::fs::read_to_string(&ready_path).ok()
        });
        Self {
            ready: serde_json::from_str(&ready).unwrap(),
            child,
        }
    }

    /// Where its own HTTP listens, which serves files too.
    pub fn http(&self) -> SocketAddr {
        self.ready["http"].as_str().unwrap().parse().unwrap()
    }

    /// The ready file.
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// Asks its HTTP; the answer must be a good one.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, text) = http::request(self.http(), method, path, body).unwrap();
        assert_eq!(status, 200, "{method} {path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Sets knobs of a board.
    pub fn knobs(&self, board: &str, knobs: &str) {
        self.ask("POST", &format!("/boards/{board}/knobs"), knobs);
    }

    /// Has a board stand still once it has said this: whatever is to happen then cannot come too
    /// late. Another hold lets go of the one before.
    pub fn hold(&self, board: &str, after: &str) {
        self.hold_at(board, after, 1);
    }

    /// The same once it has said it for so manieth time from now on.
    pub fn hold_at(&self, board: &str, after: &str, nth: u64) {
        let knob = serde_json::json!({"hold": {"after": after, "nth": nth}});
        self.knobs(board, &knob.to_string());
    }

    /// Waits until the so manieth hold of a board holds it.
    pub fn wait_held(&self, board: &str, count: u64) {
        until(&format!("{board} to stand still"), || {
            (self.fired(board, "hold") >= count).then_some(())
        });
    }

    /// Lets a board go on.
    pub fn let_go(&self, board: &str) {
        self.knobs(board, r#"{"hold": null}"#);
    }

    /// Plants a fault on a file that it serves.
    pub fn spoil_file(&self, path: &str, fault: &str) {
        let body = format!("{{\"path\":\"{path}\",\"fault\":\"{fault}\"}}");
        self.ask("POST", "/files-knobs", &body);
    }

    /// What it says of a board.
    pub fn board(&self, board: &str) -> Value {
        self.ask("GET", &format!("/boards/{board}"), "")
    }

    /// Whether a board truly has power.
    pub fn has_power(&self, board: &str) -> bool {
        self.board(board)["power"].as_bool().unwrap()
    }

    /// How often something happened on a board.
    pub fn counter(&self, board: &str, counter: &str) -> u64 {
        self.board(board)["counters"][counter].as_u64().unwrap_or(0)
    }

    /// How often a knob acted.
    pub fn fired(&self, board: &str, knob: &str) -> u64 {
        self.board(board)["fired"][knob].as_u64().unwrap_or(0)
    }

    /// What the board's measurements should have said, in order.
    pub fn truth(&self, board: &str) -> Vec<Value> {
        let truth = self.ask("GET", &format!("/boards/{board}/truth"), "");
        truth["phases"].as_array().unwrap().clone()
    }

    /// Its log's file.
    pub fn log_path(&self) -> &Path {
        Path::new(self.ready["log"].as_str().unwrap())
    }

    /// All lines of its log so far.
    pub fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.log_path()).unwrap();
        // The last line may be in the making.
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Everything that a board's console accepted, in order.
    pub fn said(&self, board: &str) -> Vec<u8> {
        let log = self.log();
        let tx = log
            .iter()
            .filter(|line| line["board"] == board && line["ev"] == "tx");
        tx.flat_map(|line| STANDARD.decode(line["b64"].as_str().unwrap()).unwrap())
            .collect()
    }

    /// Waits until a line of the log fits.
    pub fn wait_for(&self, what: &str, fits: impl Fn(&Value) -> bool) {
        until(what, || self.log().iter().any(&fits).then_some(()));
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        // Its boards' programs die with it, by their parent-death signal. It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
