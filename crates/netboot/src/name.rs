//! Names of roots, which nobody can guess, and names of files, which cannot lead anywhere.

use std::io;

/// Lower case letters and digits without the look-alikes 0/o, 1/l, because people read these names off a console and type
/// them again.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Longest name of one file on Linux, in bytes (`NAME_MAX`).
const LONGEST_COMPONENT: usize = 255;

/// Why a text is not the name of one file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, `.` or `..`.
    #[error("{0:?} is not a file name")]
    Special(String),
    /// It holds a `/`, so it would be a path.
    #[error("{0:?} holds a '/': it must be the name of one file")]
    Separator(String),
    /// It holds a NUL or another control character.
    #[error("{0:?} holds a control character")]
    Control(String),
    /// Longer than any file name can be.
    #[error("a name of {0} bytes is longer than the {LONGEST_COMPONENT} that a file name may have")]
    TooLong(usize),
}

/// Checks that `name` is one component of a path and harmless in messages.
pub(crate) fn check_component(name: &str) -> Result<(), NameError> {
    if name.len() > LONGEST_COMPONENT {
        return Err(NameError::TooLong(name.len()));
    }
    if matches!(name, "" | "." | "..") {
        return Err(NameError::Special(name.to_owned()));
    }
    if name.contains('/') {
        return Err(NameError::Separator(name.to_owned()));
    }
    if name.chars().any(char::is_control) {
        return Err(NameError::Control(name.to_owned()));
    }
    Ok(())
}

/// A random text of `length` letters and digits, five bits each, from the kernel's generator.
pub(crate) fn random_name(length: usize) -> io::Result<String> {
    let mut bytes = vec![0_u8; length];
    let mut filled = 0;
    while filled < length {
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_lead_elsewhere_are_refused() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "/etc/passwd",
            "a\0b",
            "a\nb",
            &"n".repeat(256),
        ] {
            assert!(check_component(name).is_err(), "{name:?} was accepted");
        }
        for name in [
            "Image",
            "board.dtb",
            "...",
            "-x",
            "ramdisk.cpio.gz",
            "größe",
        ] {
            assert_eq!(check_component(name), Ok(()));
        }
    }

    #[test]
    fn random_names_differ_and_are_themselves_components() {
        let names: std::collections::BTreeSet<_> =
            (0..100).map(|_| random_name(16).unwrap()).collect();
        assert_eq!(names.len(), 100);
        for name in names {
            assert_eq!(name.len(), 16);
            assert_eq!(check_component(&name), Ok(()));
        }
    }
}
