//! Jinja2's filters, and LAVA's three.
//!
//! Not done here: `pprint` is minijinja's own; `urlize`, `xmlattr`, `wordwrap` and `random` are
//! refused where they are used.

mod json;
mod lava;
mod number;
mod select;
mod sequence;
mod text;

pub(crate) use sequence::is_group;

use minijinja::value::Value;
use minijinja::{Environment, Error};

use crate::arguments::{Given, bind, failure};
use crate::value::{Python, truth, view};

/// A filter: what it does with a value and further arguments.
pub(crate) type Filter = fn(&Value, &[Value]) -> Result<Value, Error>;

/// minijinja's own that Jinja2 has not.
const FOREIGN: [&str; 5] = ["split", "lines", "bool", "chain", "zip"];

/// minijinja's own that do as Jinja2's.
const KEPT: [&str; 1] = ["pprint"];

/// Those of Jinja2 that are not there: a template that uses one is refused when it does.
const ABSENT: [&str; 4] = ["random", "urlize", "wordwrap", "xmlattr"];

/// Those of this module.
const OWN: [(&str, Filter); 2] = [("default", default), ("d", default)];

fn tables() -> impl Iterator<Item = &'static (&'static str, Filter)> {
    OWN.iter()
        .chain(&text::FILTERS)
        .chain(&number::FILTERS)
        .chain(&sequence::FILTERS)
        .chain(&select::FILTERS)
        .chain(&json::FILTERS)
        .chain(&lava::FILTERS)
}

/// Whether there is a filter of this name.
pub(crate) fn is_known(name: &str) -> bool {
    KEPT.contains(&name)
        || ABSENT.contains(&name)
        || select::NAMES.contains(&name)
        || tables().any(|(known, _)| *known == name)
}

/// Makes the environment's filters those of Jinja2 and LAVA.
pub(crate) fn register(environment: &mut Environment<'_>) {
    for name in FOREIGN {
        environment.remove_filter(name);
    }
    for (name, filter) in tables() {
        environment.add_filter(*name, move |value: Value, given: Given| {
            filter(&value, &given.into_values())
        });
    }
    for name in ABSENT {
        environment.add_filter(name, move |_: Value, _: Given| -> Result<Value, Error> {
            Err(failure(format!(
                "the filter `{name}` is not known to Basalt"
            )))
        });
    }
    select::register(environment);
}

fn default(value: &Value, given: &[Value]) -> Result<Value, Error> {
    let [default, also_false] = bind("default", given, ["default_value", "boolean"], 0)?;
    let missing = view(value) == Python::Undefined
        || (also_false.is_some_and(|flag| truth(&flag)) && !truth(value));
    Ok(match missing {
        true => default.unwrap_or_else(|| Value::from("")),
        false => value.clone(),
    })
}
