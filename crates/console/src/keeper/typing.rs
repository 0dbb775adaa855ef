//! Typing: giving a source its bytes, as slowly as the board needs them.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;

use crate::protocol::Refusal;

/// How long a source may accept nothing at all.
const STALL_LIMIT: Duration = Duration::from_secs(10);

/// Something to type.
pub(super) struct Job {
    /// Who types.
    pub(super) writer: String,
    /// What.
    pub(super) bytes: Bytes,
    /// Pause after each byte; zero writes all at once.
    pub(super) character_delay: Duration,
    /// Told when the source has accepted every byte. Once nobody waits, typing ends.
    pub(super) answer: oneshot::Sender<Result<(), Refusal>>,
}

impl Job {
    /// Answers without typing.
    pub(super) fn refuse(self, refusal: Refusal) {
        // Whoever asked may have gone; nothing was typed either way.
        let _ = self.answer.send(Err(refusal));
    }
}

/// How typing ended.
pub(super) struct Typed {
    /// The source's writing half, back.
    pub(super) half: Box<dyn AsyncWrite + Send + Unpin>,
    /// How many bytes the source accepted.
    pub(super) bytes: u64,
    /// Why the source accepts no more.
    pub(super) failure: Option<String>,
}

/// Types a job and answers it.
pub(super) async fn run(
    console: String,
    mut half: Box<dyn AsyncWrite + Send + Unpin>,
    mut job: Job,
) -> Typed {
    let mut accepted = 0;
    let result = tokio::select! {
        result = type_all(&mut half, &job.bytes, job.character_delay, &mut accepted) => Some(result),
        // A claim that has ended must not go on typing into the next holder's session.
        () = job.answer.closed() => None,
    };
    let failure = match result {
        Some(Ok(())) => {
            // Gone in this very moment: it was typed all the same.
            let _ = job.answer.send(Ok(()));
            None
        }
        Some(Err(error)) => {
            let reason = error.to_string();
            let _ = job.answer.send(Err(Refusal::Lost {
                console,
                reason: reason.clone(),
            }));
            Some(reason)
        }
        None => None,
    };
    Typed {
        half,
        bytes: accepted,
        failure,
    }
}

async fn type_all(
    half: &mut (dyn AsyncWrite + Send + Unpin),
    bytes: &[u8],
    character_delay: Duration,
    accepted: &mut u64,
) -> io::Result<()> {
    let step = if character_delay.is_zero() {
        usize::MAX
    } else {
        1
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let piece = &rest[..step.min(rest.len())];
        let count = tokio::time::timeout(STALL_LIMIT, half.write(piece))
            .await
            .map_err(|_| {
                io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("accepted nothing for {} s", STALL_LIMIT.as_secs()),
                )
            })??;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        *accepted += count as u64;
        rest = &rest[count..];
        if !character_delay.is_zero() {
            tokio::time::sleep(character_delay).await;
        }
    }
    Ok(())
}
