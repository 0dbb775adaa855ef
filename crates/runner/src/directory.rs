//! One run on disk.
//!
//! ```text
//! run.json        what it is: ids, board, number, tokens; locked by the process that runs it
//! job.yaml        the job's text
//! plan.json       what will be done
//! journal         what was done
//! overlay.cpio    what is added to the board's root
//! uploads/        what the board sent, unchecked  }
//! raw/            measurement files, checked       } where the job measures
//! console.bin     the console's bytes of this run   } (where no server has its log)
//! results.json    everything that was found: written at the end
//! junit.xml       the same for CI systems (where no server answers with it)
//! ```

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use basalt_model::{RunId, UtcMicros};
use basalt_plan::Plan;
use basalt_plan::plan::{Block, BlockKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The version of `run.json`.
const VERSION: u32 = 1;

/// `run.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// 1.
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// The job's number on this host: the `N` of `/lava-N` on the board.
    pub job_number: u64,
    /// The job's name.
    pub job_name: String,
    /// The board.
    pub board: String,
    /// When it was made.
    pub created: UtcMicros,
    /// The unguessable name of its boot root (decision D22); kept, so that a board that boots from
    /// NFS finds its root again after the runner was killed.
    pub root_token: String,
}

/// Why a run's directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The operating system refused.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is no run.
    #[error("{path} is not a run's directory: it has no readable {file}")]
    NotARun {
        /// The directory.
        path: PathBuf,
        /// The file that is missing or wrong.
        file: &'static str,
        /// Why it cannot be read, where it is there.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// Another process runs it.
    #[error("the run in {path} is being run by another process")]
    Running {
        /// The directory.
        path: PathBuf,
    },
}

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct NewRun<'a> {
    /// Its id.
    pub run: RunId,
    /// The job's number: the `N` of `/lava-N` on the board.
    pub job_number: u64,
    /// The job's text.
    pub job_text: &'a str,
    /// What will be done.
    pub plan: &'a Plan,
    /// Now.
    pub now: UtcMicros,
    /// The caller's own files, by name.
    pub beside: &'a [(&'a str, Vec<u8>)],
}

/// One run's directory, locked by this process.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    record: RunRecord,
    plan: Plan,
    plan_sha256: basalt_model::Sha256,
    // Held for its lock.
    _lock: File,
}

impl RunDirectory {
    /// Makes a run with an id of its own: see [`RunDirectory::make`].
    pub fn create(
        path: &Path,
        job_text: &str,
        plan: &Plan,
        job_number: u64,
        now: UtcMicros,
        beside: &[(&str, Vec<u8>)],
    ) -> Result<Self, DirectoryError> {
        let run = RunId::from_uuid(uuid::Uuid::now_v7());
        Self::make(
            path,
            NewRun {
                run,
                job_number,
                job_text,
                plan,
                now,
                beside,
            },
        )
    }

    /// Makes a run. It appears under `path` at once and whole, with the files beside it, so that a
    /// kill leaves either no run or one that can be resumed. Durable before this returns.
    pub fn make(path: &Path, new_run: NewRun<'_>) -> Result<Self, DirectoryError> {
        let NewRun {
            run,
            job_number,
            job_text,
            plan,
            now,
            beside,
        } = new_run;
        let record = RunRecord {
            version: VERSION,
            run,
            job_number,
            job_name: plan.job_name.clone(),
            board: plan.board.name.to_string(),
            created: now,
            root_token: random_token()
                .map_err(io("read random bytes for", Path::new("/dev/urandom")))?,
        };
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(io("make", parent))?;
        let new = parent.join(format!(".{}.new", record.run));
        std::fs::create_dir_all(&new).map_err(io("make", &new))?;
        if measures(plan) {
            for directory in ["uploads", "raw"] {
                let directory = new.join(directory);
                std::fs::create_dir(&directory).map_err(io("make", &directory))?;
            }
        }
        write_synced(&new.join("job.yaml"), job_text.as_bytes())?;
        let plan_json = json(plan);
        write_synced(&new.join("plan.json"), &plan_json)?;
        for (name, content) in beside {
            write_synced(&new.join(name), content)?;
        }
        write_synced(&new.join("run.json"), &json(&record))?;
        let lock = lock(&new)?;
        // An empty directory that the user made beforehand is replaced by the rename.
        std::fs::rename(&new, path).map_err(io("make", path))?;
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(io("make durable", parent))?;
        Ok(Self {
            path: path.to_owned(),
            record,
            plan: plan.clone(),
            plan_sha256: digest(&plan_json),
            _lock: lock,
        })
    }

    /// Opens a run that is there, to go on with it.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        let record: RunRecord = read_json(path, "run.json")?;
        let plan_json = read(path, "plan.json")?;
        let plan: Plan = parse(path, "plan.json", &plan_json)?;
        Ok(Self {
            path: path.to_owned(),
            record,
            plan,
            plan_sha256: digest(&plan_json),
            _lock: lock(path)?,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What it is.
    pub fn record(&self) -> &RunRecord {
        &self.record
    }

    /// What will be done.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// SHA-256 of `plan.json`.
    pub fn plan_sha256(&self) -> basalt_model::Sha256 {
        self.plan_sha256
    }
}

/// Whether any block measures.
pub(crate) fn measures(plan: &Plan) -> bool {
    let measures = |block: &Block| matches!(block.kind, BlockKind::Realtime(_));
    plan.blocks.iter().any(measures)
}

/// Takes the lock of a run; it goes with the directory when that is renamed.
fn lock(directory: &Path) -> Result<File, DirectoryError> {
    let path = directory.join("run.json");
    let lock = OpenOptions::new()
        .write(true)
        .open(&path)
        .map_err(io("open", &path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(DirectoryError::Running {
            path: directory.to_owned(),
        }),
        Err(std::fs::TryLockError::Error(source)) => Err(io("lock", &path)(source)),
    }
}

fn digest(bytes: &[u8]) -> basalt_model::Sha256 {
    basalt_model::Sha256(Sha256::digest(bytes).into())
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("the value is plain data with string keys")
}

fn read_json<T: serde::de::DeserializeOwned>(
    directory: &Path,
    file: &'static str,
) -> Result<T, DirectoryError> {
    parse(directory, file, &read(directory, file)?)
}

fn not_a_run(
    directory: &Path,
    file: &'static str,
    source: Option<serde_json::Error>,
) -> DirectoryError {
    DirectoryError::NotARun {
        path: directory.to_owned(),
        file,
        source,
    }
}

fn read(directory: &Path, file: &'static str) -> Result<Vec<u8>, DirectoryError> {
    std::fs::read(directory.join(file)).map_err(|_| not_a_run(directory, file, None))
}

fn parse<T: serde::de::DeserializeOwned>(
    directory: &Path,
    file: &'static str,
    bytes: &[u8],
) -> Result<T, DirectoryError> {
    serde_json::from_slice(bytes).map_err(|source| not_a_run(directory, file, Some(source)))
}

/// Writes a file that nobody can see yet, because its directory has no name.
fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), DirectoryError> {
    File::create(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        })
        .map_err(io("write", path))
}

/// Writes a file so that a reader finds it whole or not at all, while this host runs.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), DirectoryError> {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes)
        .and_then(|()| std::fs::rename(&new, path))
        .map_err(io("write", path))
}

/// Writes a file so that a reader finds it whole or not at all, whatever is killed.
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), DirectoryError> {
    let new = path.with_extension("new");
    File::create(&new)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        })
        .and_then(|()| std::fs::rename(&new, path))
        .map_err(io("write", path))
}

fn random_token() -> std::io::Result<String> {
    use std::io::Read;
    // 104 bits; the NFS export wants 26 letters or digits.
    let mut bytes = [0; 13];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DirectoryError {
    let path = path.to_owned();
    move |source| DirectoryError::Io {
        doing,
        path,
        source,
    }
}
