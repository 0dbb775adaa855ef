//! One connection, joined to an `nfs3_server` of its own.
//!
//! `nfs3_server` 0.11.1 accepts connections itself, does not tell the file system who calls, believes any record length up
//! to 2 GiB, and takes the repeated calls of a client that reconnects from its old port for calls that it is still
//! answering. So each connection gets a server behind a loopback socket, with a file system that knows the client, and
//! passes through here, where the lengths are checked.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use nfs3_server::tcp::{NFSTcp, NFSTcpListener};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::server::Shared;
use super::vfs::ClientView;

/// Part of every file handle. Never changed: handles carry a layout number of their own.
const GENERATION: u64 = 1;
/// Largest call in bytes: nfs3_server announces writes of 1 MiB, though all are refused.
const LARGEST_CALL: u64 = 2 * 1024 * 1024;
/// Bytes on their way in one direction.
const BUFFER: usize = 256 * 1024;
/// How long a board may be silent before its host is asked for a sign of life, and between two questions. A board that lost
/// its power never says goodbye.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Serves a connection until it ends.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    board: TcpStream,
    client: Ipv4Addr,
) -> io::Result<()> {
    board.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_keepalive(&board, true)?;
    rustix::net::sockopt::set_tcp_keepidle(&board, KEEPALIVE)?;
    rustix::net::sockopt::set_tcp_keepintvl(&board, KEEPALIVE)?;

    let view = ClientView {
        shared: Arc::clone(shared),
        client,
    };
    let listener = NFSTcpListener::bind_with_generation("127.0.0.1:0", view, GENERATION).await?;
    let port = listener.get_listen_port();
    let accepting = AbortOnDrop(tokio::spawn(async move { listener.handle_forever().await }));
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    server.set_nodelay(true)?;

    let (from_board, mut to_board) = board.into_split();
    let (from_server, mut to_server) = server.into_split();
    let calls = async {
        pass_calls(BufReader::with_capacity(BUFFER, from_board), &mut to_server).await?;
        to_server.shutdown().await
    };
    let replies = async {
        let mut from_server = BufReader::with_capacity(BUFFER, from_server);
        from_server.fill_buf().await?;
        // It has accepted our connection and shall not accept another.
        drop(accepting);
        tokio::io::copy_buf(&mut from_server, &mut to_board).await?;
        to_board.shutdown().await
    };
    tokio::pin!(calls, replies);
    tokio::select! {
        result = &mut calls => {
            result?;
            replies.await
        }
        result = &mut replies => result,
    }
}

/// Passes on calls, checking the length of each (record marking, RFC 5531 section 11).
async fn pass_calls(
    mut from: impl AsyncRead + Unpin,
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut call = 0_u64;
    loop {
        let mut header = [0; 4];
        match from.read_exact(&mut header).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let header_value = u32::from_be_bytes(header);
        let (last, length) = (
            header_value >> 31 == 1,
            u64::from(header_value & 0x7fff_ffff),
        );
        call += length;
        if call > LARGEST_CALL {
            return Err(io::Error::other(format!(
                "a call is larger than {LARGEST_CALL} bytes"
            )));
        }
        to.write_all(&header).await?;
        let passed = tokio::io::copy(&mut (&mut from).take(length), to).await?;
        if passed < length {
            return Ok(());
        }
        if last {
            call = 0;
        }
    }
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
