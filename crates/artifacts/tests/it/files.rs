use std::os::unix::fs::symlink;
use std::path::Path;

use basalt_artifacts::{FetchError, Fetched, Policy};

use crate::server::{Bench, bench, policy, request};

async fn fetch(bench: &Bench, roots: &[&Path], path: &Path) -> Result<Fetched, FetchError> {
    let policy = Policy {
        file_roots: roots.iter().map(|root| root.to_path_buf()).collect(),
        size_limit: 1000,
        ..policy()
    };
    let request = request(&format!("file://{}", path.display()));
    bench.fetch_under(&request, &policy).await
}

#[tokio::test]
async fn a_file_below_a_root_is_copied_once_and_again_when_it_changes() {
    let bench = bench();
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("Image");
    std::fs::write(&path, "one").unwrap();
    let first = fetch(&bench, &[root.path()], &path).await.unwrap();
    assert_eq!(std::fs::read(&first.path).unwrap(), b"one");
    assert!(!first.from_cache);
    assert!(
        fetch(&bench, &[root.path()], &path)
            .await
            .unwrap()
            .from_cache
    );

    std::fs::write(&path, "two").unwrap();
    let second = fetch(&bench, &[root.path()], &path).await.unwrap();
    assert_eq!(std::fs::read(&second.path).unwrap(), b"two");
    // The cache does not hang on the source.
    assert_eq!(std::fs::read(&first.path).unwrap(), b"one");
}

#[tokio::test]
async fn what_lies_outside_of_the_roots_is_refused_by_whatever_way() {
    let bench = bench();
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    symlink(&secret, root.path().join("link")).unwrap();
    symlink(outside.path(), root.path().join("directory")).unwrap();
    let name = outside.path().file_name().unwrap();
    for path in [
        secret.clone(),
        outside.path().join("does-not-exist"),
        root.path().join("link"),
        root.path().join("directory/secret"),
        root.path().join("..").join(name).join("secret"),
    ] {
        let error = fetch(&bench, &[root.path()], &path).await.unwrap_err();
        assert_eq!(error.code(), "download-forbidden-file", "{error}");
        assert!(error.to_string().contains("file_roots"), "{error}");
    }
    let error = fetch(&bench, &[], &secret).await.unwrap_err();
    assert_eq!(error.code(), "download-forbidden-file");
    assert!(bench.names("objects").is_empty());
}

#[tokio::test]
async fn what_is_no_readable_file_is_said_so() {
    let bench = bench();
    let root = tempfile::tempdir().unwrap();
    let fifo = root.path().join("fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    for path in [root.path().join("missing"), fifo, root.path().to_owned()] {
        let error = fetch(&bench, &[root.path()], &path).await.unwrap_err();
        assert_eq!(error.code(), "download-file", "{error}");
        assert!(error.is_job_fault());
    }
    let large = root.path().join("large");
    std::fs::write(&large, [0; 1001]).unwrap();
    let error = fetch(&bench, &[root.path()], &large).await.unwrap_err();
    assert_eq!(error.code(), "download-too-large");
    let page = root.path().join("page");
    std::fs::write(&page, "<html>").unwrap();
    let error = fetch(&bench, &[root.path()], &page).await.unwrap_err();
    assert_eq!(error.code(), "download-html");
}
