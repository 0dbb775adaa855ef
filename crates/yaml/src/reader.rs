//! Reading a mapping key by key, without stopping at mistakes.

use crate::field::Field;
use crate::{Diagnostics, Node, Span, closest};

/// What to make of keys that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The project's own files: a typing mistake must not be lost.
    Error,
    /// Jobs: what other systems accept is accepted.
    Warn,
}

/// A mapping that is being read. Ask for every key that may come, then call [`MapReader::finish`].
#[derive(Debug)]
pub struct MapReader<'d> {
    node: Node,
    what: String,
    asked: Vec<String>,
    // Keys that are reported as missing, and where that report stands.
    missing: Vec<(String, usize)>,
    diagnostics: &'d mut Diagnostics,
}

impl<'d> MapReader<'d> {
    /// None, and an error, where the node is no mapping. `what` is how messages name it, with its
    /// article: `the job`, `a phase`.
    pub fn new(
        node: &Node,
        what: impl Into<String>,
        diagnostics: &'d mut Diagnostics,
    ) -> Option<Self> {
        let what = what.into();
        if node.is_broken() {
            return None;
        }
        if node.as_map().is_none() {
            diagnostics.error(
                node.span,
                format!("{what} must be a mapping, found {}", node.describe()),
            );
            return None;
        }
        Some(Self {
            node: node.clone(),
            what,
            asked: Vec::new(),
            missing: Vec::new(),
            diagnostics,
        })
    }

    /// The mapping.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its place.
    pub fn span(&self) -> Span {
        self.node.span
    }

    /// How messages name it.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// For mistakes that only the caller can see.
    pub fn diagnostics(&mut self) -> &mut Diagnostics {
        self.diagnostics
    }

    /// Whether the key is there, whatever its value. Does not count as asking for it.
    pub fn has(&self, key: &str) -> bool {
        self.node.get(key).is_some()
    }

    /// The place of a key, or of the mapping where the key is missing.
    pub fn key_span(&self, key: &str) -> Span {
        self.node
            .entry(key)
            .map_or(self.node.span, |(name, _)| name.span)
    }

    /// The value of a key that must be there; its absence is an error.
    pub fn required(&mut self, key: &str) -> Field<'_> {
        if !self.has(key) {
            let message = format!("{} needs `{key}`", self.what);
            self.missing.push((key.to_owned(), self.diagnostics.next()));
            self.diagnostics.error(self.node.span, message);
        }
        self.optional(key)
    }

    /// The value of a key that may be there.
    pub fn optional(&mut self, key: &str) -> Field<'_> {
        self.asked.push(key.to_owned());
        let node = self.node.get(key).cloned();
        Field::of(node, format!("`{key}`"), self.diagnostics)
    }

    /// The value of a key that may be there, and may be there with nothing.
    pub fn optional_or_null(&mut self, key: &str) -> Field<'_> {
        self.asked.push(key.to_owned());
        let node = self.node.get(key).filter(|node| !node.is_null()).cloned();
        Field::of(node, format!("`{key}`"), self.diagnostics)
    }

    /// Accepts a key without looking at its value.
    pub fn ignore(&mut self, key: &str) {
        self.asked.push(key.to_owned());
    }

    /// Of two or more keys at most one may be there. Returns the one that is.
    pub fn at_most_one<'k>(&mut self, keys: &[&'k str]) -> Option<&'k str> {
        let mut present = keys
            .iter()
            .copied()
            .filter(|key| self.node.get(key).is_some());
        let first = present.next()?;
        let others: Vec<&str> = present.collect();
        for other in others {
            let message = format!("`{first}` and `{other}` exclude each other");
            let span = self.key_span(other);
            self.diagnostics.error(span, message);
        }
        Some(first)
    }

    /// The line `version: N` that tops every file of the project's own. Returns the version.
    pub fn version(&mut self, known: &[i64]) -> Option<i64> {
        let newest = known.iter().max().copied().unwrap_or(1);
        if !self.has("version") {
            self.asked.push("version".to_owned());
            let message = format!("{} needs `version: {newest}` on top", self.what);
            self.missing
                .push(("version".to_owned(), self.diagnostics.next()));
            self.diagnostics
                .error(self.node.span, message)
                .with_hint(format!("write `version: {newest}` into the first line"));
            return None;
        }
        let span = self
            .node
            .get("version")
            .map_or(self.node.span, |node| node.span);
        let version = self.required("version").integer(i64::MIN..=i64::MAX)?;
        if known.contains(&version) {
            return Some(version);
        }
        let list: Vec<String> = known.iter().map(i64::to_string).collect();
        let message = format!(
            "version {version} of {} is not known; known: {}",
            self.what,
            list.join(", ")
        );
        self.diagnostics.error(span, message);
        None
    }

    /// Reports the keys that nobody asked for. One that looks like a missing key is one mistake
    /// with it, and is reported as that.
    pub fn finish(mut self, unknown: Unknown) {
        let Some(entries) = self.node.as_map() else {
            return;
        };
        let asked: Vec<&str> = self.asked.iter().map(String::as_str).collect();
        let missing: Vec<&str> = asked.iter().copied().filter(|key| !self.has(key)).collect();
        for (key, _) in entries {
            if key.source_text().is_some_and(|name| asked.contains(&name)) {
                continue;
            }
            let name = crate::node::shorten(key.source_text().unwrap_or_default());
            let meant = closest(&name, missing.iter().copied());
            if let Some(place) = meant.and_then(|meant| take(&mut self.missing, meant))
                && let Some(report) = self.diagnostics.kept(place)
            {
                report.message = format!("unknown key `{name}`, and {}", report.message);
                report.span = key.span;
                report.hint = meant.map(|meant| format!("did you mean `{meant}`?"));
                continue;
            }
            let message = match unknown {
                Unknown::Error => format!("unknown key `{name}` in {}", self.what),
                Unknown::Warn => format!("unknown key `{name}` in {} has no effect", self.what),
            };
            let diagnostic = match unknown {
                Unknown::Error => self.diagnostics.error(key.span, message),
                Unknown::Warn => self.diagnostics.warning(key.span, message),
            };
            if let Some(meant) = meant {
                diagnostic.with_hint(format!("did you mean `{meant}`?"));
            } else if unknown == Unknown::Error && !asked.is_empty() {
                let mut known = asked.clone();
                known.sort_unstable();
                known.dedup();
                diagnostic.with_hint(format!("known keys: {}", known.join(", ")));
            }
        }
    }
}

/// Removes a key from the missing ones.
fn take(missing: &mut Vec<(String, usize)>, key: &str) -> Option<usize> {
    let place = missing.iter().position(|(name, _)| name == key)?;
    Some(missing.swap_remove(place).1)
}
