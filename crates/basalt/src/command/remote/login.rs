//! `basalt login`, `basalt login-link`.

use std::io::Read;

use anyhow::Context;
use basalt_api::NewLoginLink;
use basalt_client::{Client, Settings, settings};

use super::{connect, print_json};
use crate::arguments::{LoginArguments, LoginLinkArguments};
use crate::exit::{Exit, refused};
use crate::terminal::Terminal;

/// Asks the server who the token belongs to, and keeps both.
pub async fn login(arguments: &LoginArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let Some(url) = &arguments.url else {
        return show(arguments.json, terminal).await;
    };
    let (scheme, rest) = url.split_once("://").unwrap_or(("", ""));
    if !matches!(scheme, "http" | "https") || rest.trim_matches('/').is_empty() {
        return Err(refused(format!(
            "{url:?} is no server's address; write it as http://127.0.0.1:7270"
        )));
    }
    let token = match &arguments.token_file {
        Some(file) => std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?,
        None => {
            terminal.note("the token, then Ctrl-D:");
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("cannot read the token from standard input")?;
            text
        }
    };
    if token.trim().is_empty() {
        return Err(refused("there is no token; an administrator makes one"));
    }
    let settings = Settings::new(url, &token, arguments.certificate.clone());
    let me = Client::new(&settings)?.me().await?;
    let path = settings::path()?;
    settings.write(&path)?;
    terminal.line(&format!(
        "logged in to {} as {} ({}); kept in {}",
        settings.server,
        me.name,
        me.role,
        path.display()
    ));
    Ok(Exit::DONE)
}

async fn show(json: bool, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(None)?;
    let me = client.me().await?;
    if json {
        print_json(&terminal, &me)?;
    } else {
        terminal.line(&format!("{} as {} ({})", client.server(), me.name, me.role));
    }
    Ok(Exit::DONE)
}

/// Prints a link that logs a browser in once.
pub async fn login_link(
    arguments: &LoginLinkArguments,
    terminal: Terminal,
) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let link = client
        .login_link(&NewLoginLink {
            user: arguments.user.as_deref().map(basalt_model::UserName::new),
        })
        .await?;
    if arguments.server.json {
        print_json(&terminal, &link)?;
    } else {
        terminal.line(&link.url);
        terminal.note(&format!(
            "logs {} in once, until {}",
            link.user,
            crate::wording::utc(link.expires_utc_us)
        ));
    }
    Ok(Exit::DONE)
}
