//! What is added to the board's root: LAVA's layout and helpers, and ours (facts: LAVA 2026.07,
//! "overlay layout on the board" and "helper scripts").
//!
//! Pure: a plan in, files out. The helpers are POSIX sh and need nothing on the board but a shell
//! and the usual small tools; they work under busybox and dash.

use basalt_plan::Plan;
use basalt_plan::plan::{BlockKind, Definition, Realtime, TestStage};

/// One file of the overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayFile {
    /// Absolute path on the board.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub content: Vec<u8>,
}

macro_rules! board_scripts {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../board/", $name)))),+]
    };
}

/// The helpers, by name; `@LAVA@` stands for the overlay's directory, `@SHELL@` for the shell.
const SCRIPTS: &[(&str, &str)] = board_scripts![
    "basalt-environment",
    "basalt-load",
    "basalt-phase",
    "basalt-send",
    "basalt-show",
    "basalt-signal",
    "basalt-spool",
    "basalt-stage",
    "lava-test-case",
    "lava-test-event",
    "lava-test-raise",
    "lava-test-reference",
    "lava-test-runner",
    "lava-test-set",
    "lava-test-shell",
];

/// The overlay's directory on the board: `/lava-7`.
pub fn root(plan: &Plan, job_number: u64) -> String {
    plan.board
        .shell
        .results_dir
        .replace("%s", &job_number.to_string())
}

/// Where the measurement program writes its result file, for phase `index` of a stage.
pub fn phase_directory(root: &str, stage: usize, index: usize) -> String {
    format!("{root}/{stage}/phase-{index}")
}

/// Every file of the overlay, parents before children are the writer's business.
pub fn build(plan: &Plan, job_number: u64) -> Vec<OverlayFile> {
    let root = root(plan, job_number);
    let shell = &plan.board.shell.shell;
    let mut files: Vec<OverlayFile> = SCRIPTS
        .iter()
        .map(|(name, text)| {
            let text = text.replace("@LAVA@", &root).replace("@SHELL@", shell);
            file(format!("{root}/bin/{name}"), 0o755, text)
        })
        .collect();
    files.push(file(
        format!("{root}/environment"),
        0o644,
        environment(plan, job_number),
    ));
    for block in &plan.blocks {
        match &block.kind {
            BlockKind::Test(stage) => add_stage(&mut files, &root, job_number, stage),
            BlockKind::Realtime(realtime) => add_phases(&mut files, &root, realtime),
            BlockKind::Deploy(_) | BlockKind::Boot(_) => {}
        }
    }
    files
}

fn file(path: String, mode: u32, text: String) -> OverlayFile {
    OverlayFile {
        path,
        mode,
        content: text.into_bytes(),
    }
}

fn environment(plan: &Plan, job_number: u64) -> String {
    let mut text = String::new();
    let own = [
        ("LAVA_JOB_ID", job_number.to_string()),
        ("LAVA_DISPATCHER_IP", plan.dispatcher.address.to_string()),
        ("LAVA_DEVICE_HOSTNAME", plan.board.name.to_string()),
        ("LAVA_DEVICE_TYPE", plan.board.device_type.clone()),
    ];
    let own = own.iter().map(|(name, value)| (*name, value.as_str()));
    let jobs = plan
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in own.chain(jobs) {
        text.push_str(&format!("export {name}={}\n", quote(value)));
    }
    text
}

fn add_stage(files: &mut Vec<OverlayFile>, root: &str, job_number: u64, stage: &TestStage) {
    let directory = format!("{root}/{}", stage.stage);
    let mut list = String::new();
    for (index, definition) in stage.definitions.iter().enumerate() {
        let test = format!("{directory}/tests/{}", definition.suite);
        list.push_str(&format!("{test}\n"));
        let uuid = format!("{job_number}_{}.{}", stage.stage + 1, index + 1);
        files.push(file(
            format!("{test}/run.sh"),
            0o755,
            run_script(root, &test, &uuid, definition),
        ));
        files.push(file(format!("{test}/uuid"), 0o644, format!("{uuid}\n")));
        files.push(file(
            format!("{test}/testdef.yaml"),
            0o644,
            definition.source.clone(),
        ));
        files.push(file(
            format!("{test}/testdef_metadata"),
            0o644,
            format!(
                "name: {}\npath: {}\nuuid: {uuid}\n",
                definition.name, definition.path
            ),
        ));
        if !definition.install_steps.is_empty() {
            let mut text = parameters(definition);
            text.push_str("set -e\nset -x\n");
            for step in &definition.install_steps {
                text.push_str(step);
                text.push('\n');
            }
            files.push(file(format!("{test}/install.sh"), 0o755, text));
        }
        if definition.kmsg {
            files.push(file(format!("{test}/kmsg"), 0o644, String::new()));
        }
    }
    // Copied to lava-test-runner.conf for each attempt: the runner on the board renames that.
    files.push(file(format!("{directory}/definitions.conf"), 0o644, list));
}

fn parameters(definition: &Definition) -> String {
    definition
        .parameters
        .iter()
        .map(|(name, value)| format!("{name}={}\n", quote(value)))
        .collect()
}

fn run_script(root: &str, test: &str, uuid: &str, definition: &Definition) -> String {
    let suite = &definition.suite;
    let mut text = String::from("###test parameters###\n");
    text.push_str(&parameters(definition));
    text.push_str("###\n");
    text.push_str(&format!(
        "set -e\nexport TESTRUN_ID={}\ncd {}\n",
        quote(suite),
        quote(test)
    ));
    text.push_str(&format!(
        "{root}/bin/basalt-signal LAVA_SIGNAL_STARTRUN {} {}\nset -x\n",
        quote(suite),
        quote(uuid)
    ));
    for step in &definition.steps {
        text.push_str(step);
        text.push('\n');
    }
    text.push_str(&format!(
        "set +x\n{root}/bin/basalt-signal LAVA_SIGNAL_ENDRUN {} {}\n",
        quote(suite),
        quote(uuid)
    ));
    text
}

fn add_phases(files: &mut Vec<OverlayFile>, root: &str, realtime: &Realtime) {
    for (index, phase) in realtime.phases.iter().enumerate() {
        let directory = phase_directory(root, realtime.stage, index);
        let command: Vec<String> = phase
            .command
            .iter()
            .map(|word| quote(&word.replace("{JSON}", "out/result.json")))
            .collect();
        files.push(file(
            format!("{directory}/measure"),
            0o755,
            format!("exec {}\n", command.join(" ")),
        ));
        for (name, command) in &phase.loads {
            let command: Vec<String> = command.iter().map(|word| quote(word)).collect();
            files.push(file(
                format!("{directory}/load-{name}"),
                0o755,
                format!("exec {}\n", command.join(" ")),
            ));
        }
    }
}

/// `text` as one word of a POSIX shell.
pub fn quote(text: &str) -> String {
    let plain = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-./=:,+@%".contains(&byte));
    if plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_reaches_the_program_as_it_was() {
        for word in ["plain", "", "it's $HOME `x` \"q\" \\", "a\nb", "-e"] {
            let output = std::process::Command::new("sh")
                .arg("-c")
                .arg(format!("printf '[%s]' {}", quote(word)))
                .output()
                .unwrap();
            assert_eq!(
                String::from_utf8(output.stdout).unwrap(),
                format!("[{word}]")
            );
        }
    }

    #[test]
    fn every_helper_is_a_script_that_a_posix_shell_can_read() {
        for (name, text) in SCRIPTS {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(name);
            std::fs::write(
                &path,
                text.replace("@LAVA@", "/lava-1")
                    .replace("@SHELL@", "/bin/sh"),
            )
            .unwrap();
            let status = std::process::Command::new("sh")
                .arg("-n")
                .arg(&path)
                .status()
                .unwrap();
            assert!(status.success(), "{name}");
        }
    }
}
