//! The call graph, and the AWS operations in it, as an over-estimate: if the type of a receiver is not clear, a call is
//! assumed to reach every method with its name and number of arguments.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Expr, Local, Pat, Token,
    parse::Parser as _,
    punctuated::Punctuated,
    visit::{self, Visit},
};

use super::{
    sdk::{Operation, Sdk},
    source::{Body, Function, Sources, Types},
};

/// What is known about an argument.
#[derive(Clone, Copy)]
pub(super) enum Argument {
    Literal,
    Any,
}

impl Argument {
    pub(super) fn of(argument: &Expr) -> Self {
        if matches!(argument, Expr::Lit(_)) { Self::Literal } else { Self::Any }
    }
}

/// The calls and operations of one function.
#[derive(Default)]
struct Done {
    calls: BTreeSet<usize>,
    operations: BTreeSet<Operation>,
}

/// The operations that a handler's code can carry out, each with the functions that do so, as `file title`.
pub fn reachable(sources: &Sources, sdk: &Sdk) -> BTreeMap<Operation, BTreeMap<String, Vec<String>>> {
    let main = sources.functions.iter().position(|it| it.module == "main" && it.name == "main").unwrap();
    let unseen = sources.functions.iter().enumerate().filter(|(_, it)| it.called_unseen).map(|(index, _)| index);
    let mut called_from: HashMap<usize, Option<usize>> = HashMap::new();
    let mut waiting: VecDeque<_> = [main].into_iter().chain(unseen).map(|root| (root, None)).collect();
    let mut found: BTreeMap<Operation, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    while let Some((index, from)) = waiting.pop_front() {
        if called_from.contains_key(&index) {
            continue;
        }
        called_from.insert(index, from);
        let function = &sources.functions[index];
        let done = Walk::of(sources, sdk, function);
        waiting.extend(done.calls.into_iter().map(|called| (called, Some(index))));
        for operation in done.operations {
            let mut way = vec![function.title()];
            let mut caller = from;
            while let Some(index) = caller {
                way.push(sources.functions[index].title());
                caller = called_from[&index];
            }
            way.reverse();
            found.entry(operation).or_default().insert(format!("{} {}", function.file, function.title()), way);
        }
    }
    found
}

/// Every function that carries out an operation, called or not, as `file title`.
pub fn everywhere(sources: &Sources, sdk: &Sdk) -> BTreeSet<String> {
    let carries_out = |function: &&Function| !Walk::of(sources, sdk, function).operations.is_empty();
    let all = sources.functions.iter().filter(carries_out);
    all.map(|function| format!("{} {}", function.file, function.title())).collect()
}

/// A walk through one function.
pub(super) struct Walk<'a> {
    pub(super) sources: &'a Sources,
    sdk: &'a Sdk,
    pub(super) function: &'a Function,
    /// The types of local names, innermost scope last; `None` if unclear.
    pub(super) scopes: Vec<HashMap<String, Option<Types>>>,
    done: Done,
}

impl<'a> Walk<'a> {
    fn of(sources: &'a Sources, sdk: &'a Sdk, function: &'a Function) -> Done {
        let mut walk = Self { sources, sdk, function, scopes: vec![HashMap::new()], done: Done::default() };
        for (pattern, types) in &function.parameters {
            walk.bind(pattern, Some(types));
        }
        match &function.body {
            Body::Block(block) => walk.visit_block(block),
            Body::Value(value) => walk.visit_expr(value),
        }
        walk.done
    }

    pub(super) fn methods(&self, name: &str, arguments: &[Argument], receiver: Option<&Types>) -> Vec<usize> {
        self.functions(|function| {
            function.has_self
                && function.name == name
                && function.parameters.len() == arguments.len()
                && receiver.is_none_or(|types| function.owner.iter().any(|owner| types.contains(owner)))
                && arguments.iter().zip(&function.parameters).all(|(argument, (_, types))| self.takes(types, *argument))
        })
    }

    /// A literal has none of our types, so `rows.remove(0)` is not the method that removes a Function.
    fn takes(&self, parameter: &Types, argument: Argument) -> bool {
        match argument {
            Argument::Any => true,
            Argument::Literal => !parameter.iter().any(|name| self.sources.fields.contains_key(name)),
        }
    }

    pub(super) fn paths(&self, path: &syn::ExprPath) -> Vec<usize> {
        let segments: Vec<_> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let (name, qualifier) = segments.split_last().unwrap();
        let imports = &self.sources.imports[&self.function.file];
        match qualifier.last() {
            None if self.local(name).is_some() => Vec::new(),
            None => {
                let imported = imports.get(name);
                let original = imported.and_then(|path| path.rsplit("::").next()).unwrap_or(name);
                self.functions(|function| {
                    function.owner.is_empty()
                        && function.name == original
                        && (imported.is_some() || function.file == self.function.file)
                })
            }
            Some(of) if of.starts_with(char::is_uppercase) => {
                let of = Types::from([self.owner_or(of)]);
                let of = self.bounded(of.clone()).unwrap_or(of);
                let of = self.sources.expand(&of);
                self.functions(|function| {
                    function.name == *name && function.owner.iter().any(|owner| of.contains(owner))
                })
            }
            Some(module) => {
                let module = imports.get(module).and_then(|path| path.rsplit("::").next()).unwrap_or(module);
                let anywhere = matches!(module, "crate" | "self" | "super");
                // Each of our crates is in the folder of its name.
                let room = module.strip_prefix("tasklane_").map(|room| format!("src/{room}/"));
                self.functions(|function| {
                    let is_there = anywhere
                        || function.module == module
                        || room.as_ref().is_some_and(|room| function.file.starts_with(room))
                        // A function that a module above re-exports.
                        || function.file.contains(&format!("/{module}/"));
                    function.owner.is_empty() && function.name == *name && is_there
                })
            }
        }
    }

    fn functions(&self, is_meant: impl Fn(&Function) -> bool) -> Vec<usize> {
        let all = self.sources.functions.iter().enumerate();
        all.filter(|(_, function)| is_meant(function)).map(|(index, _)| index).collect()
    }

    /// The operations of this name that a client of this type has, or of any client if the type is unclear.
    pub(super) fn operations(&self, name: &str, receiver: Option<&Types>) -> Vec<Operation> {
        let all = self.sdk.operations(name);
        let is_meant = |operation: &Operation| match receiver {
            Some(types) => types.contains(&format!("{}::Client", operation.sdk)),
            // There are no clients elsewhere; another test makes sure of that.
            None => self.function.file.starts_with("src/aws/") || self.function.file.starts_with("src/store/"),
        };
        all.filter(is_meant).collect()
    }

    fn note_path(&mut self, path: &syn::ExprPath) {
        let called = self.paths(path);
        self.done.calls.extend(called);
        let segments: Vec<_> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let (name, qualifier) = segments.split_last().unwrap();
        if !qualifier.is_empty() {
            let qualifier = self.whole_name(qualifier);
            self.done.operations.extend(self.sdk.of_path(&qualifier, name));
        }
    }

    fn note_method(&mut self, name: &str, arguments: &[Argument], receiver: Option<&Types>) {
        let called = self.methods(name, arguments, receiver);
        self.done.calls.extend(called);
        if arguments.is_empty() {
            let operations = self.operations(name, receiver);
            self.done.operations.extend(operations);
        }
    }

    fn scoped(&mut self, visit: impl FnOnce(&mut Self)) {
        self.scopes.push(HashMap::new());
        visit(self);
        self.scopes.pop();
    }

    fn closure(&mut self, closure: &syn::ExprClosure, given: Option<&Types>) {
        self.scoped(|walk| {
            for input in &closure.inputs {
                let said = match input {
                    Pat::Type(typed) => walk.said(&typed.ty),
                    _ => given.cloned(),
                };
                walk.bind(input, said.as_ref());
            }
            walk.visit_expr(&closure.body);
        });
    }

    /// The code in the arguments of a macro: as expressions if it parses as such, or else every call that can be
    /// recognized in it.
    fn tokens(&mut self, tokens: TokenStream) {
        let parsed = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(tokens.clone());
        if let Ok(arguments) = parsed {
            return arguments.iter().for_each(|argument| self.visit_expr(argument));
        }
        let tokens: Vec<_> = tokens.into_iter().collect();
        for (index, token) in tokens.iter().enumerate() {
            let TokenTree::Group(group) = token else { continue };
            let before = |back: usize| index.checked_sub(back).map(|at| tokens[at].to_string()).unwrap_or_default();
            if group.delimiter() == proc_macro2::Delimiter::Parenthesis && is_name(&before(1)) {
                let arguments = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(group.stream());
                let name = before(1);
                if before(2) == "." {
                    for count in arguments.as_ref().map_or(0..=9, |them| them.len()..=them.len()) {
                        self.note_method(&name, &vec![Argument::Any; count], None);
                    }
                } else if let Ok(path) = syn::parse_str::<syn::ExprPath>(&path_before(&tokens, index)) {
                    self.note_path(&path);
                }
            }
            self.tokens(group.stream());
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The path that ends before a token: `a::b` of `a::b(c)`.
fn path_before(tokens: &[TokenTree], end: usize) -> String {
    let part = |token: &TokenTree| is_name(&token.to_string()) || token.to_string() == ":";
    let begin = tokens[..end].iter().rposition(|token| !part(token)).map_or(0, |at| at + 1);
    tokens[begin..end].iter().map(ToString::to_string).collect()
}

impl<'ast> Visit<'ast> for Walk<'_> {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let receiver = self.types(&call.receiver);
        let arguments: Vec<_> = call.args.iter().map(Argument::of).collect();
        let name = call.method.to_string();
        self.note_method(&name, &arguments, receiver.as_ref());
        self.visit_expr(&call.receiver);
        // A closure that `Option::map` or a similar method calls gets the receiver, or a part of it.
        let own = !self.methods(&name, &arguments, receiver.as_ref()).is_empty();
        let given = receiver.filter(|_| !own && !matches!(name.as_str(), "fold" | "try_fold" | "scan"));
        for argument in &call.args {
            match argument {
                Expr::Closure(closure) => self.closure(closure, given.as_ref()),
                argument => self.visit_expr(argument),
            }
        }
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        self.note_path(path);
    }

    fn visit_macro(&mut self, it: &'ast syn::Macro) {
        self.tokens(it.tokens.clone());
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.scoped(|walk| visit::visit_block(walk, block));
    }

    fn visit_local(&mut self, local: &'ast Local) {
        visit::visit_local(self, local);
        let said = match &local.pat {
            Pat::Type(typed) => self.said(&typed.ty),
            _ => None,
        };
        let types = said.or_else(|| local.init.as_ref().and_then(|init| self.types(&init.expr)));
        self.bind(&local.pat, types.as_ref());
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        self.closure(closure, None);
    }

    fn visit_expr_if(&mut self, it: &'ast syn::ExprIf) {
        self.scoped(|walk| {
            walk.visit_expr(&it.cond);
            walk.visit_block(&it.then_branch);
        });
        if let Some((_, otherwise)) = &it.else_branch {
            self.visit_expr(otherwise);
        }
    }

    fn visit_expr_while(&mut self, it: &'ast syn::ExprWhile) {
        self.scoped(|walk| {
            walk.visit_expr(&it.cond);
            walk.visit_block(&it.body);
        });
    }

    fn visit_expr_let(&mut self, it: &'ast syn::ExprLet) {
        self.visit_expr(&it.expr);
        let types = self.types(&it.expr);
        self.bind(&it.pat, types.as_ref());
    }

    fn visit_expr_for_loop(&mut self, it: &'ast syn::ExprForLoop) {
        self.visit_expr(&it.expr);
        let types = self.types(&it.expr);
        self.scoped(|walk| {
            walk.bind(&it.pat, types.as_ref());
            walk.visit_block(&it.body);
        });
    }

    fn visit_expr_match(&mut self, it: &'ast syn::ExprMatch) {
        self.visit_expr(&it.expr);
        let types = self.types(&it.expr);
        for arm in &it.arms {
            self.scoped(|walk| {
                walk.bind(&arm.pat, types.as_ref());
                visit::visit_arm(walk, arm);
            });
        }
    }
}
