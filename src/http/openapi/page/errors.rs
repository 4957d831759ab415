//! The errors of calls: those of every call are said once.

use maud::{Markup, html};

use super::{
    document::{Document, Operation},
    json::text,
    text::prose,
};

/// A status, and the names of the errors that have it.
pub type ByStatus<'a> = Vec<(&'a str, Vec<&'a str>)>;

/// The errors that this operation has besides those of every call.
pub fn own<'a>(document: &Document<'a>, operation: Operation<'a>) -> ByStatus<'a> {
    filtered(document, operation, |name| !document.shared_errors.contains(name))
}

/// The errors that every call can have.
pub fn shared<'a>(document: &Document<'a>) -> ByStatus<'a> {
    document
        .operations()
        .next()
        .map(|operation| filtered(document, operation, |name| document.shared_errors.contains(name)))
        .unwrap_or_default()
}

fn filtered<'a>(document: &Document<'a>, operation: Operation<'a>, is_meant: impl Fn(&str) -> bool) -> ByStatus<'a> {
    let code = |name: &&str| document.error(name)["value"]["code"].as_u64();
    let kept = |names: Vec<&'a str>| {
        let mut names: Vec<_> = names.into_iter().filter(|name| is_meant(name)).collect();
        names.sort_by_key(code);
        names
    };
    operation.errors().map(|(status, names)| (status, kept(names))).filter(|(_, names)| !names.is_empty()).collect()
}

pub fn table(document: &Document<'_>, errors: &ByStatus<'_>) -> Markup {
    html! {
        @if !errors.is_empty() {
            dl.errors {
                @for (status, names) in errors {
                    div {
                        dt { code { (status) } }
                        @for name in names {
                            @let example = document.error(name);
                            dd {
                                @if let Some(code) = example["value"]["code"].as_u64() { code { (code) } " " }
                                code { (name) } " " (prose(text(&example["summary"])))
                            }
                        }
                    }
                }
            }
        }
    }
}
