//! `boot`.

use basalt_yaml::{Field, MapReader, Node, Value};

use crate::definition::{AutoLogin, BootUBoot, Commands, Spanned};
use crate::values::{choice, only, regex, unsupported, without_effect};

/// LAVA's other methods (facts: LAVA 2026.10).
const LAVA_METHODS: &[&str] = &[
    "avh",
    "barebox",
    "bootloader",
    "cmsis-dap",
    "depthcharge",
    "dfu",
    "docker",
    "fastboot",
    "fvp",
    "gdb",
    "grub",
    "grub-efi",
    "ipxe",
    "jlink",
    "kexec",
    "minimal",
    "monitor",
    "musca",
    "new_connection",
    "nodebooter",
    "openocd",
    "pyocd",
    "qdl",
    "qemu",
    "qemu-iso",
    "qemu-nfs",
    "recovery",
    "schroot",
    "ssh",
    "uefi",
    "uefi-menu",
    "uuu",
];

/// Reads the keys of a boot block. Of a method that cannot be served, the other keys mean nothing
/// here, and are not looked at.
pub(crate) fn read(mut reader: MapReader<'_>) -> Option<BootUBoot> {
    choice(
        reader.required("method"),
        "method",
        &[("u-boot", ())],
        LAVA_METHODS,
    )?;
    let commands = commands(reader.required("commands"));
    let prompts = prompts(reader.required("prompts"));
    let auto_login = auto_login(reader.optional("auto_login"));
    let failure_message =
        regex(reader.optional("failure_message"), "`failure_message`").map(|(text, _)| text);
    let ignore_kernel_messages = reader
        .optional("ignore_kernel_messages")
        .boolean()
        .unwrap_or(false);
    let (kernel_start_message, bootloader_final_message) =
        parameters(reader.optional("parameters"));
    only(&mut reader, "use_bootscript", false);
    only(&mut reader, "reset", true);
    for key in ["transfer_overlay", "docker"] {
        unsupported(&mut reader, key, None);
    }
    without_effect(&mut reader, "soft_reboot", "boards are switched off and on");
    without_effect(
        &mut reader,
        "type",
        "the kernel's type stands in the deploy action",
    );
    Some(BootUBoot {
        commands: commands?,
        prompts: prompts?,
        auto_login,
        failure_message,
        ignore_kernel_messages,
        kernel_start_message,
        bootloader_final_message,
    })
}

fn commands(field: Field<'_>) -> Option<Commands> {
    let (node, diagnostics) = field.into_parts()?;
    match node.value() {
        Value::Seq(items) if items.is_empty() => {
            diagnostics.error(node.span, "`commands` is empty");
            None
        }
        // By the source text: what is typed is what is written.
        Value::Seq(_) => Field::new(&node, "`commands`", diagnostics)
            .texts()
            .map(Commands::List),
        Value::String(name) if !name.is_empty() => Some(Commands::Named(Spanned {
            value: name.to_string(),
            span: node.span,
        })),
        _ => {
            let message = format!(
                "`commands` must name a command set of the board's type or list commands, found {}",
                node.describe()
            );
            diagnostics
                .error(node.span, message)
                .with_hint("such as `commands: ramdisk` or `commands: nfs`");
            None
        }
    }
}

fn prompts(field: Field<'_>) -> Option<Vec<Spanned<String>>> {
    let (node, diagnostics) = field.into_parts()?;
    let items: Vec<Node> = match node.value() {
        Value::Seq(items) => items.clone(),
        _ => vec![node.clone()],
    };
    if items.is_empty() {
        diagnostics
            .error(node.span, "`prompts` is empty")
            .with_hint("name the shell's prompt, such as '/ #'");
        return None;
    }
    let read: Vec<Option<Spanned<String>>> = items
        .iter()
        .map(|item| {
            let (value, span) = regex(Field::new(item, "", diagnostics), "the prompt")?;
            Some(Spanned { value, span })
        })
        .collect();
    read.into_iter().collect()
}

fn auto_login(field: Field<'_>) -> Option<AutoLogin> {
    let mut reader = field.map("`auto_login`")?;
    let login_prompt = regex(reader.required("login_prompt"), "`login_prompt`");
    let username = reader.required("username").text();
    let has_prompt = reader.has("password_prompt");
    let has_password = reader.has("password");
    let password_prompt = regex(reader.optional("password_prompt"), "`password_prompt`");
    let password = reader.optional("password").text();
    if has_prompt != has_password {
        let (there, missing) = if has_prompt {
            ("password_prompt", "password")
        } else {
            ("password", "password_prompt")
        };
        let span = reader.key_span(there);
        reader
            .diagnostics()
            .error(span, format!("`{there}` needs `{missing}` beside it"));
    }
    let login_commands = reader
        .optional("login_commands")
        .texts()
        .unwrap_or_default();
    Some(AutoLogin {
        login_prompt: login_prompt?.0,
        username: username?,
        password: password_prompt.map(|(prompt, _)| prompt).zip(password),
        login_commands,
    })
}

/// `kernel-start-message` and `bootloader-final-message`. An empty one is LAVA's way to say that
/// there is nothing to wait for.
fn parameters(field: Field<'_>) -> (Option<String>, Option<String>) {
    let Some(mut reader) = field.map("`parameters`") else {
        return (None, None);
    };
    let mut message = |key: &str| {
        let (node, diagnostics) = reader.optional(key).into_parts()?;
        if node.as_str() == Some("") {
            return Some(String::new());
        }
        let label = format!("`{key}`");
        regex(Field::new(&node, label.clone(), diagnostics), &label).map(|(text, _)| text)
    };
    let start = message("kernel-start-message");
    let last = message("bootloader-final-message");
    without_effect(
        &mut reader,
        "shutdown-message",
        "boards are switched off, not shut down",
    );
    (start, last)
}
