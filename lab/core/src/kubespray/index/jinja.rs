//! Which variables a piece of Jinja uses. Reads, never evaluates.
//!
//! The parser is minijinja's. Where it refuses a piece, the words of the piece are looked at one by one
//! instead, and the piece is counted.

mod tuples;
mod words;

use std::collections::BTreeMap;

use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, Macro, Stmt};
use minijinja::machinery::{Span, parse, parse_expr};

/// The names that a piece of Jinja uses.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    /// Variables that it uses and does not set itself, with the line of the first use, counted from 0.
    pub(super) names: BTreeMap<String, u32>,
    /// Inventory groups that it names.
    pub(super) groups: Vec<String>,
    /// Tables that it looks a variable up in, with the variable: `kubelet_checksums`, `kube_version`.
    pub(super) lookups: Vec<(String, String)>,
    /// Whether the parser refused it.
    pub(super) refused: Option<Refused>,
}

/// Why the parser refused a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Counted from 0.
    pub(super) line: u32,
    /// The parser's message.
    pub(super) message: String,
}

impl From<minijinja::Error> for Refused {
    fn from(error: minijinja::Error) -> Self {
        let line = error.line().and_then(|line| u32::try_from(line).ok()).unwrap_or(1).saturating_sub(1);
        Self { line, message: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned) }
    }
}

/// The names that a text with `{{ … }}` or `{% … %}` in it uses.
pub(super) fn template(text: &str) -> Uses {
    parse_template(text).unwrap_or_else(|error| {
        let again = tuples::with_brackets(text).and_then(|text| parse_template(&text).ok());
        again.unwrap_or_else(|| words::template(text, error.into()))
    })
}

fn parse_template(text: &str) -> Result<Uses, minijinja::Error> {
    let tree = parse(text, "", Default::default())?;
    let mut visitor = Visitor::default();
    visitor.statement(&tree);
    Ok(visitor.uses)
}

/// The names that a bare expression uses, as stands behind `when:`.
pub(super) fn expression(text: &str) -> Uses {
    match parse_expr(text) {
        Ok(tree) => {
            let mut visitor = Visitor::default();
            visitor.expression(&tree);
            visitor.uses
        }
        Err(error) => words::expression(text, error.into()),
    }
}

/// Of `x in ['a', 'b']`: `x` and the words. Of anything else nothing.
pub(super) fn one_of(text: &str) -> Option<(String, Vec<String>)> {
    let Expr::BinOp(binary) = parse_expr(text).ok()? else { return None };
    let (Expr::Var(variable), Expr::List(list)) = (&binary.left, &binary.right) else { return None };
    if !matches!(binary.op, BinOpKind::In) {
        return None;
    }
    let words = list.items.iter().map(text_of).collect::<Option<Vec<String>>>()?;
    Some((variable.id.to_owned(), words))
}

/// Of `x | type_debug == 'bool'`: `x`. Of anything else nothing.
pub(super) fn asserted_boolean(text: &str) -> Option<String> {
    let Expr::BinOp(binary) = parse_expr(text).ok()? else { return None };
    let Expr::Filter(filter) = &binary.left else { return None };
    let Some(Expr::Var(variable)) = &filter.expr else { return None };
    let asserted = filter.name == "type_debug"
        && matches!(binary.op, BinOpKind::Eq)
        && text_of(&binary.right).as_deref() == Some("bool");
    asserted.then(|| variable.id.to_owned())
}

/// Of `{{ x }}`: `x`. Of anything else nothing.
pub(super) fn only_variable(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    match parse_expr(inner).ok()? {
        Expr::Var(variable) => Some(variable.id.to_owned()),
        _ => None,
    }
}

/// The content of a literal text.
fn text_of(expression: &Expr<'_>) -> Option<String> {
    match expression {
        Expr::Const(constant) => constant.value.as_str().map(str::to_owned),
        _ => None,
    }
}

/// Walks a tree, and knows which names the piece sets itself.
#[derive(Default)]
struct Visitor {
    uses: Uses,
    /// Names that are set, innermost scope last.
    scopes: Vec<Vec<String>>,
}

impl Visitor {
    fn uses(&mut self, name: &str, span: Span) {
        if !self.scopes.iter().flatten().any(|set| set == name) {
            self.found(name, span);
        }
    }

    fn found(&mut self, name: &str, span: Span) {
        let line = u32::from(span.start_line).saturating_sub(1);
        let first = self.uses.names.entry(name.to_owned()).or_insert(line);
        *first = (*first).min(line);
    }

    fn set(&mut self, target: &Expr<'_>) {
        match target {
            Expr::Var(variable) => {
                if self.scopes.is_empty() {
                    self.scopes.push(Vec::new());
                }
                if let Some(scope) = self.scopes.last_mut() {
                    scope.push(variable.id.to_owned());
                }
            }
            Expr::List(list) => list.items.iter().for_each(|item| self.set(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.set(item)),
            // `set a.b` changes the content of `a`.
            other => self.expression(other),
        }
    }

    fn scoped(&mut self, body: impl FnOnce(&mut Self)) {
        self.scopes.push(Vec::new());
        body(self);
        self.scopes.pop();
    }

    fn statements(&mut self, statements: &[Stmt<'_>]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(template) => self.scoped(|this| this.statements(&template.children)),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => {}
            Stmt::ForLoop(all) => {
                self.expression(&all.iter);
                self.scoped(|this| {
                    this.set(&all.target);
                    this.scopes.iter_mut().last().into_iter().for_each(|scope| scope.push("loop".to_owned()));
                    this.option(all.filter_expr.as_ref());
                    this.statements(&all.body);
                });
                self.scoped(|this| this.statements(&all.else_body));
            }
            Stmt::IfCond(condition) => {
                self.expression(&condition.expr);
                self.statements(&condition.true_body);
                self.statements(&condition.false_body);
            }
            Stmt::WithBlock(with) => self.scoped(|this| {
                for (target, value) in &with.assignments {
                    this.expression(value);
                    this.set(target);
                }
                this.statements(&with.body);
            }),
            Stmt::Set(set) => {
                self.expression(&set.expr);
                self.set(&set.target);
            }
            Stmt::SetBlock(set) => {
                self.option(set.filter.as_ref());
                self.scoped(|this| this.statements(&set.body));
                self.set(&set.target);
            }
            Stmt::AutoEscape(escape) => {
                self.expression(&escape.enabled);
                self.statements(&escape.body);
            }
            Stmt::FilterBlock(filter) => {
                self.expression(&filter.filter);
                self.scoped(|this| this.statements(&filter.body));
            }
            Stmt::Block(block) => self.scoped(|this| this.statements(&block.body)),
            Stmt::Import(import) => {
                self.expression(&import.expr);
                self.set(&import.name);
            }
            Stmt::FromImport(import) => {
                self.expression(&import.expr);
                for (name, other) in &import.names {
                    self.set(other.as_ref().unwrap_or(name));
                }
            }
            Stmt::Extends(extends) => self.expression(&extends.name),
            Stmt::Include(include) => self.expression(&include.name),
            Stmt::Macro(declared) => {
                if let Some(scope) = self.scopes.last_mut() {
                    scope.push(declared.name.to_owned());
                }
                self.declared(declared);
            }
            Stmt::CallBlock(block) => {
                self.call(&block.call.expr, &block.call.args);
                self.declared(&block.macro_decl);
            }
            Stmt::Do(call) => self.call(&call.call.expr, &call.call.args),
        }
    }

    fn declared(&mut self, declared: &Macro<'_>) {
        declared.defaults.iter().for_each(|default| self.expression(default));
        self.scoped(|this| {
            // The names that Jinja gives every macro.
            this.scopes
                .iter_mut()
                .last()
                .into_iter()
                .for_each(|scope| scope.extend(["caller", "varargs", "kwargs"].map(str::to_owned)));
            declared.args.iter().for_each(|argument| this.set(argument));
            this.statements(&declared.body);
        });
    }

    fn option(&mut self, expression: Option<&Expr<'_>>) {
        if let Some(expression) = expression {
            self.expression(expression);
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

    fn expression(&mut self, expression: &Expr<'_>) {
        match expression {
            Expr::Var(variable) => self.uses(variable.id, variable.span()),
            Expr::Const(_) => {}
            Expr::Slice(slice) => {
                self.expression(&slice.expr);
                [&slice.start, &slice.stop, &slice.step]
                    .into_iter()
                    .for_each(|part| self.option(part.as_ref()));
            }
            Expr::UnaryOp(unary) => self.expression(&unary.expr),
            Expr::BinOp(binary) => {
                if matches!(binary.op, BinOpKind::In) {
                    self.membership(&binary.left, &binary.right);
                }
                self.expression(&binary.left);
                self.expression(&binary.right);
            }
            Expr::Compare(compare) => {
                self.expression(&compare.expr);
                for op in &compare.ops {
                    self.expression(&op.expr);
                    if matches!(op.op, CompareOpKind::In | CompareOpKind::NotIn) {
                        self.membership(&compare.expr, &op.expr);
                    }
                }
            }
            Expr::IfExpr(choice) => {
                self.expression(&choice.test_expr);
                self.expression(&choice.true_expr);
                self.option(choice.false_expr.as_ref());
            }
            Expr::Filter(filter) => {
                self.option(filter.expr.as_ref());
                self.arguments(&filter.args);
            }
            Expr::Test(test) => {
                self.expression(&test.expr);
                self.arguments(&test.args);
            }
            Expr::GetAttr(attribute) => {
                self.member(&attribute.expr, attribute.name, attribute.span());
                self.expression(&attribute.expr);
            }
            Expr::GetItem(item) => {
                if let Some(name) = text_of(&item.subscript_expr) {
                    self.member(&item.expr, &name, item.span());
                }
                if let (Some(table), Expr::Var(variable)) = (table(&item.expr), &item.subscript_expr) {
                    self.uses.lookups.push((table.to_owned(), variable.id.to_owned()));
                }
                self.expression(&item.expr);
                self.expression(&item.subscript_expr);
            }
            Expr::Call(call) => self.call(&call.expr, &call.args),
            Expr::List(list) => list.items.iter().for_each(|item| self.expression(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expression(item)),
            Expr::Map(map) => {
                map.keys.iter().chain(&map.values).for_each(|item| self.expression(item));
            }
        }
    }

    fn call(&mut self, called: &Expr<'_>, arguments: &[CallArg<'_>]) {
        let text = |at: usize| match arguments.get(at) {
            Some(CallArg::Pos(value)) => text_of(value),
            _ => None,
        };
        match called {
            // `lookup('vars', 'name')`
            Expr::Var(function)
                if matches!(function.id, "lookup" | "query" | "q")
                    && matches!(text(0).as_deref(), Some("vars" | "ansible.builtin.vars")) =>
            {
                if let Some(name) = text(1) {
                    self.found(&name, function.span());
                }
            }
            // `groups.get('etcd')`, `hostvars[x].get('ip')`
            Expr::GetAttr(method) if method.name == "get" => {
                if let Some(name) = text(0) {
                    self.member(&method.expr, &name, method.span());
                }
            }
            _ => {}
        }
        // A method is no member.
        match called {
            Expr::GetAttr(method) => self.expression(&method.expr),
            other => self.expression(other),
        }
        self.arguments(arguments);
    }

    /// `'etcd' in group_names`
    fn membership(&mut self, item: &Expr<'_>, of: &Expr<'_>) {
        if let (Some(name), Expr::Var(variable)) = (text_of(item), of)
            && matches!(variable.id, "group_names" | "groups")
        {
            self.uses.groups.push(name);
        }
    }

    /// `base.name` and `base['name']`: of some bases, the member is a variable or a group.
    fn member(&mut self, base: &Expr<'_>, name: &str, span: Span) {
        match base {
            Expr::Var(variable) if variable.id == "groups" => self.uses.groups.push(name.to_owned()),
            Expr::Var(variable) if variable.id == "vars" => self.found(name, span),
            Expr::GetItem(item) if is_hostvars(&item.expr) => self.found(name, span),
            _ => {}
        }
    }
}

fn is_hostvars(expression: &Expr<'_>) -> bool {
    matches!(expression, Expr::Var(variable) if variable.id == "hostvars")
}

/// `x` of `x[…]` and `x.…`, the tables of checksums by architecture.
fn table<'a>(expression: &Expr<'a>) -> Option<&'a str> {
    let base = match expression {
        Expr::GetItem(item) => &item.expr,
        Expr::GetAttr(attribute) => &attribute.expr,
        _ => return None,
    };
    match base {
        Expr::Var(variable) => Some(variable.id),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
