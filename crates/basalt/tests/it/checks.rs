//! `basalt check` and `basalt lab check`: all mistakes at once, each at its place.

use serde_json::Value;

use crate::support::{Lab, basalt, repository, said};

const FIVE_MISTAKES: &str = "\
job_name: five mistakes
device_type: simulated
timeouts:
  job: {minutes: 5}
  action: {fortnights: 1}
priority: urgent
visibility: public
actions:
  - deploy:
      to: tftp
      kernel: {type: image}
  - boot:
      method: u-boot
      commands: ramdisk
      failure_retry: often
      prompts: ['# ']
  - test:
      realtime:
        - {name: idle, measure: stopwatch, duration: 10s, interval: 1000us}
";

/// Line and column of every error in a JSON list.
fn places(json: &str) -> Vec<(u64, u64)> {
    let list: Value = serde_json::from_str(json).unwrap();
    let errors = list.as_array().unwrap().iter();
    errors
        .filter(|entry| entry["severity"] == "error")
        .map(|entry| {
            let number = |key: &str| entry[key].as_u64().unwrap();
            assert!(!entry["message"].as_str().unwrap().is_empty());
            (number("line"), number("column"))
        })
        .collect()
}

#[test]
fn five_mistakes_of_a_job_come_at_once_each_at_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let job = directory.path().join("job.yaml");
    std::fs::write(&job, FIVE_MISTAKES).unwrap();
    let text = said(basalt().arg("check").arg(&job)).expect(1).stdout;
    for line in [5, 6, 11, 15, 19] {
        let place = format!("{}:{line}:", job.display());
        assert!(text.contains(&place), "nothing at line {line}:\n{text}");
    }
    assert!(text.contains("5 errors"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    let json = said(basalt().arg("check").arg("--json").arg(&job))
        .expect(1)
        .stdout;
    let lines: Vec<u64> = places(&json).into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [5, 6, 11, 15, 19], "{json}");
}

#[test]
fn good_jobs_are_named_and_a_file_that_is_not_there_is_no_reason_to_stop() {
    let good = repository("lab-config/virtual/jobs/realtime.yaml");
    let both = said(basalt().args(["check", "/nowhere.yaml"]).arg(&good)).expect(1);
    assert!(both.stderr.contains("/nowhere.yaml"), "{}", both.stderr);
    assert!(both.stdout.contains("✔"), "{}", both.stdout);
    let json = said(basalt().args(["check", "--json"]).arg(&good))
        .expect(0)
        .stdout;
    assert_eq!(json.trim(), "[]");
}

#[test]
fn mistakes_in_several_files_of_a_lab_come_at_once() {
    let lab = Lab::new();
    let check = |extra: &[&str]| said(basalt().args(["lab", "check"]).arg(lab.path()).args(extra));
    let good = check(&[]).expect(0).stdout;
    for word in ["b1", "simulated", "pdu:1", "tasmota"] {
        assert!(good.contains(word), "no {word} in\n{good}");
    }
    lab.write(
        "lab.yaml",
        "version: 1\nname: test\ndispatcher: {adress: 127.0.0.1}\n",
    );
    lab.write(
        "boards/b2.yaml",
        "version: 1\nname: b2\ntype: simulatde\npower: {relay: pud, outlet: 1}\nconsole: {tcp: nowhere}\n",
    );
    let text = check(&[]).expect(1).stdout;
    for place in [
        "lab.yaml:3:",
        "boards/b2.yaml:3:",
        "boards/b2.yaml:4:",
        "boards/b2.yaml:5:",
    ] {
        assert!(text.contains(place), "nothing at {place}\n{text}");
    }
    let json = check(&["--json"]).expect(1).stdout;
    assert!(places(&json).len() >= 4, "{json}");
    let nothing = said(basalt().args(["lab", "check", "/nowhere"])).expect(64);
    assert!(nothing.stderr.contains("/nowhere"), "{}", nothing.stderr);
}

#[test]
fn colours_come_when_asked_for_and_not_otherwise() {
    let job = repository("lab-config/virtual/jobs/realtime.yaml");
    let check = |arguments: &[&str], no_color: bool| {
        let mut command = basalt();
        command.arg("check").arg(&job).args(arguments);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        said(&mut command).expect(0).stdout
    };
    assert!(check(&["--color", "always"], false).contains('\u{1b}'));
    assert!(!check(&[], true).contains('\u{1b}'));
    assert!(!check(&["--color", "never"], false).contains('\u{1b}'));
}

/// The YAML blocks of a text in Markdown that begin with their path (`# boards/b1.yaml`).
fn named_blocks(markdown: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for line in markdown.lines() {
        let text = line.trim_start();
        match &mut block {
            None if text == "```yaml" => block = Some((line.len() - text.len(), String::new())),
            None => {}
            Some(_) if text == "```" => blocks.extend(block.take().map(|(_, text)| text)),
            Some((indent, content)) => {
                content.push_str(line.get(*indent..).unwrap_or_default());
                content.push('\n');
            }
        }
    }
    let named = blocks.into_iter().filter_map(|text| {
        let path = text.lines().next()?.strip_prefix("# ")?;
        path.ends_with(".yaml")
            .then(|| (path.to_owned(), text.clone()))
    });
    named.collect()
}

#[test]
fn the_lab_in_the_readme_is_right_and_whole() {
    let directory = tempfile::tempdir().unwrap();
    let readme = std::fs::read_to_string(repository("README.md")).unwrap();
    for (path, text) in named_blocks(&readme) {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let checked = said(basalt().args(["lab", "check"]).arg(directory.path())).expect(0);
    for word in ["shelf-lab", "imx8-1", "my-imx8", "shelf:3"] {
        assert!(checked.stdout.contains(word), "{}", checked.stdout);
    }
    assert!(!checked.stdout.contains("warning"), "{}", checked.stdout);
}

#[test]
fn files_that_look_like_the_labs_and_are_not_read_are_named() {
    let lab = Lab::new();
    lab.write("boards/b2.yml", "version: 1\n");
    lab.write("device_types/imx8.yaml", "version: 1\n");
    lab.write("notes/shelf.yml", "version: 1\n");
    let checked = said(basalt().args(["lab", "check"]).arg(lab.path())).expect(0);
    for word in [
        "boards/b2.yml",
        "`boards/b2.yaml`",
        "device_types/",
        "`device-types/`",
        "2 warnings",
    ] {
        assert!(checked.stdout.contains(word), "{word}: {}", checked.stdout);
    }
}

#[test]
fn a_lava_dictionary_is_rendered_alone_and_a_lab_of_them_is_checked() {
    let lava = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/tests/lava");
    let render = |arguments: &[&str]| {
        let mut command = basalt();
        command.args(["lab", "lava", "render", "--types"]);
        command.arg(lava.join("device-types")).args(arguments);
        said(&mut command)
    };
    let golden =
        |name: &str| std::fs::read_to_string(lava.join(format!("golden/{name}.yaml"))).unwrap();
    assert_eq!(render(&["own-riscv"]).expect(0).stdout, golden("own-riscv"));
    let dictionary = lava.join("devices/arm64-1.jinja2");
    let dictionary = dictionary.to_string_lossy();
    let text = render(&["--dictionary", &dictionary]).expect(0).stdout;
    assert_eq!(text, golden("arm64-1"));
    let context = r#"{"extra_kernel_args": "nosmt"}"#;
    let text = render(&["--dictionary", &dictionary, "--context", context]);
    assert!(text.expect(0).stdout.contains("115200 nosmt root="));
    let refused = render(&["nowhere"]).expect(1);
    assert!(
        refused.stderr.contains("nowhere.jinja2"),
        "{}",
        refused.stderr
    );

    let lab = tempfile::tempdir().unwrap();
    let head = format!(
        "version: 1\nname: old\ndispatcher: {{address: 10.77.0.1}}\nlava: {}\n",
        lava.display()
    );
    std::fs::write(lab.path().join("lab.yaml"), head).unwrap();
    let text = said(basalt().args(["lab", "check"]).arg(lab.path()))
        .expect(0)
        .stdout;
    for word in [
        "arm64-1",
        "own-arm64",
        "plug-plug-1.lab:2",
        "/usr/local/bin/pdu",
        "x86-1",
    ] {
        assert!(text.contains(word), "no {word} in:\n{text}");
    }
}
