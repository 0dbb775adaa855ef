//! Which names a piece of a template sets, and whether others could see them by mistake.

use minijinja::machinery::ast::{CallArg, Expr, Stmt};

/// What matters of a body for the names in it.
#[derive(Debug, Default)]
pub(super) struct Scope<'t> {
    /// The original's text.
    original: &'t str,
    /// What is set in it, not counting the blocks inside it.
    pub(super) sets: Vec<&'t str>,
    /// Whether another block is rendered from inside it: one that stands in it, the one that it
    /// overrides, or one called by name.
    pub(super) renders_blocks: bool,
    /// Whether another template is rendered from inside it, which does see what is set.
    pub(super) includes: bool,
}

impl<'t> Scope<'t> {
    /// Of a body.
    pub(super) fn of(body: &'t [Stmt<'t>], original: &'t str) -> Self {
        let mut scope = Self {
            original,
            ..Self::default()
        };
        scope.body(body);
        scope
    }

    /// Whether the block whose tag begins there asks to see what is around it (`scoped`, which the
    /// syntax tree does not hold).
    fn is_scoped(&self, start: usize) -> bool {
        let tag = self.original.get(start..).unwrap_or_default();
        let tag = tag.split("%}").next().unwrap_or_default();
        tag.split_whitespace().skip(2).any(|word| word == "scoped")
    }

    fn set(&mut self, target: &'t Expr<'t>) {
        match target {
            Expr::Var(name) if !self.sets.contains(&name.id) => self.sets.push(name.id),
            Expr::List(list) => list.items.iter().for_each(|item| self.set(item)),
            Expr::Tuple(list) => list.items.iter().for_each(|item| self.set(item)),
            _ => {}
        }
    }

    fn body(&mut self, body: &'t [Stmt<'t>]) {
        for statement in body {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &'t Stmt<'t>) {
        match statement {
            Stmt::Block(block) => {
                self.renders_blocks |= !self.is_scoped(block.span().start_offset as usize);
            }
            Stmt::ForLoop(each) => {
                self.set(&each.target);
                self.expression(&each.iter);
                self.body(&each.body);
                self.body(&each.else_body);
            }
            Stmt::IfCond(branch) => {
                self.expression(&branch.expr);
                self.body(&branch.true_body);
                self.body(&branch.false_body);
            }
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    self.set(target);
                    self.expression(value);
                }
                self.body(&with.body);
            }
            Stmt::Set(set) => {
                self.set(&set.target);
                self.expression(&set.expr);
            }
            Stmt::SetBlock(set) => {
                self.set(&set.target);
                self.body(&set.body);
            }
            Stmt::AutoEscape(part) => self.body(&part.body),
            Stmt::FilterBlock(part) => self.body(&part.body),
            Stmt::Import(import) => {
                self.set(&import.name);
                self.includes = true;
            }
            Stmt::FromImport(import) => {
                for (name, alias) in &import.names {
                    self.set(alias.as_ref().unwrap_or(name));
                }
                self.includes = true;
            }
            Stmt::Include(_) => self.includes = true,
            Stmt::Macro(_) | Stmt::CallBlock(_) => {
                // What a macro sees is settled where it is declared: names stay as they are.
                self.includes = true;
            }
            Stmt::EmitExpr(part) => self.expression(&part.expr),
            _ => {}
        }
    }

    fn expression(&mut self, expression: &Expr<'_>) {
        match expression {
            Expr::Call(call) => {
                match &call.expr {
                    Expr::Var(name) if name.id == "super" => self.renders_blocks = true,
                    Expr::GetAttr(attribute) => match &attribute.expr {
                        Expr::Var(name) if name.id == "self" => self.renders_blocks = true,
                        value => self.expression(value),
                    },
                    value => self.expression(value),
                }
                self.arguments(&call.args);
            }
            Expr::Filter(filter) => {
                if let Some(value) = &filter.expr {
                    self.expression(value);
                }
                self.arguments(&filter.args);
            }
            Expr::BinOp(pair) => {
                self.expression(&pair.left);
                self.expression(&pair.right);
            }
            Expr::UnaryOp(one) => self.expression(&one.expr),
            Expr::IfExpr(choice) => {
                self.expression(&choice.test_expr);
                self.expression(&choice.true_expr);
                if let Some(other) = &choice.false_expr {
                    self.expression(other);
                }
            }
            Expr::GetAttr(part) => self.expression(&part.expr),
            Expr::GetItem(part) => self.expression(&part.expr),
            Expr::Slice(part) => self.expression(&part.expr),
            _ => {}
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) {
        for argument in arguments {
            match argument {
                CallArg::Pos(value)
                | CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value) => self.expression(value),
            }
        }
    }
}
