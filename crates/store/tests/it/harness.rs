//! A store of one's own on either database, and the things that tests put into it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use basalt_model::{
    BoardHealth, BoardName, DispatcherName, Epoch, Health, JobId, LeaseId, Outcome, PowerState,
    RunId, Sha256, UserName, UtcMicros,
};
use basalt_private_postgres::{PrivatePostgres, Settings};
use basalt_store::{
    Applied, BoardEntry, EventRow, GrantRequest, Granted, JobEnd, LabFile, LeaderTerm, LogBatch,
    NewJob, NewRevision, RunBatch, RunEnded, RunFinished, Store, StoreConfig, Submitted, Wants,
};
use tempfile::TempDir;
use uuid::Uuid;

/// The moment at which tests begin.
pub const START: UtcMicros = UtcMicros(1_700_000_000_000_000);

/// A moment some seconds after the begin.
pub fn at(seconds: i64) -> UtcMicros {
    UtcMicros(START.0 + seconds * 1_000_000)
}

/// A store with everything below it.
pub struct Harness {
    pub store: Store,
    pub config: StoreConfig,
    term: LeaderTerm,
    _directory: TempDir,
    _cluster: Option<Arc<PrivatePostgres>>,
}

/// The cluster that tests of one process share while any of them uses it.
fn shared_cluster() -> Arc<PrivatePostgres> {
    static SHARED: Mutex<Weak<PrivatePostgres>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cluster) = shared.upgrade() {
        return cluster;
    }
    let cluster = PrivatePostgres::start(Settings { fsync: false });
    let cluster = Arc::new(cluster.unwrap_or_else(|error| panic!("{error}")));
    *shared = Arc::downgrade(&cluster);
    cluster
}

/// A new database in a cluster.
pub fn database_in(cluster: &PrivatePostgres) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    cluster.create_database(&format!("test{number}")).unwrap()
}

impl Harness {
    pub async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("basalt.db").display());
        Self::open(url, directory, None).await
    }

    pub async fn postgres() -> Self {
        let cluster = tokio::task::spawn_blocking(shared_cluster).await.unwrap();
        let url = database_in(&cluster);
        Self::open(url, tempfile::tempdir().unwrap(), Some(cluster)).await
    }

    pub async fn open(
        url: String,
        directory: TempDir,
        cluster: Option<Arc<PrivatePostgres>>,
    ) -> Self {
        let objects = directory.path().join("objects").display().to_string();
        let mut config = StoreConfig::new(url, objects);
        // Machines of tests are slow.
        config.time_limit = std::time::Duration::from_secs(60);
        let store = Store::open(&config).await.unwrap();
        let lead = store
            .acquire_lead("test", std::time::Duration::from_secs(3600), START)
            .await
            .unwrap();
        Self {
            store,
            config,
            term: lead.unwrap(),
            _directory: directory,
            _cluster: cluster,
        }
    }

    /// A lab of so many boards `b1`, `b2`, …, of type `qemu`, all good, all of dispatcher `main`.
    pub async fn with_boards(self, count: usize) -> Self {
        let applied = self.store.apply_revision(&lab(count), START).await.unwrap();
        assert!(matches!(applied, Applied::New { revision: 1, .. }));
        self
    }

    pub async fn submit(&self, name: &str) -> JobId {
        match self.store.submit(&new_job(name), START).await.unwrap() {
            Submitted::New { job, .. } => job.id,
            other => panic!("{other:?}"),
        }
    }

    pub fn request(&self, job: JobId, board: &str) -> GrantRequest {
        GrantRequest {
            job,
            board: BoardName::new(board),
            run: RunId::from_uuid(Uuid::now_v7()),
            lease: LeaseId::from_uuid(Uuid::now_v7()),
            dispatcher: DispatcherName::new("main"),
            leader_term: self.term,
        }
    }

    /// Gives a board to a job.
    pub async fn grant(&self, job: JobId, board: &str) -> Given {
        let request = self.request(job, board);
        match self.store.grant(&request, at(1)).await.unwrap() {
            Granted::Yes { epoch, attempt, .. } => Given {
                run: request.run,
                epoch,
                attempt,
            },
            other => panic!("{other:?}"),
        }
    }

    /// A job that was submitted and granted.
    pub async fn run(&self, name: &str, board: &str) -> (JobId, Given) {
        let job = self.submit(name).await;
        let given = self.grant(job, board).await;
        (job, given)
    }

    pub async fn board(&self, name: &str) -> basalt_store::Board {
        let board = self.store.board(&BoardName::new(name)).await.unwrap();
        board.unwrap()
    }

    pub async fn job(&self, id: JobId) -> basalt_store::Job {
        self.store.job(id).await.unwrap().unwrap()
    }
}

/// A granted run.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    pub run: RunId,
    pub epoch: Epoch,
    pub attempt: u32,
}

impl Given {
    /// A batch of it with nothing in it.
    pub fn batch(self) -> RunBatch {
        RunBatch {
            run: self.run,
            dispatcher: DispatcherName::new("main"),
            epoch: self.epoch,
            answer: None,
            events: Vec::new(),
            logs: Vec::new(),
            finished: None,
            ended: None,
        }
    }

    /// A batch with everything that a small run says, from its acceptance to its end.
    pub fn whole(self) -> RunBatch {
        RunBatch {
            answer: Some(basalt_store::LeaseAnswer::Accepted),
            events: events(1, 3),
            logs: vec![log(1, 5, 1)],
            finished: Some(finished(3)),
            ended: Some(ended(3, 5)),
            ..self.batch()
        }
    }
}

pub fn lab(count: usize) -> NewRevision {
    let boards = (1..=count).map(|number| BoardEntry {
        name: BoardName::new(format!("b{number}")),
        was: None,
        device_type: "qemu".into(),
        dispatcher: DispatcherName::new("main"),
        tags: vec!["virtual".into()],
        initial_health: BoardHealth::Good,
    });
    NewRevision {
        name: "test".into(),
        files: vec![LabFile {
            path: "lab.yaml".into(),
            text: format!("version: 1\n# {count} boards\n"),
        }],
        actor: "ada".into(),
        boards: boards.collect(),
        dispatchers: vec![(DispatcherName::new("main"), None)],
        device_types: vec![("qemu".into(), None)],
    }
}

pub fn new_job(name: &str) -> NewJob {
    NewJob {
        definition: format!("job_name: {name}\n"),
        definition_sha256: digest(name),
        name: name.into(),
        priority: 50,
        submitter: UserName::new("ada"),
        wants: Wants {
            device_type: Some("qemu".into()),
            board: None,
            tags: Vec::new(),
        },
        resubmit_of: None,
        idempotency_key: Uuid::now_v7().to_string(),
        request_sha256: digest(name),
    }
}

/// Some digest that differs where the text does.
pub fn digest(text: &str) -> Sha256 {
    let mut digest = [0; 32];
    for (index, byte) in text.bytes().enumerate() {
        digest[index % 32] ^= byte.rotate_left(index as u32 / 32);
    }
    Sha256(digest)
}

pub fn events(from: u64, to: u64) -> Vec<EventRow> {
    (from..=to)
        .map(|seq| EventRow {
            seq,
            utc: at(seq as i64),
            json: format!("{{\"seq\":{seq}}}"),
        })
        .collect()
}

/// Lines whose bytes tell which they are, all of one level.
pub fn log(from_line: u64, lines: u64, levels: u32) -> LogBatch {
    let text: String = (from_line..from_line + lines)
        .map(|line| format!("line {line}\n"))
        .collect();
    LogBatch {
        from_line,
        lines,
        levels,
        first: at(from_line as i64),
        last: at((from_line + lines) as i64),
        data: text.into(),
        cursor: format!("after {}", from_line + lines - 1),
    }
}

pub fn finished(seq: u64) -> RunFinished {
    RunFinished {
        seq,
        at: at(10),
        outcome: Outcome::Pass,
        power: PowerState::Off,
    }
}

pub fn ended(seq: u64, log_line: u64) -> RunEnded {
    RunEnded {
        seq,
        log_line,
        results: "{\"version\":1}".into(),
        cases: Vec::new(),
        latency: Vec::new(),
        end: passed(),
        requeue: None,
    }
}

pub fn passed() -> JobEnd {
    JobEnd {
        outcome: Outcome::Pass,
        health: Health::Complete,
        failure: None,
    }
}

pub fn lost() -> JobEnd {
    JobEnd {
        outcome: Outcome::Incomplete,
        health: Health::Incomplete,
        failure: None,
    }
}
