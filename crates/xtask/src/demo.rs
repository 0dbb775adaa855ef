//! `cargo xtask demo`: a lab that serves, on virtual boards, against a planted truth.
//!
//! Jobs whose answers are known beforehand are submitted to `basalt serve`: the realtime kernel on
//! the faster board passes, on the slower board it fails on its numbers, and a kernel that is no
//! realtime kernel proves nothing. Meanwhile the server, the dispatcher and the console keeper are
//! killed. The demonstration is good only if every job ran once and came to exactly that, and if a
//! script that shares no code with Basalt finds the server's numbers in the raw files and its
//! console in what the boards truly said.

mod followed;
mod lab;
mod proof;
mod strike;
mod told;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use self::followed::{Followed, Line, Said};
use self::lab::Lab;
use self::proof::Evidence;
use self::strike::{Moment, Strike, Struck, Victim};
use self::told::{Ink, Teller};
use crate::tally::Counts;
use crate::{boards, kills, packages, process, workspace};

/// What `cargo xtask demo` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Install nothing; where Debian packages are missing, print the command and stop
    #[arg(long)]
    pub no_install: bool,
    /// Boot the NFS root instead of the ramdisk
    #[arg(long)]
    pub nfs: bool,
    /// Leave the lab running, for its pages and the client
    #[arg(long)]
    pub keep: bool,
    /// End the lab that `--keep` left running, and do nothing else
    #[arg(long, conflicts_with_all = ["no_install", "nfs", "keep"])]
    pub stop: bool,
}

/// How long all jobs may take; emulated boards on a busy host are slow.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// One job and what is known about it beforehand.
pub struct Planted {
    /// What the demonstration calls it.
    name: &'static str,
    board: &'static str,
    job: &'static str,
    /// What the client must exit with (pass 0, fail 1, invalid 2).
    exit: i32,
    outcome: &'static str,
    /// What every phase must say.
    verdict: &'static str,
    /// A word that the reason must hold.
    because: &'static str,
    says: &'static str,
}

/// Jobs, and what is killed meanwhile.
struct Programme {
    jobs: &'static [Planted],
    strikes: &'static [Strike],
}

const RAMDISK: Programme = Programme {
    jobs: &[
        Planted {
            name: "rt-fast",
            board: "qemu-1",
            job: "realtime.yaml",
            exit: 0,
            outcome: "pass",
            verdict: "pass",
            because: "",
            says: "the realtime kernel on the faster board must pass",
        },
        Planted {
            name: "rt-slow",
            board: "qemu-2",
            job: "realtime.yaml",
            exit: 1,
            outcome: "fail",
            verdict: "fail",
            because: "400",
            says: "the same job on a slower board must fail on its numbers",
        },
        Planted {
            name: "stock",
            board: "qemu-1",
            job: "realtime-stock.yaml",
            exit: 2,
            outcome: "invalid",
            verdict: "invalid",
            because: "realtime kernel",
            says: "a kernel that is no realtime kernel must prove nothing",
        },
    ],
    strikes: &[
        Strike {
            victim: Victim::Server,
            job: "rt-fast",
            moment: Moment::Measuring("hackbench"),
        },
        Strike {
            victim: Victim::Dispatcher,
            job: "rt-slow",
            moment: Moment::Measuring("hackbench"),
        },
        Strike {
            victim: Victim::DispatcherAndKeeper,
            job: "stock",
            moment: Moment::Booting,
        },
    ],
};

const NFS: Programme = Programme {
    jobs: &[Planted {
        name: "rt-nfs",
        board: "qemu-1",
        job: "realtime-nfs.yaml",
        exit: 0,
        outcome: "pass",
        verdict: "pass",
        because: "",
        says: "the realtime kernel with its root over NFS must pass",
    }],
    strikes: &[
        Strike {
            victim: Victim::Dispatcher,
            job: "rt-nfs",
            moment: Moment::Measuring("idle"),
        },
        Strike {
            victim: Victim::Server,
            job: "rt-nfs",
            moment: Moment::Measuring("hackbench"),
        },
    ],
};

/// The verb.
pub fn run(options: &Options) -> Result<ExitCode> {
    let directory = directory();
    let _alone = alone(&directory)?;
    if options.stop {
        let count = lab::end_all(&directory)?;
        println!("{count} processes of the demonstration's lab were ended");
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(url) = lab::left_running(&directory)? {
        println!("the lab of an earlier demonstration still runs: {url}");
        println!("`cargo xtask demo --stop` ends it");
        return Ok(ExitCode::FAILURE);
    }
    packages::ensure(!options.no_install)?;
    boards::prepare(&boards::Options {
        no_install: options.no_install,
        only: Vec::new(),
        refresh: false,
    })?;
    let programme = if options.nfs { &NFS } else { &RAMDISK };
    let mut show = Show::open(&directory, options.keep)?;
    let counts = show.perform(programme)?;
    let page = show.lab.url().to_owned();
    let counts = match options.keep {
        true => show.leave(counts)?,
        false => {
            let (mut counts, lab) = show.close(counts);
            counts += counted("the rack's end", lab.stop_rack());
            counts
        }
    };
    println!();
    if !options.keep {
        println!("  the pages were at {page}; `cargo xtask demo --keep` leaves the lab running");
    }
    println!("  results, logs and consoles are in {}", shown(&directory));
    if counts.failed == 0 {
        println!("\nthe demonstration is as planted");
        Ok(ExitCode::SUCCESS)
    } else {
        println!("\nNOT as planted: {counts}");
        Ok(ExitCode::FAILURE)
    }
}

/// The steps that `cargo xtask test` runs, packages and boards being prepared: the demonstration,
/// and in its rack a run without a server that is killed.
pub fn end_to_end() -> Result<Counts> {
    let _alone = alone(&directory())?;
    let mut show = Show::open(&directory(), false)?;
    let counts = show.perform(&RAMDISK)?;
    let (mut counts, lab) = show.close(counts);
    println!("\n━━ {}", kills::SAYS);
    let results = directory().join("by-hand");
    let state = directory().join("by-hand-state");
    let killed = kills::perform(
        &|| lab.inside(&state),
        &workspace::root().join("lab-config/virtual"),
        NFS.jobs[0].job,
        NFS.jobs[0].board,
        &results,
        &lab.rack_log()?,
    );
    counts += counted("it", killed.map(|said| println!("{said}")));
    counts += counted("the rack's end", lab.stop_rack());
    Ok(counts)
}

fn directory() -> PathBuf {
    workspace::root().join("target/demo")
}

/// Keeps other demonstrations of this checkout away while it is held: each would clear the other's
/// directory.
fn alone(directory: &Path) -> Result<File> {
    let path = directory.with_extension("lock");
    let parent = path.parent().unwrap_or(directory);
    std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    let lock = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!("another demonstration of this checkout runs"),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", path.display()))
        }
    }
}

/// One check that has been made; what is wrong is said.
fn counted(what: &str, result: Result<()>) -> Counts {
    if let Err(error) = &result {
        println!("✗ {what}: {error:#}");
    }
    Counts::one(result.is_ok())
}

/// A demonstration.
struct Show {
    lab: Lab,
    directory: PathBuf,
    teller: Teller,
    begun: Instant,
}

/// A job that has been submitted.
struct Act {
    planted: &'static Planted,
    id: i64,
    client: Followed,
    log: Vec<Line>,
    /// The client's exit code, and what it said last.
    end: Option<Result<Option<i32>>>,
}

impl Act {
    fn who(&self) -> String {
        format!("{} {}", self.id, self.planted.name)
    }
}

impl Show {
    /// Starts the lab and says where it is.
    fn open(directory: &Path, stays: bool) -> Result<Self> {
        // What a demonstration left that was ended in its middle.
        lab::end_all(directory)?;
        let teller = Teller::new();
        teller.part("a lab: two emulated boards behind a relay, and basalt serve");
        let lab = Lab::start(directory, stays)?;
        teller.value("page", lab.url());
        teller.value("log in", lab.login_link());
        teller.value("", "works once; watch the jobs there if you like");
        Ok(Self {
            lab,
            directory: directory.to_owned(),
            begun: Instant::now(),
            teller,
        })
    }

    /// Submits the jobs, kills, waits for the end, and holds everything against the truth.
    fn perform(&mut self, programme: &'static Programme) -> Result<Counts> {
        let count = programme.jobs.len();
        let noun = if count == 1 { "job" } else { "jobs" };
        let kills = programme.strikes.len();
        self.teller.part(&format!(
            "{count} {noun}, and {kills} kills in their middle"
        ));
        let (heard, hearing) = mpsc::channel();
        let mut acts = Vec::new();
        for (place, planted) in programme.jobs.iter().enumerate() {
            acts.push(self.submit(planted, place, heard.clone())?);
        }
        drop(heard);
        let struck = self.follow(&mut acts, programme.strikes, &hearing)?;
        self.hold(acts, programme, &struck)
    }

    /// Submits a job for its board, and follows it.
    fn submit(
        &self,
        planted: &'static Planted,
        place: usize,
        heard: mpsc::Sender<(usize, Said)>,
    ) -> Result<Act> {
        let job = self.write_job(planted)?;
        let job = job.to_str().context("the repository's path is UTF-8")?;
        // The same key twice is one job: the first says its number, the second follows it.
        let key = format!("demo-{}", planted.name);
        let words = ["submit", job, "--idempotency-key", &key];
        let submitted = self.lab.client_json(&words)?;
        let id = submitted["id"].as_i64().context("the job has no number")?;
        let mut follow = self.lab.client(&words);
        follow.args(["--follow", "--json"]);
        let errors = self
            .directory
            .join(format!("{}.client.stderr", planted.name));
        let act = Act {
            planted,
            id,
            client: Followed::start(&mut follow, &errors, place, heard)?,
            log: Vec::new(),
            end: None,
        };
        let text = format!("submitted: {}", planted.says);
        self.teller.tell(Some(Ink::Strong), &act.who(), &text);
        Ok(act)
    }

    /// The job's file with its board named: it asks for one of a type.
    fn write_job(&self, planted: &Planted) -> Result<PathBuf> {
        let source = workspace::root()
            .join("lab-config/virtual/jobs")
            .join(planted.job);
        let text = std::fs::read_to_string(&source)
            .with_context(|| format!("reading {}", source.display()))?;
        let asks = "\ndevice_type: qemu-arm64-virt\n";
        ensure!(text.contains(asks), "{} asks for no type", source.display());
        let text = text.replace(asks, &format!("\ndevice: {}\n", planted.board));
        let path = self.directory.join(format!("{}.yaml", planted.name));
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// Shows what happens and kills where it is due, until every client has ended.
    fn follow(
        &mut self,
        acts: &mut [Act],
        strikes: &[Strike],
        hearing: &mpsc::Receiver<(usize, Said)>,
    ) -> Result<Vec<Struck>> {
        let deadline = Instant::now() + LONGEST;
        let mut due = strikes.to_vec();
        let mut struck = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (place, said) = match hearing.recv_timeout(left) {
                Ok(heard) => heard,
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(struck),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("the jobs did not end within {} s", LONGEST.as_secs())
                }
            };
            let act = &mut acts[place];
            let who = act.who();
            match said {
                Said::Line(line) => {
                    if let Some((ink, text)) = worth_telling(&line) {
                        self.teller.tell(ink, &who, &text);
                    }
                    act.log.push(line);
                }
                Said::Rest(rest) => {
                    let code = act.client.code();
                    act.end = Some(followed::finished(&rest).and(code));
                }
            }
            let name = act.planted.name;
            let position = due
                .iter()
                .position(|strike| strike.job == name && strike.is_due(&act.log));
            if let Some(position) = position {
                let strike = due.remove(position);
                if let Some(line) = act.log.last() {
                    struck.push(self.strike(&strike, act.id, line)?);
                }
            }
        }
    }

    fn strike(&mut self, strike: &Strike, id: i64, line: &Line) -> Result<Struck> {
        let says = strike.says(id);
        let Self { lab, teller, .. } = self;
        teller.tell(Some(Ink::Bad), "KILL", &says);
        let struck = strike.perform(lab, line, &mut |text| teller.tell(None, "", text))?;
        Ok(struck)
    }

    /// Asks the server for everything and holds it against the truth; then the table.
    fn hold(&self, acts: Vec<Act>, programme: &Programme, struck: &[Struck]) -> Result<Counts> {
        self.teller
            .part("what the server says, held against what is known");
        let mut counts = Counts::default();
        let mut rows = Vec::new();
        for act in acts {
            let who = act.who();
            let held = self.hold_act(act, struck, &mut rows);
            for said in held.iter().flatten() {
                println!("  {} {who:<10} {said}", self.teller.paint(Ink::Good, "✔"));
            }
            counts += counted(&who, held.map(drop));
        }
        for strike in programme.strikes {
            let done = struck
                .iter()
                .any(|one| one.strike.moment == strike.moment && one.strike.job == strike.job);
            if !done {
                counts += counted(
                    strike.job,
                    Err(anyhow::anyhow!("{:?} never came", strike.moment)),
                );
            }
        }
        counts += counted("boards", self.boards_are_off());
        println!();
        self.table(&rows);
        Ok(counts)
    }

    /// One job; what was found.
    fn hold_act(
        &self,
        mut act: Act,
        struck: &[Struck],
        rows: &mut Vec<[String; 8]>,
    ) -> Result<Vec<String>> {
        let code = act.end.take().context("the client never ended")?;
        let planted = act.planted;
        let name = planted.name;
        let directory = self
            .directory
            .join("jobs")
            .join(format!("{}-{name}", act.id));
        let evidence = Evidence::collect(&self.lab, act.id, &directory)?;
        rows.extend(evidence.rows(planted));
        evidence.hold(planted, code?, &act.log)?;
        let mut found = vec![format!(
            "{}, as planted, in one run; its follower saw each of {} lines once",
            planted.outcome,
            act.log.len()
        )];
        for one in struck.iter().filter(|one| one.strike.job == name) {
            let says = one.strike.says(act.id);
            let said = evidence.hold_strike(one).with_context(|| says.clone())?;
            found.push(format!("{says}: {said}"));
        }
        let said = evidence.recompute(&self.lab.rack_log()?, planted.board)?;
        found.push(format!("by another program: {said}"));
        Ok(found)
    }

    /// Boards are off, by the server's word and by the rack's own.
    fn boards_are_off(&self) -> Result<()> {
        let boards = self.lab.client_json(&["boards"])?;
        for board in boards.as_array().into_iter().flatten() {
            let (name, power) = (&board["name"], &board["power"]);
            ensure!(power == "off", "the server says that {name} is {power}");
            ensure!(board["state"] == "idle", "{name} is {}", board["state"]);
        }
        let path = self.lab.rack_log()?;
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        let mut on = std::collections::BTreeMap::new();
        // The last line may be in the middle of being written.
        for event in text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        {
            if event["ev"] == "power" {
                on.insert(event["board"].to_string(), event["on"] == true);
            }
        }
        let still: Vec<&String> = on
            .iter()
            .filter(|(_, on)| **on)
            .map(|(name, _)| name)
            .collect();
        ensure!(
            still.is_empty(),
            "the rack says that boards are on: {still:?}"
        );
        Ok(())
    }

    fn table(&self, rows: &[[String; 8]]) {
        let heads = [
            "job", "board", "kernel", "phase", "max", "limit", "verdict", "planted",
        ];
        let mut widths = heads.map(|head| head.chars().count());
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |cells: [&str; 8]| {
            let padded: Vec<String> = cells
                .iter()
                .zip(widths)
                .enumerate()
                .map(|(column, (cell, width))| match column {
                    4 | 5 => format!("{cell:>width$}"),
                    _ => format!("{cell:<width$}"),
                })
                .collect();
            padded.join("  ")
        };
        let head = line(heads);
        println!("  {}", self.teller.paint(Ink::Strong, &head));
        println!(
            "  {}",
            self.teller
                .paint(Ink::Faint, &"─".repeat(head.chars().count() + 2))
        );
        for row in rows {
            let cells = row.each_ref().map(String::as_str);
            let (sign, ink) = match row[6] == row[7] {
                true => ("✔", Ink::Good),
                false => ("✘", Ink::Bad),
            };
            println!("  {} {}", line(cells), self.teller.paint(ink, sign));
        }
        println!("  latencies of emulated boards are virtual time");
    }

    /// Ends the server; nothing of it may be left.
    fn close(mut self, mut counts: Counts) -> (Counts, Lab) {
        let stopped = self.lab.stop_server();
        let is_good = stopped.is_ok();
        counts += counted("the server's end", stopped);
        if is_good {
            println!(
                "\n  server, dispatcher and keeper have ended, boards are off; {:.0} s in all",
                self.begun.elapsed().as_secs_f64()
            );
        }
        (counts, self.lab)
    }

    /// Leaves the lab running and says how to get in and how to end it.
    fn leave(self, counts: Counts) -> Result<Counts> {
        let link = process::run(
            &mut self.lab.client(&["login-link"]),
            Duration::from_secs(30),
        )?;
        println!();
        self.teller.value("page", self.lab.url());
        self.teller.value("log in", link.trim());
        let client = format!(
            "XDG_CONFIG_HOME=$PWD/{}/config target/debug/basalt jobs",
            shown(&self.directory)
        );
        self.teller.value("client", client);
        self.teller.value("stop", "cargo xtask demo --stop");
        self.lab.leave();
        Ok(counts)
    }
}

/// What is shown of a job's log while it runs, and how.
fn worth_telling(line: &Line) -> Option<(Option<Ink>, String)> {
    const SHOWN: [&str; 5] = [
        "job ",
        "power ",
        "boot loader: ",
        "kernel: Linux version ",
        "on the board: ",
    ];
    let text = &line.text;
    let ink = match line.level.as_str() {
        "warning" | "gap" => Some(Ink::Odd),
        "error" => Some(Ink::Bad),
        "results" if text.contains("measurement ") => Some(Ink::Strong),
        "info" if text.starts_with("finished: ") => Some(Ink::Strong),
        "info" if SHOWN.iter().any(|start| text.starts_with(start)) => None,
        _ => return None,
    };
    // Who built the kernel, and with what, is of no interest here.
    let short = match (text.find(" ("), text.find(" #")) {
        (Some(from), Some(to)) if text.starts_with(SHOWN[3]) && from < to => {
            format!("{}{}", &text[..from], &text[to..])
        }
        _ => text.clone(),
    };
    Some((ink, short))
}

/// A path as a person at the repository's root would type it.
fn shown(path: &Path) -> String {
    path.strip_prefix(workspace::root())
        .unwrap_or(path)
        .display()
        .to_string()
}
