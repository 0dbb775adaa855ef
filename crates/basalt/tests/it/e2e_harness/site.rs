//! A rack, the lab that describes it, and `basalt` over both.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use basalt_artifacts::cpio;
use serde_json::Value;
use tempfile::TempDir;

use super::slot::Slot;
use super::{Deploy, Finished, Job, RT_KERNEL, Rack, Running, STOCK_KERNEL};

/// The port of each site's TFTP server, on an address of its own.
pub(super) const TFTP_PORT: u16 = 6969;
/// The same for NFS.
pub(super) const NFS_PORT: u16 = 2049;

/// How a board is made.
#[derive(Clone, Debug)]
pub struct Board {
    pub(super) name: String,
    /// Console by PTY instead of TCP.
    pty: bool,
    /// Behind the LCUS card instead of the Tasmota box.
    lcus: bool,
    /// Its programs share the host's address, so that they may upload.
    uploads: bool,
    /// The address in its file, where it is not the one that it has.
    declared: Option<Ipv4Addr>,
    /// Lines of its table in the rack's configuration.
    pub(super) rack: String,
}

impl Board {
    /// Console by TCP, power by Tasmota, files over the console.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            pty: false,
            lcus: false,
            uploads: false,
            declared: None,
            rack: String::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Console by PTY.
    pub fn pty(mut self) -> Self {
        self.pty = true;
        self
    }

    /// Power by the LCUS card, which cannot be read back.
    pub fn lcus(mut self) -> Self {
        self.lcus = true;
        self
    }

    /// Sends files over the network. What a simulated board runs has the host's network and its
    /// address, 127.0.0.1; only a board that the lab knows by it is let upload, so one a site.
    pub fn uploads(mut self) -> Self {
        self.uploads = true;
        self
    }

    /// Its file declares an address that it does not have.
    pub fn declared(mut self, address: Ipv4Addr) -> Self {
        self.declared = Some(address);
        self
    }

    /// Adds lines to its table in the rack's configuration.
    pub fn rack(mut self, lines: &str) -> Self {
        let _ = writeln!(self.rack, "{lines}");
        self
    }
}

/// Everything that a test runs on.
pub struct Site {
    // Before the directory, so that it is ended before its files go.
    pub rack: Rack,
    directory: TempDir,
    pub(super) slot: Slot,
    runs: AtomicUsize,
}

impl Site {
    /// A rack with these boards, and its lab.
    pub fn start(boards: &[Board]) -> Self {
        let site = Self::over(|slot| rack_config(boards, slot));
        for index in 0..boards.len() {
            site.write_lab(boards, index);
        }
        site
    }

    /// A rack of this configuration, and no lab yet.
    pub(super) fn over(config: impl FnOnce(&Slot) -> String) -> Self {
        let slot = Slot::take();
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir(root.join("files")).unwrap();
        write_images(&root.join("files"));
        let rack = Rack::start(root, &config(&slot));
        Self {
            rack,
            directory,
            slot,
            runs: AtomicUsize::new(0),
        }
    }

    /// Its temporary directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The lab's directory as the runs on this board see it. Each run serves its board itself, and
    /// two of them cannot listen on one port of one address; so each board has a lab directory in
    /// which the dispatcher has an address of its own, and nothing else differs.
    pub fn lab(&self, board: &str) -> PathBuf {
        self.path().join(format!("lab-{board}"))
    }

    /// What `basalt` keeps on this host.
    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// What a job deploys unless it says otherwise: the realtime kernel and its ramdisk.
    pub fn deploy(&self) -> Deploy {
        Deploy {
            base: format!("http://{}/files", self.rack.http()),
            kernel: "vmlinuz-rt".into(),
            ramdisk: "initramfs.cpio.gz".into(),
            kernel_extra: Vec::new(),
        }
    }

    /// Makes a ramdisk that jobs can deploy: these programs in its root.
    pub fn write_ramdisk(&self, name: &str, programs: &[(&str, &[u8])]) {
        write_ramdisk(&self.path().join("files").join(name), programs);
    }

    /// A job over that.
    pub fn job(&self, name: &str) -> Job {
        Job::new(name, self.deploy())
    }

    /// `basalt` with this site's state and none of the caller's environment that it reads.
    pub fn basalt(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_basalt"));
        command
            .args(arguments)
            .env("BASALT_STATE", self.state())
            .env("NO_COLOR", "1")
            .env_remove("BASALT_LAB")
            .env_remove("RUST_LOG");
        command
    }

    /// Runs a verb to its end.
    pub fn perform(&self, arguments: &[&str]) -> Finished {
        let name = self.next_name("verb");
        let output = self.path().join(&name);
        Running::start(self.basalt(arguments), self.path(), &name, output).wait()
    }

    /// Starts `basalt run` of a job on a board, with further arguments.
    pub fn begin(&self, board: &str, job: &str, more: &[&str]) -> Running {
        let name = self.next_name(board);
        let path = self.path().join(format!("{name}.yaml"));
        std::fs::write(&path, job).unwrap();
        let output = self.path().join(&name);
        let lab = self.lab(board);
        let mut command = self.basalt(&["run"]);
        command
            .arg(&path)
            .arg("--lab")
            .arg(&lab)
            .args(["--board", board, "--output"])
            .arg(&output)
            .args(more);
        Running::start(command, self.path(), &name, output)
    }

    /// Goes on with an unfinished run in its directory.
    pub fn resume(&self, output: &Path) -> Running {
        let name = self.next_name("resume");
        let mut command = self.basalt(&["run", "--resume"]);
        command.arg(output);
        Running::start(command, self.path(), &name, output.to_owned())
    }

    /// Runs a job on a board to its end.
    pub fn run(&self, board: &str, job: &Job) -> Finished {
        self.begin(board, &job.text(), &[]).wait()
    }

    /// What the keeper says of itself.
    pub fn keeper_status(&self) -> Value {
        let arguments = ["keeper", "--status", "--json"];
        let status = self.perform(&arguments);
        status.expect_code(0);
        serde_json::from_str(&status.stdout).unwrap()
    }

    fn next_name(&self, of: &str) -> String {
        format!("{of}-{}", self.runs.fetch_add(1, Ordering::Relaxed))
    }

    /// The lab as the runs on board `of` see it.
    fn write_lab(&self, boards: &[Board], of: usize) {
        let lab = self.lab(&boards[of].name);
        for name in ["relays", "boards", "device-types"] {
            std::fs::create_dir_all(lab.join(name)).unwrap();
        }
        let put = |path: &str, text: String| std::fs::write(lab.join(path), text).unwrap();
        let dispatcher = self.slot.dispatcher(of);
        put(
            "lab.yaml",
            format!(
                "version: 1\nname: test\ndispatcher:\n  address: {dispatcher}\n  tftp: {dispatcher}:{TFTP_PORT}\n  nfs: {dispatcher}:{NFS_PORT}\n  allow_hosts: [127.0.0.1]\n"
            ),
        );
        put("device-types/simulated-test.yaml", DEVICE_TYPE.to_owned());
        let relays = &self.rack.ready()["relays"];
        put(
            "relays/pdu.yaml",
            format!(
                "version: 1\nname: pdu\ndriver: tasmota\nurl: http://{}\ntimeout: 2s\n",
                relays["pdu"]["http"].as_str().unwrap()
            ),
        );
        put(
            "relays/card.yaml",
            format!(
                "version: 1\nname: card\ndriver: lcus\npath: {}\ntimeout: 2s\n",
                relays["card"]["pty"].as_str().unwrap()
            ),
        );
        let mut outlets = (0, 0);
        for (index, board) in boards.iter().enumerate() {
            let (relay, outlet) = if board.lcus {
                outlets.1 += 1;
                ("card", outlets.1)
            } else {
                outlets.0 += 1;
                ("pdu", outlets.0)
            };
            let about = &self.rack.ready()["boards"][&board.name];
            let console = match board.pty {
                true => format!("serial: {}", about["pty"].as_str().unwrap()),
                false => format!("tcp: {}", about["tcp"].as_str().unwrap()),
            };
            let text = format!(
                "version: 1\nname: {}\ntype: simulated-test\npower: {{relay: {relay}, outlet: {outlet}}}\nconsole: {{{console}}}\nnetwork: {{mac: 52:54:00:77:00:{index:02x}, address: {}/8}}\n",
                board.name,
                board
                    .declared
                    .unwrap_or_else(|| address(board, index, &self.slot)),
            );
            put(&format!("boards/{}.yaml", board.name), text);
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // There is none where nothing was run. One that does not end is killed, so that nothing of
        // a test is left behind; its process id is its own word.
        let stopped = self
            .basalt(&["keeper", "--stop"])
            .output()
            .is_ok_and(|output| output.status.success());
        if !stopped && let Ok(pid) = std::fs::read_to_string(self.state().join("keeper.pid")) {
            let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.trim()));
            if name.is_ok_and(|name| name.starts_with("basalt")) {
                let _ = Command::new("kill").args(["-KILL", pid.trim()]).status();
            }
        }
        if std::thread::panicking() && std::env::var_os("BASALT_TEST_KEEP").is_some() {
            self.directory.disable_cleanup(true);
            let _ = writeln!(std::io::stderr(), "kept: {}", self.path().display());
        }
    }
}

fn address(board: &Board, index: usize, slot: &Slot) -> Ipv4Addr {
    match board.uploads {
        true => Ipv4Addr::LOCALHOST,
        false => slot.board(index),
    }
}

/// What the built-in type `simulated` is, with deadlines that a host which is busy with other tests
/// keeps too, and at which a test can still wait for what never comes. A test that waits for one of
/// them says so in its job.
pub const DEVICE_TYPE: &str = "\
version: 1
name: simulated-test
extends: simulated
timeouts:
  http-download: 60s
  reset-device: 30s
  bootloader-interrupt: 15s
  bootloader-commands: 20s
  auto-login-action: 20s
  login-action: 15s
  expect-shell-connection: 15s
  environment-record: 60s
  lava-test-shell: 60s
  realtime-phase: 60s
  realtime-transfer: 60s
  finalize: 60s
";

fn rack_config(boards: &[Board], slot: &Slot) -> String {
    let list = |lcus: bool| {
        let names: Vec<String> = boards
            .iter()
            .filter(|board| board.lcus == lcus)
            .map(|board| format!("'{}'", board.name))
            .collect();
        names.join(", ")
    };
    let mut text = format!(
        "version = 1\nrun_dir = 'rack'\n[http]\nlisten = '127.0.0.1:0'\nfiles = 'files'\n\
         [[relay]]\nkind = 'tasmota'\nname = 'pdu'\nlisten = '127.0.0.1:0'\noutlets = [{}]\n\
         [[relay]]\nkind = 'lcus'\nname = 'card'\npty = 'card.tty'\noutlets = [{}]\n",
        list(false),
        list(true)
    );
    for (index, board) in boards.iter().enumerate() {
        let console = match board.pty {
            true => format!("pty = '{}.tty'", board.name),
            false => "tcp = '127.0.0.1:0'".to_owned(),
        };
        let _ = write!(
            text,
            "[[board]]\nkind = 'simulated'\nname = '{}'\n{console}\naddress = '{}'\ntftp_port = {TFTP_PORT}\ntftp_timeout_ms = 250\ncpus = 2\n{}",
            board.name,
            address(board, index, slot),
            board.rack
        );
    }
    text
}

/// Two kernels that are ones as far as anybody looks, and a ramdisk with one file.
pub fn write_images(files: &Path) {
    for (name, version) in [("vmlinuz-rt", RT_KERNEL), ("vmlinuz-stock", STOCK_KERNEL)] {
        let mut image = b"\0Linux version %s (%s)\n\0".to_vec();
        image.extend_from_slice(version.as_bytes());
        image.extend_from_slice(b"\n\0");
        // A few TFTP blocks.
        image.resize(20_000, 0x5a);
        std::fs::write(files.join(name), image).unwrap();
    }
    write_ramdisk(
        &files.join("initramfs.cpio.gz"),
        &[("hello.txt", b"from the ramdisk\n")],
    );
}

fn write_ramdisk(path: &Path, programs: &[(&str, &[u8])]) {
    let entries: Vec<cpio::Entry> = programs
        .iter()
        .map(|(name, content)| cpio::Entry {
            path: (*name).to_owned(),
            mode: 0o755,
            kind: cpio::Kind::File(content.to_vec()),
        })
        .collect();
    let file = std::fs::File::create(path).unwrap();
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packed.write_all(&cpio::write_newc(&entries)).unwrap();
    packed.finish().unwrap();
}
