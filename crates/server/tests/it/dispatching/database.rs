//! A database that goes away, comes back, and stands still, under runs that go on.

use basalt_link::{Down, Up};
use basalt_model::{JobState, Outcome};
use basalt_private_postgres::{PrivatePostgres, Settings};

use super::{Disk, Script, Site};

/// A site on PostgreSQL.
fn site() -> (Site, PrivatePostgres) {
    let cluster = PrivatePostgres::start(Settings { fsync: false }).unwrap();
    let mut site = Site::new();
    site.database = Some(cluster.url());
    (site, cluster)
}

async fn heartbeat(script: &mut Script, number: u64) {
    script.say(Up::Heartbeat { number }).await;
    script
        .hear_until("the heartbeat's acknowledgement", |down| {
            matches!(down, Down::HeartbeatAck { number: of } if *of == number).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_database_delays_a_run_and_loses_nothing_of_it() {
    let (site, mut cluster) = site();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let job = server.submit().await;
    let run = script.take(&mut disk).await;
    disk.runs.get_mut(&run).unwrap().begin();
    script.send_all(&disk, run).await;
    cluster.kill9().unwrap();
    disk.runs.get_mut(&run).unwrap().end(Outcome::Pass, None);
    let known = script.known[&run];
    for events in disk.runs[&run].events_after(known.events, 2) {
        script.sender.events(events).await.unwrap();
    }
    // The dispatcher is heard, whatever the database does.
    for number in 1..=3 {
        heartbeat(&mut script, number).await;
    }
    let restarting = tokio::task::spawn_blocking(move || {
        cluster.restart().unwrap();
        cluster
    });
    let cluster = restarting.await.unwrap();
    let all = disk.runs[&run].events.len() as u64;
    script
        .hear_until("the acknowledgement of everything", |down| {
            matches!(down, Down::Ack { events_seq, .. } if *events_seq == all).then_some(())
        })
        .await;
    script.say_ended(&mut disk, run).await;
    let job = server
        .job_that(job, |job| job.state == JobState::Finished)
        .await;
    assert_eq!((job.runs.len(), job.outcome), (1, Some(Outcome::Pass)));
    assert_eq!(
        server.stored_events(run).await,
        (1..=all).collect::<Vec<_>>()
    );
    // What was submitted while it was away would have been refused or kept; now it goes on.
    let next = server.submit().await;
    let run = script.perform_one(&mut disk).await;
    assert_eq!(server.job(next).await.run, Some(run));
    server.stop().await;
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_database_stops_no_heartbeat() {
    let (site, cluster) = site();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let job = server.submit().await;
    let run = script.take(&mut disk).await;
    disk.runs.get_mut(&run).unwrap().perform();
    cluster.freeze().unwrap();
    for events in disk.runs[&run].events_after(0, 2) {
        script.sender.events(events).await.unwrap();
    }
    for number in 1..=3 {
        heartbeat(&mut script, number).await;
    }
    cluster.thaw().unwrap();
    let all = disk.runs[&run].events.len() as u64;
    script
        .hear_until("the acknowledgement of everything", |down| {
            matches!(down, Down::Ack { events_seq, .. } if *events_seq == all).then_some(())
        })
        .await;
    for lines in disk.runs[&run].lines_after(0, 100) {
        script.sender.log(lines).await.unwrap();
    }
    script.say_ended(&mut disk, run).await;
    let job = server
        .job_that(job, |job| job.state == JobState::Finished)
        .await;
    assert_eq!((job.runs.len(), job.outcome), (1, Some(Outcome::Pass)));
    server.stop().await;
}
