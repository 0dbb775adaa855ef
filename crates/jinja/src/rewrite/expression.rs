//! Expressions, written again.

use minijinja::Error;
use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, UnaryOpKind};
use minijinja::value::Value;

use super::{Writer, refuse};
use crate::value::{Python, float, view};
use crate::{filters, predicates};

impl<'t> Writer<'t> {
    pub(super) fn expression(&mut self, expression: &'t Expr<'t>) -> Result<(), Error> {
        match expression {
            // The template itself: there, and good for nothing but its blocks.
            Expr::Var(name) if name.id == "self" => self.push("true"),
            Expr::Var(name) => {
                let written = self.renamed.iter().rev().find(|(from, _)| *from == name.id);
                let written = written.map_or(name.id.to_owned(), |(_, to)| to.clone());
                self.push(&written);
            }
            Expr::Const(constant) => self.constant(&constant.value),
            Expr::Slice(slice) => {
                self.push("__slice(");
                self.expression(&slice.expr)?;
                for part in [&slice.start, &slice.stop, &slice.step] {
                    self.push(",");
                    match part {
                        Some(part) => self.expression(part)?,
                        None => self.push("none"),
                    }
                }
                self.push(")");
            }
            Expr::UnaryOp(one) => match one.op {
                UnaryOpKind::Not => {
                    self.push("(not ");
                    self.expression(&one.expr)?;
                    self.push(")");
                }
                UnaryOpKind::Neg => self.call("__neg", &[&one.expr])?,
            },
            Expr::BinOp(pair) => self.binary(pair.op, &pair.left, &pair.right)?,
            Expr::Compare(chain) => {
                self.push("__compare(");
                self.expression(&chain.expr)?;
                for part in &chain.ops {
                    self.push(&format!(",\"{}\",", comparison(part.op)));
                    self.expression(&part.expr)?;
                }
                self.push(")");
            }
            Expr::IfExpr(choice) => {
                let strict = std::mem::replace(&mut self.lenient, true);
                self.push("(");
                self.expression(&choice.true_expr)?;
                self.push(" if ");
                self.expression(&choice.test_expr)?;
                if let Some(other) = &choice.false_expr {
                    self.push(" else ");
                    self.expression(other)?;
                }
                self.push(")");
                self.lenient = strict;
            }
            Expr::Filter(filter) => {
                let line = filter.span().start_line.into();
                if let Some(value) = &filter.expr {
                    self.operand(value)?;
                    self.push("|");
                }
                self.filter_name(filter.name, line)?;
                self.arguments(&filter.args)?;
            }
            Expr::Test(test) => {
                if !self.lenient && !predicates::is_known(test.name) {
                    let line = test.span().start_line.into();
                    return Err(refuse(format!("No test named '{}'.", test.name), line));
                }
                self.push("(");
                self.operand(&test.expr)?;
                self.push(" is ");
                self.push(test.name);
                self.arguments(&test.args)?;
                self.push(")");
            }
            Expr::GetAttr(part) => {
                // A sandbox shows none of Python's own attributes.
                if part.name.starts_with("__") {
                    self.push("__undefined()");
                } else {
                    self.operand(&part.expr)?;
                    self.push(".");
                    self.push(part.name);
                }
            }
            Expr::GetItem(part) => {
                self.operand(&part.expr)?;
                self.push("[");
                self.expression(&part.subscript_expr)?;
                self.push("]");
            }
            Expr::Call(call) => {
                match &call.expr {
                    Expr::GetAttr(part) if is_self(&part.expr) => {
                        self.push("self.");
                        self.push(part.name);
                    }
                    called => self.operand(called)?,
                }
                self.push("(");
                self.list(&call.args)?;
                self.push(")");
            }
            Expr::List(list) => self.items("[", &list.items, "]")?,
            Expr::Tuple(list) if list.items.len() == 1 => self.items("(", &list.items, ",)")?,
            Expr::Tuple(list) => self.items("(", &list.items, ")")?,
            Expr::Map(map) => {
                self.push("{ ");
                for (place, (key, value)) in map.keys.iter().zip(&map.values).enumerate() {
                    if place > 0 {
                        self.push(",");
                    }
                    self.expression(key)?;
                    self.push(":");
                    self.expression(value)?;
                }
                self.push(" }");
            }
        }
        Ok(())
    }

    /// What stands before a dot, a bracket or a bar.
    fn operand(&mut self, expression: &'t Expr<'t>) -> Result<(), Error> {
        let is_number = matches!(expression, Expr::Const(constant) if constant.value.is_number());
        let is_filtered = matches!(expression, Expr::Filter(_));
        if !is_number && !is_filtered {
            return self.expression(expression);
        }
        self.push("(");
        self.expression(expression)?;
        self.push(")");
        Ok(())
    }

    pub(super) fn filter_name(&mut self, name: &str, line: usize) -> Result<(), Error> {
        if !self.lenient && !filters::is_known(name) {
            return Err(refuse(format!("No filter named '{name}'."), line));
        }
        self.push(name);
        Ok(())
    }

    fn constant(&mut self, value: &Value) {
        let text = match view(value) {
            Python::Str(text) => quoted(text),
            Python::None => "none".to_owned(),
            Python::Bool(flag) => flag.to_string(),
            Python::Float(number) if number.is_infinite() => "1e999".to_owned(),
            Python::Float(number) => float(number),
            _ => value.to_string(),
        };
        self.push(&text);
    }

    fn binary(
        &mut self,
        operator: BinOpKind,
        left: &'t Expr<'t>,
        right: &'t Expr<'t>,
    ) -> Result<(), Error> {
        let function = match operator {
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                self.push("(");
                self.expression(left)?;
                self.push(if matches!(operator, BinOpKind::ScAnd) {
                    " and "
                } else {
                    " or "
                });
                self.expression(right)?;
                self.push(")");
                return Ok(());
            }
            BinOpKind::Add => "__add",
            BinOpKind::Sub => "__sub",
            BinOpKind::Mul => "__mul",
            BinOpKind::Div => "__div",
            BinOpKind::FloorDiv => "__floordiv",
            BinOpKind::Rem => "__rem",
            BinOpKind::Pow => "__pow",
            BinOpKind::Concat => "__concat",
            BinOpKind::Eq => return self.compare("eq", left, right),
            BinOpKind::Ne => return self.compare("ne", left, right),
            BinOpKind::Lt => return self.compare("lt", left, right),
            BinOpKind::Lte => return self.compare("le", left, right),
            BinOpKind::Gt => return self.compare("gt", left, right),
            BinOpKind::Gte => return self.compare("ge", left, right),
            BinOpKind::In => return self.compare("in", left, right),
        };
        self.call(function, &[left, right])
    }

    fn compare(
        &mut self,
        operator: &str,
        left: &'t Expr<'t>,
        right: &'t Expr<'t>,
    ) -> Result<(), Error> {
        self.push("__compare(");
        self.expression(left)?;
        self.push(&format!(",\"{operator}\","));
        self.expression(right)?;
        self.push(")");
        Ok(())
    }

    fn call(&mut self, function: &str, arguments: &[&'t Expr<'t>]) -> Result<(), Error> {
        self.push(function);
        self.push("(");
        for (place, argument) in arguments.iter().enumerate() {
            if place > 0 {
                self.push(",");
            }
            self.expression(argument)?;
        }
        self.push(")");
        Ok(())
    }

    fn items(&mut self, open: &str, items: &'t [Expr<'t>], close: &str) -> Result<(), Error> {
        self.push(open);
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.push(",");
            }
            self.expression(item)?;
        }
        self.push(close);
        Ok(())
    }

    /// Arguments in parentheses, if there are any.
    pub(super) fn arguments(&mut self, arguments: &'t [CallArg<'t>]) -> Result<(), Error> {
        if arguments.is_empty() {
            return Ok(());
        }
        self.push("(");
        self.list(arguments)?;
        self.push(")");
        Ok(())
    }

    pub(super) fn list(&mut self, arguments: &'t [CallArg<'t>]) -> Result<(), Error> {
        for (place, argument) in arguments.iter().enumerate() {
            if place > 0 {
                self.push(",");
            }
            let value = match argument {
                CallArg::Pos(value) => value,
                CallArg::Kwarg(name, value) => {
                    self.push(name);
                    self.push("=");
                    value
                }
                CallArg::PosSplat(value) => {
                    self.push("*");
                    value
                }
                CallArg::KwargSplat(value) => {
                    self.push("**");
                    value
                }
            };
            self.expression(value)?;
        }
        Ok(())
    }
}

fn is_self(expression: &Expr<'_>) -> bool {
    matches!(expression, Expr::Var(name) if name.id == "self")
}

fn comparison(operator: CompareOpKind) -> &'static str {
    match operator {
        CompareOpKind::Eq => "eq",
        CompareOpKind::Ne => "ne",
        CompareOpKind::Lt => "lt",
        CompareOpKind::Lte => "le",
        CompareOpKind::Gt => "gt",
        CompareOpKind::Gte => "ge",
        CompareOpKind::In => "in",
        CompareOpKind::NotIn => "notin",
    }
}

/// A string as minijinja reads it.
pub(super) fn quoted(text: &str) -> String {
    let mut made = String::with_capacity(text.len() + 2);
    made.push('"');
    for one in text.chars() {
        match one {
            '"' => made.push_str("\\\""),
            '\\' => made.push_str("\\\\"),
            '\n' => made.push_str("\\n"),
            '\r' => made.push_str("\\r"),
            _ => made.push(one),
        }
    }
    made.push('"');
    made
}
