//! The methods of Python's dictionaries, lists and tuples that templates call.
//!
//! Not done here: those that change their value (`append`, `update`). They are refused.

use minijinja::value::{Tuple, Value};
use minijinja::{Error, ErrorKind};

use crate::arguments::{bind, failure};
use crate::value::{Python, equal, items, pairs, view};

pub(crate) fn dictionary(value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    match method {
        "items" => {
            bind(method, arguments, [], 0)?;
            let list = pairs(value).into_iter();
            Ok(list
                .map(|(key, item)| Value::from(Tuple::from(vec![key, item])))
                .collect::<Vec<_>>()
                .into())
        }
        "keys" => {
            bind(method, arguments, [], 0)?;
            Ok(Value::from(items(value)))
        }
        "values" => {
            bind(method, arguments, [], 0)?;
            let list: Vec<Value> = pairs(value).into_iter().map(|(_, item)| item).collect();
            Ok(Value::from(list))
        }
        "copy" => {
            bind(method, arguments, [], 0)?;
            Ok(value.clone())
        }
        "get" => {
            let [key, default] = bind(method, arguments, ["key", "default"], 1)?;
            let key = key.unwrap_or_default();
            if matches!(view(&key), Python::List | Python::Dict) {
                return Err(failure(format!(
                    "unhashable type: '{}'",
                    view(&key).type_name()
                )));
            }
            let found = pairs(value).into_iter().find(|(name, _)| equal(name, &key));
            Ok(found.map_or_else(
                || default.unwrap_or_else(|| Value::from(())),
                |(_, item)| item,
            ))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

pub(crate) fn sequence(value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    match method {
        "count" => {
            let [what] = bind(method, arguments, ["value"], 1)?;
            let what = what.unwrap_or_default();
            let count = items(value).iter().filter(|one| equal(one, &what)).count();
            Ok(Value::from(count))
        }
        "index" => {
            let [what] = bind(method, arguments, ["value"], 1)?;
            let what = what.unwrap_or_default();
            match items(value).iter().position(|one| equal(one, &what)) {
                Some(place) => Ok(Value::from(place)),
                None => Err(failure("the value is not in the list")),
            }
        }
        "copy" if view(value) == Python::List => {
            bind(method, arguments, [], 0)?;
            Ok(Value::from(items(value)))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}
