//! `cargo xtask campaign`: tests that take longer than a merge may wait.
//!
//! A campaign is a table of cases drawn from a seed. Each case is written down as it ends, so that
//! a campaign goes on where it was stopped, and the same seed draws the same table again.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::oracle::Oracle;
use crate::{process, suite, templates, workspace};

/// What `cargo xtask campaign` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Which campaign; without one, they are listed
    name: Option<String>,
    /// Draws the cases; the same seed draws the same ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many cases to draw
    #[arg(long, default_value_t = 10, value_name = "NUMBER")]
    rounds: u32,
    /// Go on with what an earlier run of the same seed left open
    #[arg(long)]
    resume: bool,
}

/// One campaign.
struct Campaign {
    name: &'static str,
    about: &'static str,
    /// Runs one case: whether it passed, and a word about it.
    run: fn(&Case) -> Result<(bool, String)>,
}

/// Every campaign. Another one is another row.
const CAMPAIGNS: &[Campaign] = &[
    Campaign {
        name: "kill",
        about: "kill -9 of run, keeper and both at drawn moments, six simulated boards a case",
        run: kill,
    },
    Campaign {
        name: "yaml",
        about: "100 000 mutated texts a case, read here and by PyYAML",
        run: yaml,
    },
    Campaign {
        name: "jobs",
        about: "600 drawn jobs a case, taken or refused here and by two releases of LAVA's schema",
        run: jobs,
    },
    Campaign {
        name: "templates",
        about: "LAVA's device types, as they are, with variables and broken: here and by Jinja2",
        run: |case| templates::case(case.seed),
    },
    Campaign {
        name: "fuzz",
        about: "cargo-fuzz's targets (fuzz/), two minutes each a case; needs its nightly compiler",
        run: fuzz,
    },
];

/// The state of a campaign, on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: u32,
    campaign: String,
    seed: u64,
    cases: Vec<Case>,
}

const VERSION: u32 = 1;

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// From 1.
    number: u32,
    /// Draws everything random in this case.
    seed: u64,
    /// Empty until the case has ended.
    ended: Option<Ended>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ended {
    passed: bool,
    seconds: f64,
    detail: String,
}

/// The verb.
pub fn run(options: &Options) -> Result<ExitCode> {
    let Some(name) = &options.name else {
        for campaign in CAMPAIGNS {
            println!("{:<16} {}", campaign.name, campaign.about);
        }
        return Ok(ExitCode::SUCCESS);
    };
    let Some(campaign) = CAMPAIGNS.iter().find(|campaign| campaign.name == name) else {
        let names: Vec<_> = CAMPAIGNS.iter().map(|campaign| campaign.name).collect();
        bail!("there is no campaign {name}; there is {}", names.join(", "));
    };
    let directory = workspace::root().join("target/campaigns");
    fs::create_dir_all(&directory).with_context(|| format!("making {}", directory.display()))?;
    let path = directory.join(format!("{}-{}.json", campaign.name, options.seed));
    let mut state = open(&path, campaign.name, options)?;

    println!(
        "campaign {} seed {} in {}",
        campaign.name,
        options.seed,
        path.display()
    );
    for index in 0..state.cases.len() {
        if state.cases[index].ended.is_none() {
            let started = Instant::now();
            let (passed, detail) = (campaign.run)(&state.cases[index])
                .unwrap_or_else(|error| (false, format!("{error:#}")));
            let seconds = started.elapsed().as_secs_f64();
            state.cases[index].ended = Some(Ended {
                passed,
                seconds,
                detail,
            });
            write(&path, &state)?;
            println!("{}", line(&state.cases[index]));
        }
    }
    // Once more without what the cases said between.
    println!("\n{}", heading());
    for case in &state.cases {
        println!("{}", line(case));
    }
    let passed = state
        .cases
        .iter()
        .filter(|case| case.ended.as_ref().is_some_and(|ended| ended.passed))
        .count();
    let failed = state.cases.len() - passed;
    println!("{passed} passed, {failed} failed, 0 skipped");
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The state to work on: a new table, or the one that is there.
fn open(path: &Path, name: &str, options: &Options) -> Result<State> {
    let old = match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    match (old, options.resume) {
        (Some(text), true) => {
            let mut state: State = serde_json::from_str(&text)
                .with_context(|| format!("reading {}", path.display()))?;
            if state.version != VERSION {
                bail!(
                    "{} is of version {}, this program writes {VERSION}",
                    path.display(),
                    state.version
                );
            }
            // More rounds than before draw further cases of the same sequence.
            for case in draw(options.seed, options.rounds)
                .into_iter()
                .skip(state.cases.len())
            {
                state.cases.push(case);
            }
            Ok(state)
        }
        (Some(_), false) => bail!(
            "{} holds an earlier run of this seed: go on with --resume, take another --seed, or delete it",
            path.display()
        ),
        (None, _) => Ok(State {
            version: VERSION,
            campaign: name.to_owned(),
            seed: options.seed,
            cases: draw(options.seed, options.rounds),
        }),
    }
}

fn write(path: &Path, state: &State) -> Result<()> {
    let text = serde_json::to_string_pretty(state).context("writing the campaign's state")?;
    let part: PathBuf = path.with_extension("part");
    fs::write(&part, text + "\n")
        .and_then(|()| fs::rename(&part, path))
        .with_context(|| format!("writing {}", path.display()))
}

/// The first `rounds` cases of a seed.
fn draw(seed: u64, rounds: u32) -> Vec<Case> {
    let mut state = seed;
    (1..=rounds)
        .map(|number| Case {
            number,
            seed: next_random(&mut state),
            ended: None,
        })
        .collect()
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn heading() -> String {
    format!(
        "{:>4}  {:<20} {:<6} {:>9}  detail",
        "case", "seed", "result", "seconds"
    )
}

fn line(case: &Case) -> String {
    let Some(ended) = &case.ended else {
        return format!("{:>4}  {:<20} open", case.number, case.seed);
    };
    let result = if ended.passed { "pass" } else { "FAIL" };
    let line = format!(
        "{:>4}  {:<20} {result:<6} {:>9.1}  {}",
        case.number, case.seed, ended.seconds, ended.detail
    );
    line.trim_end().to_owned()
}

/// One round of kills: the test of `basalt` that draws its runs and kills from the seed. No test of
/// that name is a failure: nothing was shown.
fn kill(case: &Case) -> Result<(bool, String)> {
    let mut command = suite::cargo();
    command
        .args(["test", "--package", "basalt", "--test", "it", "--"])
        .args(["e2e_kill::drawn", "--nocapture"])
        .env("BASALT_CAMPAIGN_SEED", case.seed.to_string());
    let counts = suite::counted(&mut command)?;
    let passed = counts.passed > 0 && counts.failed == 0;
    let detail = match passed {
        true => String::new(),
        false => format!(
            "{} passed, {} failed; again: BASALT_CAMPAIGN_SEED={} cargo test -p basalt --test it \
             e2e_kill::drawn -- --nocapture",
            counts.passed, counts.failed, case.seed
        ),
    };
    Ok((passed, detail))
}

/// How many texts one case of [`yaml`] compares.
const TEXTS: u32 = 100_000;

/// Mutated texts, read by the YAML room and by PyYAML's `CSafeLoader`.
fn yaml(case: &Case) -> Result<(bool, String)> {
    let name = "pyyaml::mutations_of_the_corpus";
    let mut command = suite::cargo();
    command
        .args([
            "test",
            "--release",
            "--package",
            "basalt-yaml",
            "--test",
            "it",
            "--",
        ])
        .args([name, "--nocapture"])
        .env("BASALT_CAMPAIGN_SEED", case.seed.to_string())
        .env("BASALT_CAMPAIGN_CASES", TEXTS.to_string());
    let counts = suite::counted(&mut command)?;
    let passed = counts.passed > 0 && counts.failed == 0;
    let detail = match passed {
        true => format!("{TEXTS} texts"),
        false => format!(
            "again: BASALT_CAMPAIGN_SEED={} BASALT_CAMPAIGN_CASES={TEXTS} cargo test --release \
             -p basalt-yaml --test it {name} -- --nocapture",
            case.seed
        ),
    };
    Ok((passed, detail))
}

/// How many jobs one case of [`jobs`] compares, with each release.
const JOBS: u32 = 600;

/// Drawn and damaged jobs, read by the job room and by LAVA's schemas: Debian's stable release and
/// the newest one. Jobs of tuxlava (PyPI) come to ours where it can be installed.
fn jobs(case: &Case) -> Result<(bool, String)> {
    let more = tuxlava_jobs(case.seed);
    let mut details = Vec::new();
    let mut passed = true;
    for oracle in [Oracle::open_newest()?, Oracle::open()?] {
        let release = oracle.release()?;
        let mut command = suite::cargo();
        command
            .args(["test", "--package", "basalt-job", "--test", "it", "--"])
            .args(["lava::jobs_are_taken", "--ignored", "--nocapture"])
            .env(
                "BASALT_LAVA_PATH",
                oracle.root().join("usr/lib/python3/dist-packages"),
            )
            .env("BASALT_LAVA_RELEASE", &release)
            .env("BASALT_CAMPAIGN_SEED", case.seed.to_string())
            .env("BASALT_CAMPAIGN_CASES", JOBS.to_string());
        if let Ok(directory) = &more {
            command.env("BASALT_LAVA_JOBS", directory);
        }
        let counts = suite::counted(&mut command)?;
        passed &= counts.passed > 0 && counts.failed == 0;
        details.push(format!("LAVA {release}"));
    }
    match &more {
        Ok(_) => details.push("with tuxlava's jobs".to_owned()),
        Err(error) => details.push(format!("without tuxlava's jobs: {error:#}")),
    }
    Ok((passed, details.join(", ")))
}

/// A directory with jobs that tuxlava has made.
fn tuxlava_jobs(seed: u64) -> Result<PathBuf> {
    const LIMIT: Duration = Duration::from_secs(600);
    let directory = workspace::root().join("target/oracle/tuxlava");
    let library = directory.join("library");
    if !library.join("tuxlava").exists() {
        process::run(
            Command::new("python3")
                .args(["-m", "pip", "install", "--quiet", "--target"])
                .arg(&library)
                .arg("tuxlava"),
            LIMIT,
        )?;
    }
    let jobs = directory.join(format!("jobs-{seed}"));
    if !jobs.exists() {
        let drawn = directory.join("drawing");
        if drawn.exists() {
            fs::remove_dir_all(&drawn)?;
        }
        fs::create_dir_all(&drawn)?;
        process::run(
            Command::new("python3")
                .arg(workspace::root().join("crates/job/tests/it/lava/tuxlava_jobs.py"))
                .args([seed.to_string(), "60".to_owned()])
                .arg(&drawn)
                .env("PYTHONPATH", &library),
            LIMIT,
        )?;
        fs::rename(&drawn, &jobs)?;
    }
    Ok(jobs)
}

/// The targets in `fuzz/`.
const FUZZ_TARGETS: [&str; 3] = ["yaml", "job", "lab"];
/// For the build; the search itself is bounded by its own option.
const FUZZ_LIMIT: Duration = Duration::from_secs(1800);

/// One stretch of libFuzzer's search for each target; what it finds stays in `fuzz/artifacts`.
fn fuzz(case: &Case) -> Result<(bool, String)> {
    process::run(
        suite::cargo().args(["fuzz", "--version"]),
        Duration::from_secs(60),
    )
    .context(
        "cargo-fuzz is needed: cargo install cargo-fuzz, and rustup toolchain install nightly",
    )?;
    let seed = u32::try_from(case.seed & 0x7fff_ffff)?.to_string();
    for target in FUZZ_TARGETS {
        let mut command = suite::cargo();
        command
            // The workspace's compiler is a stable one.
            .env("RUSTUP_TOOLCHAIN", "nightly")
            .args(["fuzz", "run", target])
            // What is found goes into the first directory; the others are only read.
            .arg(format!("fuzz/corpus/{target}"))
            .args(["crates/job/tests/jobs", "device-types", "--"])
            .arg("-max_total_time=120")
            .args(["-timeout=10", "-rss_limit_mb=1024", "-max_len=20000"])
            .arg(format!("-seed={seed}"));
        let status = process::stream(&mut command, FUZZ_LIMIT, &mut |_| {})?;
        if !status.success() {
            return Ok((false, format!("{target}: see fuzz/artifacts/{target}")));
        }
    }
    Ok((true, FUZZ_TARGETS.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(seed: u64, rounds: u32, resume: bool) -> Options {
        Options {
            name: Some("x".to_owned()),
            seed,
            rounds,
            resume,
        }
    }

    #[test]
    fn a_seed_draws_the_same_table_and_more_rounds_only_add_to_it() {
        let (short, long) = (draw(7, 3), draw(7, 5));
        assert_eq!(short[..], long[..3]);
        assert_ne!(draw(8, 3), short);
    }

    #[test]
    fn an_ended_case_is_kept_on_resume_and_never_lost_without() {
        let directory = std::env::temp_dir().join(format!("xtask-campaign-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("x-7.json");
        let mut state = open(&path, "x", &options(7, 2, false)).unwrap();
        state.cases[0].ended = Some(Ended {
            passed: true,
            seconds: 1.5,
            detail: "ok".to_owned(),
        });
        write(&path, &state).unwrap();

        let resumed = open(&path, "x", &options(7, 3, true)).unwrap();
        assert_eq!(resumed.cases[..2], state.cases[..]);
        assert_eq!(resumed.cases.len(), 3);
        let refused = open(&path, "x", &options(7, 2, false))
            .unwrap_err()
            .to_string();
        assert!(refused.contains("--resume"), "{refused}");
        fs::remove_dir_all(directory).unwrap();
    }
}
