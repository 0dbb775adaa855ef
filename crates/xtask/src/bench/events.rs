//! What a run said about itself: the lines of `basalt run --json`.
//!
//! Only times are read here, on the host's boot clock, which stands in every event.

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The events of one run, in their order.
pub struct Events(Vec<Value>);

impl Events {
    /// Reads them, a JSON object a line.
    pub fn parse(text: &str) -> Result<Self> {
        text.lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("{line:?} is no event")))
            .collect::<Result<_>>()
            .map(Self)
    }

    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |event| event["kind"] == kind)
    }

    /// When the relay was about to be asked for power, which must have happened once.
    pub fn power_on(&self) -> Result<u64> {
        let mut asked = self
            .of("power_intent")
            .filter(|event| event["request"] != "off");
        let first = asked.next().context("the board was never switched on")?;
        if asked.next().is_some() {
            bail!("the board was switched on more than once: an attempt failed");
        }
        time(first)
    }

    /// When the relay had said that the board is off again.
    pub fn power_off(&self) -> Result<u64> {
        self.of("power_outcome")
            .filter(|event| event["request"] == "off" && event["state"] == "off")
            .last()
            .context("the board was not switched off")
            .and_then(time)
    }

    /// When an action had done what it was for.
    pub fn done(&self, action: &str) -> Result<u64> {
        self.of("action_finished")
            .find(|event| event["name"] == action && event["end"] == "done")
            .with_context(|| format!("{action} was not done"))
            .and_then(time)
    }

    /// What was typed while an action went on.
    pub fn typed_during(&self, action: &str) -> Result<Vec<String>> {
        let place = |kind: &str| {
            self.0
                .iter()
                .position(|event| event["kind"] == kind && event["name"] == action)
                .with_context(|| format!("{action} has no {kind}"))
        };
        let (from, to) = (place("action_started")?, place("action_finished")?);
        Ok(self.0[from..to]
            .iter()
            .filter(|event| event["kind"] == "input")
            .filter_map(|event| event["text"].as_str().map(str::to_owned))
            .collect())
    }

    /// How the run ended: `pass`.
    pub fn outcome(&self) -> &str {
        self.of("finished")
            .last()
            .and_then(|event| event["outcome"].as_str())
            .unwrap_or("no outcome")
    }
}

/// An event's time, nanoseconds since the host booted.
fn time(event: &Value) -> Result<u64> {
    event["boot_ns"]
        .as_u64()
        .with_context(|| format!("an event has no time: {event}"))
}

/// Seconds from one time to another.
pub fn seconds(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"kind":"power_intent","request":"on","boot_ns":1000}
{"kind":"action_started","name":"bootloader-commands","boot_ns":2000}
{"kind":"input","text":"booti\n","boot_ns":2500}
{"kind":"action_finished","name":"bootloader-commands","end":"done","boot_ns":3000}
{"kind":"input","text":"later\n","boot_ns":3500}
{"kind":"power_outcome","request":"off","state":"off","boot_ns":2000001000}
{"kind":"finished","outcome":"pass","boot_ns":5}"#;

    #[test]
    fn times_and_inputs_of_a_run_are_found() {
        let events = Events::parse(RUN).unwrap();
        let (on, off) = (events.power_on().unwrap(), events.power_off().unwrap());
        assert_eq!(seconds(on, off), 2.0);
        assert_eq!(events.done("bootloader-commands").unwrap(), 3000);
        assert!(events.done("auto-login-action").is_err());
        assert_eq!(
            events.typed_during("bootloader-commands").unwrap(),
            ["booti\n"]
        );
        assert_eq!(events.outcome(), "pass");
    }

    #[test]
    fn a_run_that_needed_two_attempts_is_no_measurement() {
        let twice = format!(
            "{RUN}\n{}",
            r#"{"kind":"power_intent","request":"cycle","boot_ns":9}"#
        );
        assert!(Events::parse(&twice).unwrap().power_on().is_err());
    }
}
