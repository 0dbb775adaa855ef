//! U-Boot's environment: what a board starts with, `setenv`, `printenv`, and `dhcp`, which sets from it.

use std::collections::BTreeMap;

use super::{
    super::{Machine, console::Console},
    Uboot,
};

pub(super) fn defaults(machine: &Machine) -> BTreeMap<String, String> {
    let address = machine.config.address.map(|address| address.to_string());
    [
        ("arch", "arm"),
        ("baudrate", "115200"),
        ("board", "rack"),
        ("bootcmd", "run distro_bootcmd"),
        ("ethaddr", "52:54:00:77:ff:01"),
        ("fdt_high", "0xffffffff"),
        ("fdtcontroladdr", "7ed64ea0"),
        ("initrd_high", "0xffffffff"),
        ("loadaddr", "0x40200000"),
        ("stdin", "serial"),
        ("stdout", "serial"),
        (
            "ver",
            "U-Boot 2023.01+rack-1 (Jan 09 2023 - 16:07:33 +0000)",
        ),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .chain(address.map(|address| ("ipaddr".to_owned(), address)))
    .chain([("bootdelay".to_owned(), machine.config.bootdelay.to_string())])
    .collect()
}

impl Uboot<'_> {
    pub(super) async fn set(
        &mut self,
        console: &Console,
        name: &str,
        arguments: &[String],
    ) -> bool {
        let mut arguments = arguments;
        if name == "env" {
            match arguments.split_first() {
                Some((verb, rest)) if verb == "set" => arguments = rest,
                Some((verb, _)) if verb == "default" => {
                    console.line("## Resetting to default environment").await;
                    self.variables = defaults(self.machine);
                    return true;
                }
                Some((verb, rest)) if verb == "print" => return self.show(console, rest).await,
                _ => {
                    console.line("env - environment handling commands").await;
                    return false;
                }
            }
        }
        let forced = arguments.first().is_some_and(|word| word == "-f");
        if forced {
            arguments = &arguments[1..];
        }
        let Some((variable, value)) = arguments.split_first() else {
            console.line("setenv - set environment variables").await;
            return false;
        };
        if variable == "ethaddr" && !forced && self.variables.contains_key("ethaddr") {
            console.line("## Error: Can't overwrite \"ethaddr\"").await;
            console
                .line("## Error inserting \"ethaddr\" variable, errno=1")
                .await;
            return false;
        }
        if value.is_empty() {
            self.variables.remove(variable);
        } else {
            self.variables.insert(variable.clone(), value.join(" "));
        }
        true
    }

    pub(super) async fn show(&self, console: &Console, names: &[String]) -> bool {
        if names.is_empty() {
            let mut text = String::new();
            for (name, value) in &self.variables {
                text.push_str(&format!("{name}={value}\n"));
            }
            console.print(&text).await;
            let size: usize = self
                .variables
                .iter()
                .map(|(name, value)| name.len() + value.len() + 2)
                .sum();
            console
                .print(&format!("\nEnvironment size: {size}/262140 bytes\n"))
                .await;
            return true;
        }
        let mut good = true;
        for name in names {
            match self.variables.get(name) {
                Some(value) => console.line(&format!("{name}={value}")).await,
                None => {
                    console
                        .line(&format!("## Error: \"{name}\" not defined"))
                        .await;
                    good = false;
                }
            }
        }
        good
    }

    pub(super) async fn dhcp(&mut self, console: &Console) -> bool {
        let Some(address) = self.machine.config.address else {
            console
                .print("BOOTP broadcast 1\nRetry time exceeded; starting again\n")
                .await;
            return false;
        };
        console
            .print(&format!(
                "BOOTP broadcast 1\nDHCP client bound to address {address} (1 ms)\n"
            ))
            .await;
        self.variables.insert("ipaddr".into(), address.to_string());
        true
    }
}
