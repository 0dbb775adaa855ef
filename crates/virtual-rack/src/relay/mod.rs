//! Relays: what switches the boards' supply. One file a protocol.

pub mod lcus;
pub mod tasmota;

use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::{
    board::Board,
    knobs::{OnOff, RelayMode},
    log::RackLog,
};

/// The contacts of one relay box, whatever protocol it speaks.
pub struct Contacts {
    name: String,
    outlets: Vec<Option<Arc<Board>>>,
    /// What the box believes and reads back.
    states: Mutex<Vec<bool>>,
    log: Arc<RackLog>,
}

/// What a switch command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// The box says that the outlet is now in this state (it may lie).
    Says(bool),
    /// The box refuses.
    Refused,
}

impl Contacts {
    /// All contacts open. Outlets without a board switch nothing but have a state.
    pub fn new(name: &str, outlets: Vec<Option<Arc<Board>>>, log: Arc<RackLog>) -> Arc<Contacts> {
        let states = Mutex::new(vec![false; outlets.len()]);
        Arc::new(Contacts {
            name: name.to_owned(),
            outlets,
            states,
            log,
        })
    }

    /// How many outlets there are.
    pub fn count(&self) -> usize {
        self.outlets.len()
    }

    /// Boards on this box.
    pub fn boards(&self) -> impl Iterator<Item = &Arc<Board>> {
        self.outlets.iter().flatten()
    }

    fn states(&self) -> std::sync::MutexGuard<'_, Vec<bool>> {
        self.states
            .lock()
            .expect("nothing panics while it holds the contacts")
    }

    /// What the box reads back for an outlet, counted from 0.
    pub fn state(&self, outlet: usize) -> bool {
        self.states()[outlet]
    }

    /// Whether the box does not even say its state: it refuses everything, not only one direction.
    pub fn refuses_reading(&self, outlet: usize) -> bool {
        let fault = self.outlets[outlet]
            .as_ref()
            .and_then(|board| board.knobs.current().relay);
        fault.is_some_and(|fault| fault.mode == RelayMode::Refuse && fault.only.is_none())
    }

    /// Switches an outlet, counted from 0, with the faults that are set on its board.
    pub fn switch(&self, outlet: usize, on: bool) -> Switched {
        let board = self.outlets[outlet].as_ref();
        let wanted = if on { OnOff::On } else { OnOff::Off };
        let fault = board.and_then(|board| {
            let fits = |only: Option<OnOff>| only.is_none_or(|only| only == wanted);
            let fault =
                board
                    .knobs
                    .take("relay", |knobs| &mut knobs.relay, |fault| fits(fault.only))?;
            board.fired("relay");
            Some(fault.mode)
        });
        let mut states = self.states();
        let answer = match fault {
            Some(RelayMode::Refuse | RelayMode::RefuseConnection) => Switched::Refused,
            Some(RelayMode::Stuck) => Switched::Says(states[outlet]),
            Some(RelayMode::Lie) => {
                states[outlet] = on;
                Switched::Says(on)
            }
            None => {
                states[outlet] = on;
                if let Some(board) = board {
                    board.set_power(on, &self.name);
                }
                Switched::Says(on)
            }
        };
        self.log.event(
            "switch",
            json!({
                "relay": self.name,
                "outlet": outlet + 1,
                "board": board.map(|board| board.name.as_str()),
                "asked": on,
                "says": match answer { Switched::Says(says) => Some(says), Switched::Refused => None },
                "on": board.map(|board| board.power().on),
            }),
        );
        answer
    }
}
