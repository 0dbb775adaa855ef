use basalt_model::{RunId, Sha256, UtcMicros};
use basalt_store::{Batch, Store, StoreError, Upload, UploadState};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use sha2::Digest as _;

use crate::harness::{Harness, START, at, log};

fn sha256(content: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(content).into())
}

fn body(pieces: Vec<std::io::Result<Bytes>>) -> BoxStream<'static, std::io::Result<Bytes>> {
    futures::stream::iter(pieces).boxed()
}

fn large() -> Bytes {
    (0..20_000_000_u32)
        .map(|number| (number % 249) as u8)
        .collect()
}

fn upload(run: RunId, content: &[u8]) -> Upload {
    Upload {
        run,
        path: "raw/0_idle.json".into(),
        sha256: sha256(content),
        bytes: content.len() as u64,
    }
}

async fn content(store: &Store, run: RunId, range: Option<std::ops::Range<u64>>) -> Vec<u8> {
    let file = store.file(run, "raw/0_idle.json").await.unwrap().unwrap();
    let mut pieces = store.read_file(&file, range).await.unwrap();
    let mut content = Vec::new();
    while let Some(piece) = pieces.next().await {
        content.extend_from_slice(&piece.unwrap());
    }
    content
}

pub async fn a_file_is_read_whole_and_in_parts(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let store = &harness.store;
    let (_, given) = harness.run("one", "b1").await;
    let text = Bytes::from_static(b"0123456789");
    let path = "raw/0_idle.json";
    let file = store
        .put_file(given.run, path, text.clone(), START)
        .await
        .unwrap();
    assert_eq!((file.sha256, file.bytes), (sha256(&text), 10));
    assert_eq!(store.files(given.run).await.unwrap(), [file]);
    assert_eq!(content(store, given.run, None).await, text);
    assert_eq!(content(store, given.run, Some(3..5)).await, b"34");
    assert_eq!(content(store, given.run, Some(8..99)).await, b"89");
    assert_eq!(content(store, given.run, Some(10..99)).await, b"");
    let nobody = RunId::from_uuid(uuid::Uuid::now_v7());
    let error = store.put_file(nobody, path, text, START).await.unwrap_err();
    assert!(matches!(error, StoreError::Unknown { what: "run", .. }));
}

pub async fn an_upload_that_broke_off_goes_on(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let store = &harness.store;
    let (_, given) = harness.run("one", "b1").await;
    let whole = large();
    let upload = upload(given.run, &whole);
    let broken = body(vec![
        Ok(whole.slice(..1_000_000)),
        Err(std::io::ErrorKind::ConnectionReset.into()),
    ]);
    store.upload(&upload, 0, broken, START).await.unwrap_err();
    let state = store.upload_state(&upload, START).await.unwrap();
    assert_eq!(state, UploadState::Partial(1_000_000));
    let error = store.upload(&upload, 1_000_001, body(vec![]), START).await;
    assert!(matches!(error, Err(StoreError::Mismatch { .. })));
    // A part that was sent again is there once.
    let part = body(vec![Ok(whole.slice(900_000..2_000_000))]);
    let state = store.upload(&upload, 900_000, part, START).await.unwrap();
    assert_eq!(state, UploadState::Partial(2_000_000));
    let before = store.transactions();
    let rest = body(vec![Ok(whole.slice(2_000_000..))]);
    let state = store
        .upload_content(&upload, 2_000_000, rest, START)
        .await
        .unwrap();
    assert_eq!(state, UploadState::Complete);
    assert_eq!(
        store.files(given.run).await.unwrap(),
        [],
        "its row comes with others"
    );
    assert_eq!(store.transactions(), before);
    let now = UtcMicros(i64::MAX / 2);
    let state = store.upload_state(&upload, START).await.unwrap();
    assert_eq!(state, UploadState::Partial(upload.bytes));
    let file = basalt_store::RunFile {
        path: upload.path.clone(),
        sha256: upload.sha256,
        bytes: upload.bytes,
        stored: START,
    };
    let batch = Batch {
        files: vec![(given.run, file)],
        ..Batch::default()
    };
    store.commit(&batch, START).await.unwrap();
    assert_eq!(
        store.upload_state(&upload, now).await.unwrap(),
        UploadState::Complete
    );
    assert_eq!(content(store, given.run, None).await, whole);
}

pub async fn a_file_that_is_not_as_announced_is_refused(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let store = &harness.store;
    let (_, given) = harness.run("one", "b1").await;
    let whole = large();
    for announced in [&whole[..], b"small"] {
        let upload = upload(given.run, announced);
        let mut wrong = announced.to_vec();
        wrong[0] ^= 1;
        let refused = store
            .upload(&upload, 0, body(vec![Ok(wrong.into())]), START)
            .await;
        assert!(matches!(refused, Err(StoreError::Mismatch { .. })));
        let long = body(vec![
            Ok(announced.to_vec().into()),
            Ok(Bytes::from_static(b"x")),
        ]);
        let refused = store.upload(&upload, 0, long, START).await;
        assert!(matches!(refused, Err(StoreError::Mismatch { .. })));
        let state = store.upload_state(&upload, START).await.unwrap();
        assert_eq!(state, UploadState::Partial(0));
    }
    assert_eq!(store.files(given.run).await.unwrap(), []);
}

pub async fn only_orphans_are_collected(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let store = &harness.store;
    let (_, given) = harness.run("one", "b1").await;
    let kept = Bytes::from_static(b"kept");
    store
        .put_file(given.run, "raw/0_idle.json", kept.clone(), START)
        .await
        .unwrap();
    let orphan = upload(given.run, b"orphan");
    let orphan_body = body(vec![Ok(Bytes::from_static(b"orphan"))]);
    store
        .upload_content(&orphan, 0, orphan_body, START)
        .await
        .unwrap();
    let batch = Batch {
        runs: vec![basalt_store::RunBatch {
            logs: vec![log(1, 10, 1)],
            ..given.batch()
        }],
        ..Batch::default()
    };
    store.commit(&batch, at(1)).await.unwrap();
    store.seal(&[given.run], at(2)).await.unwrap();
    // Objects carry the file system's time, which is long after the test's.
    assert_eq!(store.collect_orphans(at(3)).await.unwrap(), 0);
    let state = store.upload_state(&orphan, START).await.unwrap();
    assert_eq!(state, UploadState::Partial(6), "it is there");
    let far = UtcMicros(i64::MAX / 2);
    assert_eq!(store.collect_orphans(far).await.unwrap(), 1);
    let state = store.upload_state(&orphan, START).await.unwrap();
    assert_eq!(state, UploadState::Partial(0));
    assert_eq!(content(store, given.run, None).await, kept);
    let mut reader = store.read_log(given.run, 1, u32::MAX);
    assert_eq!(
        reader.next().await.unwrap().map(|chunk| chunk.lines),
        Some(10)
    );
    let logs = std::fs::read_dir(format!("{}/logs", harness.config.objects_url)).unwrap();
    assert_eq!(logs.count(), 1);
}
