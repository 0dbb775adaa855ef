//! Which type a node is of: by its tag, or by how a plain scalar is written.

use std::sync::Arc;

use crate::pattern;

/// What stands before the names of YAML's own types.
pub(crate) const YAML_TAGS: &str = "tag:yaml.org,2002:";

/// The types that PyYAML's safe loader knows, and what it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Null,
    Bool,
    Int,
    Float,
    Str,
    Binary,
    Timestamp,
    /// `<<` as a key.
    Merge,
    /// `=` as a key.
    Value,
    Seq,
    Map,
    Set,
    Omap,
    Pairs,
    /// `!` alone: as if the node had no tag and no quotes.
    Bare,
    Other(Arc<str>),
}

impl Tag {
    /// The type of a tag that is written.
    pub(crate) fn named(prefix: &str, suffix: &str) -> Self {
        let name = format!("{prefix}{suffix}");
        match name.strip_prefix(YAML_TAGS) {
            Some("null") => Self::Null,
            Some("bool") => Self::Bool,
            Some("int") => Self::Int,
            Some("float") => Self::Float,
            Some("str") => Self::Str,
            Some("binary") => Self::Binary,
            Some("timestamp") => Self::Timestamp,
            Some("merge") => Self::Merge,
            Some("value") => Self::Value,
            Some("seq") => Self::Seq,
            Some("map") => Self::Map,
            Some("set") => Self::Set,
            Some("omap") => Self::Omap,
            Some("pairs") => Self::Pairs,
            _ if name == "!" => Self::Bare,
            _ => Self::Other(name.into()),
        }
    }

    /// The type of a scalar without tag and quotes.
    pub(crate) fn of_plain(text: &str) -> Self {
        // PyYAML's patterns end in `$`, which a line break at the end of a text does not disturb.
        let line = text.strip_suffix('\n').unwrap_or(text);
        let Some(first) = text.bytes().next() else {
            return Self::Null;
        };
        match first {
            b'0'..=b'9' | b'-' | b'+' | b'.' => {
                if pattern::is_float(line) {
                    Self::Float
                } else if pattern::is_int(line) {
                    Self::Int
                } else if pattern::is_timestamp(line) {
                    Self::Timestamp
                } else {
                    Self::Str
                }
            }
            b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' => match line {
                "null" | "Null" | "NULL" => Self::Null,
                _ if pattern::boolean(line).is_some() => Self::Bool,
                _ => Self::Str,
            },
            b'~' if line == "~" => Self::Null,
            b'<' if line == "<<" => Self::Merge,
            b'=' if line == "=" => Self::Value,
            b'!' | b'&' | b'*' if line.len() == 1 => Self::Other(format!("{YAML_TAGS}yaml").into()),
            _ => Self::Str,
        }
    }

    /// How messages name it: `!!int`, `!mine`.
    pub(crate) fn shown(&self) -> String {
        let name = match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Str => "str",
            Self::Binary => "binary",
            Self::Timestamp => "timestamp",
            Self::Merge => "merge",
            Self::Value => "value",
            Self::Seq => "seq",
            Self::Map => "map",
            Self::Set => "set",
            Self::Omap => "omap",
            Self::Pairs => "pairs",
            Self::Bare => return "!".to_owned(),
            Self::Other(name) => {
                return match name.strip_prefix(YAML_TAGS) {
                    Some(name) => format!("!!{name}"),
                    None if name.starts_with('!') => name.to_string(),
                    None => format!("!<{name}>"),
                };
            }
        };
        format!("!!{name}")
    }
}
