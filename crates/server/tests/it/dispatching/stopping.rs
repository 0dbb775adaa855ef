//! Starting for the first time, stopping, and starting again.

use std::os::unix::fs::PermissionsExt;

use basalt_link::{Down, Up};
use basalt_model::{Culprit, Failure, Outcome, Role};
use basalt_server::{Actor, StopMode};

use super::site::{JOB, admin};
use super::{Disk, Script, Site};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_makes_an_administrator_with_a_link_that_works_once() {
    let site = Site::new();
    let server = site.start().await;
    let link = server.server().login_link().unwrap().to_owned();
    let token = link.split_once("token=").unwrap().1;
    let (session, actor) = server.app.begin_session(token).await.unwrap();
    assert!(matches!(
        actor,
        Actor::User {
            role: Role::Administrator,
            ..
        }
    ));
    assert_eq!(server.app.session(&session).await.unwrap(), actor);
    assert!(server.app.begin_session(token).await.is_err());
    for secret in ["client-token.json", "dispatcher-token.json"] {
        let mode = std::fs::metadata(site.state().join(secret)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{secret}");
    }
    server.app.end_session(&session).await.unwrap();
    assert_eq!(
        server.app.session(&session).await.unwrap(),
        Actor::Anonymous
    );
    let dispatchers_token = site.token();
    server.kill();
    let server = site.start().await;
    assert_eq!(server.server().login_link(), None);
    // A dispatcher that outlived the server still gets in.
    assert_eq!(site.token(), dispatchers_token);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_do_not_serve_from_one_directory() {
    let site = Site::new();
    let server = site.start().await;
    let refused = tokio::spawn({
        let config = basalt_server::ServerConfig {
            state: site.state(),
            database: None,
            tcp: Vec::new(),
            unix: None,
            lab: Vec::new(),
            limits: basalt_server::Limits::default(),
            public_url: String::new(),
            objects: None,
            embedded: false,
            certificate_sha256: None,
            webhook_hosts: Vec::new(),
            keep: Default::default(),
        };
        basalt_server::Server::start(config)
    });
    let error = refused.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("another server"), "{error}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_that_is_told_to_end_ends_its_runs_and_puts_their_jobs_back() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let job = server.submit().await;
    let run = script.take(&mut disk).await;
    disk.runs.get_mut(&run).unwrap().begin();
    script.send_all(&disk, run).await;
    server.server().stop(StopMode::End);
    let app = server.app.clone();
    let finishing = tokio::spawn(server.finished());
    script
        .hear_until("the word to stop", |down| {
            matches!(
                down,
                Down::Stop {
                    mode: basalt_link::StopMode::End
                }
            )
            .then_some(())
        })
        .await;
    let refused = app.submit(&admin(), JOB, None).await.unwrap_err();
    assert!(refused.to_string().contains("stopping"), "{refused}");
    script.say(Up::Stopping).await;
    let failure = Failure::new(
        Culprit::Infrastructure,
        "lab-stopped",
        "the lab was stopped",
    );
    disk.runs
        .get_mut(&run)
        .unwrap()
        .end(Outcome::Incomplete, Some(failure));
    script.send_all(&disk, run).await;
    script.say_ended(&mut disk, run).await;
    drop(script);
    finishing.await.unwrap();
    drop(app);

    let server = site.start().await;
    let waiting = server.job(job).await;
    assert!(waiting.state.is_queued(), "{:?}", waiting.state);
    let mut script = Script::connect(&site, &mut disk).await;
    script.perform_one(&mut disk).await;
    let job = server.job(job).await;
    assert_eq!((job.runs.len(), job.outcome), (2, Some(Outcome::Pass)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_gives_the_same_job_and_another_text_is_refused() {
    let site = Site::new();
    let server = site.start().await;
    let first = server
        .app
        .submit(&admin(), JOB, Some("ci-7"))
        .await
        .unwrap();
    let again = server
        .app
        .submit(&admin(), JOB, Some("ci-7"))
        .await
        .unwrap();
    assert!(!first.replayed && again.replayed);
    assert_eq!(first.job.id, again.job.id);
    let other = JOB.replace("three cases", "four cases");
    let conflict = server.app.submit(&admin(), &other, Some("ci-7")).await;
    assert!(
        conflict
            .unwrap_err()
            .to_string()
            .contains("idempotency key")
    );
    let repeated = server
        .app
        .resubmit(&admin(), first.job.id, None)
        .await
        .unwrap();
    assert_eq!(repeated.job.resubmission_of, Some(first.job.id));
    server.stop().await;
}
