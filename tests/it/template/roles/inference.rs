//! The types that make up the types of names and expressions, as far as the source text shows: `None` if unclear.

use syn::{Expr, Pat};

use super::{
    calls::{Argument, Walk},
    source::{Types, types_in, whole_name},
};

/// Stands for the type of an SDK's response, which contains none of our types.
const SDK_VALUE: &str = "a value of an SDK";

/// Methods of other crates that return their receiver or a part of it.
const PARTS: &str = "
    as_deref as_mut as_ref await borrow chain clone cloned copied expect filter first flatten get
    get_mut inspect_err into_inner into_iter iter iter_mut last lock map_err max min next ok ok_or
    ok_or_else or or_else peekable pop rev skip take to_owned transpose unwrap unwrap_or
    unwrap_or_default unwrap_or_else";

impl Walk<'_> {
    pub(super) fn bind(&mut self, pattern: &Pat, types: Option<&Types>) {
        match pattern {
            Pat::Ident(name) => {
                self.scopes.last_mut().unwrap().insert(name.ident.to_string(), types.cloned());
                if let Some((_, inner)) = &name.subpat {
                    self.bind(inner, types);
                }
            }
            Pat::Type(typed) => self.bind(&typed.pat, types),
            Pat::Guard(guarded) => self.bind(&guarded.pat, types),
            Pat::Reference(inner) => self.bind(&inner.pat, types),
            Pat::Paren(inner) => self.bind(&inner.pat, types),
            Pat::Tuple(tuple) => tuple.elems.iter().for_each(|inner| self.bind(inner, types)),
            Pat::Slice(slice) => slice.elems.iter().for_each(|inner| self.bind(inner, types)),
            Pat::Or(cases) => cases.cases.iter().for_each(|inner| self.bind(inner, types)),
            Pat::TupleStruct(tuple) => {
                let name = tuple.path.segments.last().unwrap().ident.to_string();
                for (index, inner) in tuple.elems.iter().enumerate() {
                    let own = match name.as_str() {
                        "Some" | "Ok" | "Err" => types.cloned(),
                        name => self.field_of(name, &index.to_string()),
                    };
                    self.bind(inner, own.as_ref());
                }
            }
            Pat::Struct(fields) => {
                let name = self.owner_or(&fields.path.segments.last().unwrap().ident.to_string());
                for field in &fields.fields {
                    let member = match &field.member {
                        syn::Member::Named(name) => name.to_string(),
                        syn::Member::Unnamed(index) => index.index.to_string(),
                    };
                    let own = self.field_of(&name, &member);
                    self.bind(&field.pat, own.as_ref());
                }
            }
            _ => {}
        }
    }

    pub(super) fn owner_or(&self, name: &str) -> String {
        if name == "Self" { self.function.owner.first().cloned().unwrap_or_default() } else { name.to_owned() }
    }

    fn field_of(&self, of: &str, name: &str) -> Option<Types> {
        self.sources.fields.get(of).and_then(|fields| fields.get(name)).cloned()
    }

    /// A local name: `None` if there is no such name, `Some(None)` if its type is unclear.
    pub(super) fn local(&self, name: &str) -> Option<Option<Types>> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name)).cloned()
    }

    /// The types that make up an expression's type; `None` if unclear.
    pub(super) fn types(&self, of: &Expr) -> Option<Types> {
        let types = match of {
            Expr::Path(path) if path.path.is_ident("self") => self.function.owner.iter().cloned().collect(),
            Expr::Path(path) => match path.path.get_ident() {
                Some(name) => match self.local(&name.to_string()) {
                    Some(known) => known?,
                    None => self.answer_of(path)?,
                },
                None => self.answer_of(path)?,
            },
            Expr::Field(field) => {
                let name = match &field.member {
                    syn::Member::Named(name) => name.to_string(),
                    syn::Member::Unnamed(index) => index.index.to_string(),
                };
                match self.types(&field.base) {
                    Some(base) if base.contains(SDK_VALUE) => base,
                    Some(base) => {
                        let of_each: Vec<_> = base.iter().filter_map(|base| self.field_of(base, &name)).collect();
                        if of_each.is_empty() {
                            return None;
                        }
                        of_each.into_iter().flatten().collect()
                    }
                    None => {
                        let of_any: Types = self
                            .sources
                            .fields
                            .values()
                            .filter_map(|fields| fields.get(&name))
                            .flatten()
                            .cloned()
                            .collect();
                        if of_any.is_empty() {
                            return None;
                        }
                        of_any
                    }
                }
            }
            Expr::MethodCall(call) => {
                let receiver = self.types(&call.receiver);
                let name = call.method.to_string();
                let arguments: Vec<_> = call.args.iter().map(Argument::of).collect();
                let called = self.methods(&name, &arguments, receiver.as_ref());
                if !called.is_empty() {
                    return Some(self.sources.expand(&self.outputs(&called)?));
                }
                let receiver = receiver?;
                if !self.operations(&name, Some(&receiver)).is_empty() || receiver.contains(SDK_VALUE) {
                    return Some(Types::from([SDK_VALUE.to_owned()]));
                }
                if !PARTS.split_whitespace().any(|part| part == name) {
                    return None;
                }
                receiver
            }
            Expr::Call(call) => match &*call.func {
                Expr::Path(path) => self.constructed(path, call)?,
                _ => return None,
            },
            Expr::Struct(made) => Types::from([self.owner_or(&made.path.segments.last().unwrap().ident.to_string())]),
            Expr::Reference(inner) => self.types(&inner.expr)?,
            Expr::Paren(inner) => self.types(&inner.expr)?,
            Expr::Group(inner) => self.types(&inner.expr)?,
            Expr::Unary(inner) => self.types(&inner.expr)?,
            Expr::Await(inner) => self.types(&inner.base)?,
            Expr::Try(inner) => self.types(&inner.expr)?,
            Expr::Index(inner) => self.types(&inner.expr)?,
            Expr::Tuple(tuple) => {
                let all: Option<Vec<Types>> = tuple.elems.iter().map(|inner| self.types(inner)).collect();
                all?.into_iter().flatten().collect()
            }
            Expr::Lit(_) => Types::from(["a literal".to_owned()]),
            _ => return None,
        };
        Some(self.sources.expand(&self.bounded(types)?))
    }

    /// The types in a written type; `None` if a part of it is left open.
    pub(super) fn said(&self, kind: &syn::Type) -> Option<Types> {
        let imports = &self.sources.imports[&self.function.file];
        let types = types_in(kind, imports, &self.function.owner)?;
        Some(self.sources.expand(&self.bounded(types)?))
    }

    /// The types that these functions return; `None` if their callers determine them.
    fn outputs(&self, of: &[usize]) -> Option<Types> {
        let mut all = Types::new();
        for index in of {
            let function = &self.sources.functions[*index];
            if function.output.iter().any(|name| function.generics.contains_key(name)) {
                return None;
            }
            all.extend(function.output.iter().cloned());
        }
        Some(all)
    }

    /// Replaces type parameters by their bounds; `None` if a parameter is unbounded.
    pub(super) fn bounded(&self, types: Types) -> Option<Types> {
        let mut all = Types::new();
        for name in types {
            match self.function.generics.get(&name) {
                Some(bounds) if bounds.is_empty() => return None,
                Some(bounds) => all.extend(bounds.iter().cloned()),
                None => {
                    all.insert(name);
                }
            }
        }
        Some(all)
    }

    fn constructed(&self, path: &syn::ExprPath, call: &syn::ExprCall) -> Option<Types> {
        let segments: Vec<_> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let last = segments.last().unwrap();
        if let Some(known) = self.answer_of(path) {
            return Some(known);
        }
        // A wrapper is treated as its content.
        let wraps = matches!(last.as_str(), "Some" | "Ok" | "Err")
            || (segments.len() == 2
                && matches!(segments[0].as_str(), "Arc" | "Box")
                && matches!(last.as_str(), "new" | "clone" | "pin"));
        match (wraps, call.args.first()) {
            (true, Some(held)) => self.types(held),
            _ => None,
        }
    }

    /// The types that a path returns when it is called, or has as a value.
    fn answer_of(&self, path: &syn::ExprPath) -> Option<Types> {
        let functions = self.paths(path);
        if !functions.is_empty() {
            return self.outputs(&functions);
        }
        let segments: Vec<_> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let last = self.owner_or(segments.last().unwrap());
        if let Some(of) = self.sources.variants.get(&last) {
            return Some(Types::from([of.clone()]));
        }
        if self.sources.fields.contains_key(&last) {
            return Some(Types::from([last]));
        }
        let qualifier = &segments[..segments.len() - 1];
        let qualifier = if qualifier.is_empty() { return None } else { self.whole_name(qualifier) };
        if qualifier.starts_with("aws_sdk_") {
            let own = if qualifier.ends_with("::Client") { qualifier } else { SDK_VALUE.to_owned() };
            return Some(Types::from([own]));
        }
        self.sources.fields.contains_key(&qualifier).then(|| Types::from([qualifier]))
    }

    pub(super) fn whole_name(&self, segments: &[String]) -> String {
        let segments: Vec<_> = segments.iter().map(|segment| self.owner_or(segment)).collect();
        whole_name(&segments, &self.sources.imports[&self.function.file])
    }
}
