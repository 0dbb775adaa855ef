//! A running `virtual-rack` in a network namespace of its own, for the demonstration and the
//! benchmarks.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{process, suite, workspace};

/// How long a rack may take to listen everywhere, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A rack that ends when this is dropped.
pub struct Rack {
    child: Child,
    ready: PathBuf,
    directory: PathBuf,
}

/// Builds the two programs that everything here needs, and returns where they lie.
pub fn build_programs(release: bool) -> Result<(PathBuf, PathBuf)> {
    let mut command = suite::cargo();
    command.args([
        "build",
        "--quiet",
        "--package",
        "basalt",
        "--package",
        "virtual-rack",
    ]);
    if release {
        command.arg("--release");
    }
    let status = command
        .stdin(Stdio::null())
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("basalt and virtual-rack do not build");
    }
    let profile = if release { "release" } else { "debug" };
    let directory = workspace::root().join("target").join(profile);
    Ok((directory.join("basalt"), directory.join("virtual-rack")))
}

impl Rack {
    /// Starts a rack with this configuration; `files` is served below `/files/`.
    pub fn start(program: &Path, config: &Path, files: &Path, directory: &Path) -> Result<Self> {
        Self::spawn(Command::new(program), config, files, directory)
    }

    /// [`Rack::start`], out of reach of this terminal's Ctrl-C: for a rack that stays.
    pub fn start_apart(
        program: &Path,
        config: &Path,
        files: &Path,
        directory: &Path,
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.process_group(0);
        Self::spawn(command, config, files, directory)
    }

    fn spawn(mut command: Command, config: &Path, files: &Path, directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("making {}", directory.display()))?;
        let ready = directory.join("ready.json");
        if ready.exists() {
            std::fs::remove_file(&ready)
                .with_context(|| format!("removing {}", ready.display()))?;
        }
        let log = directory.join("virtual-rack.stderr");
        let errors =
            std::fs::File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let mut child = command
            .arg("--config")
            .arg(config)
            .arg("--files")
            .arg(files)
            .arg("--run-dir")
            .arg(directory)
            .arg("--ready")
            .arg(&ready)
            .arg("--netns")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .context("virtual-rack cannot be started")?;
        let begun = Instant::now();
        while !ready.exists() {
            if let Some(status) = child.try_wait().context("waiting for virtual-rack")? {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("virtual-rack ended at its start ({status}):\n{said}");
            }
            if begun.elapsed() > PATIENCE {
                child.kill().context("ending virtual-rack")?;
                bail!(
                    "virtual-rack did not come up within {} s",
                    PATIENCE.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self {
            child,
            ready,
            directory: directory.to_owned(),
        })
    }

    /// The rack's log of every console byte and every switch.
    pub fn log(&self) -> PathBuf {
        self.directory.join("rack.log")
    }

    /// The file that says where everything of the rack is.
    pub fn ready(&self) -> &Path {
        &self.ready
    }

    /// Leaves it running.
    pub fn leave(self) {
        std::mem::forget(self);
    }

    /// A command in the rack's network.
    pub fn command(&self, virtual_rack: &Path, program: &Path) -> Command {
        let mut command = Command::new(virtual_rack);
        command
            .arg("exec")
            .arg("--ready")
            .arg(&self.ready)
            .arg("--")
            .arg(program);
        command
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        // Its boards end with it; a rack that does not hear is killed, and its boards with it.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if !matches!(process::wait(&mut self.child, PATIENCE), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
