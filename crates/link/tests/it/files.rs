//! Files: whole, resumed, refused, over connections that close.

use std::path::Path;
use std::sync::{Arc, Mutex};

use basalt_link::files::{RECEIVED_HEADER, SHA256_HEADER};
use basalt_link::{FileClient, PutError, PutFile, Trust};
use basalt_model::RunId;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::Digest;
use tokio::net::UnixListener;
use uuid::Uuid;

use crate::server::{TOKEN, dialer, unix};

/// What a server has, and what it was asked.
#[derive(Default)]
struct Store {
    bytes: Vec<u8>,
    requests: Vec<String>,
    connections: u32,
    /// Close the connection after each answer, saying nothing of it before.
    closes: bool,
    /// Stop reading after so many bytes of the first body, and cut the connection.
    cuts_after: Option<usize>,
}

type Shared = Arc<Mutex<Store>>;

async fn serve(listener: UnixListener, store: Shared) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        store.lock().unwrap().connections += 1;
        let store = store.clone();
        tokio::spawn(async move {
            let closes = store.lock().unwrap().closes;
            let service = service_fn(|request| answer(request, store.clone()));
            let mut connection = hyper::server::conn::http1::Builder::new();
            connection.keep_alive(!closes);
            let _ = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    store: Shared,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let method = request.method().clone();
    let range = header("content-range");
    let digest = header(SHA256_HEADER);
    let line = format!(
        "{method} {} {}",
        request.uri().path(),
        range.clone().unwrap_or_default()
    );
    let cuts_after = {
        let mut store = store.lock().unwrap();
        store.requests.push(line.trim_end().to_owned());
        (method == Method::PUT)
            .then(|| store.cuts_after.take())
            .flatten()
    };
    if header("authorization").as_deref() != Some("Bearer right") {
        return Ok(status(StatusCode::UNAUTHORIZED, None));
    }
    if method == Method::HEAD {
        let have = store.lock().unwrap().bytes.len();
        return Ok(match have {
            0 => status(StatusCode::NOT_FOUND, None),
            have => status(StatusCode::OK, Some(have)),
        });
    }
    let from = range.map_or(0, |range| {
        let range = range.strip_prefix("bytes ").unwrap().to_owned();
        match range.split_once('-') {
            Some((from, _)) => from.parse().unwrap(),
            None => range.strip_prefix("*/").unwrap().parse().unwrap(),
        }
    });
    let mut body = request.into_body();
    {
        let mut store = store.lock().unwrap();
        match from {
            0 => store.bytes.clear(),
            from if from == store.bytes.len() => {}
            _ => return Ok(status(StatusCode::CONFLICT, Some(store.bytes.len()))),
        }
    }
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(std::io::Error::other)?.into_data() else {
            continue;
        };
        let mut store = store.lock().unwrap();
        store.bytes.extend_from_slice(&data);
        if cuts_after.is_some_and(|limit| store.bytes.len() >= limit) {
            return Err(std::io::Error::other("cut"));
        }
    }
    let mut store = store.lock().unwrap();
    let found = sha2::Sha256::digest(&store.bytes);
    let found: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
    if Some(found) != digest {
        store.bytes.clear();
        return Ok(status(StatusCode::UNPROCESSABLE_ENTITY, None));
    }
    Ok(status(StatusCode::CREATED, None))
}

fn status(status: StatusCode, received: Option<usize>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    if let Some(received) = received {
        response
            .headers_mut()
            .insert(RECEIVED_HEADER, received.into());
    }
    response
}

struct Site {
    directory: tempfile::TempDir,
    store: Shared,
    client: FileClient,
}

fn site(store: Store) -> Site {
    site_as(store, TOKEN)
}

fn site_as(store: Store, token: &str) -> Site {
    let directory = tempfile::tempdir().unwrap();
    let (listener, endpoint) = unix(directory.path());
    let store = Arc::new(Mutex::new(store));
    tokio::spawn(serve(listener, store.clone()));
    let client = dialer(&endpoint, token, &Trust::System).files();
    Site {
        directory,
        store,
        client,
    }
}

fn file(directory: &Path, bytes: &[u8]) -> PutFile {
    let path = directory.join("file");
    std::fs::write(&path, bytes).unwrap();
    PutFile {
        run: RunId::from_uuid(Uuid::nil()),
        name: "output/out put.txt".into(),
        path,
    }
}

const TARGET: &str =
    "/dispatch/v1/runs/00000000-0000-0000-0000-000000000000/files/output/out%20put.txt";

fn large() -> Vec<u8> {
    (0..3u32 << 20).map(|index| (index * 7 / 5) as u8).collect()
}

#[tokio::test]
async fn small_files_take_one_request_each_over_one_connection() {
    let site = site(Store::default());
    for bytes in [b"".as_slice(), b"some", b"other"] {
        let file = file(site.directory.path(), bytes);
        assert_eq!(site.client.put(&file).await.unwrap(), bytes.len() as u64);
        assert_eq!(site.store.lock().unwrap().bytes, bytes);
    }
    let store = site.store.lock().unwrap();
    assert_eq!(store.requests, vec![format!("PUT {TARGET}"); 3]);
    assert_eq!(store.connections, 1);
}

#[tokio::test]
async fn a_large_file_that_broke_off_goes_on_where_the_server_stands() {
    let site = site(Store {
        cuts_after: Some(1 << 20),
        ..Store::default()
    });
    let bytes = large();
    let file = file(site.directory.path(), &bytes);
    let error = site.client.put(&file).await.unwrap_err();
    assert!(error.is_passing(), "{error}");
    let have = site.store.lock().unwrap().bytes.len();
    assert!(have >= 1 << 20 && have < bytes.len());
    let sent = site.client.put(&file).await.unwrap();
    assert_eq!(sent, (bytes.len() - have) as u64);
    let store = site.store.lock().unwrap();
    assert!(store.bytes == bytes);
    let last = format!(
        "PUT {TARGET} bytes {have}-{}/{}",
        bytes.len() - 1,
        bytes.len()
    );
    assert_eq!(store.requests.last(), Some(&last));
}

#[tokio::test]
async fn a_file_that_is_there_already_is_not_sent_again() {
    let bytes = large();
    let site = site(Store {
        bytes: bytes.clone(),
        ..Store::default()
    });
    let file = file(site.directory.path(), &bytes);
    assert_eq!(site.client.put(&file).await.unwrap(), 0);
}

#[tokio::test]
async fn a_connection_that_the_server_closes_between_files_is_opened_again() {
    let site = site(Store {
        closes: true,
        ..Store::default()
    });
    for _ in 0..3 {
        let file = file(site.directory.path(), b"some");
        site.client.put(&file).await.unwrap();
    }
    assert_eq!(site.store.lock().unwrap().connections, 3);
}

#[tokio::test]
async fn a_wrong_token_is_no_reason_to_try_again() {
    let site = site_as(Store::default(), "wrong");
    let file = file(site.directory.path(), b"some");
    let error = site.client.put(&file).await.unwrap_err();
    assert!(
        matches!(error, PutError::Refused { status: 401, .. }),
        "{error}"
    );
    assert!(!error.is_passing());
}
