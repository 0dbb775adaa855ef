//! Files for secrets that a server shows once.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::exit::refused;

/// A new file that only its owner can read. It is made before the secret is asked for: a secret
/// that cannot be kept would be lost. Dropped before it was written, it is removed.
#[derive(Debug)]
pub struct SecretFile {
    path: PathBuf,
    file: File,
    is_written: bool,
}

impl SecretFile {
    /// Makes the file. One that is there stays as it is: `spoiled` says what would come of it.
    ///
    /// # Errors
    /// It is there already, or cannot be made.
    pub fn create(path: &Path, spoiled: &str) -> anyhow::Result<Self> {
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| {
                let why = match error.kind() {
                    ErrorKind::AlreadyExists => format!("it is there already; {spoiled}"),
                    _ => error.to_string(),
                };
                refused(format!("cannot make {}: {why}", path.display()))
            })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            is_written: false,
        })
    }

    /// Writes the secret as a line.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn write(mut self, secret: &str) -> anyhow::Result<()> {
        writeln!(self.file, "{secret}")
            .and_then(|()| self.file.sync_all())
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.is_written = true;
        Ok(())
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if !self.is_written {
            // Nothing of worth is in it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::SecretFile;

    #[test]
    fn a_secret_is_its_owners_and_no_file_is_left_without_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        drop(SecretFile::create(&path, "").unwrap());
        assert!(!path.exists());
        SecretFile::create(&path, "")
            .unwrap()
            .write("hush")
            .unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hush\n");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let error = SecretFile::create(&path, "it would be lost").unwrap_err();
        assert!(error.to_string().contains("it would be lost"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hush\n");
    }
}
