//! The API document as a page for people. It works without scripts, except for the search and for trying calls, and it loads
//! nothing: its style and its scripts are in it, and its policy allows exactly these.

mod call;
mod document;
mod errors;
mod example;
mod json;
mod operation;
mod schema;
mod search;
mod text;

use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use document::{Document, Operation};
use json::{list, object, text};
use text::{paragraphs, prose};

const STYLE: &str = include_str!("page.css");
const SCRIPTS: [&str; 2] = [include_str!("search.js"), include_str!("try.js")];

/// The page, and the policy that it is served with.
#[derive(Debug)]
pub struct Page {
    pub html: String,
    /// A Content-Security-Policy: only the page's own style and scripts, and calls of the service that serves it. What a call
    /// returns can never become HTML, because assigning HTML from a script is refused altogether.
    pub policy: String,
}

/// Renders this document as a page.
pub fn render(document: &Value) -> Page {
    let policy = format!(
        "default-src 'none'; script-src {scripts}; style-src {style}; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
        scripts = SCRIPTS.map(hash).join(" "),
        style = hash(STYLE),
    );
    Page { html: whole_page(&Document::new(document)).into_string(), policy }
}

fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())))
}

fn whole_page(document: &Document<'_>) -> Markup {
    let info = &document.json["info"];
    let (title, version) = (text(&info["title"]), text(&info["version"]));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) ": the API" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    h1 { (title) " " small { (version) } }
                    div.search role="search" hidden {
                        label for="search" { "Search" }
                        input id="search" type="search" autocomplete="off" spellcheck="false" aria-describedby="found"
                            placeholder="method, path, permission, field";
                        kbd aria-hidden="true" { "/" }
                        output id="found" for="search" {}
                    }
                }
                (contents(document))
                main id="main" tabindex="-1" { (introduction(document)) (groups(document)) (schemas(document)) }
                @for script in SCRIPTS { script type="module" { (PreEscaped(script)) } }
            }
        }
    }
}

fn contents(document: &Document<'_>) -> Markup {
    html! {
        nav aria-label="Contents" {
            ul {
                li { a href="#Sending-credentials" { "How to send credentials" } }
                li { a href="#Errors-of-every-call" { "Errors of every call" } }
                @for tag in list(&document.json["tags"]) {
                    @let name = text(&tag["name"]);
                    li { a href={ "#" (anchor(name)) } { (name) } }
                }
                li { a href="#Schemas" { "Schemas" } }
            }
        }
    }
}

fn introduction(document: &Document<'_>) -> Markup {
    html! {
        section.introduction {
            (paragraphs(text(&document.json["info"]["description"])))
            p { "Machine-readable: " a href="/tasks/v1/openapi.json" { "openapi.json" } "." }
            h2 id="Sending-credentials" { "How to send credentials" }
            @for (name, scheme) in object(&document.json["components"]["securitySchemes"]) {
                p { code { (name) } ": " (prose(text(&scheme["description"]))) }
            }
            p {
                "The examples use " code { "$API_HOST" } " and " code { "$API_ACCESS_TOKEN" } ". "
                code { "tasklane dev" } " writes both into a file, which a shell reads with:"
            }
            (operation::copied("set -a; . .tasklane/credentials; set +a"))
            h2 id="Errors-of-every-call" { "Errors of every call" }
            p { "An error is JSON with a " code { "name" } ", a " code { "message" } " and mostly a " code { "code" } ". Every call can be refused with these; what else can happen is said at each." }
            (errors::table(document, &errors::shared(document)))
        }
    }
}

fn groups(document: &Document<'_>) -> Markup {
    html! {
        @for tag in list(&document.json["tags"]) {
            @let name = text(&tag["name"]);
            section.group {
                h2 id=(anchor(name)) { (name) }
                (paragraphs(text(&tag["description"])))
                @let of_tag: Vec<_> = document.operations().filter(|operation| has_tag(*operation, name)).collect();
                @for group in of_tag.chunk_by(Operation::is_like) { (operation::fold(document, group)) }
            }
        }
        p.nothing id="nothing" hidden { "No operation matches. " button type="button" id="show-all" { "Show all" } }
    }
}

fn has_tag(operation: Operation<'_>, name: &str) -> bool {
    list(&operation.json["tags"]).iter().any(|tag| tag == name)
}

fn schemas(document: &Document<'_>) -> Markup {
    html! {
        section.schemas {
            h2 id="Schemas" { "Schemas" }
            @for (name, record) in document.records() {
                h3 id={ "record-" (name) } { (name) }
                (schema::record(document, record))
            }
        }
    }
}

fn anchor(name: &str) -> String {
    name.replace(' ', "-")
}

#[cfg(test)]
mod tests;
