//! What frames every page: bar, navigation, theme, foot.

use basalt_model::{Role, UserName, UtcMicros};

use crate::asset;
use crate::tag::{self, Html};
use crate::text::{self, Moment};

/// Which entry of the navigation is the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// `/`.
    Overview,
    /// `/jobs` and what is below it.
    Jobs,
    /// `/boards` and what is below it.
    Boards,
    /// `/dispatchers`.
    Dispatchers,
    /// Anything else.
    Elsewhere,
}

/// The look that a visitor chose; without a choice, his system's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// The name of the cookie that remembers the theme: `light`, `dark`.
pub const THEME_COOKIE: &str = "basalt_theme";

impl Theme {
    /// Reads the cookie's value.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "light" => Some(Self::Light),
            "dark" => Some(Self::Dark),
            _ => None,
        }
    }

    /// The cookie's value, and the page's `data-theme`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// Who looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The account.
    pub name: UserName,
    /// What it may do.
    pub role: Role,
}

/// The frame of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chrome {
    /// The lab's name.
    pub lab: String,
    /// The page's name, for the window's title.
    pub title: String,
    /// Where it belongs.
    pub section: Section,
    /// Who looks; `None` for nobody in particular.
    pub person: Option<Person>,
    /// The look he chose.
    pub theme: Option<Theme>,
    /// The server's clock.
    pub now: UtcMicros,
    /// The feed's id up to which the page is true (decision D15): scripts follow from there.
    pub feed: i64,
    /// The server's version.
    pub version: String,
}

impl Chrome {
    /// The navigation: address, word, whether it is the current one.
    pub fn navigation(&self) -> [(&'static str, &'static str, bool); 4] {
        let entry = |address, word, section| (address, word, self.section == section);
        [
            entry("/", "Overview", Section::Overview),
            entry("/jobs", "Jobs", Section::Jobs),
            entry("/boards", "Boards", Section::Boards),
            entry("/dispatchers", "Dispatchers", Section::Dispatchers),
        ]
    }

    /// Whether an administrator looks.
    pub fn is_administrator(&self) -> bool {
        self.person
            .as_ref()
            .is_some_and(|person| person.role == Role::Administrator)
    }

    /// How long ago.
    pub fn ago(&self, then: impl Moment) -> Html<String> {
        tag::ago(then.moment(), self.now)
    }

    /// How long it has been going on.
    pub fn elapsed(&self, then: impl Moment) -> Html<String> {
        tag::elapsed(then.moment(), self.now)
    }

    /// From one moment to another, or, while there is no other, how long it has been going on.
    pub fn took(&self, from: impl Moment, to: &Option<UtcMicros>) -> Html<String> {
        let from = from.moment();
        match to {
            Some(to) => Html(format!(
                "<span class=\"number\">{}</span>",
                text::between(from, *to)
            )),
            None => self.elapsed(from),
        }
    }

    /// A symbol.
    pub fn icon(&self, name: &str) -> Html<String> {
        tag::icon(name)
    }

    /// The server's clock, for scripts that correct the browser's.
    pub fn now_ms(&self) -> i64 {
        self.now.0 / 1000
    }

    /// The address of the style sheet.
    pub fn style(&self) -> &'static str {
        asset::STYLE
    }

    /// The address of the script that every page loads.
    pub fn script(&self) -> &'static str {
        asset::SCRIPT
    }
}
