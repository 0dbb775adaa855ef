//! `basalt serve` as a whole: a job from its submission to its end, what is killed, what is ended.

use std::path::Path;
use std::process::Command;

use crate::e2e_harness::served::{begin, config, dispatcher, is_alive, keeper, kill};
use crate::e2e_harness::{Board, Running, Served, Site, http, phase, until};

/// What the board says while it measures under a load.
const MEASURING: &str = "LOADS alive=1>";

fn job(site: &Site) -> String {
    let phases = [phase("hackbench", "limit: 400us, load: [hackbench]")];
    site.job("served").realtime(&phases).text()
}

/// Everything that the processes of a site wrote for people to read later.
fn logs(site: &Site) -> String {
    let mut text = String::new();
    let mut directories = vec![site.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                directories.push(path);
            } else if [".log", ".stdout", ".stderr"]
                .iter()
                .any(|end| name.ends_with(end))
            {
                text.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
            }
        }
    }
    text
}

fn assert_nothing_runs(site: &Site) {
    assert_eq!(dispatcher(site), None, "the dispatcher is left");
    assert_eq!(keeper(site), None, "the keeper is left");
}

#[test]
fn a_job_that_is_submitted_runs_and_ctrl_c_leaves_nothing_behind() {
    let site = Site::start(&[Board::new("sim-1").uploads()]);
    // What stands before the dispatcher's command becomes it, as `ip netns exec` does.
    let start_with = ["--dispatcher-start-with", "env STARTED_WITH=words"];
    let served = Served::start(&site, "sim-1", &start_with);
    let job = served.submit(&job(&site));
    let finished = served.wait_for(job, "finished");
    assert_eq!(finished["outcome"], "pass", "{finished:#}");
    assert_eq!(finished["health"], "complete", "{finished:#}");
    assert!(!site.rack.has_power("sim-1"));

    // The link of the first start logs in, once.
    let stdout = served.stdout();
    let (_, link) = stdout.split_once("/login?token=").expect("a login link");
    let secret: String = link
        .chars()
        .take_while(|one| !one.is_whitespace())
        .collect();
    let log_in = || {
        let headers = format!(
            "Content-Type: application/x-www-form-urlencoded\r\nOrigin: http://{}\r\n",
            served.address()
        );
        let form = format!("token={secret}");
        let answer = http::raw(served.address(), "POST", "/login", &headers, &form).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert!(log_in().to_lowercase().contains("set-cookie: "));
    assert!(!log_in().to_lowercase().contains("set-cookie: "));

    let token = served.token();
    let pids = [dispatcher(&site).unwrap(), keeper(&site).unwrap()];
    let environment = std::fs::read(format!("/proc/{}/environ", pids[0])).unwrap();
    assert!(String::from_utf8_lossy(&environment).contains("STARTED_WITH=words"));
    served.signal("INT");
    let ended = served.wait();
    ended.expect_code(0);
    assert!(
        ended.stdout.contains("nothing is left running"),
        "{}",
        ended.stdout
    );
    assert!(pids.into_iter().all(|pid| !is_alive(pid)));
    assert_nothing_runs(&site);
    assert!(!site.rack.has_power("sim-1"));

    // No token is in any log: not the client's, not the dispatcher's.
    let state = site.state().join("server");
    let of_dispatcher = std::fs::read_to_string(state.join("dispatcher-token.json")).unwrap();
    let of_dispatcher: serde_json::Value = serde_json::from_str(&of_dispatcher).unwrap();
    let logs = logs(&site);
    for secret in [token.as_str(), of_dispatcher["token"].as_str().unwrap()] {
        assert!(secret.len() > 20);
        assert!(!logs.contains(secret), "a token is in a log");
    }
}

#[test]
fn ctrl_c_in_the_middle_of_a_run_gives_the_job_back_and_the_next_start_performs_it() {
    let site = Site::start(&[Board::new("sim-1").uploads()]);
    let served = Served::start(&site, "sim-1", &[]);
    site.rack.hold("sim-1", MEASURING);
    let job = served.submit(&job(&site));
    site.rack.wait_held("sim-1", 1);
    served.signal("INT");
    served.wait().expect_code(0);
    assert_nothing_runs(&site);
    assert!(!site.rack.has_power("sim-1"));
    site.rack.let_go("sim-1");
    let served = Served::start(&site, "sim-1", &[]);
    let finished = served.wait_for(job, "finished");
    assert_eq!(finished["outcome"], "pass", "{finished:#}");
    let runs = served.get(&format!("/api/v1/jobs/{job}/runs"));
    assert_eq!(runs["items"].as_array().unwrap().len(), 2, "{runs:#}");
    served.signal("TERM");
    served.wait().expect_code(0);
    assert_nothing_runs(&site);
}

#[test]
fn a_second_ctrl_c_ends_everything_at_once_and_the_run_goes_on_at_the_next_start() {
    let site = Site::start(&[Board::new("sim-1").uploads()]);
    let served = Served::start(&site, "sim-1", &[]);
    site.rack.hold("sim-1", MEASURING);
    let job = served.submit(&job(&site));
    site.rack.wait_held("sim-1", 1);
    // A dispatcher that does not do as it is told cannot make the second one late.
    let pid = dispatcher(&site).unwrap();
    let stopped = Command::new("kill")
        .args(["-STOP", &pid.to_string()])
        .status();
    assert!(stopped.unwrap().success());
    served.signal("INT");
    until("the server to say that it stops", || {
        served
            .stdout()
            .contains("again stops at once")
            .then_some(())
    });
    served.signal("INT");
    served.wait().expect_code(130);
    assert_nothing_runs(&site);
    site.rack.let_go("sim-1");
    let served = Served::start(&site, "sim-1", &[]);
    let finished = served.wait_for(job, "finished");
    assert_eq!(finished["outcome"], "pass", "{finished:#}");
    let runs = served.get(&format!("/api/v1/jobs/{job}/runs"));
    assert_eq!(runs["items"].as_array().unwrap().len(), 1, "{runs:#}");
    served.signal("INT");
    served.wait().expect_code(0);
}

#[test]
fn a_dispatcher_outlives_a_killed_server_and_is_found_and_ended_by_the_next() {
    let site = Site::start(&[Board::new("sim-1").uploads()]);
    let served = Served::start(&site, "sim-1", &[]);
    site.rack.hold("sim-1", MEASURING);
    let job = served.submit(&job(&site));
    site.rack.wait_held("sim-1", 1);
    let before = dispatcher(&site).unwrap();
    served.kill();
    assert!(is_alive(before));
    let served = Served::start(&site, "sim-1", &[]);
    site.rack.let_go("sim-1");
    let finished = served.wait_for(job, "finished");
    assert_eq!(finished["outcome"], "pass", "{finished:#}");
    let runs = served.get(&format!("/api/v1/jobs/{job}/runs"));
    assert_eq!(runs["items"].as_array().unwrap().len(), 1, "{runs:#}");
    assert_eq!(dispatcher(&site), Some(before));
    served.signal("INT");
    let ended = served.wait();
    ended.expect_code(0);
    assert!(
        ended.stdout.contains(&format!("pid {before}")),
        "{}",
        ended.stdout
    );
    assert!(!is_alive(before));
    assert_nothing_runs(&site);
}

#[test]
fn a_dispatcher_whose_token_is_of_a_database_that_is_gone_is_started_again_with_a_new_one() {
    let site = Site::start(&[Board::new("sim-1")]);
    let served = Served::start(&site, "sim-1", &[]);
    let before = until("a dispatcher", || dispatcher(&site));
    served.kill();
    for entry in std::fs::read_dir(site.state().join("server")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("basalt.db") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let served = Served::start(&site, "sim-1", &[]);
    until("another dispatcher to be online", || {
        served
            .stdout()
            .contains("dispatcher main online")
            .then_some(())
    });
    assert_ne!(dispatcher(&site), Some(before));
    served.signal("INT");
    served.wait().expect_code(0);
    assert_nothing_runs(&site);
}

#[test]
fn a_dispatcher_that_is_killed_is_started_again_and_its_run_goes_on() {
    let site = Site::start(&[Board::new("sim-1").uploads()]);
    let served = Served::start(&site, "sim-1", &[]);
    site.rack.hold("sim-1", MEASURING);
    let job = served.submit(&job(&site));
    site.rack.wait_held("sim-1", 1);
    let before = dispatcher(&site).unwrap();
    kill(before);
    let after = until("another dispatcher", || {
        dispatcher(&site).filter(|pid| *pid != before)
    });
    site.rack.let_go("sim-1");
    let finished = served.wait_for(job, "finished");
    assert_eq!(finished["outcome"], "pass", "{finished:#}");
    let runs = served.get(&format!("/api/v1/jobs/{job}/runs"));
    assert_eq!(runs["items"].as_array().unwrap().len(), 1, "{runs:#}");
    served.signal("INT");
    served.wait().expect_code(0);
    assert!(!is_alive(after));
    assert_nothing_runs(&site);
}

#[test]
fn a_second_server_is_refused_by_the_first_ones_process() {
    let site = Site::start(&[Board::new("sim-1")]);
    let served = Served::start(&site, "sim-1", &[]);
    let refused = begin(&site, "sim-1", &["--no-dispatcher"]).wait();
    refused.expect_code(75);
    let pid = format!("pid {}", served.pid());
    assert!(refused.stderr.contains(&pid), "{}", refused.stderr);
    // The first one has not been touched.
    served.get("/api/v1/boards");
    served.signal("INT");
    served.wait().expect_code(0);
}

#[test]
fn what_keeps_a_server_from_starting_is_said_by_its_name() {
    let site = Site::start(&[Board::new("sim-1")]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let in_a_file = site.path().join("rack.toml/state");
    let in_a_file = in_a_file.to_str().unwrap();
    for (arguments, code, said) in [
        (["--listen", &taken], 74, taken.as_str()),
        (["--state", in_a_file], 74, "rack.toml"),
        (
            ["--database", "sqlite:///proc/nowhere/at/all.db"],
            74,
            "nowhere",
        ),
        (["--tls", "sometimes"], 64, "sometimes"),
        (["--listen", "0.0.0.0:0"], 64, "TLS is off"),
    ] {
        let [option, value] = arguments;
        let ended = begin(&site, "sim-1", &[option, value, "--no-dispatcher"]).wait();
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(said),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert_nothing_runs(&site);
    }
}

#[test]
fn another_servers_login_stays_and_one_of_this_server_is_made_new() {
    let site = Site::start(&[Board::new("sim-1")]);
    let path = config(&site).join("basalt/client.json");
    let other = r#"{"version": 1, "server": "https://lab.example", "token": "of another"}"#;
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, other).unwrap();
    let served = Served::start(&site, "sim-1", &["--no-dispatcher"]);
    assert!(served.stdout().contains("https://lab.example and stays"));
    served.signal("INT");
    served.wait().expect_code(0);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
    assert_nothing_runs(&site);
}

/// Moves the boards behind the LCUS card to a dispatcher of its own.
fn second_dispatcher(site: &Site, lab: &Path) {
    let put = |path: &str, text: &str| {
        let path = lab.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let first = std::fs::read_to_string(lab.join("lab.yaml")).unwrap();
    let elsewhere = |key: &str| {
        let (_, rest) = first.split_once(key).unwrap();
        let port = rest.lines().next().unwrap().rsplit(':').next().unwrap();
        port.to_owned()
    };
    let address = site.lab("sim-2");
    let address = std::fs::read_to_string(address.join("lab.yaml")).unwrap();
    let (_, address) = address.split_once("address: ").unwrap();
    let address = address.lines().next().unwrap();
    put(
        "dispatchers/second.yaml",
        &format!(
            "version: 1\nname: second\naddress: {address}\ntftp: {address}:{}\nnfs: {address}:{}\nallow_hosts: [127.0.0.1]\n",
            elsewhere("tftp: "),
            elsewhere("nfs: ")
        ),
    );
    let relay = std::fs::read_to_string(lab.join("relays/card.yaml")).unwrap();
    put("relays/card.yaml", &format!("{relay}dispatcher: second\n"));
    let board = std::fs::read_to_string(lab.join("boards/sim-2.yaml")).unwrap();
    put("boards/sim-2.yaml", &format!("{board}tags: [second]\n"));
}

#[test]
fn a_dispatcher_elsewhere_serves_its_boards_over_tls_with_the_certificate_pinned() {
    let site = Site::start(&[Board::new("sim-1").uploads(), Board::new("sim-2").lcus()]);
    let lab = site.lab("sim-1");
    second_dispatcher(&site, &lab);
    let more = ["--listen", "127.0.0.1:0"];
    let served = Served::start(&site, "sim-1", &more);
    let plain = served.address();
    // A second listener of the same server would do; here the first one hands out the token.
    let (status, token) = served.ask(
        "POST",
        "/api/v1/dispatchers",
        "application/json",
        r#"{"name": "second"}"#,
    );
    assert_eq!(status, 201, "{token:#}");
    served.signal("INT");
    served.wait().expect_code(0);

    let served = Served::start(&site, "sim-1", &["--tls", "self-signed"]);
    let stdout = served.stdout();
    let (_, digest) = stdout
        .split_once("SHA-256 ")
        .expect("the certificate's digest");
    let digest = digest.lines().next().unwrap().trim();
    let address = served.address();
    assert_ne!(address, plain);
    let mut file = token.clone();
    file["certificate_sha256"] = digest.into();
    let path = site.path().join("second.json");
    write_for_owner(&path, &file.to_string());
    let dispatcher_log = |name: &str, running: &Running| {
        let text = running.stdout();
        assert!(!text.contains(name), "{text}");
    };
    let state = site.path().join("state-2");
    let begin_second = |name: &str| {
        let mut command = site.basalt(&["dispatch", "--server", &format!("https://{address}")]);
        command
            .arg("--token-file")
            .arg(&path)
            .env("BASALT_STATE", &state)
            .env("RUST_LOG", "info");
        Running::start(command, site.path(), name, site.path().join(name))
    };
    let second = begin_second("second-1");
    until("the second dispatcher to be online", || {
        served
            .stdout()
            .contains("dispatcher second online")
            .then_some(())
    });
    // A job that only its board can run, by the client as the server's start has logged it in.
    let path_of_job = site.path().join("second.yaml");
    std::fs::write(&path_of_job, format!("{}tags: [second]\n", job(&site))).unwrap();
    let mut submit = site.basalt(&["submit", "--wait"]);
    submit
        .arg(&path_of_job)
        .env("XDG_CONFIG_HOME", config(&site));
    let submitted = Running::start(submit, site.path(), "submit", path_of_job).wait();
    submitted.expect_code(0);
    assert_eq!(site.rack.truth("sim-2").len(), 1);
    assert!(!site.rack.has_power("sim-2"));
    dispatcher_log(file["token"].as_str().unwrap(), &second);
    // SIGTERM lets go of everything; the keeper goes on.
    second.signal("TERM");
    second.wait().expect_code(0);
    until("the second dispatcher to be offline", || {
        served
            .stdout()
            .contains("dispatcher second offline")
            .then_some(())
    });
    let second = begin_second("second-2");
    until("the second dispatcher to be online again", || {
        let count = served.stdout().matches("dispatcher second online").count();
        (count == 2).then_some(())
    });
    second.signal("INT");
    second.wait().expect_code(0);
    assert!(
        !state.join("keeper.pid").exists() || {
            let pid = std::fs::read_to_string(state.join("keeper.pid")).unwrap();
            !is_alive(pid.trim().parse().unwrap())
        }
    );

    // Another certificate is not believed.
    file["certificate_sha256"] = "0".repeat(64).into();
    write_for_owner(&path, &file.to_string());
    let stranger = begin_second("second-3");
    until("the dispatcher to refuse the server", || {
        let text = std::fs::read_to_string(site.path().join("second-3.stderr")).unwrap();
        text.contains("another certificate").then_some(())
    });
    // It was let in before, at this state directory, and is tried on.
    stranger.signal("INT");
    stranger.wait().expect_code(0);
    // Not even a keeper that was only being started when it was told to end.
    let is_ours =
        |arguments: &[u8]| String::from_utf8_lossy(arguments).contains(state.to_str().unwrap());
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        assert!(
            !is_ours(&arguments),
            "{}",
            String::from_utf8_lossy(&arguments)
        );
    }
    served.signal("INT");
    served.wait().expect_code(0);
    assert_nothing_runs(&site);
}

fn write_for_owner(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
