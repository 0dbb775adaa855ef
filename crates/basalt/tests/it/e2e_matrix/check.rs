//! What must hold once every job is finished, whatever was killed: asked of the server, then looked
//! up on disk.

use std::collections::{BTreeMap, BTreeSet};

use basalt_model::{EventBody, LeaseState, Outcome};
use basalt_store::RunDisposition;
use serde_json::Value;

use super::case::{Blow, Case, PlannedJob, Planted, Victim};
use super::clients::{Access, Shared};
use super::lab::{Dealt, state};
use super::records::{Journal, Kept, StoredRun, rack};
use crate::e2e_harness::Site;

/// What does not hold. Gathered, so that one case shows everything.
#[derive(Default)]
pub struct Findings(pub Vec<String>);

impl Findings {
    fn unless(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }

    /// Fails with everything that was found.
    pub fn show(self, case: &Case) {
        let count = self.0.len();
        let shown: Vec<_> = self.0.into_iter().take(40).collect();
        assert!(
            count == 0,
            "seed {} on {:?}: {count} findings:\n  {}",
            case.seed,
            case.database,
            shown.join("\n  ")
        );
    }
}

/// The console that the server has of each run, by run.
pub type Consoles = BTreeMap<String, Vec<u8>>;

/// What the server says of each job: finished, as planted, by what its board truly measured; its
/// logs whole.
pub fn ask_server(
    findings: &mut Findings,
    site: &Site,
    access: &Access,
    jobs: &[PlannedJob],
    ids: &[i64],
) -> Consoles {
    let mut truths: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut used = BTreeSet::new();
    let mut consoles = Consoles::new();
    for (planned, id) in jobs.iter().zip(ids) {
        let job = access.get(&format!("/api/v1/jobs/{id}")).unwrap();
        findings.unless(job["name"] == planned.name.as_str(), || {
            format!("job {id} is {}, not {}", job["name"], planned.name)
        });
        let latency = access.get(&format!("/api/v1/jobs/{id}/latency"));
        let records = latency.map(|latency| latency["records"].clone());
        let records = records.ok().and_then(|all| all.as_array().cloned());
        let records = records.unwrap_or_default();
        let board = job["board"].as_str().unwrap_or_default();
        let truth = truths
            .entry(board.to_owned())
            .or_insert_with(|| site.rack.truth(board));
        let expected = expected(findings, planned, *id, &records, truth, &mut used);
        findings.unless(
            job["state"] == "finished" && job["outcome"] == expected && job["health"] == "complete",
            || format!("job {id} was to come to {expected}: {job:#}"),
        );
        for run in job["runs"].as_array().unwrap() {
            let run = run["id"].as_str().unwrap();
            let console = log_of(findings, access, run);
            consoles.insert(run.to_owned(), console);
        }
    }
    let numbers: BTreeSet<i64> = ids.iter().copied().collect();
    findings.unless(numbers.len() == jobs.len(), || {
        format!("job numbers {ids:?}")
    });
    let mut known = 0;
    let mut cursor = String::new();
    loop {
        let page = access
            .get(&format!("/api/v1/jobs?limit=100{cursor}"))
            .unwrap();
        known += page["items"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    findings.unless(known == jobs.len(), || {
        format!("the server has {known} jobs, {} were submitted", jobs.len())
    });
    consoles
}

/// What a job must come to: by its text and by what its board truly measured, never by what Basalt
/// says of it. Each measurement counts for one phase of one job.
fn expected(
    findings: &mut Findings,
    planned: &PlannedJob,
    id: i64,
    records: &[Value],
    truth: &[Value],
    used: &mut BTreeSet<String>,
) -> &'static str {
    findings.unless(records.len() == planned.phases, || {
        format!(
            "job {id} has {} measurements, not {}",
            records.len(),
            planned.phases
        )
    });
    let mut above = false;
    for record in records {
        let sum = record["raw_file"]["sha256"].as_str().unwrap_or_default();
        let Some(truth) = truth.iter().find(|one| one["json_sha256"] == sum) else {
            findings
                .0
                .push(format!("job {id}: nobody measured {record:#}"));
            continue;
        };
        findings.unless(used.insert(sum.to_owned()), || {
            format!("job {id}: {sum} stands for two phases")
        });
        let threads = truth["threads"].as_array().unwrap();
        let same = record["threads"].as_array().is_some_and(|told| {
            let pairs = || threads.iter().zip(told);
            let keys = ["cpu", "cycles", "min", "max", "overflows", "histogram"];
            told.len() == threads.len()
                && pairs().all(|(true_one, told)| {
                    keys.iter()
                        .all(|key| told["measured"][key] == true_one[key])
                })
        });
        findings.unless(same && truth["state"] == "finished", || {
            format!("job {id}: {record:#} is not {truth:#}")
        });
        let largest = threads.iter().filter_map(|one| one["max"].as_u64()).max();
        let verdict = match planned.planted {
            Planted::Stock => "invalid",
            Planted::Limit(limit) if largest.is_some_and(|largest| largest > limit) => {
                above = true;
                "fail"
            }
            Planted::Limit(_) | Planted::Cases { .. } => "pass",
        };
        findings.unless(record["verdict"] == verdict, || {
            format!(
                "job {id}: {} instead of {verdict}: {}",
                record["verdict"], record["reason"]
            )
        });
    }
    match planned.planted {
        Planted::Stock => "invalid",
        Planted::Cases { fails: true } => "fail",
        Planted::Limit(_) if above => "fail",
        Planted::Cases { fails: false } | Planted::Limit(_) => "pass",
    }
}

/// A run's lines have no hole; what its board said in it.
fn log_of(findings: &mut Findings, access: &Access, run: &str) -> Vec<u8> {
    let about = access.get(&format!("/api/v1/runs/{run}")).unwrap();
    let lines = about["log_lines"].as_u64().unwrap();
    let path = format!("/api/v1/runs/{run}/log?format=json");
    let (status, body) = access.ask("GET", &path, "", "").unwrap();
    assert_eq!(status, 200, "{path}");
    let numbers: Vec<u64> = body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            let line: Value = serde_json::from_slice(line).unwrap();
            line["number"].as_u64().unwrap()
        })
        .collect();
    findings.unless(numbers.iter().copied().eq(1..=lines), || {
        format!("run {run} has {lines} lines, but their numbers are {numbers:?}")
    });
    let path = format!("/api/v1/runs/{run}/console");
    let (status, console) = access.ask("GET", &path, "", "").unwrap();
    assert_eq!(status, 200, "{path}");
    console
}

/// The feed as it was followed is the feed as it is.
pub fn compare_feeds(findings: &mut Findings, shared: &Shared, access: &Access) {
    let whole = Shared::default();
    let head = shared.feed.lock().unwrap().last().map_or(0, |(id, _)| *id);
    std::thread::scope(|scope| {
        let _home = super::clients::GoHome(&whole);
        scope.spawn(|| super::clients::follow(&whole, access));
        crate::e2e_harness::until("the feed once more", || {
            (whole.feed_count() >= head.unsigned_abs()).then_some(())
        });
    });
    let ids = |shared: &Shared| -> Vec<i64> {
        let feed = shared.feed.lock().unwrap();
        feed.iter()
            .map(|(id, _)| *id)
            .filter(|id| *id <= head)
            .collect()
    };
    findings.unless(ids(shared) == ids(&whole), || "the feeds differ".into());
    findings.0.append(&mut shared.feed_wrong.lock().unwrap());
}

/// Store, journals, segments and the rack's own record say the same.
pub fn look_at_disk(
    findings: &mut Findings,
    site: &Site,
    runs: &[Vec<StoredRun>],
    consoles: &Consoles,
    dealt: &[Dealt],
) {
    let mut of_board: BTreeMap<String, Vec<(i64, i64, String)>> = BTreeMap::new();
    for runs in runs {
        one_run_counts(findings, runs);
        for stored in runs {
            let which = usize::from(stored.run.dispatcher.as_str() != "main");
            let id = stored.run.id.to_string();
            let Some(journal) = Journal::of(&state(site, which), &id) else {
                findings.unless(stored.events.is_empty(), || {
                    format!("run {id} has no journal")
                });
                continue;
            };
            compare_events(findings, stored, &journal);
            let board = stored.run.board.to_string();
            match journal.interval() {
                Some((from, to)) => {
                    of_board
                        .entry(board.clone())
                        .or_default()
                        .push((from, to, id.clone()))
                }
                None => findings
                    .0
                    .push(format!("{} does not end", journal.path.display())),
            }
            if matches!(stored.run.disposition, Some(RunDisposition::Finished(_))) {
                let kept = Kept::of(&state(site, which), &board).bytes;
                let (from, to) = journal.span();
                let kept = kept.get(from as usize..to as usize);
                let console = consoles.get(&id).map(Vec::as_slice);
                findings.unless(kept == console, || {
                    let length = |bytes: Option<&[u8]>| bytes.map(<[u8]>::len);
                    format!(
                        "run {id}: its board said {:?} bytes, the server has {:?}",
                        length(kept),
                        length(console)
                    )
                });
            }
        }
    }
    let rack = rack(&site.rack.log());
    for (name, truly) in &rack {
        let which = usize::from(!name.starts_with("main"));
        let mut intervals = of_board.remove(name).unwrap_or_default();
        intervals.sort();
        for pair in intervals.windows(2) {
            findings.unless(pair[0].1 <= pair[1].0, || {
                format!("{name}: two runs at once: {pair:?}")
            });
        }
        let within = |from: i64, to: i64| intervals.iter().any(|run| run.0 <= from && to <= run.1);
        for pair in truly.power.chunks(2) {
            match pair {
                [(on, true), (off, false)] => {
                    findings.unless(within(*on, *off), || {
                        format!("{name} was on from {on} to {off}, in none of {intervals:?}")
                    });
                }
                other => findings.0.push(format!("{name}: power {other:?}")),
            }
        }
        for at in &truly.typed {
            findings.unless(within(*at, *at), || {
                format!("{name} was typed at at {at}, in none of {intervals:?}")
            });
        }
        let kept = Kept::of(&state(site, which), name);
        if let Err(wrong) = kept.compare(&truly.said) {
            findings.0.push(format!("{name}'s console: {wrong}"));
        }
        let kills: Vec<i64> = dealt
            .iter()
            .filter(|one| one.victim == Victim::Keeper(which) && one.blow == Blow::Kill)
            .map(|one| one.at)
            .filter(|at| kept.begun.is_some_and(|begun| begun < *at))
            .collect();
        findings.unless(kills.is_empty() || !kept.gaps.is_empty(), || {
            format!("{name}: its keeper was killed at {kills:?}, and there is no gap")
        });
    }
}

/// Of a job's runs the last one counts, and only that; each has given its board back.
fn one_run_counts(findings: &mut Findings, runs: &[StoredRun]) {
    let words = || {
        let runs: Vec<_> = runs.iter().map(|stored| &stored.run).collect();
        format!("{runs:#?}")
    };
    let Some((last, before)) = runs.split_last() else {
        findings.0.push("a job has no run".into());
        return;
    };
    findings.unless(
        matches!(last.run.disposition, Some(RunDisposition::Finished(_))),
        words,
    );
    for stored in before {
        let run = &stored.run;
        let gave_back = run.disposition == Some(RunDisposition::Requeued);
        // It came to nothing, or nobody heard what it came to.
        let nothing = run
            .outcome
            .is_none_or(|outcome| outcome == Outcome::Incomplete);
        findings.unless(gave_back && nothing, words);
    }
    for stored in runs {
        let ended = matches!(
            stored.run.lease_state,
            LeaseState::Ended | LeaseState::Refused
        );
        findings.unless(ended && stored.run.ended.is_some(), words);
    }
}

/// The server has what the journal has, byte for byte; of a run that was given up a beginning.
fn compare_events(findings: &mut Findings, stored: &StoredRun, journal: &Journal) {
    let run = &stored.run;
    let counted = stored.events.iter().map(|event| event.seq);
    findings.unless(counted.eq(1..=run.events_seq), || {
        format!("run {} has holes in its events", run.id)
    });
    let whole = run.end_reason.is_some() || stored.events.len() == journal.raw.len();
    let same = stored
        .events
        .iter()
        .map(|event| event.json.as_bytes())
        .zip(&journal.raw)
        .all(|(stored, kept)| stored == kept.as_slice());
    findings.unless(
        whole && same && stored.events.len() <= journal.raw.len(),
        || {
            format!(
                "run {}: the store has {} events, the journal {}",
                run.id,
                stored.events.len(),
                journal.raw.len()
            )
        },
    );
    let mut phases: BTreeMap<(String, usize), u32> = BTreeMap::new();
    for event in &journal.events {
        if let EventBody::PhaseFinished { level, index, .. } = &event.body {
            *phases.entry((level.clone(), *index)).or_default() += 1;
        }
    }
    findings.unless(phases.values().all(|count| *count == 1), || {
        format!("run {}: phases {phases:?}", run.id)
    });
}
