//! A dispatcher whose disk is full, and has room again (decision D23): on a small file system of
//! the test's own.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use basalt_link::{RefusalCode, Up};
use basalt_model::{Culprit, EventBody, Outcome, PowerState};

use crate::desk::Desk;
use crate::site::{Dispatcher, Site, until};

/// Set for the process in the namespace.
const WITHIN: &str = "BASALT_TEST_FULL_DISK";
const NAME: &str = "full_disk::a_full_disk_ends_runs_with_their_boards_off_and_room_opens_it_again";

#[test]
fn a_full_disk_ends_runs_with_their_boards_off_and_room_opens_it_again() {
    if std::env::var_os(WITHIN).is_some() {
        return on_a_small_disk();
    }
    // The rack's network is this host's: only mounts are the test's own.
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root mounts a file system here");
        return;
    }
    let probe = Command::new("unshare").args(["--mount", "true"]).status();
    if !probe.is_ok_and(|ended| ended.success()) {
        println!("skipped: this host lets nobody have mounts of his own (unshare --mount)");
        return;
    }
    let ended = Command::new("unshare")
        .args(["--mount", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(WITHIN, "1")
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

/// Fills the disk to its last byte.
fn fill(path: &Path) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    for size in [1 << 20, 64 << 10, 4 << 10, 512, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
}

/// The last word on whether runs are taken.
fn why_closed(desk: &Desk) -> Option<String> {
    let closed = desk.heard().into_iter().rev().find_map(|up| match up {
        Up::Closed { reason } => Some(reason),
        _ => None,
    });
    closed.flatten()
}

fn on_a_small_disk() {
    let site = Site::start(2);
    let state = site.state();
    std::fs::create_dir_all(&state).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=96m", "none"])
        .arg(&state)
        .status();
    assert!(mounted.unwrap().success(), "a mount of our own");
    let desk = Desk::open(&site);
    let mut dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    let reserve = state.join("dispatcher/reserve");
    let parts = || std::fs::read_dir(&reserve).unwrap().count();
    assert_eq!(parts(), 4);
    site.rack.hold("b0", "Linux version");
    let run = desk.assign(&site, "b0", 1, &site.job(0));
    site.rack.wait_held("b0");

    // What is given away for work is full at once too; what is left is for the ends of runs.
    let ballast = state.join("ballast");
    until("the reserve to be given away", || {
        fill(&ballast);
        (parts() <= 2).then_some(())
    });
    // Somebody may make room meanwhile, until the run ends.
    until("the run to end", || {
        if parts() == 2 {
            fill(&ballast);
        }
        (desk.told(run).ended > 0).then_some(())
    });
    let told = desk.told(run);
    assert_eq!(told.failure(), Some("disk-full"));
    let EventBody::Finished {
        outcome,
        failure: Some(failure),
        power,
    } = &told.finished().unwrap().body
    else {
        panic!("{:?}", told.finished());
    };
    assert_eq!((*outcome, *power), (Outcome::Incomplete, PowerState::Off));
    assert_eq!(failure.culprit, Culprit::Infrastructure);
    assert!(failure.message.contains("is full"), "{failure}");
    assert!(!site.rack.has_power("b0"));
    site.rack.let_go("b0");
    let why = until("the word that runs are not taken", || why_closed(&desk));
    assert!(why.contains("MiB are free"), "{why}");
    let late = desk.assign(&site, "b1", 1, &site.job(0));
    let (code, message) = desk.wait_answer(late).unwrap_err();
    assert_eq!((code, &message), (RefusalCode::Closed, &why));

    std::fs::remove_file(&ballast).unwrap();
    until("the word that runs are taken", || {
        why_closed(&desk).is_none().then_some(())
    });
    assert_eq!(parts(), 4);
    let next = desk.assign(&site, "b1", 2, &site.job(0));
    let told = desk.wait_ended(next);
    assert_eq!(told.failure(), None, "{:?}", told.finished());
    dispatcher.signal(rustix::process::Signal::INT);
    assert!(dispatcher.wait().success());
}
