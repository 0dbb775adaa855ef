//! Commands of tools that Basalt can be itself.
//!
//! Consoles: `telnet HOST PORT`, `nc HOST PORT` (raw TCP, as ser2net and terminal servers offer it),
//! and `picocom`, `microcom`, `cu` or `screen` on a serial port of the host. Power: `curl` to a
//! Tasmota plug.

use std::path::PathBuf;

use super::words;
use crate::board::Line;

/// A console's command, if it is a known tool's: the way, and the rate of a serial port.
pub(super) fn console(command: &str) -> Option<(Line, Option<u32>)> {
    let words = words::split(command)?;
    let (tool, arguments) = words.split_first()?;
    match tool.rsplit('/').next()? {
        "telnet" | "nc" | "ncat" | "netcat" => {
            let plain: Vec<&String> = arguments
                .iter()
                .filter(|word| !word.starts_with('-'))
                .collect();
            let [host, port] = plain.as_slice() else {
                return None;
            };
            let port = port.parse().ok()?;
            Some((
                Line::Tcp {
                    host: (*host).clone(),
                    port,
                },
                None,
            ))
        }
        "picocom" | "microcom" | "cu" | "screen" => serial(arguments),
        _ => None,
    }
}

/// The port and the rate among a terminal program's arguments.
fn serial(arguments: &[String]) -> Option<(Line, Option<u32>)> {
    let (mut path, mut baud) = (None, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let value = match word.split_once('=') {
            Some((_, value)) => value.to_owned(),
            None => word.clone(),
        };
        match word.split('=').next().unwrap_or_default() {
            "-b" | "-s" | "--baud" | "--speed" | "-p" | "--port" | "-l" | "--line" => {
                let value = if word.contains('=') {
                    value
                } else {
                    words.next()?.clone()
                };
                match value.starts_with('/') {
                    true => path = Some(PathBuf::from(value)),
                    false => baud = Some(value.parse().ok()?),
                }
            }
            _ if word.starts_with("/dev/") => path = Some(PathBuf::from(word)),
            _ if word.parse::<u32>().is_ok() => baud = word.parse().ok(),
            _ if word.starts_with('-') => {}
            _ => return None,
        }
    }
    Some((Line::Serial { path: path? }, baud))
}

/// A plug's outlet and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plug {
    /// `http://host[:port]`.
    pub(super) url: String,
    pub(super) credentials: Option<(String, String)>,
    pub(super) outlet: u32,
    pub(super) on: bool,
}

/// A power command, if it is `curl` to a Tasmota plug: `URL/cm?cmnd=Power2%20On`.
pub(super) fn plug(command: &str) -> Option<Plug> {
    let words = words::split(command)?;
    let (tool, arguments) = words.split_first()?;
    if tool.rsplit('/').next()? != "curl" {
        return None;
    }
    let mut urls = arguments.iter().filter(|word| word.contains("/cm?"));
    let (address, query) = urls.next()?.split_once("/cm?")?;
    if urls.next().is_some() || address.contains('@') {
        return None;
    }
    let url = match address.split_once("://") {
        None => format!("http://{address}"),
        Some(("http", _)) => address.to_owned(),
        Some(_) => return None,
    };
    let mut user = None;
    let mut password = None;
    let mut asked = None;
    for part in query.split('&') {
        let (name, value) = part.split_once('=')?;
        let value = value.replace("%20", " ").replace('+', " ");
        match name {
            "cmnd" => asked = Some(value),
            "user" => user = Some(value),
            "password" => password = Some(value),
            _ => return None,
        }
    }
    let asked = asked?.to_ascii_lowercase();
    let (outlet, state) = asked.strip_prefix("power")?.split_once(' ')?;
    Some(Plug {
        url,
        credentials: user.zip(password),
        outlet: if outlet.is_empty() {
            1
        } else {
            outlet.parse().ok()?
        },
        on: match state.trim() {
            "on" | "1" => true,
            "off" | "0" => false,
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_tool_becomes_a_way_to_the_console() {
        let tcp = |host: &str, port| {
            Some((
                Line::Tcp {
                    host: host.to_owned(),
                    port,
                },
                None,
            ))
        };
        assert_eq!(console("telnet ser2net-1 7002"), tcp("ser2net-1", 7002));
        assert_eq!(console("/usr/bin/nc -q 0x 10.0.0.1 7"), None);
        assert_eq!(console("nc 10.0.0.1 7"), tcp("10.0.0.1", 7));
        let serial = Some((
            Line::Serial {
                path: "/dev/ttyUSB0".into(),
            },
            Some(115_200),
        ));
        assert_eq!(console("picocom -b 115200 /dev/ttyUSB0"), serial);
        assert_eq!(console("microcom -p /dev/ttyUSB0 -s 115200"), serial);
        assert_eq!(
            console("microcom --port=/dev/ttyUSB0 --speed=115200"),
            serial
        );
        assert_eq!(console("screen /dev/ttyUSB0 115200"), serial);
        assert_eq!(console("ssh host conmux-console board"), None);
        assert_eq!(console("telnet host"), None);
    }

    #[test]
    fn curl_to_a_plug_becomes_a_relay() {
        let plug_of = |url: &str, outlet, on| {
            Some(Plug {
                url: url.to_owned(),
                credentials: None,
                outlet,
                on,
            })
        };
        assert_eq!(
            plug("curl -s 'http://10.0.0.5/cm?cmnd=Power2%20On'"),
            plug_of("http://10.0.0.5", 2, true)
        );
        assert_eq!(
            plug("curl 10.0.0.5:81/cm?cmnd=POWER+off"),
            plug_of("http://10.0.0.5:81", 1, false)
        );
        assert_eq!(plug("curl http://10.0.0.5/cm?cmnd=Power%20Toggle"), None);
        assert_eq!(plug("wget http://10.0.0.5/cm?cmnd=Power%20On"), None);
        let secret = plug("curl 'http://p/cm?user=a&password=b&cmnd=Power%20On'").unwrap();
        assert_eq!(secret.credentials, Some(("a".to_owned(), "b".to_owned())));
    }
}
