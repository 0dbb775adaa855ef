//! A directory that exists for one lease.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use super::event::{TransferEvent, TransferEventKind};
use super::packet::Direction;
use super::server::Shared;
use super::source::FileSource;
use crate::name::{NameError, check_component, random_name};

/// Letters of a root's name: 80 random bits. It is typed at boot loader prompts, where every letter costs time, and can only
/// be guessed over the network.
const NAME_LENGTH: usize = 16;
/// Events kept for a reader that is late.
const EVENT_BACKLOG: usize = 1024;
/// How long closing waits for transfers to end. They end at their next wait, so only a dead disk takes longer.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// What a root serves, and to whom.
#[derive(Debug, Clone, Default)]
pub struct RootSpec {
    /// The only address that is served; `None` serves everybody who knows the name.
    pub client: Option<Ipv4Addr>,
    /// Names (one component each, no repetition) and contents.
    pub files: Vec<(String, FileSource)>,
    /// Where uploads are stored under the name the client gives them; `None` refuses uploads.
    pub uploads: Option<PathBuf>,
    /// Largest upload in bytes, each.
    pub upload_limit: u64,
}

/// Why a root cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenRootError {
    /// A file has a name that cannot be served.
    #[error("cannot serve a file over TFTP: {0}")]
    FileName(#[source] NameError),
    /// Two files have the same name.
    #[error("cannot serve two files over TFTP as {0:?}")]
    RepeatedFile(String),
    /// The name of a former root is not one.
    #[error("cannot open the TFTP root again: {0}")]
    RootName(#[source] NameError),
    /// The root is open already.
    #[error("the TFTP root {0:?} is open already")]
    AlreadyOpen(String),
    /// The kernel gave no random bytes.
    #[error("cannot make a name for a TFTP root: {0}")]
    Random(#[source] io::Error),
}

/// An open root. Dropping it removes it and ends its transfers.
#[derive(Debug)]
pub struct Root {
    inner: Arc<OpenRoot>,
    shared: Arc<Shared>,
}

/// The part of a root that transfers share.
#[derive(Debug)]
pub(crate) struct OpenRoot {
    pub name: String,
    pub client: Option<Ipv4Addr>,
    files: HashMap<String, FileSource>,
    pub uploads: Option<PathBuf>,
    pub upload_limit: u64,
    events: broadcast::Sender<TransferEvent>,
    /// Number of running transfers.
    pub running: watch::Sender<usize>,
    /// One upload of a name at a time: a newer one waits here until the one it replaces has let go of the file.
    upload_turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Root {
    pub(crate) fn open(
        shared: Arc<Shared>,
        name: Option<&str>,
        spec: RootSpec,
    ) -> Result<Self, OpenRootError> {
        let name = match name {
            Some(name) => {
                check_component(name).map_err(OpenRootError::RootName)?;
                name.to_owned()
            }
            None => random_name(NAME_LENGTH).map_err(OpenRootError::Random)?,
        };
        let mut files = HashMap::new();
        for (file, source) in spec.files {
            check_component(&file).map_err(OpenRootError::FileName)?;
            if files.insert(file.clone(), source).is_some() {
                return Err(OpenRootError::RepeatedFile(file));
            }
        }
        let inner = Arc::new(OpenRoot {
            name: name.clone(),
            client: spec.client,
            files,
            uploads: spec.uploads,
            upload_limit: spec.upload_limit,
            events: broadcast::Sender::new(EVENT_BACKLOG),
            running: watch::Sender::new(0),
            upload_turns: Mutex::default(),
        });
        if !shared.add_root(Arc::clone(&inner)) {
            return Err(OpenRootError::AlreadyOpen(name));
        }
        Ok(Self { inner, shared })
    }

    /// The random directory name; a file is asked for as `<name>/<file>`.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What happens from now on. A reader that falls more than 1024 events behind is told how many it missed.
    pub fn events(&self) -> broadcast::Receiver<TransferEvent> {
        self.inner.events.subscribe()
    }

    /// Removes the root and waits, five seconds at most, until its transfers have ended. Returns whether they have.
    pub async fn close(self) -> bool {
        self.shared.remove_root(&self.inner);
        let mut running = self.inner.running.subscribe();
        let ended = running.wait_for(|count| *count == 0);
        matches!(tokio::time::timeout(CLOSE_LIMIT, ended).await, Ok(Ok(_)))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.shared.remove_root(&self.inner);
    }
}

impl OpenRoot {
    pub fn serves(&self, client: Ipv4Addr) -> bool {
        self.client.is_none_or(|only| only == client)
    }

    pub fn file(&self, name: &str) -> Option<&FileSource> {
        self.files.get(name)
    }

    /// The files' names in order, for messages.
    pub fn file_names(&self) -> String {
        let mut names: Vec<_> = self.files.keys().map(String::as_str).collect();
        names.sort_unstable();
        names.join(", ")
    }

    pub fn report(
        &self,
        client: SocketAddrV4,
        direction: Direction,
        file: &str,
        kind: TransferEventKind,
    ) {
        // An error only says that nobody listens.
        let _ = self.events.send(TransferEvent {
            client,
            file: file.to_owned(),
            direction,
            kind,
        });
    }

    pub fn upload_turn(&self, file: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self
            .upload_turns
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(file.to_owned()).or_default())
    }
}
