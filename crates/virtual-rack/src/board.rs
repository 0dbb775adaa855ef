//! What every board of the rack has, whatever it is made of: a name, a serial port, power, knobs, counters.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering},
};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{knobs::KnobPanel, log::RackLog, measure::Truth, port::Port};

/// State of a board's supply. `cuts` counts the times it was cut, so that off and on again is never missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Power {
    /// Whether there is power.
    pub on: bool,
    /// How often it was cut so far.
    pub cuts: u64,
}

/// One board of the rack.
pub struct Board {
    /// Its name.
    pub name: String,
    /// `simulated` or `qemu`.
    pub kind: &'static str,
    /// Its serial port.
    pub port: Arc<Port>,
    /// Its faults.
    pub knobs: Arc<KnobPanel>,
    /// What its measurements should have said; simulated boards only.
    pub truth: Option<Mutex<Truth>>,
    power: watch::Sender<Power>,
    counters: Mutex<BTreeMap<&'static str, u64>>,
    log: Arc<RackLog>,
}

impl Board {
    /// A board without power.
    pub fn new(
        name: &str,
        kind: &'static str,
        port: Arc<Port>,
        knobs: Arc<KnobPanel>,
        truth: Option<Truth>,
        log: Arc<RackLog>,
    ) -> Arc<Board> {
        Arc::new(Board {
            name: name.to_owned(),
            kind,
            port,
            knobs,
            truth: truth.map(Mutex::new),
            power: watch::Sender::new(Power::default()),
            counters: Mutex::default(),
            log,
        })
    }

    /// Switches the supply; `by` names the relay for the log. Switching to the present state does nothing.
    pub fn set_power(&self, on: bool, by: &str) {
        let changed = self.power.send_if_modified(|power| {
            let changed = power.on != on;
            power.on = on;
            power.cuts += u64::from(changed && !on);
            if changed {
                // Logged before anybody can act on it, so that the log shows cause before effect.
                self.event("power", json!({"on": on, "by": by}));
            }
            changed
        });
        if changed {
            self.count(if on { "power_on" } else { "power_off" }, 1);
        }
    }

    /// The supply now.
    pub fn power(&self) -> Power {
        *self.power.borrow()
    }

    /// Follows the supply.
    pub fn watch_power(&self) -> watch::Receiver<Power> {
        self.power.subscribe()
    }

    /// Adds to a counter.
    pub fn count(&self, counter: &'static str, amount: u64) {
        let mut counters = self
            .counters
            .lock()
            .expect("nothing panics while it counts");
        *counters.entry(counter).or_default() += amount;
    }

    /// A counter's value.
    pub fn counter(&self, counter: &str) -> u64 {
        let counters = self
            .counters
            .lock()
            .expect("nothing panics while it counts");
        counters.get(counter).copied().unwrap_or(0)
    }

    /// Writes a line about this board.
    pub fn event(&self, event: &str, mut fields: Value) {
        fields["board"] = self.name.clone().into();
        self.log.event(event, fields);
    }

    /// Counts a fault and writes it down.
    pub fn fired(&self, knob: &str) {
        self.event("fired", json!({"knob": knob}));
    }

    /// What `GET /boards/NAME` answers.
    pub fn describe(&self) -> Value {
        let traffic = self.port.traffic();
        let mut counters = json!(
            *self
                .counters
                .lock()
                .expect("nothing panics while it counts")
        );
        counters["tx_bytes"] = traffic.tx.load(Ordering::Relaxed).into();
        counters["lost_bytes"] = traffic.lost.load(Ordering::Relaxed).into();
        counters["rx_bytes"] = traffic.rx.load(Ordering::Relaxed).into();
        json!({
            "name": self.name,
            "kind": self.kind,
            "power": self.power().on,
            "tcp": self.port.tcp_address(),
            "pty": self.port.pty_link(),
            "connections": self.port.connections(),
            "counters": counters,
            "knobs": self.knobs.current(),
            "fired": self.knobs.fired(),
        })
    }
}
