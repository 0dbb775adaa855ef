//! Filters that apply another filter or a test to each item, and those that cut lists into parts.

use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, State};

use super::Filter;
use super::sequence::attribute;
use crate::arguments::{Given, bind, failure, split};
use crate::methods::index;
use crate::value::{iterate, truth};

pub(super) const FILTERS: [(&str, Filter); 2] = [("batch", batch), ("slice", slice)];

/// Those that need the state to call others.
pub(super) const NAMES: [&str; 5] = ["map", "reject", "rejectattr", "select", "selectattr"];

pub(super) fn register(environment: &mut Environment<'_>) {
    environment.add_filter(
        "map",
        |state: &mut State<'_, '_>, value: Value, given: Given| {
            map(state, &value, &given.into_values())
        },
    );
    for (name, keep, of_attribute) in [
        ("select", true, false),
        ("reject", false, false),
        ("selectattr", true, true),
        ("rejectattr", false, true),
    ] {
        environment.add_filter(
            name,
            move |state: &mut State<'_, '_>, value: Value, given: Given| {
                select(state, &value, &given.into_values(), keep, of_attribute)
            },
        );
    }
}

fn map(state: &mut State<'_, '_>, value: &Value, given: &[Value]) -> Result<Value, Error> {
    let (positional, named) = split(given)?;
    let mut made = Vec::new();
    if !truth(value) {
        return Ok(Value::from(made));
    }
    if let Some((name, arguments)) = positional.split_first() {
        let name = name
            .as_str()
            .ok_or_else(|| failure("map needs the name of a filter"))?;
        let known = super::is_known(name);
        for item in iterate(value)? {
            if !known {
                return Err(failure(format!("No filter named '{name}'.")));
            }
            let mut call = vec![item];
            call.extend_from_slice(arguments);
            if !named.is_empty() {
                call.push(Kwargs::from_iter(named.iter().cloned()).into());
            }
            made.push(state.apply_filter(name, &call)?);
        }
        return Ok(Value::from(made));
    }
    let (mut path, mut default) = (None, None);
    for (name, value) in named {
        match name.as_str() {
            "attribute" => path = Some(value),
            "default" => default = Some(value),
            _ => return Err(failure(format!("Unexpected keyword argument '{name}'"))),
        }
    }
    if path.is_none() {
        return Err(failure("map requires a filter argument"));
    }
    for item in iterate(value)? {
        let found = attribute(&item, path.as_ref())?;
        made.push(match &default {
            Some(default) if found.is_undefined() => default.clone(),
            _ => found,
        });
    }
    Ok(Value::from(made))
}

fn select(
    state: &mut State<'_, '_>,
    value: &Value,
    given: &[Value],
    keep: bool,
    of_attribute: bool,
) -> Result<Value, Error> {
    let (positional, named) = split(given)?;
    let mut kept = Vec::new();
    if !truth(value) {
        return Ok(Value::from(kept));
    }
    let (path, test) = match (of_attribute, positional.split_first()) {
        (true, None) => return Err(failure("Missing parameter for attribute name")),
        (true, Some((path, test))) => (Some(path), test),
        (false, _) => (None, positional.as_slice()),
    };
    for item in iterate(value)? {
        let seen = attribute(&item, path)?;
        let holds = match test.split_first() {
            None => truth(&seen),
            Some((name, arguments)) => {
                let name = name.as_str().unwrap_or_default();
                if !crate::predicates::is_known(name) {
                    return Err(failure(format!("No test named '{name}'.")));
                }
                let mut call = vec![seen];
                call.extend_from_slice(arguments);
                if !named.is_empty() {
                    call.push(Kwargs::from_iter(named.iter().cloned()).into());
                }
                state.perform_test(name, &call)?
            }
        };
        if holds == keep {
            kept.push(item);
        }
    }
    Ok(Value::from(kept))
}

fn batch(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let [count, fill] = bind("batch", given, ["linecount", "fill_with"], 1)?;
    let count = index(&count.unwrap_or_default(), "batch")?;
    let count = usize::try_from(count).ok().filter(|count| *count > 0);
    let items = iterate(value)?;
    let mut rows: Vec<Vec<Value>> = match count {
        Some(count) => items.chunks(count).map(<[Value]>::to_vec).collect(),
        None => items.into_iter().map(|item| vec![item]).collect(),
    };
    if let (Some(fill), Some(count), Some(last)) =
        (fill.filter(|fill| !fill.is_none()), count, rows.last_mut())
    {
        last.resize(count.min(100_000), fill);
    }
    Ok(Value::from(
        rows.into_iter().map(Value::from).collect::<Vec<_>>(),
    ))
}

fn slice(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let [count, fill] = bind("slice", given, ["slices", "fill_with"], 1)?;
    let count = usize::try_from(index(&count.unwrap_or_default(), "slice")?).unwrap_or(0);
    let items = iterate(value)?;
    if count == 0 {
        return Err(failure("integer division or modulo by zero"));
    }
    let fill = fill.filter(|fill| !fill.is_none());
    let (size, longer) = (items.len() / count, items.len() % count);
    let mut parts = Vec::new();
    let mut start = 0;
    for place in 0..count.min(100_000) {
        let end = start + size + usize::from(place < longer);
        let mut part = items[start..end].to_vec();
        if let (Some(fill), true) = (&fill, place >= longer) {
            part.push(fill.clone());
        }
        parts.push(Value::from(part));
        start = end;
    }
    Ok(Value::from(parts))
}
