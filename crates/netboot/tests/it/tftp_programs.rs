//! TFTP with the clients that people have: curl and busybox.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use basalt_netboot::TransferEventKind;

use crate::tftp::{next_event, serve};

fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index ^ (index >> 8) ^ (index >> 16)) as u8)
        .collect()
}

/// Runs a client to its end, two minutes at most.
async fn run(directory: &Path, program: &str, arguments: &[String]) -> Output {
    let mut command = Command::new("timeout");
    command
        .arg("120")
        .arg(program)
        .args(arguments)
        .current_dir(directory);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    assert_ne!(
        output.status.code(),
        Some(127),
        "{program} is not installed"
    );
    output
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_reads_in_several_block_sizes() {
    let file = pattern(3_000_000);
    let (server, root) = serve(&[("Image", &file)], None);
    let directory = tempfile::tempdir().unwrap();
    for options in [
        "--tftp-no-options",
        "--tftp-blksize 1468",
        "--tftp-blksize 65464",
    ] {
        let url = format!("tftp://{}/{}/Image", server.local_addr(), root.name());
        let output = run(
            directory.path(),
            "curl",
            &words(&format!("-sS {options} -o got {url}")),
        )
        .await;
        assert!(output.status.success(), "{options}: {output:?}");
        assert!(
            std::fs::read(directory.path().join("got")).unwrap() == file,
            "{options}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_hears_that_a_file_is_not_there() {
    let (server, root) = serve(&[("Image", b"x"), ("board.dtb", b"y")], None);
    let directory = tempfile::tempdir().unwrap();
    let url = format!("tftp://{}/{}/image", server.local_addr(), root.name());
    let output = run(directory.path(), "curl", &words(&format!("-sS {url}"))).await;
    // CURLE_TFTP_NOTFOUND.
    assert_eq!(output.status.code(), Some(68), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn busybox_reads_and_writes() {
    let file = pattern(1_000_001);
    let (uploads, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (server, root) = serve(&[("ramdisk", &file)], Some(uploads.path()));
    let mut events = root.events();
    let (ip, port, name) = (
        server.local_addr().ip().to_string(),
        server.local_addr().port(),
        root.name(),
    );
    for options in ["", "-b 1468"] {
        let get = words(&format!(
            "tftp -g -l got -r {name}/ramdisk {options} {ip} {port}"
        ));
        let output = run(directory.path(), "busybox", &get).await;
        assert!(output.status.success(), "{output:?}");
        assert!(std::fs::read(directory.path().join("got")).unwrap() == file);
        let put = words(&format!(
            "tftp -p -l got -r {name}/result {options} {ip} {port}"
        ));
        let output = run(directory.path(), "busybox", &put).await;
        assert!(
            output.status.code() != Some(0),
            "the limit of 1000000 bytes does not hold"
        );

        std::fs::write(directory.path().join("small"), &file[..700_000]).unwrap();
        let put = words(&format!(
            "tftp -p -l small -r {name}/result {options} {ip} {port}"
        ));
        let output = run(directory.path(), "busybox", &put).await;
        assert!(output.status.success(), "{output:?}");
        assert!(std::fs::read(uploads.path().join("result")).unwrap() == file[..700_000]);
    }
    let mut finished = 0;
    while finished < 4 {
        if matches!(
            next_event(&mut events).await.kind,
            TransferEventKind::Finished { .. }
        ) {
            finished += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_clients_read_at_once() {
    let file = Arc::new(pattern(2_000_000));
    let (server, root) = serve(&[("Image", &file)], None);
    let mut clients = Vec::new();
    for _ in 0..8 {
        let url = format!("tftp://{}/{}/Image", server.local_addr(), root.name());
        let file = Arc::clone(&file);
        clients.push(tokio::spawn(async move {
            let directory = tempfile::tempdir().unwrap();
            let output = run(
                directory.path(),
                "curl",
                &words(&format!("-sS --tftp-blksize 1468 -o got {url}")),
            )
            .await;
            assert!(output.status.success(), "{output:?}");
            assert!(std::fs::read(directory.path().join("got")).unwrap() == *file);
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
}
