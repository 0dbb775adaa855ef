use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use basalt_artifacts::cpio::{Entry, Kind, append, write_newc};
use basalt_artifacts::uimage;

use crate::compressed::pack;

fn entries() -> Vec<Entry> {
    let entry = |path: &str, mode, kind| Entry {
        path: path.to_owned(),
        mode,
        kind,
    };
    vec![
        entry("/lava-1", 0o755, Kind::Directory),
        entry("lava-1/bin", 0o700, Kind::Directory),
        entry("lava-1/bin/run", 0o755, Kind::File(b"#!/bin/sh\n".to_vec())),
        entry("lava-1/odd", 0o640, Kind::File(vec![0, 1, 2])),
        entry("lava-1/empty", 0o644, Kind::File(Vec::new())),
        entry("lava-1/link", 0o777, Kind::Symlink("bin/run".to_owned())),
    ]
}

fn run(program: &[&str], directory: &Path, input: &[u8]) -> String {
    let mut child = Command::new(program[0])
        .args(&program[1..])
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn two_cpio_programs_read_the_archive_back() {
    let archive = write_newc(&entries());
    assert_eq!(archive.len() % 512, 0);
    for program in [vec!["cpio"], vec!["busybox", "cpio"]] {
        let directory = tempfile::tempdir().unwrap();
        let list = [program.clone(), vec!["-t"]].concat();
        let listed = run(&list, directory.path(), &archive);
        let expected: Vec<_> = entries()
            .iter()
            .map(|entry| entry.path.trim_start_matches('/').to_owned())
            .collect();
        assert_eq!(listed.lines().collect::<Vec<_>>(), expected);

        let unpack = [program, vec!["-idm"]].concat();
        run(&unpack, directory.path(), &archive);
        for entry in entries() {
            let path = directory.path().join(entry.path.trim_start_matches('/'));
            match entry.kind {
                Kind::Symlink(target) => {
                    assert_eq!(std::fs::read_link(path).unwrap(), Path::new(&target));
                    continue;
                }
                Kind::File(data) => assert_eq!(std::fs::read(&path).unwrap(), data),
                Kind::Directory => assert!(path.is_dir()),
            }
            let mode = path.metadata().unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, entry.mode, "{}", path.display());
        }
    }
}

#[test]
fn the_same_entries_give_the_same_bytes() {
    assert_eq!(write_newc(&entries()), write_newc(&entries()));
}

#[tokio::test]
async fn an_overlay_lies_aligned_behind_a_compressed_ramdisk_with_a_header() {
    let overlay = write_newc(&entries());
    for length in 1..6 {
        let mut ramdisk = pack(b"ramdisk", "gz").await;
        ramdisk.extend(vec![0; length]);
        let header = uimage::Header::ramdisk(uimage::architecture("arm64").unwrap());
        let image = uimage::wrap(&ramdisk, &header).unwrap();

        let (found, inner) = uimage::unwrap(&image).unwrap().unwrap();
        assert_eq!(inner, ramdisk);
        let joined = append(inner, &overlay);
        let wrapped = uimage::wrap(&joined, &found).unwrap();
        let (_, data) = uimage::unwrap(&wrapped).unwrap().unwrap();
        let start = data.len() - overlay.len();
        assert_eq!(start % 4, 0);
        assert_eq!(&data[start..], overlay);
        assert!(data[ramdisk.len()..start].iter().all(|byte| *byte == 0));
    }
}
