//! What the tables are made of.

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Whatever stands there.
    Anything,
    /// A text; PyYAML's numbers and booleans are none.
    Text,
    /// A text of 1 to so many characters.
    Filled { most: usize },
    /// A text that a rule accepts.
    Pattern(&'static Pattern),
    /// One of these texts.
    Words(&'static [&'static str]),
    /// Nothing.
    Null,
    /// True or false.
    Boolean,
    /// A whole number. True and false are numbers to Python.
    Whole,
    /// A number, whole or not.
    Number { least: i64, most: Option<i64> },
    /// Any mapping.
    Mapping,
    /// A list of such values, possibly empty.
    List(&'static Kind),
    /// Anything that has at least one item or character.
    Sized,
    /// A time limit.
    Timeout,
    /// A mapping with known keys.
    Map(&'static Map),
    /// Any of these, each tried.
    OneOf(&'static [Kind]),
    /// One of several mappings, told by the word under a key.
    Select {
        /// How messages name it.
        what: &'static str,
        /// The key.
        key: &'static str,
        /// Word and mapping.
        cases: &'static [(&'static str, Kind)],
    },
    /// `actions`: each item a mapping of action and block.
    Actions(&'static [(&'static str, Kind)]),
    /// The block of a test action, told by which of these keys it has.
    Block {
        /// How messages name it.
        what: &'static str,
        /// Key and mapping; the first that is there tells.
        cases: &'static [(&'static str, Kind)],
    },
}

/// A rule for a text.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub accepts: fn(&str) -> bool,
    /// With its article: `a name of letters, digits, …`.
    pub expected: &'static str,
    /// What to do; empty for nothing.
    pub hint: &'static str,
}

/// A mapping.
#[derive(Debug)]
pub(crate) struct Map {
    /// How messages name it; empty for the key that it stands under.
    pub what: &'static str,
    /// Its keys, in groups that several mappings share. The first of a name counts.
    pub keys: &'static [&'static [Key]],
    /// What other keys may hold.
    pub rest: Rest,
    /// Two keys that exclude each other.
    pub exclusive: Option<(&'static str, &'static str)>,
    /// It has one key at least.
    pub filled: bool,
    /// An example to show where a text stands instead.
    pub example: &'static str,
}

/// Nothing but keys.
pub(crate) const PLAIN: Map = Map {
    what: "",
    keys: &[],
    rest: Rest::None,
    exclusive: None,
    filled: false,
    example: "",
};

/// Keys that no group names.
#[derive(Debug)]
pub(crate) enum Rest {
    /// There are none.
    None,
    /// Any text, with such a value.
    Each(Kind),
    /// The same, and there must be one.
    Some(Kind),
    /// Those that the rule accepts.
    Matching(fn(&str) -> bool, Kind),
    /// Any key at all.
    Any(Kind),
    /// Names of `context`; others are refused in every reading.
    Context(Kind),
}

/// A key.
#[derive(Debug)]
pub(crate) struct Key {
    pub name: &'static str,
    pub required: bool,
    pub listed: Listed,
    pub kind: Kind,
}

/// Who knows a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// LAVA's schema.
    Schema,
    /// LAVA's code alone: its strict schema refuses the key.
    Code,
}

/// A key that must be there.
pub(crate) const fn required(name: &'static str, kind: Kind) -> Key {
    Key {
        name,
        required: true,
        listed: Listed::Schema,
        kind,
    }
}

/// A key that may be there.
pub(crate) const fn optional(name: &'static str, kind: Kind) -> Key {
    Key {
        name,
        required: false,
        listed: Listed::Schema,
        kind,
    }
}

/// A key that may be there, and is not listed in LAVA's schema.
pub(crate) const fn listed(name: &'static str, listed: Listed) -> Key {
    Key {
        name,
        required: false,
        listed,
        kind: Kind::Anything,
    }
}

/// A text with something in it.
pub(crate) const FILLED: Kind = Kind::Filled { most: usize::MAX };

/// A text or a list of texts.
pub(crate) const TEXTS: Kind = Kind::OneOf(&[Kind::Text, Kind::List(&Kind::Text)]);

/// A number of at least 1.
pub(crate) const COUNT: Kind = Kind::Number {
    least: 1,
    most: None,
};
