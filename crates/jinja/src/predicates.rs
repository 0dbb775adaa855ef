//! Jinja2's tests (`x is defined`), all of them and no others.

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error};

use crate::arguments::{Given, failure};
use crate::methods::is_cased;
use crate::operators::holds;
use crate::value::{Number, Python, equal, iterate, string, undefined, view};

/// minijinja's own that Jinja2 has not.
const FOREIGN: [&str; 4] = ["safe", "int", "startingwith", "endingwith"];

/// Comparisons, with the operator that each stands for.
const COMPARISONS: [(&str, &str); 16] = [
    ("eq", "eq"),
    ("equalto", "eq"),
    ("==", "eq"),
    ("ne", "ne"),
    ("!=", "ne"),
    ("lt", "lt"),
    ("lessthan", "lt"),
    ("<", "lt"),
    ("le", "le"),
    ("<=", "le"),
    ("gt", "gt"),
    ("greaterthan", "gt"),
    (">", "gt"),
    ("ge", "ge"),
    (">=", "ge"),
    ("in", "in"),
];

/// Tests of a value alone.
const PLAIN: [&str; 19] = [
    "boolean",
    "callable",
    "defined",
    "escaped",
    "even",
    "false",
    "float",
    "integer",
    "iterable",
    "lower",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "string",
    "true",
    "undefined",
    "upper",
];

/// Tests with an argument, or of a name.
const OTHERS: [&str; 4] = ["divisibleby", "filter", "sameas", "test"];

/// Whether Jinja2 has a test of this name.
pub(crate) fn is_known(name: &str) -> bool {
    PLAIN.contains(&name)
        || OTHERS.contains(&name)
        || COMPARISONS.iter().any(|(known, _)| *known == name)
}

/// Makes the environment's tests those of Jinja2.
pub(crate) fn register(environment: &mut Environment<'_>) {
    for name in FOREIGN {
        environment.remove_test(name);
    }
    for name in PLAIN {
        environment.add_test(name, move |value: Value, given: Given| {
            none_left(name, &given.into_values())?;
            plain(name, &value)
        });
    }
    for (name, operator) in COMPARISONS {
        environment.add_test(name, move |value: Value, other: Value| {
            holds(operator, &value, &other)
        });
    }
    environment.add_test("sameas", |value: Value, other: Value| same(&value, &other));
    environment.add_test("divisibleby", |value: Value, other: Value| {
        rest(&value, &other).map(|rest| rest == 0)
    });
    environment.add_test("filter", |name: Value| match view(&name) {
        Python::List | Python::Dict => Err(failure("unhashable type")),
        _ => Ok(name.as_str().is_some_and(crate::filters::is_known)),
    });
    environment.add_test("test", |name: Value| match view(&name) {
        Python::List | Python::Dict => Err(failure("unhashable type")),
        _ => Ok(name.as_str().is_some_and(is_known)),
    });
}

fn none_left(name: &str, given: &[Value]) -> Result<(), Error> {
    match given.is_empty() {
        true => Ok(()),
        false => Err(failure(format!("the test `{name}` takes no argument"))),
    }
}

fn plain(name: &str, value: &Value) -> Result<bool, Error> {
    let seen = view(value);
    Ok(match name {
        "defined" => seen != Python::Undefined,
        "undefined" => seen == Python::Undefined,
        "none" => seen == Python::None,
        "boolean" => matches!(seen, Python::Bool(_)),
        "true" => seen == Python::Bool(true),
        "false" => seen == Python::Bool(false),
        "integer" => matches!(seen, Python::Int(_)),
        "float" => matches!(seen, Python::Float(_)),
        "number" => seen.number().is_some(),
        "string" => matches!(seen, Python::Str(_)),
        "mapping" => seen == Python::Dict,
        "iterable" => seen == Python::Undefined || iterate(value).is_ok(),
        "sequence" => matches!(
            seen,
            Python::Str(_) | Python::List | Python::Tuple | Python::Dict | Python::Undefined
        ),
        "callable" => match seen {
            Python::Undefined => true,
            Python::Other => matches!(value.kind(), ValueKind::Plain),
            _ => false,
        },
        "escaped" => value.is_safe(),
        "lower" => is_cased(&string(value), char::is_lowercase, char::is_uppercase),
        "upper" => is_cased(&string(value), char::is_uppercase, char::is_lowercase),
        "even" => rest(value, &Value::from(2))? == 0,
        _ => rest(value, &Value::from(2))? == 1,
    })
}

fn rest(value: &Value, divisor: &Value) -> Result<i128, Error> {
    match (view(value), view(divisor)) {
        (Python::Undefined, _) | (_, Python::Undefined) => Err(undefined()),
        (one, other) => match (one.number(), other.number()) {
            (Some(Number::Int(_)), Some(Number::Int(0))) => Err(failure("modulo by zero")),
            (Some(Number::Int(one)), Some(Number::Int(other))) => Ok(one.rem_euclid(other)),
            (Some(one), Some(other)) => {
                let rest = one.float().rem_euclid(other.float());
                Ok(if rest.fract() == 0.0 {
                    rest as i128
                } else {
                    -1
                })
            }
            _ => Err(failure("unsupported operand type(s) for %")),
        },
    }
}

/// `is`: the same object. Of what has no identity here, equal values of one type are the same.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_object(), other.as_object()) {
        (Some(_), Some(_)) => minijinja::tests::is_sameas(one, other),
        (None, None) => view(one).type_name() == view(other).type_name() && equal(one, other),
        _ => false,
    }
}
