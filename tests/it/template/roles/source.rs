//! The sources of one handler: its own crate and those that it depends on, parsed into functions, the types of fields,
//! and names.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

use proc_macro2::TokenStream;
use syn::{
    Attribute, Block, Expr, Fields, FnArg, GenericParam, Generics, ImplItem, Item, Pat, ReturnType, Signature, Token,
    TraitItem, Type, TypeParamBound, UseTree, WherePredicate, punctuated::Punctuated, visit::Visit,
};

use super::crates;

/// The names in a type: Option, Arc and Lambda for `Option<Arc<dyn Lambda>>`. Types of an SDK are named with their
/// crate: `aws_sdk_sqs::Client`.
pub type Types = BTreeSet<String>;

/// A function, a method, or a constant with its value.
pub struct Function {
    /// Its file, from the root.
    pub file: String,
    /// The last part of its module's path.
    pub module: String,
    /// The type that it is a method of, then the trait, if any.
    pub owner: Vec<String>,
    pub name: String,
    /// Whether it takes `self`.
    pub has_self: bool,
    /// Its parameters, without `self`.
    pub parameters: Vec<(Pat, Types)>,
    /// The types that it returns.
    pub output: Types,
    /// The bounds of its type parameters.
    pub generics: HashMap<String, Types>,
    pub body: Body,
    /// Whether it can be called without being named: a method of a trait that is not ours.
    pub called_unseen: bool,
}

/// The code of a function.
pub enum Body {
    Block(Block),
    /// The value of a constant.
    Value(Expr),
}

impl Function {
    /// The name that people use.
    pub fn title(&self) -> String {
        match self.owner.first() {
            Some(owner) => format!("{owner}::{}", self.name),
            _ => self.name.clone(),
        }
    }
}

/// Everything that is known from the sources.
#[derive(Default)]
pub struct Sources {
    pub functions: Vec<Function>,
    /// The types of the fields of structs and variants, by the names of both.
    pub fields: HashMap<String, HashMap<String, Types>>,
    /// The enum of each variant.
    pub variants: HashMap<String, String>,
    /// Type aliases, and the traits of each type.
    pub aliases: HashMap<String, Types>,
    /// The imports of each file: a name, and its full path.
    pub imports: HashMap<String, HashMap<String, String>>,
}

impl Sources {
    /// Reads the crate of one handler, and the crates of this workspace that it depends on.
    pub fn of_handler(root: &Path, handler: &str) -> Self {
        let mut sources = Self::default();
        let mut reader = Reader { root, sources: &mut sources, traits: BTreeSet::new(), foreign: Vec::new() };
        for entry in crates::entries(root, handler) {
            let module = if entry.ends_with("main.rs") { "main" } else { "crate" };
            reader.file(&entry, module);
        }
        let Reader { traits, foreign, .. } = reader;
        for (index, of_trait) in foreign {
            sources.functions[index].called_unseen = !traits.contains(&of_trait);
        }
        sources
    }

    /// Adds the types behind aliases, and the traits of each type.
    pub fn expand(&self, types: &Types) -> Types {
        let more = types.iter().filter_map(|name| self.aliases.get(name)).flatten();
        types.iter().chain(more).cloned().collect()
    }
}

struct Reader<'a> {
    root: &'a Path,
    sources: &'a mut Sources,
    /// Our own traits.
    traits: BTreeSet<String>,
    /// Methods of traits, each with its trait.
    foreign: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn file(&mut self, path: &str, module: &str) {
        let text = fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut imports = HashMap::new();
        for item in &parsed.items {
            if let Item::Use(item) = item {
                collect_uses(&item.tree, "", &mut imports);
            }
        }
        self.sources.imports.insert(path.to_owned(), imports);
        self.items(path, module, parsed.items);
    }

    fn items(&mut self, file: &str, module: &str, items: Vec<Item>) {
        for item in items {
            match item {
                Item::Mod(item) if is_built(&item.attrs) => match item.content {
                    Some((_, items)) => self.items(file, &item.ident.to_string(), items),
                    None => self.module_file(file, &item.ident.to_string()),
                },
                Item::Fn(item) if is_built(&item.attrs) => {
                    self.function(file, module, &[], &Generics::default(), &item.sig, Body::Block(*item.block));
                }
                Item::Const(item) => self.constant(file, module, &item.ident.to_string(), &item.ty, *item.expr),
                Item::Static(item) => self.constant(file, module, &item.ident.to_string(), &item.ty, *item.expr),
                Item::Struct(item) => self.fields(file, &item.ident.to_string(), &item.fields),
                Item::Enum(item) => {
                    for variant in &item.variants {
                        self.fields(file, &variant.ident.to_string(), &variant.fields);
                        self.sources.variants.insert(variant.ident.to_string(), item.ident.to_string());
                    }
                }
                Item::Type(item) => {
                    let stands_for = self.types(file, &item.ty, &[]);
                    self.sources.aliases.entry(item.ident.to_string()).or_default().extend(stands_for);
                }
                Item::Trait(item) if is_built(&item.attrs) => {
                    let name = item.ident.to_string();
                    self.traits.insert(name.clone());
                    for inner in item.items {
                        if let TraitItem::Fn(method) = inner
                            && let Some(block) = method.default
                        {
                            self.function(
                                file,
                                module,
                                std::slice::from_ref(&name),
                                &item.generics,
                                &method.sig,
                                Body::Block(block),
                            );
                        }
                    }
                }
                Item::Impl(item) if is_built(&item.attrs) => {
                    let own = name_of(&item.self_ty);
                    let of_trait =
                        item.trait_.as_ref().map(|(path, _)| path.segments.last().unwrap().ident.to_string());
                    let owner: Vec<_> = own.into_iter().chain(of_trait.clone()).collect();
                    if let (Some(own), Some(of_trait)) = (owner.first(), &of_trait) {
                        self.sources.aliases.entry(own.clone()).or_default().insert(of_trait.clone());
                    }
                    for inner in item.items {
                        if let ImplItem::Fn(method) = inner
                            && is_built(&method.attrs)
                        {
                            let body = Body::Block(method.block);
                            self.function(file, module, &owner, &item.generics, &method.sig, body);
                            if let Some(of_trait) = &of_trait {
                                self.foreign.push((self.sources.functions.len() - 1, of_trait.clone()));
                            }
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn module_file(&mut self, of: &str, name: &str) {
        let (folder, file) = of.rsplit_once('/').unwrap();
        let folder = match file {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            file => format!("{folder}/{}", file.trim_end_matches(".rs")),
        };
        let candidates = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
        let found = candidates.iter().find(|path| self.root.join(path).is_file());
        self.file(found.unwrap_or_else(|| panic!("{of} names the module {name}, which has no file")), name);
    }

    fn function(
        &mut self,
        file: &str,
        module: &str,
        owner: &[String],
        outer: &Generics,
        signature: &Signature,
        body: Body,
    ) {
        let mut has_self = false;
        let mut parameters = Vec::new();
        for input in &signature.inputs {
            match input {
                FnArg::Receiver(_) => has_self = true,
                FnArg::Typed(typed) => parameters.push(((*typed.pat).clone(), self.types(file, &typed.ty, owner))),
            }
        }
        let output = match &signature.output {
            ReturnType::Default => Types::new(),
            ReturnType::Type(_, output) => self.types(file, output, owner),
        };
        let mut generics = self.bounds(file, outer, owner);
        generics.extend(self.bounds(file, &signature.generics, owner));
        self.sources.functions.push(Function {
            file: file.to_owned(),
            module: module.to_owned(),
            owner: owner.to_vec(),
            name: signature.ident.to_string(),
            has_self,
            parameters,
            output,
            generics,
            body,
            called_unseen: false,
        });
    }

    fn constant(&mut self, file: &str, module: &str, name: &str, kind: &Type, value: Expr) {
        let output = self.types(file, kind, &[]);
        self.sources.functions.push(Function {
            file: file.to_owned(),
            module: module.to_owned(),
            owner: Vec::new(),
            name: name.to_owned(),
            has_self: false,
            parameters: Vec::new(),
            output,
            generics: HashMap::new(),
            body: Body::Value(value),
            called_unseen: false,
        });
    }

    fn fields(&mut self, file: &str, of: &str, fields: &Fields) {
        for (index, field) in fields.iter().enumerate() {
            let name = field.ident.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
            let types = self.types(file, &field.ty, &[of.to_owned()]);
            self.sources.fields.entry(of.to_owned()).or_default().entry(name).or_default().extend(types);
        }
    }

    fn bounds(&self, file: &str, generics: &Generics, owner: &[String]) -> HashMap<String, Types> {
        let mut all: HashMap<String, Types> = HashMap::new();
        let mut add = |name: String, bounds: &Punctuated<TypeParamBound, Token![+]>| {
            let mut names = Names { imports: &self.sources.imports[file], owner, found: Types::new(), is_open: false };
            bounds.iter().for_each(|bound| names.visit_type_param_bound(bound));
            all.entry(name).or_default().extend(names.found);
        };
        for parameter in &generics.params {
            if let GenericParam::Type(parameter) = parameter {
                add(parameter.ident.to_string(), &parameter.bounds);
            }
        }
        for predicate in generics.where_clause.iter().flat_map(|clause| &clause.predicates) {
            if let WherePredicate::Type(predicate) = predicate
                && let Some(name) = name_of(&predicate.bounded_ty)
            {
                add(name, &predicate.bounds);
            }
        }
        all
    }

    fn types(&self, file: &str, of: &Type, owner: &[String]) -> Types {
        types_in(of, &self.sources.imports[file], owner).unwrap_or_default()
    }
}

/// The names in a type, with the imports of its file, and `Self`. `None` if a part of it is left open, as in `Vec<_>`.
pub fn types_in(of: &Type, imports: &HashMap<String, String>, owner: &[String]) -> Option<Types> {
    let mut names = Names { imports, owner, found: Types::new(), is_open: false };
    names.visit_type(of);
    (!names.is_open).then_some(names.found)
}

/// Collects the names in a type.
struct Names<'a> {
    imports: &'a HashMap<String, String>,
    owner: &'a [String],
    found: Types,
    is_open: bool,
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_type_infer(&mut self, _: &'ast syn::TypeInfer) {
        self.is_open = true;
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        match segments.as_slice() {
            [only] if only == "Self" => self.found.extend(self.owner.iter().cloned()),
            _ => {
                self.found.insert(whole_name(&segments, self.imports));
            }
        }
        syn::visit::visit_path(self, path);
    }
}

/// A name: with its crate if that is an SDK's, or else only its last part.
pub fn whole_name(segments: &[String], imports: &HashMap<String, String>) -> String {
    let first = imports.get(&segments[0]).map_or(segments[0].as_str(), String::as_str);
    let last = segments.last().unwrap();
    match first.split("::").next() {
        // If it was renamed on import, its original name.
        Some(sdk) if sdk.starts_with("aws_sdk_") => match (segments.len(), first.rsplit("::").next()) {
            (1, Some(original)) => format!("{sdk}::{original}"),
            _ => format!("{sdk}::{last}"),
        },
        _ => last.clone(),
    }
}

/// The name of the type that an `impl` is for.
fn name_of(of: &Type) -> Option<String> {
    match of {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        Type::Reference(reference) => name_of(&reference.elem),
        _ => None,
    }
}

fn collect_uses(tree: &UseTree, before: &str, found: &mut HashMap<String, String>) {
    let within = |name: &dyn std::fmt::Display| match before {
        "" => name.to_string(),
        before => format!("{before}::{name}"),
    };
    match tree {
        UseTree::Path(path) => collect_uses(&path.tree, &within(&path.ident), found),
        UseTree::Name(name) if name.ident == "self" => {
            let own = before.rsplit("::").next().unwrap_or(before);
            found.insert(own.to_owned(), before.to_owned());
        }
        UseTree::Name(name) => {
            found.insert(name.ident.to_string(), within(&name.ident));
        }
        UseTree::Rename(rename) => {
            found.insert(rename.rename.to_string(), within(&rename.ident));
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| collect_uses(tree, before, found)),
        UseTree::Glob(_) => {}
    }
}

/// Whether a handler's build includes this. It has no features, because those are for tests and fuzzing.
fn is_built(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).all(|attribute| {
        let condition: TokenStream = attribute.parse_args().unwrap();
        let condition: String = condition.to_string().split_whitespace().collect();
        let others = ["test", "feature=\"fuzzing\"", "any(test,feature=\"testing\")"];
        !others.contains(&condition.as_str())
    })
}
