//! An HTTP server that answers exactly what a test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use basalt_artifacts::{Cache, FetchError, Fetched, Patience, Policy, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An answer.
pub struct Reply {
    bytes: Vec<u8>,
    /// Says nothing more and does not close.
    hangs: bool,
}

impl Reply {
    /// Status line and headers without line ends, and a body; the length is added.
    pub fn new(head: &[&str], body: &[u8]) -> Self {
        let length = format!("Content-Length: {}", body.len());
        Self::raw(&[head, &[&length]].concat(), body)
    }

    /// The same without a length.
    pub fn raw(head: &[&str], body: &[u8]) -> Self {
        let mut bytes = format!(
            "HTTP/1.1 {}\r\nConnection: close\r\n\r\n",
            head.join("\r\n")
        );
        bytes = bytes.trim_start().to_owned();
        let mut bytes = bytes.into_bytes();
        bytes.extend_from_slice(body);
        Self {
            bytes,
            hangs: false,
        }
    }

    pub fn ok(body: &[u8]) -> Self {
        Self::new(&["200 OK"], body)
    }

    /// As much of the body as said, then the end.
    pub fn cut(mut self, missing: usize) -> Self {
        self.bytes.truncate(self.bytes.len() - missing);
        self
    }

    pub fn hang(mut self) -> Self {
        self.hangs = true;
        self
    }
}

/// The server.
pub struct Server {
    pub url: String,
    heads: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers each request by its head, in lower case, and its number from 0.
    pub async fn start(answer: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer).await
    }

    pub async fn start_at(
        address: &str,
        answer: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = heads.clone();
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let head = read_head(&mut stream).await;
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(head.clone());
                    seen.len() - 1
                };
                let reply = answer(&head, number);
                tokio::spawn(send(stream, reply));
            }
        });
        Self { url, heads, task }
    }

    /// The heads of the requests so far, in lower case.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub fn requests(&self) -> usize {
        self.heads().len()
    }

    pub fn request(&self, path: &str) -> Request {
        request(&format!("{}{path}", self.url))
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

async fn send(mut stream: TcpStream, reply: Reply) {
    // The client may have seen enough.
    if stream.write_all(&reply.bytes).await.is_err() {
        return;
    }
    if reply.hangs {
        while stream.read(&mut [0]).await.unwrap_or(0) > 0 {}
    }
}

pub fn request(url: &str) -> Request {
    Request {
        label: "kernel".to_owned(),
        url: url.to_owned(),
        ..Request::default()
    }
}

/// Allows the loopback address that test servers have.
pub fn policy() -> Policy {
    Policy {
        allow_hosts: vec!["127.0.0.1".to_owned()],
        size_limit: 64 << 20,
        ..Policy::default()
    }
}

/// A cache in a directory of its own, with short pauses.
pub struct Bench {
    pub directory: tempfile::TempDir,
    pub cache: Cache,
}

pub fn bench() -> Bench {
    bench_for(PATIENT)
}

/// With a bound for the silence of a server.
pub fn bench_for(silence: Duration) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let cache = open_for(&directory, silence);
    Bench { directory, cache }
}

pub fn open(directory: &tempfile::TempDir) -> Cache {
    open_for(directory, PATIENT)
}

/// No server is taken for silent because this host is busy.
const PATIENT: Duration = Duration::from_secs(25);

fn open_for(directory: &tempfile::TempDir, silence: Duration) -> Cache {
    let patience = Patience {
        silence,
        retry_delay: Duration::from_millis(5),
        ..Patience::default()
    };
    Cache::open(directory.path().join("cache"))
        .unwrap()
        .with_patience(patience)
}

impl Bench {
    pub async fn fetch(&self, request: &Request) -> Result<Fetched, FetchError> {
        self.fetch_under(request, &policy()).await
    }

    pub async fn fetch_under(
        &self,
        request: &Request,
        policy: &Policy,
    ) -> Result<Fetched, FetchError> {
        let fetch = self.cache.fetch(request, policy, &|_| {});
        tokio::time::timeout(Duration::from_secs(30), fetch)
            .await
            .expect("a fetch ends by itself")
    }

    /// The inodes of the files of objects and index: a file that is made anew has another one.
    pub fn inodes(&self) -> Vec<(String, u64)> {
        use std::os::unix::fs::DirEntryExt;
        let mut inodes = Vec::new();
        for directory in ["objects", "index"] {
            let entries = std::fs::read_dir(self.directory.path().join("cache/v1").join(directory));
            inodes.extend(entries.unwrap().map(|entry| {
                let entry = entry.unwrap();
                (
                    entry.file_name().to_string_lossy().into_owned(),
                    entry.ino(),
                )
            }));
        }
        inodes.sort();
        inodes
    }

    /// Names of files below the cache, by its sub-directory.
    pub fn names(&self, directory: &str) -> Vec<String> {
        let path = self.directory.path().join("cache/v1").join(directory);
        let names = std::fs::read_dir(path).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

/// Bytes that differ from place to place.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
