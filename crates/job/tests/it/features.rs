//! The whole language: jobs that use all of it are read, and none of it is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use basalt_job::definition::{ActionKind, JobDefinition, Visibility};
use basalt_job::multinode::{Player, split};
use basalt_job::{Options, Reading, destinations, methods, read_test_definition, read_with};
use basalt_yaml::Diagnostics;

const DEPLOY: &str = include_str!("../jobs/every-deploy.yaml");
const BOOT: &str = include_str!("../jobs/every-boot.yaml");
const TEST: &str = include_str!("../jobs/every-test.yaml");
const KEY: &str = include_str!("../jobs/every-key.yaml");
const MULTINODE: &str = include_str!("../jobs/multinode.yaml");

/// Reads a job in the strict reading, with nothing to say against it but what has no effect yet.
fn strictly(text: &str) -> JobDefinition {
    let mut diagnostics = Diagnostics::new();
    let options = Options {
        reading: Reading::Strict,
        ..Options::default()
    };
    let job = read_with("job.yaml", text, &options, &mut diagnostics);
    job.unwrap_or_else(|| panic!("{:#?}", diagnostics.sorted()))
}

/// The words under `to` or `method` in a job's text.
fn words<'t>(text: &'t str, key: &str) -> BTreeSet<&'t str> {
    text.lines()
        .filter_map(|line| {
            let place = line.find(key)?;
            // In flow style a brace stands before the first key.
            let before = line[..place].trim_start_matches(['-', ' ']);
            let first = matches!(before, "" | "boot: {" | "deploy: {");
            first.then(|| (before, &line[place + key.len()..]))
        })
        .map(|(_, rest)| rest.split([',', '}', ' ']).next().unwrap_or_default())
        .collect()
}

#[test]
fn every_destination_is_understood_and_stands_in_the_sample() {
    assert_eq!(destinations().len(), 25);
    assert_eq!(words(DEPLOY, "to: "), destinations().into_iter().collect());
    let job = strictly(DEPLOY);
    assert_eq!(job.actions.len(), DEPLOY.matches("- deploy:").count());
    // What cannot be run is named, once a block.
    for action in &job.actions {
        if let ActionKind::Other(other) = &action.kind {
            assert!(
                job.refusals.iter().any(|refusal| {
                    refusal.span.line >= action.span.line
                        && refusal.span.start < other.block.span.end
                }),
                "{:?} is passed over in silence",
                other.word
            );
        }
    }
}

#[test]
fn every_method_is_understood_and_stands_in_the_sample() {
    assert_eq!(methods().len(), 33);
    assert_eq!(words(BOOT, "method: "), methods().into_iter().collect());
    let job = strictly(BOOT);
    assert_eq!(job.actions.len(), BOOT.matches("- boot:").count());
    let refused = |word: &str| {
        job.refusals
            .iter()
            .any(|refusal| refusal.message.starts_with(&format!("`method: {word}`")))
    };
    for action in &job.actions {
        if let ActionKind::Other(other) = &action.kind
            && let Some(word) = other.word.as_deref()
            && word != "u-boot"
        {
            assert!(refused(word), "{word} is passed over in silence");
        }
    }
}

#[test]
fn every_kind_of_test_is_understood() {
    let job = strictly(TEST);
    assert_eq!(job.actions.len(), 6);
    let refusals = job
        .refusals
        .iter()
        .map(|refusal| format!("{}: {}", refusal.span.line, refusal.message))
        .collect::<Vec<_>>()
        .join("\n");
    insta::assert_snapshot!(refusals, @r"
11: `from: git` is not supported yet; supported: inline
25: `from: url` is not supported yet; supported: inline
53: `keys` in `install` is not supported yet
54: `sources` in `install` is not supported yet
55: `deps` in `install` is not supported yet
56: `deps-fedora` in `install` is not supported yet
58: `git-repos` in `install` is not supported yet
61: `parse` in the inline definition is not supported yet
67: `docker` in this test action is not supported yet
71: `from: git` is not supported yet; supported: inline
73: `monitors` in this test action is not supported yet
81: `interactive` in this test action is not supported yet
94: `services` in this test action is not supported yet
97: the action `command` is not supported yet; supported: deploy, boot, test
");
}

#[test]
fn every_key_of_a_job_is_read() {
    let job = strictly(KEY);
    assert_eq!(job.priority, 75);
    assert_eq!(job.worker.as_deref(), Some("dispatcher-1"));
    assert!(job.reboot_to_fastboot);
    assert_eq!(job.secrets, [("token".to_owned(), "s3cret".to_owned())]);
    assert_eq!(job.timeouts.job.duration, Duration::from_secs(86_400));
    assert!(job.timeouts.actions[1].1.skip);
    assert_eq!(job.protocols.xnbd.expect("stated").port, None);
    let notify = job.notify.expect("stated");
    assert_eq!(notify.criteria.change.as_deref(), Some("regression"));
    assert_eq!((notify.recipients.len(), notify.callbacks.len()), (2, 4));
    assert!(notify.callbacks[0].post && notify.callbacks[0].json);
    assert!(!notify.callbacks[1].post && !notify.callbacks[1].json);
    assert_eq!(
        notify.compare.expect("stated").query.expect("stated")["name"],
        "all"
    );
    let first = &job.actions[0];
    assert_eq!(first.roles, ["client"]);
    assert_eq!(first.connection_namespace.as_deref(), Some("target"));
    assert_eq!(
        first.protocols.as_ref().expect("stated")["lava-xnbd"][0]["request"],
        "set_port"
    );
    assert_eq!(job.actions[1].repeat, Some(2));
}

#[test]
fn a_multinode_job_is_split_by_role_and_count() {
    let job = strictly(MULTINODE);
    assert_eq!(job.visibility, Visibility::Personal);
    assert_eq!(job.priority, 100);
    let multinode = job.protocols.multinode.as_ref().expect("stated");
    assert_eq!(multinode.pool_pattern.as_deref(), Some("rack-1"));
    let Player::Guest {
        host_role,
        expect_role,
        ..
    } = &multinode.roles[2].1.player
    else {
        panic!("a guest");
    };
    assert_eq!(
        (host_role.as_str(), expect_role.as_str()),
        ("client", "server")
    );

    let parts = split(&job);
    let shown: Vec<String> = parts
        .iter()
        .map(|part| {
            let wanted = part.job.device_type.as_ref().map(|wanted| &*wanted.value);
            format!(
                "{}/{} {} on {} with {} actions, tags {:?}, essential {}",
                part.index,
                part.group_size,
                part.role,
                wanted.or(part.host_role.as_deref()).unwrap_or_default(),
                part.job.actions.len(),
                part.job.tags,
                part.essential
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "0/4 server on x86 with 3 actions, tags [\"10g\"], essential true",
            "1/4 client on imx8mp-evk with 3 actions, tags [], essential false",
            "2/4 client on imx8mp-evk with 3 actions, tags [], essential false",
            "3/4 guest on client with 0 actions, tags [\"a\"], essential false",
        ]
    );
    assert_eq!(
        parts[0].job.environment,
        [("PEER".to_owned(), "client".to_owned())]
    );
    assert_eq!(parts[0].job.context[0].0, "extra_kernel_args");
    assert!(split(&strictly(KEY)).is_empty());
}

#[test]
fn a_test_definition_of_its_own_file_is_read() {
    let text = "\
metadata: {format: Lava-Test Test Definition 1.0, name: smoke, description: short}
params: {LOOPS: 5}
install: {deps: [rt-tests], steps: [./prepare.sh]}
run: {steps: [./smoke.sh, 'lava-test-case a --result pass']}
";
    let mut diagnostics = Diagnostics::new();
    let skip = ["deps".to_owned()];
    let definition = read_test_definition(
        "smoke.yaml",
        text,
        &skip,
        &Options::default(),
        &mut diagnostics,
    )
    .expect("faultless");
    assert_eq!(definition.name, "smoke");
    assert_eq!(definition.install_steps, ["./prepare.sh"]);
    assert_eq!(definition.steps.len(), 2);

    let damaged = text
        .replace("1.0", "0.9")
        .replace("steps: [./smoke", "step: [./smoke");
    let none = read_test_definition(
        "smoke.yaml",
        &damaged,
        &skip,
        &Options::default(),
        &mut diagnostics,
    );
    assert_eq!(none, None);
    let places: Vec<_> = diagnostics
        .sorted()
        .iter()
        .map(|found| (found.span.line, found.span.column))
        .collect();
    assert_eq!(places, [(1, 20), (4, 7)]);
}

#[test]
fn limits_of_several_units_are_added_up_and_need_not_be_whole() {
    let text = KEY.replace("{days: 1, skip: false}", "{hours: 1.5, minutes: 3}");
    let mut diagnostics = Diagnostics::new();
    let job = read_with("job.yaml", &text, &Options::default(), &mut diagnostics)
        .expect("taken with a warning");
    assert_eq!(job.timeouts.job.duration, Duration::from_secs(5580));
    assert!(
        diagnostics
            .sorted()
            .iter()
            .any(|found| found.message.contains("more than one unit"))
    );
}

#[test]
fn files_that_come_with_a_job_are_listed_and_are_no_paths() {
    let uploads: Vec<String> = strictly(DEPLOY)
        .uploads
        .into_iter()
        .map(|upload| upload.value)
        .collect();
    assert_eq!(uploads, ["Image", "root.tar.xz"]);
    for bad in ["../Image", "", "a/b", ".ssh", "a b"] {
        let text = DEPLOY.replace("upload:Image", &format!("upload:{bad}"));
        let mut diagnostics = Diagnostics::new();
        let job = read_with("job.yaml", &text, &Options::default(), &mut diagnostics);
        assert_eq!(job, None, "{bad:?}");
        assert_eq!(diagnostics.error_count(), 1, "{bad:?}");
    }
}
