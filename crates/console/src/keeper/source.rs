//! Opening the ways to consoles.
//!
//! Raw TCP as ser2net's `raw` accepter speaks it: no framing, no telnet. Serial ports are opened
//! raw, exclusively (TIOCEXCL and flock), with CLOCAL, and with HUPCL cleared first, so that
//! neither this nor the end of the keeper drops DTR: on many boards that line is the reset.

use std::io;
use std::path::Path;
use std::time::Duration;

use basalt_lab::profile::ConsoleSource;
use rustix::fs::{Mode, OFlags};
use rustix::termios::{ControlModes, OptionalActions};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_serial::SerialStream;

/// How long opening may take.
const OPEN_LIMIT: Duration = Duration::from_secs(5);
/// A TCP peer that has not acknowledged for this long is dead. Without it the kernel takes a
/// quarter of an hour (`tcp(7)`, TCP_USER_TIMEOUT).
const PEER_LIMIT: Duration = Duration::from_secs(20);

/// An open way to a console.
pub(super) struct Stream {
    pub(super) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(super) writer: Box<dyn AsyncWrite + Send + Unpin>,
}

/// Opens a source within [`OPEN_LIMIT`].
pub(super) async fn open(source: ConsoleSource) -> io::Result<Stream> {
    let opened = tokio::time::timeout(OPEN_LIMIT, async {
        match &source {
            ConsoleSource::Tcp { host, port } => open_tcp(host, *port).await,
            ConsoleSource::Serial { path, baud } => open_serial(path, *baud).await,
        }
    });
    opened.await.unwrap_or_else(|_| {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("not open after {} s", OPEN_LIMIT.as_secs()),
        ))
    })
}

async fn open_tcp(host: &str, port: u16) -> io::Result<Stream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
    rustix::net::sockopt::set_tcp_keepidle(&stream, Duration::from_secs(10))?;
    rustix::net::sockopt::set_tcp_keepintvl(&stream, Duration::from_secs(5))?;
    rustix::net::sockopt::set_tcp_keepcnt(&stream, 2)?;
    rustix::net::sockopt::set_tcp_user_timeout(&stream, PEER_LIMIT.as_millis() as u32)?;
    let (reader, writer) = stream.into_split();
    Ok(Stream {
        reader: Box::new(reader),
        writer: Box::new(writer),
    })
}

async fn open_serial(path: &Path, baud: u32) -> io::Result<Stream> {
    let path = path.to_owned();
    // Opening a serial port may block in the driver.
    let opening = tokio::task::spawn_blocking(move || open_serial_now(&path, baud));
    let stream = opening.await.map_err(io::Error::other)??;
    let (reader, writer) = tokio::io::split(stream);
    Ok(Stream {
        reader: Box::new(reader),
        writer: Box::new(writer),
    })
}

fn open_serial_now(path: &Path, baud: u32) -> io::Result<SerialStream> {
    let text = path.to_str().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path of a serial port must be UTF-8",
        )
    })?;
    // Held until the port is open for good: the last close of a port with HUPCL drops DTR.
    let plain = rustix::fs::open(
        path,
        OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut settings = rustix::termios::tcgetattr(&plain)?;
    settings.control_modes.remove(ControlModes::HUPCL);
    settings.control_modes.insert(ControlModes::CLOCAL);
    rustix::termios::tcsetattr(&plain, OptionalActions::Now, &settings)?;
    let builder = tokio_serial::new(text, baud)
        .preserve_dtr_on_open()
        .exclusive(true);
    Ok(SerialStream::open(&builder)?)
}

/// A source for people: `tcp localhost:4001`, `serial /dev/ttyUSB0 at 115200`.
pub(super) fn describe(source: &ConsoleSource) -> String {
    match source {
        ConsoleSource::Tcp { host, port } => format!("tcp {host}:{port}"),
        ConsoleSource::Serial { path, baud } => format!("serial {} at {baud}", path.display()),
    }
}
