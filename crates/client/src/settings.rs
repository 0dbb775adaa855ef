//! Where the client finds its server and its token.
//!
//! `BASALT_SERVER` and `BASALT_TOKEN` come first, then the file that `basalt login` writes and the
//! first start of a server fills for its own user:
//!
//! ```text
//! $XDG_CONFIG_HOME/basalt/client.json     (else ~/.config/basalt/client.json; mode 0600)
//! {"version": 1, "server": "http://127.0.0.1:7270", "token": "…",
//!  "certificate_sha256": "…"}             (the last for servers that signed their own)
//! ```

use std::fmt;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The version of the file.
const VERSION: u32 = 1;

/// A server and how to be known there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// 1.
    pub version: u32,
    /// The server's address: `http://127.0.0.1:7270`.
    pub server: String,
    /// The token.
    pub token: String,
    /// SHA-256 of the server's certificate (DER), where it signed its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<String>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the token.
        f.debug_struct("Settings")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Why the settings cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Nobody logged in.
    #[error(
        "no server is known; `basalt login URL` makes one known, or set BASALT_SERVER and BASALT_TOKEN"
    )]
    Unknown,
    /// There is no directory for them.
    #[error("there is no home directory to keep the login in; set BASALT_SERVER and BASALT_TOKEN")]
    NoHome,
    /// The file.
    #[error("cannot {doing} {path}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is not ours.
    #[error("{path} is damaged; `basalt login URL` writes it anew")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        #[source]
        source: serde_json::Error,
    },
}

impl Settings {
    /// Settings of this version.
    pub fn new(server: &str, token: &str, certificate_sha256: Option<String>) -> Self {
        Self {
            version: VERSION,
            server: server.trim_end_matches('/').to_owned(),
            token: token.trim().to_owned(),
            certificate_sha256,
        }
    }

    /// What the environment and the file say. `server` (a command line's) comes before both; the
    /// file's token is only sent to the file's server.
    pub fn find(server: Option<&str>) -> Result<Self, SettingsError> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let server = server
            .map(str::to_owned)
            .or_else(|| variable("BASALT_SERVER"));
        let token = variable("BASALT_TOKEN");
        if let (Some(server), Some(token)) = (&server, &token) {
            return Ok(Self::new(server, token, None));
        }
        let kept = Self::read(&path()?)?;
        match (kept, server) {
            (Some(kept), None) => Ok(match token {
                Some(token) => Self { token, ..kept },
                None => kept,
            }),
            (Some(kept), Some(server)) if kept.server == server.trim_end_matches('/') => Ok(kept),
            // Without a token the server says itself what is missing.
            (_, Some(server)) => Ok(Self::new(&server, "", None)),
            (None, None) => Err(SettingsError::Unknown),
        }
    }

    /// What the file says, if it is there.
    pub fn read(path: &Path) -> Result<Option<Self>, SettingsError> {
        match std::fs::read(path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes)
                    .map(Some)
                    .map_err(|source| SettingsError::Damaged {
                        path: path.to_owned(),
                        source,
                    })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(file("read", path)(source)),
        }
    }

    /// Writes the file, readable by its owner only, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), SettingsError> {
        if let Some(parent) = path.parent() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)
                .map_err(file("make", parent))?;
        }
        let new = path.with_extension(format!("new-{}", std::process::id()));
        let text = serde_json::to_vec_pretty(self).expect("settings are plain data");
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| {
                file.write_all(&text)?;
                file.sync_data()
            })
            .and_then(|()| std::fs::rename(&new, path))
            .map_err(file("write", path))
    }
}

/// Where the file lies (XDG Base Directory Specification).
pub fn path() -> Result<PathBuf, SettingsError> {
    let own = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    own("XDG_CONFIG_HOME")
        .or_else(|| own("HOME").map(|home| home.join(".config")))
        .map(|directory| directory.join("basalt/client.json"))
        .ok_or(SettingsError::NoHome)
}

fn file(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SettingsError {
    let path = path.to_owned();
    move |source| SettingsError::File {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_login_is_kept_for_its_owner_alone_and_never_printed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/client.json");
        assert_eq!(Settings::read(&path).unwrap(), None);
        let settings = Settings::new("http://127.0.0.1:7270/", "secret\n", None);
        settings.write(&path).unwrap();
        assert_eq!(Settings::read(&path).unwrap(), Some(settings.clone()));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn a_damaged_login_says_what_mends_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("client.json");
        std::fs::write(&path, "{").unwrap();
        let error = Settings::read(&path).unwrap_err();
        assert!(error.to_string().contains("basalt login"), "{error}");
    }
}
