//! The entries of a mapping: merge keys, duplicate keys, and keys that are none.

use std::collections::HashMap;
use std::sync::Arc;

use crate::node::shorten;
use crate::parse::{Builder, Entry, Stop};
use crate::{Node, Value};

/// A key as Python's dictionaries compare it: `1`, `1.0` and `true` are one key.
#[derive(PartialEq, Eq, Hash)]
enum KeyId {
    Null,
    Int(i64),
    Float(u64),
    Text(Arc<str>),
}

impl Builder<'_> {
    /// Resolves merge keys and duplicates as PyYAML does: merged entries come first, of equal keys
    /// the last wins at the place of the first.
    pub(crate) fn entries(&mut self, read: Vec<Entry>) -> Result<Vec<(Node, Node)>, Stop> {
        let mut merged = Vec::new();
        let mut own = Vec::new();
        for Entry { key, value, merge } in read {
            if merge {
                self.merge(&value, &mut merged)?;
            } else {
                own.push((key, value));
            }
        }
        let first_own = merged.len();
        let mut places: HashMap<KeyId, (usize, bool)> = HashMap::new();
        let mut entries: Vec<(Node, Node)> = Vec::with_capacity(first_own + own.len());
        for (index, (key, value)) in merged.into_iter().chain(own).enumerate() {
            if key.is_broken() {
                continue;
            }
            let Some(id) = key_id(&key) else {
                self.diagnostics.error(
                    key.span,
                    format!("a key must be a single value, found {}", key.describe()),
                );
                continue;
            };
            let is_own = index >= first_own;
            match places.get_mut(&id) {
                None => {
                    places.insert(id, (entries.len(), is_own));
                    entries.push((key, value));
                }
                Some((place, was_own)) => {
                    if *was_own && is_own {
                        let first = entries[*place].0.span;
                        let name = shorten(key.source_text().unwrap_or_default());
                        self.diagnostics
                            .warning(
                                key.span,
                                format!(
                                    "the key `{name}` comes twice in this mapping; the last counts, the one at line {}, column {} has no effect",
                                    first.line, first.column
                                ),
                            )
                            .with_hint("remove one of the two");
                    }
                    *was_own = is_own;
                    entries[*place] = (key, value);
                }
            }
        }
        Ok(entries)
    }

    fn merge(&mut self, value: &Node, merged: &mut Vec<(Node, Node)>) -> Result<(), Stop> {
        if value.is_broken() {
            return Ok(());
        }
        let maps: Vec<&Node> = match value.value() {
            Value::Map(_) => vec![value],
            // The first of the list wins, so it comes last.
            Value::Seq(items) => items.iter().rev().collect(),
            _ => Vec::new(),
        };
        let good = value.as_seq().is_some() || !maps.is_empty();
        if !good
            || maps
                .iter()
                .any(|map| map.as_map().is_none() && !map.is_broken())
        {
            self.diagnostics
                .error(value.span, "`<<` merges a mapping or a list of mappings")
                .with_hint("name mappings with aliases: `<<: *name` or `<<: [*one, *two]`");
            return Ok(());
        }
        for map in maps {
            self.count(map.weight(), value.span)?;
            merged.extend(map.as_map().unwrap_or_default().iter().cloned());
        }
        Ok(())
    }
}

fn key_id(key: &Node) -> Option<KeyId> {
    Some(match key.value() {
        Value::Null => KeyId::Null,
        Value::Bool(value) => KeyId::Int(i64::from(*value)),
        Value::Int(value) => KeyId::Int(*value),
        Value::Float(value) => {
            // Every integer below 2^53 is exact in both types.
            const EXACT: f64 = 9_007_199_254_740_992.0;
            if value.fract() == 0.0 && value.abs() < EXACT {
                #[expect(clippy::cast_possible_truncation, reason = "checked in the line above")]
                let whole = *value as i64;
                KeyId::Int(whole)
            } else {
                KeyId::Float(value.to_bits())
            }
        }
        Value::String(text) => KeyId::Text(text.clone()),
        Value::Seq(_) | Value::Map(_) => return None,
    })
}
