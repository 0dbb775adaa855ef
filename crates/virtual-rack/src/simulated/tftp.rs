//! U-Boot's TFTP client: RFC 1350 with the options of RFC 2347 to 2349 (blksize, timeout, tsize) and RFC 7440 (windowsize).

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{net::UdpSocket, time::timeout};

use super::console::Console;

/// U-Boot asks for what fits into an Ethernet frame (`CONFIG_TFTP_BLOCKSIZE`).
pub const BLOCK_SIZE: u16 = 1468;
/// Timeouts in a row before U-Boot gives up (`TIMEOUT_COUNT`).
const GIVE_UP: u32 = 10;
/// A `#` stands for so many blocks, and a line holds so many signs.
const BLOCKS_A_SIGN: u64 = 10;
const SIGNS_A_LINE: u64 = 65;

const RRQ: u16 = 1;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// What to fetch and how.
pub struct Request<'a> {
    pub server: SocketAddr,
    /// Source address of the board.
    pub source: Option<IpAddr>,
    pub file: &'a str,
    pub block_size: u16,
    pub window: u16,
    pub timeout: Duration,
    /// The server's answers never arrive.
    pub deaf: bool,
    /// Stops for ever after this many blocks.
    pub hang_after: Option<u64>,
}

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
pub enum TftpError {
    /// The server's error packet.
    #[error("TFTP error: '{message}' ({code})")]
    Server { code: u16, message: String },
    /// Nothing came for ten timeouts.
    #[error("Retry count exceeded; starting again")]
    Timeout,
    /// Control-C.
    #[error("Abort")]
    Interrupted,
    /// No socket.
    #[error("cannot use the network: {0}")]
    Socket(#[from] std::io::Error),
}

/// Fetches a file and draws U-Boot's progress.
pub async fn fetch(request: &Request<'_>, console: &mut Console) -> Result<Vec<u8>, TftpError> {
    let any = match request.server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((request.source.unwrap_or(any), 0)).await?;
    let mut transfer = Transfer {
        request,
        block_size: 512,
        window: 1,
        peer: None,
        data: Vec::new(),
        blocks: 0,
        in_window: 0,
        done: false,
    };
    socket
        .send_to(&read_request(request), request.server)
        .await?;
    let mut silent = 0;
    let mut packet = vec![0; 65_536];
    while !transfer.done {
        if console.interrupted() {
            return Err(TftpError::Interrupted);
        }
        let received = timeout(request.timeout, receive(&socket, &mut packet, request.deaf)).await;
        let Ok(received) = received else {
            silent += 1;
            console.print("T ").await;
            if silent > GIVE_UP {
                return Err(TftpError::Timeout);
            }
            match transfer.peer {
                Some(peer) => socket.send_to(&transfer.ack(), peer).await?,
                None => {
                    socket
                        .send_to(&read_request(request), request.server)
                        .await?
                }
            };
            continue;
        };
        let (length, from) = match received {
            Ok(received) => received,
            // An ICMP answer, such as port unreachable; U-Boot does not see those either.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error.into()),
        };
        if from.ip() != request.server.ip() || transfer.peer.is_some_and(|peer| peer != from) {
            continue;
        }
        let before = transfer.blocks;
        if let Some(answer) = transfer.packet(&packet[..length], from)? {
            silent = 0;
            socket.send_to(&answer, from).await?;
        }
        draw(console, before, transfer.blocks).await;
        if request
            .hang_after
            .is_some_and(|blocks| transfer.blocks >= blocks)
        {
            std::future::pending::<()>().await;
        }
    }
    Ok(transfer.data)
}

async fn receive(
    socket: &UdpSocket,
    packet: &mut [u8],
    deaf: bool,
) -> std::io::Result<(usize, SocketAddr)> {
    loop {
        let received = socket.recv_from(packet).await?;
        if !deaf {
            return Ok(received);
        }
    }
}

async fn draw(console: &Console, before: u64, after: u64) {
    let mut signs = String::new();
    for block in before + 1..=after {
        if block % BLOCKS_A_SIGN == 0 {
            signs.push('#');
            if block % (BLOCKS_A_SIGN * SIGNS_A_LINE) == 0 {
                signs.push_str("\n\t ");
            }
        }
    }
    if !signs.is_empty() {
        console.print(&signs).await;
    }
}

fn read_request(request: &Request<'_>) -> Vec<u8> {
    let seconds = request.timeout.as_secs().clamp(1, 255);
    let mut packet = RRQ.to_be_bytes().to_vec();
    let mut text = |text: &str| {
        packet.extend_from_slice(text.as_bytes());
        packet.push(0);
    };
    text(request.file);
    text("octet");
    text("timeout");
    text(&seconds.to_string());
    text("tsize");
    text("0");
    text("blksize");
    text(&request.block_size.to_string());
    if request.window > 1 {
        text("windowsize");
        text(&request.window.to_string());
    }
    packet
}

struct Transfer<'a> {
    request: &'a Request<'a>,
    block_size: usize,
    window: u64,
    peer: Option<SocketAddr>,
    data: Vec<u8>,
    blocks: u64,
    in_window: u64,
    done: bool,
}

impl Transfer<'_> {
    /// Takes a packet and says what to answer.
    fn packet(&mut self, packet: &[u8], from: SocketAddr) -> Result<Option<Vec<u8>>, TftpError> {
        let Some((&[high, low], body)) = packet.split_first_chunk() else {
            return Ok(None);
        };
        match u16::from_be_bytes([high, low]) {
            OACK if self.blocks == 0 => {
                self.peer = Some(from);
                self.options(body);
                Ok(Some(self.ack()))
            }
            DATA => {
                let Some((&[high, low], block)) = body.split_first_chunk() else {
                    return Ok(None);
                };
                self.peer = Some(from);
                Ok(self.block(u16::from_be_bytes([high, low]), block))
            }
            ERROR => {
                let code = body
                    .first_chunk()
                    .map_or(0, |code| u16::from_be_bytes(*code));
                let text = body.get(2..).unwrap_or_default();
                let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
                Err(TftpError::Server {
                    code,
                    message: String::from_utf8_lossy(text).into_owned(),
                })
            }
            _ => Ok(None),
        }
    }

    fn options(&mut self, body: &[u8]) {
        let texts: Vec<String> = body
            .split(|&byte| byte == 0)
            .map(|text| String::from_utf8_lossy(text).to_ascii_lowercase())
            .collect();
        for pair in texts.chunks_exact(2) {
            match (pair[0].as_str(), pair[1].parse::<u16>()) {
                ("blksize", Ok(size)) if size <= self.request.block_size && size >= 8 => {
                    self.block_size = size.into();
                }
                ("windowsize", Ok(window)) if window <= self.request.window && window >= 1 => {
                    self.window = window.into();
                }
                _ => {}
            }
        }
    }

    fn block(&mut self, number: u16, block: &[u8]) -> Option<Vec<u8>> {
        if number != (self.blocks + 1) as u16 {
            // Out of order: the last good block is acknowledged again, which makes the server go back (RFC 7440, 4).
            self.in_window = 0;
            return Some(self.ack());
        }
        self.blocks += 1;
        self.in_window += 1;
        self.data.extend_from_slice(block);
        self.done = block.len() < self.block_size;
        if self.done || self.in_window >= self.window {
            self.in_window = 0;
            return Some(self.ack());
        }
        None
    }

    fn ack(&self) -> Vec<u8> {
        let mut packet = ACK.to_be_bytes().to_vec();
        // Block numbers wrap around at 16 bits.
        packet.extend_from_slice(&(self.blocks as u16).to_be_bytes());
        packet
    }
}
