//! Who may type, and what is typed.

use std::time::Duration;

use basalt_console::client::RequestError;
use basalt_console::protocol::Refusal;
use basalt_console::segment::ChunkBody;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::board::{Board, Keeper, captured, connect, everything, source_is, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_writer_is_refused_by_the_firsts_name_until_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let keeper = Keeper::over(dir.path(), vec![board.console("a")]);
    let mut stream = board.accept().await;
    let first = keeper.client().await;
    let second = keeper.client().await;
    source_is(&first, "a", true).await;
    first.claim("a", "run 7").await.unwrap();
    first.claim("a", "run 7").await.unwrap();
    let held = RequestError::Refused(Refusal::Held {
        console: "a".into(),
        holder: "run 7".into(),
    });
    assert_eq!(second.claim("a", "alice").await.unwrap_err(), held);
    assert_eq!(held.to_string(), "console a is held by run 7");
    let refused = second.write("a", b"x", Duration::ZERO).await;
    assert_eq!(refused.unwrap_err(), held);
    assert!(second.release("a").await.is_err());
    let status = second.status().await.unwrap();
    assert_eq!(status.consoles["a"].writer.as_deref(), Some("run 7"));
    assert_eq!(status.clients, 2);

    drop(first);
    within(async { while second.claim("a", "alice").await.is_err() {} }).await;
    second.write("a", b"y", Duration::ZERO).await.unwrap();
    let mut typed = [0];
    within(stream.read_exact(&mut typed)).await.unwrap();
    assert_eq!(&typed, b"y");
    second.release("a").await.unwrap();
    let refused = second.write("a", b"z", Duration::ZERO).await;
    assert!(matches!(
        refused,
        Err(RequestError::Refused(Refusal::NotClaimed { .. }))
    ));
    keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_is_on_record_before_the_board_can_answer() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let keeper = Keeper::over(dir.path(), vec![board.console("a")]);
    let mut stream = board.accept().await;
    let client = keeper.client().await;
    source_is(&client, "a", true).await;
    client.claim("a", "run 7").await.unwrap();
    let echo = tokio::spawn(async move {
        let mut typed = [0; 6];
        for byte in &mut typed {
            *byte = stream.read_u8().await.unwrap();
            stream.write_u8(*byte).await.unwrap();
        }
        (stream, typed)
    });
    let delay = Duration::from_millis(5);
    let began = Instant::now();
    client.write("a", b"abc", delay).await.unwrap();
    assert!(began.elapsed() >= delay * 3);
    client
        .write("a", b"\x00\xff\n", Duration::ZERO)
        .await
        .unwrap();
    let (_stream, typed) = within(echo).await.unwrap();
    assert_eq!(&typed, b"abc\x00\xff\n");
    captured(&client, "a", 6).await;
    keeper.stop().await;
    let chunks = everything(dir.path(), "a");
    let inputs: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| match &chunk.body {
            ChunkBody::Input(input) => Some((chunk.offset, &*input.writer, &input.bytes[..])),
            _ => None,
        })
        .collect();
    assert_eq!(inputs[0], (0, "run 7", &b"abc"[..]));
    assert_eq!((inputs[1].1, inputs[1].2), ("run 7", &b"\x00\xff\n"[..]));
    assert!(inputs[1].0 <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_ends_with_its_client() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let keeper = Keeper::over(dir.path(), vec![board.console("a")]);
    let mut stream = board.accept().await;
    let first = keeper.client().await;
    source_is(&first, "a", true).await;
    first.claim("a", "first").await.unwrap();
    let slow = tokio::spawn(async move {
        first
            .write("a", &[b'1'; 100_000], Duration::from_millis(10))
            .await
    });
    let mut byte = [0];
    within(stream.read_exact(&mut byte)).await.unwrap();
    slow.abort();
    let second = connect(dir.path()).await;
    within(async { while second.claim("a", "second").await.is_err() {} }).await;
    within(second.write("a", b"2", Duration::ZERO))
        .await
        .unwrap();
    let mut count = 0;
    within(async {
        while byte[0] != b'2' {
            stream.read_exact(&mut byte).await.unwrap();
            count += 1;
        }
    })
    .await;
    assert!(
        count < 10_000,
        "{count} bytes were typed for a client that had gone"
    );
    keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_at_a_console_that_is_down_says_so_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::new().await;
    let console = board.console("a");
    drop(board);
    let keeper = Keeper::over(dir.path(), vec![console]);
    let client = keeper.client().await;
    client.claim("a", "x").await.unwrap();
    let mut view = client.watch("a").await.unwrap();
    within(view.wait_for(|view| view.source.reason.starts_with("cannot open")))
        .await
        .unwrap();
    let error = within(client.write("a", b"x", Duration::ZERO)).await;
    let text = error.unwrap_err().to_string();
    assert!(
        text.starts_with("console a is down: cannot open tcp"),
        "{text}"
    );
    let error = client.sync("b").await.unwrap_err();
    assert_eq!(error.to_string(), "the keeper does not keep console \"b\"");
    keeper.stop().await;
}
