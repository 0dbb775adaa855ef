//! `basalt` as a process: waited for with a bound, ended if it is not.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{BOUND, Results};

/// A `basalt` that runs; killed when dropped before its end.
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    /// Where its results go.
    pub output: PathBuf,
    begun: Instant,
}

/// A `basalt` that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote.
    pub stdout: String,
    /// What it wrote on standard error.
    pub stderr: String,
    /// Where its results are.
    pub output: PathBuf,
    /// How long it took.
    pub took: Duration,
}

impl Running {
    /// Starts a command; its output goes to files `NAME.stdout` and `NAME.stderr` in `directory`.
    pub fn start(mut command: Command, directory: &Path, name: &str, output: PathBuf) -> Self {
        let stdout = directory.join(format!("{name}.stdout"));
        let stderr = directory.join(format!("{name}.stderr"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            stdout,
            stderr,
            output,
            begun: Instant::now(),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// Ends it as the kernel's out-of-memory killer would.
    pub fn kill(mut self) -> Finished {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        self.finished(status)
    }

    /// Sends it a signal by name: `INT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Finished {
        // From now on: what is waited for may have run for long.
        let end = Instant::now() + BOUND;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return self.finished(status);
            }
            assert!(
                Instant::now() < end,
                "basalt did not end:\n{}\n{}",
                read(&self.stdout),
                read(&self.stderr)
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn finished(&self, status: ExitStatus) -> Finished {
        Finished {
            code: status.code(),
            stdout: read(&self.stdout),
            stderr: read(&self.stderr),
            output: self.output.clone(),
            took: self.begun.elapsed(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    /// Its results.json.
    pub fn results(&self) -> Results {
        let path = self.output.join("results.json");
        let text = std::fs::read(&path).unwrap_or_else(|error| {
            panic!(
                "{}: {error}\n{}\n{}",
                path.display(),
                self.stdout,
                self.stderr
            )
        });
        Results(serde_json::from_slice(&text).unwrap())
    }

    /// Fails with everything that was said unless it ended with this code.
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(
            self.code,
            Some(code),
            "standard output:\n{}\nstandard error:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// A file of the results, as text.
    pub fn file(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.bytes(name)).into_owned()
    }

    /// A file of the results.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let path = self.output.join(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
