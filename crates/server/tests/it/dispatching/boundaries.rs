//! Connections cut off, and servers killed, between any two messages of a run.

use std::collections::HashSet;

use basalt_link::{Down, Up};
use basalt_model::{JobState, Outcome, RunId};

use super::site::Process;
use super::{Disk, Script, Site};

/// What a dispatcher sends in a run, one message after the other.
#[derive(Clone, Copy, Debug)]
enum Step {
    Accepted,
    Events(usize),
    Lines(usize),
    Ended,
}

fn steps() -> Vec<Step> {
    let mut steps = vec![Step::Accepted];
    // Seven events in pieces of two, twenty lines in pieces of seven.
    for piece in 0..4 {
        steps.push(Step::Events(piece));
        if piece < 3 {
            steps.push(Step::Lines(piece));
        }
    }
    steps.push(Step::Ended);
    steps
}

async fn send(script: &Script, disk: &Disk, run: RunId, step: Step) {
    let on_disk = &disk.runs[&run];
    match step {
        Step::Accepted => script.say(Up::Accepted { run }).await,
        Step::Events(piece) => {
            let events = on_disk.events_after(0, 2).remove(piece);
            script.sender.events(events).await.unwrap();
        }
        Step::Lines(piece) => {
            let lines = on_disk.lines_after(0, 7).remove(piece);
            script.sender.log(lines).await.unwrap();
        }
        Step::Ended => script.say(Up::Ended { run }).await,
    }
}

/// After a cut: connects, and brings to its end whatever the server still wants.
async fn go_on(site: &Site, disk: &mut Disk, run: RunId) {
    let mut script = Script::connect(site, disk).await;
    assert_eq!(script.welcome.discard, []);
    if !disk.runs.contains_key(&run) {
        let assignment = script.hear_assign().await;
        assert_eq!(assignment.run, run, "the same run is assigned again");
        disk.take(&assignment);
        script.say(Up::Accepted { run }).await;
        disk.runs.get_mut(&run).unwrap().perform();
    } else if !script.known.contains_key(&run) {
        // Its end was committed before the cut.
        script
            .hear_until("leave to forget the run", |down| {
                matches!(down, Down::Forget { run: of } if *of == run).then_some(())
            })
            .await;
        disk.runs.remove(&run);
        return;
    }
    script.send_all(disk, run).await;
    script.say_ended(disk, run).await;
}

/// Every event once, every line once, one run, one end.
async fn nothing_lost_or_double(server: &Process, job: basalt_model::JobId, run: RunId) {
    let job = server
        .job_that(job, |job| job.state == JobState::Finished)
        .await;
    assert_eq!(job.outcome, Some(Outcome::Pass));
    let runs: Vec<RunId> = job.runs.iter().map(|run| run.id).collect();
    assert_eq!(runs, [run]);
    assert_eq!(server.stored_events(run).await, (1..=7).collect::<Vec<_>>());
    let lines = server.log_text(run).await;
    let numbers: HashSet<u64> = lines.iter().map(|(number, _)| *number).collect();
    assert_eq!((lines.len(), numbers.len()), (20, 20));
    let results = server
        .app
        .results(&super::site::admin(), run)
        .await
        .unwrap();
    assert_eq!(results.cases.len(), 1);
}

/// A job until so many messages of its run are sent.
async fn begin(
    site: &Site,
    server: &Process,
    disk: &mut Disk,
    count: usize,
) -> (basalt_model::JobId, RunId, Script) {
    let mut script = Script::connect(site, disk).await;
    let job = server.submit().await;
    let assignment = script.hear_assign().await;
    let run = assignment.run;
    if count > 0 {
        disk.take(&assignment);
        disk.runs.get_mut(&run).unwrap().perform();
    }
    for step in steps().into_iter().take(count) {
        send(&script, disk, run, step).await;
    }
    (job, run, script)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_cut_after_any_message_loses_and_doubles_nothing() {
    let site = Site::new();
    let server = site.start().await;
    for count in 0..=steps().len() {
        let mut disk = Disk::default();
        // Each round begins on boards that have seen epochs; the dispatcher's disk knows them.
        let (job, run, script) = begin(&site, &server, &mut disk, count).await;
        // What is on its way arrives or does not; no acknowledgement is waited for.
        drop(script);
        go_on(&site, &mut disk, run).await;
        nothing_lost_or_double(&server, job, run).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_after_any_message_loses_and_doubles_nothing() {
    let site = Site::new();
    for count in 0..=steps().len() {
        let server = site.start().await;
        let mut disk = Disk::default();
        let (job, run, script) = begin(&site, &server, &mut disk, count).await;
        server.kill();
        drop(script);
        let server = site.start().await;
        go_on(&site, &mut disk, run).await;
        nothing_lost_or_double(&server, job, run).await;
        server.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_twice_is_stored_once() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let (job, run, script) = begin(&site, &server, &mut disk, 1).await;
    let on_disk = &disk.runs[&run];
    for _ in 0..3 {
        for events in on_disk.events_after(0, 2).into_iter().take(2) {
            script.sender.events(events).await.unwrap();
        }
        for lines in on_disk.lines_after(0, 7).into_iter().take(1) {
            script.sender.log(lines).await.unwrap();
        }
    }
    drop(script);
    go_on(&site, &mut disk, run).await;
    nothing_lost_or_double(&server, job, run).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_the_queue_outlives_its_server() {
    let site = Site::new();
    let server = site.start().await;
    let job = server.submit().await;
    server.kill();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let run = script.perform_one(&mut disk).await;
    nothing_lost_or_double(&server, job, run).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_a_stream_ends_the_link_and_the_run_goes_on_where_it_broke() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let (job, run, mut script) = begin(&site, &server, &mut disk, 2).await;
    let beyond = disk.runs[&run].events_after(0, 2).remove(2);
    script.sender.events(beyond).await.unwrap();
    script.ended().await;
    go_on(&site, &mut disk, run).await;
    nothing_lost_or_double(&server, job, run).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_without_a_cursor_wait_for_it_so_that_the_log_can_always_be_gone_on_with() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let (job, run, script) = begin(&site, &server, &mut disk, 1).await;
    let mut lines = disk.runs[&run].lines_after(0, 7);
    lines[0].cursor = None;
    script.sender.log(lines.remove(0)).await.unwrap();
    drop(script);
    let mut script = Script::connect(&site, &mut disk).await;
    assert_eq!(script.known[&run].lines, 0);
    let mut lines = disk.runs[&run].lines_after(0, 7);
    lines[0].cursor = None;
    for lines in lines {
        script.sender.log(lines).await.unwrap();
    }
    script
        .hear_until("all lines", |down| {
            matches!(down, Down::Ack { log_line: 20, .. }).then_some(())
        })
        .await;
    drop(script);
    go_on(&site, &mut disk, run).await;
    nothing_lost_or_double(&server, job, run).await;
    server.stop().await;
}
