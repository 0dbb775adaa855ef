//! `test`: LAVA's five kinds, Basalt's `realtime`, and test definitions.

use super::job::{ACTION, DOCKER_MAP, LIST_OF_FILLED, TEST_NAME};
use super::kind::{FILLED, PLAIN};
use super::{Key, Kind, Map, Rest, optional, required};

const WHAT: &str = "this test action";

macro_rules! block {
    ($($group:expr),* $(,)?) => {
        Kind::Map(&Map {
            what: WHAT,
            keys: &[$($group,)* ACTION],
            ..PLAIN
        })
    };
}

/// LAVA looks for the kinds in this order. `realtime` is Basalt's.
pub(super) const TEST: Kind = Kind::Block {
    what: WHAT,
    cases: &[
        (
            "definitions",
            block!(&[
                required("definitions", Kind::List(&SOURCE)),
                optional("docker", DOCKER_MAP),
                optional("downloads-namespace", Kind::Text),
                optional("disconnect_connection", Kind::Boolean),
            ]),
        ),
        (
            "interactive",
            block!(&[required("interactive", Kind::List(&INTERACTIVE))]),
        ),
        (
            "monitors",
            block!(&[required("monitors", Kind::List(&MONITOR))]),
        ),
        (
            "services",
            block!(&[required("services", Kind::List(&SERVICE))]),
        ),
        ("realtime", block!(&[required("realtime", Kind::Anything)])),
    ],
};

const NAME: Key = required("name", Kind::Pattern(&TEST_NAME));

/// What every definition has.
const DEFINITION_KEYS: &[Key] = &[
    required("from", Kind::Text),
    required("path", Kind::Text),
    NAME,
    optional(
        "skip_install",
        Kind::List(&Kind::Words(&[
            "keys",
            "sources",
            "deps",
            "steps",
            "git-repos",
            "all",
        ])),
    ),
    optional("lava-signal", Kind::Words(&["kmsg", "stdout"])),
    optional("expected", Kind::List(&Kind::Text)),
];
const PARAMETERS: &[Key] = &[
    optional("parameters", Kind::Mapping),
    optional("params", Kind::Mapping),
];
const REPOSITORY: &[Key] = &[required("repository", Kind::Text)];

/// Where a definition comes from.
const SOURCE: Kind = Kind::Select {
    what: "this test definition",
    key: "from",
    cases: &[
        (
            "git",
            Kind::Map(&Map {
                what: "this test definition",
                keys: &[
                    REPOSITORY,
                    &[
                        optional("branch", Kind::Text),
                        optional("history", Kind::Boolean),
                        optional("revision", Kind::Text),
                        optional("shallow", Kind::Boolean),
                        optional("recursive", Kind::Boolean),
                    ],
                    PARAMETERS,
                    DEFINITION_KEYS,
                ],
                ..PLAIN
            }),
        ),
        (
            "url",
            Kind::Map(&Map {
                what: "this test definition",
                keys: &[
                    REPOSITORY,
                    &[
                        optional("compression", Kind::Text),
                        optional("strip-components", Kind::Whole),
                        optional("headers", Kind::Mapping),
                    ],
                    PARAMETERS,
                    DEFINITION_KEYS,
                ],
                ..PLAIN
            }),
        ),
        (
            "inline",
            Kind::Map(&Map {
                what: "this test definition",
                keys: &[
                    &[
                        required("repository", DEFINITION),
                        super::job::unlisted("parameters"),
                        super::job::unlisted("params"),
                    ],
                    DEFINITION_KEYS,
                ],
                ..PLAIN
            }),
        ),
    ],
};

/// "Lava-Test Test Definition 1.0".
pub(super) const DEFINITION: Kind = Kind::Map(&Map {
    what: "the definition",
    keys: &[
        &[
            required("metadata", METADATA),
            optional("install", INSTALL),
            optional(
                "parse",
                Kind::Map(&Map {
                    keys: &[&[
                        optional("fixupdict", FIXUPS),
                        super::job::unlisted("pattern"),
                    ]],
                    ..PLAIN
                }),
            ),
            optional(
                "run",
                Kind::Map(&Map {
                    keys: &[&[required("steps", Kind::List(&Kind::Text))]],
                    ..PLAIN
                }),
            ),
            optional("expected", Kind::List(&Kind::Text)),
        ],
        PARAMETERS,
    ],
    example: "{metadata: …, run: {steps: […]}}",
    ..PLAIN
});

const METADATA: Kind = Kind::Map(&Map {
    keys: &[&[
        required("format", Kind::Words(&["Lava-Test Test Definition 1.0"])),
        required("name", Kind::Text),
        optional("description", Kind::Text),
        optional("environment", Kind::List(&Kind::Text)),
        optional("devices", Kind::List(&Kind::Text)),
        optional("maintainer", Kind::List(&Kind::Text)),
        optional("scope", Kind::List(&Kind::Text)),
        optional("os", Kind::List(&Kind::Text)),
    ]],
    ..PLAIN
});

const INSTALL: Kind = Kind::Map(&Map {
    keys: &[&[
        optional("deps", Kind::List(&Kind::Text)),
        optional(
            "git-repos",
            Kind::List(&Kind::OneOf(&[
                Kind::Text,
                Kind::Map(&Map {
                    keys: &[&[
                        optional("url", Kind::Text),
                        optional("branch", Kind::Text),
                        optional("destination", Kind::Text),
                    ]],
                    ..PLAIN
                }),
            ])),
        ),
        optional("keys", Kind::List(&Kind::Text)),
        optional("steps", Kind::List(&Kind::Text)),
        optional("sources", Kind::List(&Kind::Text)),
    ]],
    rest: Rest::Matching(
        |name| {
            name.strip_prefix("deps-").is_some_and(|distribution| {
                distribution
                    .chars()
                    .next()
                    .is_some_and(|first| first != '\n')
            })
        },
        Kind::List(&Kind::Text),
    ),
    ..PLAIN
});

const FIXUPS: Kind = Kind::Map(&Map {
    rest: Rest::Each(Kind::Words(&["pass", "fail", "skip", "unknown"])),
    ..PLAIN
});

const MONITOR: Kind = Kind::Map(&Map {
    what: "this monitor",
    keys: &[&[
        NAME,
        required("start", Kind::Text),
        required("end", Kind::Text),
        required("pattern", Kind::Text),
        optional("fixupdict", FIXUPS),
        optional("expected", Kind::List(&Kind::Text)),
    ]],
    ..PLAIN
});

const INTERACTIVE: Kind = Kind::Map(&Map {
    what: "this dialogue",
    keys: &[&[
        NAME,
        required("prompts", LIST_OF_FILLED),
        optional("echo", Kind::Words(&["discard"])),
        optional("expected", LIST_OF_FILLED),
        required("script", Kind::List(&SCRIPT)),
    ]],
    ..PLAIN
});

const SCRIPT: Kind = Kind::Map(&Map {
    what: "this step",
    keys: &[&[
        optional("command", Kind::OneOf(&[Kind::Text, Kind::Null])),
        optional("delay", Kind::Whole),
        optional("lava-send", Kind::Text),
        optional("lava-sync", Kind::Text),
        optional("lava-wait", Kind::Text),
        optional("lava-wait-all", Kind::Text),
        optional("name", Kind::Pattern(&TEST_NAME)),
        optional("wait_for_prompt", Kind::Boolean),
        optional(
            "successes",
            Kind::List(&Kind::Map(&Map {
                what: "this success",
                keys: &[&[required("message", FILLED)]],
                ..PLAIN
            })),
        ),
        optional(
            "failures",
            Kind::List(&Kind::Map(&Map {
                what: "this failure",
                keys: &[&[
                    required("message", FILLED),
                    optional(
                        "exception",
                        Kind::Words(&["InfrastructureError", "JobError", "TestError"]),
                    ),
                    optional("error", FILLED),
                ]],
                ..PLAIN
            })),
        ),
    ]],
    ..PLAIN
});

const SERVICE: Kind = Kind::Select {
    what: "this service",
    key: "from",
    cases: &[
        (
            "git",
            Kind::Map(&Map {
                what: "this service",
                keys: &[
                    SERVICE_KEYS,
                    &[
                        optional("branch", Kind::Text),
                        optional("history", Kind::Boolean),
                        optional("revision", Kind::Text),
                        optional("recursive", Kind::Boolean),
                    ],
                ],
                ..PLAIN
            }),
        ),
        (
            "url",
            Kind::Map(&Map {
                what: "this service",
                keys: &[
                    SERVICE_KEYS,
                    &[
                        optional("compression", Kind::Text),
                        optional("headers", Kind::Mapping),
                    ],
                ],
                ..PLAIN
            }),
        ),
    ],
};

const SERVICE_KEYS: &[Key] = &[
    required("from", Kind::Text),
    NAME,
    required("repository", Kind::Text),
    required("path", Kind::Text),
    optional("service", Kind::Text),
];
