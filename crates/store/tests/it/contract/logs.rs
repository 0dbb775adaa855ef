use basalt_model::RunId;
use basalt_store::{Batch, LogBatch, LogChunk, RunBatch, Store};

use crate::harness::{Given, Harness, at, ended, events, finished, log};

async fn append(store: &Store, given: Given, logs: Vec<LogBatch>) {
    let batch = Batch {
        runs: vec![RunBatch {
            logs,
            ..given.batch()
        }],
        ..Batch::default()
    };
    let last = batch.runs[0]
        .logs
        .last()
        .map(|batch| batch.from_line + batch.lines - 1);
    let report = store.commit(&batch, at(2)).await.unwrap();
    assert_eq!(Some(report.runs[0].log_line), last);
}

async fn read(store: &Store, run: RunId, from: u64, levels: u32) -> Vec<LogChunk> {
    let mut reader = store.read_log(run, from, levels);
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next().await.unwrap() {
        chunks.push(chunk);
    }
    chunks
}

fn text(chunks: &[LogChunk]) -> Vec<u8> {
    chunks
        .iter()
        .flat_map(|chunk| chunk.data.to_vec())
        .collect()
}

pub async fn lines_are_read_from_the_tail_and_from_objects_alike(harness: Harness) {
    let harness = harness.with_boards(2).await;
    let store = &harness.store;
    let (_, given) = harness.run("one", "b1").await;
    let (_, other) = harness.run("two", "b2").await;
    let batches: Vec<_> = (0..100)
        .map(|number| log(number * 700 + 1, 700, 1))
        .collect();
    append(store, given, batches[..60].to_vec()).await;
    append(store, other, vec![log(1, 3, 1)]).await;
    let report = store.seal(&[given.run, other.run], at(3)).await.unwrap();
    assert_eq!((report.runs, report.batches, report.objects), (2, 61, 1));
    assert_eq!(store.seal(&[given.run], at(3)).await.unwrap().runs, 0);
    append(store, given, batches[60..80].to_vec()).await;
    store.seal(&[given.run], at(4)).await.unwrap();
    append(store, given, batches[80..].to_vec()).await;

    let expected: Vec<u8> = batches
        .iter()
        .flat_map(|batch| batch.data.to_vec())
        .collect();
    assert_eq!(text(&read(store, given.run, 0, u32::MAX).await), expected);
    for line in [
        1, 699, 700, 701, 42_000, 42_001, 55_999, 56_001, 69_999, 70_000,
    ] {
        let chunks = read(store, given.run, line, u32::MAX).await;
        let first = &chunks[0];
        assert!(
            (first.from_line..first.end()).contains(&line),
            "line {line}"
        );
        assert_eq!(chunks.last().map(LogChunk::end), Some(70_001));
        assert!(
            chunks
                .windows(2)
                .all(|pair| pair[0].end() == pair[1].from_line)
        );
    }
    assert_eq!(read(store, given.run, 70_001, u32::MAX).await, []);
    assert_eq!(
        text(&read(store, other.run, 1, u32::MAX).await),
        log(1, 3, 1).data
    );

    // A reader at the end goes on when more has come.
    let mut reader = store.read_log(given.run, 70_001, u32::MAX);
    assert_eq!(reader.next().await.unwrap(), None);
    append(store, given, vec![log(70_001, 5, 1)]).await;
    assert_eq!(
        reader.next().await.unwrap().map(|chunk| chunk.lines),
        Some(5)
    );
}

pub async fn a_search_by_level_skips_what_has_none(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let store = &harness.store;
    let (_, given) = harness.run("one", "b1").await;
    let level = |number: u64| if number % 37 == 5 { 0b100 } else { 0b001 };
    let batches: Vec<_> = (0..200)
        .map(|number| log(number * 500 + 1, 500, level(number)))
        .collect();
    append(store, given, batches[..150].to_vec()).await;
    store.seal(&[given.run], at(3)).await.unwrap();
    append(store, given, batches[150..].to_vec()).await;
    let found = read(store, given.run, 0, 0b110).await;
    let lines: Vec<_> = found.iter().map(|chunk| chunk.from_line).collect();
    let expected: Vec<_> = (0..200)
        .filter(|number| level(*number) == 0b100)
        .map(|number| number * 500 + 1)
        .collect();
    assert_eq!(lines, expected);
    assert_eq!(read(store, given.run, 0, 0b1000).await, []);
}

pub async fn a_log_is_whole_while_it_is_being_sealed(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let store = harness.store.clone();
    let (_, given) = harness.run("one", "b1").await;
    let (total, size) = (60, 200);
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for number in 0..total {
                append(&store, given, vec![log(number * size + 1, size, 1)]).await;
                if number % 7 == 3 {
                    store.seal(&[given.run], at(3)).await.unwrap();
                }
            }
        }
    });
    let expected: Vec<u8> = (0..total)
        .flat_map(|number| log(number * size + 1, size, 1).data.to_vec())
        .collect();
    let mut rounds = 0;
    while !writer.is_finished() {
        let seen = text(&read(&store, given.run, 1, u32::MAX).await);
        assert_eq!(seen, expected[..seen.len()]);
        rounds += 1;
    }
    writer.await.unwrap();
    assert!(rounds > 0);
    assert_eq!(text(&read(&store, given.run, 1, u32::MAX).await), expected);
}

pub async fn of_two_who_seal_one_does(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let store = &harness.store;
    let (_, given) = harness.run("one", "b1").await;
    append(store, given, vec![log(1, 500, 1), log(501, 500, 1)]).await;
    let end = Batch {
        runs: vec![RunBatch {
            events: events(1, 1),
            finished: Some(finished(1)),
            ended: Some(ended(1, 1000)),
            ..given.batch()
        }],
        ..Batch::default()
    };
    store.commit(&end, at(3)).await.unwrap();
    assert_eq!(
        store.seal(&[], at(62)).await.unwrap().runs,
        0,
        "people look at it now"
    );
    let racers: Vec<_> = (0..6)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.seal(&[], at(64)).await.unwrap().runs })
        })
        .collect();
    let mut sealed = 0;
    for racer in racers {
        sealed += racer.await.unwrap();
    }
    assert_eq!(sealed, 1);
    let lines: u64 = read(store, given.run, 1, u32::MAX)
        .await
        .iter()
        .map(|chunk| chunk.lines)
        .sum();
    assert_eq!(lines, 1000);
}
