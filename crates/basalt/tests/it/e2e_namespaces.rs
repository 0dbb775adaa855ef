//! The way of a new user: from `basalt serve` to a second dispatcher in another network namespace
//! and a job on its board, by what the README says and nothing else.
//!
//! Each rack is a namespace of its own with the board in it; a pair of virtual cables is the only
//! way between them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::e2e_harness::served::{is_alive, kill};
use crate::e2e_harness::{Deploy, Finished, Job, Running, phase, rack, site, until};

/// The server's host, and that of the second dispatcher, on the cable between them.
const SERVER: &str = "10.99.77.1";
const OTHER: &str = "10.99.77.2";

/// A rack in a network namespace that lives as long as it does.
struct Elsewhere {
    child: Child,
    ready: Value,
    root: PathBuf,
}

impl Elsewhere {
    /// A rack with one simulated board and the files that jobs deploy.
    fn start(root: &Path, board: &str, address: &str) -> Self {
        let directory = root.join(format!("rack-of-{board}"));
        std::fs::create_dir_all(directory.join("files")).unwrap();
        site::write_images(&directory.join("files"));
        let config = format!(
            "version = 1\nrun_dir = 'run'\n[http]\nlisten = '127.0.0.1:0'\nfiles = 'files'\n\
             [[relay]]\nkind = 'tasmota'\nname = 'pdu'\nlisten = '127.0.0.1:0'\noutlets = ['{board}']\n\
             [[board]]\nkind = 'simulated'\nname = '{board}'\ntcp = '127.0.0.1:0'\naddress = '{address}'\n\
             tftp_port = 69\ntftp_timeout_ms = 250\ncpus = 2\n"
        );
        let path = directory.join("rack.toml");
        std::fs::write(&path, config).unwrap();
        let ready_path = directory.join("ready.json");
        let mut child = Command::new(rack::program())
            .arg("--netns")
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
                panic!("the rack ended with {status}");
            }
            std::fs::read_to_string(&ready_path).ok()
        });
        Self {
            child,
            ready: serde_json::from_str(&ready).unwrap(),
            root: root.to_owned(),
        }
    }

    fn pid(&self) -> String {
        self.ready["pid"].to_string()
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.pid(), "--net", "--", program])
            .args(arguments);
        command
    }

    /// `basalt` there, as an account of its own.
    fn basalt(&self, name: &str, arguments: &[&str]) -> Running {
        let mut command = self.command(env!("CARGO_BIN_EXE_basalt"), arguments);
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("BASALT_") {
                command.env_remove(variable);
            }
        }
        command
            .current_dir(&self.root)
            .env("XDG_CONFIG_HOME", self.root.join("config"))
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG");
        Running::start(command, &self.root, name, self.root.join(name))
    }

    /// A verb that does what it was asked.
    fn perform(&self, name: &str, arguments: &[&str]) -> Finished {
        let finished = self.basalt(name, arguments).wait();
        finished.expect_code(0);
        finished
    }

    /// Its end of the cable.
    fn plug(&self, cable: &str, address: &str) {
        let address = format!("{address}/24");
        for arguments in [
            &["addr", "add", &address, "dev", cable][..],
            &["link", "set", cable, "up"],
        ] {
            let status = self.command("ip", arguments).status().unwrap();
            assert!(status.success(), "ip {arguments:?}");
        }
    }

    /// What the lab's files say of its relay and its board.
    fn describe(&self, lab: &Path, board: &str, number: u8, dispatcher: &str) {
        let ready = &self.ready;
        let pdu = ready["relays"]["pdu"]["http"].as_str().unwrap();
        let console = ready["boards"][board]["tcp"].as_str().unwrap();
        let relay = format!("pdu-{number}");
        let put = |path: String, text: String| {
            let path = lab.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put(
            format!("relays/{relay}.yaml"),
            format!("version: 1\nname: {relay}\ndriver: tasmota\nurl: http://{pdu}\n{dispatcher}"),
        );
        put(
            format!("boards/{board}.yaml"),
            format!(
                "version: 1\nname: {board}\ntype: simulated-test\ntags: [of-{board}]\n\
                 power: {{relay: {relay}, outlet: 1}}\nconsole: {{tcp: \"{console}\"}}\n\
                 network: {{mac: \"52:54:00:77:00:{number:02x}\", address: {}/8}}\n",
                address(number)
            ),
        );
    }

    /// A job that only its board can run.
    fn job(&self, board: &str) -> PathBuf {
        let deploy = Deploy {
            base: format!("http://{}/files", self.ready["http"].as_str().unwrap()),
            kernel: "vmlinuz-rt".into(),
            ramdisk: "initramfs.cpio.gz".into(),
            kernel_extra: Vec::new(),
        };
        let text = Job::new("first", deploy)
            .realtime(&[phase("idle", "limit: 400us")])
            .text();
        let path = self.root.join(format!("{board}.job.yaml"));
        std::fs::write(&path, format!("{text}tags: [of-{board}]\n")).unwrap();
        path
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a test that failed would leave behind at these state directories.
struct Left([PathBuf; 2]);

impl Drop for Left {
    fn drop(&mut self) {
        for state in &self.0 {
            let dispatcher = std::fs::read_to_string(state.join("dispatcher/dispatcher.lock"));
            let dispatcher = dispatcher
                .ok()
                .and_then(|text| serde_json::from_str::<Value>(&text).ok())
                .and_then(|instance| u32::try_from(instance["pid"].as_u64()?).ok());
            let keeper = std::fs::read_to_string(state.join("keeper.pid"));
            let keeper = keeper.ok().and_then(|text| text.trim().parse().ok());
            // The dispatcher first: it would start another keeper.
            for pid in [dispatcher, keeper].into_iter().flatten() {
                if is_alive(pid) {
                    kill(pid);
                }
            }
        }
    }
}

/// A board as its rack sees it; each namespace has all of 127.0.0.0/8 to itself.
fn address(number: u8) -> String {
    format!("127.77.{number}.10")
}

/// Why this host cannot make what the test needs.
fn lacks() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can join network namespaces by a cable");
    }
    let has = |program: &str| {
        let status = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok()
    };
    if !has("nsenter") || !has("unshare") {
        return Some("nsenter and unshare are missing (package util-linux)");
    }
    if !has("ip") {
        return Some("ip is missing (package iproute2)");
    }
    None
}

/// Waits until a server answers.
fn greeted(server: &Running) {
    until("the server's greeting", || {
        server.stdout().contains("Ctrl-C").then_some(())
    });
}

#[test]
fn a_new_user_lets_a_dispatcher_of_another_network_namespace_in_and_runs_a_job_there() {
    if let Some(why) = lacks() {
        println!("skipped: {why}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let here = Elsewhere::start(root, "sim-1", &address(1));
    let there = Elsewhere::start(root, "sim-2", &address(2));
    let cable = Command::new("ip")
        .args([
            "link",
            "add",
            "cable-1",
            "netns",
            &here.pid(),
            "type",
            "veth",
        ])
        .args(["peer", "name", "cable-2", "netns", &there.pid()])
        .status();
    assert!(cable.unwrap().success());
    here.plug("cable-1", SERVER);
    there.plug("cable-2", OTHER);

    let _left = Left([root.join("state-1"), root.join("state-2")]);

    // A lab of one rack, served to this host alone.
    let lab = root.join("lab");
    std::fs::create_dir_all(lab.join("device-types")).unwrap();
    std::fs::write(
        lab.join("device-types/simulated-test.yaml"),
        site::DEVICE_TYPE,
    )
    .unwrap();
    std::fs::write(
        lab.join("lab.yaml"),
        "version: 1\nname: shelf-lab\ndispatcher: {address: 127.77.1.100, allow_hosts: [127.0.0.1]}\n",
    )
    .unwrap();
    here.describe(&lab, "sim-1", 1, "");
    let serve = |name: &str, more: &[&str]| {
        let mut arguments = vec!["serve", "--lab", "lab", "--state", "state-1"];
        arguments.extend(more);
        here.basalt(name, &arguments)
    };
    let server = serve("serve-1", &["--listen", "127.0.0.1:0"]);
    greeted(&server);
    let job = here.job("sim-1");
    let followed = here.perform("submit-1", &["submit", job.to_str().unwrap(), "--follow"]);
    assert!(
        followed
            .stdout
            .contains("run 1 on sim-1 by dispatcher main")
    );

    // The second rack is described and applied; its board waits for somebody to open it to jobs.
    std::fs::create_dir_all(lab.join("dispatchers")).unwrap();
    std::fs::write(
        lab.join("dispatchers/rack-2.yaml"),
        "version: 1\nname: rack-2\naddress: 127.77.2.100\nallow_hosts: [127.0.0.1]\n",
    )
    .unwrap();
    there.describe(&lab, "sim-2", 2, "dispatcher: rack-2\n");
    let applied = here.perform("apply", &["lab", "apply", "lab"]);
    assert!(
        applied.stdout.contains("`basalt maintenance sim-2 off`"),
        "{}",
        applied.stdout
    );
    let too_early = here.perform(
        "add-1",
        &["dispatchers", "add", "rack-2", "--token-file", "early"],
    );
    assert!(
        too_early.stdout.contains("--tls self-signed"),
        "{}",
        too_early.stdout
    );
    server.signal("INT");
    server.wait().expect_code(0);

    // The server speaks TLS to others from now on, with a certificate that it signed itself.
    let server = serve(
        "serve-2",
        &[
            "--listen",
            "127.0.0.1:7270",
            "--listen",
            &format!("{SERVER}:7270"),
            "--tls",
            "self-signed",
        ],
    );
    greeted(&server);
    here.perform(
        "add-2",
        &[
            "dispatchers",
            "add",
            "rack-2",
            "--token-file",
            "rack-2.token",
        ],
    );
    let again = here.basalt(
        "add-3",
        &[
            "dispatchers",
            "add",
            "rack-2",
            "--token-file",
            "rack-2.token",
        ],
    );
    let again = again.wait();
    again.expect_code(64);
    assert!(again.stderr.contains("there already"), "{}", again.stderr);

    let url = format!("https://{SERVER}:7270");
    let mut arguments = vec!["dispatch", "--server", &url, "--token-file", "rack-2.token"];
    arguments.extend(["--state", "state-2"]);
    let dispatcher = there.basalt("dispatch", &arguments);
    until("the second dispatcher to be online", || {
        let stdout = server.stdout();
        stdout.contains("dispatcher rack-2 online").then_some(())
    });
    let job = there.job("sim-2");
    let queued = here.perform("submit-2", &["submit", job.to_str().unwrap(), "--json"]);
    let queued: Value = serde_json::from_str(&queued.stdout).unwrap();
    let id = queued["id"].to_string();
    let why = here.perform("why", &["why", &id]);
    assert!(
        why.stdout.contains("sim-2 has been in maintenance"),
        "{}",
        why.stdout
    );
    here.perform("open", &["maintenance", "sim-2", "off"]);
    let waited = here.perform("wait", &["wait", &id]);
    assert!(
        waited
            .stdout
            .contains("run 1 on sim-2 by dispatcher rack-2"),
        "{}",
        waited.stdout
    );
    let boards = here.perform("boards", &["boards", "--json"]);
    let boards: Value = serde_json::from_str(&boards.stdout).unwrap();
    for board in boards.as_array().unwrap() {
        assert_eq!(board["power"], "off", "{board:#}");
    }

    dispatcher.signal("INT");
    dispatcher.wait().expect_code(0);
    server.signal("INT");
    server.wait().expect_code(0);
}
