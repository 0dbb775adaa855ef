//! `device-types/*.yaml`, and the chains that `extends` makes of them.

use basalt_yaml::{Diagnostics, MapReader, Node, Unknown};

use crate::profile::LimitOrigin;
use crate::scalar::{self, Placed, place, suggestion};
use crate::values::Values;

/// A type's file.
pub(crate) struct TypeFile {
    pub name: Placed<String>,
    pub extends: Option<Placed<String>>,
    pub values: Values,
}

pub(crate) fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<TypeFile> {
    let mut reader = MapReader::new(node, "the device type", diagnostics)?;
    reader.version(&[1]);
    let name = scalar::name(reader.required("name"));
    let extends = scalar::name(reader.optional("extends"));
    let mut values = Values::read(&mut reader, LimitOrigin::Type);
    if let Some(mut reader) = reader.optional("console").map("`console`") {
        values.console(&mut reader);
        reader.finish(Unknown::Error);
    }
    if let Some(mut reader) = reader.optional("power").map("`power`") {
        values.power(&mut reader);
        reader.finish(Unknown::Error);
    }
    reader.finish(Unknown::Error);
    Some(TypeFile {
        name: name?,
        extends,
        values,
    })
}

/// All types, built-in ones first; names are unique.
pub(crate) struct Types {
    types: Vec<TypeFile>,
}

impl Types {
    /// Reports types of the same name, parents that do not exist, and circles.
    pub(crate) fn new(
        built_in: Vec<TypeFile>,
        own: Vec<TypeFile>,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let built_ins = built_in.len();
        let mut types = built_in;
        for file in own {
            let (name, span) = &file.name;
            let Some(index) = types.iter().position(|known| known.name.0 == *name) else {
                types.push(file);
                continue;
            };
            if index < built_ins {
                diagnostics
                    .error(*span, format!("`{name}` is a type that comes with Basalt"))
                    .with_hint(format!("choose another name and write `extends: {name}`"));
            } else {
                let first = place(types[index].name.1, diagnostics);
                diagnostics.error(
                    *span,
                    format!("a second type `{name}`; the first is at {first}"),
                );
            }
        }
        let types = Self { types };
        types.check_parents(diagnostics);
        types
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.types.iter().map(|file| file.name.0.as_str())
    }

    fn find(&self, name: &str) -> Option<&TypeFile> {
        self.types.iter().find(|file| file.name.0 == name)
    }

    fn check_parents(&self, diagnostics: &mut Diagnostics) {
        let mut in_reported_circle: Vec<&str> = Vec::new();
        for file in &self.types {
            let Some((parent, span)) = &file.extends else {
                continue;
            };
            if self.find(parent).is_none() {
                diagnostics
                    .error(*span, format!("there is no type `{parent}`"))
                    .with_hint(suggestion(parent, self.names()));
                continue;
            }
            let chain = self.chain(file);
            let closes = chain.last().and_then(|last| last.extends.as_ref());
            let is_circle = closes.is_some_and(|(parent, _)| *parent == file.name.0);
            if is_circle && !in_reported_circle.contains(&file.name.0.as_str()) {
                let names: Vec<&str> = chain.iter().map(|link| link.name.0.as_str()).collect();
                diagnostics.error(
                    *span,
                    format!(
                        "`{}` extends itself: {} -> {}",
                        file.name.0,
                        names.join(" -> "),
                        file.name.0
                    ),
                );
                in_reported_circle.extend(names);
            }
        }
    }

    /// From a type to the one that extends nothing; ends where a circle would begin again.
    fn chain<'t>(&'t self, file: &'t TypeFile) -> Vec<&'t TypeFile> {
        let mut chain = vec![file];
        let mut last = file;
        while let Some(next) = last.extends.as_ref().and_then(|(name, _)| self.find(name)) {
            if chain.iter().any(|link| link.name.0 == next.name.0) {
                break;
            }
            chain.push(next);
            last = next;
        }
        chain
    }

    /// What a type says together with all that it extends.
    pub(crate) fn resolve(&self, name: &str) -> Option<Values> {
        let file = self.find(name)?;
        let links = self.chain(file).into_iter().map(|link| link.values.clone());
        links.reduce(Values::over)
    }
}
