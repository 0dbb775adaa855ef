//! What is known of boards: what their relays and consoles say, since when.
//!
//! Pure: news in, messages out.

use std::collections::BTreeMap;

use basalt_link::{ConsoleFact, Up};
use basalt_model::{BoardName, PowerState, UtcMicros};

/// What is known of every board.
#[derive(Debug, Default)]
pub struct Facts {
    boards: BTreeMap<BoardName, Known>,
}

#[derive(Clone, Debug, PartialEq)]
struct Known {
    power: PowerState,
    power_since: UtcMicros,
    console: ConsoleFact,
}

impl Facts {
    /// These boards are served from now on; what is known of others is forgotten. Gives those that
    /// are new.
    pub fn serve(
        &mut self,
        boards: impl IntoIterator<Item = BoardName>,
        now: UtcMicros,
    ) -> Vec<BoardName> {
        let mut before = std::mem::take(&mut self.boards);
        let mut new = Vec::new();
        for board in boards {
            let known = before.remove(&board).unwrap_or_else(|| {
                new.push(board.clone());
                Known {
                    power: PowerState::Unknown,
                    power_since: now,
                    console: ConsoleFact {
                        open: false,
                        reason: Some("the console keeper has not been asked yet".into()),
                    },
                }
            });
            self.boards.insert(board, known);
        }
        new
    }

    /// A relay said something. Gives what the server is told, where that is new.
    pub fn power(&mut self, board: &BoardName, power: PowerState, now: UtcMicros) -> Option<Up> {
        let known = self.boards.get_mut(board)?;
        if known.power == power {
            return None;
        }
        known.power = power;
        known.power_since = now;
        Some(message(board, known))
    }

    /// A console opened or closed. Gives what the server is told, where that is new.
    pub fn console(&mut self, board: &BoardName, console: ConsoleFact) -> Option<Up> {
        let known = self.boards.get_mut(board)?;
        if known.console == console {
            return None;
        }
        known.console = console;
        Some(message(board, known))
    }

    /// Everything that is known.
    pub fn all(&self) -> Vec<Up> {
        self.boards
            .iter()
            .map(|(board, known)| message(board, known))
            .collect()
    }
}

fn message(board: &BoardName, known: &Known) -> Up {
    Up::BoardFact {
        board: board.clone(),
        power: known.power,
        power_since: known.power_since,
        console: known.console.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_news_of_boards_that_are_served_is_told() {
        let mut facts = Facts::default();
        let (one, two) = (BoardName::new("one"), BoardName::new("two"));
        assert_eq!(facts.serve([one.clone()], UtcMicros(1)).len(), 1);
        assert!(facts.power(&one, PowerState::Off, UtcMicros(2)).is_some());
        assert!(facts.power(&one, PowerState::Off, UtcMicros(3)).is_none());
        assert!(facts.power(&two, PowerState::On, UtcMicros(3)).is_none());
        let new = facts.serve([one, two.clone()], UtcMicros(4));
        assert_eq!(new, [two]);
        let all = facts.all();
        let [Up::BoardFact { power_since, .. }, _] = all.as_slice() else {
            panic!("{all:?}");
        };
        assert_eq!(*power_since, UtcMicros(2), "what is known stays");
    }
}
