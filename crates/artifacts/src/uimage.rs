//! U-Boot's legacy image header, as `mkimage` writes it around ramdisks for `header: u-boot`
//! (source: include/image.h of U-Boot). 64 bytes, big endian:
//! ```text
//! magic 27051956, CRC of the header, time, size, load address, entry point, CRC of the data,
//! system, architecture, type, compression (a byte each), name (32 bytes)
//! ```

/// The first four bytes.
const MAGIC: u32 = 0x2705_1956;

/// Bytes of a header.
const LENGTH: usize = 64;

/// `IH_OS_LINUX`.
const LINUX: u8 = 5;

/// `IH_TYPE_RAMDISK`.
const RAMDISK: u8 = 3;

/// What a header says, beside lengths and checksums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Seconds since 1970; 0 where the same data shall give the same bytes.
    pub time: u32,
    /// Where the data goes; 0 for ramdisks.
    pub load: u32,
    /// Where it is entered; 0 for ramdisks.
    pub entry: u32,
    /// `IH_OS_…`: 5 is Linux.
    pub system: u8,
    /// `IH_ARCH_…`.
    pub architecture: u8,
    /// `IH_TYPE_…`: 2 a kernel, 3 a ramdisk.
    pub kind: u8,
    /// `IH_COMP_…`: 0 none. What U-Boot unpacks; ramdisks are left to the kernel.
    pub compression: u8,
    /// At most 32 bytes are kept.
    pub name: String,
}

impl Header {
    /// The header of a ramdisk, as `mkimage -T ramdisk -C none` writes it.
    pub fn ramdisk(architecture: u8) -> Self {
        Self {
            time: 0,
            load: 0,
            entry: 0,
            system: LINUX,
            architecture,
            kind: RAMDISK,
            compression: 0,
            name: String::new(),
        }
    }
}

/// `IH_ARCH_…` of an architecture as Debian or the kernel names it.
pub fn architecture(name: &str) -> Option<u8> {
    Some(match name {
        "arm" | "armhf" | "armel" => 2,
        "i386" | "x86" => 3,
        "mips" | "mipsel" => 5,
        "mips64" | "mips64el" => 6,
        "powerpc" | "ppc" => 7,
        "arm64" | "aarch64" => 22,
        "x86_64" | "amd64" => 24,
        "riscv" | "riscv64" => 26,
        _ => return None,
    })
}

/// A header that is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The header's own checksum does not fit.
    #[error("the U-Boot header's checksum is wrong")]
    Header,
    /// The header says that there is more data than there is.
    #[error("the U-Boot header says {stated} bytes of data, there are {present}")]
    Length {
        /// What the header says.
        stated: usize,
        /// What is there.
        present: usize,
    },
    /// The data's checksum does not fit.
    #[error("the checksum in the U-Boot header does not fit the data")]
    Data,
}

/// The data behind a header. Data of 4 GiB and more has no header.
pub fn wrap(data: &[u8], header: &Header) -> Option<Vec<u8>> {
    let size = u32::try_from(data.len()).ok()?;
    let mut image = Vec::with_capacity(LENGTH + data.len());
    for field in [
        MAGIC,
        0,
        header.time,
        size,
        header.load,
        header.entry,
        crc32fast::hash(data),
    ] {
        image.extend_from_slice(&field.to_be_bytes());
    }
    image.extend_from_slice(&[
        header.system,
        header.architecture,
        header.kind,
        header.compression,
    ]);
    let name = header.name.as_bytes();
    image.extend_from_slice(&name[..name.len().min(32)]);
    image.resize(LENGTH, 0);
    let checksum = crc32fast::hash(&image);
    image[4..8].copy_from_slice(&checksum.to_be_bytes());
    image.extend_from_slice(data);
    Some(image)
}

/// The header and the data behind it; nothing if the image does not begin with a header.
pub fn unwrap(image: &[u8]) -> Result<Option<(Header, &[u8])>, HeaderError> {
    if image.len() < LENGTH || !image.starts_with(&MAGIC.to_be_bytes()) {
        return Ok(None);
    }
    let field = |index: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&image[index * 4..index * 4 + 4]);
        u32::from_be_bytes(bytes)
    };
    let mut blank = image[..LENGTH].to_vec();
    blank[4..8].fill(0);
    if crc32fast::hash(&blank) != field(1) {
        return Err(HeaderError::Header);
    }
    let (stated, present) = (field(3) as usize, image.len() - LENGTH);
    let data = image.get(LENGTH..LENGTH + stated);
    let data = data.ok_or(HeaderError::Length { stated, present })?;
    if crc32fast::hash(data) != field(6) {
        return Err(HeaderError::Data);
    }
    let name = &image[32..LENGTH];
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(32);
    let header = Header {
        time: field(2),
        load: field(4),
        entry: field(5),
        system: image[28],
        architecture: image[29],
        kind: image[30],
        compression: image[31],
        name: String::from_utf8_lossy(&name[..end]).into_owned(),
    };
    Ok(Some((header, data)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by hand after include/image.h, with zlib's crc32.
    #[test]
    fn a_header_has_the_bytes_that_u_boot_reads() {
        let header = Header {
            name: "rd".to_owned(),
            ..Header::ramdisk(22)
        };
        let image = wrap(b"123456789", &header).unwrap();
        assert_eq!(&image[..4], [0x27, 0x05, 0x19, 0x56]);
        assert_eq!(&image[12..16], [0, 0, 0, 9]);
        // The check value of CRC-32.
        assert_eq!(&image[24..28], [0xcb, 0xf4, 0x39, 0x26]);
        assert_eq!(&image[28..34], [5, 22, 3, 0, b'r', b'd']);
        assert_eq!(image.len(), 64 + 9);
    }

    #[test]
    fn wrapping_can_be_undone_and_damage_is_seen() {
        let header = Header {
            time: 7,
            load: 0x4000_0000,
            entry: 1,
            name: "x".repeat(32),
            ..Header::ramdisk(2)
        };
        let mut image = wrap(b"data", &header).unwrap();
        assert_eq!(unwrap(&image), Ok(Some((header, &b"data"[..]))));
        assert_eq!(unwrap(b"070701"), Ok(None));

        let last = image.len() - 1;
        image[last] ^= 1;
        assert_eq!(unwrap(&image), Err(HeaderError::Data));
        let (stated, present) = (4, 3);
        let short = HeaderError::Length { stated, present };
        assert_eq!(unwrap(&image[..last]), Err(short));
        image[8] ^= 1;
        assert_eq!(unwrap(&image), Err(HeaderError::Header));
    }
}
