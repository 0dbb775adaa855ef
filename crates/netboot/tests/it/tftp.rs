//! TFTP datagram by datagram, from a socket of our own.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use basalt_netboot::tftp::StrayRequest;
use basalt_netboot::{
    FileSource, Root, RootSpec, TftpServer, TransferEvent, TransferEventKind, TransferFailure,
};
use tokio::net::UdpSocket;
use tokio::sync::broadcast::Receiver;

/// Bound of every wait in these tests.
const PATIENCE: Duration = Duration::from_secs(20);
/// Options of a client with which the server repeats nothing while a test waits: what is heard twice
/// was asked for twice, however busy the host is.
const UNHURRIED: [&str; 2] = ["timeout", "60"];
const OTHER_HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

pub fn serve(files: &[(&str, &[u8])], uploads: Option<&Path>) -> (TftpServer, Root) {
    let server = TftpServer::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let files = files
        .iter()
        .map(|(name, content)| {
            (
                (*name).to_owned(),
                FileSource::Bytes(content.to_vec().into()),
            )
        })
        .collect();
    let spec = RootSpec {
        client: Some(Ipv4Addr::LOCALHOST),
        files,
        uploads: uploads.map(Path::to_owned),
        upload_limit: 1_000_000,
    };
    let root = server.open_root(spec).unwrap();
    (server, root)
}

pub async fn next_event(events: &mut Receiver<TransferEvent>) -> TransferEvent {
    tokio::time::timeout(PATIENCE, events.recv())
        .await
        .expect("no event")
        .unwrap()
}

pub struct Client {
    pub socket: UdpSocket,
    server: SocketAddrV4,
}

impl Client {
    pub async fn at(address: Ipv4Addr, server: &TftpServer) -> Self {
        let socket = UdpSocket::bind((address, 0)).await.unwrap();
        Self {
            socket,
            server: server.local_addr(),
        }
    }

    pub async fn request(&self, operation: u8, path: &[u8], options: &[&str]) {
        let mut packet = vec![0, operation];
        packet.extend_from_slice(path);
        packet.extend_from_slice(b"\0octet\0");
        for option in options {
            packet.extend_from_slice(option.as_bytes());
            packet.push(0);
        }
        self.socket.send_to(&packet, self.server).await.unwrap();
    }

    pub async fn hear(&self) -> (Vec<u8>, std::net::SocketAddr) {
        let mut buffer = vec![0; 70_000];
        let received = tokio::time::timeout(PATIENCE, self.socket.recv_from(&mut buffer)).await;
        let (length, from) = received.expect("no answer").unwrap();
        buffer.truncate(length);
        (buffer, from)
    }

    /// The code and text of the ERROR packet that must come next.
    pub async fn hear_error(&self) -> (u8, String) {
        let (packet, _) = self.hear().await;
        assert_eq!(packet[..3], [0, 5, 0], "not an error: {packet:?}");
        (
            packet[3],
            String::from_utf8(packet[4..packet.len() - 1].to_vec()).unwrap(),
        )
    }

    /// Reads on until the last block, starting with `first`.
    async fn read_to_end(
        &self,
        first: (Vec<u8>, std::net::SocketAddr),
        block_size: usize,
    ) -> Vec<u8> {
        let (mut packet, from) = first;
        let mut file = Vec::new();
        let mut expected = 1_u16;
        loop {
            if packet[..4] == [[0, 3], expected.to_be_bytes()].concat() {
                file.extend_from_slice(&packet[4..]);
                self.socket
                    .send_to(&[[0, 4], expected.to_be_bytes()].concat(), from)
                    .await
                    .unwrap();
                if packet.len() < block_size + 4 {
                    return file;
                }
                expected = expected.wrapping_add(1);
            }
            packet = self.hear().await.0;
        }
    }
}

pub fn path(root: &Root, file: &str) -> Vec<u8> {
    format!("{}/{file}", root.name()).into_bytes()
}

#[tokio::test]
async fn answers_come_from_a_port_of_their_own_at_the_asked_address() {
    let (server, root) = serve(&[("f", b"hello")], None);
    let client = Client::at(Ipv4Addr::LOCALHOST, &server).await;
    client.request(1, &path(&root, "f"), &[]).await;
    let (packet, from) = client.hear().await;
    assert_eq!(packet, b"\0\x03\0\x01hello");
    assert_eq!(from.ip(), Ipv4Addr::LOCALHOST);
    assert_ne!(from.port(), server.local_addr().port());
}

#[tokio::test]
async fn a_clients_error_ends_the_transfer_at_once_and_silently() {
    let (server, root) = serve(&[("f", &[7; 5000])], None);
    let mut events = root.events();
    let client = Client::at(Ipv4Addr::LOCALHOST, &server).await;
    let options = [&["tsize", "0"][..], &UNHURRIED].concat();
    client.request(1, &path(&root, "f"), &options).await;
    let (packet, from) = client.hear().await;
    assert_eq!(packet, b"\0\x06tsize\x005000\0timeout\x0060\0");
    client
        .socket
        .send_to(b"\0\x05\0\x08only asking\0", from)
        .await
        .unwrap();
    assert!(matches!(
        next_event(&mut events).await.kind,
        TransferEventKind::Started {
            size: Some(5000),
            ..
        }
    ));
    let TransferEventKind::Failed { reason, bytes, .. } = next_event(&mut events).await.kind else {
        panic!()
    };
    assert_eq!(
        reason,
        TransferFailure::ClientError {
            code: 8,
            text: "only asking".to_owned()
        }
    );
    assert_eq!(bytes, 0);
    // The next thing heard is the answer to the next request, not a retransmission.
    client.request(1, &path(&root, "missing"), &[]).await;
    let (code, text) = client.hear_error().await;
    assert_eq!(
        (code, text.as_str()),
        (1, "File not found: missing; there are: f")
    );
}

#[tokio::test]
async fn a_board_that_resets_and_asks_again_from_the_same_port_is_served_at_once() {
    let file: Vec<u8> = (0..100_000_u32).map(|index| index as u8).collect();
    let (server, root) = serve(&[("f", &file)], None);
    let mut events = root.events();
    let client = Client::at(Ipv4Addr::LOCALHOST, &server).await;
    client.request(1, &path(&root, "f"), &UNHURRIED).await;
    let (_, from) = client.hear().await;
    for (acknowledged, next) in [(0, 1), (1, 2)] {
        client
            .socket
            .send_to(&[0, 4, 0, acknowledged], from)
            .await
            .unwrap();
        let (block, _) = client.hear().await;
        assert_eq!(block[..4], [0, 3, 0, next]);
    }

    // The transfer before would wait for longer than anybody here does.
    client.request(1, &path(&root, "f"), &UNHURRIED).await;
    let port = loop {
        let (_, port) = client.hear().await;
        if port != from {
            break port;
        }
    };
    client.socket.send_to(&[0, 4, 0, 0], port).await.unwrap();
    let again = client.hear().await;
    assert!(client.read_to_end(again, 512).await == file);
    let mut ends = Vec::new();
    while ends.len() < 2 {
        match next_event(&mut events).await.kind {
            TransferEventKind::Failed { reason, .. } => ends.push(Err(reason)),
            TransferEventKind::Finished { bytes, .. } => ends.push(Ok(bytes)),
            TransferEventKind::Started { .. } | TransferEventKind::Refused { .. } => {}
        }
    }
    assert_eq!(ends, [Err(TransferFailure::Replaced), Ok(100_000)]);
}

#[tokio::test]
async fn a_repeated_request_is_answered_again_by_the_same_transfer() {
    let (server, root) = serve(&[("f", b"x")], None);
    let mut events = root.events();
    let client = Client::at(Ipv4Addr::LOCALHOST, &server).await;
    client.request(1, &path(&root, "f"), &UNHURRIED).await;
    let (first, port) = client.hear().await;
    client.request(1, &path(&root, "f"), &UNHURRIED).await;
    let (second, same_port) = client.hear().await;
    assert_eq!((first, port), (second, same_port));
    client.socket.send_to(&[0, 4, 0, 0], port).await.unwrap();
    assert_eq!(client.hear().await.0, b"\0\x03\0\x01x");
    client.socket.send_to(&[0, 4, 0, 1], port).await.unwrap();
    assert!(matches!(
        next_event(&mut events).await.kind,
        TransferEventKind::Started { .. }
    ));
    assert!(matches!(
        next_event(&mut events).await.kind,
        TransferEventKind::Finished {
            bytes: 1,
            retransmits: 1,
            ..
        }
    ));
}

#[tokio::test]
async fn another_host_is_refused_and_the_owner_is_told() {
    let (server, root) = serve(&[("f", b"secret")], None);
    let mut events = root.events();
    let stranger = Client::at(OTHER_HOST, &server).await;
    stranger.request(1, &path(&root, "f"), &[]).await;
    assert_eq!(
        stranger.hear_error().await,
        (2, "127.0.0.2 may not use this directory".to_owned())
    );
    let event = next_event(&mut events).await;
    assert_eq!(*event.client.ip(), OTHER_HOST);
    assert!(matches!(event.kind, TransferEventKind::Refused { .. }));
}

#[tokio::test]
async fn a_lost_board_is_reported_to_its_own_root_and_a_strangers_to_the_server() {
    let (server, root) = serve(&[("f", b"x")], None);
    let (mut events, mut strays) = (root.events(), server.stray_requests());
    let board = Client::at(Ipv4Addr::LOCALHOST, &server).await;
    board.request(1, b"pxelinux.cfg/\x1bdefault", &[]).await;
    assert_eq!(board.hear_error().await.0, 1);
    let event = next_event(&mut events).await;
    assert_eq!(event.file, "pxelinux.cfg/\\u{1b}default");

    let stranger = Client::at(OTHER_HOST, &server).await;
    stranger.request(1, b"boot.img", &[]).await;
    let (code, reason) = stranger.hear_error().await;
    assert_eq!(code, 1);
    let stray = tokio::time::timeout(PATIENCE, strays.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        stray,
        StrayRequest {
            client: OTHER_HOST,
            path: "boot.img".to_owned(),
            reason
        }
    );
}

#[tokio::test]
async fn paths_lead_nowhere_but_to_the_named_files() {
    let uploads = tempfile::tempdir().unwrap();
    let (server, root) = serve(&[("f", b"x")], Some(uploads.path()));
    let client = Client::at(Ipv4Addr::LOCALHOST, &server).await;
    let long = "n".repeat(1500);
    for name in [
        "..",
        "../f",
        ".",
        "",
        "f/",
        "f/..",
        "/etc/passwd",
        "a\\..\u{1}",
        "../../etc/passwd",
        &long,
    ] {
        for operation in [1, 2] {
            client.request(operation, &path(&root, name), &[]).await;
            let (code, _) = client.hear_error().await;
            assert!(matches!(code, 1 | 2), "{operation} {name:?} gave {code}");
        }
    }
    client.request(1, b"../../../etc/passwd", &[]).await;
    assert_eq!(client.hear_error().await.0, 1);
    client.request(1, b"/etc/passwd", &[]).await;
    assert_eq!(client.hear_error().await.0, 1);
    // 64 KB of name: more than is read, so the request has no end.
    client.request(1, &vec![b'n'; 65_000], &[]).await;
    assert_eq!(client.hear_error().await.0, 4);
    // A NUL ends the name; what follows is the mode, which is not octet.
    client.request(1, &path(&root, "f\0../x"), &[]).await;
    assert_eq!(client.hear_error().await.0, 4);
    assert_eq!(std::fs::read_dir(uploads.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn netascii_is_refused_by_name() {
    let (server, root) = serve(&[("f", b"x")], None);
    let client = Client::at(Ipv4Addr::LOCALHOST, &server).await;
    let packet = [b"\0\x01", path(&root, "f").as_slice(), b"\0NetASCII\0"].concat();
    client
        .socket
        .send_to(&packet, server.local_addr())
        .await
        .unwrap();
    assert_eq!(
        client.hear_error().await,
        (
            4,
            "mode netascii is not served, only octet (binary)".to_owned()
        )
    );
}

#[tokio::test]
async fn closing_a_root_ends_its_transfers_and_forgets_its_name() {
    let (server, root) = serve(&[("f", &[1; 5000])], None);
    let mut events = root.events();
    let client = Client::at(Ipv4Addr::LOCALHOST, &server).await;
    let asked = path(&root, "f");
    client.request(1, &asked, &[]).await;
    client.hear().await;
    assert!(root.close().await, "the transfer did not end");
    assert_eq!(
        client.hear_error().await,
        (0, "the root was closed".to_owned())
    );
    assert!(matches!(
        next_event(&mut events).await.kind,
        TransferEventKind::Started { .. }
    ));
    assert!(matches!(
        next_event(&mut events).await.kind,
        TransferEventKind::Failed {
            reason: TransferFailure::RootClosed,
            ..
        }
    ));
    client.request(1, &asked, &[]).await;
    assert_eq!(client.hear_error().await.0, 1);
}

#[tokio::test]
async fn a_root_can_be_opened_again_under_its_former_name() {
    let (server, root) = serve(&[("f", b"x")], None);
    let name = root.name().to_owned();
    assert!(
        server.reopen_root(&name, RootSpec::default()).is_err(),
        "it is still open"
    );
    drop(root);
    let root = server.reopen_root(&name, RootSpec::default()).unwrap();
    assert_eq!(root.name(), name);
    assert!(server.reopen_root("../x", RootSpec::default()).is_err());
}

#[tokio::test]
async fn a_missing_file_of_the_host_is_a_failure_that_names_it_only_to_the_owner() {
    let server = TftpServer::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("Image");
    let files = vec![("Image".to_owned(), FileSource::Path(missing.clone()))];
    let root = server
        .open_root(RootSpec {
            files,
            ..RootSpec::default()
        })
        .unwrap();
    let mut events = root.events();
    let client = Client::at(Ipv4Addr::LOCALHOST, &server).await;
    client.request(1, &path(&root, "Image"), &[]).await;
    assert_eq!(
        client.hear_error().await,
        (0, "the server cannot read this file".to_owned())
    );
    let TransferEventKind::Failed {
        reason: TransferFailure::Source(text),
        ..
    } = next_event(&mut events).await.kind
    else {
        panic!()
    };
    assert!(text.starts_with(&missing.display().to_string()), "{text}");
}

#[tokio::test]
async fn a_taken_port_is_explained() {
    let server = TftpServer::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let error = TftpServer::bind(server.local_addr()).unwrap_err();
    let port = server.local_addr().port();
    assert!(
        error.to_string().contains(&format!("127.0.0.1:{port}")),
        "{error}"
    );
    assert!(error.to_string().contains("another TFTP server"), "{error}");
}

/// Reads a file as U-Boot does with `tftpwindowsize`: one acknowledgement a window, one at a gap.
async fn read_in_windows(client: &Client, path: &[u8], block_size: usize, window: u16) -> Vec<u8> {
    let (block, windows) = (block_size.to_string(), window.to_string());
    client
        .request(1, path, &["blksize", &block, "windowsize", &windows])
        .await;
    let (answer, from) = client.hear().await;
    assert_eq!(answer[..2], [0, 6]);
    client.socket.connect(from).await.unwrap();
    client.socket.send(&[0, 4, 0, 0]).await.unwrap();
    let (mut file, mut last, mut pending, mut complained) = (Vec::new(), 0_u16, 0, false);
    let mut buffer = vec![0; block_size + 4];
    loop {
        let length = tokio::time::timeout(PATIENCE, client.socket.recv(&mut buffer))
            .await
            .expect("no block")
            .unwrap();
        let in_order = buffer[..4] == [[0, 3], last.wrapping_add(1).to_be_bytes()].concat();
        if in_order {
            last = last.wrapping_add(1);
            pending += 1;
            file.extend_from_slice(&buffer[4..length]);
        }
        let end = in_order && length < block_size + 4;
        if end || pending == window || (!in_order && !complained) {
            client
                .socket
                .send(&[[0, 4], last.to_be_bytes()].concat())
                .await
                .unwrap();
            pending = 0;
        }
        complained = !in_order;
        if end {
            return file;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_megabytes_arrive_in_windows_and_past_the_wrap_of_block_numbers() {
    let file: Vec<u8> = (0..50_000_000_u32)
        .map(|index| (index ^ (index >> 9)) as u8)
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let path_of_file = directory.path().join("Image");
    std::fs::write(&path_of_file, &file).unwrap();
    let server = TftpServer::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let files = vec![("Image".to_owned(), FileSource::Path(path_of_file))];
    let root = server
        .open_root(RootSpec {
            files,
            ..RootSpec::default()
        })
        .unwrap();
    for (block_size, window) in [(512, 16), (1468, 16), (1468, 64)] {
        let client = Client::at(Ipv4Addr::LOCALHOST, &server).await;
        let got = read_in_windows(&client, &path(&root, "Image"), block_size, window).await;
        assert!(got == file, "blksize {block_size}, windowsize {window}");
    }
}
