//! A demonstration: the lab is started, jobs are submitted and followed, processes are killed, and
//! everything is held against what is known.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

use super::followed::{self, Followed, Line, Said};
use super::lab::{self, Lab};
use super::programme::{Planted, Programme};
use super::proof::Evidence;
use super::strike::{self, Strike, Struck};
use super::told::{Ink, Teller};
use super::{counted, shown};
use crate::tally::Counts;
use crate::{process, workspace};

/// The shortest measurement takes about twice as long, microseconds.
const FRESH_US: i64 = 5_000_000;

/// How long all jobs may take; emulated boards on a busy host are slow.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// A demonstration.
pub struct Show {
    pub lab: Lab,
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
    pub fn open(directory: &Path, stays: bool) -> Result<Self> {
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
    pub fn perform(&mut self, programme: &'static Programme) -> Result<Counts> {
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

    /// The job's file with its board named: it asks for any one of a type.
    fn write_job(&self, planted: &Planted) -> Result<PathBuf> {
        let source = workspace::root()
            .join("lab-config/virtual/jobs")
            .join(planted.job);
        let text =
            fs::read_to_string(&source).with_context(|| format!("reading {}", source.display()))?;
        let asks = "\ndevice_type: qemu-arm64-virt\n";
        ensure!(text.contains(asks), "{} asks for no type", source.display());
        let text = text.replace(asks, &format!("{asks}device: {}\n", planted.board));
        let path = self.directory.join(format!("{}.yaml", planted.name));
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
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
            if let Some(one) = self.strike(acts, &mut due, strikes.len())? {
                struck.push(one);
            }
        }
    }

    /// Kills what is due now, if anything is.
    fn strike(
        &mut self,
        acts: &[Act],
        due: &mut Vec<Strike>,
        count: usize,
    ) -> Result<Option<Struck>> {
        // The first of all goes before the others.
        let open = if due.len() == count { 1 } else { due.len() };
        let now = lab::now()?;
        let found = due[..open].iter().enumerate().find_map(|(place, strike)| {
            let running = acts.iter().filter(|act| act.end.is_none());
            let mut moments = running.filter_map(|act| {
                let (moment, line) = strike.due(act.planted.name, &act.log)?;
                // What is told long afterwards, by a server that was away, may be over by now.
                (now.saturating_sub(line.utc_us) < FRESH_US).then_some((act, moment, line))
            });
            moments.next().map(|moment| (place, moment))
        });
        let Some((place, (act, moment, line))) = found else {
            return Ok(None);
        };
        let strike = due.remove(place);
        let Self { lab, teller, .. } = self;
        let says = Struck::says(strike.victim, moment, act.id);
        teller.tell(Some(Ink::Bad), "KILL", &says);
        let struck = strike.perform(lab, (act.planted.name, moment, line), &mut |text| {
            teller.tell(None, "", text);
        })?;
        Ok(Some(struck))
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
        if struck.len() != programme.strikes.len() {
            let done: Vec<String> = struck.iter().map(|one| one.victim.to_string()).collect();
            let missing = anyhow!("killed were only: {}", done.join(", "));
            counts += counted("the kills", Err(missing));
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
        let own: Vec<&Struck> = struck.iter().filter(|one| one.job == name).collect();
        let held = evidence.hold_strikes(&own)?;
        for (one, said) in own.iter().zip(held) {
            found.push(format!("kill -9 of {}: {said}", one.victim));
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
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let mut on = BTreeMap::new();
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
    pub fn close(mut self, mut counts: Counts) -> (Counts, Lab) {
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
    pub fn leave(self, counts: Counts) -> Result<Counts> {
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
    // What a board's spool gives back was said long ago.
    if text.starts_with(strike::SIGNAL) {
        return None;
    }
    let ink = match line.level.as_str() {
        "warning" | "gap" => Some(Ink::Odd),
        "error" => Some(Ink::Bad),
        "results" if text.contains("measurement ") => Some(Ink::Strong),
        "info" if text.starts_with("finished: ") => Some(Ink::Strong),
        "info" if SHOWN.iter().any(|start| text.starts_with(start)) => None,
        _ => return None,
    };
    // Who built the kernel, and with what, is of no interest here; the job's name is known.
    let short = match (text.find(" ("), text.find(" #"), text.find("\" on board ")) {
        (Some(from), Some(to), _) if text.starts_with("kernel: ") && from < to => {
            format!("{}{}", &text[..from], &text[to..])
        }
        (_, _, Some(at)) if text.starts_with("job ") => format!("runs{}", &text[at + 1..]),
        _ => text.clone(),
    };
    Some((ink, short))
}
