//! One run's task: runs it to its end over whatever breaks, and always says that it has ended.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use basalt_console::{Attachment, BoardConsole, KeptConsole};
use basalt_model::{Culprit, Failure, PowerState};
use basalt_plan::Plan;
use basalt_runner::host::{BoardLock, HostError};
use basalt_runner::session::chain;
use basalt_runner::{
    Attach, Ending, Grown, Leaves, Resources, RunDirectory, RunError, Summary, Watcher,
};
use futures::FutureExt;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::common::Common;
use crate::lease::LeaseRecord;
use crate::reserve::is_disk_full;

/// How long the way to a console may take to open.
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// How often a board that somebody of this host has is tried.
const HELD_PAUSE: Duration = Duration::from_secs(1);
/// How often a run whose files fail is begun again, and after which pause: a disk may be full for a
/// moment.
const TRIES: u32 = 3;
const TRY_PAUSE: Duration = Duration::from_secs(5);

/// What became of a run.
#[derive(Debug)]
pub enum Performed {
    /// It ended as runs end; results are on disk.
    Ended(Summary),
    /// Its files cannot be used; nothing more will come of it. Its board was switched off, as far
    /// as the relay says.
    Broken {
        /// What the relay said.
        power: PowerState,
        /// Why, for people.
        reason: String,
    },
}

/// A run to perform.
pub struct Performance {
    /// What all runs have in common.
    pub common: Arc<Common>,
    /// The run's directory.
    pub path: PathBuf,
    /// Its lease.
    pub lease: LeaseRecord,
    /// Ends it from outside.
    pub ending: Ending,
    /// Told when its files grow.
    pub grown: watch::Sender<Grown>,
}

/// Why a run's files cannot be used.
struct Broken {
    reason: String,
    /// There is no room on the disk.
    is_full: bool,
}

impl Broken {
    fn by(error: &(dyn std::error::Error + 'static)) -> Self {
        Self {
            reason: chain(error),
            is_full: is_disk_full(error),
        }
    }
}

impl Performance {
    /// Performs the run, or goes on with it. `taken`: its directory and board, where they are at
    /// hand.
    pub async fn perform(self, taken: Option<(RunDirectory, BoardLock)>) -> Performed {
        let mut taken = taken;
        let mut tries = 0;
        loop {
            tries += 1;
            let Broken {
                mut reason,
                is_full,
            } = match self.attempt(taken.take()).await {
                Ok(summary) => return Performed::Ended(summary),
                Err(broken) => broken,
            };
            tracing::error!(run.id = %self.lease.run, reason, "a run's files cannot be used");
            if is_full {
                match self.end_on_full_disk(reason).await {
                    Ok(summary) => return Performed::Ended(summary),
                    Err(broken) => reason = broken.reason,
                }
            }
            if tries < TRIES {
                tokio::time::sleep(TRY_PAUSE).await;
                continue;
            }
            let power = self.switch_off().await;
            return Performed::Broken { power, reason };
        }
    }

    async fn attempt(&self, taken: Option<(RunDirectory, BoardLock)>) -> Result<Summary, Broken> {
        let (directory, lock) = match taken {
            Some(taken) => taken,
            None => self.take().await?,
        };
        let resources = self.resources(directory.plan(), lock);
        let running = basalt_runner::run(directory, resources);
        match AssertUnwindSafe(running).catch_unwind().await {
            Ok(ended) => ended.map_err(|error: RunError| Broken::by(&error)),
            Err(panic) => {
                let said = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "it did not say why".into());
                self.give_up(said).await
            }
        }
    }

    /// A bug in the runner ended it: the run ends with that word, and the others go on.
    async fn give_up(&self, said: String) -> Result<Summary, Broken> {
        tracing::error!(run.id = %self.lease.run, panic = said, "the runner broke off");
        let message = format!("the runner broke off: {said}");
        let failure = Failure::new(Culprit::Bug, "runner-panicked", message);
        self.end(failure).await
    }

    /// What the run has to write found no room: its end gets some of the reserve.
    async fn end_on_full_disk(&self, said: String) -> Result<Summary, Broken> {
        self.common.reserve.release();
        // Whoever ended it before has said why.
        self.ending.disk_full(&said);
        self.end(self.ending.failure()).await
    }

    /// Ends the run with a failure of ours, its board off.
    async fn end(&self, failure: Failure) -> Result<Summary, Broken> {
        let (directory, lock) = self.take().await?;
        let resources = self.resources(directory.plan(), lock);
        let given_up = basalt_runner::give_up(directory, resources, failure);
        match AssertUnwindSafe(given_up).catch_unwind().await {
            Ok(ended) => ended.map_err(|error| Broken::by(&error)),
            Err(_) => Err(Broken {
                reason: "the runner broke off again at the end of the run".into(),
                is_full: false,
            }),
        }
    }

    /// Opens the run's directory and takes its board. A board that somebody of this host has is
    /// waited for: the run's own deadlines go on meanwhile.
    async fn take(&self) -> Result<(RunDirectory, BoardLock), Broken> {
        let directory = RunDirectory::open(&self.path).map_err(|error| Broken::by(&error))?;
        let plan = directory.plan();
        let who = format!("run {} of job {}", self.lease.run, self.lease.job);
        let mut said = false;
        loop {
            let now = self.common.clock.now().utc;
            let lock = self
                .common
                .host
                .take(&self.lease.board, &who, now)
                .and_then(|lock| lock.with_outlet(&plan.relay, plan.board.power.outlet));
            match lock {
                Ok(lock) => return Ok((directory, lock)),
                Err(error @ (HostError::Held { .. } | HostError::OutletHeld { .. })) => {
                    if !said {
                        tracing::warn!(run.id = %self.lease.run, %error, "a run waits for its board");
                        said = true;
                    }
                    tokio::time::sleep(HELD_PAUSE).await;
                }
                Err(error) => return Err(Broken::by(&error)),
            }
        }
    }

    fn resources(&self, plan: &Plan, lock: BoardLock) -> Resources {
        Resources {
            host: self.common.host.clone(),
            lock,
            epoch: Some(self.lease.epoch),
            cache: self.common.cache(),
            shared: self.common.shared.clone(),
            attach: self.attach(plan),
            watcher: Watcher::Files(self.grown.clone()),
            leaves: Leaves::WhatIsSent,
            ending: self.ending.clone(),
        }
    }

    fn attach(&self, plan: &Plan) -> Attach {
        let common = self.common.clone();
        let console = KeptConsole {
            name: plan.board.name.to_string(),
            source: plan.board.console.source.clone(),
        };
        Arc::new(move |from, writer| {
            let attachment = Attachment {
                state_dir: common.state.clone(),
                console: console.clone(),
                writer: Some(writer),
                from,
                restart: common.keeper.clone(),
            };
            Box::pin(attach(attachment))
        })
    }

    /// The board of a run that cannot be gone on with, unless another lease has it by now.
    async fn switch_off(&self) -> PowerState {
        let Some(plan) = read_plan(&self.path) else {
            return PowerState::Unknown;
        };
        let now = self.common.clock.now().utc;
        let lock = self.common.host.take(&self.lease.board, "dispatcher", now);
        let ours = lock.and_then(|lock| lock.accept(self.lease.epoch).map(|()| lock));
        let _lock = match ours {
            Ok(lock) => lock,
            Err(error) => {
                tracing::warn!(board = %self.lease.board, %error, "a board is left as it is");
                return PowerState::Unknown;
            }
        };
        let locks = self.common.relay_locks();
        let relay = self.common.shared.relay(&plan.relay, &locks);
        match relay.set(plan.board.power.outlet, false).await {
            Ok(power) => power,
            Err(error) => {
                tracing::error!(board = %self.lease.board, %error, "a board is not switched off");
                PowerState::Unknown
            }
        }
    }
}

async fn attach(attachment: Attachment) -> Result<BoardConsole, String> {
    let mut console = BoardConsole::attach(attachment)
        .await
        .map_err(|error| chain(&error))?;
    console
        .wait_open(Instant::now() + OPEN_LIMIT)
        .await
        .map_err(|error| chain(&error))?;
    Ok(console)
}

fn read_plan(path: &Path) -> Option<Plan> {
    serde_json::from_slice(&std::fs::read(path.join("plan.json")).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Tempo;
    use basalt_artifacts::Cache;
    use basalt_lab::{FileKind, LabFile};
    use basalt_model::{BoardName, Epoch, EventBody, JobId, LeaseId, Outcome, UserName, UtcMicros};
    use basalt_runner::directory::NewRun;
    use basalt_runner::host::HostState;
    use basalt_yaml::Diagnostics;

    /// A plan over a relay and a console that are not there.
    fn plan() -> Plan {
        let job = "job_name: j\ndevice_type: simulated\nvisibility: public\npriority: medium\n\
                   timeouts:\n  job: {minutes: 1}\nactions:\n  - deploy:\n      to: tftp\n      \
                   kernel: {url: 'http://127.0.0.1:1/k', type: image}\n      ramdisk: {url: \
                   'http://127.0.0.1:1/r'}\n  - boot:\n      method: u-boot\n      commands: \
                   ramdisk\n      prompts: ['/ # ']\n";
        let file = |path: &str, text: &str| LabFile {
            path: path.into(),
            text: text.into(),
        };
        let lab = [
            file(
                FileKind::LAB,
                "version: 1\nname: t\ndispatcher:\n  address: 127.0.0.1\n  tftp: 127.0.0.1:1069\n  nfs: 127.0.0.1:12049\n",
            ),
            file(
                "relays/pdu.yaml",
                "version: 1\nname: pdu\ndriver: tasmota\nurl: http://127.0.0.1:1\ntimeout: 1s\n",
            ),
            file(
                "boards/b.yaml",
                "version: 1\nname: b\ntype: simulated\npower: {relay: pdu, outlet: 1}\nconsole: {tcp: '127.0.0.1:2'}\nnetwork: {mac: '52:54:00:00:00:01', address: 127.0.0.9/8}\n",
            ),
        ];
        let mut diagnostics = Diagnostics::new();
        let lab = basalt_lab::read(&lab, &basalt_lab::builtin::types(), &mut diagnostics);
        let lab = lab.unwrap_or_else(|| panic!("{diagnostics:?}"));
        let job = basalt_job::read("job.yaml", job, &mut diagnostics);
        let job = job.unwrap_or_else(|| panic!("{diagnostics:?}"));
        let board = &lab.boards[0];
        let (relay, dispatcher) = (lab.relay_of(board), lab.dispatcher_of(board));
        let sha256 = basalt_model::Sha256([0; 32]);
        basalt_plan::plan(&job, sha256, board, relay, dispatcher, &mut diagnostics)
            .unwrap_or_else(|| panic!("{diagnostics:?}"))
    }

    #[tokio::test]
    async fn a_runner_that_breaks_off_ends_its_run_as_a_bug() {
        let state = tempfile::tempdir().unwrap();
        let host = HostState::open(state.path()).unwrap();
        let cache = Cache::open(state.path().join("cache")).unwrap();
        // The first thing that a run does to its board is to meet the keeper.
        let keeper = Arc::new(|| panic!("out of ideas"));
        let common = Arc::new(Common::new(
            state.path(),
            host.clone(),
            cache,
            keeper,
            Tempo::default(),
            crate::reserve::Reserve::take(&state.path().join("reserve"), 0).unwrap(),
        ));
        let run = basalt_model::RunId::from_uuid(uuid::Uuid::now_v7());
        let board = BoardName::new("b");
        let path = common.runs().join(run.to_string());
        let new_run = NewRun {
            run,
            job_number: 1,
            job_text: "",
            plan: &plan(),
            now: UtcMicros(1),
            beside: &[],
        };
        let directory = RunDirectory::make(&path, new_run).unwrap();
        let lock = host.take(&board, "the test", UtcMicros(1)).unwrap();
        let performance = Performance {
            common,
            path: path.clone(),
            lease: LeaseRecord {
                version: 1,
                run,
                lease: LeaseId::from_uuid(uuid::Uuid::now_v7()),
                job: JobId(1),
                attempt: 1,
                board: board.clone(),
                epoch: Epoch(1),
                revision: 1,
                submitter: UserName::new("alice"),
            },
            ending: Ending::new(),
            grown: watch::Sender::new(Grown::default()),
        };
        let performed = performance.perform(Some((directory, lock))).await;
        let Performed::Ended(summary) = performed else {
            panic!("{performed:?}");
        };
        let failure = summary.failure.unwrap();
        assert_eq!(failure.culprit, Culprit::Bug);
        assert!(failure.message.contains("out of ideas"), "{failure}");
        let events = basalt_journal::read(&path.join("journal")).unwrap();
        let EventBody::Finished { outcome, .. } = events.last().unwrap().body else {
            panic!("{events:?}");
        };
        assert_eq!(outcome, Outcome::Incomplete);
        assert_eq!(host.holder(&board), None, "the board is free again");
    }
}
