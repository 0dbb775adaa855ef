//! Options of a request: what the client asks for, what it gets (RFC 2347, 2348, 2349, 7440).

use std::net::Ipv4Addr;
use std::time::Duration;

use super::packet::{Direction, Request};

/// Block size without the option (RFC 1350 section 2), in bytes.
const DEFAULT_BLOCK_SIZE: usize = 512;
/// Range of the blksize option (RFC 2348), in bytes.
const SMALLEST_BLOCK_SIZE: u64 = 8;
const LARGEST_BLOCK_SIZE: u64 = 65464;
/// Largest block in one Ethernet frame of 1500 bytes behind 20 of IP, 8 of UDP and 4 of TFTP. Larger ones would travel as
/// fragments, and boot loaders commonly cannot put those together.
const LARGEST_UNFRAGMENTED: u64 = 1468;
/// Largest window. 64 frames fit the receive ring of a small network controller; more only makes losses dearer.
const LARGEST_WINDOW: u64 = 64;
/// Retransmission time-out unless the client asks for its own.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// The terms of one transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Bytes in every block but the last.
    pub block_size: usize,
    /// Blocks sent before an acknowledgement is due.
    pub window: u64,
    pub timeout: Duration,
    /// What the option acknowledgement says; empty if there is none to send.
    pub answer: Vec<(&'static str, u64)>,
    /// Size that the client announces for an upload, in bytes.
    pub announced_size: Option<u64>,
}

/// Settles the terms. `size` is the size of the file to be read, in bytes. Options that are unknown, repeated or out of
/// range are passed over, as RFC 2347 asks, and their defaults hold.
pub(crate) fn negotiate(request: &Request, client: Ipv4Addr, size: Option<u64>) -> Terms {
    let mut terms = Terms {
        block_size: DEFAULT_BLOCK_SIZE,
        window: 1,
        timeout: DEFAULT_TIMEOUT,
        answer: Vec::new(),
        announced_size: None,
    };
    let largest_block = if client.is_loopback() {
        LARGEST_BLOCK_SIZE
    } else {
        LARGEST_UNFRAGMENTED
    };
    for (name, value) in &request.options {
        let Ok(value) = value.trim().parse::<u64>() else {
            continue;
        };
        if terms.answer.iter().any(|(known, _)| known == name) {
            continue;
        }
        match name.as_str() {
            "blksize" if value >= SMALLEST_BLOCK_SIZE => {
                let granted = value.min(largest_block);
                terms.block_size = granted as usize;
                terms.answer.push(("blksize", granted));
            }
            "windowsize" if (1..=65535).contains(&value) => {
                terms.window = value.min(LARGEST_WINDOW);
                terms.answer.push(("windowsize", terms.window));
            }
            "timeout" if (1..=255).contains(&value) => {
                terms.timeout = Duration::from_secs(value);
                terms.answer.push(("timeout", value));
            }
            "tsize" => match (request.direction, size) {
                (Direction::Download, Some(size)) => terms.answer.push(("tsize", size)),
                (Direction::Download, None) => {}
                (Direction::Upload, _) => {
                    terms.announced_size = Some(value);
                    terms.answer.push(("tsize", value));
                }
            },
            _ => {}
        }
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOARD: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 10);

    fn request(direction: Direction, options: &[(&str, &str)]) -> Request {
        Request {
            direction,
            path: String::new(),
            mode: "octet".to_owned(),
            options: options
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn without_options_the_terms_are_those_of_rfc_1350() {
        let terms = negotiate(&request(Direction::Download, &[]), BOARD, Some(7));
        assert_eq!(
            (terms.block_size, terms.window, terms.timeout),
            (512, 1, Duration::from_secs(1))
        );
        assert!(terms.answer.is_empty());
    }

    #[test]
    fn blocks_stay_in_one_frame_on_a_network_but_not_on_loopback() {
        let asked = request(Direction::Download, &[("blksize", "9000")]);
        assert_eq!(negotiate(&asked, BOARD, None).answer, [("blksize", 1468)]);
        assert_eq!(
            negotiate(&asked, Ipv4Addr::LOCALHOST, None).block_size,
            9000
        );
        let asked = request(Direction::Download, &[("blksize", "99999")]);
        assert_eq!(
            negotiate(&asked, Ipv4Addr::LOCALHOST, None).block_size,
            65464
        );
    }

    #[test]
    fn values_out_of_range_unknown_and_repeated_options_are_passed_over() {
        let asked = request(
            Direction::Download,
            &[
                ("blksize", "7"),
                ("windowsize", "0"),
                ("timeout", "256"),
                ("multicast", "1"),
                ("tsize", "x"),
                ("tsize", "0"),
                ("tsize", "0"),
            ],
        );
        assert_eq!(negotiate(&asked, BOARD, Some(31)).answer, [("tsize", 31)]);
    }

    #[test]
    fn the_window_is_capped_and_an_uploads_size_is_heard() {
        let asked = request(
            Direction::Upload,
            &[("windowsize", "65535"), ("tsize", "123"), ("timeout", "5")],
        );
        let terms = negotiate(&asked, BOARD, None);
        assert_eq!(
            (terms.window, terms.announced_size, terms.timeout),
            (64, Some(123), Duration::from_secs(5))
        );
        assert_eq!(
            terms.answer,
            [("windowsize", 64), ("tsize", 123), ("timeout", 5)]
        );
    }
}
