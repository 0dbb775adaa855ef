//! A database whose disk is full, and has room again (decision D23): on a small file system of the
//! test's own.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use basalt_api::{NewToken, Problem};
use basalt_link::{Down, Up};
use basalt_model::{JobState, Outcome, UserName};
use basalt_server::Actor;

use super::site::JOB;
use super::{Disk, Script, Site};

/// Set for the process in the namespace: where the small file system is to be.
const PLACE: &str = "BASALT_TEST_FULL_DISK";
const NAME: &str =
    "dispatching::full_disk::a_full_disk_refuses_what_is_new_loses_nothing_and_goes_on_with_room";

#[test]
fn a_full_disk_refuses_what_is_new_loses_nothing_and_goes_on_with_room() {
    if let Some(place) = std::env::var_os(PLACE) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(on_a_small_disk(Path::new(&place)));
    }
    let unshare = |command: &mut Command| {
        let flags: &[&str] = match rustix::process::geteuid().is_root() {
            true => &["--mount"],
            false => &["--mount", "--user", "--map-root-user"],
        };
        command.args(flags).arg("--");
    };
    let mut probe = Command::new("unshare");
    unshare(&mut probe);
    if !probe
        .arg("true")
        .status()
        .is_ok_and(|ended| ended.success())
    {
        println!("skipped: this host lets nobody have mounts of his own (unshare --mount)");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new("unshare");
    unshare(&mut child);
    let ended = child
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(PLACE, directory.path())
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

/// Fills the disk to its last byte; removed, there is room again.
fn fill(place: &Path) -> std::path::PathBuf {
    let path = place.join("ballast");
    let mut file = File::create(&path).unwrap();
    for size in [1 << 20, 64 << 10, 4 << 10, 512, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
    path
}

async fn on_a_small_disk(place: &Path) {
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=24m", "none"])
        .arg(place)
        .status();
    assert!(mounted.unwrap().success(), "a mount of our own");
    let mut site = Site::below(place);
    site.tcp = true;
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let job = server.submit().await;
    let run = script.take(&mut disk).await;
    disk.runs.get_mut(&run).unwrap().begin();
    script.send_all(&disk, run).await;
    let new = NewToken {
        label: "test".into(),
        user: Some(UserName::new("admin")),
        expires_utc_us: None,
    };
    let token = server.app.create_token(&Actor::System, &new).await.unwrap();
    // Fails only if another test was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    let client = client.build().unwrap();
    let submit = async |number: usize| {
        // Each has a text of its own, which has to be stored.
        let text = format!("{JOB}# {number} {}\n", "x".repeat(200_000));
        let request = client
            .post(format!("{}/api/v1/jobs", server.url))
            .bearer_auth(&token.secret)
            .header("content-type", "application/yaml");
        request.body(text).send().await.unwrap()
    };

    let ballast = fill(place);
    let mut taken = Vec::new();
    let mut refused = None;
    // What the database has of its own lasts for a few.
    for number in 0..1000 {
        let answer = submit(number).await;
        match answer.status().as_u16() {
            201 => taken.push(answer.json::<basalt_api::Job>().await.unwrap().id),
            507 => {
                refused = Some(answer.json::<Problem>().await.unwrap());
                break;
            }
            status => panic!("{status}: {}", answer.text().await.unwrap()),
        }
    }
    let problem = refused.expect("a full disk is said");
    assert_eq!(problem.kind, "/problems/storage-full");
    assert!(problem.hint.contains("made room"), "{problem:?}");
    // What is there can be read, by whoever was let in.
    let path = format!("{}/api/v1/jobs/{job}", server.url);
    let answer = client.get(path).bearer_auth(&token.secret).send().await;
    assert!(answer.unwrap().status().is_success());
    // A dispatcher is heard, and nothing of it acknowledged that is not stored.
    let on_disk = disk.runs.get_mut(&run).unwrap();
    for number in 0..20_000 {
        on_disk.line(format!("{number} {}\r\n", "y".repeat(100)).as_bytes());
    }
    on_disk.end(Outcome::Pass, None);
    let known = script.known[&run];
    for lines in disk.runs[&run].lines_after(known.lines, 400) {
        script.sender.log(lines).await.unwrap();
    }
    for number in 1..=3 {
        script.say(Up::Heartbeat { number }).await;
        let heard = |down: &Down| {
            matches!(down, Down::HeartbeatAck { number: of } if *of == number).then_some(())
        };
        script.hear_until("the heartbeat's answer", heard).await;
    }
    let (events, lines) = {
        let on_disk = &disk.runs[&run];
        (on_disk.events.len() as u64, on_disk.lines.len() as u64)
    };
    let stored = server.app.store.run(run).await.unwrap().unwrap();
    assert!(stored.log_line < lines, "the disk was not full");

    std::fs::remove_file(ballast).unwrap();
    for events in disk.runs[&run].events_after(known.events, 2) {
        script.sender.events(events).await.unwrap();
    }
    script
        .hear_until("the acknowledgement of everything", |down| {
            matches!(down, Down::Ack { events_seq, log_line, .. }
                if *events_seq == events && *log_line == lines)
            .then_some(())
        })
        .await;
    script.say_ended(&mut disk, run).await;
    let finished = server
        .job_that(job, |job| job.state == JobState::Finished)
        .await;
    assert_eq!(
        (finished.runs.len(), finished.outcome),
        (1, Some(Outcome::Pass))
    );
    // What was taken is there, and more is taken.
    for job in taken {
        assert!(server.job(job).await.state.is_queued() || server.job(job).await.run.is_some());
    }
    assert_eq!(submit(1000).await.status(), 201);
    server.stop().await;
}
