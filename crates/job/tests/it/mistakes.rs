//! Jobs that are refused, and what is said of them.

use basalt_job::read;
use basalt_yaml::Diagnostics;
use proptest::prelude::*;

use crate::{places, refusals, shown, with_actions};

const FIVE: &str = "\
job_name: five mistakes
device_type: board
visibility: everybody
timeouts:
  job: {minutes: 5}
  action: 30s
actions:
- deploy:
    to: tftp
    kernel: {ulr: http://host/Image, type: image}
- boot:
    method: u-boot
    commands: ramdisk
    timeout: {minutes: 10}
    prompts: ['# ']
    use_bootscript: 'yes'
";

#[test]
fn five_mistakes_are_five_errors_each_at_its_place() {
    assert_eq!(
        places(FIVE),
        [
            "3:13 `visibility` must be one of `public`, `personal`, found the text `everybody`",
            "6:11 the timeout `action` must be a mapping, found the text `30s`",
            "10:14 unknown key `ulr`, and `kernel` needs `url`",
            "14:14 this timeout of 10m is larger than the whole job's of 5m",
            "16:21 `use_bootscript` must be true or false, found the text `yes`",
        ]
    );
    insta::assert_snapshot!(shown(FIVE).1, @r"
error: `visibility` must be one of `public`, `personal`, found the text `everybody`
 --> job.yaml:3:13
  |
3 | visibility: everybody
  |             ^^^^^^^^^

error: the timeout `action` must be a mapping, found the text `30s`
 --> job.yaml:6:11
  |
6 |   action: 30s
  |           ^^^
  = help: write `action: {minutes: 5}`; units: days, hours, minutes, seconds

error: unknown key `ulr`, and `kernel` needs `url`
  --> job.yaml:10:14
   |
10 |     kernel: {ulr: http://host/Image, type: image}
   |              ^^^
   = help: did you mean `url`?

error: this timeout of 10m is larger than the whole job's of 5m
  --> job.yaml:14:14
   |
14 |     timeout: {minutes: 10}
   |              ^^^^^^^^^^^^^
   = help: make it shorter, or `timeouts: job:` longer

error: `use_bootscript` must be true or false, found the text `yes`
  --> job.yaml:16:21
   |
16 |     use_bootscript: 'yes'
   |                     ^^^^^
   = help: write `yes` without quotes
");
}

#[test]
fn what_lava_has_and_is_not_supported_yet_is_refused_by_name() {
    let text = "\
job_name: everything
device_type: board
visibility: public
timeouts: {job: {minutes: 10}}
secrets: {token: x}
protocols: {lava-xnbd: {port: auto}}
notify: {criteria: {status: complete}}
actions:
- deploy: {to: fastboot, images: {boot: {url: http://host/boot.img}}}
- deploy:
    to: tftp
    kernel: {url: 'scp://host/Image', type: image}
    persistent_nfs: {address: 'host:/root'}
- boot: {method: grub, commands: ramdisk}
- boot: {method: u-boot, commands: ramdisk, prompts: '# ', use_bootscript: true, transfer_overlay: {download_command: wget, unpack_command: tar}}
- test: {docker: {image: debian}, definitions: [{from: git, repository: 'https://host/tests.git', path: t.yaml, name: t}]}
- test: {monitors: []}
- test: {interactive: []}
- test: {services: []}
- deploy: {to: tftp}
- boot: {method: u-boot, commands: [], prompts: ['root@[', '.*'], repeat: 2}
- command: {name: x}
";
    insta::assert_snapshot!(refusals(text).join("\n"), @r"
5:1 `secrets` in the job is not supported yet
6:1 `protocols` in the job is not supported yet
9:16 `to: fastboot` is not supported yet; supported: tftp
12:19 `scp:` URLs are not supported yet; supported: http, https, file
13:5 `persistent_nfs` in this deploy action is not supported yet
14:18 `method: grub` is not supported yet; supported: u-boot
15:76 `use_bootscript: true` is not supported yet
15:82 `transfer_overlay` in this boot action is not supported yet
16:10 `docker` in this test action is not supported yet
16:56 `from: git` is not supported yet; supported: inline
17:10 `monitors` in this test action is not supported yet
18:10 `interactive` in this test action is not supported yet
19:10 `services` in this test action is not supported yet
20:11 this deploy action names no file to deploy
21:36 `commands` is empty
21:50 the prompt is no regular expression: unclosed character class
21:60 the prompt matches every text, even the empty one
21:67 `repeat` in this boot action is not supported yet
22:3 the action `command` is not supported yet; supported: deploy, boot, test
");
}

#[test]
fn the_required_keys_are_named_at_once() {
    insta::assert_snapshot!(places("device_type: x\n").join("\n"), @r"
1:1 the job needs `job_name`
1:1 the job needs `timeouts`
1:1 the job needs `visibility`
1:1 the job needs `actions`
");
    insta::assert_snapshot!(places("timeouts: {}\nactions: []\n").join("\n"), @r"
1:1 the job needs `job_name`
1:1 the job needs `visibility`
1:1 the job needs `device_type`, or `protocols` with `lava-multinode`
1:11 `timeouts` needs `job`
2:10 `actions` is empty: there is nothing to do
");
    insta::assert_snapshot!(places("").join("\n"), @r"
1:1 the job must be a mapping, found nothing
");
    insta::assert_snapshot!(places("- deploy\n").join("\n"), @r"
1:1 the job must be a mapping, found a list
");
}

#[test]
fn timeouts_have_one_unit_and_fit_into_the_job() {
    let text = "\
job_name: timeouts
visibility: public
timeouts:
  job: {minutes: 10}
  action: {minutes: 1, seconds: 30}
  actions: {power-off: {minutes: 11}, x: {seconds: 0}, y: {minute: 1}}
  connection: {}
  queue: {days: 30}
actions:
- boot: {method: u-boot, commands: nfs, prompts: '# ', timeouts: {auto-login-action: {hours: 1}}}
";
    insta::assert_snapshot!(places(text).join("\n"), @r"
1:1 the job needs `device_type`, or `protocols` with `lava-multinode`
5:33 the timeout `action` has more than one unit; they are added up, where LAVA takes that
6:24 this timeout of 11m is larger than the whole job's of 10m
6:52 the timeout `x` must be at least 1, found the number `0`
6:60 the timeout `y` needs one of days, hours, minutes, seconds, found `minute`
7:15 the timeout `connection` needs one of days, hours, minutes, seconds
10:86 this timeout of 1h is larger than the whole job's of 10m, which ends it first
");
}

#[test]
fn phases_are_checked_word_by_word_and_for_sense() {
    let text = with_actions(
        "\
- test:
    timeout: {minutes: 1}
    realtime:
    - {name: a b, measure: rtla, duration: 10s, interval: 1000us}
    - {name: c, measure: cyclic, duration: 10, interval: 50us, limit: 0s, load: [stress-ng, hackbnech]}
    - {name: d, measure: cyclictest, duration: 500ms, interval: 1ms, priority: 100, preempt_rt: true}
    - {name: d, measure: cyclictest, duration: 1s, interval: 20ms, limits: 1us, load: hackbench}
    - {name: e, measure: cyclictest, duration: 1500ms, interval: 1ms, limit: 600ms, load: [hackbench, hackbench]}
- test:
    timeout: {seconds: 20}
    realtime:
    - {name: idle, measure: cyclictest, duration: 10s, interval: 1ms}
    - {name: load, measure: cyclictest, duration: 10s, interval: 1ms, load: [hackbench]}
",
    );
    insta::assert_snapshot!(places(&text).join("\n"), @r"
9:14 `a b` cannot name a test
9:28 `measure: rtla` is not supported yet; supported: cyclictest
10:26 `measure: cyclic` is not supported; supported: cyclictest
10:44 `duration` must be a duration such as `10s` or `400us`, found the number `10`
10:58 `interval` must be whole microseconds, at least 100us, found 50us
10:71 `limit` must be whole microseconds, from 1us to 500ms, found 0s
10:82 `load: stress-ng` is not supported yet; supported: hackbench
10:93 `load: hackbnech` is not supported; supported: hackbench
11:48 `duration` must be whole seconds, at least 1s, found 500ms
11:80 `priority` must be a whole number from 1 to 99, found the number `100`
11:97 `preempt_rt` must be one of `required`, `any`, found the boolean `true`
12:14 a phase named `d` comes before
12:62 1s at an interval of 20ms are 50 cycles; at least 100 are needed
12:68 unknown key `limits` in this phase
12:87 `load` must be a list, found the text `hackbench`
13:48 `duration` must be whole seconds, at least 1s, found 1s500ms
13:78 `limit` must be whole microseconds, from 1us to 500ms, found 600ms
13:103 the load `hackbench` comes twice
17:7 the phases measure for 20s together, but this action has only 20s
");
}

#[test]
fn definitions_are_checked_to_their_steps() {
    let text = with_actions(
        "\
- test:
    definitions:
    - from: inline
      name: a/b
      path: x
      lava-signal: serial
      branch: main
      parameters: {1A: x, B: [1]}
      repository:
        metadata: {format: Lava-Test Test Definition 1.1, name: x}
        install: {deps: [a], keys: [], git-repos: [{url: x}], steps: [a]}
        parse: {pattern: x}
        run:
          steps:
          - echo a: b
          - [x]
          -
    - {from: inline, name: t, path: x, repository: https://host/tests.git}
    - {from: inline, name: t, path: x, repository: {metadata: {}, rum: {steps: [a]}}}
- test: {}
- test: {definitions: [], realtime: []}
",
    );
    insta::assert_snapshot!(places(&text).join("\n"), @r"
9:13 `name` must be a name of letters, digits, `-`, `_` and `.`, found the text `a/b`
11:20 `lava-signal` must be one of `kmsg`, `stdout`, found the text `serial`
12:7 unknown key `branch` in this test definition has no effect
13:20 `1A` in `parameters` cannot name a shell variable
13:30 `B` must be a single value, found a list
15:28 `format` must be `Lava-Test Test Definition 1.0`, found the text `Lava-Test Test Definition 1.1`
16:19 `deps` in `install` is not supported yet
16:40 `git-repos` in `install` is not supported yet
17:9 `parse` in the inline definition is not supported yet
20:13 item 1 of `steps` must be a text, found a mapping
21:13 item 2 of `steps` must be a text, found a list
22:12 item 3 of `steps` must be a text, found nothing
23:52 the definition must be a mapping, found the text `https://host/tests.git`
24:63 `metadata` needs `format`
24:63 `metadata` needs `name`
24:67 unknown key `rum` in the definition has no effect
25:9 this test action needs one of `definitions`, `interactive`, `monitors`, `services`, `realtime`
26:27 unknown key `realtime` in this test action has no effect
26:37 `realtime` is empty: there is nothing to measure
");
}

#[test]
fn actions_have_one_key_and_one_namespace() {
    let text = with_actions(
        "\
- deply: {to: tftp}
- deploy:
  to: tftp
- deploy: {to: tfpt}
- boot
- boot: {method: u-boot, commands: nfs, prompts: '.*', namespace: common}
- boot: {method: u-boot, commands: nfs, prompts: [], namespace: b, connection-namespace: c, soft_reboot: reboot, role: [x]}
- boot: {method: u-boot, commands: [], namespace: b, connection-namespace: b, prompts: 'x(?=y)', auto_login: {login_prompt: 'login:', password: x}}
",
    );
    insta::assert_snapshot!(places(&text).join("\n"), @r"
6:3 there is no action `deply`
6:3 this action has no namespace although others have one
7:3 this deploy action is empty
9:3 this action has no namespace although others have one
9:16 there is no `to: tfpt`
10:3 item 4 of `actions` must be a mapping of an action to its block, found the text `boot`
11:67 `namespace` must be a name other than `common` and `docker-test-shell`, found the text `common`
12:50 `prompts` is empty
12:65 more than one namespace in a job is not supported yet
12:90 `connection-namespace: c` is not supported yet
12:114 `role` in this boot action is not supported yet
13:110 `auto_login` needs `username`
13:110 `auto_login` needs `password_prompt`
");
}

#[test]
fn files_are_checked_before_anything_is_fetched() {
    let text = with_actions(
        "\
- deploy:
    to: tftp
    kernel: {url: Image, type: vmlinux}
    dtb: http://host/x.dtb
    ramdisk: {url: 'file:rootfs.cpio', md5sum: abc, compression: gzip}
    nfsrootfs: {url: 'http://host/a b', md5sum: d41d8cd98f00b204e9800998ecf8427e, sha256sum: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}
- deploy: {to: tftp}
- deploy: {to: tftp, kernel: {url: 'http://host/Image'}}
",
    );
    insta::assert_snapshot!(places(&text).join("\n"), @r"
8:32 `type` must be one of `image`, `uimage`, `zimage`, found the text `vmlinux`
9:10 `dtb` must be a mapping, found the text `http://host/x.dtb`
10:66 `compression` must be one of `bz2`, `gz`, `xz`, `zip`, `zstd`, found the text `gzip`
11:22 a URL has no blanks in it
11:83 `md5sum` and `sha256sum` exclude each other
12:11 this deploy action names no file to deploy
");
}

#[test]
fn context_names_are_checked() {
    let text = format!(
        "context: {{extra_kernel_arg: x, menu_interrupt_prompt: {{}}, no_kvm: true}}\n{}",
        with_actions("- boot: {method: u-boot, commands: nfs, prompts: '# '}\n")
    );
    insta::assert_snapshot!(places(&text).join("\n"), @r"
1:11 `extra_kernel_arg` is none of the variables that LAVA allows in `context`
1:55 `menu_interrupt_prompt` must be a text or a whole number or a list, found a mapping
");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A faultless job with a part of it replaced: either it is read or there is an error.
    #[test]
    fn a_damaged_job_is_read_or_refused(
        start in 0usize..4000,
        length in 0usize..40,
        insert in "[\\PC\n]{0,12}",
    ) {
        let whole = include_str!("../jobs/u-boot-tftp.yaml");
        let start = whole.floor_char_boundary(start.min(whole.len()));
        let end = whole.floor_char_boundary((start + length).min(whole.len()));
        let text = format!("{}{insert}{}", &whole[..start], &whole[end..]);
        let mut diagnostics = Diagnostics::new();
        let job = read("job.yaml", &text, &mut diagnostics);
        prop_assert_eq!(job.is_none(), diagnostics.has_errors());
    }
}
