//! The names under which a board type may state deadlines.

/// Every action that a run performs, in LAVA's names where LAVA has one. What each is, and which
/// deadline it then gets, is said where jobs are planned.
pub const ACTIONS: [&str; 19] = [
    "tftp-deploy",
    "http-download",
    "file-download",
    "lava-overlay",
    "prepare-tftp-overlay",
    "uboot-action",
    "reset-device",
    "bootloader-interrupt",
    "bootloader-commands",
    "auto-login-action",
    "login-action",
    "expect-shell-connection",
    "environment-record",
    "lava-test-retry",
    "lava-test-shell",
    "realtime",
    "realtime-phase",
    "realtime-transfer",
    "finalize",
];
