//! The API document as a page for people: plain HTML without scripts, so that it works anywhere and loads nothing.

mod example;
mod html;
mod json;
mod schema;

use std::fmt::{self, Write};

use serde_json::Value;

use html::{Escaped, Paragraphs, Text};
use json::{list, object, text};

/// Renders this document as a page.
pub fn render(document: &Value) -> String {
    let mut page = String::new();
    // Writing into a `String` cannot fail.
    let _ = write_page(&mut page, document);
    page
}

fn write_page(page: &mut String, document: &Value) -> fmt::Result {
    let (title, version) = (text(&document["info"]["title"]), text(&document["info"]["version"]));
    write!(
        page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{0}: the API</title><style>{2}</style><h1>{0} <small>{1}</small></h1>{3}\
         <p>Machine-readable: <a href=\"/tasks/v1/openapi.json\">openapi.json</a>.</p>",
        Escaped(title),
        Escaped(version),
        include_str!("style.css"),
        Paragraphs(text(&document["info"]["description"])),
    )?;
    page.push_str("<nav><ul>");
    for tag in list(&document["tags"]) {
        let name = text(&tag["name"]);
        write!(page, "<li><a href=\"#{0}\">{1}</a></li>", anchor(name), Escaped(name))?;
    }
    page.push_str("<li><a href=\"#Sending-credentials\">How to send credentials</a></li><li><a href=\"#Schemas\">Schemas</a></li></ul></nav>");
    for tag in list(&document["tags"]) {
        let name = text(&tag["name"]);
        write!(page, "<h2 id=\"{}\">{}</h2>{}", anchor(name), Escaped(name), Paragraphs(text(&tag["description"])))?;
        let of_tag =
            operations(document).filter(|(_, _, operation)| list(&operation["tags"]).iter().any(|tag| tag == name));
        let of_tag: Vec<_> = of_tag.collect();
        // Operations of one path that differ only in their method share a fold.
        let alike = |one: &Operation<'_>, other: &Operation<'_>| {
            one.0 == other.0 && one.2["summary"] == other.2["summary"] && one.2["description"] == other.2["description"]
        };
        for group in of_tag.chunk_by(alike) {
            write_operations(page, document, group)?;
        }
    }
    page.push_str("<h2 id=\"Sending-credentials\">How to send credentials</h2>");
    for (name, scheme) in object(&document["components"]["securitySchemes"]) {
        write!(page, "<p><code>{}</code>: {}</p>", Escaped(name), Text(text(&scheme["description"])))?;
    }
    if let Some(refused) = refusal(document) {
        write!(page, "<p>Every endpoint refuses a wrong credential with status 401:</p><p>")?;
        write_errors(page, document, refused)?;
        page.push_str("</p>");
    }
    page.push_str("<h2 id=\"Schemas\">Schemas</h2>");
    for (name, record) in object(&document["components"]["schemas"]) {
        write!(page, "<h3 id=\"record-{0}\">{0}</h3>", Escaped(name))?;
        schema::write_record(page, record)?;
    }
    page.push_str("</html>");
    Ok(())
}

/// A path, a method, and what is documented about them.
type Operation<'a> = (&'a str, &'a str, &'a Value);

/// The response to a wrong credential that most operations have.
fn refusal(document: &Value) -> Option<&Value> {
    operations(document).find_map(|(_, _, operation)| operation["responses"].get("401"))
}

/// Writes one fold for operations that differ only in their method.
fn write_operations(page: &mut String, document: &Value, group: &[Operation<'_>]) -> fmt::Result {
    let Some((path, method, operation)) = group.first().copied() else { return Ok(()) };
    let old = if operation["deprecated"] == true { " class=\"old\"" } else { "" };
    let methods: Vec<_> = group.iter().map(|(_, method, _)| method.to_uppercase()).collect();
    for (_, _, other) in group.iter().skip(1) {
        write!(page, "<a id=\"{}\"></a>", Escaped(text(&other["operationId"])))?;
    }
    write!(
        page,
        "<details id=\"{}\"{old}><summary><span class=\"method\">{}</span><code>{}</code> <span class=\"what\">{}</span></summary>{}\
         <h4>Example</h4><pre>{}</pre>",
        Escaped(text(&operation["operationId"])),
        methods.join(" "),
        Escaped(path),
        Text(text(&operation["summary"])),
        Paragraphs(text(&operation["description"])),
        Escaped(&example::request(document, path, method, operation)),
    )?;
    let parameters = list(&operation["parameters"]);
    if !parameters.is_empty() {
        page.push_str("<h4>Parameters</h4><table>");
        for parameter in parameters {
            write!(
                page,
                "<tr><td><code>{}</code> in the {}<td>",
                Escaped(text(&parameter["name"])),
                Escaped(text(&parameter["in"]))
            )?;
            schema::write_type(page, &parameter["schema"])?;
            write!(page, "<td>{}", Text(text(&parameter["description"])))?;
            if let Some(example) = parameter["example"].as_str() {
                write!(page, " <code>{}</code>", Escaped(example))?;
            }
            page.push_str("</tr>");
        }
        page.push_str("</table>");
    }
    if let Some(body) = operation.get("requestBody") {
        page.push_str("<h4>Body</h4><p>");
        write_content(page, body)?;
        page.push_str(if body["required"] == true { "" } else { " Optional." });
        page.push_str("</p>");
    }
    page.push_str("<h4>Responses</h4><table>");
    for (status, response) in object(&operation["responses"]) {
        write!(page, "<tr><td><code>{}</code><td>", Escaped(status))?;
        if status == "401" && Some(response) == refusal(document) {
            page.push_str("The credential is <a href=\"#Sending-credentials\">refused</a>.</tr>");
            continue;
        }
        match object(&response["content"]["application/json"]["examples"]).next() {
            None => write_content(page, response)?,
            Some(_) => write_errors(page, document, response)?,
        }
        page.push_str("</tr>");
    }
    page.push_str("</table></details>");
    Ok(())
}

fn write_errors(page: &mut String, document: &Value, response: &Value) -> fmt::Result {
    for (name, _) in object(&response["content"]["application/json"]["examples"]) {
        let example = &document["components"]["examples"][name];
        let code = example["value"]["code"].as_u64().map(|code| format!("{code} ")).unwrap_or_default();
        write!(page, "<code>{code}{}</code> {}<br>", Escaped(name), Text(text(&example["summary"])))?;
    }
    Ok(())
}

fn write_content(page: &mut String, described: &Value) -> fmt::Result {
    write!(page, "{} ", Text(text(&described["description"])))?;
    for (kind, content) in object(&described["content"]) {
        write!(page, "<code>{}</code> ", Escaped(kind))?;
        schema::write_type(page, &content["schema"])?;
    }
    Ok(())
}

fn operations(document: &Value) -> impl Iterator<Item = Operation<'_>> {
    object(&document["paths"]).flat_map(|(path, item)| {
        object(item)
            .filter(|(_, operation)| operation.get("operationId").is_some())
            .map(move |(method, operation)| (path, method, operation))
    })
}

fn anchor(name: &str) -> String {
    name.replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_every_record_is_on_the_page_once() {
        let document = serde_json::json!(crate::api_document());
        let page = render(&document);
        assert!(operations(&document).count() > 20);
        for (path, method, operation) in operations(&document) {
            let mark = format!(" id=\"{}\"", text(&operation["operationId"]));
            assert_eq!(page.matches(&mark).count(), 1, "{method} {path} has a tag that no group of the page shows");
        }
        for (name, _) in object(&document["components"]["schemas"]) {
            assert_eq!(page.matches(&format!("id=\"record-{name}\"")).count(), 1, "{name}");
        }
    }

    #[test]
    fn every_fold_has_an_example_and_nothing_is_repeated() {
        let page = render(&serde_json::json!(crate::api_document()));
        assert_eq!(page.matches("<details").count(), page.matches("<h4>Example</h4><pre>curl ").count());
        assert_eq!(page.matches("/tasks/v1/api/{functionName}").count(), 1, "its methods share a fold");
        let refused = page.matches("INVALID_TOKEN").count();
        assert!(refused <= 2, "{refused}: the errors of credentials are said once");
        for word in ["Some(", "i64", "usize", "Option&lt;", "_is_", "start_timestamp"] {
            assert!(!page.contains(word), "the page has a word of the source: {word}");
        }
    }

    #[test]
    fn every_link_on_the_page_leads_somewhere() {
        let page = render(&serde_json::json!(crate::api_document()));
        for target in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(page.contains(&format!("id=\"{target}\"")), "#{target}");
        }
    }

    #[test]
    fn the_page_loads_nothing() {
        let page = render(&serde_json::json!(crate::api_document()));
        for part in ["<script", "src=", "http://", "https://", "@import", "url("] {
            assert!(!page.contains(part), "{part}");
        }
    }
}
