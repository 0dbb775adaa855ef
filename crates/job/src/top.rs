//! The keys at the top of a job.

use basalt_yaml::{Diagnostics, Field, MapReader, Node, Unknown, Value, closest};

use crate::definition::{ContextValue, JobDefinition, Spanned, Visibility};
use crate::values::{unsupported, variables, without_effect};
use crate::{action, timeouts};

/// LAVA's names in `context` (facts: LAVA 2026.07, lava_common/schemas).
const CONTEXT: &[&str] = &[
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

const LONGEST_NAME: usize = 200;

/// Reads the whole job.
pub(crate) fn job(node: &Node, diagnostics: &mut Diagnostics) -> Option<JobDefinition> {
    let mut reader = MapReader::new(node, "the job", diagnostics)?;
    let job_name = job_name(reader.required("job_name"));
    let device_type = spanned(reader.optional("device_type"));
    let device = spanned(reader.optional("device"));
    let timeouts = timeouts::of_job(&mut reader);
    let visibility = visibility(reader.required("visibility"));
    let priority = priority(reader.optional("priority"));
    let tags = reader.optional("tags").strings().unwrap_or_default();
    let context = context(reader.optional("context"));
    let metadata = metadata(reader.optional_or_null("metadata"));
    let environment =
        variables(reader.optional_or_null("environment"), "`environment`").unwrap_or_default();
    unsupported(&mut reader, "secrets", None);
    unsupported(
        &mut reader,
        "protocols",
        Some("a job runs on one board by itself"),
    );
    unsupported(&mut reader, "reboot_to_fastboot", None);
    without_effect(
        &mut reader,
        "notify",
        "there is no server that could notify",
    );
    without_effect(
        &mut reader,
        "worker",
        "there is no server that could choose",
    );
    let limit = timeouts.as_ref().map(|timeouts| timeouts.job.duration);
    let actions = action::actions(reader.required("actions"), limit);
    reader.finish(Unknown::Warn);
    Some(JobDefinition {
        job_name: job_name?,
        device_type,
        device,
        timeouts: timeouts?,
        visibility: visibility?,
        priority,
        tags,
        context,
        metadata,
        environment,
        actions: actions?,
    })
}

fn spanned(field: Field<'_>) -> Option<Spanned<String>> {
    let (value, span) = field.spanned(Field::string)?;
    Some(Spanned { value, span })
}

fn job_name(field: Field<'_>) -> Option<String> {
    let (node, diagnostics) = field.into_parts()?;
    let name = Field::new(&node, "`job_name`", diagnostics).string()?;
    let length = name.chars().count();
    if (1..=LONGEST_NAME).contains(&length) {
        return Some(name);
    }
    let message = format!("`job_name` must have 1 to {LONGEST_NAME} characters, this has {length}");
    diagnostics.error(node.span, message);
    None
}

fn visibility(field: Field<'_>) -> Option<Visibility> {
    let (node, diagnostics) = field.into_parts()?;
    match node.value() {
        Value::Map(_) => {
            let mut reader = MapReader::new(&node, "`visibility`", diagnostics)?;
            let groups = reader.required("group").strings();
            reader.finish(Unknown::Warn);
            groups.map(Visibility::Group)
        }
        _ => Field::new(&node, "`visibility`", diagnostics).word(&[
            ("public", Visibility::Public),
            ("personal", Visibility::Personal),
        ]),
    }
}

fn priority(field: Field<'_>) -> u8 {
    const MEDIUM: u8 = 50;
    let Some((node, diagnostics)) = field.into_parts() else {
        return MEDIUM;
    };
    let field = Field::new(&node, "`priority`", diagnostics);
    let read = match node.value() {
        Value::Int(_) => field
            .int(0..=100)
            .and_then(|number| u8::try_from(number).ok()),
        _ => field.word(&[("low", 0), ("medium", MEDIUM), ("high", 100)]),
    };
    read.unwrap_or(MEDIUM)
}

fn context(field: Field<'_>) -> Vec<(String, Spanned<ContextValue>)> {
    let Some((node, diagnostics)) = field.into_parts() else {
        return Vec::new();
    };
    let Some(entries) = node.as_map() else {
        let message = format!("`context` must be a mapping, found {}", node.describe());
        diagnostics.error(node.span, message);
        return Vec::new();
    };
    let mut context = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let name = key.source_text().unwrap_or_default();
        if !CONTEXT.contains(&name) {
            let message =
                format!("`{name}` is none of the variables that LAVA allows in `context`");
            let diagnostic = diagnostics.warning(key.span, message);
            if let Some(meant) = closest(name, CONTEXT.iter().copied()) {
                diagnostic.with_hint(format!("did you mean `{meant}`?"));
            }
        }
        let span = value.span;
        let value = context_value(value, name, diagnostics);
        context.extend(value.map(|value| (name.to_owned(), Spanned { value, span })));
    }
    context
}

fn context_value(value: &Node, name: &str, diagnostics: &mut Diagnostics) -> Option<ContextValue> {
    if value.is_broken() {
        return None;
    }
    let written = || value.source_text().unwrap_or_default().to_owned();
    match value.value() {
        Value::Int(number) => Some(ContextValue::Integer(*number)),
        Value::String(_) | Value::Float(_) => Some(ContextValue::Text(written())),
        Value::Bool(value) => Some(ContextValue::Text(value.to_string())),
        Value::Seq(_) => Field::new(value, format!("`{name}`"), diagnostics)
            .texts()
            .map(ContextValue::List),
        Value::Null | Value::Map(_) => {
            let message = format!(
                "`{name}` must be a text, a number or a list, found {}",
                value.describe()
            );
            diagnostics.error(value.span, message);
            None
        }
    }
}

fn metadata(field: Field<'_>) -> serde_json::Map<String, serde_json::Value> {
    let Some((node, diagnostics)) = field.into_parts() else {
        return serde_json::Map::new();
    };
    match node.to_json() {
        serde_json::Value::Object(map) => map,
        _ => {
            let message = format!("`metadata` must be a mapping, found {}", node.describe());
            diagnostics.error(node.span, message);
            serde_json::Map::new()
        }
    }
}
