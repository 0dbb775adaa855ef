//! Where a run's directory is, and whether the same command was begun before.

use std::path::{Path, PathBuf};

use anyhow::Context;
use basalt_model::EventBody;
use basalt_plan::Plan;
use basalt_runner::directory::{RunRecord, write_durably};
use basalt_runner::host::HostState;
use serde::{Deserialize, Serialize};

use crate::exit::refused;
use crate::wording;

/// Where runs go unless the user says otherwise.
pub const RESULTS: &str = "basalt-results";

const BELONGING_FILE: &str = "host.json";
const VERSION: u32 = 1;

/// `host.json` in a run's directory: what `--resume` needs to know beside the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belonging {
    /// 1.
    pub version: u32,
    /// The lab's directory.
    pub lab: PathBuf,
    /// The state directory, with the board's lock and the console's bytes.
    pub state: PathBuf,
}

impl Belonging {
    /// Both paths are absolute.
    pub fn new(lab: PathBuf, state: PathBuf) -> Self {
        Self {
            version: VERSION,
            lab,
            state,
        }
    }

    /// Reads it from a run's directory; `None` where it was not written any more.
    pub fn read(run: &Path) -> anyhow::Result<Option<Self>> {
        let path = run.join(BELONGING_FILE);
        match std::fs::read(&path) {
            Ok(bytes) => {
                let belonging = serde_json::from_slice(&bytes)
                    .with_context(|| format!("{} is damaged", path.display()))?;
                Ok(Some(belonging))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Its name and content.
    pub fn file(&self) -> anyhow::Result<(&'static str, Vec<u8>)> {
        Ok((BELONGING_FILE, serde_json::to_vec_pretty(self)?))
    }

    /// Writes it into a run's directory.
    pub fn write(&self, run: &Path) -> anyhow::Result<()> {
        let (name, content) = self.file()?;
        write_durably(&run.join(name), &content)?;
        Ok(())
    }
}

/// What a command means for a directory.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// This run is gone on with.
    Unfinished(PathBuf),
    /// A run is made here, or where nobody has one yet.
    New(Option<PathBuf>),
}

/// What the user's own directory means.
pub fn asked_for(
    path: &Path,
    plan: &Plan,
    job_text: &str,
    belonging: &Belonging,
) -> anyhow::Result<Place> {
    let shown = path.display();
    let is_empty = match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(refused(format!("cannot use {shown}: {error}"))),
    };
    if is_empty {
        return Ok(Place::New(Some(path.to_owned())));
    }
    let Ok(record) = record(path) else {
        return Err(refused(format!(
            "{shown} holds something else than a run; name another directory"
        )));
    };
    if is_finished(path)? {
        return Err(refused(format!(
            "{shown} holds a finished run; `basalt results {shown}` shows it. For another run name \
             another directory"
        )));
    }
    if !is_same(path, &record, plan, job_text, belonging)? {
        return Err(refused(format!(
            "{shown} holds an unfinished run of another job, board or lab; `basalt run --resume \
             {shown}` goes on with it. For this one name another directory"
        )));
    }
    Ok(Place::Unfinished(path.to_owned()))
}

/// The newest unfinished run of this command below `results`, if there is one.
pub fn unfinished(
    results: &Path,
    plan: &Plan,
    job_text: &str,
    belonging: &Belonging,
) -> anyhow::Result<Place> {
    let entries = match std::fs::read_dir(results) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Place::New(None)),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", results.display()));
        }
    };
    let mut newest: Option<(RunRecord, PathBuf)> = None;
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot read {}", results.display()))?
            .path();
        // What is no run, or cannot be read, is none that this command began.
        let Ok(record) = record(&path) else {
            continue;
        };
        let is_newer = newest
            .as_ref()
            .is_none_or(|(other, _)| record.created > other.created);
        if is_newer
            && is_same(&path, &record, plan, job_text, belonging).unwrap_or(false)
            && !is_finished(&path).unwrap_or(true)
        {
            newest = Some((record, path));
        }
    }
    Ok(newest.map_or(Place::New(None), |(_, path)| Place::Unfinished(path)))
}

/// A directory that nobody has yet: `BOARD-JOB-NUMBER`, with the next number that is free.
pub fn fresh(
    results: &Path,
    plan: &Plan,
    first: u64,
    host: &HostState,
) -> anyhow::Result<(PathBuf, u64)> {
    let mut number = first;
    loop {
        let name = format!(
            "{}-{}-{number}",
            plan.board.name,
            wording::slug(&plan.job_name)
        );
        let path = results.join(name);
        if !path.exists() {
            return Ok((path, number));
        }
        // Left by a state directory that is gone. Numbers only grow, so this ends.
        number = host.next_job_number()?;
    }
}

/// What a run's directory says of itself.
pub fn record(path: &Path) -> anyhow::Result<RunRecord> {
    let no_run = |why: String| {
        refused(format!(
            "{} is not a run's directory: {why}",
            path.display()
        ))
    };
    let file = path.join("run.json");
    let bytes = std::fs::read(&file)
        .map_err(|error| no_run(format!("cannot read {}: {error}", file.display())))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| no_run(format!("{} is damaged: {error}", file.display())))
}

/// Whether a run has ended and its results are written.
pub fn is_finished(path: &Path) -> anyhow::Result<bool> {
    let journal = path.join("journal");
    if !journal.exists() || !path.join("results.json").exists() {
        return Ok(false);
    }
    let events = basalt_journal::read(&journal)?;
    let ended = |event: &basalt_model::Event| matches!(event.body, EventBody::Finished { .. });
    Ok(events.iter().any(ended))
}

/// Whether a run is what this command would make.
fn is_same(
    path: &Path,
    record: &RunRecord,
    plan: &Plan,
    job_text: &str,
    belonging: &Belonging,
) -> anyhow::Result<bool> {
    let job = path.join("job.yaml");
    let text = std::fs::read(&job).with_context(|| format!("cannot read {}", job.display()))?;
    let same_host = Belonging::read(path)?.is_none_or(|other| other.state == belonging.state);
    Ok(record.board == plan.board.name.as_str() && text == job_text.as_bytes() && same_host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laboratory::Reading;
    use basalt_model::UtcMicros;
    use basalt_runner::RunDirectory;

    fn planned() -> (Plan, String) {
        let lab_config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab-config/virtual");
        let mut reading = Reading::default();
        let lab = reading.lab(&lab_config).unwrap().unwrap();
        let job = reading
            .job(&lab_config.join("jobs/realtime.yaml"))
            .unwrap()
            .unwrap();
        let board = crate::laboratory::board(&lab, "qemu-1").unwrap();
        (reading.plan(&job, &lab, board).unwrap(), job.text)
    }

    fn belonging() -> Belonging {
        Belonging::new("/lab".into(), "/state".into())
    }

    #[test]
    fn the_newest_unfinished_run_of_the_same_job_is_found() {
        let (plan, text) = planned();
        let results = tempfile::tempdir().unwrap();
        let find = || unfinished(results.path(), &plan, &text, &belonging()).unwrap();
        assert_eq!(find(), Place::New(None));
        let make = |name: &str, text: &str, at| {
            let path = results.path().join(name);
            RunDirectory::create(&path, text, &plan, 1, UtcMicros(at), &[]).unwrap();
            path
        };
        make("old", &text, 1);
        let newer = make("newer", &text, 2);
        make("another-job", "job_name: other", 3);
        let elsewhere = make("another-host", &text, 4);
        Belonging::new("/lab".into(), "/other".into())
            .write(&elsewhere)
            .unwrap();
        std::fs::write(results.path().join("no-run"), "").unwrap();
        assert_eq!(find(), Place::Unfinished(newer));
    }

    #[test]
    fn a_directory_with_something_else_in_it_is_refused() {
        let (plan, text) = planned();
        let directory = tempfile::tempdir().unwrap();
        let ask = |path: &Path| asked_for(path, &plan, &text, &belonging());
        let empty = directory.path().to_owned();
        assert_eq!(ask(&empty).unwrap(), Place::New(Some(empty.clone())));
        std::fs::write(empty.join("thesis.tex"), "").unwrap();
        let error = ask(&empty).unwrap_err().to_string();
        assert!(error.contains("something else than a run"), "{error}");
        let run = empty.join("run");
        RunDirectory::create(&run, "job_name: other", &plan, 1, UtcMicros(1), &[]).unwrap();
        let error = ask(&run).unwrap_err().to_string();
        assert!(error.contains("another job, board or lab"), "{error}");
        std::fs::write(run.join("job.yaml"), &text).unwrap();
        assert_eq!(ask(&run).unwrap(), Place::Unfinished(run));
    }
}
