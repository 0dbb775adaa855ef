//! A rendered device (lava.md 4.4) read into the values of a board type.

use std::time::Duration;

use basalt_yaml::{Node, Value};

use crate::placeholder;
use crate::profile::LoadAddresses;
use crate::timeouts::ACTIONS;
use crate::values::{ShellValues, UBootValues, Values};

/// A board that LAVA switches off stays off for this long, where Basalt cycles it: LAVA's
/// dictionaries state no time, and this is what our own base types say.
const OFF_TIME: Duration = Duration::from_secs(2);

/// What fetches parts that Basalt does not deploy. LAVA drops a line whose placeholder has no
/// value, so the sets that hold these work without.
const DROPPED: [&str; 8] = [
    "TEE",
    "TEE_ADDR",
    "DTBO",
    "DTBO_ADDR",
    "DTB_BASE_ADDR",
    "DTB_BASE_RESIZE",
    "APPLY_DTBO_COMMANDS",
    "APPLY_OVERLAY_COMMANDS",
];

/// A rendered device.
pub(super) struct Device(pub(super) Node);

impl Device {
    pub(super) fn at(&self, path: &[&str]) -> Option<&Node> {
        at(&self.0, path)
    }

    pub(super) fn text(&self, path: &[&str]) -> Option<String> {
        self.at(path).and_then(text)
    }

    /// One text or a list of them.
    pub(super) fn texts(&self, path: &[&str]) -> Vec<String> {
        self.at(path).map(texts).unwrap_or_default()
    }

    /// Everything but the ways to power and console.
    pub(super) fn values(&self) -> Values {
        Values {
            baud: None,
            character_delay: Some(
                self.at(&["character_delays", "boot"])
                    .and_then(integer)
                    .map_or(Duration::ZERO, Duration::from_millis),
            ),
            off_time: Some(OFF_TIME),
            limits: Vec::new(),
            timeouts: self.timeouts(),
            u_boot: self.u_boot(),
            shell: ShellValues {
                path: self.text(&["constants", "posix", "lava_test_sh_cmd"]),
                results_dir: self.text(&["constants", "posix", "lava_test_results_dir"]),
                kernel_start_message: self.text(&["constants", "kernel-start-message"]),
                prompt: self.text(&["constants", "default-shell-prompt"]),
            },
        }
    }

    fn timeouts(&self) -> Vec<(String, Duration)> {
        let stated = |action: &str| {
            let parts = self.at(&["timeouts", "actions", action])?.as_map()?;
            let seconds: u64 = parts
                .iter()
                .map(|(unit, number)| {
                    let unit = match unit.source_text()? {
                        "days" => 86_400,
                        "hours" => 3_600,
                        "minutes" => 60,
                        "seconds" => 1,
                        _ => return None,
                    };
                    integer(number)?.checked_mul(unit)
                })
                .sum::<Option<u64>>()?;
            Some((action.to_owned(), Duration::from_secs(seconds)))
        };
        ACTIONS.iter().filter_map(|action| stated(action)).collect()
    }

    /// `None` where the device does not boot with U-Boot, or not in a way that Basalt knows.
    fn u_boot(&self) -> Option<UBootValues> {
        let method = self.at(&["actions", "boot", "methods", "u-boot"])?;
        let constants = self.at(&["constants", "u-boot"]);
        let constant = |key: &str| constants.and_then(|node| node.get(key));
        let parameter = |key: &str| at(method, &["parameters", key]);
        // A board that starts in its boot loader's prompt is not waited for yet.
        if matches!(
            parameter("needs_interrupt").map(Node::value),
            Some(Value::Bool(false))
        ) {
            return None;
        }
        let load_addresses = self.load_addresses();
        if load_addresses.is_empty() {
            return None;
        }
        let wants_line = !matches!(
            constant("interrupt-newline").map(Node::value),
            Some(Value::Bool(false))
        );
        let letter = parameter("interrupt_char").or_else(|| constant("interrupt-character"));
        let controls = parameter("interrupt_ctrl_list")
            .or_else(|| constant("interrupt_ctrl_list"))
            .map(texts)
            .unwrap_or_default();
        let typed = match controls.first().and_then(|letter| letter.bytes().next()) {
            Some(letter) => char::from(letter & 0x1f).to_string(),
            None => letter.and_then(text).unwrap_or_default(),
        };
        Some(UBootValues {
            interrupt_prompt: parameter("interrupt_prompt")
                .or_else(|| constant("interrupt-prompt"))
                .and_then(text),
            interrupt_character: Some(match typed.is_empty() && wants_line {
                true => "\n".to_owned(),
                false => typed,
            }),
            prompt: parameter("bootloader_prompt").and_then(text),
            final_message: parameter("final_message")
                .or_else(|| constant("final-message"))
                .and_then(text),
            error_messages: Some(constant("error-messages").map(texts).unwrap_or_default()),
            kernel_args: None,
            nfs_args: None,
            default_dtb: None,
            prepare: None,
            commands: command_sets(method),
            load_addresses,
        })
    }

    fn load_addresses(&self) -> Vec<(String, LoadAddresses)> {
        let kinds = [("image", "booti"), ("zimage", "bootz"), ("uimage", "bootm")];
        let stated = |key: &str| {
            let part = |name: &str| {
                let text = self.text(&["parameters", key, name])?;
                let digits = text
                    .strip_prefix("0x")
                    .or_else(|| text.strip_prefix("0X"))?;
                u64::from_str_radix(digits, 16).ok()?;
                Some(text)
            };
            Some(LoadAddresses {
                kernel: part("kernel")?,
                ramdisk: part("ramdisk")?,
                dtb: part("dtb")?,
            })
        };
        kinds
            .into_iter()
            .filter_map(|(kind, command)| {
                let addresses = stated(kind).or_else(|| stated(command))?;
                Some((kind.to_owned(), addresses))
            })
            .collect()
    }
}

/// The sets whose every placeholder Basalt can fill, in the device's order.
fn command_sets(method: &Node) -> Vec<(String, Vec<String>)> {
    let sets = method.as_map().unwrap_or_default().iter();
    sets.filter_map(|(name, set)| {
        let lines: Vec<String> = texts(set.get("commands")?)
            .into_iter()
            .filter(|line| !DROPPED.iter().any(|name| placeholder::mentions(line, name)))
            .collect();
        let known = lines
            .iter()
            .flat_map(|line| placeholder::names(line))
            .all(placeholder::is_known);
        (known && !lines.is_empty()).then(|| Some((name.source_text()?.to_owned(), lines)))?
    })
    .collect()
}

fn at<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, key| node.get(key))
}

fn text(node: &Node) -> Option<String> {
    match node.value() {
        Value::Null | Value::Seq(_) | Value::Map(_) => None,
        _ => node.source_text().map(str::to_owned),
    }
}

fn texts(node: &Node) -> Vec<String> {
    match node.as_seq() {
        Some(items) => items.iter().filter_map(text).collect(),
        None => text(node).into_iter().collect(),
    }
}

fn integer(node: &Node) -> Option<u64> {
    match node.value() {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}
