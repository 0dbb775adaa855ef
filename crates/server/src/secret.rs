//! Secrets: tokens, sessions, login links. Only their hashes are stored.

use std::io::Read;

use basalt_model::Sha256;
use sha2::Digest;

/// A new secret: 256 random bits as 64 hexadecimal digits after a word that tells what it is, so
/// that one that got into a text can be searched for.
///
/// # Errors
/// The operating system gives no random bytes.
pub fn new(prefix: &str) -> std::io::Result<String> {
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{prefix}_{}", Sha256(bytes)))
}

/// What is stored of a secret. It is long and random, so that a plain hash is enough.
pub fn hash(secret: &str) -> Sha256 {
    Sha256(sha2::Sha256::digest(secret.as_bytes()).into())
}
