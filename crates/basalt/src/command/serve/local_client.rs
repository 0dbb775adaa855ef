//! The login of the account that starts a server: kept where `basalt login` keeps it, unless another
//! server's login is there.

use std::path::Path;

use basalt_client::{Settings, settings};
use basalt_model::Sha256;
use serde::Deserialize;

use crate::keeping::chain;
use crate::serving::greeting::ClientLogin;

/// What the server leaves for the local client.
#[derive(Deserialize)]
struct ClientToken {
    token: String,
}

/// Logs the account in at its own server.
pub fn log_in(server: &Path, url: &str, certificate: Option<Sha256>) -> ClientLogin {
    try_log_in(server, url, certificate).unwrap_or_else(ClientLogin::Failed)
}

fn try_log_in(
    server: &Path,
    url: &str,
    certificate: Option<Sha256>,
) -> Result<ClientLogin, String> {
    let path = settings::path().map_err(|error| chain(&error))?;
    let token_path = server.join(basalt_server::CLIENT_TOKEN_FILE);
    let text = std::fs::read(&token_path)
        .map_err(|error| format!("cannot read {}: {error}", token_path.display()))?;
    // Without the reader's error, which could quote the token.
    let ClientToken { token } = serde_json::from_slice(&text)
        .map_err(|_| format!("{} is damaged", token_path.display()))?;
    let wanted = Settings::new(url, &token, certificate.map(|digest| digest.to_string()));
    match Settings::read(&path).map_err(|error| chain(&error))? {
        Some(kept) if kept == wanted => Ok(ClientLogin::There(path)),
        Some(kept) if kept.server != wanted.server && kept.token != wanted.token => {
            Ok(ClientLogin::Other {
                path,
                server: kept.server,
                token: token_path,
            })
        }
        // None, or this server's before its address, token or certificate changed.
        _ => {
            wanted.write(&path).map_err(|error| chain(&error))?;
            Ok(ClientLogin::Written(path))
        }
    }
}
