use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use basalt_artifacts::{UnpackError, UnpackLimits, UnpackReport, unpack_tar};
use tar::{Builder, EntryType, Header};

use crate::compressed::pack;
use crate::server::{Reply, Server, bench};

/// Writes archives, hostile ones included: names are taken as they are.
struct Tar(Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn add(mut self, kind: EntryType, path: &str, mode: u32, target: &str, data: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..path.len()].copy_from_slice(path.as_bytes());
        gnu.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_000_000_000);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    fn file(self, path: &str, mode: u32, data: &[u8]) -> Self {
        self.add(EntryType::Regular, path, mode, "", data)
    }

    fn directory(self, path: &str, mode: u32) -> Self {
        self.add(EntryType::Directory, path, mode, "", b"")
    }

    fn symlink(self, path: &str, target: &str) -> Self {
        self.add(EntryType::Symlink, path, 0o777, target, b"")
    }

    fn link(self, path: &str, target: &str) -> Self {
        self.add(EntryType::Link, path, 0o644, target, b"")
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

async fn unpack_into(
    destination: &Path,
    archive: &[u8],
    limits: UnpackLimits,
) -> Result<UnpackReport, UnpackError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), archive).unwrap();
    unpack_tar(file.path(), None, destination, limits).await
}

#[tokio::test]
async fn files_directories_links_modes_and_times_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let archive = Tar::new()
        .directory("./", 0o750)
        .directory("./usr/", 0o555)
        .file("./usr/bin/tool", 0o4755, b"tool")
        .symlink("./bin", "usr/bin")
        .symlink("./etc/mtab", "/proc/mounts")
        .link("./usr/bin/other", "./usr/bin/tool")
        .bytes();
    let report = unpack_into(&root, &archive, UnpackLimits::default())
        .await
        .unwrap();
    assert_eq!((report.entries, report.bytes), (6, 4));
    let mode = |path: &str| root.join(path).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(""), 0o750);
    assert_eq!(mode("usr"), 0o555);
    assert_eq!(mode("usr/bin/tool"), 0o4755);
    let tool = root.join("usr/bin/tool").metadata().unwrap();
    assert_eq!(tool.mtime(), 1_000_000_000);
    assert_eq!(
        tool.ino(),
        root.join("usr/bin/other").metadata().unwrap().ino()
    );
    assert_eq!(std::fs::read(root.join("bin/tool")).unwrap(), b"tool");
    let link = std::fs::read_link(root.join("etc/mtab")).unwrap();
    assert_eq!(link, Path::new("/proc/mounts"));
}

#[tokio::test]
async fn nothing_is_written_outside_of_the_tree() {
    let directory = tempfile::tempdir().unwrap();
    let outside = directory.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("victim"), "safe").unwrap();
    let outside_text = outside.to_str().unwrap();
    let refused = [
        Tar::new().file("../outside/new", 0o644, b"x"),
        Tar::new().file("a/../../outside/new", 0o644, b"x"),
        Tar::new().directory("..", 0o777),
        Tar::new().symlink("a/b/up", "../../../outside"),
        Tar::new().link("hard", "../outside/victim"),
    ];
    for (number, archive) in refused.into_iter().enumerate() {
        let root = directory.path().join(number.to_string());
        let error = unpack_into(&root, &archive.bytes(), UnpackLimits::default())
            .await
            .unwrap_err();
        assert_eq!(error.code(), "archive-escapes", "{number}: {error}");
    }

    // Absolute paths and links mean the archive's own root.
    let root = directory.path().join("root");
    let through = format!("{outside_text}/new");
    let archive = Tar::new()
        .file("/absolute", 0o644, b"x")
        .symlink("door", outside_text)
        .file("door/new", 0o644, b"x");
    let result = unpack_into(&root, &archive.bytes(), UnpackLimits::default()).await;
    assert_eq!(result.unwrap_err().code(), "archive-write");
    assert!(root.join("absolute").exists());
    let archive = Tar::new()
        .directory(outside_text.trim_start_matches('/'), 0o755)
        .symlink("door", outside_text)
        .file("door/new", 0o644, b"x");
    unpack_into(&root, &archive.bytes(), UnpackLimits::default())
        .await
        .unwrap();
    assert!(root.join(through.trim_start_matches('/')).exists());

    // A hard link to what lies outside, by way of a symbolic one.
    let archive = Tar::new()
        .symlink("way", &format!("{outside_text}/victim"))
        .link("hard", "way/victim");
    let result = unpack_into(&root, &archive.bytes(), UnpackLimits::default()).await;
    assert!(result.is_err());

    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(std::fs::read(outside.join("victim")).unwrap(), b"safe");
}

#[tokio::test]
async fn a_file_replaces_a_link_and_does_not_write_through_it() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let archive = Tar::new()
        .file("target", 0o644, b"target")
        .symlink("name", "target")
        .file("name", 0o644, b"name");
    unpack_into(&root, &archive.bytes(), UnpackLimits::default())
        .await
        .unwrap();
    assert_eq!(std::fs::read(root.join("target")).unwrap(), b"target");
    assert_eq!(std::fs::read(root.join("name")).unwrap(), b"name");
}

#[tokio::test]
async fn an_overlay_goes_through_the_links_of_the_root() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let merged = Tar::new()
        .directory("usr/lib", 0o755)
        .symlink("lib", "usr/lib");
    let modules = Tar::new()
        .directory("lib/modules", 0o755)
        .file("lib/modules/x.ko", 0o644, b"x");
    for archive in [merged, modules] {
        unpack_into(&root, &archive.bytes(), UnpackLimits::default())
            .await
            .unwrap();
    }
    assert!(root.join("usr/lib/modules/x.ko").exists());
    assert!(root.join("lib").is_symlink());
}

#[tokio::test]
async fn device_nodes_are_left_out_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let archive = Tar::new()
        .add(EntryType::Char, "dev/null", 0o666, "", b"")
        .add(EntryType::Block, "dev/sda", 0o666, "", b"")
        .add(EntryType::Fifo, "run/fifo", 0o666, "", b"")
        .file("file", 0o644, b"");
    let root = directory.path().join("root");
    let report = unpack_into(&root, &archive.bytes(), UnpackLimits::default())
        .await
        .unwrap();
    let UnpackReport {
        entries,
        skipped_devices,
        skipped_others,
        ..
    } = report;
    assert_eq!((entries, skipped_devices, skipped_others), (1, 2, 1));
    assert!(!root.join("dev").exists());
}

#[tokio::test]
async fn limits_hold_and_damage_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let archive = Tar::new()
        .file("a", 0o644, &[1; 600])
        .file("b", 0o644, &[2; 600])
        .bytes();
    let few = UnpackLimits {
        entries: 1,
        bytes: 10_000,
    };
    let small = UnpackLimits {
        entries: 10,
        bytes: 1000,
    };
    for limits in [few, small] {
        let error = unpack_into(&root, &archive, limits).await.unwrap_err();
        assert_eq!(error.code(), "archive-too-large");
    }
    let cut = &archive[..512 + 1024 + 512 + 100];
    let page = vec![b'<'; 2048];
    for damaged in [cut, &page] {
        let error = unpack_into(&root, damaged, UnpackLimits::default())
            .await
            .unwrap_err();
        assert_eq!(error.code(), "archive-damaged", "{error}");
    }
}

#[tokio::test]
async fn a_tree_is_unpacked_once_and_an_interrupted_one_again() {
    let archive = Tar::new()
        .directory("rootfs/etc", 0o755)
        .file("rootfs/etc/hostname", 0o644, b"board")
        .symlink("elsewhere", "rootfs");
    let packed = pack(&archive.bytes(), "xz").await;
    let server = Server::start(move |_, _| Reply::ok(&packed)).await;
    let bench = bench();
    let fetched = bench
        .fetch(&server.request("/rootfs.tar.xz"))
        .await
        .unwrap();

    // What a kill in the middle leaves behind.
    let trees = bench.directory.path().join("cache/v1/trees");
    let partial = trees.join(format!("{}.partial", fetched.sha256));
    std::fs::create_dir_all(partial.join("rootfs/etc")).unwrap();
    std::fs::write(partial.join("rootfs/etc/half"), "x").unwrap();

    let tree = bench.cache.unpacked_tar(&fetched, None).await.unwrap();
    let hostname = tree.join("rootfs/etc/hostname");
    assert_eq!(std::fs::read(&hostname).unwrap(), b"board");
    assert!(!tree.join("rootfs/etc/half").exists());
    assert!(!partial.exists());

    let made = tree.metadata().unwrap().ino();
    let root = bench.cache.unpacked_tar(&fetched, Some("/rootfs/")).await;
    assert_eq!(root.unwrap(), tree.join("rootfs"));
    assert_eq!(tree.metadata().unwrap().ino(), made);
    for prefix in ["missing", "elsewhere", "../x", "rootfs/etc/hostname"] {
        let error = bench.cache.unpacked_tar(&fetched, Some(prefix)).await;
        assert_eq!(error.unwrap_err().code(), "archive-prefix", "{prefix}");
    }
}
