//! The keys that are for `basalt console` itself and not for the board.

/// Ctrl-], as in telnet and virsh.
const ESCAPE: u8 = 0x1d;

/// What typing means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// For the board.
    Typed(Vec<u8>),
    /// Ctrl-] q.
    Leave,
    /// Ctrl-] ?
    Help,
}

/// Tells the program's keys from the board's.
#[derive(Debug, Default)]
pub struct Keys {
    escaped: bool,
}

impl Keys {
    /// What these bytes mean, in order. Nothing follows [`Key::Leave`].
    pub fn read(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        let mut typed = Vec::new();
        for byte in bytes {
            if !self.escaped {
                match *byte {
                    ESCAPE => self.escaped = true,
                    byte => typed.push(byte),
                }
                continue;
            }
            self.escaped = false;
            let key = match byte {
                b'q' | b'Q' | b'.' => Key::Leave,
                b'?' | b'h' => Key::Help,
                &ESCAPE => {
                    typed.push(ESCAPE);
                    continue;
                }
                // Nobody's key: the board gets both.
                other => {
                    typed.extend_from_slice(&[ESCAPE, *other]);
                    continue;
                }
            };
            if !typed.is_empty() {
                keys.push(Key::Typed(std::mem::take(&mut typed)));
            }
            keys.push(key.clone());
            if key == Key::Leave {
                return keys;
            }
        }
        if !typed.is_empty() {
            keys.push(Key::Typed(typed));
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_key_leaves_even_when_it_comes_in_two_pieces() {
        let mut keys = Keys::default();
        assert_eq!(keys.read(b"ls\x1d"), [Key::Typed(b"ls".to_vec())]);
        assert_eq!(keys.read(b"qrest"), [Key::Leave]);
    }

    #[test]
    fn what_is_no_key_of_ours_reaches_the_board() {
        let mut keys = Keys::default();
        assert_eq!(
            keys.read(b"a\x1d\x1db\x1dx\x03\x1d?c"),
            [
                Key::Typed(b"a\x1db\x1dx\x03".to_vec()),
                Key::Help,
                Key::Typed(b"c".to_vec())
            ]
        );
    }
}
