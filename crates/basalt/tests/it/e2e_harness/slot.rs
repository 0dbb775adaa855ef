//! Addresses that no other site on this host uses.
//!
//! All of 127.0.0.0/8 is this host. A site takes one number by locking a file, and with it the
//! network 127.77.NUMBER.0/24: its dispatcher and its boards. The system frees the number when the
//! process ends, however it ends.

use std::fs::File;
use std::net::Ipv4Addr;

/// A number, held while this lives.
pub struct Slot {
    number: u8,
    _lock: File,
}

impl Slot {
    /// Takes a free number.
    pub fn take() -> Self {
        let directory = std::env::temp_dir().join("basalt-test-slots");
        std::fs::create_dir_all(&directory).unwrap();
        for number in 1..=u8::MAX {
            let lock = File::create(directory.join(number.to_string())).unwrap();
            if lock.try_lock().is_ok() {
                return Self {
                    number,
                    _lock: lock,
                };
            }
        }
        panic!("255 sites are running at once on this host");
    }

    /// The host as board `index` sees it.
    pub fn dispatcher(&self, index: usize) -> Ipv4Addr {
        let last = 100 + u8::try_from(index).unwrap();
        Ipv4Addr::new(127, 77, self.number, last)
    }

    /// Board `index`, from 0.
    pub fn board(&self, index: usize) -> Ipv4Addr {
        let last = 10 + u8::try_from(index).unwrap();
        Ipv4Addr::new(127, 77, self.number, last)
    }
}
