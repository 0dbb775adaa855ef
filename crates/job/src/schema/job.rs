//! The top of a job.

use super::kind::{COUNT, FILLED, PLAIN};
use super::{
    Key, Kind, Listed, Map, Pattern, Rest, boot, deploy, listed, optional, required, test,
};

const NAME: Kind = Kind::Filled { most: 200 };

pub(super) const JOB: Kind = Kind::Map(&Map {
    what: "the job",
    keys: &[&[
        required("job_name", NAME),
        optional("device_type", NAME),
        optional("device", NAME),
        optional("worker", NAME),
        required("timeouts", TIMEOUTS),
        required("visibility", VISIBILITY),
        optional("context", CONTEXT_MAP),
        optional(
            "metadata",
            Kind::Map(&Map {
                rest: Rest::Each(Kind::Anything),
                ..PLAIN
            }),
        ),
        optional("priority", PRIORITY),
        optional("tags", Kind::List(&Kind::Text)),
        optional(
            "secrets",
            Kind::Map(&Map {
                rest: Rest::Each(Kind::Text),
                ..PLAIN
            }),
        ),
        optional("environment", Kind::Mapping),
        optional("protocols", PROTOCOLS),
        optional("notify", NOTIFY),
        optional("reboot_to_fastboot", Kind::Boolean),
        required("actions", Kind::Actions(ACTIONS)),
    ]],
    ..PLAIN
});

const ACTIONS: &[(&str, Kind)] = &[
    ("deploy", deploy::DEPLOY),
    ("boot", boot::BOOT),
    ("test", test::TEST),
    (
        "command",
        Kind::Map(&Map {
            what: "this command action",
            keys: &[ACTION, &[required("name", Kind::Text)]],
            ..PLAIN
        }),
    ),
];

/// What every action may have.
pub(super) const ACTION: &[Key] = &[
    optional("namespace", Kind::Pattern(&NAMESPACE)),
    optional("connection-namespace", Kind::Text),
    optional("protocols", Kind::Anything),
    optional("role", Kind::List(&Kind::Text)),
    optional("timeout", Kind::Timeout),
    optional("timeouts", NAMED_TIMEOUTS),
    optional("repeat", COUNT),
    optional("failure_retry", COUNT),
    optional("failure_retry_interval", COUNT),
];

const NAMESPACE: Pattern = Pattern {
    accepts: |text| !matches!(text, "common" | "docker-test-shell"),
    expected: "a name other than `common` and `docker-test-shell`",
    hint: "LAVA keeps these two for itself",
};

const NAMED_TIMEOUTS: Kind = Kind::Map(&Map {
    rest: Rest::Each(Kind::Timeout),
    example: "{auto-login-action: {minutes: 2}}",
    ..PLAIN
});

const TIMEOUTS: Kind = Kind::Map(&Map {
    keys: &[&[
        required("job", Kind::Timeout),
        optional("action", Kind::Timeout),
        optional("actions", NAMED_TIMEOUTS),
        optional("connection", Kind::Timeout),
        optional("connections", NAMED_TIMEOUTS),
        optional("queue", Kind::Timeout),
    ]],
    example: "{job: {minutes: 30}}",
    ..PLAIN
});

const VISIBILITY: Kind = Kind::OneOf(&[
    Kind::Words(&["public", "personal"]),
    Kind::Map(&Map {
        keys: &[&[optional("group", Kind::List(&Kind::Text))]],
        ..PLAIN
    }),
]);

const PRIORITY: Kind = Kind::OneOf(&[
    Kind::Words(&["high", "medium", "low"]),
    Kind::Number {
        least: 0,
        most: Some(100),
    },
]);

const CONTEXT_MAP: Kind = Kind::Map(&Map {
    rest: Rest::Context(Kind::OneOf(&[
        Kind::Text,
        Kind::Whole,
        Kind::List(&Kind::OneOf(&[Kind::Text, Kind::Whole])),
    ])),
    example: "{extra_kernel_args: isolcpus=3}",
    ..PLAIN
});

/// The variables that LAVA allows in `context`.
pub(super) const CONTEXT: &[&str] = &[
    "arch",
    "boot_character_delay",
    "boot_console",
    "boot_retry",
    "boot_root",
    "booti_dtb_addr",
    "booti_kernel_addr",
    "booti_ramdisk_addr",
    "bootloader_prompt",
    "bootm_dtb_addr",
    "bootm_kernel_addr",
    "bootm_ramdisk_addr",
    "bootz_dtb_addr",
    "bootz_kernel_addr",
    "bootz_ramdisk_addr",
    "console_device",
    "cpu",
    "custom_kernel_args",
    "deploy_character_delay",
    "extra_kernel_args",
    "extra_nfsroot_args",
    "extra_options",
    "failure_retry",
    "guestfs_driveid",
    "guestfs_interface",
    "guestfs_size",
    "kernel_loglevel",
    "kernel_start_message",
    "lava_test_results_dir",
    "machine",
    "memory",
    "menu_interrupt_prompt",
    "model",
    "monitor",
    "mustang_menu_list",
    "netdevice",
    "no_kvm",
    "no_network",
    "serial",
    "test_character_delay",
    "tftp_mac_address",
    "uboot_altbank",
    "uboot_extra_error_message",
    "uboot_needs_interrupt",
    "vga",
];

const PROTOCOLS: Kind = Kind::Map(&Map {
    keys: &[&[
        optional(
            "lava-multinode",
            Kind::Map(&Map {
                keys: &[&[
                    required(
                        "roles",
                        Kind::Map(&Map {
                            rest: Rest::Each(ROLE),
                            ..PLAIN
                        }),
                    ),
                    optional("pool_pattern", NAME),
                    optional("timeout", Kind::Timeout),
                ]],
                ..PLAIN
            }),
        ),
        optional(
            "lava-xnbd",
            Kind::Map(&Map {
                keys: &[&[
                    required("port", Kind::OneOf(&[Kind::Words(&["auto"]), Kind::Whole])),
                    optional("timeout", Kind::Timeout),
                ]],
                ..PLAIN
            }),
        ),
    ]],
    ..PLAIN
});

const NOT_NEGATIVE: Kind = Kind::Number {
    least: 0,
    most: None,
};

const ROLE: Kind = Kind::OneOf(&[
    Kind::Map(&Map {
        what: "the role",
        keys: &[&[
            required("device_type", Kind::Text),
            required("count", NOT_NEGATIVE),
            optional("device", Kind::Text),
            optional("worker", Kind::Text),
            optional("context", CONTEXT_MAP),
            optional("tags", Kind::List(&Kind::Text)),
            optional("environment", Kind::Mapping),
            optional("essential", Kind::Boolean),
            optional("timeout", Kind::Timeout),
        ]],
        ..PLAIN
    }),
    Kind::Map(&Map {
        what: "the role",
        keys: &[&[
            required("connection", Kind::Text),
            required("count", NOT_NEGATIVE),
            required("expect_role", Kind::Text),
            required("host_role", Kind::Text),
            optional("essential", Kind::Boolean),
            optional("request", Kind::Text),
            optional("tags", Kind::List(&Kind::Text)),
            optional("timeout", Kind::Timeout),
            optional("context", CONTEXT_MAP),
        ]],
        ..PLAIN
    }),
]);

const NOTIFY: Kind = Kind::Map(&Map {
    keys: &[&[
        required("criteria", CRITERIA),
        optional(
            "verbosity",
            Kind::Words(&["verbose", "quiet", "status-only"]),
        ),
        optional("recipients", Kind::List(&RECIPIENT)),
        optional("callback", CALLBACK),
        optional("callbacks", Kind::List(&CALLBACK)),
        optional("compare", COMPARE),
    ]],
    exclusive: Some(("callback", "callbacks")),
    ..PLAIN
});

const CRITERIA: Kind = Kind::OneOf(&[
    Kind::Map(&Map {
        keys: &[&[
            required(
                "status",
                Kind::Words(&["finished", "running", "complete", "canceled", "incomplete"]),
            ),
            optional("dependency_query", Kind::Text),
        ]],
        ..PLAIN
    }),
    Kind::Map(&Map {
        keys: &[&[
            required("status", Kind::Words(&["complete", "incomplete"])),
            optional("type", Kind::Words(&["regression", "progression"])),
        ]],
        ..PLAIN
    }),
    Kind::Map(&Map {
        keys: &[&[required("status", Kind::Words(&["all"]))]],
        ..PLAIN
    }),
]);

const RECIPIENT: Kind = Kind::Map(&Map {
    what: "the recipient",
    keys: &[&[required(
        "to",
        Kind::Map(&Map {
            keys: &[&[
                required("method", Kind::Words(&["email", "irc"])),
                optional("user", Kind::Text),
                optional("email", Kind::Text),
                optional("handle", Kind::Text),
                optional("server", Kind::Text),
            ]],
            ..PLAIN
        }),
    )]],
    example: "{to: {method: email, user: NAME}}",
    ..PLAIN
});

const CALLBACK: Kind = Kind::Map(&Map {
    what: "the callback",
    keys: &[&[
        required("url", Kind::Text),
        optional("method", Kind::Words(&["GET", "POST"])),
        optional("token", Kind::Text),
        optional("header", Kind::Text),
        optional(
            "dataset",
            Kind::Words(&["minimal", "logs", "results", "all"]),
        ),
        optional("content-type", Kind::Words(&["json", "urlencoded"])),
    ]],
    example: "{url: \"https://…\", method: POST}",
    ..PLAIN
});

const COMPARE: Kind = Kind::Map(&Map {
    keys: &[&[
        optional("blacklist", Kind::List(&Kind::Text)),
        optional(
            "query",
            Kind::OneOf(&[
                Kind::Map(&Map {
                    keys: &[&[
                        required("username", Kind::Text),
                        required("name", Kind::Text),
                    ]],
                    ..PLAIN
                }),
                Kind::Map(&Map {
                    keys: &[&[
                        required("entity", Kind::Text),
                        optional(
                            "conditions",
                            Kind::Map(&Map {
                                rest: Rest::Each(Kind::Text),
                                ..PLAIN
                            }),
                        ),
                    ]],
                    ..PLAIN
                }),
            ]),
        ),
    ]],
    ..PLAIN
});

/// A docker image on the dispatcher. Its name stands under `image`, or under `name`.
pub(super) const DOCKER: &[Key] = &[required("image", Kind::Pattern(&IMAGE))];
pub(super) const DOCKER_NAME: &[Key] = &[required("name", Kind::Pattern(&IMAGE))];
pub(super) const DOCKER_OPTIONS: &[Key] = &[
    optional("local", Kind::Boolean),
    optional("container_name", Kind::Text),
    optional("network_from", Kind::Text),
    optional(
        "login",
        Kind::Map(&Map {
            keys: &[&[
                required("registry", Kind::Text),
                required("user", Kind::Text),
                required("password", Kind::Text),
            ]],
            ..PLAIN
        }),
    ),
];
pub(super) const DOCKER_MAP: Kind = Kind::Map(&Map {
    keys: &[DOCKER, DOCKER_OPTIONS],
    example: "{image: \"debian:12\"}",
    ..PLAIN
});

pub(super) const IMAGE: Pattern = Pattern {
    accepts: is_image,
    expected: "the name of a docker image",
    hint: "lower-case letters and digits at both ends, such as `registry/name:tag`",
};

/// `name`, then possibly `:tag`; a name has lower-case letters and digits at its ends, and there,
/// inside, `.`, `_`, `/`, `:` and `-` too. It has two characters at least.
fn is_image(text: &str) -> bool {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let name = |text: &str| {
        let bytes = text.as_bytes();
        bytes.len() >= 2
            && bytes.first().copied().is_some_and(edge)
            && bytes.last().copied().is_some_and(edge)
            && bytes
                .iter()
                .all(|byte| edge(*byte) || b"._/:-".contains(byte))
    };
    let tag = |text: &str| {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        text.bytes().next().is_some_and(word)
            && text.bytes().all(|byte| word(byte) || b".-".contains(&byte))
    };
    name(text)
        || text
            .match_indices(':')
            .any(|(place, _)| name(&text[..place]) && tag(&text[place + 1..]))
}

/// A word that names a test or a step.
pub(super) const TEST_NAME: Pattern = Pattern {
    accepts: |text| {
        let text = text.strip_suffix('\n').unwrap_or(text);
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    },
    expected: "a name of letters, digits, `-`, `_` and `.`",
    hint: "",
};

/// A list of texts with something in each.
pub(super) const LIST_OF_FILLED: Kind = Kind::List(&FILLED);

/// Keys of LAVA's code that its schema does not list.
pub(super) const fn unlisted(name: &'static str) -> Key {
    listed(name, Listed::Code)
}
