//! The placeholders in boot commands and kernel arguments: `{KERNEL_ADDR}` and its like.
//!
//! LAVA's names (facts: LAVA 2026.07, the substitutions of its boot loader overlays), so that the
//! command lists of LAVA jobs work, and a few of our own. U-Boot's variables look alike
//! (`${filesize}`) and are not placeholders.

/// Put in when a job is planned, before the runner sees the command.
///
/// `{KERNEL_ARGS}` and `{NFS_ARGS}`: the type's kernel arguments; `{BOOTX}`: the boot command with
/// its addresses; `{TFTP_PORT}`: where the dispatcher serves TFTP.
pub const BY_PLAN: [&str; 4] = ["KERNEL_ARGS", "NFS_ARGS", "BOOTX", "TFTP_PORT"];

/// Put in by the runner, which knows the lease's boot root.
///
/// `{KERNEL}`, `{RAMDISK}`, `{DTB}`: paths on the TFTP server; `{..._ADDR}`: where they go in
/// memory; `{NFSROOTFS}`: the exported path; `{SERVER_IP}`, `{NFS_SERVER_IP}`, `{NFS_PORT}`: the
/// dispatcher; `{LAVA_MAC}`, `{BOARD_IP}`, `{BOARD_NETMASK}` (dotted), `{BOARD_PREFIX}` (bits):
/// the board's network port.
pub const BY_RUNNER: [&str; 14] = [
    "SERVER_IP",
    "NFS_SERVER_IP",
    "NFS_PORT",
    "KERNEL",
    "KERNEL_ADDR",
    "RAMDISK",
    "RAMDISK_ADDR",
    "DTB",
    "DTB_ADDR",
    "NFSROOTFS",
    "LAVA_MAC",
    "BOARD_IP",
    "BOARD_NETMASK",
    "BOARD_PREFIX",
];

/// Whether somebody puts something in for this name (without braces).
pub fn is_known(name: &str) -> bool {
    BY_PLAN.contains(&name) || BY_RUNNER.contains(&name)
}

/// The names in braces in a command, known or not, in order. A name is upper-case letters, digits
/// and underscores, starting with a letter; `${NAME}` is U-Boot's own and left out.
pub fn names(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (open, _) in text.match_indices('{') {
        if text[..open].ends_with('$') {
            continue;
        }
        let rest = &text[open + 1..];
        let Some(close) = rest.find('}') else {
            continue;
        };
        let name = &rest[..close];
        let is_name = name.starts_with(|first: char| first.is_ascii_uppercase())
            && name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if is_name {
            found.push(name);
        }
    }
    found
}

/// Whether the command names this placeholder (without braces).
pub fn mentions(text: &str, name: &str) -> bool {
    names(text).contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_the_variables_of_u_boot_are_not() {
        assert_eq!(
            names("tftpboot {KERNEL_ADDR} {KERNEL}; x ${filesize} ${FOO} {lower} {ODD"),
            ["KERNEL_ADDR", "KERNEL"]
        );
        assert!(mentions("{BOOTX}", "BOOTX"));
        assert!(!mentions("{KERNEL_ADDR}", "KERNEL"));
    }
}
