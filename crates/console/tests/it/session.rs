//! One board's console as a run uses it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use basalt_console::KeptConsole;
use basalt_console::protocol::{Answer, Message, Request, VERSION};
use basalt_console::session::{Attachment, BoardConsole, Event, Restart, SessionError};
use basalt_lab::profile::ConsoleSource;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::board::{Board, Keeper, LIMIT, within};

fn attachment(state_dir: &Path, board: &Board, restart: Restart) -> Attachment {
    Attachment {
        state_dir: state_dir.to_owned(),
        console: board.console("a"),
        writer: Some("run 7".into()),
        from: None,
        restart,
    }
}

/// Starts keepers in this process and counts them.
fn starter(state_dir: &Path, started: Arc<AtomicU32>) -> Restart {
    let state_dir = state_dir.to_owned();
    Arc::new(move || {
        started.fetch_add(1, Ordering::Relaxed);
        let keeper = Keeper::over(&state_dir, Vec::new());
        Box::pin(async move {
            // It runs until somebody shuts it down over its socket.
            std::mem::forget(keeper);
            Ok(())
        })
    })
}

async fn next(console: &mut BoardConsole) -> Event {
    console.next(Instant::now() + LIMIT).await.unwrap()
}

async fn data(console: &mut BoardConsole, count: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < count {
        if let Event::Data { bytes, .. } = next(console).await {
            read.extend_from_slice(&bytes);
        }
    }
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_survives_its_source_and_its_keeper() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let started = Arc::new(AtomicU32::new(0));
    let restart = starter(dir.path(), Arc::clone(&started));
    let mut console = BoardConsole::attach(attachment(dir.path(), &board, restart))
        .await
        .unwrap();
    assert_eq!(started.load(Ordering::Relaxed), 1);
    let mut stream = board.accept().await;
    console.wait_open(Instant::now() + LIMIT).await.unwrap();
    stream.write_all(b"one").await.unwrap();
    assert_eq!(data(&mut console, 3).await, b"one");
    assert_eq!(console.offset(), 3);
    assert_eq!(console.sync().await.unwrap(), 3);
    let soon = Instant::now() + Duration::from_millis(20);
    assert_eq!(console.next(soon).await.unwrap(), Event::Timeout);

    // The source goes and comes back.
    drop(stream);
    assert!(matches!(
        next(&mut console).await,
        Event::SourceDown { offset: 3, .. }
    ));
    let mut stream = board.accept().await;
    assert!(matches!(
        next(&mut console).await,
        Event::Gap { offset: 3, .. }
    ));
    assert!(matches!(next(&mut console).await, Event::SourceUp { .. }));

    // The keeper goes; the session has it started again and holds its claim there.
    let other = crate::board::connect(dir.path()).await;
    assert!(other.claim("a", "alice").await.is_err());
    other.shutdown().await.unwrap();
    let mut events = Vec::new();
    while events.last() != Some(&Event::KeeperBack) {
        events.push(next(&mut console).await);
    }
    assert!(events.contains(&Event::KeeperLost));
    assert_eq!(started.load(Ordering::Relaxed), 2);
    let mut end = [0; 1];
    assert_eq!(within(stream.read(&mut end)).await.unwrap(), 0);
    let mut stream = board.accept().await;
    console.wait_open(Instant::now() + LIMIT).await.unwrap();
    console.write(b"two\n", Duration::ZERO).await.unwrap();
    let mut typed = [0; 4];
    within(stream.read_exact(&mut typed)).await.unwrap();
    assert_eq!(&typed, b"two\n");
    stream.write_all(b"2").await.unwrap();
    let mut gap = false;
    loop {
        match next(&mut console).await {
            Event::Gap { reason, .. } => {
                assert!(reason.starts_with("keeper was not running since"));
                gap = true;
            }
            Event::Data { offset, bytes, .. } => {
                assert_eq!((offset, &bytes[..]), (3, &b"2"[..]));
                break;
            }
            _ => {}
        }
    }
    assert!(gap);
    crate::board::connect(dir.path())
        .await
        .shutdown()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_can_begin_where_another_ended_and_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let started = Arc::new(AtomicU32::new(0));
    let restart = starter(dir.path(), started);
    let mut first = BoardConsole::attach(attachment(dir.path(), &board, Arc::clone(&restart)))
        .await
        .unwrap();
    let mut stream = board.accept().await;
    stream.write_all(b"0123456789").await.unwrap();
    data(&mut first, 10).await;

    let mut wanted = attachment(dir.path(), &board, restart);
    wanted.from = Some(4);
    wanted.writer = Some("run 8".into());
    let refused = BoardConsole::attach(wanted.clone()).await.unwrap_err();
    assert!(
        matches!(&refused, SessionError::Held { holder, .. } if holder == "run 7"),
        "{refused}"
    );
    drop(first);
    let mut second = BoardConsole::attach(wanted).await.unwrap();
    assert_eq!(second.offset(), 4);
    assert_eq!(data(&mut second, 6).await, b"456789");
    crate::board::connect(dir.path())
        .await
        .shutdown()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_cannot_be_started_is_an_error_and_no_wait() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let restart: Restart =
        Arc::new(|| Box::pin(async { Err(std::io::Error::other("no such program")) }));
    let error = within(BoardConsole::attach(attachment(
        dir.path(),
        &board,
        restart,
    )))
    .await
    .unwrap_err();
    assert!(matches!(error, SessionError::Restart(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_goes_away_while_it_is_being_met_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let started = Arc::new(AtomicU32::new(0));
    let restart = starter(dir.path(), Arc::clone(&started));
    // One that says hello, and is gone at the next question.
    let socket = dir.path().join("keeper.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let dying = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut lines = tokio::io::BufReader::new(stream);
        let mut question = String::new();
        lines.read_line(&mut question).await.unwrap();
        let question: Request = serde_json::from_str(&question).unwrap();
        let hello = Message::Answer {
            id: question.id,
            result: Answer::Hello {
                version: VERSION,
                pid: 1,
                boot_id: "b".into(),
            },
        };
        let hello = serde_json::to_string(&hello).unwrap() + "\n";
        lines.get_mut().write_all(hello.as_bytes()).await.unwrap();
        lines.read_line(&mut String::new()).await.unwrap();
        drop(listener);
        std::fs::remove_file(socket).unwrap();
    });
    let mut console = within(BoardConsole::attach(attachment(
        dir.path(),
        &board,
        restart,
    )))
    .await
    .unwrap();
    dying.await.unwrap();
    assert_eq!(started.load(Ordering::Relaxed), 1);
    let _stream = board.accept().await;
    console.wait_open(Instant::now() + LIMIT).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_keeper_that_stands_still_is_waited_for_longer_than_one_that_is_not_there() {
    let state = tempfile::tempdir().unwrap();
    let nobody: Restart = Arc::new(|| Box::pin(async { Ok(()) }));
    let attachment = Attachment {
        state_dir: state.path().to_owned(),
        console: KeptConsole {
            name: "a".into(),
            source: ConsoleSource::Tcp {
                host: "127.0.0.1".into(),
                port: 1,
            },
        },
        writer: None,
        from: None,
        restart: nobody,
    };
    let gave_up_after = || async {
        let begun = tokio::time::Instant::now();
        let error = BoardConsole::attach(attachment.clone()).await.unwrap_err();
        assert!(matches!(error, SessionError::Connect { .. }), "{error}");
        begun.elapsed()
    };
    let missing = gave_up_after().await;
    // Its socket is there, as one that stands still leaves it: connections wait in its queue.
    let socket = basalt_console::layout::socket_path(state.path());
    let _keeper = std::os::unix::net::UnixListener::bind(socket).unwrap();
    let standing_still = gave_up_after().await;
    let half_a_minute = Duration::from_secs(30);
    assert!(missing < half_a_minute, "{missing:?}");
    assert!(standing_still > half_a_minute, "{standing_still:?}");
}
