//! Python's operators, as functions that rewritten templates call.

use std::cmp::Ordering;

use minijinja::value::{Rest, Tuple, Value};
use minijinja::{Environment, Error};

use crate::arguments::failure;
use crate::format::percent;
use crate::value::{self, Number, Python, compare, equal, items, undefined, view, write_string};

/// No text or list that an operator makes is longer.
const LONGEST: usize = 10_000_000;

/// Adds the functions; `rewrite` knows their names.
pub(crate) fn register(environment: &mut Environment<'_>) {
    environment.add_function("__concat", |values: Rest<Value>| {
        let mut text = String::new();
        for value in values.iter() {
            write_string(value, &mut text);
        }
        text
    });
    environment.add_function("__add", add);
    environment.add_function("__sub", subtract);
    environment.add_function("__mul", multiply);
    environment.add_function("__div", divide);
    environment.add_function("__floordiv", floor_divide);
    environment.add_function("__rem", remainder);
    environment.add_function("__pow", power);
    environment.add_function("__neg", negate);
    environment.add_function("__pos", |value: Value| match view(&value) {
        Python::Bool(flag) => Ok(Value::from(i64::from(flag))),
        Python::Int(_) | Python::Float(_) => Ok(value),
        other => Err(unsupported("unary +", other, other)),
    });
    environment.add_function("__compare", chain);
    environment.add_function("__iterable", |value: Value| match view(&value) {
        Python::None | Python::Bool(_) | Python::Int(_) | Python::Float(_) => {
            value::iterate(&value).map(Value::from)
        }
        _ => Ok(value),
    });
    environment.add_function("__undefined", || Value::UNDEFINED);
    environment.add_function("__slice", slice);
}

fn unsupported(operator: &str, one: Python<'_>, other: Python<'_>) -> Error {
    if one == Python::Undefined || other == Python::Undefined {
        return undefined();
    }
    failure(format!(
        "unsupported operand type(s) for {operator}: '{}' and '{}'",
        one.type_name(),
        other.type_name()
    ))
}

fn too_large() -> Error {
    failure("the result of an operator is too large")
}

fn integer(number: Option<i128>) -> Result<Value, Error> {
    number.map(Value::from).ok_or_else(too_large)
}

pub(crate) fn add(one: Value, other: Value) -> Result<Value, Error> {
    match (view(&one), view(&other)) {
        (Python::Str(one), Python::Str(other)) => {
            if one.len() + other.len() > LONGEST {
                return Err(too_large());
            }
            Ok(Value::from(format!("{one}{other}")))
        }
        (Python::List, Python::List) => {
            let mut list = items(&one);
            list.extend(items(&other));
            bounded(list).map(Value::from)
        }
        (Python::Tuple, Python::Tuple) => {
            let mut list = items(&one);
            list.extend(items(&other));
            bounded(list).map(|list| Value::from(Tuple::from(list)))
        }
        (one, other) => match (one.number(), other.number()) {
            (Some(Number::Int(one)), Some(Number::Int(other))) => integer(one.checked_add(other)),
            (Some(one), Some(other)) => Ok(Value::from(one.float() + other.float())),
            _ => Err(unsupported("+", one, other)),
        },
    }
}

fn bounded(list: Vec<Value>) -> Result<Vec<Value>, Error> {
    match list.len() <= LONGEST / 10 {
        true => Ok(list),
        false => Err(too_large()),
    }
}

fn subtract(one: Value, other: Value) -> Result<Value, Error> {
    let (one, other) = (view(&one), view(&other));
    match (one.number(), other.number()) {
        (Some(Number::Int(one)), Some(Number::Int(other))) => integer(one.checked_sub(other)),
        (Some(one), Some(other)) => Ok(Value::from(one.float() - other.float())),
        _ => Err(unsupported("-", one, other)),
    }
}

fn multiply(one: Value, other: Value) -> Result<Value, Error> {
    let (left, right) = (view(&one), view(&other));
    let (sequence, number) = match (left.number(), right.number()) {
        (Some(Number::Int(one)), Some(Number::Int(other))) => {
            return integer(one.checked_mul(other));
        }
        (Some(one), Some(other)) => return Ok(Value::from(one.float() * other.float())),
        (None, Some(Number::Int(number))) => (&one, number),
        (Some(Number::Int(number)), None) => (&other, number),
        _ => return Err(unsupported("*", left, right)),
    };
    let times = usize::try_from(number).unwrap_or(0);
    if number > 0 && number > LONGEST as i128 {
        return Err(too_large());
    }
    match view(sequence) {
        Python::Str(text) if text.len().saturating_mul(times) <= LONGEST => {
            Ok(Value::from(text.repeat(times)))
        }
        kind @ (Python::List | Python::Tuple) => {
            let list = items(sequence);
            if list.len().saturating_mul(times) > LONGEST / 10 {
                return Err(too_large());
            }
            let list: Vec<Value> = (0..times).flat_map(|_| list.clone()).collect();
            Ok(match kind {
                Python::Tuple => Value::from(Tuple::from(list)),
                _ => Value::from(list),
            })
        }
        Python::Str(_) => Err(too_large()),
        _ => Err(unsupported("*", left, right)),
    }
}

fn divide(one: Value, other: Value) -> Result<Value, Error> {
    let (one, other) = (view(&one), view(&other));
    match (one.number(), other.number()) {
        (Some(_), Some(divisor)) if divisor.float() == 0.0 => Err(failure("division by zero")),
        (Some(one), Some(other)) => Ok(Value::from(one.float() / other.float())),
        _ => Err(unsupported("/", one, other)),
    }
}

fn floor_divide(one: Value, other: Value) -> Result<Value, Error> {
    let (one, other) = (view(&one), view(&other));
    match (one.number(), other.number()) {
        (Some(_), Some(divisor)) if divisor.float() == 0.0 => Err(failure("division by zero")),
        (Some(Number::Int(one)), Some(Number::Int(other))) => integer(floor(one, other)),
        (Some(one), Some(other)) => Ok(Value::from(float_floor(one.float(), other.float()))),
        _ => Err(unsupported("//", one, other)),
    }
}

/// The quotient, rounded down.
fn floor(one: i128, other: i128) -> Option<i128> {
    let quotient = one.checked_div(other)?;
    let inexact = one.checked_rem(other)? != 0;
    Some(quotient - i128::from(inexact && (one < 0) != (other < 0)))
}

/// The quotient of floats, rounded down, with CPython's care for what is lost between.
fn float_floor(one: f64, other: f64) -> f64 {
    let rest = one % other;
    let mut quotient = (one - rest) / other;
    if rest != 0.0 && (other < 0.0) != (rest < 0.0) {
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return 0.0_f64.copysign(one / other);
    }
    let floor = quotient.floor();
    floor + if quotient - floor > 0.5 { 1.0 } else { 0.0 }
}

/// The remainder with the divisor's sign.
fn float_remainder(one: f64, other: f64) -> f64 {
    let rest = one % other;
    if rest == 0.0 {
        return 0.0_f64.copysign(other);
    }
    match (rest < 0.0) == (other < 0.0) {
        true => rest,
        false => rest + other,
    }
}

fn remainder(one: Value, other: Value) -> Result<Value, Error> {
    let (left, right) = (view(&one), view(&other));
    if let Python::Str(text) = left {
        return percent(text, &other).map(Value::from);
    }
    match (left.number(), right.number()) {
        (Some(_), Some(divisor)) if divisor.float() == 0.0 => {
            Err(failure("integer modulo by zero"))
        }
        (Some(Number::Int(one)), Some(Number::Int(other))) => {
            integer(floor(one, other).and_then(|quotient| one.checked_sub(quotient * other)))
        }
        (Some(one), Some(other)) => Ok(Value::from(float_remainder(one.float(), other.float()))),
        _ => Err(unsupported("%", left, right)),
    }
}

fn power(one: Value, other: Value) -> Result<Value, Error> {
    let (one, other) = (view(&one), view(&other));
    match (one.number(), other.number()) {
        (Some(Number::Int(base)), Some(Number::Int(exponent))) if exponent >= 0 => integer(
            u32::try_from(exponent)
                .ok()
                .and_then(|exponent| base.checked_pow(exponent)),
        ),
        (Some(base), Some(exponent)) => {
            let (base, exponent) = (base.float(), exponent.float());
            if base == 0.0 && exponent < 0.0 {
                return Err(failure("0.0 cannot be raised to a negative power"));
            }
            Ok(Value::from(base.powf(exponent)))
        }
        _ => Err(unsupported("**", one, other)),
    }
}

fn negate(value: Value) -> Result<Value, Error> {
    let value = view(&value);
    match value.number() {
        Some(Number::Int(number)) => integer(number.checked_neg()),
        Some(Number::Float(number)) => Ok(Value::from(-number)),
        None => Err(unsupported("unary -", value, value)),
    }
}

/// `value[start:stop:step]`; undefined of what cannot be cut.
fn slice(value: Value, start: Value, stop: Value, step: Value) -> Result<Value, Error> {
    let seen = view(&value);
    let bound = |bound: &Value| match (view(bound), view(bound).number()) {
        (Python::None, _) => Some(None),
        (_, Some(Number::Int(number))) => Some(Some(number.clamp(-1 << 60, 1 << 60))),
        _ => None,
    };
    let bounds = (bound(&start), bound(&stop), bound(&step));
    let (Some(start), Some(stop), Some(step)) = bounds else {
        return Ok(Value::UNDEFINED);
    };
    let step = step.unwrap_or(1);
    let list = match seen {
        Python::Undefined => return Err(undefined()),
        Python::Str(_) | Python::List | Python::Tuple => value::iterate(&value)?,
        _ => return Ok(Value::UNDEFINED),
    };
    if step == 0 {
        return Err(failure("slice step cannot be zero"));
    }
    let length = list.len() as i128;
    let (low, high) = if step > 0 {
        (0, length)
    } else {
        (-1, length - 1)
    };
    let place = |bound: Option<i128>, default: i128| match bound {
        None => default,
        Some(bound) if bound < 0 => (bound + length).max(low),
        Some(bound) => bound.min(high),
    };
    let (mut at, end) = match step > 0 {
        true => (place(start, low), place(stop, high)),
        false => (place(start, high), place(stop, low)),
    };
    let mut cut = Vec::new();
    while (step > 0 && at < end) || (step < 0 && at > end) {
        cut.extend(
            usize::try_from(at)
                .ok()
                .and_then(|at| list.get(at))
                .cloned(),
        );
        at += step;
    }
    Ok(match seen {
        Python::Str(_) => Value::from(cut.iter().map(value::string).collect::<String>()),
        Python::Tuple => Value::from(Tuple::from(cut)),
        _ => Value::from(cut),
    })
}

/// `in`.
pub(crate) fn contains(container: &Value, item: &Value) -> Result<bool, Error> {
    match (view(container), view(item)) {
        (Python::Undefined, _) => Ok(false),
        (Python::Str(text), Python::Str(part)) => Ok(text.contains(part)),
        (Python::Str(_), other) => Err(failure(format!(
            "'in <string>' requires string as left operand, not {}",
            other.type_name()
        ))),
        (Python::Dict, Python::List | Python::Dict) => Err(failure("unhashable type")),
        (Python::List | Python::Tuple | Python::Dict | Python::Other, _) => {
            Ok(value::iterate(container)?
                .iter()
                .any(|one| equal(one, item)))
        }
        (other, _) => Err(failure(format!(
            "argument of type '{}' is not iterable",
            other.type_name()
        ))),
    }
}

/// One comparison by its word in a rewritten template.
pub(crate) fn holds(operator: &str, one: &Value, other: &Value) -> Result<bool, Error> {
    Ok(match operator {
        "eq" => equal(one, other),
        "ne" => !equal(one, other),
        "in" => contains(other, one)?,
        "notin" => !contains(other, one)?,
        "lt" => compare(one, other)? == Some(Ordering::Less),
        "gt" => compare(one, other)? == Some(Ordering::Greater),
        "le" => matches!(compare(one, other)?, Some(Ordering::Less | Ordering::Equal)),
        _ => matches!(
            compare(one, other)?,
            Some(Ordering::Greater | Ordering::Equal)
        ),
    })
}

/// `a < b <= c` as `a, "lt", b, "le", c`.
fn chain(parts: Rest<Value>) -> Result<bool, Error> {
    let mut place = 0;
    while let [one, operator, other, ..] = &parts[place..] {
        if !holds(operator.as_str().unwrap_or_default(), one, other)? {
            return Ok(false);
        }
        place += 2;
    }
    Ok(true)
}
