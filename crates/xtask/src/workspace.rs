//! Where this repository is.

use std::path::PathBuf;

/// The directory of the workspace's `Cargo.toml`.
///
/// Cargo says at run time where this package lies; the path known at compile time is the fallback
/// for a binary that was started without it.
pub fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package
        .ancestors()
        .nth(2)
        .map_or_else(|| package.clone(), PathBuf::from)
}

/// Where board artefacts of one architecture lie: `target/boards/arm64`.
pub fn boards() -> PathBuf {
    root().join("target/boards/arm64")
}
