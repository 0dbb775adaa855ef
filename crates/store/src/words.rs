//! The store's own words, read and written as the model's are.

/// Gives an enum of words its text, and reads it from text and from columns.
macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            /// Every word.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the database and in the API.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("{text:?} is no word of this kind")),
                }
            }
        }

        impl $crate::database::value::Column for $type {
            fn read(
                row: &$crate::database::value::Row,
                index: usize,
            ) -> Result<Self, $crate::StoreError> {
                $crate::database::value::parsed(row, index)
            }
        }
    };
}

pub(crate) use words;
