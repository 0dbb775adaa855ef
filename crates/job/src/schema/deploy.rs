//! `deploy`: 25 destinations.

use super::job::{ACTION, DOCKER, DOCKER_MAP, DOCKER_NAME, DOCKER_OPTIONS, IMAGE};
use super::kind::PLAIN;
use super::{Key, Kind, Map, Pattern, Rest, optional, required};

const WHAT: &str = "this deploy action";

/// What every destination may have.
const COMMON: &[Key] = &[
    required("to", Kind::Text),
    optional("os", Kind::Text),
    optional("authorize", Kind::Words(&["ssh"])),
    optional("overlay_backend", BACKEND),
];

const BACKEND: Kind = Kind::Words(&["auto", "e2fsprogs", "guestfs"]);

/// A file by its URL.
const FILE: &[Key] = &[
    required("url", Kind::Text),
    optional("filename", Kind::Pattern(&FILE_NAME)),
    optional("headers", Kind::Mapping),
    optional(
        "compression",
        Kind::OneOf(&[Kind::Words(&["bz2", "gz", "xz", "zip", "zstd"]), Kind::Null]),
    ),
    optional("archive", Kind::Words(&["tar"])),
    optional("md5sum", Kind::Text),
    optional("sha256sum", Kind::Text),
    optional("sha512sum", Kind::Text),
    optional("use_cache", Kind::Boolean),
];

const FILE_NAME: Pattern = Pattern {
    accepts: |text| !text.is_empty() && !text.contains('/'),
    expected: "a file name without `/`",
    hint: "",
};

/// What a file has that overlays are put into.
const OVERLAID: &[Key] = &[
    required("format", Kind::Words(&["cpio.newc", "ext4", "tar"])),
    optional("partition", Kind::Whole),
    optional("sparse", Kind::Boolean),
    optional("overlay_backend", BACKEND),
    OVERLAYS,
];

const OVERLAYS: Key = required(
    "overlays",
    Kind::Map(&Map {
        keys: &[&[optional("lava", Kind::Boolean)]],
        rest: Rest::Each(Kind::Map(&Map {
            keys: &[
                FILE,
                &[
                    required("format", Kind::Words(&["file", "tar"])),
                    required("path", Kind::Text),
                ],
            ],
            ..PLAIN
        })),
        ..PLAIN
    }),
);

const EXAMPLE: &str = "{url: \"https://…\"}";

/// A file with keys of its own, as it is or with overlays.
macro_rules! file {
    ($($group:expr),* $(,)?) => {
        Kind::OneOf(&[
            Kind::Map(&Map {
                keys: &[FILE, $($group),*],
                example: EXAMPLE,
                ..PLAIN
            }),
            Kind::Map(&Map {
                keys: &[FILE, $($group,)* OVERLAID],
                example: EXAMPLE,
                ..PLAIN
            }),
        ])
    };
}

macro_rules! images {
    ($kind:expr) => {
        required(
            "images",
            Kind::Map(&Map {
                rest: Rest::Some($kind),
                ..PLAIN
            }),
        )
    };
}

macro_rules! destination {
    ($($group:expr),* $(,)?) => {
        Kind::Map(&Map {
            what: WHAT,
            keys: &[$($group,)* COMMON, ACTION],
            ..PLAIN
        })
    };
}

const URL: Kind = file!();
const ARGUMENT: &[Key] = &[optional("image_arg", Kind::Text)];
const NOT_NEGATIVE: Kind = Kind::Number {
    least: 0,
    most: None,
};
const ROOT_PARTITION: &[Key] = &[optional("root_partition", NOT_NEGATIVE)];
const APPLY_OVERLAY: &[Key] = &[
    optional("apply-overlay", Kind::Boolean),
    optional("root_partition", NOT_NEGATIVE),
];
const UNIQUIFY: Key = optional("uniquify", Kind::Boolean);
const KERNEL_TYPE: &[Key] = &[optional(
    "type",
    Kind::Words(&["image", "uimage", "zimage"]),
)];
const INSTALL: &[Key] = &[
    optional("install_modules", Kind::Boolean),
    optional("install_overlay", Kind::Boolean),
];

pub(super) const DEPLOY: Kind = Kind::Select {
    what: WHAT,
    key: "to",
    cases: &[
        ("avh", AVH),
        (
            "docker",
            destination!(&[required(
                "image",
                Kind::OneOf(&[
                    Kind::Pattern(&IMAGE),
                    Kind::Map(&Map {
                        keys: &[DOCKER_NAME, DOCKER_OPTIONS],
                        ..PLAIN
                    }),
                ])
            )]),
        ),
        ("download", destination!(&[images!(URL)])),
        ("downloads", DOWNLOADS),
        (
            "fastboot",
            destination!(&[images!(FASTBOOT_IMAGE), optional("docker", DOCKER_MAP)]),
        ),
        (
            "flasher",
            destination!(&[
                required(
                    "images",
                    Kind::Map(&Map {
                        rest: Rest::Each(file!(&[optional("download", Kind::Boolean)])),
                        ..PLAIN
                    })
                ),
                UNIQUIFY,
            ]),
        ),
        (
            "fvp",
            destination!(&[
                optional(
                    "ramdisk",
                    Kind::Map(&Map {
                        keys: &[&[
                            optional("install_overlay", Kind::Boolean),
                            optional("compression", Kind::Text),
                            optional("header", Kind::Words(&["u-boot"])),
                        ]],
                        ..PLAIN
                    })
                ),
                UNIQUIFY,
                images!(URL),
            ]),
        ),
        ("iso-installer", ISO_INSTALLER),
        (
            "mps",
            destination!(&[required(
                "images",
                Kind::Map(&Map {
                    keys: &[&[optional("recovery_image", URL)]],
                    rest: Rest::Matching(is_test_binary, file!(&[optional("rename", Kind::Text)])),
                    filled: true,
                    ..PLAIN
                })
            )]),
        ),
        (
            "musca",
            destination!(&[required(
                "images",
                Kind::Map(&Map {
                    keys: &[&[required("test_binary", URL)]],
                    ..PLAIN
                })
            )]),
        ),
        (
            "nbd",
            destination!(&[
                required("kernel", file!(KERNEL_TYPE)),
                required("nbdroot", URL),
                required("initrd", URL),
                optional("dtb", URL),
            ]),
        ),
        (
            "nfs",
            Kind::OneOf(&[
                destination!(&[optional("nfsrootfs", URL), optional("modules", URL)]),
                destination!(&[images!(file!(ARGUMENT))]),
            ]),
        ),
        ("overlay", destination!()),
        (
            "qdl",
            destination!(&[
                required("qcomflash", QCOMFLASH),
                UNIQUIFY,
                optional("rootfs_image", Kind::Text),
            ]),
        ),
        ("recovery", destination!(&[images!(URL)])),
        ("sata", MEDIUM),
        ("sd", MEDIUM),
        (
            "ssh",
            destination!(&[
                optional("firmware", URL),
                optional("kernel", URL),
                optional("rootfs", URL),
                optional("modules", URL),
            ]),
        ),
        ("tftp", TFTP),
        (
            "tmpfs",
            destination!(&[
                images!(file!(ARGUMENT)),
                optional("type", Kind::Words(&["monitor"])),
                optional("uefi", URL),
            ]),
        ),
        (
            "u-boot-ums",
            destination!(&[required("image", file!(ROOT_PARTITION))]),
        ),
        ("usb", MEDIUM),
        ("usbg-ms", destination!(&[required("image", URL)])),
        (
            "uuu",
            destination!(&[
                required(
                    "images",
                    Kind::Map(&Map {
                        keys: &[&[required("boot", URL)]],
                        rest: Rest::Each(file!(APPLY_OVERLAY)),
                        ..PLAIN
                    })
                ),
                UNIQUIFY,
            ]),
        ),
        ("vemsd", destination!(&[required("recovery_image", URL)])),
    ],
};

/// `test_binary`, or `test_binary_` and a word after it.
fn is_test_binary(name: &str) -> bool {
    let name = name.strip_suffix('\n').unwrap_or(name);
    match name.strip_prefix("test_binary") {
        Some("") => true,
        Some(rest) => rest.strip_prefix('_').is_some_and(|word| {
            !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_')
        }),
        None => false,
    }
}

const TFTP: Kind = Kind::Map(&Map {
    what: WHAT,
    keys: &[
        &[
            optional("kernel", file!(KERNEL_TYPE)),
            optional("dtb", URL),
            optional("dtbo", Kind::List(&URL)),
            optional("modules", URL),
            optional("preseed", URL),
            optional(
                "ramdisk",
                file!(INSTALL, &[optional("header", Kind::Words(&["u-boot"]))]),
            ),
            optional(
                "nfsrootfs",
                file!(INSTALL, &[optional("prefix", Kind::Text)]),
            ),
            optional(
                "persistent_nfs",
                Kind::Map(&Map {
                    keys: &[&[
                        required("address", Kind::Text),
                        optional("install_overlay", Kind::Boolean),
                    ]],
                    example: "{address: \"HOST:/path\"}",
                    ..PLAIN
                }),
            ),
            optional("tee", URL),
            optional(
                "extra_files",
                Kind::Map(&Map {
                    rest: Rest::Any(URL),
                    ..PLAIN
                }),
            ),
        ],
        COMMON,
        ACTION,
    ],
    exclusive: Some(("nfsrootfs", "persistent_nfs")),
    ..PLAIN
});

/// A disk of the board: `sata`, `sd`, `usb`.
const MEDIUM: Kind = Kind::Map(&Map {
    what: WHAT,
    keys: &[
        &[
            optional(
                "images",
                Kind::Map(&Map {
                    keys: &[&[required("image", URL)]],
                    rest: Rest::Each(URL),
                    ..PLAIN
                }),
            ),
            optional("image", file!(&[optional("root_partition", Kind::Whole)])),
            required("device", Kind::Text),
            optional("download", TOOL),
            optional("writer", TOOL),
            optional(
                "tool",
                Kind::Map(&Map {
                    keys: &[&[required("prompts", Kind::List(&Kind::Text))]],
                    ..PLAIN
                }),
            ),
            UNIQUIFY,
        ],
        COMMON,
        ACTION,
    ],
    exclusive: Some(("images", "image")),
    ..PLAIN
});

const TOOL: Kind = Kind::Map(&Map {
    keys: &[&[
        required("tool", Kind::Text),
        required("options", Kind::Text),
        required("prompt", Kind::Text),
    ]],
    ..PLAIN
});

const FASTBOOT_IMAGE: Kind = file!(&[
    optional("apply-overlay", Kind::Boolean),
    optional("root_partition", NOT_NEGATIVE),
    optional("sparse", Kind::Boolean),
    optional(
        "reboot",
        Kind::Words(&[
            "hard-reset",
            "fastboot-reboot",
            "fastboot-reboot-bootloader",
            "fastboot-reboot-fastboot",
        ])
    ),
]);

/// LAVA takes a mapping of files here, and anything else that is not empty.
const QCOMFLASH: Kind = Kind::OneOf(&[
    Kind::Map(&Map {
        keys: &[&[optional("apply-overlay", Kind::Boolean)]],
        rest: Rest::Each(URL),
        ..PLAIN
    }),
    Kind::Sized,
]);

const DOWNLOADS: Kind = destination!(&[
    images!(URL),
    UNIQUIFY,
    optional(
        "postprocess",
        Kind::Map(&Map {
            keys: &[&[required(
                "docker",
                Kind::Map(&Map {
                    keys: &[
                        DOCKER,
                        DOCKER_OPTIONS,
                        &[
                            required("steps", Kind::List(&Kind::Text)),
                            optional("devices", Kind::List(&Kind::Text)),
                        ],
                    ],
                    ..PLAIN
                }),
            )]],
            ..PLAIN
        })
    ),
]);

const ISO_INSTALLER: Kind = destination!(&[
    required(
        "images",
        Kind::Map(&Map {
            keys: &[&[required("iso", file!(ARGUMENT)), required("preseed", URL)]],
            ..PLAIN
        })
    ),
    required(
        "iso",
        Kind::Map(&Map {
            keys: &[&[
                required("installation_size", Kind::Text),
                optional("kernel", Kind::Text),
                optional("initrd", Kind::Text),
            ]],
            ..PLAIN
        })
    ),
]);

/// Arm Virtual Hardware: images, or a firmware package.
const AVH: Kind = Kind::OneOf(&[
    destination!(&[
        AVH_OPTIONS,
        images!(Kind::OneOf(&[
            Kind::Map(&Map {
                keys: &[FILE, AVH_FILE],
                example: EXAMPLE,
                ..PLAIN
            }),
            Kind::Map(&Map {
                keys: &[FILE, AVH_OVERLAID],
                example: EXAMPLE,
                ..PLAIN
            }),
        ])),
    ]),
    destination!(&[
        AVH_OPTIONS,
        required(
            "fw_package",
            Kind::OneOf(&[
                Kind::Map(&Map {
                    keys: &[FILE, STORAGE, AVH_FILE],
                    example: EXAMPLE,
                    ..PLAIN
                }),
                Kind::Map(&Map {
                    keys: &[FILE, STORAGE, AVH_OVERLAID],
                    example: EXAMPLE,
                    ..PLAIN
                }),
            ])
        ),
    ]),
]);

const AVH_OPTIONS: Key = optional(
    "options",
    Kind::Map(&Map {
        keys: &[&[
            optional("model", Kind::Text),
            optional("api_endpoint", Kind::Text),
            optional("project_name", Kind::Text),
        ]],
        ..PLAIN
    }),
);
const STORAGE: &[Key] = &[optional("storage_file", Kind::Text)];
const AVH_FILE: &[Key] = &[
    optional("format", Kind::Words(&["ext4"])),
    optional("root_partition", NOT_NEGATIVE),
    optional("type", Kind::Words(&["image"])),
];
const AVH_OVERLAID: &[Key] = &[
    optional("format", Kind::Words(&["cpio.newc", "ext4", "tar"])),
    optional("root_partition", NOT_NEGATIVE),
    optional("type", Kind::Words(&["image"])),
    optional("partition", Kind::Whole),
    optional("sparse", Kind::Boolean),
    optional("overlay_backend", BACKEND),
    OVERLAYS,
];
