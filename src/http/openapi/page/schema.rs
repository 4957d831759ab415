//! How the page shows the types of values.

use std::fmt::{self, Write};

use serde_json::Value;

use super::{
    html::{Escaped, Text},
    json::{list, object, text},
};

/// Writes the fields of a record, one row each.
pub fn write_record(page: &mut String, schema: &Value) -> fmt::Result {
    write!(page, "<p>{}</p>", Text(text(&schema["description"])))?;
    let parts = list(&schema["allOf"]);
    if parts.is_empty() && schema.get("properties").is_none() {
        page.push_str("<p>");
        write_type(page, schema)?;
        page.push_str("</p>");
    }
    for part in parts {
        if part.get("$ref").is_some() {
            page.push_str("<p>All of ");
            write_type(page, part)?;
            page.push_str(", and:</p>");
        }
        write_fields(page, part)?;
    }
    write_fields(page, schema)
}

fn write_fields(page: &mut String, schema: &Value) -> fmt::Result {
    let mut fields = object(&schema["properties"]).peekable();
    if fields.peek().is_none() {
        return Ok(());
    }
    page.push_str("<table>");
    for (name, field) in fields {
        let required = list(&schema["required"]).iter().any(|required| required == name);
        let optional = if required { "" } else { " (optional)" };
        write!(page, "<tr><td><code>{}</code>{optional}<td>", Escaped(name))?;
        write_type(page, field)?;
        write!(page, "<td>{}</tr>", Text(text(&field["description"])))?;
    }
    page.push_str("</table>");
    Ok(())
}

/// Writes the type of a value in a few words.
pub fn write_type(page: &mut String, schema: &Value) -> fmt::Result {
    if let Some(name) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
        return write!(page, "<a href=\"#record-{0}\">{0}</a>", Escaped(name));
    }
    for (index, alternative) in list(&schema["oneOf"]).iter().enumerate() {
        page.push_str(if index == 0 { "" } else { " or " });
        write_type(page, alternative)?;
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>(),
        kind => vec![text(kind)],
    };
    write!(page, "{}", Escaped(&kinds.join(" or ")))?;
    if schema.get("items").is_some() {
        page.push_str(" of ");
        write_type(page, &schema["items"])?;
    }
    if schema["additionalProperties"].is_object() {
        page.push_str(", each value ");
        write_type(page, &schema["additionalProperties"])?;
    }
    if let Some(format) = schema["format"].as_str() {
        write!(page, " ({})", Escaped(format))?;
    }
    if let (Some(least), Some(most)) = (schema.get("minimum"), schema.get("maximum")) {
        write!(page, " from {least} to {most}")?;
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        write!(page, " <code>{}</code>", Escaped(pattern))?;
    }
    for (index, value) in list(&schema["enum"]).iter().enumerate() {
        write!(page, "{} <code>{}</code>", if index == 0 { ":" } else { "," }, Escaped(text(value)))?;
    }
    Ok(())
}
