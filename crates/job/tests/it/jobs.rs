//! Jobs that are taken.

use std::time::Duration;

use basalt_job::definition::{
    ActionKind, Checksum, Commands, Compression, ContextValue, KernelType, Load, Visibility,
};

use crate::{shown, with_actions};

#[test]
fn a_job_of_lava_users_is_read_with_every_detail() {
    let (job, found) = shown(include_str!("../jobs/u-boot-tftp.yaml"));
    insta::assert_snapshot!(found, @r#"
warning: `notify` in the job has no effect: nobody is told of a job's end yet
  --> job.yaml:35:1
   |
35 | notify:
   | ^^^^^^

warning: `password` must be a text, found the number `0000`
  --> job.yaml:85:17
   |
85 |       password: 0000
   |                 ^^^^
   = help: put it into quotes: "0000"
"#);
    let job = job.expect("only warnings");
    assert_eq!(
        job.device_type.map(|name| name.value).as_deref(),
        Some("imx8mp-evk")
    );
    assert_eq!(
        job.visibility,
        Visibility::Group(vec!["realtime".into(), "kernel".into()])
    );
    assert_eq!((job.priority, job.tags.len()), (50, 2));
    assert_eq!(job.timeouts.job.duration, Duration::from_secs(1800));
    assert_eq!(
        job.timeouts.queue.map(|queue| queue.duration),
        Some(Duration::from_secs(172_800))
    );
    assert_eq!(job.timeouts.actions[1].0, "finalize");
    let loglevel = &job.context[1];
    assert_eq!(
        (loglevel.0.as_str(), &loglevel.1.value),
        ("kernel_loglevel", &ContextValue::Integer(7))
    );
    assert_eq!(job.metadata["build"], 4711);
    assert_eq!(
        job.environment,
        [
            ("SAMPLES".into(), "1000".into()),
            ("CPU".into(), "3".to_owned())
        ]
    );
    assert_eq!(job.actions.len(), 4);

    let ActionKind::DeployTftp(deploy) = &job.actions[0].kind else {
        panic!("a deploy action");
    };
    let (kernel, kind) = deploy.kernel.as_ref().expect("stated");
    assert_eq!(
        (*kind, kernel.compression),
        (KernelType::Image, Some(Compression::Gz))
    );
    let Some(Checksum::Sha256(digest)) = kernel.checksum else {
        panic!("a SHA-256");
    };
    assert!(digest.to_string().starts_with("e3b0c442"));
    assert!(
        deploy
            .modules
            .as_ref()
            .is_some_and(|modules| modules.archive_tar)
    );
    assert!(
        deploy
            .ramdisk
            .as_ref()
            .is_some_and(|ramdisk| ramdisk.uboot_header && ramdisk.install_overlay)
    );
    let nfs = deploy.nfsrootfs.as_ref().expect("stated");
    assert_eq!(
        (nfs.prefix.as_deref(), nfs.install_overlay),
        (Some("rootfs/"), false)
    );
    assert_eq!(
        nfs.artifact.headers,
        [("Authorization".to_owned(), "Bearer 010".to_owned())]
    );
    assert_eq!(
        (
            job.actions[0].failure_retry,
            job.actions[0].failure_retry_interval
        ),
        (Some(3), Some(Duration::from_secs(5)))
    );

    let ActionKind::BootUBoot(boot) = &job.actions[1].kind else {
        panic!("a boot action");
    };
    assert!(matches!(&boot.commands, Commands::Named(name) if name.value == "ramdisk"));
    assert_eq!(boot.prompts[0].value, "root@(.*):~#");
    assert!(job.actions[1].timeout.is_some_and(|timeout| timeout.skip));
    let login = boot.auto_login.as_ref().expect("stated");
    assert_eq!(
        login.password,
        Some(("Password:".to_owned(), "0000".to_owned()))
    );

    let ActionKind::TestDefinitions(definitions) = &job.actions[2].kind else {
        panic!("a test action");
    };
    let definition = &definitions[0];
    assert!(definition.kmsg);
    let parameters: Vec<_> = definition
        .parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(parameters, ["LOOPS=5", "MODE=quick", "TITLE=a b"]);
    assert_eq!(definition.inline.steps[2], "true");
    assert_eq!(definition.inline.install_steps, ["./prepare.sh"]);
    assert_eq!(definition.inline.expected, ["uname", "note"]);
    assert!(
        definition
            .inline
            .source
            .contains("\"format\": \"Lava-Test Test Definition 1.0\"")
    );

    let ActionKind::TestRealtime(phases) = &job.actions[3].kind else {
        panic!("a realtime action");
    };
    assert_eq!(
        (phases[0].interval, phases[0].limit),
        (Duration::from_millis(1), Some(Duration::from_micros(400)))
    );
    assert_eq!(
        (phases[0].priority, phases[0].require_preempt_rt),
        (95, true)
    );
    assert_eq!(
        (
            phases[1].priority,
            phases[1].require_preempt_rt,
            phases[1].limit
        ),
        (80, false, None)
    );
    assert_eq!(phases[1].load, [Load::Hackbench]);
}

#[test]
fn unknown_keys_are_warnings_with_the_key_that_was_meant() {
    let text = with_actions(
        "- boot:\n    method: u-boot\n    commands: nfs\n    prompts: '# '\n    auto-login: {}\n    colour: red\n",
    );
    let (job, found) = shown(&text);
    assert!(job.is_some());
    insta::assert_snapshot!(found, @r"
warning: unknown key `auto-login` in this boot action has no effect
  --> job.yaml:10:5
   |
10 |     auto-login: {}
   |     ^^^^^^^^^^
   = help: did you mean `auto_login`?

warning: unknown key `colour` in this boot action has no effect
  --> job.yaml:11:5
   |
11 |     colour: red
   |     ^^^^^^
");
}

#[test]
fn values_for_the_board_are_pythons_and_surprises_are_warned_of() {
    let text = format!(
        "environment: {{A: yes, B: 0755, C: 1.50, D: 'no', E: 1:30}}\n{}",
        with_actions(
            "- boot: {method: u-boot, commands: [setenv x 010, '010', boot], prompts: '# '}\n"
        )
    );
    let (job, found) = shown(&text);
    let job = job.expect("only warnings");
    let values: Vec<&str> = job
        .environment
        .iter()
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(values, ["True", "493", "1.5", "no", "90"]);
    insta::assert_snapshot!(found, @r#"
warning: the board will see `A` as `True`: YAML reads `yes` so
 --> job.yaml:1:18
  |
1 | environment: {A: yes, B: 0755, C: 1.50, D: 'no', E: 1:30}
  |                  ^^^
  = help: put it into quotes: "yes"

warning: the board will see `B` as `493`: YAML reads `0755` so
 --> job.yaml:1:26
  |
1 | environment: {A: yes, B: 0755, C: 1.50, D: 'no', E: 1:30}
  |                          ^^^^
  = help: put it into quotes: "0755"

warning: the board will see `C` as `1.5`: YAML reads `1.50` so
 --> job.yaml:1:35
  |
1 | environment: {A: yes, B: 0755, C: 1.50, D: 'no', E: 1:30}
  |                                   ^^^^
  = help: put it into quotes: "1.50"

warning: the board will see `E` as `90`: YAML reads `1:30` so
 --> job.yaml:1:53
  |
1 | environment: {A: yes, B: 0755, C: 1.50, D: 'no', E: 1:30}
  |                                                     ^^^^
  = help: put it into quotes: "1:30"
"#);
    let ActionKind::BootUBoot(boot) = &job.actions[0].kind else {
        panic!("a boot action");
    };
    assert_eq!(
        boot.commands,
        Commands::List(vec!["setenv x 010".into(), "010".into(), "boot".into()])
    );
}

#[test]
fn an_empty_kernel_start_message_waits_for_nothing() {
    let text = with_actions(
        "- boot:\n    method: u-boot\n    commands: nfs\n    prompts: '# '\n    parameters: {kernel-start-message: ''}\n",
    );
    let (job, found) = shown(&text);
    assert_eq!(found, "");
    let ActionKind::BootUBoot(boot) = &job.expect("faultless").actions[0].kind else {
        panic!("a boot action");
    };
    assert_eq!(boot.kernel_start_message.as_deref(), Some(""));
}
