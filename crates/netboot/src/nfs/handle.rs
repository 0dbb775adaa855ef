//! File handles: what a board keeps to name a file, valid across restarts of this server.
//!
//! A handle holds the export, which of its trees, and the inode, sealed with a code that only the export's path can make,
//! so that a board cannot make up handles of other exports. Everything derives from the path: exported again under the same
//! path, the old handles hold.

use nfs3_server::vfs::FileHandle;
use sha2::{Digest, Sha256};

/// Layout of the bytes; a handle of another layout is refused as stale.
const LAYOUT: u8 = 1;
const LENGTH: usize = 34;
const SEAL_AT: usize = 18;

/// Short name of an export inside handles, made from its token.
pub(crate) type ExportId = [u8; 8];

/// layout (1), export (8), tree (1), inode (8, little endian), seal (16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handle([u8; LENGTH]);

/// Makes and checks the handles of one export.
#[derive(Debug)]
pub(crate) struct Seal {
    pub export: ExportId,
    key: [u8; 32],
}

impl Seal {
    pub fn new(token: &str) -> Self {
        Self {
            export: export_id(token),
            key: derive("handle key", token),
        }
    }

    /// The handle of an inode in the export's tree of this number.
    pub fn handle(&self, tree: u8, inode: u64) -> Handle {
        let mut bytes = [0; LENGTH];
        bytes[0] = LAYOUT;
        bytes[1..9].copy_from_slice(&self.export);
        bytes[9] = tree;
        bytes[10..SEAL_AT].copy_from_slice(&inode.to_le_bytes());
        let code = self.code(&bytes[..SEAL_AT]);
        bytes[SEAL_AT..].copy_from_slice(&code);
        Handle(bytes)
    }

    /// The tree and inode that the handle names, if this export made it.
    pub fn open(&self, handle: &Handle) -> Option<(u8, u64)> {
        let code = self.code(&handle.0[..SEAL_AT]);
        // Without leaving early, so that the time does not tell how many bytes were right.
        let differs = code
            .iter()
            .zip(&handle.0[SEAL_AT..])
            .fold(0, |sum, (a, b)| sum | (a ^ b));
        let mut inode = [0; 8];
        inode.copy_from_slice(&handle.0[10..SEAL_AT]);
        (differs == 0).then(|| (handle.0[9], u64::from_le_bytes(inode)))
    }

    /// A keyed hash. The text has a fixed length and the hash is cut, so nothing can be appended to either.
    fn code(&self, bytes: &[u8]) -> [u8; 16] {
        let mut code = [0; 16];
        code.copy_from_slice(
            &Sha256::new()
                .chain_update(self.key)
                .chain_update(bytes)
                .finalize()[..16],
        );
        code
    }
}

impl Handle {
    /// A handle that names nothing.
    pub const NOTHING: Self = Self([0; LENGTH]);

    /// The export it claims to belong to.
    pub fn export(&self) -> ExportId {
        let mut export = [0; 8];
        export.copy_from_slice(&self.0[1..9]);
        export
    }
}

impl FileHandle for Handle {
    fn len(&self) -> usize {
        LENGTH
    }

    fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; LENGTH] = bytes.try_into().ok()?;
        (bytes[0] == LAYOUT).then_some(Self(bytes))
    }
}

/// The export that a token stands for.
pub(crate) fn export_id(token: &str) -> ExportId {
    let mut id = [0; 8];
    id.copy_from_slice(&derive("export id", token)[..8]);
    id
}

fn derive(purpose: &str, token: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"basalt nfs 1\0")
        .chain_update(purpose)
        .chain_update(b"\0")
        .chain_update(token)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_its_file_again_after_a_restart() {
        let handle = Seal::new("token").handle(3, 0x1234_5678_9abc);
        let read = Handle::from_bytes(handle.as_bytes()).unwrap();
        assert_eq!(read.export(), export_id("token"));
        assert_eq!(Seal::new("token").open(&read), Some((3, 0x1234_5678_9abc)));
    }

    #[test]
    fn a_handle_cannot_be_changed_or_taken_to_another_export() {
        let seal = Seal::new("token");
        let handle = seal.handle(0, 42);
        for index in 1..LENGTH {
            let mut bytes = handle.0;
            bytes[index] ^= 1;
            assert_eq!(
                seal.open(&Handle(bytes)),
                None,
                "byte {index} is not sealed"
            );
        }
        assert_eq!(Seal::new("another").open(&handle), None);
    }
}
