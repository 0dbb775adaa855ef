//! The parts of a job that are told apart by a word in them, and time limits.

use basalt_yaml::{Node, Severity, closest};

use super::kind::{COUNT, Kind};
use super::walk::{Label, MISSING, SHAPE, Sink, Text, UNKNOWN, VALUE, Walk, has};
use super::words::{listing, removed, short};
use crate::values::number;

/// The units of a time limit, in seconds.
pub(crate) const UNITS: [(&str, u32); 4] = [
    ("days", 86_400),
    ("hours", 3_600),
    ("minutes", 60),
    ("seconds", 1),
];

fn seconds_of(unit: &str) -> u32 {
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    known.map_or(1, |(_, seconds)| *seconds)
}

/// LAVA counts to 999 999 999 days.
const MOST_SECONDS: f64 = 86_400.0 * 999_999_999.0;

impl<S: Sink> Walk<'_, S> {
    pub(super) fn select(
        &mut self,
        node: &Node,
        what: &str,
        key: &str,
        cases: &[(&'static str, Kind)],
    ) {
        let label = Label::What(what);
        let Some(entries) = node.as_map() else {
            return self.refuse(node, &Kind::Mapping, &label, SHAPE);
        };
        let names = || cases.iter().map(|(name, _)| *name);
        let Some((_, word)) = entries.iter().find(|(name, _)| name.as_str() == Some(key)) else {
            let slip = entries
                .iter()
                .find(|(name, _)| closest(name.source_text().unwrap_or_default(), [key]).is_some());
            let span = slip.map_or(node.span, |(name, _)| name.span);
            return self.report(MISSING, Severity::Error, span, || match slip {
                Some((name, _)) => Text::new(format!(
                    "unknown key `{}`, and {what} needs `{key}`",
                    short(name)
                ))
                .hint(format!("did you mean `{key}`?")),
                None => Text::new(format!("{what} needs `{key}`"))
                    .hint(format!("one of {}", listing(names()))),
            });
        };
        if word.is_broken() {
            return;
        }
        let found = word
            .as_str()
            .and_then(|word| cases.iter().find(|(name, _)| *name == word));
        match found {
            Some((_, kind)) => self.value(node, kind, &label),
            None => {
                let written = word.source_text().unwrap_or_default();
                self.report(VALUE, Severity::Error, word.span, || {
                    let text = Text::new(match word.as_str() {
                        Some(_) => format!("there is no `{key}: {}`", short(word)),
                        None => format!("`{key}` must be a word, found {}", word.describe()),
                    });
                    match (removed(key, written), closest(written, names())) {
                        (Some(instead), _) => text.hint(instead),
                        (None, Some(meant)) => text.hint(format!("did you mean `{meant}`?")),
                        (None, None) => text.hint(format!("one of {}", listing(names()))),
                    }
                });
            }
        }
    }

    pub(super) fn block(&mut self, node: &Node, what: &str, cases: &[(&'static str, Kind)]) {
        let label = Label::What(what);
        let Some(entries) = node.as_map() else {
            return self.refuse(node, &Kind::Mapping, &label, SHAPE);
        };
        if let Some((_, kind)) = cases.iter().find(|(name, _)| has(entries, name)) {
            return self.value(node, kind, &label);
        }
        let names = || cases.iter().map(|(name, _)| *name);
        let slip = entries.iter().find_map(|(name, _)| {
            let meant = closest(name.source_text().unwrap_or_default(), names())?;
            Some((name, meant))
        });
        let span = slip.map_or(node.span, |(name, _)| name.span);
        self.report(MISSING, Severity::Error, span, || {
            let needs = format!("{what} needs one of {}", listing(names()));
            match slip {
                Some((name, meant)) => {
                    Text::new(format!("unknown key `{}`, and {needs}", short(name)))
                        .hint(format!("did you mean `{meant}`?"))
                }
                None => Text::new(needs),
            }
        });
    }

    pub(super) fn actions(
        &mut self,
        node: &Node,
        cases: &[(&'static str, Kind)],
        label: &Label<'_>,
    ) {
        let Some(items) = node.as_seq() else {
            return self.refuse(node, &Kind::List(&Kind::Mapping), label, SHAPE);
        };
        let names = || cases.iter().map(|(name, _)| *name);
        for (index, item) in items.iter().enumerate() {
            if item.is_broken() {
                continue;
            }
            let Some(entries) = item.as_map().filter(|entries| !entries.is_empty()) else {
                self.report(SHAPE, Severity::Error, item.span, || {
                    Text::new(format!(
                        "item {} of {} must be a mapping of an action to its block, found {}",
                        index + 1,
                        label.text(),
                        if item.as_map().is_some() {
                            "an empty one".to_owned()
                        } else {
                            item.describe()
                        }
                    ))
                    .hint("such as `- deploy:` with its keys below, indented further")
                });
                continue;
            };
            if let [(name, block), ..] = entries
                && block.is_null()
                && names().any(|known| name.as_str() == Some(known))
                && !block.is_broken()
            {
                self.report(SHAPE, Severity::Error, name.span, || {
                    Text::new(format!("this {} action is empty", short(name)))
                        .hint("indent the keys that belong to it further than its name")
                });
                continue;
            }
            for (place, (name, block)) in entries.iter().enumerate() {
                if name.is_broken() {
                    continue;
                }
                let known = cases.iter().find(|(case, _)| name.as_str() == Some(*case));
                match known {
                    // LAVA looks into the first alone, and runs them all.
                    Some((_, kind)) => self.value(block, kind, &Label::Key(&short(name))),
                    None if place > 0 => self.unknown(name, &Label::What("the action"), names()),
                    None => self.error(name.span, || {
                        let written = short(name);
                        let text = Text::new(format!("there is no action `{written}`"));
                        match closest(&written, names()) {
                            Some(meant) => text.hint(format!("did you mean `{meant}`?")),
                            None => text.hint(format!("one of {}", listing(names()))),
                        }
                    }),
                }
            }
            if let Some((second, _)) = entries.get(1) {
                self.warning(second.span, || {
                    "this item has several actions, which run one after the other; begin each \
                     with `- `"
                        .to_owned()
                });
            }
        }
    }

    pub(super) fn timeout(&mut self, node: &Node, label: &Label<'_>) {
        let Some(entries) = node.as_map() else {
            return self.report(SHAPE, Severity::Error, node.span, || {
                let key = match label {
                    Label::Key(key) => key,
                    _ => "timeout",
                };
                Text::new(format!(
                    "the timeout {} must be a mapping, found {}",
                    label.text(),
                    node.describe()
                ))
                .hint(format!(
                    "write `{key}: {{minutes: 5}}`; units: days, hours, minutes, seconds"
                ))
            });
        };
        let units = || UNITS.iter().map(|(unit, _)| *unit);
        let mut found: Vec<(&Node, f64)> = Vec::new();
        let mut unknown: Vec<&Node> = Vec::new();
        let mut bad = false;
        for (name, value) in entries {
            match name.as_str() {
                Some("skip") => self.value(value, &Kind::Boolean, &Label::Key("skip")),
                Some(unit) if units().any(|known| known == unit) => match number(value) {
                    Some(amount) if amount * f64::from(seconds_of(unit)) > MOST_SECONDS => {
                        bad = true;
                        self.problem(
                            value.span,
                            "this timeout is longer than anybody can count",
                            "`timeouts: job:` needs a limit that somebody will live to see",
                        );
                    }
                    Some(amount) => found.push((value, amount)),
                    None => {
                        bad = true;
                        self.refuse(value, &COUNT, &Label::Key(unit), VALUE);
                    }
                },
                _ => unknown.push(name),
            }
        }
        let enough = found.iter().any(|(_, amount)| *amount >= 1.0);
        if let Some((value, _)) = found.iter().find(|_| !enough && !bad) {
            self.error(value.span, || {
                Text::new(format!(
                    "the timeout {} must be at least 1, found {}",
                    label.text(),
                    value.describe()
                ))
                .hint(
                    "for less than a minute or an hour take a smaller unit; a second is the least",
                )
            });
        } else if found.is_empty() && !bad {
            let slip = unknown.iter().position(|name| {
                closest(name.source_text().unwrap_or_default(), units()).is_some()
            });
            let slip = slip.map(|place| unknown.remove(place));
            let span = slip.map_or(node.span, |name| name.span);
            self.report(MISSING, Severity::Error, span, || {
                let needs = format!(
                    "the timeout {} needs one of days, hours, minutes, seconds",
                    label.text()
                );
                let meant =
                    slip.and_then(|name| closest(name.source_text().unwrap_or_default(), units()));
                match (slip, meant) {
                    (Some(name), Some(meant)) => {
                        Text::new(format!("{needs}, found `{}`", short(name)))
                            .hint(format!("did you mean `{meant}`?"))
                    }
                    _ => Text::new(needs).hint("such as `{minutes: 5}`"),
                }
            });
        }
        if let [_, (second, _), ..] = found.as_slice() {
            let strict = self.strict();
            let severity = if strict {
                Severity::Error
            } else {
                Severity::Warning
            };
            self.report(UNKNOWN, severity, second.span, || {
                let message = format!("the timeout {} has more than one unit", label.text());
                if strict {
                    Text::new(message).hint("use one unit, such as `minutes: 90`")
                } else {
                    Text::new(format!(
                        "{message}; they are added up, where LAVA takes that"
                    ))
                    .hint("use one unit, such as `minutes: 90`")
                }
            });
        }
        for name in unknown {
            let what = format!("the timeout {}", label.text());
            self.unknown(name, &Label::What(&what), ["skip"].into_iter());
        }
    }
}
