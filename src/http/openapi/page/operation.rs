//! The fold about one operation, or about operations that differ only in their method.

use maud::{Markup, html};
use serde_json::Value;

use super::{
    call,
    document::{Document, Operation, reference},
    errors, example,
    json::{list, object, text},
    schema, search,
    text::{paragraphs, prose},
};

pub fn fold(document: &Document<'_>, group: &[Operation<'_>]) -> Markup {
    let Some((operation, others)) = group.split_first() else { return html! {} };
    html! {
        // Links to the others lead here, too.
        @for other in others { a id=(other.id()) {} }
        details.operation.old[operation.json["deprecated"] == true] id=(operation.id())
            data-words=(search::words(document, group)) data-call=(call::described(document, group)) {
            summary {
                span.methods { @for one in group { span.method { (one.method.to_uppercase()) } " " } }
                code { (operation.path) } " "
                span.what { (prose(text(&operation.json["summary"]))) }
            }
            div.columns {
                div {
                    (paragraphs(text(&operation.json["description"])))
                    p.small { a href={ "#" (operation.id()) } { "Link to " code { (operation.id()) } } }
                    (parameters(document, *operation))
                    (body(document, *operation))
                    (responses(document, *operation))
                }
                div { (examples(document, *operation)) }
            }
        }
    }
}

fn parameters(document: &Document<'_>, operation: Operation<'_>) -> Markup {
    let parameters = list(&operation.json["parameters"]);
    html! {
        @if !parameters.is_empty() {
            h3 { "Parameters" }
            dl {
                @for parameter in parameters {
                    (schema::value(document, text(&parameter["name"]), text(&parameter["in"]), parameter["required"] == true,
                        &parameter["schema"], text(&parameter["description"])))
                }
            }
        }
    }
}

fn body(document: &Document<'_>, operation: Operation<'_>) -> Markup {
    let Some((kind, content)) = operation.body() else { return html! {} };
    let described = &operation.json["requestBody"];
    let own = reference(&content["schema"]).filter(|name| document.is_shown_by(name, operation));
    html! {
        h3 id=[own.map(|name| format!("record-{name}"))] {
            "Body " @if let Some(name) = own { span.in { (name) } }
        }
        p {
            @if described["required"] == true { strong.must { "required" } } @else { span.may { "optional" } }
            " " code { (kind) } " "
            @if own.is_none() && content.get("schema").is_some() { (schema::kind(document, &content["schema"])) " " }
            (prose(text(&described["description"])))
        }
        @if own.is_some() { (schema::record(document, document.resolve(&content["schema"]))) }
    }
}

fn responses(document: &Document<'_>, operation: Operation<'_>) -> Markup {
    let own = errors::own(document, operation);
    html! {
        h3 { "Responses" }
        @if let Some((status, response)) = operation.success() {
            p {
                code { (status) } " " (prose(text(&response["description"]))) " "
                @for (kind, content) in object(&response["content"]) {
                    code { (kind) } " "
                    @if content.get("schema").is_some() { (schema::kind(document, &content["schema"])) }
                }
            }
        }
        p.small { "Besides the " a href="#Errors-of-every-call" { "errors of every call" } @if own.is_empty() { ", none." } @else { ":" } }
        (errors::table(document, &own))
    }
}

fn examples(document: &Document<'_>, operation: Operation<'_>) -> Markup {
    let (status, response) = operation.success().unwrap_or(("200", &Value::Null));
    html! {
        h3 { "Example" }
        (copied(&example::request(document, operation)))
        h3 { "Example response " code { (status) } }
        @match example::response(document, operation) {
            Some(text) => (copied(&text)),
            None => p { (prose(text(&response["description"]))) },
        }
        div.try {}
    }
}

/// Text with a button that copies it, which works with scripts only.
pub fn copied(text: &str) -> Markup {
    html! {
        div.copied {
            pre tabindex="0" { (text) }
            button type="button" data-copy hidden { "Copy" }
        }
    }
}
