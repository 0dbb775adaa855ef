//! HTTP over a store of a hundred thousand jobs: answers a second, and how late the late ones are.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::chatter::p99;
use super::{Lab, PATIENCE, Server, small_job};
use crate::bench::{Options, Row};
use crate::{process, suite, workspace};

const JOBS: i64 = 100_000;
/// The jobs are run, as far as the store can tell, on so many boards.
const BOARDS: usize = 100;
/// Connections that ask at once, each for the next thing when it has an answer.
const CONNECTIONS: usize = 8;
const LENGTH: Duration = Duration::from_secs(3);
/// How long filling may take.
const FILLING: Duration = Duration::from_secs(1800);

/// Job detail, the list and the page of a job, beside `/healthz`, which asks the store for one
/// number.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let directory = filled(options)?;
    let (basalt, _) = options.programs()?;
    let server = Server::start(&basalt, &directory, &["--no-dispatcher"])?;
    let mut client = server.site.connect()?;
    let newest = client.json("/api/v1/jobs?limit=1")?;
    let newest = newest["items"][0]["id"]
        .as_i64()
        .context("the store has no job")?;
    ensure!(newest >= JOBS, "the store has {newest} jobs");
    // Spread over the whole store, the same in every run.
    let some = move |turn: u64| 1 + (turn.wrapping_mul(2_654_435_761) % newest as u64) as i64;
    let mut rows = Vec::new();
    let health = asked(&server, &|_| "/healthz".to_owned())?;
    rows.extend(health.rows("HTTP: /healthz", None));
    let detail = asked(&server, &|turn| format!("/api/v1/jobs/{}", some(turn)))?;
    rows.extend(detail.rows("100 000 jobs: job detail", Some(&health)));
    let list = asked(&server, &|_| "/api/v1/jobs?limit=50".to_owned())?;
    rows.extend(list.rows("100 000 jobs: list of 50", Some(&health)));
    let finished = "/api/v1/jobs?limit=50&state=finished&board=sim-7";
    let list = asked(&server, &|_| finished.to_owned())?;
    rows.extend(list.rows("100 000 jobs: list of 50 of a board", Some(&health)));
    let memory = server.processes.memory()?[0];
    rows.push(Row::once(
        "100 000 jobs: the server's memory",
        memory,
        "MiB",
    ));
    Ok(rows)
}

/// What came of asking for [`LENGTH`].
struct Asked {
    a_second: f64,
    /// Milliseconds, every answer's.
    took: Vec<f64>,
    /// The server's CPU time an answer, milliseconds.
    cpu_ms: f64,
}

impl Asked {
    fn rows(&self, name: &str, health: Option<&Self>) -> Vec<Row> {
        let rate = Row::once(format!("{name}, answers a second"), self.a_second, "");
        let late = Row::once(format!("{name}, p99"), p99(&self.took), "ms");
        let cpu = Row::once(format!("{name}, CPU an answer"), self.cpu_ms, "ms");
        let Some(health) = health else {
            return vec![rate, late, cpu];
        };
        let of = "/healthz";
        vec![
            rate.against(of, self.a_second / health.a_second),
            late.against(of, p99(&self.took) / p99(&health.took)),
            cpu.against(of, self.cpu_ms / health.cpu_ms),
        ]
    }
}

/// Asks over all connections at once.
fn asked(server: &Server, path: &(dyn Fn(u64) -> String + Sync)) -> Result<Asked> {
    let before = server.processes.cpu()?;
    let begun = Instant::now();
    let answers: Vec<Result<Vec<f64>>> = std::thread::scope(|scope| {
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                scope.spawn(move || {
                    let mut client = server.site.connect()?;
                    let mut took = Vec::new();
                    let mut turn = connection as u64;
                    while begun.elapsed() < LENGTH {
                        let path = path(turn);
                        let asked = Instant::now();
                        client.get(&path)?;
                        took.push(asked.elapsed().as_secs_f64() * 1e3);
                        turn += CONNECTIONS as u64;
                    }
                    Ok(took)
                })
            })
            .collect();
        let joined = connections.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("a connection panicked")))
        });
        joined.collect()
    });
    let wall = begun.elapsed().as_secs_f64();
    let cpu = server.processes.cpu()?.since(&before).server;
    let took: Vec<f64> = answers.into_iter().collect::<Result<Vec<_>>>()?.concat();
    ensure!(!took.is_empty(), "nothing was answered");
    Ok(Asked {
        a_second: took.len() as f64 / wall,
        cpu_ms: cpu * 1e3 / took.len() as f64,
        took,
    })
}

/// The directory of a server whose store has the jobs: made once for each version of its tables and
/// of what fills them.
fn filled(options: &Options) -> Result<PathBuf> {
    let root = workspace::root();
    let filler = root.join("crates/store/examples/fill.rs");
    let version = version(&[&root.join("migrations/sqlite"), &filler])?;
    let bench = root.join("target/bench");
    let directory = bench.join(format!("store-{version:016x}"));
    if directory.join("full").exists() {
        return Ok(directory);
    }
    for old in fs::read_dir(&bench).into_iter().flatten().flatten() {
        if old.file_name().to_string_lossy().starts_with("store-") {
            fs::remove_dir_all(old.path())
                .with_context(|| format!("removing {}", old.path().display()))?;
        }
    }
    eprintln!("filling a store with {JOBS} jobs; it is kept for the next time");
    // One real job is what is repeated.
    let lab = Lab::start(options, "serve-filled", BOARDS)?;
    lab.perform(&small_job(), 1)?;
    drop(lab);
    fs::rename(bench.join("serve-filled"), &directory).context("keeping the lab's directory")?;
    fill(&directory.join("state"))?;
    fs::write(directory.join("full"), "").context("marking the store as full")?;
    Ok(directory)
}

/// Fills the store in memory, where no commit waits for a disk, and brings it back.
fn fill(state: &Path) -> Result<()> {
    let mut build = suite::cargo();
    build.args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "basalt-store",
        "--example",
        "fill",
    ]);
    process::run(&mut build, FILLING)?;
    let shared = Path::new("/dev/shm");
    let base = if shared.is_dir() { shared } else { state };
    let work = Removed(base.join(format!("basalt-bench-{}", std::process::id())));
    fs::create_dir_all(&work.0).with_context(|| format!("making {}", work.0.display()))?;
    let server = state.join("server");
    copy(&server, &work.0)?;
    let mut command = Command::new(workspace::root().join("target/release/examples/fill"));
    command
        .arg(format!("sqlite://{}", work.0.join("basalt.db").display()))
        .arg(work.0.join("objects"))
        .arg(JOBS.to_string());
    process::run(&mut command, FILLING)?;
    copy(&work.0, &server)
}

/// Copies what is in one directory into another.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    command.arg("-a").arg(from.join(".")).arg(to);
    process::run(&mut command, PATIENCE * 5).map(drop)
}

/// A directory that goes when this does.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A number that is another one where a file below one of these paths is.
fn version(paths: &[&Path]) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    JOBS.hash(&mut hasher);
    for path in paths {
        let mut files = match path.is_dir() {
            false => vec![path.to_path_buf()],
            true => fs::read_dir(path)
                .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
                .with_context(|| format!("reading {}", path.display()))?,
        };
        files.sort();
        for file in files {
            let text = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
            (file.file_name(), text).hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}
