//! Links: credit, order, what cuts and refuses them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use basalt_link::connection::SendError;
use basalt_link::{
    DialError, Down, LogBatch, Message, Pace, ReceiveError, Receiver, Sender, Trust, Up,
};
use basalt_model::{RunId, Sha256};
use futures::SinkExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;
use uuid::Uuid;

use crate::server::{TOKEN, TlsServer, accept, dialer, unix};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

type ServerEnd = (Sender<Down>, Receiver<Up>);
type DispatcherEnd = (Sender<Up>, Receiver<Down>);

async fn linked() -> (ServerEnd, DispatcherEnd) {
    let directory = tempfile::tempdir().unwrap();
    let (listener, endpoint) = unix(directory.path());
    let dialer = dialer(&endpoint, TOKEN, &Trust::System);
    let (server, dispatcher) = tokio::join!(
        async { accept(listener.accept().await.unwrap().0).await.unwrap() },
        async { dialer.link(Pace::default()).await.unwrap() },
    );
    (server, dispatcher)
}

fn run() -> RunId {
    RunId::from_uuid(Uuid::from_u128(7))
}

fn welcome(window_bytes: u64) -> Down {
    Down::Welcome {
        protocol: 1,
        offline_limit_ms: 120_000,
        heartbeat_ms: 2_000,
        window_bytes,
        revision: 1,
        runs: Vec::new(),
        discard: Vec::new(),
    }
}

fn lines(from_line: u64, length: usize) -> LogBatch {
    LogBatch {
        run: run(),
        from_line,
        count: 1,
        cursor: None,
        batch: vec![b'x'; length].into(),
    }
}

async fn hear(receiver: &mut Receiver<Up>) -> Message<Up> {
    timeout(LONG, receiver.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn messages_go_both_ways_over_a_unix_socket_until_one_side_ends_it() {
    let ((server, mut hears_up), (dispatcher, mut hears_down)) = linked().await;
    dispatcher.send(Up::Heartbeat { number: 1 }).await.unwrap();
    let heartbeat = Message::Control(Up::Heartbeat { number: 1 });
    assert_eq!(hear(&mut hears_up).await, heartbeat);
    server.send(Down::HeartbeatAck { number: 1 }).await.unwrap();
    let answer = timeout(LONG, hears_down.next()).await.unwrap().unwrap();
    assert_eq!(answer, Some(Down::HeartbeatAck { number: 1 }));
    // What was sent before the end arrives before it.
    server.send(Down::HeartbeatAck { number: 2 }).await.unwrap();
    drop(server);
    let answer = timeout(LONG, hears_down.next()).await.unwrap().unwrap();
    assert_eq!(answer, Some(Down::HeartbeatAck { number: 2 }));
    assert_eq!(
        timeout(LONG, hears_down.next()).await.unwrap().unwrap(),
        None
    );
    let closed = timeout(LONG, dispatcher.closed()).await.unwrap();
    assert_eq!(closed.reason, "the other side ended it");
}

#[tokio::test]
async fn a_slow_server_holds_streams_back_at_their_source_by_credit() {
    const WINDOW: u64 = 256 * 1024;
    const LENGTH: usize = 30_000;
    const COUNT: u64 = 60;
    let ((server, mut hears_up), (dispatcher, mut hears_down)) = linked().await;
    server.send(welcome(WINDOW)).await.unwrap();
    let acknowledgements =
        tokio::spawn(async move { while let Ok(Some(_)) = hears_down.next().await {} });
    let handed_over = Arc::new(AtomicU64::new(0));
    let sending = tokio::spawn({
        let (dispatcher, handed_over) = (dispatcher.clone(), handed_over.clone());
        async move {
            for line in 1..=COUNT {
                dispatcher.log(lines(line, LENGTH)).await.unwrap();
                handed_over.store(line, Ordering::SeqCst);
            }
        }
    });
    // The server takes everything and acknowledges nothing: what comes is what credit allows.
    let fits = WINDOW / (LENGTH as u64 + 64);
    for line in 1..=fits {
        let Message::Log(log) = hear(&mut hears_up).await else {
            panic!("only a log was sent");
        };
        assert_eq!(log.from_line, line);
    }
    // A heartbeat arrives although the stream stands, and nothing of the stream came before it.
    dispatcher.send(Up::Heartbeat { number: 1 }).await.unwrap();
    let heartbeat = Message::Control(Up::Heartbeat { number: 1 });
    assert_eq!(hear(&mut hears_up).await, heartbeat);
    assert!(handed_over.load(Ordering::SeqCst) <= fits);
    assert!(dispatcher.unacknowledged() <= WINDOW);
    // Each acknowledgement lets the next through, to the end.
    for line in fits + 1..=COUNT {
        let ack = Down::Ack {
            run: run(),
            events_seq: 0,
            log_line: line - fits,
        };
        server.send(ack).await.unwrap();
        let Message::Log(log) = hear(&mut hears_up).await else {
            panic!("only a log was sent");
        };
        assert_eq!(log.from_line, line);
        assert!(dispatcher.unacknowledged() <= WINDOW);
    }
    timeout(LONG, sending).await.unwrap().unwrap();
    server.send(Down::Forget { run: run() }).await.unwrap();
    drop(server);
    timeout(LONG, acknowledgements).await.unwrap().unwrap();
    assert_eq!(dispatcher.unacknowledged(), 0);
}

#[tokio::test]
async fn a_message_larger_than_the_window_goes_alone() {
    let ((server, mut hears_up), (dispatcher, mut hears_down)) = linked().await;
    server.send(welcome(1000)).await.unwrap();
    assert!(matches!(
        hears_down.next().await,
        Ok(Some(Down::Welcome { .. }))
    ));
    let sending = tokio::spawn(async move {
        dispatcher.log(lines(1, 300_000)).await.unwrap();
        dispatcher.log(lines(2, 10)).await.unwrap();
    });
    assert_eq!(hear(&mut hears_up).await, Message::Log(lines(1, 300_000)));
    assert!(!sending.is_finished());
    let ack = Down::Ack {
        run: run(),
        events_seq: 0,
        log_line: 1,
    };
    server.send(ack).await.unwrap();
    assert!(matches!(
        hears_down.next().await,
        Ok(Some(Down::Ack { .. }))
    ));
    assert_eq!(hear(&mut hears_up).await, Message::Log(lines(2, 10)));
    timeout(LONG, sending).await.unwrap().unwrap();
}

#[tokio::test]
async fn control_overtakes_a_mebibyte_of_log_that_waits() {
    const LENGTH: usize = 60_000;
    const COUNT: u64 = 64;
    let ((server, mut hears_up), (dispatcher, mut hears_down)) = linked().await;
    server.send(welcome(64 << 20)).await.unwrap();
    assert!(matches!(
        hears_down.next().await,
        Ok(Some(Down::Welcome { .. }))
    ));
    // Several MiB, more than sockets hold, asked for by as many tasks at once.
    let sending: Vec<_> = (1..=COUNT)
        .map(|line| {
            let dispatcher = dispatcher.clone();
            tokio::spawn(async move { dispatcher.log(lines(line, LENGTH)).await.unwrap() })
        })
        .collect();
    // The wire is full once the writer holds one that nobody takes.
    let full = async {
        while !sending.iter().any(tokio::task::JoinHandle::is_finished) {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, full).await.unwrap();
    dispatcher.send(Up::Heartbeat { number: 1 }).await.unwrap();
    let mut before = 0;
    let mut waited_behind = 0;
    for _ in 0..=COUNT {
        match hear(&mut hears_up).await {
            Message::Log(_) => before += LENGTH,
            Message::Control(_) => waited_behind = before,
            Message::Events(_) => panic!("nobody sent events"),
        }
    }
    // What was in the sockets' buffers goes before; of what waited, one piece.
    let all = LENGTH * COUNT as usize;
    assert!(
        all - waited_behind >= 1 << 20,
        "{waited_behind} of {all} bytes went before"
    );
    for sent in sending {
        timeout(LONG, sent).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_wrong_token_is_refused_for_good_and_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let (listener, endpoint) = unix(directory.path());
    let dialer = dialer(&endpoint, "wrong-and-secret", &Trust::System);
    let (accepted, dialled) = tokio::join!(
        async { accept(listener.accept().await.unwrap().0).await },
        dialer.link(Pace::default()),
    );
    assert!(accepted.is_err());
    let error = dialled.unwrap_err();
    assert!(
        matches!(error, DialError::Token { status: 401, .. }),
        "{error}"
    );
    assert!(!error.is_passing());
    assert!(!format!("{dialer:?} {error:?}").contains("secret"));
}

#[tokio::test]
async fn a_connection_cut_within_a_message_is_told_from_one_that_was_ended() {
    let directory = tempfile::tempdir().unwrap();
    let (listener, endpoint) = unix(directory.path());
    let dialer = dialer(&endpoint, TOKEN, &Trust::System);
    let cut = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        // A WebSocket frame that announces 100 bytes and has 10 (RFC 6455, section 5.2).
        let stream = socket.get_mut();
        stream.write_all(&[0x82, 100]).await.unwrap();
        stream.write_all(&[0; 10]).await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let ((), opened) = tokio::join!(cut, dialer.link(Pace::default()));
    let (sender, mut receiver) = opened.unwrap();
    let error = timeout(LONG, receiver.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, ReceiveError::Transport(_)), "{error}");
    // A stream that waits for credit learns of it.
    let sent = timeout(LONG, sender.log(lines(1, 10))).await.unwrap();
    assert!(matches!(sent, Err(SendError::Closed(_))), "{sent:?}");
}

#[tokio::test]
async fn a_connection_that_ends_between_the_pieces_of_a_message_is_torn() {
    let directory = tempfile::tempdir().unwrap();
    let (listener, endpoint) = unix(directory.path());
    let dialer = dialer(&endpoint, TOKEN, &Trust::System);
    let cut = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let piece = vec![0x80, b'{'];
        let piece = tokio_tungstenite::tungstenite::Message::binary(piece);
        socket.send(piece).await.unwrap();
        socket.close(None).await.unwrap();
    };
    let ((), opened) = tokio::join!(cut, dialer.link(Pace::default()));
    let (_sender, mut receiver) = opened.unwrap();
    let error = timeout(LONG, receiver.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, ReceiveError::Torn), "{error}");
}

#[tokio::test]
async fn a_frame_longer_than_the_protocol_allows_ends_the_connection() {
    let directory = tempfile::tempdir().unwrap();
    let (listener, endpoint) = unix(directory.path());
    let dialer = dialer(&endpoint, TOKEN, &Trust::System);
    let long = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let frame = tokio_tungstenite::tungstenite::Message::binary(vec![0; 64 * 1024 + 1]);
        // The other side may end it before everything is sent.
        let _ = socket.send(frame).await;
        socket
    };
    let (_socket, opened) = tokio::join!(long, dialer.link(Pace::default()));
    let (_sender, mut receiver) = opened.unwrap();
    let error = timeout(LONG, receiver.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, ReceiveError::Transport(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_for_too_long_is_gone() {
    let (ours, theirs) = tokio::io::duplex(1024);
    // Both ends are held open; only silence ends it.
    let (server, client) = tokio::join!(
        tokio_tungstenite::accept_async(theirs),
        tokio_tungstenite::client_async("ws://localhost/", ours),
    );
    let _server = server.unwrap();
    let (sink, stream) = futures::StreamExt::split(client.unwrap().0);
    let incoming = futures::StreamExt::map(stream, |message| {
        message.map(tokio_tungstenite::tungstenite::Message::into_data)
    });
    let outgoing = sink.with(|bytes| async move {
        Ok::<_, tokio_tungstenite::tungstenite::Error>(
            tokio_tungstenite::tungstenite::Message::Binary(bytes),
        )
    });
    let pace = Pace {
        silence: Duration::from_secs(9),
        ..Pace::default()
    };
    let (sender, mut receiver) = basalt_link::Channel::new(incoming, outgoing).at_dispatcher(pace);
    let error = receiver.next().await.unwrap_err();
    assert_eq!(error.to_string(), "nothing was heard for 9 s");
    assert_eq!(sender.closed().await.reason, error.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_nothing_for_too_long_is_gone_and_what_waits_is_bounded() {
    let (ours, _theirs) = tokio::io::duplex(64);
    let socket = tokio_tungstenite::WebSocketStream::from_raw_socket(
        ours,
        tokio_tungstenite::tungstenite::protocol::Role::Client,
        None,
    )
    .await;
    let (sink, stream) = futures::StreamExt::split(socket);
    let incoming = futures::StreamExt::map(stream, |message| {
        message.map(tokio_tungstenite::tungstenite::Message::into_data)
    });
    let outgoing = sink.with(|bytes| async move {
        Ok::<_, tokio_tungstenite::tungstenite::Error>(
            tokio_tungstenite::tungstenite::Message::Binary(bytes),
        )
    });
    let (sender, _receiver) =
        basalt_link::Channel::new(incoming, outgoing).at_dispatcher(Pace::default());
    let mut taken = 0;
    let error = loop {
        match sender.send(Up::Stopping).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(taken < 1000, "{taken} messages were taken by nobody");
    assert_eq!(
        error.to_string(),
        "the link is closed: the other side took nothing for 20 s"
    );
}

#[tokio::test]
async fn tls_is_believed_by_its_pin_or_its_authority_and_nothing_else() {
    let server = TlsServer::start().await;
    let directory = tempfile::tempdir().unwrap();
    let authorities = directory.path().join("ca.pem");
    std::fs::write(&authorities, pem(server.certificate.der())).unwrap();
    for trust in [
        Trust::Pin(server.fingerprint()),
        Trust::Authorities(authorities),
    ] {
        let dialer = dialer(&server.url(), TOKEN, &trust);
        let (accepted, dialled) = tokio::join!(
            async {
                let (stream, _) = server.listener.accept().await.unwrap();
                let stream = server.acceptor.accept(stream).await.unwrap();
                accept(stream).await.unwrap()
            },
            dialer.link(Pace::default()),
        );
        let (sender, _receiver) = dialled.unwrap();
        sender.send(Up::Stopping).await.unwrap();
        let (_sender, mut receiver) = accepted;
        assert_eq!(hear(&mut receiver).await, Message::Control(Up::Stopping));
    }
    let stranger = dialer(&server.url(), TOKEN, &Trust::Pin(Sha256([1; 32])));
    let (accepted, dialled) = tokio::join!(
        async {
            let (stream, _) = server.listener.accept().await.unwrap();
            server.acceptor.accept(stream).await
        },
        stranger.link(Pace::default()),
    );
    assert!(accepted.is_err());
    let error = dialled.unwrap_err();
    let DialError::Tls { source, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        source.to_string().contains("another certificate"),
        "{source}"
    );
    assert!(!error.is_passing());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_worth_another_try() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = dialer(&url, TOKEN, &Trust::System)
        .link(Pace::default())
        .await
        .unwrap_err();
    assert!(matches!(error, DialError::Connect { .. }), "{error}");
    assert!(error.is_passing());
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line))
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}
