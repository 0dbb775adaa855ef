//! `basalt tokens`.

use std::path::Path;

use anyhow::Context;
use basalt_api::{NewToken, Token};
use basalt_client::Client;
use basalt_model::UserName;

use super::secret_file::SecretFile;
use super::{ago, connect, print_json};
use crate::arguments::{TokensArguments, TokensVerb};
use crate::exit::Exit;
use crate::terminal::{Terminal, one_line};
use crate::wording;

/// Lists an account's tokens, makes one, or ends one.
pub async fn tokens(arguments: &TokensArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let json = arguments.server.json;
    match &arguments.verb {
        None => list(&client, arguments.user.as_deref(), json, &terminal).await?,
        Some(TokensVerb::Create {
            name,
            owner,
            token_file,
        }) => {
            let new = NewToken {
                label: name.clone(),
                user: owner.as_deref().map(UserName::new),
                expires_utc_us: None,
            };
            create(&client, &new, token_file.as_deref(), json, &terminal).await?;
        }
        Some(TokensVerb::Revoke { token }) => {
            client.revoke_token(*token).await?;
            if json {
                print_json(&terminal, &serde_json::json!({ "revoked": token }))?;
            } else {
                terminal.line(&format!("token {token} has ended"));
            }
        }
    }
    Ok(Exit::DONE)
}

async fn list(
    client: &Client,
    user: Option<&str>,
    json: bool,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let tokens = client.tokens(user.map(UserName::new).as_ref()).await?;
    if json {
        return print_json(terminal, &tokens);
    }
    if tokens.is_empty() {
        terminal.note("there are none; `basalt tokens create NAME` makes one");
        return Ok(());
    }
    let rows = tokens.iter().map(row).collect();
    let heads = ["token", "name", "of", "made", "used", "ends"];
    terminal.write(&crate::columns::columns(&heads, rows, terminal));
    Ok(())
}

fn row(token: &Token) -> Vec<String> {
    vec![
        token.id.to_string(),
        token.label.clone(),
        token.user.to_string(),
        ago(token.created_utc_us),
        token.used_utc_us.map_or_else(|| "never".to_owned(), ago),
        token
            .expires_utc_us
            .map_or_else(|| "never".to_owned(), wording::utc),
    ]
}

/// Makes a token. Without a file its secret alone is on standard output, so that it can be piped
/// into what keeps secrets.
async fn create(
    client: &Client,
    new: &NewToken,
    token_file: Option<&Path>,
    json: bool,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let file = token_file
        .map(|path| SecretFile::create(path, "the secret in it would be lost"))
        .transpose()?;
    let created = client.create_token(new).await?;
    let token = &created.token;
    let (id, user) = (token.id, &token.user);
    if let (Some(file), Some(path)) = (file, token_file) {
        file.write(&created.secret).with_context(|| {
            format!("the secret of token {id} is lost: `basalt tokens revoke {id}` ends it")
        })?;
        if json {
            return print_json(terminal, token);
        }
        terminal.line(&one_line(&format!(
            "token {id} of {user} is in {}; `basalt tokens revoke {id}` ends it",
            path.display()
        )));
        return Ok(());
    }
    if json {
        return print_json(terminal, &created);
    }
    terminal.line(&one_line(&created.secret));
    terminal.note(&format!(
        "token {id} of {user}, shown this once: keep it where secrets are kept, as BASALT_TOKEN \
         beside BASALT_SERVER={}; `basalt tokens revoke {id}` ends it",
        client.server()
    ));
    Ok(())
}
