//! `cargo xtask campaign`: tests that take longer than a merge may wait.
//!
//! A campaign is a table of cases drawn from a seed. Each case is written down as it ends, so that
//! a campaign goes on where it was stopped, and the same seed draws the same table again.

mod kills;
mod language;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::workspace;

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
        about: "kill -9 and standstills of server, dispatchers, keepers and database at drawn moments, \
                200 jobs on 50 simulated boards a case, SQLite and PostgreSQL in turn",
        run: kills::lab,
    },
    Campaign {
        name: "kill-small",
        about: "the same at the size that a merge waits for, over both databases",
        run: kills::small_lab,
    },
    Campaign {
        name: "kill-run",
        about: "kill -9 of `basalt run`, keeper and both at drawn moments, six simulated boards a case",
        run: kills::run,
    },
    Campaign {
        name: "yaml",
        about: "100 000 mutated texts a case, read here and by PyYAML",
        run: language::yaml,
    },
    Campaign {
        name: "jobs",
        about: "600 drawn jobs a case, taken or refused here and by two releases of LAVA's schema",
        run: language::jobs,
    },
    Campaign {
        name: "templates",
        about: "LAVA's device types, as they are, with variables and broken: here and by Jinja2",
        run: language::templates,
    },
    Campaign {
        name: "fuzz",
        about: "cargo-fuzz's targets (fuzz/), two minutes each a case; needs its nightly compiler",
        run: language::fuzz,
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
