//! `basalt power`: a board's relay, under the board's lock (decision D20).

use std::path::Path;

use basalt_clock::Clock;
use basalt_model::PowerState;
use basalt_power::{PowerError, RelayHandle};

use crate::arguments::{PowerArguments, PowerVerb};
use crate::exit::Exit;
use crate::signals::Signals;
use crate::terminal::{Ink, Terminal};
use crate::{laboratory, state, wording};

/// Switches or reads, and says what the relay says.
pub async fn perform(
    arguments: &PowerArguments,
    state: Option<&Path>,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    let lab = laboratory::open(&arguments.lab.lab, &terminal)?;
    let board = laboratory::board(&lab, &arguments.board)?;
    let host = state::open(state, &lab.name)?;
    let relay = RelayHandle::spawn(lab.relay_of(board), &host.path().join("boards"));
    let outlet = board.power.outlet;
    let result = if arguments.what == PowerVerb::Read {
        relay.read(outlet).await
    } else {
        let now = Clock::system().now().utc;
        let lock = host
            .take(&board.name, &wording::who("basalt power"), now)?
            .with_outlet(lab.relay_of(board), outlet)?;
        // Whoever comes back to this board must know that it is not as he left it.
        lock.grant()?;
        let switching = async {
            match arguments.what {
                PowerVerb::On => relay.set(outlet, true).await,
                PowerVerb::Off => relay.set(outlet, false).await,
                PowerVerb::Cycle => relay.cycle(outlet, board.power.off_time).await,
                PowerVerb::Read => relay.read(outlet).await,
            }
        };
        unbroken(switching, &terminal).await?
    };
    match result {
        Ok(said) => {
            let reads = relay_says(said, relay.relay().as_str());
            let ink = match said {
                PowerState::On => Ink::Good,
                PowerState::Off => Ink::Plain,
                PowerState::Unknown => Ink::Odd,
            };
            terminal.line(&format!("{}: {}", board.name, terminal.paint(ink, &reads)));
            Ok(Exit::DONE)
        }
        Err(error) => {
            let held = matches!(error, PowerError::Busy { .. });
            terminal.say_error(&error.into());
            Ok(if held { Exit::HELD } else { Exit::NO })
        }
    }
}

fn relay_says(state: PowerState, relay: &str) -> String {
    match state {
        PowerState::On | PowerState::Off => state.to_string(),
        PowerState::Unknown => format!("unknown (relay {relay} does not say)"),
    }
}

/// Lets the relay finish, whoever asks this process to end meanwhile: bounded by the relay's own
/// patience.
async fn unbroken<T>(switching: impl Future<Output = T>, terminal: &Terminal) -> anyhow::Result<T> {
    let mut signals = Signals::catch()?;
    let mut switching = std::pin::pin!(switching);
    loop {
        tokio::select! {
            result = &mut switching => return Ok(result),
            _ = signals.next() => terminal.note("the relay finishes first; a board is not left half-way"),
        }
    }
}
