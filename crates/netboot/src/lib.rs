//! Boot servers that belong to a lease: TFTP for kernels, NFSv3 for root file systems.
//!
//! Both serve *roots*: directories with a random name that exist only while somebody holds the
//! value that stands for them, and that only the address of one board may read. Nothing below a
//! root is a path of the host that a client could steer: files are named in advance (TFTP) or
//! reached by walking a read-only tree (NFS).
//!
//! Not done here: preparing what is served (`artifacts`), deciding when a root opens or closes
//! (`runner`), telling the boot loader about it (`console`), DHCP.

mod name;
pub mod nfs;
pub mod tftp;

pub use name::NameError;
pub use nfs::{Export, ExportError, ExportSpec, NfsServer};
pub use tftp::{
    Direction, FileSource, OpenRootError, Root, RootSpec, TftpServer, TransferEvent,
    TransferEventKind, TransferFailure,
};
