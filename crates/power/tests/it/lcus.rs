use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use basalt_lab::profile::{Relay, RelayDriver};
use basalt_model::{DispatcherName, PowerState, RelayName};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::wire::handle;

fn pty() -> (File, PathBuf) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master: OwnedFd = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    (File::from(master), PathBuf::from(name.to_str().unwrap()))
}

fn card(path: &Path) -> Relay {
    Relay {
        name: RelayName::new("card"),
        dispatcher: DispatcherName::new("main"),
        driver: RelayDriver::Lcus {
            path: path.to_owned(),
            baud: 9600,
        },
        timeout: Duration::from_secs(5),
    }
}

/// Reads exactly so many bytes; the card's side of the line.
async fn received(mut master: File, count: usize) -> Vec<u8> {
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; count];
        master.read_exact(&mut bytes).map(|()| bytes)
    });
    let read = tokio::time::timeout(Duration::from_secs(20), read);
    read.await.unwrap().unwrap().unwrap()
}

#[tokio::test]
async fn the_card_gets_exactly_its_four_bytes_and_the_state_is_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let (master, path) = pty();
    // Kept open: a pseudo-terminal drops what was not read when its last user closes it.
    let _slave = File::open(&path).unwrap();
    let handle = handle(&card(&path), directory.path());
    assert_eq!(handle.set(2, true).await.unwrap(), PowerState::Unknown);
    assert_eq!(handle.set(2, false).await.unwrap(), PowerState::Unknown);
    assert_eq!(handle.read(2).await.unwrap(), PowerState::Unknown);
    let off_time = Duration::from_millis(100);
    assert_eq!(
        handle.cycle(1, off_time).await.unwrap(),
        PowerState::Unknown
    );
    assert_eq!(
        received(master, 16).await,
        [
            0xa0, 2, 1, 0xa3, 0xa0, 2, 0, 0xa2, 0xa0, 1, 0, 0xa1, 0xa0, 1, 1, 0xa2
        ]
    );
}

#[tokio::test]
async fn a_card_that_is_not_there_is_unreachable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ttyUSB7");
    let handle = handle(&card(&path), directory.path());
    let error = handle.set(1, true).await.unwrap_err();
    assert_eq!(error.code(), "relay-unreachable");
    assert!(error.to_string().contains("ttyUSB7"), "{error}");
    assert_eq!(
        handle.set(9, true).await.unwrap_err().code(),
        "relay-bad-outlet"
    );
}
