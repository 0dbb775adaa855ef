//! LAVA's template variables in a job's `context`: those that change what Basalt does.
//!
//! In LAVA they are variables while the board's template is rendered; here the ones that have a
//! meaning for a board that boots with U-Boot change the board's profile for this plan. The others
//! are named in a warning, so that nobody believes in an argument that is not there.

use std::time::Duration;

use basalt_job::JobDefinition;
use basalt_job::definition::{ContextValue, Spanned};
use basalt_lab::profile::{BoardProfile, LoadAddresses};

use crate::build::Problems;

/// What the context says that is not a property of the board.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    /// `failure_retry`: attempts of blocks that state none.
    pub failure_retry: Option<u32>,
    /// `boot_retry`: the same for boots, stronger.
    pub boot_retry: Option<u32>,
}

/// Variables that mean something elsewhere (emulators that a job starts itself, other boot
/// loaders) and change nothing about a board's boot: no warning, jobs of LAVA labs are full of them.
const HARMLESS: [&str; 4] = [
    "arch",
    "kernel_loglevel",
    "tftp_mac_address",
    "uboot_needs_interrupt",
];

/// Applies the job's context to the board.
pub(crate) fn apply(
    job: &JobDefinition,
    board: &mut BoardProfile,
    problems: &mut Problems<'_>,
) -> Overrides {
    let mut overrides = Overrides::default();
    for (name, value) in &job.context {
        if let Err(message) = apply_one(name, value, board, &mut overrides, problems) {
            problems.error(value.span, format!("`{name}`: {message}"));
        }
    }
    overrides
}

fn apply_one(
    name: &str,
    value: &Spanned<ContextValue>,
    board: &mut BoardProfile,
    overrides: &mut Overrides,
    problems: &mut Problems<'_>,
) -> Result<(), String> {
    match name {
        "failure_retry" => overrides.failure_retry = Some(attempts(&value.value)?),
        "boot_retry" => overrides.boot_retry = Some(attempts(&value.value)?),
        "boot_character_delay" => {
            let milliseconds = number(&value.value)?;
            board.console.character_delay = Duration::from_millis(milliseconds.into());
        }
        "lava_test_results_dir" => board.shell.results_dir = text(&value.value)?,
        "kernel_start_message" => board.shell.kernel_start_message = pattern(&value.value)?,
        _ => match &mut board.u_boot {
            Some(u_boot) => match name {
                "bootloader_prompt" => u_boot.prompt = pattern(&value.value)?,
                "extra_kernel_args" => {
                    u_boot.kernel_args = format!("{} {}", u_boot.kernel_args, text(&value.value)?)
                        .trim()
                        .to_owned();
                }
                "extra_nfsroot_args" => {
                    u_boot.nfs_args = with_nfsroot_options(&u_boot.nfs_args, &text(&value.value)?)?;
                }
                "uboot_extra_error_message" => match &value.value {
                    ContextValue::List(messages) => {
                        u_boot.error_messages.extend_from_slice(messages)
                    }
                    other => u_boot.error_messages.push(text(other)?),
                },
                _ => match load_address(name) {
                    Some((kind, part)) => {
                        let address = address(&value.value)?;
                        set_address(&mut u_boot.load_addresses, kind, part, address)?;
                    }
                    None => warn(name, value, problems),
                },
            },
            None => warn(name, value, problems),
        },
    }
    Ok(())
}

fn warn(name: &str, value: &Spanned<ContextValue>, problems: &mut Problems<'_>) {
    if !HARMLESS.contains(&name) {
        problems.warning(
            value.span,
            format!("`{name}` changes nothing on this board"),
        );
    }
}

/// `booti_kernel_addr` and its eight brothers.
fn load_address(name: &str) -> Option<(&'static str, &str)> {
    let (command, part) = name.strip_suffix("_addr")?.split_once('_')?;
    let kind = match command {
        "booti" => "image",
        "bootz" => "zimage",
        "bootm" => "uimage",
        _ => return None,
    };
    matches!(part, "kernel" | "ramdisk" | "dtb").then_some((kind, part))
}

fn set_address(
    addresses: &mut [(String, LoadAddresses)],
    kind: &str,
    part: &str,
    address: String,
) -> Result<(), String> {
    let (_, addresses) = addresses
        .iter_mut()
        .find(|(name, _)| name == kind)
        .ok_or_else(|| format!("the board's type has no load addresses for `{kind}`"))?;
    match part {
        "kernel" => addresses.kernel = address,
        "ramdisk" => addresses.ramdisk = address,
        _ => addresses.dtb = address,
    }
    Ok(())
}

/// LAVA appends `extra_nfsroot_args` to the mount options: `,nolock`.
fn with_nfsroot_options(nfs_args: &str, options: &str) -> Result<String, String> {
    if !nfs_args.split(' ').any(|word| word.starts_with("nfsroot=")) {
        return Err("the board's type has no `nfsroot=` that it could be added to".to_owned());
    }
    let words: Vec<String> = nfs_args
        .split(' ')
        .map(|word| {
            if word.starts_with("nfsroot=") {
                format!("{word},{}", options.trim_start_matches(','))
            } else {
                word.to_owned()
            }
        })
        .collect();
    Ok(words.join(" "))
}

fn text(value: &ContextValue) -> Result<String, String> {
    match value {
        ContextValue::Text(text) => Ok(text.clone()),
        ContextValue::Integer(number) => Ok(number.to_string()),
        ContextValue::List(_) => Err("must be a text, not a list".to_owned()),
    }
}

fn number(value: &ContextValue) -> Result<u32, String> {
    text(value)?
        .parse()
        .map_err(|_| "must be a number, 0 or more".to_owned())
}

fn attempts(value: &ContextValue) -> Result<u32, String> {
    match number(value)? {
        0 => Err("must be at least 1".to_owned()),
        attempts => Ok(attempts),
    }
}

fn pattern(value: &ContextValue) -> Result<String, String> {
    let text = text(value)?;
    match regex::Regex::new(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            // The crate draws the mistake over several lines and says it in the last.
            let error = error.to_string();
            let said = error.lines().last().unwrap_or_default();
            let said = said.strip_prefix("error: ").unwrap_or(said);
            Err(format!("must be a regular expression: {said}"))
        }
    }
}

/// A hexadecimal address; YAML has read an unquoted `0x48000000` as a number already.
fn address(value: &ContextValue) -> Result<String, String> {
    match value {
        ContextValue::Integer(number) if *number >= 0 => Ok(format!("{number:#x}")),
        ContextValue::Text(text)
            if text
                .strip_prefix("0x")
                .is_some_and(|digits| u64::from_str_radix(digits, 16).is_ok()) =>
        {
            Ok(text.clone())
        }
        _ => Err("must be an address such as 0x48000000".to_owned()),
    }
}
