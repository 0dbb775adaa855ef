//! Templates loaded, kept and rendered.

use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};
use serde_json::{Map, Value as Json};
use thiserror::Error;

use crate::{filters, methods, operators, predicates, rewrite, value};

/// Steps that one rendering may take: LAVA's largest templates take some ten thousand.
const FUEL: u64 = 2_000_000;

/// Why a template was not rendered.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}: {message}", place(.template, *.line))]
pub struct RenderError {
    /// The template in which it happened: the innermost, where one extends or includes another.
    pub template: String,
    /// The line, from 1, as far as it is known.
    pub line: Option<usize>,
    /// What happened.
    pub message: String,
    /// The template that is not there, if that is what happened.
    pub missing: Option<String>,
}

fn place(template: &str, line: Option<usize>) -> String {
    line.map_or_else(|| template.to_owned(), |line| format!("{template}:{line}"))
}

/// Renders templates; each is read and compiled once.
pub struct Engine {
    environment: Environment<'static>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// `load` gives a template's text by its name, as other templates write it (`base.jinja2`);
    /// `None` where there is none.
    pub fn new(load: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        let mut environment = Environment::new();
        // What is loaded is rewritten: blocks are trimmed by then.
        environment.set_syntax(rewrite::written());
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_fuel(Some(FUEL));
        environment.set_formatter(|output, _, value| {
            match value.as_str() {
                Some(text) => output.write_str(text),
                None => output.write_str(&value::string(value)),
            }
            .map_err(minijinja::Error::from)
        });
        environment.set_unknown_method_callback(methods::call);
        environment.remove_global("debug");
        environment.add_function("cycler", |items: minijinja::value::Rest<Value>| {
            minijinja_contrib::globals::cycler(items.0)
        });
        environment.add_function("joiner", minijinja_contrib::globals::joiner);
        operators::register(&mut environment);
        predicates::register(&mut environment);
        filters::register(&mut environment);
        environment.set_loader(move |name| match load(name) {
            Some(text) => rewrite::rewrite(name, &text).map(Some),
            None => Ok(None),
        });
        Self { environment }
    }

    /// Renders the template `name` with the variables of `context`.
    ///
    /// # Errors
    /// A template is missing or wrong, or an expression in it fails, as Jinja2 would raise.
    pub fn render(&self, name: &str, context: &Map<String, Json>) -> Result<String, RenderError> {
        let context = variables(context);
        self.environment
            .get_template(name)
            .and_then(|template| template.render(context))
            .map_err(|error| refusal(name, &error))
    }

    /// Renders a text that stands in no file, under a name for messages.
    ///
    /// # Errors
    /// As [`Engine::render`].
    pub fn render_text(
        &self,
        name: &str,
        text: &str,
        context: &Map<String, Json>,
    ) -> Result<String, RenderError> {
        let context = variables(context);
        rewrite::rewrite(name, text)
            .and_then(|text| self.environment.render_named_str(name, &text, context))
            .map_err(|error| refusal(name, &error))
    }
}

fn variables(context: &Map<String, Json>) -> Value {
    Value::from_pairs(
        context
            .iter()
            .map(|(name, value)| (name.as_str(), from_json(value))),
    )
}

/// A value of JSON as Python's `json` and YAML readers make it.
fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => Value::from(number),
            (_, Some(number), _) => Value::from(number),
            (.., number) => Value::from(number.unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        Json::Object(entries) => Value::from_pairs(
            entries
                .iter()
                .map(|(name, value)| (name.as_str(), from_json(value))),
        ),
    }
}

/// The innermost place of an error, and what was wrong there.
fn refusal(name: &str, error: &minijinja::Error) -> RenderError {
    let (mut template, mut line) = (name.to_owned(), None);
    let mut message = String::new();
    let mut missing = None;
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<minijinja::Error>() {
            if let Some(name) = error.name() {
                template = name.to_owned();
                line = error.line();
            }
            message = match error.detail() {
                Some(detail) => detail.to_owned(),
                None => error.kind().to_string(),
            };
            if error.kind() == ErrorKind::TemplateNotFound {
                missing = quoted(&message);
            }
        }
        if let Some(refusal) = error.downcast_ref::<rewrite::Refusal>() {
            line = Some(refusal.line);
            message = refusal.message.clone();
        }
        next = error.source();
    }
    RenderError {
        template,
        line,
        message,
        missing,
    }
}

/// The first word in quotation marks.
fn quoted(message: &str) -> Option<String> {
    message.split('"').nth(1).map(str::to_owned)
}
