//! What is typed at U-Boot, and what is awaited then.

use basalt_job::definition::{BootUBoot, Commands, DeployTftp, KernelType};
use basalt_lab::placeholder;
use basalt_lab::profile::{BoardProfile, DispatcherProfile, LoadAddresses, UBootProfile};
use basalt_yaml::{Span, closest};

use crate::build::Problems;
use crate::checks::listed;
use crate::deploy::kernel_type_word;
use crate::plan::{Boot, Login};

/// U-Boot's command for a type of kernel image.
fn boot_command(kernel_type: KernelType) -> &'static str {
    match kernel_type {
        KernelType::Image => "booti",
        KernelType::Zimage => "bootz",
        KernelType::Uimage => "bootm",
    }
}

/// Plans one boot of what was deployed before it.
pub(crate) fn plan(
    boot: &BootUBoot,
    span: Span,
    deployed: &DeployTftp,
    board: &BoardProfile,
    dispatcher: &DispatcherProfile,
    problems: &mut Problems<'_>,
) -> Option<Boot> {
    let Some(u_boot) = &board.u_boot else {
        problems.error(
            span,
            format!(
                "`{}` does not boot with U-Boot: its type `{}` has no `u_boot`",
                board.name, board.device_type
            ),
        );
        return None;
    };
    let commands = Source::of(&boot.commands, span, u_boot, board, problems);
    let kernel_type = deployed
        .kernel
        .as_ref()
        .map(|(_, kernel_type)| *kernel_type);
    let addresses = load_addresses(kernel_type, span, u_boot, board, problems);
    let (commands, addresses) = (commands?, addresses?);
    check_parts(&commands, deployed, problems);
    check_network(&commands, board, problems);

    let boot_command = boot_command(kernel_type.unwrap_or(KernelType::Image));
    let bootx = bootx(boot_command, deployed, u_boot);
    let tftp_port = dispatcher.tftp_listen.port().to_string();
    let typed = commands
        .lines
        .iter()
        .filter(|line| !commands.leaves_out(line, deployed))
        .map(|line| {
            line.replace("{KERNEL_ARGS}", &u_boot.kernel_args)
                .replace("{NFS_ARGS}", &u_boot.nfs_args)
                .replace("{BOOTX}", &bootx)
                .replace("{TFTP_PORT}", &tftp_port)
        })
        .collect();
    Some(Boot {
        commands: typed,
        load_addresses: addresses.clone(),
        boot_command: boot_command.to_owned(),
        nfs: commands.nfs,
        prompts: boot
            .prompts
            .iter()
            .map(|prompt| prompt.value.clone())
            .collect(),
        login: boot.auto_login.as_ref().map(|login| Login {
            prompt: login.login_prompt.clone(),
            username: login.username.clone(),
            password: login.password.clone(),
            commands: login.login_commands.clone(),
        }),
        failure_message: boot.failure_message.clone(),
        ignore_kernel_messages: boot.ignore_kernel_messages,
        kernel_start_message: boot
            .kernel_start_message
            .clone()
            .unwrap_or_else(|| board.shell.kernel_start_message.clone()),
        final_message: boot
            .bootloader_final_message
            .clone()
            .unwrap_or_else(|| u_boot.final_message.clone()),
    })
}

/// The commands as the job or the type writes them.
struct Source<'a> {
    lines: &'a [String],
    span: Span,
    /// The name of the set, if it is one of the type's.
    set: Option<&'a str>,
    nfs: bool,
}

impl<'a> Source<'a> {
    fn of(
        commands: &'a Commands,
        span: Span,
        u_boot: &'a UBootProfile,
        board: &BoardProfile,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        match commands {
            Commands::Named(name) => {
                let set = u_boot.commands.iter().find(|(set, _)| *set == name.value);
                if let Some((set, lines)) = set {
                    return Some(Self {
                        lines,
                        span: name.span,
                        set: Some(set),
                        nfs: set == "nfs",
                    });
                }
                let sets = || u_boot.commands.iter().map(|(set, _)| set.as_str());
                let hint = match closest(&name.value, sets()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("its command sets: {}", listed(sets())),
                };
                problems
                    .error(
                        name.span,
                        format!(
                            "the type `{}` has no command set `{}`",
                            board.device_type, name.value
                        ),
                    )
                    .with_hint(hint);
                None
            }
            Commands::List(lines) => Some(Self {
                lines,
                span,
                set: None,
                nfs: lines
                    .iter()
                    .any(|line| placeholder::mentions(line, "NFSROOTFS")),
            }),
        }
    }

    fn mention(&self, name: &str) -> bool {
        self.lines
            .iter()
            .any(|line| placeholder::mentions(line, name))
    }

    /// A set of the type serves jobs with and without a ramdisk and device tree: the lines that
    /// fetch what the job does not give are left out. A job's own list is typed as it stands.
    fn leaves_out(&self, line: &str, deployed: &DeployTftp) -> bool {
        self.set.is_some()
            && (deployed.dtb.is_none() && placeholder::mentions(line, "DTB")
                || deployed.ramdisk.is_none() && placeholder::mentions(line, "RAMDISK"))
    }
}

/// Whether everything that the commands name was deployed.
fn check_parts(commands: &Source<'_>, deployed: &DeployTftp, problems: &mut Problems<'_>) {
    let span = commands.span;
    if let Some(name) = commands
        .lines
        .iter()
        .flat_map(|line| placeholder::names(line))
        .find(|name| !placeholder::is_known(name))
    {
        problems.error(
            span,
            format!("nothing is known to put in for `{{{name}}}` in the boot commands"),
        );
    }
    let kernel = ["KERNEL", "BOOTX"]
        .iter()
        .any(|name| commands.mention(name));
    if kernel && deployed.kernel.is_none() {
        problems.error(
            span,
            "this boots a kernel, but the deploy before it has none".to_owned(),
        );
    }
    if commands.nfs && deployed.nfsrootfs.is_none() {
        problems.error(
            span,
            "this boots from an NFS root, but the deploy before it has no `nfsrootfs`".to_owned(),
        );
    }
    let wants_ramdisk =
        commands.set == Some("ramdisk") || commands.set.is_none() && commands.mention("RAMDISK");
    if wants_ramdisk && deployed.ramdisk.is_none() {
        problems.error(
            span,
            "this boots with a ramdisk, but the deploy before it has none".to_owned(),
        );
    }
    if commands.set.is_none() && commands.mention("DTB") && deployed.dtb.is_none() {
        problems.error(
            span,
            "these commands fetch a device tree, but the deploy before it has no `dtb`".to_owned(),
        );
    }
}

fn check_network(commands: &Source<'_>, board: &BoardProfile, problems: &mut Problems<'_>) {
    if board.network.is_some() {
        return;
    }
    let names = ["BOARD_IP", "BOARD_NETMASK", "BOARD_PREFIX", "LAVA_MAC"];
    if let Some(name) = names.into_iter().find(|name| commands.mention(name)) {
        problems.error(
            commands.span,
            format!(
                "the boot commands need `{{{name}}}`, but the file of `{}` has no `network`",
                board.name
            ),
        );
    }
}

/// The addresses for the type of kernel; without a kernel those that the type states first.
fn load_addresses<'a>(
    kernel_type: Option<KernelType>,
    span: Span,
    u_boot: &'a UBootProfile,
    board: &BoardProfile,
    problems: &mut Problems<'_>,
) -> Option<&'a LoadAddresses> {
    let wanted = kernel_type.map(kernel_type_word);
    let found = u_boot
        .load_addresses
        .iter()
        .find(|(kind, _)| wanted.is_none_or(|wanted| kind == wanted));
    if let Some((_, addresses)) = found {
        return Some(addresses);
    }
    let message = match wanted {
        Some(wanted) => format!(
            "the type `{}` has no load addresses for a kernel of type `{wanted}`",
            board.device_type
        ),
        None => format!("the type `{}` has no load addresses", board.device_type),
    };
    let has = listed(u_boot.load_addresses.iter().map(|(kind, _)| kind.as_str()));
    problems
        .error(span, message)
        .with_hint(format!("it has them for: {has}"));
    None
}

/// `{BOOTX}`: the boot command, its addresses still placeholders. As in LAVA, a ramdisk without
/// U-Boot's header needs its size, which the commands have left in `${initrd_size}`.
fn bootx(command: &str, deployed: &DeployTftp, u_boot: &UBootProfile) -> String {
    let ramdisk = match &deployed.ramdisk {
        Some(disk) if disk.uboot_header => "{RAMDISK_ADDR}",
        Some(_) => "{RAMDISK_ADDR}:${initrd_size}",
        None => "-",
    };
    let dtb = if deployed.dtb.is_some() {
        Some("{DTB_ADDR}")
    } else {
        u_boot.default_dtb.as_deref()
    };
    match dtb {
        Some(dtb) => format!("{command} {{KERNEL_ADDR}} {ramdisk} {dtb}"),
        None => format!("{command} {{KERNEL_ADDR}} {ramdisk}"),
    }
}
