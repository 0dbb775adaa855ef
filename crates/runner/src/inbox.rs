//! Puts the signals of one payload in the order in which they were sent.
//!
//! Numbered signals are recorded in the order of their numbers: one that a kernel message tore is
//! read from the board's spool later, and those behind it wait for it. Strings that a test printed
//! itself have no number; they keep their place behind the numbered signal that came before them,
//! so that a torn begin of a definition does not leave its results without one.
//!
//! Pure: signals in, signals out.

use crate::signals::Seen;

/// A signal that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its number; 0 for a string that a test printed itself.
    pub number: u64,
    /// Its name, a blank, its text.
    pub text: String,
    /// Where on the console it ended.
    pub offset: u64,
}

/// Signals that wait for one before them.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    /// Each with the number that it comes after or is.
    held: Vec<(u64, Heard)>,
    /// The highest number that was heard.
    highest: u64,
    /// One behind that was torn beyond reading.
    torn: bool,
}

impl Inbox {
    /// Begins with another payload, of which these numbers were recorded before.
    pub fn begin(&mut self, seen: Option<&Seen>) {
        self.held.clear();
        self.highest = seen.map_or(0, Seen::highest);
        self.torn = false;
    }

    /// Takes a signal.
    pub fn take(&mut self, heard: Heard) {
        let place = if heard.number > 0 {
            if heard.number > self.highest {
                self.highest = heard.number;
                self.torn = false;
            }
            heard.number
        } else {
            self.highest + u64::from(self.torn)
        };
        self.held.push((place, heard));
    }

    /// Something that began as a numbered signal does was torn.
    pub fn take_torn(&mut self) {
        self.torn = true;
    }

    /// What can be recorded now, in order, given what was; all of it where nothing better will
    /// come. Numbers that were recorded before are dropped.
    pub fn release(&mut self, seen: Option<&Seen>, all: bool) -> Vec<Heard> {
        let mut seen = seen.cloned().unwrap_or_default();
        // Stable: what stands at one place keeps the order of the console.
        self.held
            .sort_by_key(|(place, heard)| (*place, heard.number == 0));
        let mut released = Vec::new();
        for (place, heard) in std::mem::take(&mut self.held) {
            let next = seen.first_missing();
            let due = match heard.number {
                0 => place < next,
                number => number <= next,
            };
            if !due && !all {
                self.held.push((place, heard));
            } else if heard.number == 0 || seen.note(heard.number) {
                released.push(heard);
            }
        }
        released
    }

    /// Numbers that are known to be missing: below one that was heard.
    pub fn missing(&self, seen: Option<&Seen>) -> Vec<u64> {
        let highest = self.held.iter().map(|(_, heard)| heard.number).max();
        let next = seen.map_or(1, Seen::first_missing);
        (next..highest.unwrap_or(0))
            .filter(|number| !self.held.iter().any(|(_, held)| held.number == *number))
            .filter(|number| !seen.is_some_and(|seen| seen.has(*number)))
            .collect()
    }

    /// Whether a signal that waits begins with `start`.
    pub fn holds(&self, start: &str) -> bool {
        self.held
            .iter()
            .any(|(_, heard)| heard.text.starts_with(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(number: u64, text: &str) -> Heard {
        Heard {
            number,
            text: text.into(),
            offset: 0,
        }
    }

    fn texts(released: &[Heard]) -> Vec<&str> {
        released.iter().map(|heard| heard.text.as_str()).collect()
    }

    #[test]
    fn a_torn_signal_comes_before_all_that_was_said_after_it() {
        let mut inbox = Inbox::default();
        let mut seen = Seen::default();
        seen.note(1);
        inbox.begin(Some(&seen));
        inbox.take_torn();
        inbox.take(heard(0, "printed"));
        assert!(inbox.release(Some(&seen), false).is_empty());
        inbox.take(heard(3, "three"));
        assert_eq!(inbox.missing(Some(&seen)), [2]);
        assert!(inbox.release(Some(&seen), false).is_empty());
        inbox.take(heard(2, "two, from the spool"));
        assert_eq!(
            texts(&inbox.release(Some(&seen), false)),
            ["two, from the spool", "printed", "three"]
        );
    }

    #[test]
    fn what_a_test_prints_itself_waits_for_nothing_that_is_whole() {
        let mut inbox = Inbox::default();
        inbox.begin(None);
        inbox.take(heard(1, "one"));
        inbox.take(heard(0, "printed"));
        inbox.take(heard(0, "printed again"));
        assert_eq!(
            texts(&inbox.release(None, false)),
            ["one", "printed", "printed again"]
        );
    }

    #[test]
    fn a_number_that_was_recorded_before_is_dropped() {
        let mut inbox = Inbox::default();
        let mut seen = Seen::default();
        seen.note(1);
        inbox.begin(Some(&seen));
        inbox.take(heard(1, "again"));
        inbox.take(heard(2, "two"));
        inbox.take(heard(2, "two again"));
        assert_eq!(texts(&inbox.release(Some(&seen), true)), ["two"]);
    }

    #[test]
    fn nothing_is_kept_where_nothing_better_comes() {
        let mut inbox = Inbox::default();
        inbox.begin(None);
        inbox.take(heard(2, "two"));
        inbox.take_torn();
        inbox.take(heard(0, "printed"));
        assert_eq!(texts(&inbox.release(None, true)), ["two", "printed"]);
        assert!(inbox.missing(None).is_empty());
    }
}
