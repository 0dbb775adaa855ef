//! Accounts and tokens by the command line: what CI gets, and what is taken back.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::e2e_harness::served::config;
use crate::e2e_harness::{Board, Served, Site, http, phase};
use crate::support::{Said, said};

/// A verb for a server, by the login that the server left.
fn perform(site: &Site, arguments: &[&str]) -> Said {
    let mut command: Command = site.basalt(arguments);
    command
        .current_dir(site.path())
        .env("XDG_CONFIG_HOME", config(site))
        .env_remove("BASALT_SERVER")
        .env_remove("BASALT_TOKEN");
    said(&mut command)
}

fn json(said: &Said) -> serde_json::Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stdout))
}

#[test]
fn ci_gets_a_token_that_submits_once_and_that_can_be_taken_back() {
    let site = Site::start(&[Board::new("sim-1")]);
    let served = Served::start(&site, "sim-1", &["--no-dispatcher"]);
    let added = perform(&site, &["users", "add", "ann"]).expect(0);
    assert!(added.stdout.contains("--for ann"), "{}", added.stdout);
    let users = json(&perform(&site, &["users", "--json"]).expect(0));
    let ann = users.as_array().unwrap().iter();
    let ann: Vec<_> = ann.filter(|user| user["name"] == "ann").collect();
    assert_eq!(ann.len(), 1, "{users:#}");
    assert_eq!(ann[0]["role"], "user");

    let create = ["tokens", "create", "ci", "--for", "ann"];
    let to_file = [&create[..], &["--token-file", "ci.token"]].concat();
    let made = perform(&site, &to_file).expect(0);
    let path = site.path().join("ci.token");
    let secret = std::fs::read_to_string(&path).unwrap().trim().to_owned();
    assert!(secret.len() > 20);
    assert!(!made.stdout.contains(&secret) && !made.stderr.contains(&secret));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = perform(&site, &to_file).expect(64);
    assert!(again.stderr.contains("there already"), "{}", again.stderr);
    let tokens = || json(&perform(&site, &["tokens", "--user", "ann", "--json"]).expect(0));
    let listed = tokens();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed:#}");
    assert_eq!(listed[0]["label"], "ci");
    assert!(!listed.to_string().contains(&secret));

    // What the README tells CI to do, twice: it is one job.
    let phases = [phase("hackbench", "limit: 400us, load: [hackbench]")];
    let job = site.job("ci").realtime(&phases).text();
    let submit = |secret: &str| {
        let headers = format!(
            "Authorization: Bearer {secret}\r\nIdempotency-Key: commit-1\r\nContent-Type: \
             application/yaml\r\n"
        );
        let address = served.address();
        let (status, text) =
            http::request_with(address, "POST", "/api/v1/jobs", &headers, &job).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        (status, answer["id"].as_i64())
    };
    let (status, first) = submit(&secret);
    assert_eq!(status, 201);
    assert!(first.is_some());
    assert_eq!(submit(&secret).1, first);

    let id = listed[0]["id"].to_string();
    perform(&site, &["tokens", "revoke", &id]).expect(0);
    assert_eq!(submit(&secret).0, 401);
    assert_eq!(tokens(), serde_json::json!([]));
    perform(&site, &["tokens", "revoke", &id]).expect(64);

    // Without a file the secret alone is on standard output.
    let piped = perform(&site, &create).expect(0);
    assert_eq!(piped.stdout.lines().count(), 1, "{}", piped.stdout);
    let secret = piped.stdout.trim();
    assert_eq!(submit(secret).1, first);
    perform(&site, &["users", "disable", "ann"]).expect(0);
    assert_eq!(submit(secret).0, 401);
    perform(&site, &["users", "enable", "ann"]).expect(0);
    let role = perform(&site, &["users", "role", "ann", "administrator", "--json"]);
    assert_eq!(json(&role.expect(0))["role"], "administrator");
    served.signal("INT");
    served.wait().expect_code(0);
}
