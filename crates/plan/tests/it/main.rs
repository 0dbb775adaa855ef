//! Jobs as texts, planned against boards of the virtual lab and of the simulated type.

mod demo;
mod mistakes;
mod rules;

use basalt_lab::profile::{BoardProfile, Lab};
use basalt_lab::{FileKind, LabFile, builtin};
use basalt_model::Sha256;
use basalt_plan::Plan;
use basalt_yaml::Diagnostics;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn shipped(path: &str) -> String {
    let path = format!("{REPOSITORY}/lab-config/virtual/{path}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn virtual_lab() -> Lab {
    let paths = [
        FileKind::LAB,
        "relays/rack.yaml",
        "boards/qemu-1.yaml",
        "boards/qemu-2.yaml",
    ];
    let files: Vec<LabFile> = paths
        .into_iter()
        .map(|path| LabFile {
            path: path.to_owned(),
            text: shipped(path),
        })
        .collect();
    lab(&files)
}

/// One board of the simulated type, with `extra` at the end of its file.
fn simulated_lab(extra: &str) -> Lab {
    let file = |path: &str, text: String| LabFile {
        path: path.to_owned(),
        text,
    };
    lab(&[
        file(
            FileKind::LAB,
            "version: 1\nname: test\ndispatcher: {address: 127.0.0.1, tftp: 127.0.0.1:6969}\n"
                .into(),
        ),
        file(
            "relays/rack.yaml",
            "version: 1\nname: rack\ndriver: tasmota\nurl: http://127.0.0.1:8081\n".into(),
        ),
        file(
            "boards/sim-1.yaml",
            format!(
                "version: 1\nname: sim-1\ntype: simulated\npower: {{relay: rack, outlet: 1}}\n\
                 console: {{tcp: 127.0.0.1:7001}}\n{extra}"
            ),
        ),
    ])
}

const NETWORK: &str = "network: {mac: 52:54:00:00:00:01, address: 127.77.0.10/8}\n";

fn lab(files: &[LabFile]) -> Lab {
    let mut diagnostics = Diagnostics::new();
    let lab = basalt_lab::read(files, &builtin::types(), &mut diagnostics);
    assert!(diagnostics.is_empty(), "{:#?}", diagnostics.sorted());
    lab.unwrap()
}

fn board<'l>(lab: &'l Lab, name: &str) -> &'l BoardProfile {
    lab.boards
        .iter()
        .find(|board| board.name.as_str() == name)
        .unwrap()
}

/// The plan, and `LINE:COLUMN: message (hint)` of each complaint. The job itself must be good.
fn plan(lab: &Lab, board_name: &str, job: &str) -> (Option<Plan>, Vec<String>) {
    let mut diagnostics = Diagnostics::new();
    let job = basalt_job::read("job.yaml", job, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{:#?}", diagnostics.sorted());
    let board = board(lab, board_name);
    let plan = basalt_plan::plan(
        &job.unwrap(),
        Sha256([7; 32]),
        board,
        lab.relay_of(board),
        lab.dispatcher_of(board),
        &mut diagnostics,
    );
    assert_eq!(plan.is_none(), diagnostics.has_errors());
    let complaints = diagnostics
        .sorted()
        .into_iter()
        .map(|diagnostic| {
            let (line, column) = (diagnostic.span.line, diagnostic.span.column);
            let hint = diagnostic.hint.as_deref().unwrap_or("-");
            format!("{line}:{column}: {} ({hint})", diagnostic.message)
        })
        .collect();
    (plan, complaints)
}

fn good(lab: &Lab, board_name: &str, job: &str) -> Plan {
    let (plan, complaints) = plan(lab, board_name, job);
    assert_eq!(complaints, Vec::<String>::new());
    plan.unwrap()
}

/// A job for the simulated board with these actions.
fn job(actions: &str) -> String {
    format!(
        "job_name: test\ndevice_type: simulated\nvisibility: public\n\
         timeouts: {{job: {{minutes: 10}}}}\nactions:\n{actions}"
    )
}

const DEPLOY: &str = "\
- deploy:
    to: tftp
    kernel: {url: 'http://host/Image', type: image}
    ramdisk: {url: 'http://host/initrd.gz'}
";
const BOOT: &str = "\
- boot: {method: u-boot, commands: ramdisk, prompts: ['/ # ']}
";
