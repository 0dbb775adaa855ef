//! A small TFTP server for the tests: reads with blksize, tsize and windowsize, and plain writes.

use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    time::Duration,
};

/// What was asked: file, client, options as text.
#[derive(Debug, Clone)]
pub struct Asked {
    pub file: String,
    pub client: SocketAddr,
    pub options: HashMap<String, String>,
}

#[derive(Default)]
struct Shared {
    files: HashMap<String, Vec<u8>>,
    asked: Vec<Asked>,
}

/// Serves until the process ends.
pub struct TftpServer {
    pub address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl TftpServer {
    /// One with the kernel and the ramdisk.
    pub fn start() -> TftpServer {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let server = TftpServer {
            address,
            shared: Arc::clone(&shared),
        };
        server.put("Image", super::support::kernel_image());
        server.put("ramdisk.cpio.gz", super::support::ramdisk());
        std::thread::spawn(move || {
            let mut packet = [0; 2048];
            while let Ok((length, client)) = socket.recv_from(&mut packet) {
                let packet = packet[..length].to_vec();
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&packet, client, &shared));
            }
        });
        server
    }

    pub fn put(&self, name: &str, body: Vec<u8>) {
        self.shared
            .lock()
            .unwrap()
            .files
            .insert(name.to_owned(), body);
    }

    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.shared.lock().unwrap().files.get(name).cloned()
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.shared.lock().unwrap().asked.clone()
    }
}

fn serve(packet: &[u8], client: SocketAddr, shared: &Mutex<Shared>) {
    let texts: Vec<String> = packet[2..]
        .split(|&byte| byte == 0)
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect();
    let file = texts[0].clone();
    let options: HashMap<String, String> = texts[2..]
        .chunks_exact(2)
        .filter(|pair| !pair[0].is_empty())
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect();
    shared.lock().unwrap().asked.push(Asked {
        file: file.clone(),
        client,
        options: options.clone(),
    });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        // Longer than the board waits until it says again what was lost.
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    if packet[1] == 2 {
        receive(&socket, client, &file, shared);
        return;
    }
    let body = shared.lock().unwrap().files.get(&file).cloned();
    let Some(body) = body else {
        socket
            .send_to(b"\0\x05\0\x01File not found\0", client)
            .unwrap();
        return;
    };
    let number = |name: &str, default: usize| {
        options
            .get(name)
            .map_or(default, |value| value.parse().unwrap())
    };
    send(
        &socket,
        client,
        &body,
        number("blksize", 512),
        number("windowsize", 1),
        &options,
    );
}

/// The next datagram; goes on after a stop of this process (signal(7)).
fn hear(socket: &UdpSocket, packet: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
    loop {
        match socket.recv_from(packet) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            heard => return heard,
        }
    }
}

fn send(
    socket: &UdpSocket,
    client: SocketAddr,
    body: &[u8],
    size: usize,
    window: usize,
    options: &HashMap<String, String>,
) {
    let mut answer = vec![0, 6];
    for (name, value) in options {
        let value = if name == "tsize" {
            body.len().to_string()
        } else {
            value.clone()
        };
        answer.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    let mut acked = 0;
    let mut packet = [0; 64];
    if options.is_empty() {
        // Without options the first block is the answer.
    } else {
        socket.send_to(&answer, client).unwrap();
        let Ok((4, _)) = hear(socket, &mut packet) else {
            return;
        };
    }
    let last = body.len() / size + 1;
    while acked < last {
        for number in acked + 1..=(acked + window).min(last) {
            let from = (number - 1) * size;
            let mut data = vec![0, 3];
            data.extend_from_slice(&(number as u16).to_be_bytes());
            data.extend_from_slice(&body[from..(from + size).min(body.len())]);
            socket.send_to(&data, client).unwrap();
        }
        let Ok((4, _)) = hear(socket, &mut packet) else {
            return;
        };
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        acked += usize::from(number.wrapping_sub(acked as u16));
    }
}

fn receive(socket: &UdpSocket, client: SocketAddr, file: &str, shared: &Mutex<Shared>) {
    let mut body = Vec::new();
    let mut number: u16 = 0;
    loop {
        let mut ack = vec![0, 4];
        ack.extend_from_slice(&number.to_be_bytes());
        socket.send_to(&ack, client).unwrap();
        let mut packet = [0; 2048];
        let Ok((length, _)) = hear(socket, &mut packet) else {
            return;
        };
        body.extend_from_slice(&packet[4..length]);
        number = u16::from_be_bytes([packet[2], packet[3]]);
        if length < 516 {
            break;
        }
    }
    shared.lock().unwrap().files.insert(file.to_owned(), body);
    let mut ack = vec![0, 4];
    ack.extend_from_slice(&number.to_be_bytes());
    socket.send_to(&ack, client).unwrap();
}
