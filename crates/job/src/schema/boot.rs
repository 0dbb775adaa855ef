//! `boot`: 33 methods.

use super::job::{
    ACTION, DOCKER, DOCKER_MAP, DOCKER_NAME, DOCKER_OPTIONS, LIST_OF_FILLED, unlisted,
};
use super::kind::{FILLED, PLAIN, TEXTS};
use super::{Key, Kind, Map, Rest, optional, required};

const WHAT: &str = "this boot action";

/// What every method may have.
const COMMON: &[Key] = &[
    required("method", Kind::Text),
    optional(
        "parameters",
        Kind::Map(&Map {
            keys: &[&[
                optional("bootloader-final-message", Kind::Text),
                optional("kernel-start-message", Kind::Text),
                optional("shutdown-message", Kind::Text),
            ]],
            ..PLAIN
        }),
    ),
    optional("soft_reboot", TEXTS),
    optional("ignore_kernel_messages", Kind::Boolean),
    unlisted("failure_message"),
];

pub(super) const PROMPTS: Kind = Kind::OneOf(&[FILLED, LIST_OF_FILLED]);

const LOGIN_PROMPTS: Key = optional("prompts", PROMPTS);

const AUTO_LOGIN: Key = optional(
    "auto_login",
    Kind::OneOf(&[
        Kind::Map(&Map {
            keys: &[&[
                required("login_prompt", FILLED),
                required("username", Kind::Text),
                optional("login_commands", LIST_OF_FILLED),
            ]],
            example: "{login_prompt: \"login:\", username: root}",
            ..PLAIN
        }),
        Kind::Map(&Map {
            keys: &[&[
                required("login_prompt", FILLED),
                required("username", Kind::Text),
                required("password_prompt", Kind::Text),
                required("password", Kind::Text),
                optional("login_commands", Kind::List(&Kind::Text)),
            ]],
            ..PLAIN
        }),
    ]),
);

const TRANSFER_OVERLAY: Key = optional(
    "transfer_overlay",
    Kind::OneOf(&[
        Kind::Map(&Map {
            keys: &[&[
                required("download_command", Kind::Text),
                required("unpack_command", Kind::Text),
                optional("transfer_method", Kind::Text),
            ]],
            ..PLAIN
        }),
        Kind::Map(&Map {
            keys: &[&[
                required("transfer_method", Kind::Words(&["zmodem"])),
                required("unpack_command", Kind::Text),
            ]],
            ..PLAIN
        }),
    ]),
);

/// A session: what to wait for, how to log in.
const SESSION: &[Key] = &[LOGIN_PROMPTS, AUTO_LOGIN];
const OVERLAY: &[Key] = &[TRANSFER_OVERLAY];
const COMMANDS: &[Key] = &[required("commands", TEXTS)];
const BOOTSCRIPT: &[Key] = &[optional("use_bootscript", Kind::Boolean)];
const SERIAL: &[Key] = &[optional("connection", Kind::Words(&["serial"]))];
/// Files that a deploy to a second medium left there.
const MEDIA: &[Key] = &[
    optional("kernel", Kind::Text),
    optional("ramdisk", Kind::Text),
    optional("dtb", Kind::Text),
    optional("root_uuid", Kind::Text),
    optional("boot_part", Kind::OneOf(&[Kind::Whole, Kind::Text])),
];
const GRUB: &[Key] = &[
    optional("boot_finished", TEXTS),
    optional("reset", Kind::Boolean),
    optional("expect_shell", Kind::Boolean),
];
const CONTAINER: &[Key] = &[
    required("command", Kind::Text),
    LOGIN_PROMPTS,
    optional("downloads-namespace", Kind::Text),
];

macro_rules! method {
    ($($group:expr),* $(,)?) => {
        Kind::Map(&Map {
            what: WHAT,
            keys: &[$($group,)* COMMON, ACTION],
            ..PLAIN
        })
    };
}

pub(super) const BOOT: Kind = Kind::Select {
    what: WHAT,
    key: "method",
    cases: &[
        (
            "avh",
            method!(&[
                optional(
                    "bootargs",
                    Kind::Map(&Map {
                        keys: &[&[
                            optional("normal", Kind::Text),
                            optional("restore", Kind::Text)
                        ]],
                        ..PLAIN
                    })
                ),
                optional("docker", DOCKER_MAP),
                required("prompts", PROMPTS),
                AUTO_LOGIN,
            ]),
        ),
        ("barebox", method!(COMMANDS, SESSION, OVERLAY)),
        (
            "bootloader",
            method!(
                &[
                    required("bootloader", Kind::Text),
                    optional("commands", Kind::List(&Kind::Text)),
                    LOGIN_PROMPTS,
                    optional("reset_connection", Kind::Boolean),
                    optional("reset_device", Kind::Boolean),
                    optional("reset", Kind::Boolean),
                ],
                BOOTSCRIPT
            ),
        ),
        ("cmsis-dap", method!()),
        (
            "depthcharge",
            method!(
                COMMANDS,
                &[optional("extra_kernel_args", Kind::Text)],
                SESSION,
                BOOTSCRIPT,
                OVERLAY
            ),
        ),
        ("dfu", method!()),
        ("docker", method!(CONTAINER)),
        (
            "fastboot",
            method!(
                &[
                    optional("commands", Kind::List(&Kind::Text)),
                    optional("docker", DOCKER_MAP),
                ],
                SESSION,
                BOOTSCRIPT,
                OVERLAY
            ),
        ),
        ("fvp", FVP),
        (
            "gdb",
            method!(&[
                required("commands", Kind::Text),
                optional("container", Kind::Text),
            ]),
        ),
        (
            "grub",
            method!(COMMANDS, GRUB, SESSION, BOOTSCRIPT, OVERLAY, MEDIA),
        ),
        (
            "grub-efi",
            method!(COMMANDS, GRUB, SESSION, BOOTSCRIPT, OVERLAY, MEDIA),
        ),
        ("ipxe", method!(COMMANDS, SESSION, BOOTSCRIPT, OVERLAY)),
        (
            "jlink",
            method!(&[
                optional("prompts", Kind::List(&Kind::Text)),
                optional("commands", Kind::List(&Kind::Text)),
                optional("coretype", Kind::Text),
            ]),
        ),
        (
            "kexec",
            method!(
                &[
                    required("boot_message", Kind::Text),
                    optional("deploy", Kind::Boolean),
                    optional("command", Kind::Text),
                    optional("kernel", Kind::Text),
                    optional("dtb", Kind::Text),
                    optional("initrd", Kind::Text),
                    optional("options", Kind::List(&Kind::Text)),
                    optional("kernel-config", Kind::Text),
                    optional("on_panic", Kind::Boolean),
                ],
                SESSION,
                OVERLAY
            ),
        ),
        (
            "minimal",
            method!(
                &[
                    optional("pre_power_command", Kind::Boolean),
                    optional("pre_os_command", Kind::Boolean),
                    optional("reset", Kind::Boolean),
                ],
                SESSION,
                OVERLAY
            ),
        ),
        ("monitor", method!()),
        ("musca", method!(&[LOGIN_PROMPTS])),
        (
            "new_connection",
            method!(&[required("connection", Kind::Text)], SESSION, OVERLAY),
        ),
        ("nodebooter", method!(CONTAINER)),
        ("openocd", method!()),
        ("pyocd", method!()),
        (
            "qdl",
            method!(&[
                required("firehose_program", Kind::Text),
                required("rawprogram", Kind::Text),
                optional("patch", Kind::Text),
                optional("path", Kind::Text),
                optional("storage", Kind::Text),
                optional("debug", Kind::Boolean),
                optional("docker", DOCKER_MAP),
            ]),
        ),
        (
            "qemu",
            method!(
                SERIAL,
                &[
                    optional("media", Kind::Words(&["tmpfs"])),
                    optional(
                        "docker",
                        Kind::Map(&Map {
                            keys: &[DOCKER, DOCKER_OPTIONS, &[optional("binary", Kind::Text)]],
                            ..PLAIN
                        })
                    ),
                ],
                SESSION,
                OVERLAY
            ),
        ),
        (
            "qemu-iso",
            method!(&[required("media", Kind::Words(&["img"]))], SESSION),
        ),
        ("qemu-nfs", method!(SERIAL, SESSION, OVERLAY)),
        (
            "recovery",
            method!(&[required("commands", Kind::Words(&["recovery", "exit"]))]),
        ),
        (
            "schroot",
            method!(&[
                LOGIN_PROMPTS,
                required("connection", Kind::Words(&["ssh"])),
                required("schroot", Kind::Text),
            ]),
        ),
        (
            "ssh",
            method!(&[
                LOGIN_PROMPTS,
                optional(
                    "parameters",
                    Kind::Map(&Map {
                        keys: &[&[
                            optional("hostID", Kind::Text),
                            optional("host_key", Kind::Text)
                        ]],
                        ..PLAIN
                    })
                ),
            ]),
        ),
        (
            "u-boot",
            method!(
                COMMANDS,
                &[
                    optional("reset", Kind::Boolean),
                    optional("kernel_type", Kind::Words(&["image", "uimage", "zimage"])),
                ],
                SESSION,
                BOOTSCRIPT,
                OVERLAY,
                MEDIA
            ),
        ),
        (
            "uefi",
            method!(COMMANDS, &[optional("shell_menu", Kind::Text)], SESSION),
        ),
        (
            "uefi-menu",
            method!(
                &[
                    optional("commands", Kind::Text),
                    optional("line_separator", Kind::Text),
                ],
                SESSION
            ),
        ),
        (
            "uuu",
            method!(&[
                required(
                    "commands",
                    Kind::OneOf(&[
                        Kind::Text,
                        Kind::List(&Kind::Map(&Map {
                            what: "the command",
                            rest: Rest::Each(Kind::Text),
                            ..PLAIN
                        })),
                    ])
                ),
                optional("docker", DOCKER_MAP),
                optional("skip_uuu_if_bootloader_valid", Kind::Boolean),
            ]),
        ),
    ],
};

const FVP: Kind = method!(
    &[
        optional("use_telnet", Kind::Boolean),
        required("console_string", Kind::Text),
        optional("feedbacks", Kind::List(&Kind::Text)),
        required("image", Kind::Text),
        optional("license_variable", Kind::Text),
        optional("environment", Kind::List(&Kind::Text)),
        optional("ubl_license", Kind::Text),
        optional("version_string", Kind::Text),
        required("arguments", Kind::List(&Kind::Text)),
        required(
            "docker",
            Kind::Map(&Map {
                keys: &[DOCKER_NAME, DOCKER_OPTIONS],
                ..PLAIN
            })
        ),
        optional("erpc_app", Kind::Text),
        optional("commands", Kind::List(&Kind::Text)),
    ],
    SESSION,
    OVERLAY
);
