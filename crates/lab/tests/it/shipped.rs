//! The files that the repository ships.

use std::path::Path;

use basalt_lab::profile::{ConsoleSource, RelayDriver};
use basalt_lab::{FileKind, LabFile};

use crate::good;

fn virtual_lab() -> Vec<LabFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab-config/virtual");
    let mut files = vec![root.join(FileKind::LAB)];
    for (directory, _) in FileKind::DIRECTORIES {
        if let Ok(entries) = std::fs::read_dir(root.join(directory)) {
            files.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    files
        .into_iter()
        .map(|path| LabFile {
            path: path
                .strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
            text: std::fs::read_to_string(&path).unwrap(),
        })
        .collect()
}

#[test]
fn the_virtual_lab_has_no_mistakes() {
    let lab = good(&virtual_lab());
    assert_eq!(lab.name, "virtual");
    assert_eq!(
        lab.dispatcher_of(&lab.boards[0]).tftp_listen.to_string(),
        "10.77.0.1:69"
    );
    let RelayDriver::Tasmota { url, .. } = &lab.relays[0].driver else {
        panic!("{:?}", lab.relays[0]);
    };
    assert_eq!(url, "http://10.77.0.1:8081");
    let names: Vec<&str> = lab.boards.iter().map(|board| board.name.as_str()).collect();
    assert_eq!(names, ["qemu-1", "qemu-2"]);
    for (board, port, mac, timebase) in [
        (
            &lab.boards[0],
            7001,
            "52:54:00:77:00:0a",
            "virtual (icount shift=3)",
        ),
        (
            &lab.boards[1],
            7002,
            "52:54:00:77:00:0b",
            "virtual (icount shift=5)",
        ),
    ] {
        assert_eq!(
            board.console.source,
            ConsoleSource::Tcp {
                host: "10.77.0.1".to_owned(),
                port
            }
        );
        assert_eq!(board.network.as_ref().unwrap().mac, mac);
        assert_eq!(board.timebase.as_deref(), Some(timebase));
    }
}

#[test]
fn the_emulated_board_has_what_its_types_say_together() {
    let lab = good(&virtual_lab());
    insta::assert_debug_snapshot!(lab.boards[0]);
}

/// The kernel as Debian ships it is 31,645,632 bytes, and clears less than 2 MiB behind itself.
#[test]
fn the_parts_of_a_boot_do_not_overlap_in_memory() {
    const MIB: u64 = 1 << 20;
    let lab = good(&virtual_lab());
    let u_boot = lab.boards[0].u_boot.as_ref().unwrap();
    let (_, addresses) = &u_boot.load_addresses[0];
    let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap();
    let kernel = number(&addresses.kernel);
    let ramdisk = number(&addresses.ramdisk);
    let dtb = number(&addresses.dtb);
    assert_eq!(kernel % (2 * MIB), 0);
    assert!(kernel >= 0x4000_0000 + 2 * MIB);
    assert!(kernel + 36 * MIB <= ramdisk);
    assert!(ramdisk + 32 * MIB <= dtb);
    assert!(dtb + 2 * MIB <= 0x5000_0000 - 16 * MIB);
}
