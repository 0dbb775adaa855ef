//! The words in which results are said.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $type {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $type {
            /// Every word, in the order of the definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as it is written on disk, on the wire and in tables.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::outcome::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::outcome::UnknownWord(text.to_owned())),
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                // `pad`, so that tables can align the word.
                f.pad(self.as_str())
            }
        }
    };
}

pub(crate) use words;

/// The text is none of the words of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no word of this kind")]
pub struct UnknownWord(pub String);

words!(
    /// What a latency measurement says (decision D18).
    Verdict {
        /// Enough samples, none above the limit.
        Pass = "pass",
        /// At least one sample above the limit.
        Fail = "fail",
        /// The measurement proves nothing: no evidence, too few cycles, a dead load.
        Invalid = "invalid",
        /// Complete, but nobody gave a limit.
        Measured = "measured",
    }
);

words!(
    /// What a job came to, in our words; beside LAVA's [`Health`].
    Outcome {
        /// Everything that was asked for was measured and is good.
        Pass = "pass",
        /// Something that was measured or tested is bad.
        Fail = "fail",
        /// A measurement proves nothing.
        Invalid = "invalid",
        /// The job did not reach its end.
        Incomplete = "incomplete",
        /// A person or client ended it.
        Canceled = "canceled",
    }
);

impl Outcome {
    /// The exit code of `run`, `wait` and `submit --follow` (decision D19).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Invalid => 2,
            Self::Incomplete => 3,
            Self::Canceled => 4,
        }
    }
}

words!(
    /// LAVA's health of a job. Test results never change it.
    Health {
        /// Not finished yet.
        Unknown = "unknown",
        /// Every action ran.
        Complete = "complete",
        /// An action failed.
        Incomplete = "incomplete",
        /// It was canceled.
        Canceled = "canceled",
    }
);

words!(
    /// The result of one test case, in LAVA's words.
    CaseOutcome {
        /// Passed.
        Pass = "pass",
        /// Failed.
        Fail = "fail",
        /// Was not run, on purpose.
        Skip = "skip",
        /// Was run, and nobody can say.
        Unknown = "unknown",
    }
);

words!(
    /// What a relay says about an outlet. `Unknown` is an answer: the relay cannot be asked, or
    /// did not answer.
    PowerState {
        /// Switched on.
        On = "on",
        /// Switched off.
        Off = "off",
        /// Nobody knows.
        Unknown = "unknown",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_on_disk_are_the_words_in_tables() {
        for outcome in [
            Outcome::Pass,
            Outcome::Fail,
            Outcome::Invalid,
            Outcome::Incomplete,
            Outcome::Canceled,
        ] {
            let json = serde_json::to_string(&outcome).unwrap();
            assert_eq!(json, format!("\"{outcome}\""));
            assert_eq!(serde_json::from_str::<Outcome>(&json).unwrap(), outcome);
        }
    }

    #[test]
    fn exit_codes_are_those_of_decision_d19() {
        let codes = [
            Outcome::Pass,
            Outcome::Fail,
            Outcome::Invalid,
            Outcome::Incomplete,
            Outcome::Canceled,
        ]
        .map(Outcome::exit_code);
        assert_eq!(codes, [0, 1, 2, 3, 4]);
    }
}
