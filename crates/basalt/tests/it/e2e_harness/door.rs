//! A way to a server whose address stays while the server's own changes, and which can be cut: what
//! is on its way then arrives after it is mended, as over a network that was away for a while.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// A listener on this host that hands every connection on.
pub struct Door {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    way: Mutex<Way>,
    changed: Condvar,
}

#[derive(Default)]
struct Way {
    target: Option<SocketAddr>,
    cut: bool,
    /// The listener goes too.
    closed: bool,
}

impl Door {
    /// One that leads nowhere yet: connections to it are closed.
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (target, closed) = {
                    let way = accepting.way.lock().unwrap();
                    (way.target, way.closed)
                };
                if closed {
                    return;
                }
                // A server that has just been killed refuses.
                if let Some(server) = target.and_then(|target| TcpStream::connect(target).ok()) {
                    carry(client, server, &accepting);
                }
            }
        });
        Self { address, state }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it leads from now on.
    pub fn lead_to(&self, target: SocketAddr) {
        self.state.way.lock().unwrap().target = Some(target);
    }

    /// Nothing passes any more, in either direction.
    pub fn cut(&self) {
        self.state.way.lock().unwrap().cut = true;
    }

    /// Everything passes again.
    pub fn mend(&self) {
        self.state.way.lock().unwrap().cut = false;
        self.state.changed.notify_all();
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let mut way = self.state.way.lock().unwrap();
        (way.closed, way.cut) = (true, false);
        drop(way);
        self.state.changed.notify_all();
        // Wakes the listener, which looks whether it is to go.
        let _ = TcpStream::connect(self.address);
    }
}

fn carry(client: TcpStream, server: TcpStream, state: &Arc<State>) {
    for (from, to) in [(&client, &server), (&server, &client)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let state = Arc::clone(state);
        std::thread::spawn(move || copy(from, to, &state));
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, state: &State) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        let way = state.way.lock().unwrap();
        let way = state.changed.wait_while(way, |way| way.cut).unwrap();
        let closed = way.closed;
        drop(way);
        if count == 0 || closed || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // The other direction ends with this one; it may have already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
