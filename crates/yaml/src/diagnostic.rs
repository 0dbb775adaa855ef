//! What is wrong in a text, all of it, each at its place.

use crate::{SourceId, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The text is refused.
    Error,
    /// It is taken, but probably not what was meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Where.
    pub span: Span,
    /// What, in lower case and without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Says what to do about it.
    pub fn with_hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The mistakes of one or several texts that are read together.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    pub(crate) files: Vec<String>,
    current: SourceId,
    list: Vec<Diagnostic>,
    errors: usize,
    pub(crate) left_out: usize,
    // Takes what comes after the list is full.
    overflow: Diagnostic,
}

/// More than this nobody reads; the others are counted.
const MOST: usize = 500;

impl Default for Diagnostics {
    fn default() -> Self {
        Self::new()
    }
}

impl Diagnostics {
    /// None yet, of a text without a name.
    pub fn new() -> Self {
        Self {
            files: Vec::new(),
            current: SourceId::default(),
            list: Vec::new(),
            errors: 0,
            left_out: 0,
            overflow: Diagnostic {
                severity: Severity::Error,
                span: Span::default(),
                message: String::new(),
                hint: None,
            },
        }
    }

    /// None yet, of the file with this name.
    pub fn for_file(name: impl Into<String>) -> Self {
        let mut diagnostics = Self::new();
        diagnostics.enter_file(name);
        diagnostics
    }

    /// From now on [`crate::parse()`] reads the file of this name. Returns what stands for it in
    /// spans; the same name always gives the same.
    pub fn enter_file(&mut self, name: impl Into<String>) -> SourceId {
        let name = name.into();
        let place = match self.files.iter().position(|file| *file == name) {
            Some(place) => place,
            None => {
                self.files.push(name);
                self.files.len() - 1
            }
        };
        self.current = SourceId(u32::try_from(place).unwrap_or(u32::MAX));
        self.current
    }

    /// The file that is being read.
    pub fn current_file(&self) -> SourceId {
        self.current
    }

    /// The name of a file, where it has been entered.
    pub fn file_name(&self, source: SourceId) -> Option<&str> {
        self.files.get(source.0 as usize).map(String::as_str)
    }

    /// A span that means the file being read as a whole.
    pub fn whole_file(&self) -> Span {
        Span {
            source: self.current,
            ..Span::default()
        }
    }

    /// Adds an error.
    pub fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.errors += 1;
        self.add(Severity::Error, span, message.into())
    }

    /// Adds a warning.
    pub fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Warning, span, message.into())
    }

    fn add(&mut self, severity: Severity, span: Span, message: String) -> &mut Diagnostic {
        let diagnostic = Diagnostic {
            severity,
            span,
            message,
            hint: None,
        };
        if self.list.len() >= MOST {
            self.left_out += 1;
            self.overflow = diagnostic;
            return &mut self.overflow;
        }
        self.list.push(diagnostic);
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// Where the next diagnostic will stand among those that are kept.
    pub(crate) fn next(&self) -> usize {
        self.list.len()
    }

    /// One of those that are kept.
    pub(crate) fn kept(&mut self, place: usize) -> Option<&mut Diagnostic> {
        self.list.get_mut(place)
    }

    /// Whether anything is refused.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors, those beyond the list included.
    pub fn error_count(&self) -> usize {
        self.errors
    }

    /// True without errors and warnings.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many errors and warnings are kept.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// All that are kept, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// All that are kept, by file and place. What is found several times at one place, as behind
    /// an anchor, comes once.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = Vec::with_capacity(self.list.len());
        for diagnostic in &self.list {
            if !sorted.contains(&diagnostic) {
                sorted.push(diagnostic);
            }
        }
        sorted.sort_by_key(|diagnostic| (diagnostic.span.source, diagnostic.span.start));
        sorted
    }
}
