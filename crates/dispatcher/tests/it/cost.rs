//! What a small job costs, by counts: a figure that grows is seen here before it is felt.

use std::path::Path;

use crate::desk::Desk;
use crate::site::{Dispatcher, Site, until};

/// What is in a directory. Each file costs its making, which on a busy file system is more than all
/// that stands in it.
fn entries(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_small_job_makes_few_files_and_few_of_them_durable() {
    let site = Site::start(1);
    let desk = Desk::open(&site);
    let _dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    let run = desk.assign(&site, "b0", 1, &site.job(0));
    let told = desk.wait_ended(run);
    assert!(told.finished().is_some());
    let done = site.wait_done(run);
    assert_eq!(
        entries(&done),
        [
            "job.yaml",
            "journal",
            "lease.json",
            "overlay.cpio",
            "plan.json",
            "results.json",
            "run.json"
        ]
    );
    assert_eq!(told.files.keys().collect::<Vec<_>>(), ["results.json"]);
    // The runner says so when a run ends: accepted, lease, power twice, the end, and the seconds
    // between them.
    let log = site.path().join("dispatcher.log");
    let syncs = until("the journal's cost", || {
        let log = std::fs::read_to_string(&log).unwrap();
        let (_, rest) = log.split_once("journal.syncs=")?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    });
    let seconds = told.events.last().unwrap().stamp.boot.0 - told.events[0].stamp.boot.0;
    let lazily = seconds / 1_000_000_000 + 1;
    assert!(syncs <= 5 + lazily, "{syncs} in {lazily} s");
}
