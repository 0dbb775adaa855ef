//! The five packets of TFTP (RFC 1350 section 5) and the option acknowledgement (RFC 2347).

/// Longest text that we put into an ERROR packet, in bytes; boot ROMs print it on one line.
const LONGEST_ERROR_TEXT: usize = 160;

/// Error codes (RFC 1350 appendix, RFC 2347 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum ErrorCode {
    NotDefined = 0,
    FileNotFound = 1,
    AccessViolation = 2,
    DiskFull = 3,
    IllegalOperation = 4,
}

/// Which way a file travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The client reads a file (RRQ).
    Download,
    /// The client writes a file (WRQ).
    Upload,
}

/// A read or write request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub direction: Direction,
    /// As asked for, unchecked.
    pub path: String,
    /// Lower case.
    pub mode: String,
    /// Names in lower case; values as sent.
    pub options: Vec<(String, String)>,
}

/// A datagram, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    Request(Request),
    Data { block: u16, payload: &'a [u8] },
    Ack(u16),
    Error { code: u16, text: String },
    OptionAck,
}

/// Why a datagram is not TFTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PacketError {
    #[error("packet is too short")]
    Short,
    #[error("unknown operation {0}")]
    Operation(u16),
    #[error("request without file name and mode, or one longer than this server reads")]
    Request,
    #[error("file name or option that is not UTF-8")]
    Encoding,
}

impl<'a> Packet<'a> {
    pub fn parse(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let (operation, rest) = take_number(datagram)?;
        match operation {
            1 => Request::parse(Direction::Download, rest).map(Self::Request),
            2 => Request::parse(Direction::Upload, rest).map(Self::Request),
            3 => take_number(rest).map(|(block, payload)| Self::Data { block, payload }),
            4 => take_number(rest).map(|(block, _)| Self::Ack(block)),
            5 => take_number(rest).map(|(code, text)| Self::Error {
                code,
                text: error_text(text),
            }),
            6 => Ok(Self::OptionAck),
            other => Err(PacketError::Operation(other)),
        }
    }
}

impl Request {
    fn parse(direction: Direction, body: &[u8]) -> Result<Self, PacketError> {
        let body = body.strip_suffix(&[0]).ok_or(PacketError::Request)?;
        let mut words = Vec::new();
        for word in body.split(|byte| *byte == 0) {
            words.push(std::str::from_utf8(word).map_err(|_| PacketError::Encoding)?);
        }
        let [path, mode, options @ ..] = words.as_slice() else {
            return Err(PacketError::Request);
        };
        // Some ROMs pad the request with NULs; a name without its value ends the list.
        let options = options
            .chunks_exact(2)
            .take_while(|pair| !pair[0].is_empty())
            .map(|pair| (pair[0].to_ascii_lowercase(), pair[1].to_owned()))
            .collect();
        Ok(Self {
            direction,
            path: (*path).to_owned(),
            mode: mode.to_ascii_lowercase(),
            options,
        })
    }
}

fn take_number(bytes: &[u8]) -> Result<(u16, &[u8]), PacketError> {
    let (number, rest) = bytes.split_first_chunk::<2>().ok_or(PacketError::Short)?;
    Ok((u16::from_be_bytes(*number), rest))
}

/// The text of a client's ERROR packet, harmless in logs and terminals.
fn error_text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end.min(LONGEST_ERROR_TEXT)]);
    text.escape_debug().to_string()
}

/// Writes a DATA packet into `buffer`, replacing what it held.
pub(crate) fn encode_data(buffer: &mut Vec<u8>, block: u16, payload: &[u8]) {
    buffer.clear();
    buffer.extend_from_slice(&3_u16.to_be_bytes());
    buffer.extend_from_slice(&block.to_be_bytes());
    buffer.extend_from_slice(payload);
}

pub(crate) fn encode_ack(block: u16) -> [u8; 4] {
    let [high, low] = block.to_be_bytes();
    [0, 4, high, low]
}

pub(crate) fn encode_error(code: ErrorCode, text: &str) -> Vec<u8> {
    let mut packet = vec![0, 5, 0, code as u8];
    packet.extend(
        text.bytes()
            .filter(|byte| (b' '..=b'~').contains(byte))
            .take(LONGEST_ERROR_TEXT),
    );
    packet.push(0);
    packet
}

pub(crate) fn encode_option_ack(options: &[(&'static str, u64)]) -> Vec<u8> {
    let mut packet = vec![0, 6];
    for (name, value) in options {
        packet.extend_from_slice(name.as_bytes());
        packet.push(0);
        packet.extend_from_slice(value.to_string().as_bytes());
        packet.push(0);
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_u_boot_is_understood() {
        let packet =
            b"\0\x01abc/Image\0octet\0timeout\x005\0tsize\x000\0BLKSIZE\x001468\0windowsize\x0016\0";
        let Ok(Packet::Request(request)) = Packet::parse(packet) else {
            panic!("not understood")
        };
        assert_eq!(
            (request.path.as_str(), request.mode.as_str()),
            ("abc/Image", "octet")
        );
        let options: Vec<_> = request
            .options
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            options,
            [
                ("timeout", "5"),
                ("tsize", "0"),
                ("blksize", "1468"),
                ("windowsize", "16")
            ]
        );
    }

    #[test]
    fn padding_and_a_lone_option_name_are_ignored() {
        let Ok(Packet::Request(request)) =
            Packet::parse(b"\0\x01f\0octet\0blksize\x00512\0\0\0\0\0")
        else {
            panic!()
        };
        assert_eq!(request.options, [("blksize".to_owned(), "512".to_owned())]);
        let Ok(Packet::Request(request)) = Packet::parse(b"\0\x01f\0octet\0blksize\0") else {
            panic!()
        };
        assert!(request.options.is_empty());
    }

    #[test]
    fn broken_packets_are_errors() {
        assert_eq!(Packet::parse(b""), Err(PacketError::Short));
        assert_eq!(Packet::parse(b"\0\x03\0"), Err(PacketError::Short));
        assert_eq!(Packet::parse(b"\0\x09xx"), Err(PacketError::Operation(9)));
        assert_eq!(
            Packet::parse(b"\0\x01name-without-end"),
            Err(PacketError::Request)
        );
        assert_eq!(Packet::parse(b"\0\x01name\0"), Err(PacketError::Request));
        assert_eq!(
            Packet::parse(b"\0\x01\xff\0octet\0"),
            Err(PacketError::Encoding)
        );
    }

    #[test]
    fn a_clients_error_text_cannot_carry_terminal_sequences() {
        let Ok(Packet::Error { code, text }) = Packet::parse(b"\0\x05\0\x08\x1b[2Jgone\0rest")
        else {
            panic!()
        };
        assert_eq!((code, text.as_str()), (8, "\\u{1b}[2Jgone"));
    }
}
