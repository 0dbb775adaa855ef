//! What the command line says of itself.

use crate::support::{basalt, repository, said};

const VERBS: [&[&str]; 30] = [
    &["serve"],
    &["dispatch"],
    &["config", "check"],
    &["submit"],
    &["jobs"],
    &["job"],
    &["logs"],
    &["latency"],
    &["why"],
    &["wait"],
    &["cancel"],
    &["resubmit"],
    &["boards"],
    &["maintenance"],
    &["dispatchers"],
    &["tokens"],
    &["users"],
    &["login"],
    &["login-link"],
    &["lab", "diff"],
    &["lab", "apply"],
    &["run"],
    &["check"],
    &["plan"],
    &["results"],
    &["lab", "check"],
    &["power"],
    &["console"],
    &["keeper"],
    &["completions"],
];

#[test]
fn every_verb_teaches_itself() {
    for verb in VERBS {
        let help = said(basalt().args(verb).arg("--help")).expect(0).stdout;
        let name = verb.join(" ");
        assert!(help.contains("Example"), "{name} shows no example:\n{help}");
        assert!(help.contains(&format!("basalt {name}")), "{name}:\n{help}");
        if name != "completions" {
            assert!(
                help.contains("Exit codes"),
                "{name} says no exit codes:\n{help}"
            );
        }
        assert!(
            !help.contains('\u{1b}'),
            "{name} colours what is no terminal"
        );
    }
}

#[test]
fn the_overview_names_every_verb_and_the_way_through() {
    let help = said(basalt().arg("--help")).expect(0).stdout;
    for verb in VERBS {
        assert!(
            help.contains(&format!("  {} ", verb[0])),
            "{}:\n{help}",
            verb[0]
        );
    }
    assert!(help.contains("A first time through"), "{help}");
}

#[test]
fn a_wrong_command_line_is_not_taken_for_an_invalid_measurement() {
    let wrong = said(basalt().args(["run", "--nonsense"])).expect(64);
    assert!(wrong.stderr.contains("--nonsense"), "{}", wrong.stderr);
    said(&mut basalt()).expect(64);
    said(basalt().args(["power", "explode", "b1"])).expect(64);
}

#[test]
fn completions_name_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let script = said(basalt().args(["completions", shell])).expect(0).stdout;
        assert!(script.contains("console"), "{shell}");
    }
}

#[test]
fn a_plan_is_shown_for_people_and_for_programs() {
    let (job, lab) = (
        repository("lab-config/virtual/jobs/realtime.yaml"),
        repository("lab-config/virtual"),
    );
    let plan = |extra: &[&str]| {
        let mut command = basalt();
        command.arg("plan").arg(&job).arg("--lab").arg(&lab);
        said(command.args(["--board", "qemu-1"]).args(extra))
    };
    let text = plan(&[]).expect(0).stdout;
    for word in [
        "tftp-deploy",
        "booti",
        "0_idle",
        "limit 400 µs (job)",
        "finalize",
    ] {
        assert!(text.contains(word), "no {word} in\n{text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&plan(&["--json"]).expect(0).stdout).unwrap();
    assert_eq!(json["board"]["name"], "qemu-1");
    let wrong = said(
        basalt()
            .arg("plan")
            .arg(&job)
            .arg("--lab")
            .arg(&lab)
            .args(["--board", "qemu-3"]),
    );
    assert!(wrong.expect(64).stderr.contains("has no board `qemu-3`"));
}
