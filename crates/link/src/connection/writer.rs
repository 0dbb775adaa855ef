//! The task that writes: control messages as they come, a piece of a stream where none waits.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Sink, SinkExt};
use tokio::sync::mpsc;
use tokio::time;

use super::{Pace, Shared, TransportError};

pub(super) struct Writer {
    pub(super) outgoing: Pin<Box<dyn Sink<Bytes, Error = TransportError> + Send>>,
    pub(super) control: mpsc::Receiver<Vec<Bytes>>,
    pub(super) stream: mpsc::Receiver<Vec<Bytes>>,
    pub(super) pace: Pace,
    pub(super) shared: Arc<Shared>,
}

impl Writer {
    pub(super) async fn run(mut self) {
        let closed = self.shared.closed.clone();
        let written = tokio::select! {
            biased;
            () = closed.cancelled() => Ok(()),
            written = self.write() => written,
        };
        // Before the queues are dropped, so that whoever finds them closed finds the reason too.
        match written {
            Ok(()) => closed.cancel(),
            Err(error) => self.shared.end(error.to_string()),
        }
    }

    /// Writes until all senders are gone.
    async fn write(&mut self) -> Result<(), TransportError> {
        let mut pieces = VecDeque::new();
        loop {
            while let Ok(frames) = self.control.try_recv() {
                self.feed(frames).await?;
            }
            if let Some(piece) = pieces.pop_front() {
                // Flushed each, so that at most one piece stands between a control message and the
                // socket.
                self.feed([piece]).await?;
                self.flush().await?;
                continue;
            }
            self.flush().await?;
            tokio::select! {
                biased;
                Some(frames) = self.control.recv() => self.feed(frames).await?,
                Some(frames) = self.stream.recv() => pieces.extend(frames),
                else => return bounded(self.pace, self.outgoing.close()).await,
            }
        }
    }

    async fn feed(
        &mut self,
        frames: impl IntoIterator<Item = Bytes>,
    ) -> Result<(), TransportError> {
        for frame in frames {
            bounded(self.pace, self.outgoing.feed(frame)).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        bounded(self.pace, self.outgoing.flush()).await
    }
}

async fn bounded(
    pace: Pace,
    step: impl Future<Output = Result<(), TransportError>>,
) -> Result<(), TransportError> {
    match time::timeout(pace.stall, step).await {
        Ok(done) => done,
        Err(_) => Err(format!("the other side took nothing for {} s", pace.stall.as_secs()).into()),
    }
}
