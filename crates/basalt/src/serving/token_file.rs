//! How a dispatcher knows who it is: a file that only its owner can read.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use basalt_api::DispatcherToken;

use crate::exit::refused;

/// No token's file is larger.
const LARGEST: u64 = 16 * 1024;
const VERSION: u32 = 1;

/// Reads a token's file.
pub fn read(path: &Path) -> anyhow::Result<DispatcherToken> {
    let file = File::open(path)
        .map_err(|error| refused(format!("cannot read {}: {error}", path.display())))?;
    let mode = file
        .metadata()
        .with_context(|| format!("cannot read {}", path.display()))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(refused(format!(
            "others on this host can use the token in {}: `chmod 600` it",
            path.display()
        )));
    }
    let mut text = String::new();
    file.take(LARGEST)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {}", path.display()))?;
    // An error of the reader could quote the token.
    let token: DispatcherToken = serde_json::from_str(&text).map_err(|error| {
        refused(format!(
            "{} is no token's file as `basalt dispatchers add` writes it (line {}, column {})",
            path.display(),
            error.line(),
            error.column()
        ))
    })?;
    if token.version != VERSION {
        return Err(refused(format!(
            "{} is of version {}, and this basalt knows version {VERSION}",
            path.display(),
            token.version
        )));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_for_its_owner_and_refused_where_others_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rack.json");
        let token = r#"{"version": 1, "dispatcher": "rack", "token": "secret"}"#;
        std::fs::write(&path, token).unwrap();
        let allow = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        allow(0o600);
        assert_eq!(read(&path).unwrap().token, "secret");
        allow(0o640);
        let error = read(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
        allow(0o600);
        std::fs::write(&path, "{\"version\": 1, \"token\": secret}").unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(!error.contains("secret"), "{error}");
    }
}
