//! Silent dispatchers (decision D2), and runs that are lost.

use std::time::{Duration, Instant};

use basalt_link::{Down, Up};
use basalt_model::{BoardName, Epoch, JobState, LeaseState, Outcome};
use basalt_server::Limits;

use super::site::{Process, admin};
use super::{Disk, Script, Site, wait_for};

/// Short, and safe all the same.
const LIMITS: Limits = Limits {
    heartbeat: Duration::from_millis(100),
    offline_limit: Duration::from_millis(600),
    margin: Duration::from_millis(300),
};

async fn acknowledged(script: &mut Script, number: u64) {
    script.say(Up::Heartbeat { number }).await;
    script
        .hear_until("the heartbeat's acknowledgement", |down| {
            matches!(down, Down::HeartbeatAck { number: of } if *of == number).then_some(())
        })
        .await;
}

/// A run that goes on, on a server with short limits; the other board is out of service.
async fn running(
    site: &mut Site,
) -> (
    Process,
    Disk,
    Script,
    basalt_model::JobId,
    basalt_model::RunId,
) {
    site.limits = LIMITS;
    let server = site.start().await;
    server.maintain("board-2", true).await;
    let mut disk = Disk::default();
    let mut script = Script::connect(site, &mut disk).await;
    let job = server.submit().await;
    let run = script.take(&mut disk).await;
    disk.runs.get_mut(&run).unwrap().begin();
    script.send_all(&disk, run).await;
    (server, disk, script, job, run)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_dispatchers_run_is_given_up_after_limit_and_margin_and_not_before() {
    let mut site = Site::new();
    let (server, mut disk, mut script, job, run) = running(&mut site).await;
    acknowledged(&mut script, 1).await;
    // The server acknowledged before this moment: it may give up no sooner than this much later
    // than that, which the test's own clock can only see as more.
    let heard = Instant::now();
    script.say(Up::Heartbeat { number: 2 }).await;
    drop(script);
    server
        .job_that(job, |job| {
            job.runs.iter().all(|run| run.finished_utc_us.is_some())
        })
        .await;
    assert!(heard.elapsed() >= LIMITS.offline_limit + LIMITS.margin);
    let requeued = server.job(job).await;
    assert!(requeued.state.is_queued(), "{:?}", requeued.state);
    assert_eq!(requeued.runs.len(), 1);
    let reason = requeued.runs[0].reason.as_deref().unwrap_or_default();
    assert!(reason.contains("was not heard"), "{reason}");

    // It comes back, is told to throw the run away, and gets the job again under a new epoch.
    let mut script = Script::connect(&site, &mut disk).await;
    assert_eq!(script.welcome.discard, [run]);
    assert!(disk.runs.is_empty());
    let again = script.perform_one(&mut disk).await;
    assert_ne!(again, run);
    let job = server
        .job_that(job, |job| job.state == JobState::Finished)
        .await;
    assert_eq!((job.runs.len(), job.outcome), (2, Some(Outcome::Pass)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_of_a_run_that_was_given_up_is_not_taken() {
    let mut site = Site::new();
    let (server, mut disk, script, job, run) = running(&mut site).await;
    drop(script);
    server
        .job_that(job, |job| job.runs[0].finished_utc_us.is_some())
        .await;
    let before = server.stored_events(run).await;
    disk.runs.get_mut(&run).unwrap().end(Outcome::Pass, None);
    let late = disk.runs[&run].events_after(before.len() as u64, 10);
    let mut script = Script::connect(&site, &mut disk).await;
    for events in late {
        script.sender.events(events).await.unwrap();
    }
    script.ended().await;
    assert_eq!(server.stored_events(run).await, before);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_down_waits_the_whole_time_from_its_own_start() {
    let mut site = Site::new();
    let (server, disk, script, job, run) = running(&mut site).await;
    server.kill();
    drop(script);
    let started = Instant::now();
    let server = site.start().await;
    server
        .job_that(job, |job| job.runs[0].finished_utc_us.is_some())
        .await;
    assert!(started.elapsed() >= LIMITS.offline_limit + LIMITS.margin);
    assert!(disk.runs.contains_key(&run));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_run_whose_files_never_come_ends_by_its_own_events() {
    let mut site = Site::new();
    let (server, mut disk, mut script, job, run) = running(&mut site).await;
    disk.runs.get_mut(&run).unwrap().end(Outcome::Fail, None);
    script.send_all(&disk, run).await;
    drop(script);
    let job = server
        .job_that(job, |job| job.state == JobState::Finished)
        .await;
    assert_eq!((job.runs.len(), job.outcome), (1, Some(Outcome::Fail)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_its_dispatcher_lost_goes_back_to_the_queue_at_once() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let job = server.submit().await;
    let lost = script.take(&mut disk).await;
    server
        .job_that(job, |job| job.state == JobState::Running)
        .await;
    drop(script);
    disk.runs.clear();
    let mut script = Script::connect(&site, &mut disk).await;
    let again = script.perform_one(&mut disk).await;
    assert_ne!(again, lost);
    let job = server
        .job_that(job, |job| job.state == JobState::Finished)
        .await;
    assert_eq!(job.runs.len(), 2);
    assert_eq!(job.runs[0].lease_state, LeaseState::Ended);
    let reason = job.runs[0].reason.as_deref().unwrap_or_default();
    assert!(reason.contains("has lost it"), "{reason}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_runs_are_lost_again_and_again_ends_as_infrastructures_fault() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let job = server.submit().await;
    for _ in 0..5 {
        let mut script = Script::connect(&site, &mut disk).await;
        let run = script.take(&mut disk).await;
        server
            .job_that(job, |job| {
                job.run == Some(run) && job.state == JobState::Running
            })
            .await;
        drop(script);
        disk.runs.clear();
    }
    let _script = Script::connect(&site, &mut disk).await;
    let job = server
        .job_that(job, |job| job.state == JobState::Finished)
        .await;
    assert_eq!(
        (job.runs.len(), job.outcome),
        (5, Some(Outcome::Incomplete))
    );
    let failure = job.failure.unwrap();
    assert_eq!(failure.code, "run-lost");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_that_drove_boards_by_itself_gets_higher_epochs() {
    let site = Site::new();
    let server = site.start().await;
    server.maintain("board-2", true).await;
    let mut disk = Disk::default();
    disk.epochs.insert("board-1".into(), 41);
    let mut script = Script::connect(&site, &mut disk).await;
    server.submit().await;
    let assignment = script.hear_assign().await;
    assert_eq!(assignment.epoch, Epoch(42));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_of_an_offline_dispatcher_is_given_to_nobody_and_the_wait_is_explained() {
    let site = Site::new();
    let server = site.start().await;
    let job = server.submit().await;
    let why = wait_for("an explanation", async || {
        let why = server.app.why(&admin(), job).await.unwrap();
        why.position.is_some().then_some(why)
    })
    .await;
    assert!(why.sentence.contains("offline"), "{}", why.sentence);
    assert_eq!(why.boards.len(), 3);
    let board = server
        .app
        .board(&admin(), &BoardName::new("board-1"))
        .await
        .unwrap();
    assert_eq!(board.fenced_until_utc_us, None);
    server.stop().await;
}
