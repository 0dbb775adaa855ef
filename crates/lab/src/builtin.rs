//! The board types that come with Basalt: the repository's `device-types/`.

use crate::file::LabFile;

/// File name and text.
const TYPES: [(&str, &str); 3] = [
    (
        "base-u-boot.yaml",
        include_str!("../../../device-types/base-u-boot.yaml"),
    ),
    (
        "qemu-arm64-virt.yaml",
        include_str!("../../../device-types/qemu-arm64-virt.yaml"),
    ),
    (
        "simulated.yaml",
        include_str!("../../../device-types/simulated.yaml"),
    ),
];

/// Every built-in type. Their paths start with `built-in/`, so that no file of a lab has the same.
pub fn types() -> Vec<LabFile> {
    TYPES
        .iter()
        .map(|(name, text)| LabFile {
            path: format!("built-in/device-types/{name}"),
            text: (*text).to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_the_repository_is_built_in() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../device-types");
        let mut files: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let built_in: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        assert_eq!(files, built_in);
    }
}
