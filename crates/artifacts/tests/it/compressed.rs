use async_compression::tokio::bufread::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
use basalt_artifacts::{Policy, Request};
use tokio::io::AsyncReadExt;

use crate::server::{Reply, Server, bench, noise, policy};

pub async fn pack(data: &[u8], compression: &str) -> Vec<u8> {
    let mut packed = Vec::new();
    match compression {
        "gz" => GzipEncoder::new(data).read_to_end(&mut packed).await,
        "xz" => XzEncoder::new(data).read_to_end(&mut packed).await,
        "bz2" => BzEncoder::new(data).read_to_end(&mut packed).await,
        "zstd" => ZstdEncoder::new(data).read_to_end(&mut packed).await,
        other => panic!("{other}"),
    }
    .unwrap();
    packed
}

#[tokio::test]
async fn every_compression_is_unpacked_to_its_last_member() {
    for compression in ["gz", "xz", "bz2", "zstd"] {
        let (first, second) = (noise(300_000), vec![7; 50_000]);
        let mut packed = pack(&first, compression).await;
        packed.extend(pack(&second, compression).await);
        let served = packed.clone();
        let server = Server::start(move |_, _| Reply::ok(&served)).await;
        let bench = bench();
        let request = Request {
            compression: Some(compression.to_owned()),
            ..server.request("/rootfs")
        };
        let fetched = bench.fetch(&request).await.unwrap();
        let unpacked = std::fs::read(&fetched.path).unwrap();
        assert_eq!(unpacked, [first, second].concat(), "{compression}");
        assert_eq!(fetched.bytes, 350_000);
        assert_ne!(fetched.sha256, fetched.download_sha256);
        assert_eq!(bench.names("objects").len(), 1);
        assert!(bench.names("parts").is_empty());

        // The checksum is of what was downloaded; the same bytes as they are are another object.
        let digits = fetched.download_sha256.to_string();
        let stated = Request {
            checksum: Some(("sha256".to_owned(), digits)),
            ..request
        };
        assert!(bench.fetch(&stated).await.unwrap().from_cache);
        let as_it_is = Request {
            compression: None,
            ..stated
        };
        let as_it_is = bench.fetch(&as_it_is).await.unwrap();
        assert_eq!(std::fs::read(as_it_is.path).unwrap(), packed);
    }
}

#[tokio::test]
async fn what_cannot_be_unpacked_is_the_jobs_fault() {
    for compression in ["gz", "xz", "bz2", "zstd"] {
        let mut cut = pack(&noise(100_000), compression).await;
        cut.truncate(cut.len() / 2);
        for body in [b"not compressed at all".to_vec(), cut] {
            let server = Server::start(move |_, _| Reply::ok(&body)).await;
            let bench = bench();
            let request = Request {
                compression: Some(compression.to_owned()),
                ..server.request("/rootfs")
            };
            let error = bench.fetch(&request).await.unwrap_err();
            assert_eq!(error.code(), "download-undecodable", "{error}");
            assert!(error.is_job_fault());
            assert!(bench.names("objects").is_empty());
            assert!(bench.names("parts").is_empty());
        }
    }
}

#[tokio::test]
async fn a_bomb_stops_at_the_limit() {
    let bomb = pack(&vec![0; 20 << 20], "gz").await;
    assert!(bomb.len() < 100_000);
    let server = Server::start(move |_, _| Reply::ok(&bomb)).await;
    let bench = bench();
    let request = Request {
        compression: Some("gz".to_owned()),
        ..server.request("/rootfs")
    };
    let small = Policy {
        size_limit: 1 << 20,
        ..policy()
    };
    let error = bench.fetch_under(&request, &small).await.unwrap_err();
    assert_eq!(error.code(), "download-too-large");
    assert!(error.to_string().contains("the file unpacked"), "{error}");
    assert!(bench.names("objects").is_empty());
}
