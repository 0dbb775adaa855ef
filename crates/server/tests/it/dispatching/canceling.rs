//! Jobs that are ended before their time, at whatever moment.

use basalt_link::{Down, Up};
use basalt_model::{Culprit, Failure, Health, JobState, Outcome};

use super::site::admin;
use super::{Disk, Script, Site};

fn canceled() -> Failure {
    Failure::new(Culprit::Canceled, "canceled", "somebody ended it")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_the_queue_is_finished_at_once() {
    let site = Site::new();
    let server = site.start().await;
    let job = server.submit().await;
    let job = server
        .app
        .cancel(&admin(), job, Some("wrong kernel"))
        .await
        .unwrap();
    assert_eq!(
        (job.state, job.outcome),
        (JobState::Finished, Some(Outcome::Canceled))
    );
    assert_eq!(job.cancel_reason.as_deref(), Some("wrong kernel"));
    // Nobody gets it any more.
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let other = server.submit().await;
    assert_eq!(script.hear_assign().await.job, other);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_told_to_end_and_its_job_is_canceled() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let job = server.submit().await;
    let run = script.take(&mut disk).await;
    disk.runs.get_mut(&run).unwrap().begin();
    script.send_all(&disk, run).await;
    let canceling = server.app.cancel(&admin(), job, None).await.unwrap();
    assert_eq!(canceling.state, JobState::Canceling);
    assert!(!canceling.may_cancel);
    let reason = script
        .hear_until("the word to end", |down| match down {
            Down::Cancel { run: of, reason } if *of == run => Some(reason.clone()),
            _ => None,
        })
        .await;
    assert_eq!(reason, "canceled by admin: asked for");
    disk.runs
        .get_mut(&run)
        .unwrap()
        .end(Outcome::Canceled, Some(canceled()));
    script.send_all(&disk, run).await;
    script.say_ended(&mut disk, run).await;
    let job = server.job(job).await;
    assert_eq!(
        (job.outcome, job.health),
        (Some(Outcome::Canceled), Health::Canceled)
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_to_end_that_was_not_heard_is_said_again_with_the_welcome() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let job = server.submit().await;
    let run = script.take(&mut disk).await;
    server
        .job_that(job, |job| job.state == JobState::Running)
        .await;
    drop(script);
    server.app.cancel(&admin(), job, None).await.unwrap();
    let mut script = Script::connect(&site, &mut disk).await;
    script
        .hear_until("the word to end", |down| {
            matches!(down, Down::Cancel { run: of, .. } if *of == run).then_some(())
        })
        .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_canceled_before_its_dispatcher_took_it_never_runs() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let job = server.submit().await;
    // Heard, and lost with the process that heard it.
    script.hear_assign().await;
    drop(script);
    server.app.cancel(&admin(), job, None).await.unwrap();
    let mut script = Script::connect(&site, &mut disk).await;
    let job = server
        .job_that(job, |job| job.state == JobState::Finished)
        .await;
    assert_eq!(job.outcome, Some(Outcome::Canceled));
    let other = server.submit().await;
    assert_eq!(script.hear_assign().await.job, other);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_canceled_while_its_dispatcher_takes_it_is_told_to_end_when_it_says_so() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let job = server.submit().await;
    let assignment = script.hear_assign().await;
    server.app.cancel(&admin(), job, None).await.unwrap();
    script
        .hear_until("the word to end", |down| {
            matches!(down, Down::Cancel { .. }).then_some(())
        })
        .await;
    // That word came before the run was there, so it did nothing.
    disk.take(&assignment);
    let run = assignment.run;
    script.say(Up::Accepted { run }).await;
    script
        .hear_until("the word to end", |down| {
            matches!(down, Down::Cancel { run: of, .. } if *of == run).then_some(())
        })
        .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canceled_job_whose_run_is_lost_stays_canceled() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let job = server.submit().await;
    script.take(&mut disk).await;
    server
        .job_that(job, |job| job.state == JobState::Running)
        .await;
    server.app.cancel(&admin(), job, None).await.unwrap();
    drop(script);
    disk.runs.clear();
    let _script = Script::connect(&site, &mut disk).await;
    let job = server
        .job_that(job, |job| job.state == JobState::Finished)
        .await;
    assert_eq!((job.runs.len(), job.outcome), (1, Some(Outcome::Canceled)));
    server.stop().await;
}
