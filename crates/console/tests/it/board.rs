//! What the tests have in common: a board behind a TCP port, and a keeper in this process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use basalt_console::client::KeeperClient;
use basalt_console::keeper::{Ended, KeeperConfig, ServeError, serve};
use basalt_console::protocol::KeptConsole;
use basalt_console::segment::{Chunk, ChunkBody, read_all};
use basalt_lab::profile::ConsoleSource;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The bound of every wait.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Waits for something that must come.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future)
        .await
        .expect("what the test waits for did not come")
}

/// A serial port behind a TCP port.
pub struct Board {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl Board {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// The keeper's connection.
    pub async fn accept(&self) -> TcpStream {
        within(self.listener.accept()).await.unwrap().0
    }

    pub fn console(&self, name: &str) -> KeptConsole {
        KeptConsole {
            name: name.into(),
            source: ConsoleSource::Tcp {
                host: "127.0.0.1".into(),
                port: self.address.port(),
            },
        }
    }
}

/// A keeper that runs in this process.
pub struct Keeper {
    pub state_dir: PathBuf,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Ended, ServeError>>,
}

impl Keeper {
    pub fn start(config: KeeperConfig) -> Self {
        let (stop, stopped) = oneshot::channel();
        let state_dir = config.state_dir.clone();
        let task = tokio::spawn(serve(config, async {
            let _ = stopped.await;
        }));
        Self {
            state_dir,
            stop,
            task,
        }
    }

    pub fn over(state_dir: &Path, consoles: Vec<KeptConsole>) -> Self {
        Self::start(KeeperConfig {
            consoles,
            ..KeeperConfig::new(state_dir)
        })
    }

    pub async fn client(&self) -> KeeperClient {
        connect(&self.state_dir).await
    }

    /// A client, unless the keeper has ended before.
    pub async fn client_unless_ended(&mut self) -> Option<KeeperClient> {
        tokio::select! {
            client = connect(&self.state_dir) => Some(client),
            _ = &mut self.task => None,
        }
    }

    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        assert_eq!(within(self.task).await.unwrap().unwrap(), Ended::Stopped);
    }

    /// Whether it has not ended after this time.
    pub async fn runs_for(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, &mut self.task).await.is_err()
    }

    /// How it ended by itself.
    pub async fn ended(self) -> Result<Ended, ServeError> {
        within(self.task).await.unwrap()
    }
}

/// A client of the keeper that is, or is about to be, there.
pub async fn connect(state_dir: &Path) -> KeeperClient {
    within(async {
        loop {
            match KeeperClient::connect(state_dir, "test").await {
                Ok(client) => return client,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

/// Waits until a console has this many bytes.
pub async fn captured(client: &KeeperClient, console: &str, end: u64) {
    let mut view = client.watch(console).await.unwrap();
    within(view.wait_for(|view| view.end >= end)).await.unwrap();
}

/// Waits until a console's source is open or not.
pub async fn source_is(client: &KeeperClient, console: &str, open: bool) {
    let mut view = client.watch(console).await.unwrap();
    within(view.wait_for(|view| view.source.open == open))
        .await
        .unwrap();
}

/// Everything that is in a console's files.
pub fn everything(state_dir: &Path, console: &str) -> Vec<Chunk> {
    read_all(state_dir, console, 0, u64::MAX)
        .collect::<Result<_, _>>()
        .unwrap()
}

/// The bytes in chunks.
pub fn bytes_of(chunks: &[Chunk]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in chunks {
        if let ChunkBody::Data(data) = &chunk.body {
            bytes.extend_from_slice(data);
        }
    }
    bytes
}

/// The gaps in chunks: offset and reason.
pub fn gaps_of(chunks: &[Chunk]) -> Vec<(u64, String)> {
    chunks
        .iter()
        .filter_map(|chunk| match &chunk.body {
            ChunkBody::Gap(gap) => Some((chunk.offset, gap.reason.clone())),
            _ => None,
        })
        .collect()
}

/// A generator of bytes that gives the same for the same seed (xorshift64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 24) as u8).collect()
    }
}
