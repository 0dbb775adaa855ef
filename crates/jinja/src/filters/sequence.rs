//! Filters of lists and dictionaries.

use std::cmp::Ordering;
use std::sync::Arc;

use minijinja::Error;
use minijinja::value::{Enumerator, Object, ObjectRepr, Tuple, Value};

use super::Filter;
use crate::arguments::{bind, failure};
use crate::operators::add;
use crate::value::{Python, compare, equal, iterate, pairs, string, truth, undefined, view};

pub(super) const FILTERS: [(&str, Filter); 15] = [
    ("attr", |value, given| {
        // Attributes of the objects that templates have are methods, which have no value of
        // their own here.
        bind("attr", given, ["name"], 1)?;
        match view(value) {
            Python::Other => value.get_attr(given[0].as_str().unwrap_or_default()),
            Python::Undefined => Err(undefined()),
            _ => Ok(Value::UNDEFINED),
        }
    }),
    ("count", length),
    ("dictsort", dict_sort),
    ("first", |value, given| {
        bind("first", given, [], 0)?;
        Ok(iterate(value)?.into_iter().next().unwrap_or_default())
    }),
    ("groupby", group_by),
    ("items", |value, given| {
        bind("items", given, [], 0)?;
        match view(value) {
            Python::Undefined => Ok(Value::from(Vec::<Value>::new())),
            Python::Dict => crate::collections::dictionary(value, "items", &[]),
            _ => Err(failure("items expects a mapping")),
        }
    }),
    ("last", |value, given| {
        bind("last", given, [], 0)?;
        Ok(iterate(value)?.into_iter().next_back().unwrap_or_default())
    }),
    ("length", length),
    ("list", |value, given| {
        bind("list", given, [], 0)?;
        iterate(value).map(Value::from)
    }),
    ("max", |value, given| {
        extreme("max", value, given, Ordering::Greater)
    }),
    ("min", |value, given| {
        extreme("min", value, given, Ordering::Less)
    }),
    ("reverse", |value, given| {
        bind("reverse", given, [], 0)?;
        if let Python::Str(text) = view(value) {
            return Ok(Value::from(text.chars().rev().collect::<String>()));
        }
        let mut list = iterate(value)?;
        list.reverse();
        Ok(Value::from(list))
    }),
    ("sort", sort),
    ("sum", |value, given| {
        let [name, start] = bind("sum", given, ["attribute", "start"], 0)?;
        let mut total = start.unwrap_or_else(|| Value::from(0));
        for item in iterate(value)? {
            total = add(total, attribute(&item, name.as_ref())?)?;
        }
        Ok(total)
    }),
    ("unique", unique),
];

fn length(value: &Value, given: &[Value]) -> Result<Value, Error> {
    bind("length", given, [], 0)?;
    match view(value) {
        Python::Other => match value.len() {
            Some(length) => Ok(Value::from(length)),
            None => Err(failure("the object has no len()")),
        },
        _ => Ok(Value::from(iterate(value)?.len())),
    }
}

/// The item's attribute of a dotted name or number; the item itself where there is no name.
pub(super) fn attribute(item: &Value, name: Option<&Value>) -> Result<Value, Error> {
    let Some(name) = name.filter(|name| !name.is_none()) else {
        return Ok(item.clone());
    };
    let Python::Str(path) = view(name) else {
        return Ok(item.get_item(name).unwrap_or_default());
    };
    let mut found = item.clone();
    for part in path.split('.') {
        if view(&found) == Python::Undefined {
            return Err(undefined());
        }
        let key = match part.parse::<i64>() {
            Ok(number) => Value::from(number),
            Err(_) => Value::from(part),
        };
        found = found.get_item(&key).unwrap_or_default();
    }
    Ok(found)
}

/// Texts in lower case, for orders that ignore case.
fn folded(value: Value, sensitive: bool) -> Value {
    match view(&value) {
        Python::Str(text) if !sensitive => Value::from(text.to_lowercase()),
        _ => value,
    }
}

/// Sorts by keys, keeping the order of equal ones.
fn sort_by_key<T>(mut list: Vec<(Vec<Value>, T)>, reverse: bool) -> Result<Vec<T>, Error> {
    let mut wrong = None;
    list.sort_by(|(one, _), (other, _)| {
        let order = one
            .iter()
            .zip(other)
            .find(|(one, other)| !equal(one, other));
        let order = match order.map(|(one, other)| compare(one, other)) {
            None => Ordering::Equal,
            Some(Ok(order)) => order.unwrap_or(Ordering::Equal),
            Some(Err(error)) => {
                wrong.get_or_insert(error);
                Ordering::Equal
            }
        };
        if reverse { order.reverse() } else { order }
    });
    match wrong {
        Some(error) => Err(error),
        None => Ok(list.into_iter().map(|(_, item)| item).collect()),
    }
}

/// A group: a tuple of its key and its items, which have names too.
#[derive(Debug)]
struct Group(Value, Value);

/// Whether a value is one of [`group_by`]'s.
pub(crate) fn is_group(value: &Value) -> bool {
    value.downcast_object_ref::<Group>().is_some()
}

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match (key.as_str(), key.as_i64()) {
            (Some("grouper"), _) | (_, Some(0 | -2)) => Some(self.0.clone()),
            (Some("list"), _) | (_, Some(1 | -1)) => Some(self.1.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(2)
    }
}

fn group_by(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let names = ["attribute", "default", "case_sensitive"];
    let [path, default, sensitive] = bind("groupby", given, names, 1)?;
    let sensitive = flag(sensitive);
    let mut list = Vec::new();
    for item in iterate(value)? {
        let mut key = attribute(&item, path.as_ref())?;
        if let (Some(default), true) = (&default, key.is_undefined()) {
            key = default.clone();
        }
        let order = folded(key.clone(), sensitive);
        list.push((vec![order.clone()], (order, key, item)));
    }
    if let [(one, _), (other, _), ..] = list.as_slice() {
        compare(&one[0], &other[0])?;
    }
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for (order, key, item) in sort_by_key(list, false)? {
        match groups.last_mut() {
            Some((last, _, items)) if equal(last, &order) => items.push(item),
            _ => groups.push((order, key, vec![item])),
        }
    }
    let groups = groups
        .into_iter()
        .map(|(_, key, items)| Value::from_object(Group(key, Value::from(items))));
    Ok(Value::from(groups.collect::<Vec<_>>()))
}

fn flag(value: Option<Value>) -> bool {
    value.is_some_and(|value| truth(&value))
}

fn sort(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let names = ["reverse", "case_sensitive", "attribute"];
    let [reverse, sensitive, name] = bind("sort", given, names, 0)?;
    let sensitive = flag(sensitive);
    let attributes: Vec<Option<Value>> = match name.as_ref().map(view) {
        Some(Python::Str(list)) => list.split(',').map(|one| Some(Value::from(one))).collect(),
        _ => vec![name],
    };
    let mut list = Vec::new();
    for item in iterate(value)? {
        let mut keys = Vec::new();
        for name in &attributes {
            keys.push(folded(attribute(&item, name.as_ref())?, sensitive));
        }
        list.push((keys, item));
    }
    sort_by_key(list, flag(reverse)).map(Value::from)
}

fn dict_sort(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let names = ["case_sensitive", "by", "reverse"];
    let [sensitive, by, reverse] = bind("dictsort", given, names, 0)?;
    let sensitive = flag(sensitive);
    let by_value = match by.as_ref().and_then(Value::as_str) {
        None | Some("key") => false,
        Some("value") => true,
        Some(_) => return Err(failure("dictsort sorts by `key` or `value`")),
    };
    match view(value) {
        Python::Dict => {}
        Python::Undefined => return Err(undefined()),
        other => return Err(failure(format!("dictsort of {}", other.type_name()))),
    }
    let list = pairs(value).into_iter().map(|(key, item)| {
        let order = if by_value { item.clone() } else { key.clone() };
        (
            vec![folded(order, sensitive)],
            Value::from(Tuple::from(vec![key, item])),
        )
    });
    sort_by_key(list.collect(), flag(reverse)).map(Value::from)
}

fn extreme(name: &str, value: &Value, given: &[Value], wanted: Ordering) -> Result<Value, Error> {
    let [sensitive, path] = bind(name, given, ["case_sensitive", "attribute"], 0)?;
    let sensitive = flag(sensitive);
    let mut best: Option<(Value, Value)> = None;
    for item in iterate(value)? {
        let key = folded(attribute(&item, path.as_ref())?, sensitive);
        let better = match &best {
            None => true,
            Some((best, _)) => compare(&key, best)? == Some(wanted),
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map(|(_, item)| item).unwrap_or_default())
}

fn unique(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let [sensitive, path] = bind("unique", given, ["case_sensitive", "attribute"], 0)?;
    let sensitive = flag(sensitive);
    let mut seen: Vec<Value> = Vec::new();
    let mut kept = Vec::new();
    for item in iterate(value)? {
        let key = folded(attribute(&item, path.as_ref())?, sensitive);
        if matches!(view(&key), Python::List | Python::Dict) {
            return Err(failure(format!("unhashable type: '{}'", string(&key))));
        }
        if !seen.iter().any(|one| equal(one, &key)) {
            seen.push(key);
            kept.push(item);
        }
    }
    Ok(Value::from(kept))
}
