//! Arguments of a call, bound to names as Python binds them.

use minijinja::value::{Kwargs, Rest, Value, ValueOrKwargs};
use minijinja::{Error, ErrorKind};

/// What a filter, test or method is called with.
pub(crate) type Given = Rest<ValueOrKwargs>;

/// An error of the kind that Python calls `TypeError`, and of every other kind: templates cannot
/// catch them, so one is enough.
pub(crate) fn failure(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// Binds positional and keyword arguments to `names`; the first `needed` must be there.
///
/// # Errors
/// Too many, unknown, doubled or missing arguments.
pub(crate) fn bind<const N: usize>(
    what: &str,
    arguments: &[Value],
    names: [&str; N],
    needed: usize,
) -> Result<[Option<Value>; N], Error> {
    let mut bound = [const { None }; N];
    let mut next = 0;
    for argument in arguments {
        if argument.is_kwargs() {
            let named = Kwargs::try_from(argument.clone())?;
            for name in named.args() {
                let Some(place) = names.iter().position(|known| *known == name) else {
                    return Err(failure(format!("{what} takes no argument `{name}`")));
                };
                if bound[place].is_some() {
                    return Err(failure(format!("{what} was given `{name}` twice")));
                }
                bound[place] = Some(named.peek::<Value>(name)?);
            }
            continue;
        }
        if next == N {
            return Err(failure(format!("{what} takes at most {N} arguments")));
        }
        bound[next] = Some(argument.clone());
        next += 1;
    }
    match bound[..needed.min(N)].iter().position(Option::is_none) {
        Some(place) => Err(failure(format!("{what} needs `{}`", names[place]))),
        None => Ok(bound),
    }
}

/// Positional arguments, and keyword arguments as pairs.
pub(crate) type Split = (Vec<Value>, Vec<(String, Value)>);

/// The positional arguments, and the keyword arguments as pairs.
pub(crate) fn split(arguments: &[Value]) -> Result<Split, Error> {
    let (mut positional, mut named) = (Vec::new(), Vec::new());
    for argument in arguments {
        if argument.is_kwargs() {
            let given = Kwargs::try_from(argument.clone())?;
            for name in given.args() {
                named.push((name.to_owned(), given.peek::<Value>(name)?));
            }
        } else {
            positional.push(argument.clone());
        }
    }
    Ok((positional, named))
}
