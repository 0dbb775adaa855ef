//! `basalt dispatchers`.

use std::path::Path;

use basalt_api::{Dispatcher, ModeChange};
use basalt_client::Client;
use basalt_model::{DispatcherMode, DispatcherName};

use super::secret_file::SecretFile;
use super::{ago, connect, print_json};
use crate::arguments::{DispatchersArguments, DispatchersVerb};
use crate::exit::Exit;
use crate::terminal::{Terminal, one_line};

/// Lists the dispatchers, or changes one.
pub async fn dispatchers(
    arguments: &DispatchersArguments,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    match &arguments.verb {
        None => {
            let dispatchers = client.dispatchers().await?;
            if arguments.server.json {
                print_json(&terminal, &dispatchers)?;
            } else {
                let rows = dispatchers.iter().map(row).collect();
                let heads = ["dispatcher", "state", "mode", "boards", "runs", "heard", ""];
                terminal.write(&crate::columns::columns(&heads, rows, &terminal));
            }
        }
        Some(DispatchersVerb::Add { name, token_file }) => {
            add(&client, name, token_file.as_deref(), &terminal).await?;
        }
        Some(DispatchersVerb::Mode { name, mode, reason }) => {
            let mode = *mode;
            let change = ModeChange {
                mode,
                reason: reason.clone(),
            };
            let dispatcher = client
                .dispatcher_mode(&DispatcherName::new(name), &change)
                .await?;
            if arguments.server.json {
                print_json(&terminal, &dispatcher)?;
            } else {
                let said = match dispatcher.mode {
                    DispatcherMode::Active => "gets new runs",
                    DispatcherMode::Maintenance => "is in maintenance: it gets no new runs",
                    DispatcherMode::Retired => "is retired: it gets no new runs",
                };
                terminal.line(&format!("{} {said}", dispatcher.name));
            }
        }
    }
    Ok(Exit::DONE)
}

/// Makes a token. The file is made first: a token that cannot be kept would have ended the one
/// before it for nothing.
async fn add(
    client: &Client,
    name: &str,
    token_file: Option<&Path>,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let name = DispatcherName::new(name);
    let Some(path) = token_file else {
        let token = client.add_dispatcher(&name).await?;
        print_json(terminal, &token)?;
        terminal.note(&format!(
            "keep it as a file that only its owner can read (`--token-file FILE` makes one); {}",
            next(client, Path::new("FILE"))
        ));
        return Ok(());
    };
    let file = SecretFile::create(path, "a new token would end the one in it")?;
    let token = client.add_dispatcher(&name).await?;
    file.write(&serde_json::to_string_pretty(&token)?)?;
    terminal.line(&one_line(&format!(
        "the token of {name} is in {}; {}",
        path.display(),
        next(client, path)
    )));
    Ok(())
}

/// What is to be done with a token's file.
fn next(client: &Client, path: &Path) -> String {
    let server = client.server();
    let run = |server: &str| {
        format!(
            "on the dispatcher's host: basalt dispatch --server {server} --token-file {}",
            path.display()
        )
    };
    if is_loopback(server) && server.starts_with("https://") {
        return format!(
            "{}, SERVER being what it knows this host by",
            run("https://SERVER:7270")
        );
    }
    if is_loopback(server) {
        return format!(
            "this server is known here as {server}, which is this host only: a dispatcher elsewhere \
             needs `basalt serve --listen 0.0.0.0:7270 --tls self-signed`, then a token made anew; {}",
            run("https://SERVER:7270")
        );
    }
    run(server)
}

fn is_loopback(server: &str) -> bool {
    let (_, rest) = server.split_once("://").unwrap_or(("", server));
    rest.starts_with("127.") || rest.starts_with("[::1]") || rest.starts_with("localhost")
}

fn row(dispatcher: &Dispatcher) -> Vec<String> {
    vec![
        dispatcher.name.to_string(),
        dispatcher.state.to_string(),
        dispatcher.mode.to_string(),
        dispatcher.boards.to_string(),
        dispatcher.runs.to_string(),
        dispatcher
            .heard_utc_us
            .map_or_else(|| "never".to_owned(), ago),
        dispatcher.problems.join("; "),
    ]
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn an_address_of_this_host_alone_is_known_as_one() {
        for server in [
            "http://127.0.0.1:7270",
            "https://localhost:1",
            "http://[::1]:7",
        ] {
            assert!(is_loopback(server), "{server}");
        }
        for server in ["https://lab.example:7270", "https://10.0.0.1"] {
            assert!(!is_loopback(server), "{server}");
        }
    }
}
