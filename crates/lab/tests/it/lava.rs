//! LAVA's templates and dictionaries: rendered as Jinja2 renders them, and worth as much as our own
//! files. The templates are this project's own; `tests/lava/golden.py` recorded what Jinja2 makes
//! of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use basalt_lab::lava::Library;
use basalt_lab::profile::{BoardProfile, ConsoleSource, Lab, RelayDriver};
use basalt_lab::{FileKind, LabFile, builtin};
use basalt_model::Sha256;
use basalt_yaml::Diagnostics;
use serde_json::{Map, json};

use crate::file;

const HEAD: &str = "version: 1\nname: test\ndispatcher: {address: 10.77.0.1}\nlava: lava\n";

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lava")
}

/// The files of the corpus, by the paths that they have in a lab.
fn lava_files() -> Vec<LabFile> {
    let mut files = Vec::new();
    for (directory, _) in FileKind::LAVA_DIRECTORIES {
        for entry in std::fs::read_dir(corpus().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            files.push(file(&format!("lava/{directory}/{name}"), &text));
        }
    }
    files
}

/// Every template with its text as Basalt renders it, sorted.
fn rendered() -> Vec<(String, String)> {
    let library = Library::new(&lava_files());
    let mut all: Vec<(String, String)> = lava_files()
        .iter()
        .map(|file| {
            let name = file.path.rsplit('/').next().unwrap();
            let name = name.strip_suffix(".jinja2").unwrap().to_owned();
            let text = library.render(&name, &Map::new()).unwrap();
            (name, text)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn every_template_renders_as_jinja2_was_recorded_to_render_it() {
    let all = rendered();
    for (name, text) in &all {
        let path = corpus().join(format!("golden/{name}.yaml"));
        assert_eq!(*text, std::fs::read_to_string(path).unwrap(), "{name}");
    }
    let recorded = std::fs::read_dir(corpus().join("golden")).unwrap().count();
    assert_eq!(recorded, all.len(), "a record without a template");
}

#[test]
fn every_template_renders_as_the_installed_jinja2_renders_it() {
    let python = |arguments: &[&str]| {
        let mut command = Command::new("/usr/bin/python3");
        command.arg("-s").args(arguments);
        command.output()
    };
    let there = python(&["-c", "import jinja2, yaml"]);
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: Debian's python3-jinja2 and python3-yaml are not installed");
        return;
    }
    let directory = std::env::temp_dir().join(format!("basalt-jinja2-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let script = corpus().join("golden.py");
    let made = python(&[&script.to_string_lossy(), &directory.to_string_lossy()]).unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    for (name, text) in rendered() {
        let path = directory.join(format!("{name}.yaml"));
        assert_eq!(text, std::fs::read_to_string(path).unwrap(), "{name}");
    }
    std::fs::remove_dir_all(directory).unwrap();
}

fn lab(files: &[LabFile]) -> Lab {
    let mut diagnostics = Diagnostics::new();
    let lab = basalt_lab::read(files, &builtin::types(), &mut diagnostics);
    let found: Vec<_> = diagnostics
        .iter()
        .map(|one| (&one.message, &one.hint))
        .collect();
    assert!(diagnostics.is_empty(), "{found:#?}");
    lab.unwrap()
}

/// The corpus as a lab.
fn of_lava() -> Lab {
    let mut files = lava_files();
    files.push(file(FileKind::LAB, HEAD));
    lab(&files)
}

/// Commands of a set as the corpus' types have them.
fn commands(before: &str, arguments: &str) -> String {
    format!(
        "
      - setenv autoload no
      - dhcp
      - setenv serverip {{SERVER_IP}}
      - tftp {{KERNEL_ADDR}} {{KERNEL}}
      - tftp {{RAMDISK_ADDR}} {{RAMDISK}}
      - setenv initrd_size ${{filesize}}
      - tftp {{DTB_ADDR}} {{DTB}}
      - {before} 0xffffffff
      - \"setenv bootargs '{arguments} ip=dhcp'\"
      - \"{{BOOTX}}\""
    )
}

/// A type's file that says what one of the corpus' types says.
fn typed(name: &str, kernel_args: &str, of_u_boot: &str, more: &str) -> String {
    let nfs = "root=/dev/nfs rw nfsroot={NFS_SERVER_IP}:{NFSROOTFS},tcp,hard";
    format!(
        "\
version: 1
name: {name}
power: {{off_time: 2s}}
u_boot:
  interrupt_prompt: Hit any key to stop autoboot
  final_message: Starting kernel
{of_u_boot}
  commands:
    ramdisk:{}
    nfs:{}
shell:
  path: /bin/sh
  results_dir: /lava-%s
  kernel_start_message: Linux version [0-9]
  prompt: 'lava-test: # '
timeouts: {{bootloader-interrupt: 30s, bootloader-commands: 3m, auto-login-action: 4m}}
{more}",
        commands(
            "setenv initrd_high",
            &format!("{kernel_args} root=/dev/ram0")
        ),
        commands("setenv fdt_high", &format!("{kernel_args} {nfs}")),
    )
}

/// The boards of the corpus in the project's own files.
fn of_our_own() -> Lab {
    let plain = "  interrupt_character: ' '\n  prompt: '=> '\n  \
                 error_messages: [Retry count exceeded, File not found]\n";
    let arm64 = format!(
        "{plain}  load_addresses: {{image: {{kernel: 0x80080000, ramdisk: 0x8a000000, dtb: 0x83000000}}}}"
    );
    let arm = "  interrupt_character: \"\\n\"\n  prompt: U-Boot\n  \
               error_messages: [Retry count exceeded, File not found]\n  load_addresses:\n    \
               zimage: {kernel: 0x82000000, ramdisk: 0x83000000, dtb: 0x88000000}\n    \
               uimage: {kernel: 0x82000000, ramdisk: 0x83000000, dtb: 0x88000000}";
    let riscv = "  interrupt_character: \"\\x03\"\n  prompt: '=> '\n  \
                 error_messages: [Retry count exceeded, File not found, can't load, Bad Linux RISCV Image magic!]\n  \
                 load_addresses: {image: {kernel: 0x84000000, ramdisk: 0x88300000, dtb: 0x88000000}}";
    let console = |delay: &str| format!("console: {{baud: 115200, character_delay: {delay}}}\n");
    let board = |name: &str, of_type: &str, relay: &str, outlet: u8, console: &str| {
        let text = format!(
            "version: 1\nname: {name}\ntype: {of_type}\npower: {{relay: {relay}, outlet: {outlet}}}\n\
             console: {{{console}}}\n"
        );
        file(&format!("boards/{name}.yaml"), &text)
    };
    let of_type = |name: &str, text: String| file(&format!("device-types/{name}.yaml"), &text);
    let head = HEAD.replace("lava: lava\n", "");
    let mut files = vec![
        file(FileKind::LAB, &head),
        of_type(
            "own-arm64",
            typed(
                "own-arm64",
                "console=ttyAMA0,115200 ",
                &arm64,
                &console("0ms"),
            ),
        ),
        of_type(
            "own-arm",
            typed("own-arm", "console=ttyO0,115200n8 ", arm, &console("10ms")),
        ),
        of_type(
            "own-riscv",
            typed("own-riscv", "console=ttyS0,115200 ", riscv, &console("0ms")),
        ),
        board(
            "arm64-1",
            "own-arm64",
            "plug-plug-1.lab",
            2,
            "tcp: 'ser2net.lab:7001'",
        ),
        board(
            "arm-1",
            "own-arm",
            "arm-1-commands",
            1,
            "serial: /dev/serial/arm-1",
        ),
        board(
            "riscv-1",
            "own-riscv",
            "riscv-1-commands",
            1,
            "tcp: '10.1.2.3:2001'",
        ),
    ];
    for name in ["plug-plug-1.lab", "arm-1-commands", "riscv-1-commands"] {
        let text = format!("version: 1\nname: {name}\ndriver: tasmota\nurl: http://{name}\n");
        files.push(file(&format!("relays/{name}.yaml"), &text));
    }
    lab(&files)
}

fn board<'l>(lab: &'l Lab, name: &str) -> &'l BoardProfile {
    lab.boards
        .iter()
        .find(|board| board.name.as_str() == name)
        .unwrap()
}

#[test]
fn a_dictionary_and_our_own_file_of_a_board_give_equal_profiles_and_plans() {
    let (theirs, ours) = (of_lava(), of_our_own());
    for (name, kind) in [
        ("arm64-1", "image"),
        ("arm-1", "zimage"),
        ("riscv-1", "image"),
    ] {
        assert_eq!(board(&theirs, name), board(&ours, name), "{name}");
        let job = format!(
            "job_name: test\ndevice_type: any\nvisibility: public\n\
             timeouts: {{job: {{minutes: 10}}}}\nactions:\n\
             - deploy:\n    to: tftp\n    kernel: {{url: 'http://host/Image', type: {kind}}}\n    \
             ramdisk: {{url: 'http://host/initrd.gz'}}\n\
             - boot: {{method: u-boot, commands: ramdisk, prompts: ['/ # ']}}\n"
        );
        let job = job.replace(
            "device_type: any",
            &format!("device_type: {}", board(&ours, name).device_type),
        );
        let plan = |lab: &Lab| {
            let mut diagnostics = Diagnostics::new();
            let job = basalt_job::read("job.yaml", &job, &mut diagnostics).unwrap();
            // The relay and the dispatcher are not the board's: the same for both.
            let plan = basalt_plan::plan(
                &job,
                Sha256([7; 32]),
                board(lab, name),
                ours.relay_of(board(&ours, name)),
                ours.dispatcher_of(board(&ours, name)),
                &mut diagnostics,
            );
            let found: Vec<_> = diagnostics.iter().map(|one| &one.message).collect();
            plan.unwrap_or_else(|| panic!("{name}: {found:?}"))
        };
        let (theirs, ours) = (plan(&theirs), plan(&ours));
        assert_eq!(theirs, ours, "{name}");
    }
}

#[test]
fn commands_of_known_tools_become_drivers_and_others_run_without_a_shell() {
    let lab = of_lava();
    // Two outlets of one plug are two boards' and one relay.
    let plug = lab.relay_of(board(&lab, "arm64-1"));
    assert_eq!(plug, lab.relay_of(board(&lab, "arm64-2")));
    assert_eq!(
        plug.driver,
        RelayDriver::Tasmota {
            url: "http://plug-1.lab".to_owned(),
            credentials: None
        }
    );
    let words = |line: &[&str]| {
        line.iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        lab.relay_of(board(&lab, "arm-1")).driver,
        RelayDriver::Commands {
            on: vec![words(&[
                "/usr/local/bin/pdu",
                "--port",
                "outlet 4",
                "reset"
            ])],
            off: vec![
                words(&["/usr/local/bin/pdu", "--port", "4", "off"]),
                words(&["sleep", "1"])
            ],
        }
    );
    assert_eq!(
        board(&lab, "arm-1").console.source,
        ConsoleSource::Serial {
            path: "/dev/serial/arm-1".into(),
            baud: 115_200
        }
    );
    let x86 = board(&lab, "x86-1");
    assert!(x86.u_boot.is_none(), "{x86:?}");
    // A relay with a file of its own is found by its address.
    let mut files = lava_files();
    files.push(file(FileKind::LAB, HEAD));
    files.push(file(
        "relays/a.yaml",
        "version: 1\nname: a\ndriver: tasmota\nurl: http://plug-1.lab\n",
    ));
    let lab = self::lab(&files);
    assert_eq!(board(&lab, "arm64-2").power.relay.as_str(), "a");
}

#[test]
fn a_context_changes_the_board_and_never_a_host_command() {
    let library = Library::new(&lava_files());
    let context = json!({
        "extra_kernel_args": "isolcpus=1",
        "power_on_command": "curl 'http://evil/cm?cmnd=Power1%20On'",
        "connection_command": "telnet evil 1",
        "hard_reset_command": "rm -rf /",
    });
    let mut diagnostics = Diagnostics::new();
    let profile = |context: &Map<_, _>, diagnostics: &mut Diagnostics| {
        library.profile("arm64-1", context, diagnostics).unwrap()
    };
    let plain = profile(&Map::new(), &mut diagnostics);
    let told = profile(context.as_object().unwrap(), &mut diagnostics);
    assert_eq!(plain.power, told.power);
    assert_eq!(plain.console, told.console);
    let typed = |profile: &BoardProfile| format!("{:?}", profile.u_boot.as_ref().unwrap().commands);
    assert!(!typed(&plain).contains("isolcpus=1"));
    assert!(typed(&told).contains("console=ttyAMA0,115200 isolcpus=1 root="));
}

/// `FILE:LINE:COLUMN: message (hint)` of each mistake of a dictionary.
fn mistakes(dictionary: &str) -> Vec<String> {
    let mut files = lava_files();
    files.retain(|file| FileKind::of(&file.path) == Some(FileKind::LavaType));
    files.push(file(FileKind::LAB, HEAD));
    files.push(file("lava/devices/b.jinja2", dictionary));
    let mut diagnostics = Diagnostics::new();
    let lab = basalt_lab::read(&files, &builtin::types(), &mut diagnostics);
    assert!(lab.is_none());
    diagnostics
        .iter()
        .map(|one| {
            let file = diagnostics.file_name(one.span.source).unwrap();
            let (line, column) = (one.span.line, one.span.column);
            format!(
                "{file}:{line}:{column}: {} ({})",
                one.message,
                one.hint.as_deref().unwrap_or("-")
            )
        })
        .collect()
}

#[test]
fn what_cannot_be_done_is_refused_by_name_with_its_line_and_the_way_out() {
    let shown: String = [
        "{% extends 'own-arm64.jinja2' %}\n",
        "{% extends 'own-arm64.jinja2' %}\n{% set connection_command = 'conmux-console b' %}\n\
         {% set power_on_command = \"x 'y\" %}\n{% set power_off_command = 'z' %}\n",
        "{% extends 'own-arm64.jinja2' %}\n{% set connection_command = 'telnet h 1' %}\n\
         {% set hard_reset_command = 'x' %}\n",
        "{% extends 'nowhere.jinja2' %}\n",
        "{% extends 'own-arm64.jinja2' %}\n\n{% set x = %}\n",
        "{% extends 'own-arm64.jinja2' %}\n{% set x = 1 | nothing %}\n",
        "{% extends 'own-arm64.jinja2' %}\n{% block body %}\n  a: [\n{% endblock %}\n",
        "commands: {connect: telnet h 1}\n",
    ]
    .iter()
    .flat_map(|dictionary| mistakes(dictionary))
    .map(|line| line + "\n")
    .collect();
    insta::assert_snapshot!(shown);
}
