//! The ways to stop a server and a dispatcher (decision D23), with real processes.

use std::path::Path;

use crate::e2e_harness::served::{dispatcher, is_alive, keeper};
use crate::e2e_harness::{Board, Running, Served, Site, phase, until};

/// What the board says while it measures under a load.
const MEASURING: &str = "LOADS alive=1>";

fn job(site: &Site) -> String {
    let phases = [phase("hackbench", "limit: 400us, load: [hackbench]")];
    site.job("stopped").realtime(&phases).text()
}

fn runs(served: &Served<'_>, job: i64) -> usize {
    let runs = served.get(&format!("/api/v1/jobs/{job}/runs"));
    runs["items"].as_array().unwrap().len()
}

fn said(served: &Served<'_>, text: &str) {
    until(text, || served.stdout().contains(text).then_some(()));
}

#[test]
fn a_server_that_drains_finishes_what_runs_starts_nothing_and_leaves_nothing() {
    let site = Site::start(&[Board::new("sim-1").uploads()]);
    let served = Served::start(&site, "sim-1", &["--on-stop", "drain"]);
    site.rack.hold("sim-1", MEASURING);
    let first = served.submit(&job(&site));
    site.rack.wait_held("sim-1", 1);
    let second = served.submit(&job(&site));
    served.signal("TERM");
    said(&served, "draining: ");
    // It answers, and takes no more.
    let (status, problem) = served.ask("POST", "/api/v1/jobs", "application/yaml", &job(&site));
    assert_ne!(status, 201, "{problem:#}");
    assert_eq!(
        served.get(&format!("/api/v1/jobs/{first}"))["state"],
        "running"
    );
    site.rack.let_go("sim-1");
    let ended = served.wait();
    ended.expect_code(0);
    assert!(ended.stdout.contains("nothing is left"), "{}", ended.stdout);
    assert_eq!((dispatcher(&site), keeper(&site)), (None, None));
    assert!(!site.rack.has_power("sim-1"));

    let served = Served::start(&site, "sim-1", &[]);
    let finished = served.get(&format!("/api/v1/jobs/{first}"));
    assert_eq!(finished["outcome"], "pass", "{finished:#}");
    assert_eq!(runs(&served, first), 1);
    // The one that waited was not begun, and is now.
    assert_eq!(served.wait_for(second, "finished")["outcome"], "pass");
    assert_eq!(runs(&served, second), 1);
    served.signal("INT");
    served.wait().expect_code(0);
}

#[test]
fn a_second_signal_ends_what_a_draining_server_waits_for() {
    let site = Site::start(&[Board::new("sim-1").uploads()]);
    let served = Served::start(&site, "sim-1", &[]);
    site.rack.hold("sim-1", MEASURING);
    let job = served.submit(&job(&site));
    site.rack.wait_held("sim-1", 1);
    served.signal("USR1");
    said(&served, "draining: ");
    served.signal("INT");
    let ended = served.wait();
    ended.expect_code(0);
    assert!(
        ended.stdout.contains("go back to the queue"),
        "{}",
        ended.stdout
    );
    assert_eq!((dispatcher(&site), keeper(&site)), (None, None));
    assert!(!site.rack.has_power("sim-1"));
    site.rack.let_go("sim-1");
    let served = Served::start(&site, "sim-1", &[]);
    assert_eq!(served.wait_for(job, "finished")["outcome"], "pass");
    assert_eq!(runs(&served, job), 2);
    served.signal("INT");
    served.wait().expect_code(0);
}

#[test]
fn a_server_that_detaches_leaves_dispatcher_and_run_for_the_next_one() {
    let site = Site::start(&[Board::new("sim-1").uploads()]);
    let served = Served::start(&site, "sim-1", &["--on-stop", "detach"]);
    site.rack.hold("sim-1", MEASURING);
    let job = served.submit(&job(&site));
    site.rack.wait_held("sim-1", 1);
    let before = (dispatcher(&site).unwrap(), keeper(&site).unwrap());
    served.signal("TERM");
    let ended = served.wait_and_leave();
    ended.expect_code(0);
    assert!(ended.stdout.contains("its runs go on"), "{}", ended.stdout);
    assert!(is_alive(before.0) && is_alive(before.1));
    assert!(site.rack.has_power("sim-1"));
    let served = Served::start(&site, "sim-1", &[]);
    site.rack.let_go("sim-1");
    assert_eq!(served.wait_for(job, "finished")["outcome"], "pass");
    assert_eq!(runs(&served, job), 1);
    assert_eq!(dispatcher(&site), Some(before.0));
    served.signal("INT");
    served.wait().expect_code(0);
    assert_eq!((dispatcher(&site), keeper(&site)), (None, None));
}

/// `basalt dispatch` for the server of a site, by this token file.
fn dispatch(site: &Site, served: &Served<'_>, token: &Path, name: &str) -> Running {
    let server = format!("http://{}", served.address());
    let mut command = site.basalt(&["dispatch", "--server", &server, "--on-stop", "drain"]);
    command
        .arg("--token-file")
        .arg(token)
        .env("RUST_LOG", "info");
    Running::start(command, site.path(), name, site.path().join(name))
}

#[test]
fn a_dispatcher_drains_by_itself_and_one_with_a_wrong_token_ends_with_the_way_out() {
    let site = Site::start(&[Board::new("sim-1").uploads()]);
    let served = Served::start(&site, "sim-1", &["--no-dispatcher"]);
    let (status, mut token) = served.ask(
        "POST",
        "/api/v1/dispatchers",
        "application/json",
        r#"{"name": "main"}"#,
    );
    assert_eq!(status, 201, "{token:#}");
    let path = site.path().join("main.json");
    let right = token["token"].clone();
    token["token"] = "basalt_dispatcher_of_another_lab".into();
    write_for_owner(&path, &token.to_string());
    let refused = dispatch(&site, &served, &path, "refused").wait();
    refused.expect_code(77);
    assert!(
        refused.stderr.contains("basalt dispatchers add main"),
        "{}",
        refused.stderr
    );
    assert_eq!((dispatcher(&site), keeper(&site)), (None, None));

    token["token"] = right;
    write_for_owner(&path, &token.to_string());
    let running = dispatch(&site, &served, &path, "let-in");
    site.rack.hold("sim-1", MEASURING);
    let job = served.submit(&job(&site));
    site.rack.wait_held("sim-1", 1);
    running.signal("TERM");
    let stderr = site.path().join("let-in.stderr");
    until("the word that it drains", || {
        let text = std::fs::read_to_string(&stderr).unwrap();
        text.contains("no new runs").then_some(())
    });
    site.rack.let_go("sim-1");
    running.wait().expect_code(0);
    assert_eq!(served.wait_for(job, "finished")["outcome"], "pass");
    assert_eq!(runs(&served, job), 1);
    assert!(!site.rack.has_power("sim-1"));
    served.signal("INT");
    served.wait().expect_code(0);
}

fn write_for_owner(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
