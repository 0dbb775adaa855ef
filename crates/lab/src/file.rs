//! Which files make a lab.

/// One file of a lab, or a built-in board type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabFile {
    /// Its path below the lab's directory, with `/`: `boards/qemu-1.yaml`. Shown in messages.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// What a file of a lab holds, by its path below the lab's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `lab.yaml`: the lab's name and default dispatcher.
    Lab,
    /// `dispatchers/*.yaml`.
    Dispatcher,
    /// `relays/*.yaml`.
    Relay,
    /// `boards/*.yaml`.
    Board,
    /// `device-types/*.yaml`.
    DeviceType,
    /// `lava/devices/*.jinja2`: a device dictionary of LAVA.
    LavaDevice,
    /// `lava/device-types/*.jinja2`: a device type of LAVA.
    LavaType,
}

impl FileKind {
    /// The name of the file that every lab has.
    pub const LAB: &str = "lab.yaml";

    /// The directories whose `*.yaml` belong to a lab (not those in directories below them).
    pub const DIRECTORIES: [(&str, Self); 4] = [
        ("dispatchers", Self::Dispatcher),
        ("relays", Self::Relay),
        ("boards", Self::Board),
        ("device-types", Self::DeviceType),
    ];

    /// Below this name a lab's list of files holds those of the directory that `lava:` in `lab.yaml`
    /// names, wherever that is.
    pub const LAVA: &str = "lava";

    /// The directories of LAVA's whose `*.jinja2` belong to a lab.
    pub const LAVA_DIRECTORIES: [(&str, Self); 2] = [
        ("devices", Self::LavaDevice),
        ("device-types", Self::LavaType),
    ];

    /// What a file with this path (relative, with `/`) holds; `None` if it is no part of a lab.
    pub fn of(path: &str) -> Option<Self> {
        if path == Self::LAB {
            return Some(Self::Lab);
        }
        let (directory, file) = path.split_once('/')?;
        if directory == Self::LAVA {
            let (directory, file) = file.split_once('/')?;
            let is_template =
                file.ends_with(".jinja2") && !file.starts_with('.') && !file.contains('/');
            return Self::LAVA_DIRECTORIES
                .iter()
                .find(|(name, _)| is_template && *name == directory)
                .map(|(_, kind)| *kind);
        }
        let is_yaml = file.ends_with(".yaml") && !file.starts_with('.') && !file.contains('/');
        Self::DIRECTORIES
            .iter()
            .find(|(name, _)| is_yaml && *name == directory)
            .map(|(_, kind)| *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_lab_are_known_by_their_paths() {
        assert_eq!(FileKind::of("lab.yaml"), Some(FileKind::Lab));
        assert_eq!(
            FileKind::of("dispatchers/east.yaml"),
            Some(FileKind::Dispatcher)
        );
        assert_eq!(FileKind::of("relays/rack.yaml"), Some(FileKind::Relay));
        assert_eq!(FileKind::of("boards/a.yaml"), Some(FileKind::Board));
        assert_eq!(
            FileKind::of("device-types/t.yaml"),
            Some(FileKind::DeviceType)
        );
        for other in [
            "jobs/a.yaml",
            "boards/.a.yaml",
            "boards/x/a.yaml",
            "boards/a.txt",
            "x.yaml",
        ] {
            assert_eq!(FileKind::of(other), None, "{other}");
        }
    }
}
