//! Capturing: exact, through losses, whoever reads.

use std::collections::VecDeque;
use std::time::Duration;

use basalt_console::cursor::Cursor;
use basalt_console::keeper::{Ended, KeeperConfig, ServeError, serve};
use basalt_console::protocol::KeptConsole;
use basalt_console::segment::{ChunkBody, end_offset};
use basalt_lab::profile::ConsoleSource;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::board::{
    Board, Keeper, Random, bytes_of, captured, connect, everything, gaps_of, source_is, within,
};

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_in_random_pieces_are_kept_exactly_through_reconnects() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let mut config = KeeperConfig::new(dir.path());
    config.consoles = vec![board.console("a")];
    config.segment_bytes = 300_000;
    let keeper = Keeper::start(config);
    let client = keeper.client().await;
    let mut random = Random(0x5eed);
    println!("seed {:#x}", random.0);
    let mut sent = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..4 {
        let mut stream = board.accept().await;
        for _ in 0..150 {
            let count = random.below(4000);
            let piece = random.bytes(count);
            stream.write_all(&piece).await.unwrap();
            sent.extend_from_slice(&piece);
        }
        captured(&client, "a", sent.len() as u64).await;
        ends.push(sent.len() as u64);
    }
    assert!((0..=255).all(|byte| sent.contains(&byte)));
    client.sync("a").await.unwrap();
    let status = client.status().await.unwrap();
    keeper.stop().await;

    let chunks = everything(dir.path(), "a");
    assert_eq!(bytes_of(&chunks), sent);
    // One gap for each time that the source was lost, where it was lost.
    let gaps = gaps_of(&chunks);
    assert_eq!(
        gaps.iter().map(|gap| gap.0).collect::<Vec<_>>(),
        ends[..3].to_vec()
    );
    assert!(
        gaps.iter().all(|gap| gap
            .1
            .starts_with("console source was down: lost tcp 127.0.0.1:")),
        "{gaps:?}"
    );
    let counters = status.consoles["a"].counters;
    assert_eq!(counters.bytes_read, sent.len() as u64);
    assert!(counters.bytes_written > counters.bytes_read);
    assert_eq!(counters.bytes_lost, 0);
    assert!(counters.fsyncs >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_starts_again_records_exactly_one_gap() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let mut expected = Vec::new();
    for round in 0..3u8 {
        let keeper = Keeper::over(dir.path(), vec![board.console("a")]);
        let mut stream = board.accept().await;
        let client = keeper.client().await;
        source_is(&client, "a", true).await;
        stream.write_all(&[round; 10]).await.unwrap();
        expected.extend_from_slice(&[round; 10]);
        captured(&client, "a", expected.len() as u64).await;
        drop(client);
        keeper.stop().await;
    }
    let chunks = everything(dir.path(), "a");
    assert_eq!(bytes_of(&chunks), expected);
    let gaps = gaps_of(&chunks);
    assert_eq!(gaps.iter().map(|gap| gap.0).collect::<Vec<_>>(), [10, 20]);
    for (_, reason) in gaps {
        assert!(
            reason.starts_with("keeper was not running since 20"),
            "{reason}"
        );
        assert!(reason.ends_with('Z'), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_is_killed_leaves_exactly_one_gap_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let mut expected = Vec::new();
    for round in 0..4u8 {
        // Its tasks are dropped where they stand, as a kill leaves them.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (config, console) = (KeeperConfig::new(dir.path()), board.console("a"));
        runtime.spawn(async move {
            let mut config = config;
            config.consoles = vec![console];
            // The one before may not be gone quite yet.
            while let Err(ServeError::AlreadyRunning { .. }) =
                serve(config.clone(), std::future::pending()).await
            {
                tokio::task::yield_now().await;
            }
        });
        let mut stream = board.accept().await;
        stream.write_all(&[round; 1000]).await.unwrap();
        expected.extend_from_slice(&[round; 1000]);
        within(async {
            while end_offset(dir.path(), "a").unwrap() < expected.len() as u64 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        runtime.shutdown_background();
        let mut byte = [0];
        assert_eq!(within(stream.read(&mut byte)).await.unwrap(), 0);
    }
    let chunks = everything(dir.path(), "a");
    assert_eq!(bytes_of(&chunks), expected);
    let gaps = gaps_of(&chunks);
    let offsets: Vec<_> = gaps.iter().map(|gap| gap.0).collect();
    assert_eq!(offsets, [1000, 2000, 3000], "{gaps:?}");
    assert!(
        gaps.iter()
            .all(|gap| gap.1.starts_with("keeper was not running since 20")),
        "{gaps:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_told_in_the_gap() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let keeper = Keeper::over(dir.path(), vec![board.console("a")]);
    let mut stream = board.accept().await;
    let client = keeper.client().await;
    stream.write_all(b"x").await.unwrap();
    captured(&client, "a", 1).await;
    drop(client);
    keeper.stop().await;
    let path = dir.path().join("consoles/a/00000000000000000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(&[9, 0, 0]);
    std::fs::write(&path, bytes).unwrap();

    let keeper = Keeper::over(dir.path(), vec![board.console("a")]);
    let _stream = board.accept().await;
    source_is(&keeper.client().await, "a", true).await;
    let gaps = gaps_of(&everything(dir.path(), "a"));
    assert!(
        gaps[0]
            .1
            .ends_with("; 3 bytes of a torn record were cut off"),
        "{gaps:?}"
    );
    keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_cursors_read_the_same_and_a_frozen_one_holds_nobody_up() {
    const TOTAL: usize = 4_000_000;
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let keeper = Keeper::over(dir.path(), vec![board.console("a")]);
    let mut stream = board.accept().await;
    let client = keeper.client().await;
    // A client that asks to be woken and never reads its socket.
    let mut frozen_socket = tokio::net::UnixStream::connect(dir.path().join("keeper.sock"))
        .await
        .unwrap();
    frozen_socket
        .write_all(
            b"{\"id\":1,\"op\":{\"kind\":\"hello\",\"version\":1,\"client\":\"frozen\"}}\n\
              {\"id\":2,\"op\":{\"kind\":\"watch\",\"console\":\"a\"}}\n",
        )
        .await
        .unwrap();
    let mut frozen = Cursor::open(dir.path(), "a", 0);
    let readers: Vec<_> = (0..9)
        .map(|_| {
            let mut cursor = Cursor::open(dir.path(), "a", 0);
            tokio::spawn(async move {
                let mut read = Vec::new();
                while read.len() < TOTAL {
                    if let ChunkBody::Data(bytes) = cursor.next(None).await.unwrap().unwrap().body {
                        read.extend_from_slice(&bytes);
                    }
                }
                read
            })
        })
        .collect();
    let sent = Random(77).bytes(TOTAL);
    for piece in sent.chunks(1500) {
        within(stream.write_all(piece)).await.unwrap();
    }
    captured(&client, "a", TOTAL as u64).await;
    for reader in readers {
        assert!(within(reader).await.unwrap() == sent);
    }
    let mut late = Vec::new();
    while late.len() < TOTAL {
        let chunk = within(frozen.next(None)).await.unwrap().unwrap();
        if let ChunkBody::Data(bytes) = chunk.body {
            late.extend_from_slice(&bytes);
        }
    }
    assert!(late == sent);
    drop(frozen_socket);
    keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_goes_on_without_its_keeper_and_with_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    // Opened before there is anything at all.
    let mut cursor = Cursor::open(dir.path(), "a", 0);
    let soon = Instant::now() + Duration::from_millis(50);
    assert_eq!(cursor.next(Some(soon)).await.unwrap(), None);
    let mut seen = Vec::new();
    for round in 1..=2 {
        let keeper = Keeper::over(dir.path(), vec![board.console("a")]);
        let mut stream = board.accept().await;
        stream.write_all(b"abc").await.unwrap();
        while bytes_of(&seen).len() < 3 * round {
            seen.push(within(cursor.next(None)).await.unwrap().unwrap());
        }
        keeper.stop().await;
    }
    assert_eq!(bytes_of(&seen), b"abcabc");
    assert_eq!(gaps_of(&seen).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_not_there_is_tried_again_without_spinning() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let console = board.console("a");
    let address = board.address;
    drop(board);
    let keeper = Keeper::over(dir.path(), vec![console]);
    let client = keeper.client().await;
    let mut view = client.watch("a").await.unwrap();
    within(view.wait_for(|view| view.source.reason.starts_with("cannot open tcp")))
        .await
        .unwrap();
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let (mut stream, _) = within(listener.accept()).await.unwrap();
    stream.write_all(b"up").await.unwrap();
    captured(&client, "a", 2).await;

    // Closes as soon as it is open: pauses double from 100 ms, however slow this host is.
    let began = Instant::now();
    drop(stream);
    for pauses in [100, 300, 700, 1500] {
        drop(within(listener.accept()).await.unwrap());
        let took = began.elapsed();
        assert!(
            took >= Duration::from_millis(pauses),
            "opened again after {took:?}"
        );
    }
    keeper.stop().await;
    let sources: VecDeque<bool> = everything(dir.path(), "a")
        .iter()
        .filter_map(|chunk| match &chunk.body {
            ChunkBody::Source(source) => Some(source.open),
            _ => None,
        })
        .collect();
    assert_eq!(sources.front(), Some(&false));
    let mut turns = sources.iter().zip(sources.iter().skip(1));
    assert!(turns.all(|(one, next)| one != next), "{sources:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pseudo_terminal_is_a_source_and_its_end_is_a_loss() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("port");
    let (mut rack, slave) = open_terminal();
    std::os::unix::fs::symlink(&slave, &link).unwrap();
    let console = KeptConsole {
        name: "a".into(),
        source: ConsoleSource::Serial {
            path: link.clone(),
            baud: 115_200,
        },
    };
    let keeper = Keeper::over(&dir.path().join("state"), vec![console]);
    let client = keeper.client().await;
    source_is(&client, "a", true).await;
    let all: Vec<u8> = (0..=255).collect();
    rack.write_all(&all).await.unwrap();
    captured(&client, "a", 256).await;

    client.claim("a", "test").await.unwrap();
    let typing = client.write("a", &all, Duration::ZERO);
    let mut typed = vec![0; 256];
    let (written, read) = within(async { tokio::join!(typing, rack.read_exact(&mut typed)) }).await;
    written.unwrap();
    read.unwrap();
    assert_eq!(typed, all);

    // The adapter is pulled and comes back under another name behind the same link.
    drop(rack);
    source_is(&client, "a", false).await;
    let (mut rack, slave) = open_terminal();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&slave, &link).unwrap();
    source_is(&client, "a", true).await;
    rack.write_all(b"again").await.unwrap();
    captured(&client, "a", 261).await;
    keeper.stop().await;
    let chunks = everything(&dir.path().join("state"), "a");
    assert_eq!(bytes_of(&chunks), [&all[..], b"again"].concat());
    assert_eq!(gaps_of(&chunks).len(), 1);
}

fn open_terminal() -> (pty_process::Pty, std::path::PathBuf) {
    let (pty, pts) = pty_process::open().unwrap();
    let path = std::fs::read_link(format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&pts)
    ))
    .unwrap();
    // Nobody but the keeper holds the other end.
    drop(pts);
    (pty, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_keeper_a_directory_and_it_says_who() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = Keeper::over(dir.path(), Vec::new());
    let client = keeper.client().await;
    let second = Keeper::over(dir.path(), Vec::new()).ended().await;
    match second.unwrap_err() {
        ServeError::AlreadyRunning { pid, .. } => assert_eq!(pid, Some(client.pid())),
        error => panic!("{error}"),
    }
    // The one that could not start has not touched the socket.
    assert_eq!(connect(dir.path()).await.pid(), client.pid());
    client.shutdown().await.unwrap();
    assert_eq!(keeper.ended().await.unwrap(), Ended::Shutdown);
    assert!(!dir.path().join("keeper.sock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_socket_is_replaced_and_only_the_owner_may_connect() {
    use std::os::unix::fs::PermissionsExt;
    // Deeper than a socket's address is long.
    let dir = tempfile::tempdir().unwrap();
    let state_dir = dir.path().join("d".repeat(150));
    std::fs::create_dir(&state_dir).unwrap();
    std::fs::write(state_dir.join("keeper.sock"), b"").unwrap();
    std::fs::write(state_dir.join("keeper.sock.new"), b"").unwrap();
    let keeper = Keeper::over(&state_dir, Vec::new());
    keeper.client().await.status().await.unwrap();
    let mode = std::fs::metadata(state_dir.join("keeper.sock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_lingers_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, client) = loop {
        let mut keeper = Keeper::start(KeeperConfig {
            linger: Some(Duration::from_millis(200)),
            ..KeeperConfig::new(dir.path())
        });
        // A host that is busy may come too late to meet it.
        if let Some(client) = keeper.client_unless_ended().await {
            break (keeper, client);
        }
    };
    // Connected for longer than it lingers.
    assert!(keeper.runs_for(Duration::from_millis(400)).await);
    client.status().await.unwrap();
    drop(client);
    assert_eq!(keeper.ended().await.unwrap(), Ended::Lingered);
}

#[tokio::test(flavor = "multi_thread")]
async fn consoles_can_be_added_and_moved_to_another_source() {
    let dir = tempfile::tempdir().unwrap();
    let first = Board::new().await;
    let second = Board::new().await;
    let keeper = Keeper::over(dir.path(), Vec::new());
    let client = keeper.client().await;
    client.add(&[first.console("a")]).await.unwrap();
    let mut stream = first.accept().await;
    stream.write_all(b"1").await.unwrap();
    captured(&client, "a", 1).await;

    client.add(&[first.console("a")]).await.unwrap();
    stream.write_all(b"2").await.unwrap();
    captured(&client, "a", 2).await;
    assert_eq!(
        client.status().await.unwrap().consoles["a"].counters.opens,
        1
    );

    client.add(&[second.console("a")]).await.unwrap();
    let mut stream = second.accept().await;
    stream.write_all(b"3").await.unwrap();
    captured(&client, "a", 3).await;
    let error = client.add(&[second.console("../a")]).await.unwrap_err();
    assert!(error.to_string().contains("console name"), "{error}");
    keeper.stop().await;
    let chunks = everything(dir.path(), "a");
    assert_eq!(bytes_of(&chunks), b"123");
    assert!(
        gaps_of(&chunks)[0]
            .1
            .contains("the lab names another source")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_disk_refuses_is_counted_and_becomes_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let mut config = KeeperConfig::new(dir.path());
    config.consoles = vec![board.console("a")];
    config.segment_bytes = 400;
    let keeper = Keeper::start(config);
    let mut stream = board.accept().await;
    let client = keeper.client().await;
    source_is(&client, "a", true).await;
    stream.write_all(&[b'1'; 100]).await.unwrap();
    captured(&client, "a", 100).await;

    // The next segment cannot be made where there is no directory.
    let console_dir = dir.path().join("consoles/a");
    let aside = dir.path().join("consoles/aside");
    std::fs::rename(&console_dir, &aside).unwrap();
    stream.write_all(&[b'2'; 300]).await.unwrap();
    within(async {
        while client.status().await.unwrap().consoles["a"]
            .counters
            .bytes_lost
            < 300
        {}
    })
    .await;
    // Nobody may type what cannot be put on record.
    client.claim("a", "test").await.unwrap();
    let typed = client.write("a", &[b'x'; 300], Duration::ZERO).await;
    assert!(
        typed
            .unwrap_err()
            .to_string()
            .contains("cannot record what is typed")
    );

    std::fs::rename(&aside, &console_dir).unwrap();
    stream.write_all(&[b'3'; 10]).await.unwrap();
    captured(&client, "a", 110).await;
    keeper.stop().await;
    let chunks = everything(dir.path(), "a");
    assert_eq!(
        bytes_of(&chunks),
        [[b'1'; 100].as_slice(), &[b'3'; 10]].concat()
    );
    let gaps = gaps_of(&chunks);
    assert_eq!((gaps.len(), gaps[0].0), (1, 100));
    assert!(
        gaps[0]
            .1
            .starts_with("300 bytes were read but could not be stored: No such file"),
        "{gaps:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_costs_at_most_one_sync_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let keeper = Keeper::over(dir.path(), vec![board.console("a")]);
    let mut stream = board.accept().await;
    let client = keeper.client().await;
    let began = Instant::now();
    for _ in 0..2000 {
        stream.write_all(b"line\r\n").await.unwrap();
    }
    captured(&client, "a", 12_000).await;
    client.sync("a").await.unwrap();
    let seconds = began.elapsed().as_secs() + 2;
    let counters = client.status().await.unwrap().consoles["a"].counters;
    // A new console syncs its directory too.
    assert!(
        counters.fsyncs <= seconds + 2,
        "{counters:?} in {seconds} s"
    );
    keeper.stop().await;
}
