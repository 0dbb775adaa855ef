//! Statements, written again.

use minijinja::Error;
use minijinja::machinery::ast::{self, Expr, Spanned, Stmt};

use super::expression::quoted;
use super::scope::Scope;
use super::{Writer, refuse};

impl<'t> Writer<'t> {
    /// A whole template.
    pub(super) fn top(&mut self, children: &'t [Stmt<'t>]) -> Result<(), Error> {
        self.body(children, true)
    }

    fn body(&mut self, body: &'t [Stmt<'t>], at_top: bool) -> Result<(), Error> {
        for statement in body {
            self.statement(statement, at_top)?;
        }
        Ok(())
    }

    fn statement(&mut self, statement: &'t Stmt<'t>, at_top: bool) -> Result<(), Error> {
        match statement {
            Stmt::EmitRaw(part) => self.raw(part.raw),
            Stmt::EmitExpr(part) => {
                self.open("{{", part.span().start_line.into());
                self.expression(&part.expr)?;
                self.push(" }}");
            }
            Stmt::ForLoop(each) => self.each(each)?,
            Stmt::IfCond(branch) => self.branch(branch, at_top)?,
            Stmt::WithBlock(with) => {
                let kept = self.hide(&with.body, || {
                    let mut names = Vec::new();
                    with.assignments
                        .iter()
                        .for_each(|(target, _)| of_target(target, &mut names));
                    names
                });
                self.open("{% with", with.span().start_line.into());
                for (place, (target, value)) in with.assignments.iter().enumerate() {
                    if place > 0 {
                        self.push(",");
                    }
                    self.with_target(target)?;
                    self.push("=");
                    self.outside(kept, |writer| writer.expression(value))?;
                }
                self.push(" %}");
                self.first_values(kept);
                self.body(&with.body, false)?;
                self.close("endwith");
                self.renamed.truncate(kept);
            }
            Stmt::Set(set) => {
                self.open("{% set", set.span().start_line.into());
                self.target(&set.target)?;
                self.push("=");
                self.expression(&set.expr)?;
                self.push(" %}");
            }
            Stmt::SetBlock(set) => {
                self.open("{% set", set.span().start_line.into());
                self.target(&set.target)?;
                if let Some(filter) = &set.filter {
                    self.push("|");
                    self.expression(filter)?;
                }
                self.push(" %}");
                self.body(&set.body, false)?;
                self.close("endset");
            }
            Stmt::AutoEscape(part) => {
                self.open("{% autoescape", part.span().start_line.into());
                self.expression(&part.enabled)?;
                self.push(" %}");
                self.body(&part.body, false)?;
                self.close("endautoescape");
            }
            Stmt::FilterBlock(part) => {
                self.open("{% filter", part.span().start_line.into());
                self.expression(&part.filter)?;
                self.push(" %}");
                self.body(&part.body, false)?;
                self.close("endfilter");
            }
            Stmt::Block(block) => self.block(block)?,
            Stmt::Extends(part) => {
                if !at_top {
                    let message = "cannot use extend from a non top-level scope".to_owned();
                    return Err(refuse(message, part.span().start_line.into()));
                }
                self.open("{% extends", part.span().start_line.into());
                self.expression(&part.name)?;
                self.push(" %}");
            }
            Stmt::Include(part) => {
                // What the other template sets stays there.
                self.push("{% with %}");
                self.open("{% include", part.span().start_line.into());
                self.expression(&part.name)?;
                self.push(if part.ignore_missing {
                    " ignore missing %}"
                } else {
                    " %}"
                });
                self.close("endwith");
            }
            Stmt::Import(part) => {
                self.open("{% import", part.span().start_line.into());
                self.expression(&part.expr)?;
                self.push(" as ");
                self.target(&part.name)?;
                self.push(" %}");
            }
            Stmt::FromImport(part) => {
                self.open("{% from", part.span().start_line.into());
                self.expression(&part.expr)?;
                self.push(" import ");
                for (place, (name, alias)) in part.names.iter().enumerate() {
                    if place > 0 {
                        self.push(",");
                    }
                    if let Expr::Var(name) = name {
                        self.push(name.id);
                    }
                    if let Some(Expr::Var(alias)) = alias {
                        self.push(" as ");
                        self.push(alias.id);
                    }
                }
                self.push(" %}");
            }
            Stmt::Macro(part) => {
                self.open("{% macro", part.span().start_line.into());
                self.push(part.name);
                self.macro_body(part)?;
                self.close("endmacro");
            }
            Stmt::CallBlock(part) => {
                self.open("{% call", part.span().start_line.into());
                let parameters = &part.macro_decl;
                if !parameters.args.is_empty() {
                    self.parameters(parameters)?;
                    self.push(" ");
                }
                self.expression(&part.call.expr)?;
                self.push("(");
                self.list(&part.call.args)?;
                self.push(") %}");
                self.body(&parameters.body, false)?;
                self.close("endcall");
            }
            Stmt::Do(part) => {
                let message = "Encountered unknown tag 'do'.".to_owned();
                return Err(refuse(message, part.span().start_line.into()));
            }
            _ => return Err(refuse("a tag is not known".to_owned(), self.line + 1)),
        }
        Ok(())
    }

    fn close(&mut self, tag: &str) {
        self.push("{% ");
        self.push(tag);
        self.push(" %}");
    }

    /// Text that stands outside tags.
    fn raw(&mut self, raw: &str) {
        // A brace at the end could make a tag of what is written next, and `{% raw %}` hid others.
        if raw.contains("{{") || raw.contains("{%") || raw.contains("{#") || raw.ends_with('{') {
            self.push("{{ ");
            self.push(&quoted(raw));
            self.push(" }}");
        } else {
            self.push(raw);
        }
    }

    fn each(&mut self, each: &'t Spanned<ast::ForLoop<'t>>) -> Result<(), Error> {
        let kept = self.hide(&each.body, || {
            let mut names = Vec::new();
            of_target(&each.target, &mut names);
            names
        });
        self.open("{% for", each.span().start_line.into());
        self.target(&each.target)?;
        self.push(" in ");
        self.push("__iterable(");
        self.outside(kept, |writer| writer.expression(&each.iter))?;
        self.push(")");
        let strict = std::mem::replace(&mut self.lenient, false);
        if let Some(filter) = &each.filter_expr {
            self.push(" if ");
            self.expression(filter)?;
        }
        self.push(if each.recursive {
            " recursive %}"
        } else {
            " %}"
        });
        self.first_values(kept);
        self.body(&each.body, false)?;
        self.renamed.truncate(kept);
        if !each.else_body.is_empty() {
            self.push("{% else %}");
            self.body(&each.else_body, false)?;
        }
        self.close("endfor");
        self.lenient = strict;
        Ok(())
    }

    fn branch(&mut self, branch: &'t Spanned<ast::IfCond<'t>>, at_top: bool) -> Result<(), Error> {
        let strict = std::mem::replace(&mut self.lenient, true);
        self.open("{% if", branch.span().start_line.into());
        self.expression(&branch.expr)?;
        self.push(" %}");
        self.body(&branch.true_body, at_top)?;
        if !branch.false_body.is_empty() {
            self.push("{% else %}");
            self.body(&branch.false_body, at_top)?;
        }
        self.close("endif");
        self.lenient = strict;
        Ok(())
    }

    fn block(&mut self, block: &'t Spanned<ast::Block<'t>>) -> Result<(), Error> {
        // A block sees nothing of what is around it, so it begins without renamed names.
        let outer = std::mem::take(&mut self.renamed);
        let strict = std::mem::replace(&mut self.lenient, false);
        self.hide(&block.body, Vec::new);
        self.open("{% block", block.span().start_line.into());
        self.push(block.name);
        self.push(if block.required {
            " required %}"
        } else {
            " %}"
        });
        self.first_values(0);
        self.body(&block.body, false)?;
        self.close("endblock");
        self.renamed = outer;
        self.lenient = strict;
        Ok(())
    }

    fn macro_body(&mut self, part: &'t ast::Macro<'t>) -> Result<(), Error> {
        let strict = std::mem::replace(&mut self.lenient, false);
        self.parameters(part)?;
        self.push(" %}");
        let outer = std::mem::replace(&mut self.in_macro, true);
        self.body(&part.body, false)?;
        self.in_macro = outer;
        self.lenient = strict;
        Ok(())
    }

    fn parameters(&mut self, part: &'t ast::Macro<'t>) -> Result<(), Error> {
        self.push("(");
        let first_default = part.args.len() - part.defaults.len();
        for (place, name) in part.args.iter().enumerate() {
            if place > 0 {
                self.push(",");
            }
            self.expression(name)?;
            if let Some(default) = place.checked_sub(first_default) {
                self.push("=");
                self.expression(&part.defaults[default])?;
            }
        }
        self.push(")");
        Ok(())
    }

    /// Gives names of their own to what `body` sets, and to `more`, where blocks that are rendered
    /// from inside it would see them. Returns how many names were renamed before.
    fn hide(&mut self, body: &'t [Stmt<'t>], more: impl FnOnce() -> Vec<&'t str>) -> usize {
        let kept = self.renamed.len();
        let scope = Scope::of(body, self.original);
        if !scope.renders_blocks || scope.includes || self.in_macro {
            return kept;
        }
        self.places += 1;
        for name in scope.sets.into_iter().chain(more()) {
            if !self.renamed[kept..].iter().any(|(from, _)| *from == name) {
                self.renamed
                    .push((name, format!("{name}__{}", self.places)));
            }
        }
        kept
    }

    /// Writes with the names as they were before the last [`Writer::hide`].
    fn outside(
        &mut self,
        kept: usize,
        write: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let inner = self.renamed.split_off(kept);
        let written = write(self);
        self.renamed.extend(inner);
        written
    }

    /// Lets the renamed names begin with what the original ones mean here: a name may be read
    /// before it is set, or be set in one branch only.
    fn first_values(&mut self, kept: usize) {
        // Writing needs all of this rewriter.
        let renamed = self.renamed[kept..].to_vec();
        for (from, to) in renamed {
            let outer = self.renamed[..kept]
                .iter()
                .rev()
                .find(|(name, _)| *name == from);
            let value = outer.map_or(from, |(_, to)| to).to_owned();
            self.push(&format!(
                "{{% set {to}={to} if {to} is defined else {value} %}}"
            ));
        }
    }

    fn target(&mut self, target: &'t Expr<'t>) -> Result<(), Error> {
        match target {
            Expr::List(list) => {
                for (place, item) in list.items.iter().enumerate() {
                    if place > 0 {
                        self.push(",");
                    }
                    match item {
                        Expr::List(_) | Expr::Tuple(_) => self.with_target(item)?,
                        _ => self.target(item)?,
                    }
                }
                if list.items.len() == 1 {
                    self.push(",");
                }
                Ok(())
            }
            _ => self.expression(target),
        }
    }

    fn with_target(&mut self, target: &'t Expr<'t>) -> Result<(), Error> {
        if !matches!(target, Expr::List(_)) {
            return self.target(target);
        }
        self.push("(");
        self.target(target)?;
        self.push(")");
        Ok(())
    }
}

/// The names that a target sets.
fn of_target<'t>(target: &'t Expr<'t>, names: &mut Vec<&'t str>) {
    match target {
        Expr::Var(name) => names.push(name.id),
        Expr::List(list) => list.items.iter().for_each(|item| of_target(item, names)),
        _ => {}
    }
}
