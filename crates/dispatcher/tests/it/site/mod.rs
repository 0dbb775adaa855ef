//! A rack of simulated boards, its lab, and the processes of its host.

mod host;
mod rack;

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use basalt_artifacts::cpio;
use basalt_lab::{Lab, LabFile};
use basalt_link::LabText;
use basalt_model::{BoardName, Sha256};
use basalt_plan::Plan;
use basalt_yaml::Diagnostics;
use sha2::Digest;
use tempfile::TempDir;

pub use host::{Dispatcher, end_keeper, keeper_pid, signal};
pub use rack::Rack;

/// No wait in these tests is longer; what is healthy takes a few seconds.
pub const BOUND: Duration = Duration::from_secs(120);

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

/// A program of this build.
pub fn built(name: &str) -> PathBuf {
    // target/PROFILE/deps/it-HASH
    let own = std::env::current_exe().unwrap();
    own.parent().unwrap().parent().unwrap().join(name)
}

/// A test's own network, 127.77.NUMBER.0/24: taken by locking a file, freed with the process.
struct Slot {
    number: u8,
    _lock: File,
}

impl Slot {
    fn take() -> Self {
        let directory = std::env::temp_dir().join("basalt-test-slots");
        std::fs::create_dir_all(&directory).unwrap();
        for number in 1..=u8::MAX {
            let lock = File::create(directory.join(number.to_string())).unwrap();
            if lock.try_lock().is_ok() {
                return Self {
                    number,
                    _lock: lock,
                };
            }
        }
        panic!("255 sites are running at once on this host");
    }
}

/// Everything that a test runs on.
pub struct Site {
    pub rack: Rack,
    directory: TempDir,
    slot: Slot,
    boards: Vec<String>,
}

impl Site {
    /// A rack with so many boards, `b0` and so on, behind one relay.
    pub fn start(boards: usize) -> Self {
        let slot = Slot::take();
        let directory = tempfile::tempdir().unwrap();
        let files = directory.path().join("files");
        std::fs::create_dir(&files).unwrap();
        write_images(&files);
        let boards: Vec<String> = (0..boards).map(|index| format!("b{index}")).collect();
        let rack = Rack::start(directory.path(), &rack_config(&boards, slot.number));
        Self {
            rack,
            directory,
            slot,
            boards,
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// What the dispatcher keeps on its host.
    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// A run's directory there.
    pub fn run_path(&self, run: basalt_model::RunId) -> PathBuf {
        self.state().join("runs").join(run.to_string())
    }

    /// Waits until the dispatcher has put it away, because the server needs nothing of it any more;
    /// where it is then.
    pub fn wait_done(&self, run: basalt_model::RunId) -> PathBuf {
        let path = self.state().join("runs/done").join(run.to_string());
        until("a run to be put away", || path.exists().then_some(()));
        path
    }

    /// The lab's files.
    pub fn lab_texts(&self) -> Vec<LabText> {
        let number = self.slot.number;
        let host = format!("127.77.{number}.100");
        let mut files = vec![
            (
                "lab.yaml".to_owned(),
                format!(
                    "version: 1\nname: test\ndispatcher:\n  address: {host}\n  tftp: {host}:6969\n  nfs: {host}:2049\n  allow_hosts: [127.0.0.1]\n"
                ),
            ),
            (
                "device-types/simulated-test.yaml".to_owned(),
                DEVICE_TYPE.to_owned(),
            ),
            (
                "relays/pdu.yaml".to_owned(),
                format!(
                    "version: 1\nname: pdu\ndriver: tasmota\nurl: http://{}\ntimeout: 2s\n",
                    self.rack.ready["relays"]["pdu"]["http"].as_str().unwrap()
                ),
            ),
        ];
        for (index, board) in self.boards.iter().enumerate() {
            let tcp = self.rack.ready["boards"][board]["tcp"].as_str().unwrap();
            let outlet = index + 1;
            files.push((
                format!("boards/{board}.yaml"),
                format!(
                    "version: 1\nname: {board}\ntype: simulated-test\npower: {{relay: pdu, outlet: {outlet}}}\nconsole: {{tcp: {tcp}}}\nnetwork: {{mac: 52:54:00:77:00:{index:02x}, address: {}/8}}\n",
                    address(number, index)
                ),
            ));
        }
        files
            .into_iter()
            .map(|(path, text)| LabText { path, text })
            .collect()
    }

    fn lab(&self) -> Lab {
        let files: Vec<LabFile> = self
            .lab_texts()
            .into_iter()
            .map(|LabText { path, text }| LabFile { path, text })
            .collect();
        let mut diagnostics = Diagnostics::new();
        basalt_lab::read(&files, &basalt_lab::builtin::types(), &mut diagnostics)
            .unwrap_or_else(|| panic!("{diagnostics:?}"))
    }

    /// A job that boots, measures so many phases and runs one definition.
    pub fn job(&self, phases: usize) -> String {
        let base = format!("http://{}/files", self.rack.http());
        let mut text = format!(
            "job_name: tested\ndevice_type: simulated-test\nvisibility: public\npriority: medium\ntimeouts:\n  job: {{minutes: 10}}\nactions:\n  - deploy:\n      to: tftp\n      kernel:\n        url: {base}/vmlinuz\n        type: image\n      ramdisk:\n        url: {base}/initramfs.cpio.gz\n  - boot:\n      method: u-boot\n      commands: ramdisk\n      prompts: ['/ # ']\n"
        );
        if phases > 0 {
            text.push_str("  - test:\n      realtime:\n");
            for phase in 0..phases {
                let _ = writeln!(
                    text,
                    "        - {{name: phase-{phase}, measure: cyclictest, duration: 5s, interval: 1000us}}"
                );
            }
        }
        text
    }

    /// The plan of a job on a board, as a server makes it.
    pub fn plan(&self, board: &str, job: &str) -> Plan {
        let lab = self.lab();
        let mut diagnostics = Diagnostics::new();
        let definition = basalt_job::read("job.yaml", job, &mut diagnostics)
            .unwrap_or_else(|| panic!("{diagnostics:?}"));
        let board = lab.board(&BoardName::new(board)).unwrap();
        let sha256 = Sha256(sha2::Sha256::digest(job.as_bytes()).into());
        basalt_plan::plan(
            &definition,
            sha256,
            board,
            lab.relay_of(board),
            lab.dispatcher_of(board),
            &mut diagnostics,
        )
        .unwrap_or_else(|| panic!("{diagnostics:?}"))
    }

    /// Waits until a board has no power.
    pub fn wait_off(&self, board: &str) {
        until(&format!("{board} to be off"), || {
            (!self.rack.has_power(board)).then_some(())
        });
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        host::end_keeper(&self.state());
        if std::thread::panicking() && std::env::var_os("BASALT_TEST_KEEP").is_some() {
            self.directory.disable_cleanup(true);
            let _ = writeln!(std::io::stderr(), "kept: {}", self.path().display());
        }
    }
}

fn address(number: u8, index: usize) -> String {
    format!("127.77.{number}.{}", 10 + index)
}

/// What the built-in type is, with deadlines that a busy host keeps too.
const DEVICE_TYPE: &str = "\
version: 1
name: simulated-test
extends: simulated
timeouts:
  http-download: 60s
  reset-device: 30s
  bootloader-interrupt: 60s
  bootloader-commands: 60s
  auto-login-action: 60s
  login-action: 60s
  expect-shell-connection: 60s
  environment-record: 60s
  lava-test-shell: 60s
  realtime-phase: 60s
  realtime-transfer: 60s
  finalize: 60s
";

fn rack_config(boards: &[String], number: u8) -> String {
    let outlets: Vec<String> = boards.iter().map(|board| format!("'{board}'")).collect();
    let mut text = format!(
        "version = 1\nrun_dir = 'rack'\npatience_ms = 20000\n[http]\nlisten = '127.0.0.1:0'\nfiles = 'files'\n[[relay]]\nkind = 'tasmota'\nname = 'pdu'\nlisten = '127.0.0.1:0'\noutlets = [{}]\n",
        outlets.join(", ")
    );
    for (index, board) in boards.iter().enumerate() {
        let _ = write!(
            text,
            "[[board]]\nkind = 'simulated'\nname = '{board}'\ntcp = '127.0.0.1:0'\naddress = '{}'\ntftp_port = 6969\ntftp_timeout_ms = 250\ncpus = 2\n",
            address(number, index)
        );
    }
    text
}

/// A kernel that is one as far as anybody looks, and a ramdisk with one file.
fn write_images(files: &Path) {
    let mut image = b"\0Linux version %s (%s)\n\0".to_vec();
    image.extend_from_slice(b"Linux version 6.1.0-sim-rt (basalt@test) (gcc 12.2.0) #1 SMP PREEMPT_RT Debian 6.1.1-1 (2026-11-01)\n\0");
    image.resize(20_000, 0x5a);
    std::fs::write(files.join("vmlinuz"), image).unwrap();
    let entries = [cpio::Entry {
        path: "hello.txt".to_owned(),
        mode: 0o755,
        kind: cpio::Kind::File(b"from the ramdisk\n".to_vec()),
    }];
    let file = File::create(files.join("initramfs.cpio.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packed.write_all(&cpio::write_newc(&entries)).unwrap();
    packed.finish().unwrap();
}
