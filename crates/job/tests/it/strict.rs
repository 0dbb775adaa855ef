//! The strict reading: what LAVA's strict validation refuses beside what everybody refuses.

use basalt_job::{Options, Reading, read_with};
use basalt_yaml::{Diagnostics, Source};

fn shown(text: &str, options: &Options) -> String {
    let mut diagnostics = Diagnostics::new();
    let job = read_with("job.yaml", text, options, &mut diagnostics);
    assert_eq!(job.is_none(), diagnostics.has_errors());
    let source = Source {
        name: "job.yaml".into(),
        text: text.into(),
    };
    diagnostics.render(&[source], false)
}

const SLIPS: &str = "\
job_name: slips
device_type: board
visibility: public
timeouts: {job: {minutes: 10}, action: {minutes: 1, seconds: 30}}
actions:
- deploy:
    to: tftp
    kernal: {url: https://host/Image}
- boot:
    method: u-boot
    commands: nfs
    failure_message: Kernel panic
    prompts: ['# ']
    auto_login: {login_prompt: 'login:', username: root, password: x}
- test:
    monitors: []
    definitions: []
";

#[test]
fn slips_that_are_warnings_are_errors_in_the_strict_reading() {
    let strict = Options {
        reading: Reading::Strict,
        ..Options::default()
    };
    insta::assert_snapshot!(shown(SLIPS, &strict), @r"
error: the timeout `action` has more than one unit
 --> job.yaml:4:62
  |
4 | timeouts: {job: {minutes: 10}, action: {minutes: 1, seconds: 30}}
  |                                                              ^^
  = help: use one unit, such as `minutes: 90`

warning: this deploy action names no file to deploy
 --> job.yaml:7:5
  |
7 |     to: tftp
  |     ^^^^^^^^
  = help: add `kernel`, and `ramdisk` or `nfsrootfs`

error: unknown key `kernal` in this deploy action
 --> job.yaml:8:5
  |
8 |     kernal: {url: https://host/Image}
  |     ^^^^^^
  = help: did you mean `kernel`?

error: `failure_message` in this boot action is not in LAVA's strict schema, although LAVA's code knows it
  --> job.yaml:12:5
   |
12 |     failure_message: Kernel panic
   |     ^^^^^^^^^^^^^^^
   = help: leave out `--strict` to allow it

error: `auto_login` needs `password_prompt`
  --> job.yaml:14:17
   |
14 |     auto_login: {login_prompt: 'login:', username: root, password: x}
   |                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error: unknown key `monitors` in this test action
  --> job.yaml:16:5
   |
16 |     monitors: []
   |     ^^^^^^^^
   = help: keys that it may have too: connection-namespace, disconnect_connection, docker, downloads-namespace, failure_retry, failure_retry_interval, namespace, protocols, repeat, role, timeout, timeouts

warning: `definitions` is empty
  --> job.yaml:17:18
   |
17 |     definitions: []
   |                  ^^
");
}

#[test]
fn the_lax_reading_takes_them_and_says_so() {
    insta::assert_snapshot!(shown(SLIPS, &Options::default()), @r"
warning: the timeout `action` has more than one unit; they are added up, where LAVA takes that
 --> job.yaml:4:62
  |
4 | timeouts: {job: {minutes: 10}, action: {minutes: 1, seconds: 30}}
  |                                                              ^^
  = help: use one unit, such as `minutes: 90`

warning: unknown key `kernal` in this deploy action has no effect
 --> job.yaml:8:5
  |
8 |     kernal: {url: https://host/Image}
  |     ^^^^^^
  = help: did you mean `kernel`?

warning: `auto_login` needs `password_prompt`
  --> job.yaml:14:17
   |
14 |     auto_login: {login_prompt: 'login:', username: root, password: x}
   |                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

warning: unknown key `monitors` in this test action has no effect
  --> job.yaml:16:5
   |
16 |     monitors: []
   |     ^^^^^^^^
");
}

#[test]
fn a_site_may_allow_more_variables() {
    let text = SLIPS.replace("visibility", "context: {rack_number: 5}\nvisibility");
    assert!(shown(&text, &Options::default()).contains("`rack_number` is none of the variables"));
    let options = Options {
        extra_context: vec!["rack_number".into()],
        ..Options::default()
    };
    assert!(!shown(&text, &options).contains("rack_number` is none"));
}
