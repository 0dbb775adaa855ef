//! Small pieces of HTML that many pages hold: times, badges, icons.

use basalt_model::UtcMicros;

use crate::text;

/// HTML that is safe to stand in a page as it is: made here, from escaped parts. Askama's own type:
/// of any other, only its own escaper would know, and the templates have another.
pub use askama::filters::Safe as Html;

/// The meaning of a colour; `basalt.css` gives each one in both themes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Worth a look.
    Odd,
    /// Going on.
    Busy,
    /// Proves nothing.
    Void,
    /// At rest, over, or waiting.
    Rest,
}

impl Tone {
    /// Its word in class names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Odd => "odd",
            Self::Busy => "busy",
            Self::Void => "void",
            Self::Rest => "rest",
        }
    }
}

/// A state: a colour, a shape and a word, so that none of them stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Badge {
    /// The colour.
    pub tone: Tone,
    /// The shape: a symbol of `icons.html` without its `icon-`.
    pub icon: &'static str,
    /// The word.
    pub word: &'static str,
}

impl Badge {
    /// A badge.
    pub const fn new(tone: Tone, icon: &'static str, word: &'static str) -> Self {
        Self { tone, icon, word }
    }

    /// Shape and word in the state's colour.
    pub fn plain(&self) -> Html<String> {
        self.html("")
    }

    /// The same on a coloured ground.
    pub fn pill(&self) -> Html<String> {
        self.html(" pill")
    }

    /// The same, large, for the head of a page.
    pub fn large(&self) -> Html<String> {
        self.html(" pill large")
    }

    /// The shape alone; the word for those who do not see it.
    pub fn shape(&self) -> Html<String> {
        Html(format!(
            "<span class=\"state tone-{}\" title=\"{word}\">{}<span class=\"unseen\">{word}</span></span>",
            self.tone.as_str(),
            symbol(self.icon, self.icon == "running"),
            word = self.word,
        ))
    }

    fn html(&self, classes: &str) -> Html<String> {
        Html(format!(
            "<span class=\"state{classes} tone-{}\">{}{}</span>",
            self.tone.as_str(),
            symbol(self.icon, self.icon == "running"),
            self.word,
        ))
    }
}

fn symbol(name: &str, turning: bool) -> String {
    let class = if turning { "icon turning" } else { "icon" };
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><use href=\"#icon-{name}\"/></svg>"
    )
}

/// A symbol of `icons.html`, by its name without `icon-`.
pub fn icon(name: &str) -> Html<String> {
    Html(symbol(&escape(name), false))
}

/// How long ago, with the moment itself for whoever points at it. `times.ts` keeps it true.
pub fn ago(then: UtcMicros, now: UtcMicros) -> Html<String> {
    time(then, "ago", &text::ago(then, now))
}

/// How long since, for what goes on.
pub fn elapsed(then: UtcMicros, now: UtcMicros) -> Html<String> {
    let micros = now.0.saturating_sub(then.0).max(0);
    time(then, "elapsed", &text::duration_ms(micros as u64 / 1000))
}

fn time(then: UtcMicros, kind: &str, words: &str) -> Html<String> {
    Html(format!(
        "<time datetime=\"{}\" title=\"{}\" data-time=\"{kind}\">{}</time>",
        text::rfc3339(then),
        text::absolute(then),
        escape(words),
    ))
}

/// Text as it stands in HTML, attributes included.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_says_how_long_ago_and_when() {
        let then = UtcMicros(1_763_900_000_000_000);
        let now = UtcMicros(then.0 + 185_000_000);
        assert_eq!(
            ago(then, now).to_string(),
            "<time datetime=\"2025-11-23T12:13:20Z\" title=\"2025-11-23 12:13:20 UTC\" \
             data-time=\"ago\">3 min ago</time>"
        );
    }

    #[test]
    fn a_badge_has_a_word_beside_its_colour() {
        let badge = Badge::new(Tone::Bad, "fail", "fail");
        assert!(
            badge
                .shape()
                .to_string()
                .contains("<span class=\"unseen\">fail</span>")
        );
        assert!(badge.pill().to_string().ends_with("fail</span>"));
    }
}
