//! The emulated board from power-on to a shell: Basalt against a small expect script.
//!
//! Both drive the same board over the same relay and console and make it fetch the same bytes with
//! the same commands; the script (`scripts/expect_boot.py`) has its files served by Debian's
//! atftpd. Boots are interleaved, so that what else the machine does falls on both.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::events::{Events, seconds};
use super::{Options, Row};
use crate::rack::Rack;
use crate::{process, workspace};

/// What the job is, but for time-outs that name no fault of the board.
const LONGEST_BOOT: Duration = Duration::from_secs(900);
const BOARD: &str = "qemu-1";
/// The port that boot loaders ask, as /proc/net/udp shows it.
const TFTP_PORT: &str = ":0045 ";

/// When one boot was how far, seconds since the relay was asked for power.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Boot {
    /// The boot loader's prompt was there.
    loader: f64,
    /// The boot loader had fetched everything and started the kernel.
    kernel: f64,
    /// The shell's prompt was there.
    shell: f64,
}

/// Measures pairs of boots: one by Basalt, one by the script; which comes first alternates.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    super::prepare_boards()?;
    let bench = Bench::set(options)?;
    // Warms the page cache, and says what the script is to type.
    let (_, events) = bench.by_basalt("first")?;
    let recipe = bench.write_recipe(&events)?;
    let (mut basalt, mut script) = (Vec::new(), Vec::new());
    let mut server = String::new();
    for pair in 0..options.pairs {
        for turn in [pair % 2, (pair + 1) % 2] {
            if turn == 0 {
                let (boot, _) = bench.by_basalt(&format!("pair-{pair}"))?;
                eprintln!(
                    "pair {}: Basalt, {:.2} s to the shell",
                    pair + 1,
                    boot.shell
                );
                basalt.push(boot);
            } else {
                let (boot, said) = bench.by_script(&recipe)?;
                eprintln!(
                    "pair {}: expect script, {:.2} s to the shell",
                    pair + 1,
                    boot.shell
                );
                script.push(boot);
                server = said;
            }
        }
    }
    Ok(rows(&basalt, &script, &server))
}

fn rows(basalt: &[Boot], script: &[Boot], server: &str) -> Vec<Row> {
    type Length = fn(&Boot) -> f64;
    let mut rows = Vec::new();
    let stages: [(&str, Length); 3] = [
        ("power-on to boot loader", |boot| boot.loader),
        ("boot loader to kernel", |boot| boot.kernel - boot.loader),
        ("kernel to shell", |boot| boot.shell - boot.kernel),
    ];
    for (stage, length) in stages {
        for (who, boots) in [("Basalt", basalt), ("script", script)] {
            let samples: Vec<f64> = boots.iter().map(length).collect();
            rows.push(Row::median(format!("{who}: {stage}"), &samples, "s"));
        }
    }
    let totals = |boots: &[Boot]| boots.iter().map(|boot| boot.shell).collect::<Vec<_>>();
    let (ours, theirs) = (totals(basalt), totals(script));
    let ratios: Vec<f64> = ours
        .iter()
        .zip(&theirs)
        .map(|(our, their)| our / their)
        .collect();
    rows.push(Row::median("Basalt: power-on to shell", &ours, "s"));
    rows.push(Row::median(
        format!("script ({server}): power-on to shell"),
        &theirs,
        "s",
    ));
    let name = format!(
        "power-on to shell, Basalt over script, {} pairs",
        ratios.len()
    );
    rows.push(Row::median(name, &ratios, "x").aimed(1.1));
    rows
}

/// Programs and places.
struct Bench {
    basalt: PathBuf,
    virtual_rack: PathBuf,
    lab: PathBuf,
    directory: PathBuf,
    rack: Rack,
}

impl Bench {
    fn set(options: &Options) -> Result<Self> {
        let (basalt, virtual_rack) = options.programs()?;
        let root = workspace::root();
        let directory = root.join("target/bench/boot");
        if directory.exists() {
            fs::remove_dir_all(&directory)
                .with_context(|| format!("clearing {}", directory.display()))?;
        }
        let lab = root.join("lab-config/virtual");
        let rack = Rack::start(
            &virtual_rack,
            &lab.join("rack.toml"),
            &root.join("target/boards"),
            &directory.join("rack"),
        )?;
        Ok(Self {
            basalt,
            virtual_rack,
            lab,
            directory,
            rack,
        })
    }

    /// A command in the rack's network.
    fn inside(&self, program: impl AsRef<Path>) -> Command {
        self.rack.command(&self.virtual_rack, program.as_ref())
    }

    fn basalt(&self) -> Command {
        let mut command = self.inside(&self.basalt);
        command.env("BASALT_STATE", self.directory.join("state"));
        command
    }

    /// One boot by Basalt, and what the run said.
    fn by_basalt(&self, name: &str) -> Result<(Boot, Events)> {
        let mut command = self.basalt();
        command
            .arg("run")
            .arg(workspace::root().join("crates/xtask/src/bench/boot-job.yaml"))
            .arg("--lab")
            .arg(&self.lab)
            .args(["--board", BOARD, "--json", "--output"])
            .arg(self.directory.join(name));
        let events = Events::parse(&process::run(&mut command, LONGEST_BOOT)?)?;
        // The script has the console for itself, as Basalt has.
        self.stop_keeper()?;
        let on = events.power_on()?;
        let reached = |action| Ok::<_, anyhow::Error>(seconds(on, events.done(action)?));
        let boot = Boot {
            loader: reached("bootloader-interrupt")?,
            kernel: reached("bootloader-commands")?,
            shell: reached("auto-login-action")?,
        };
        Ok((boot, events))
    }

    fn stop_keeper(&self) -> Result<()> {
        let mut command = self.basalt();
        command.args(["keeper", "--stop", "--lab"]).arg(&self.lab);
        process::run(&mut command, Duration::from_secs(30)).map(drop)
    }

    /// One boot by the script, and which server served it.
    fn by_script(&self, recipe: &Path) -> Result<(Boot, String)> {
        let server = self.serve()?;
        let mut command = self.inside("python3");
        command
            .arg(workspace::root().join("scripts/expect_boot.py"))
            .arg(recipe);
        let said = process::run(&mut command, LONGEST_BOOT)?;
        let boot = serde_json::from_str(&said)
            .with_context(|| format!("the expect script said {said:?}"))?;
        Ok((boot, server.stop()?))
    }

    /// Writes what the script is to do, and the files that it is to have served: what Basalt typed
    /// and served in the run `first`.
    fn write_recipe(&self, events: &Events) -> Result<PathBuf> {
        let first = self.directory.join("first");
        let plan_file = first.join("plan.json");
        let text =
            fs::read(&plan_file).with_context(|| format!("reading {}", plan_file.display()))?;
        let plan: Value = serde_json::from_slice(&text)
            .with_context(|| format!("reading {}", plan_file.display()))?;
        let commands = events.typed_during("bootloader-commands")?;
        ensure!(
            !commands.is_empty(),
            "Basalt typed nothing at the boot loader"
        );
        self.write_files(&plan, &commands, &first)?;
        let recipe = recipe(&plan, &commands)?;
        let path = self.directory.join("recipe.json");
        fs::write(&path, format!("{recipe:#}\n"))
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// The very bytes that Basalt served, below the names that its commands ask for.
    fn write_files(&self, plan: &Value, commands: &[String], first: &Path) -> Result<()> {
        let asked = commands.iter().filter_map(|command| {
            let path = command.trim().strip_prefix("tftpboot ")?;
            path.split_whitespace().nth(1)
        });
        for name in asked {
            let (_, label) = name
                .rsplit_once('/')
                .with_context(|| format!("{name:?} is in no directory"))?;
            let mut parts = match label {
                "kernel" => vec![workspace::boards().join("vmlinuz-rt")],
                "ramdisk" => vec![workspace::boards().join("initramfs-rt.cpio.gz")],
                other => anyhow::bail!("the boot job deploys no {other:?}"),
            };
            if label == "ramdisk" && at(plan, "/blocks/0/kind/deploy/overlay_in_ramdisk")? == true {
                parts.push(first.join("overlay.cpio"));
            }
            let path = self.directory.join("tftp").join(name);
            write_together(&path, &parts).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }

    fn serve(&self) -> Result<Server> {
        let log = self.directory.join("atftpd.log");
        let out = File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let errors = out.try_clone().context("sharing atftpd's log")?;
        // Not this namespace's root, but whoever runs the bench: the files are his.
        let mut child = self
            .inside("/usr/sbin/atftpd")
            .args(["--daemon", "--no-fork", "--user", "root", "--group", "root"])
            .args(["--verbose=7", "--logfile", "-"])
            .arg(self.directory.join("tftp"))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            .spawn()
            .context("atftpd cannot be started")?;
        let sockets = PathBuf::from(format!("/proc/{}/net/udp", child.id()));
        let begun = Instant::now();
        loop {
            // Before it is in the rack's network, these are our own network's sockets; nothing
            // there holds its port with its name.
            let bound = fs::read_to_string(&sockets).is_ok_and(|text| text.contains(TFTP_PORT));
            let program = fs::read_to_string(format!("/proc/{}/comm", child.id()));
            if bound && program.is_ok_and(|name| name.trim() == "atftpd") {
                return Ok(Server { child, log });
            }
            let ended = child.try_wait().context("waiting for atftpd")?;
            if ended.is_some() || begun.elapsed() > Duration::from_secs(10) {
                // Gone already, or of no use.
                let _ = child.kill();
                let _ = child.wait();
                let said = fs::read_to_string(&log).unwrap_or_default();
                anyhow::bail!("atftpd does not serve:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A TFTP server that ends when this is dropped.
struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Ends it; returns its name and the window that it agreed to.
    fn stop(self) -> Result<String> {
        let log = fs::read_to_string(&self.log)
            .with_context(|| format!("reading {}", self.log.display()))?;
        served(&log).with_context(|| format!("atftpd's log is not as expected:\n{log}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It holds nothing but its socket.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `atftpd 0.8.0, window 16`, as its log tells; without windows it sends one block at a time.
fn served(log: &str) -> Option<String> {
    let after = |mark: &str| {
        let (_, rest) = log.split_once(mark)?;
        rest.split(|character: char| character.is_whitespace() || character == ')')
            .next()
    };
    let version = after("FTP server started (")?;
    log.contains("Serving ").then_some(())?;
    let window = after("windowsize option -> ").unwrap_or("1");
    Some(format!("atftpd {version}, window {window}"))
}

/// What `scripts/expect_boot.py` reads.
fn recipe(plan: &Value, commands: &[String]) -> Result<Value> {
    let relay = text(plan, "/relay/driver/tasmota/url")?;
    let outlet = at(plan, "/board/power/outlet")?;
    let switch = |to: &str| format!("{relay}/cm?cmnd=Power{outlet}%20{to}");
    let prompt = text(plan, "/board/u_boot/prompt")?;
    let mut steps = vec![json!({
        "expect": literal(text(plan, "/board/u_boot/interrupt_prompt")?),
        "type": text(plan, "/board/u_boot/interrupt_character")?,
    })];
    for (number, command) in commands.iter().enumerate() {
        let name = if number == 0 { "loader" } else { "" };
        steps.push(json!({"name": name, "expect": prompt, "type": command}));
    }
    let boot = "/blocks/1/kind/boot";
    steps.push(json!({
        "name": "kernel",
        "expect": literal(text(plan, &format!("{boot}/final_message"))?),
    }));
    steps.push(json!({"expect": text(plan, &format!("{boot}/kernel_start_message"))?}));
    steps.push(json!({"name": "shell", "expect": text(plan, &format!("{boot}/prompts/0"))?}));
    Ok(json!({
        "on": switch("On"),
        "off": switch("Off"),
        "console": [
            text(plan, "/board/console/source/tcp/host")?,
            at(plan, "/board/console/source/tcp/port")?,
        ],
        "limit": 300,
        "steps": steps,
    }))
}

fn at<'a>(plan: &'a Value, pointer: &str) -> Result<&'a Value> {
    plan.pointer(pointer)
        .with_context(|| format!("the plan has no {pointer}"))
}

fn text<'a>(plan: &'a Value, pointer: &str) -> Result<&'a str> {
    at(plan, pointer)?
        .as_str()
        .with_context(|| format!("{pointer} of the plan is no text"))
}

/// A text as a regular expression of Python's.
fn literal(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, character| {
        if character.is_ascii_punctuation() {
            escaped.push('\\');
        }
        escaped.push(character);
        escaped
    })
}

fn write_together(path: &Path, parts: &[PathBuf]) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = File::create(path)?;
    for part in parts {
        let mut from = File::open(part).with_context(|| format!("opening {}", part.display()))?;
        std::io::copy(&mut from, &mut file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_and_its_window_are_read_from_its_log() {
        let log = "x: Advanced Trivial FTP server started (0.8.0)\n\
                   x: Serving r/kernel to 10.77.0.10:50733\nx: windowsize option -> 16\n";
        assert_eq!(served(log).unwrap(), "atftpd 0.8.0, window 16");
        let without = log.replace("windowsize", "blksize");
        assert_eq!(served(&without).unwrap(), "atftpd 0.8.0, window 1");
        assert_eq!(
            served("x: Advanced Trivial FTP server started (0.8.0)"),
            None
        );
    }

    #[test]
    fn the_script_awaits_and_types_what_the_plan_says() {
        let plan = json!({
            "relay": {"driver": {"tasmota": {"url": "http://10.77.0.1:8081"}}},
            "board": {
                "power": {"outlet": 1},
                "console": {"source": {"tcp": {"host": "10.77.0.1", "port": 7001}}},
                "u_boot": {"prompt": "=> ", "interrupt_prompt": "Hit a key", "interrupt_character": " "},
            },
            "blocks": [{}, {"kind": {"boot": {
                "final_message": "Starting kernel ...", "kernel_start_message": "Linux version [0-9]",
                "prompts": ["/ # "],
            }}}],
        });
        let recipe = recipe(&plan, &["one\n".to_owned(), "booti\n".to_owned()]).unwrap();
        assert_eq!(recipe["on"], "http://10.77.0.1:8081/cm?cmnd=Power1%20On");
        let awaited: Vec<&str> = recipe["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["expect"].as_str().unwrap())
            .collect();
        let last = ["Starting kernel \\.\\.\\.", "Linux version [0-9]", "/ # "];
        assert_eq!(awaited[..3], ["Hit a key", "=> ", "=> "]);
        assert_eq!(awaited[3..], last);
        assert_eq!(recipe["steps"][2]["type"], "booti\n");
    }
}
