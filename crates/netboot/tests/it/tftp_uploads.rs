//! Files that boards send by TFTP.

use std::net::Ipv4Addr;

use basalt_netboot::TransferEventKind;

use crate::tftp::{Client, next_event, path, serve};

#[tokio::test]
async fn an_upload_appears_under_its_name_before_its_last_acknowledgement() {
    let uploads = tempfile::tempdir().unwrap();
    let (server, root) = serve(&[], Some(uploads.path()));
    let mut events = root.events();
    let client = Client::at(Ipv4Addr::LOCALHOST, &server).await;
    client
        .request(2, &path(&root, "raw.json"), &["blksize", "1000"])
        .await;
    let (answer, port) = client.hear().await;
    assert_eq!(answer, b"\0\x06blksize\x001000\0");
    client
        .socket
        .send_to(&[&[0, 3, 0, 1][..], &[b'a'; 1000]].concat(), port)
        .await
        .unwrap();
    assert_eq!(client.hear().await.0, [0, 4, 0, 1]);
    assert!(
        uploads.path().join("raw.json.part").exists() && !uploads.path().join("raw.json").exists()
    );
    client
        .socket
        .send_to(b"\0\x03\0\x02end", port)
        .await
        .unwrap();
    assert_eq!(client.hear().await.0, [0, 4, 0, 2]);
    let stored = std::fs::read(uploads.path().join("raw.json")).unwrap();
    assert_eq!(stored, [&[b'a'; 1000][..], b"end"].concat());
    assert!(!uploads.path().join("raw.json.part").exists());
    assert!(matches!(
        next_event(&mut events).await.kind,
        TransferEventKind::Started { .. }
    ));
    assert!(matches!(
        next_event(&mut events).await.kind,
        TransferEventKind::Finished { bytes: 1003, .. }
    ));
}

#[tokio::test]
async fn uploads_stop_at_the_limit_and_leave_nothing() {
    let uploads = tempfile::tempdir().unwrap();
    let (server, root) = serve(&[], Some(uploads.path()));
    let client = Client::at(Ipv4Addr::LOCALHOST, &server).await;
    client
        .request(2, &path(&root, "big"), &["tsize", "1000001"])
        .await;
    let expected = (
        3,
        "the upload is larger than the limit of 1000000 bytes".to_owned(),
    );
    assert_eq!(client.hear_error().await, expected);

    let client = Client::at(Ipv4Addr::LOCALHOST, &server).await;
    client
        .request(2, &path(&root, "big"), &["blksize", "60000"])
        .await;
    let (_, port) = client.hear().await;
    for number in 1..=16_u8 {
        client
            .socket
            .send_to(&[&[0, 3, 0, number][..], &[0; 60_000]].concat(), port)
            .await
            .unwrap();
        assert_eq!(client.hear().await.0, [0, 4, 0, number]);
    }
    client
        .socket
        .send_to(&[&[0, 3, 0, 17][..], &[0; 60_000]].concat(), port)
        .await
        .unwrap();
    assert_eq!(client.hear_error().await, expected);
    assert!(root.close().await);
    assert_eq!(std::fs::read_dir(uploads.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_newer_upload_of_the_same_file_wins_over_an_abandoned_one() {
    let uploads = tempfile::tempdir().unwrap();
    let (server, root) = serve(&[], Some(uploads.path()));
    let former = Client::at(Ipv4Addr::LOCALHOST, &server).await;
    former.request(2, &path(&root, "raw"), &[]).await;
    let (_, port) = former.hear().await;
    former
        .socket
        .send_to(&[&[0, 3, 0, 1][..], &[b'o'; 512]].concat(), port)
        .await
        .unwrap();
    former.hear().await;

    let newer = Client::at(Ipv4Addr::LOCALHOST, &server).await;
    newer.request(2, &path(&root, "raw"), &[]).await;
    let (answer, port) = newer.hear().await;
    assert_eq!(answer, [0, 4, 0, 0]);
    newer
        .socket
        .send_to(b"\0\x03\0\x01new", port)
        .await
        .unwrap();
    assert_eq!(newer.hear().await.0, [0, 4, 0, 1]);
    assert_eq!(std::fs::read(uploads.path().join("raw")).unwrap(), b"new");
}
