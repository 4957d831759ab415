//! How the page shows the types of values, in the words of the API.

use maud::{Markup, html};
use serde_json::Value;

use super::{
    document::{Document, reference},
    json::{list, object, text},
    text::{paragraphs, prose},
};

/// Number formats tell how a program stores a number, which is nothing to a caller.
const FORMATS_OF_STORAGE: [&str; 6] = ["int32", "int64", "uint32", "uint64", "float", "double"];

/// The type of what has no type.
const ANYTHING: &str = "any JSON";

/// What a record is for, and its fields.
pub fn record(document: &Document<'_>, schema: &Value) -> Markup {
    let parts = list(&schema["allOf"]);
    html! {
        (paragraphs(text(&schema["description"])))
        @if parts.is_empty() && schema.get("properties").is_none() { p { (kind(document, schema)) } }
        @for part in parts {
            @if part.get("$ref").is_some() { p { "All of " (kind(document, part)) ", and:" } }
            (fields(document, part))
        }
        (fields(document, schema))
    }
}

fn fields(document: &Document<'_>, schema: &Value) -> Markup {
    let required = list(&schema["required"]);
    let mut all = object(&schema["properties"]).peekable();
    html! {
        @if all.peek().is_some() {
            dl {
                @for (name, field) in all {
                    (value(document, name, "", required.iter().any(|required| required == name), field, about(field)))
                }
            }
        }
    }
}

/// One line about a field or a parameter: its name, whether it must be there, its type, its default and what it means.
pub fn value(
    document: &Document<'_>,
    name: &str,
    place: &str,
    is_required: bool,
    schema: &Value,
    about: &str,
) -> Markup {
    let (default, rest) = split_default(about);
    let default = match schema.get("default").filter(|default| !default.is_null()) {
        Some(default) => Some(format!("Default: `{default}`.")),
        None => default.map(str::to_owned),
    };
    html! {
        div {
            dt {
                code { (name) } " "
                @if !place.is_empty() { span.in { "in the " (place) } " " }
                @if is_required { strong.must { "required" } } @else { span.may { "optional" } }
            }
            dd {
                (kind(document, schema))
                @if let Some(default) = default { " " span.default { (prose(&default)) } }
                @if !rest.trim().is_empty() { div { (prose(rest.trim())) } }
            }
        }
    }
}

/// What a field means. A field that may be `null` has it beside its real type.
fn about(field: &Value) -> &str {
    let own = field["description"].as_str();
    let of_choice = || list(&field["oneOf"]).iter().find_map(|choice| choice["description"].as_str());
    own.or_else(of_choice).unwrap_or_default()
}

/// The sentence about the default, and the text without it.
fn split_default(about: &str) -> (Option<&str>, String) {
    let Some(from) = about.find("Default: ") else { return (None, about.to_owned()) };
    let sentence = &about[from..];
    let length = sentence.find(". ").map_or(sentence.len(), |end| end + 1);
    let rest = format!("{}{}", &about[..from], sentence[length..].trim_start());
    (Some(&sentence[..length]), rest)
}

/// The type of a value in a few words, with its bounds.
pub fn kind(document: &Document<'_>, schema: &Value) -> Markup {
    if let Some(name) = reference(schema) {
        let target = document.resolve(schema);
        let is_simple =
            target["type"].is_string() && target.get("properties").is_none() && target.get("allOf").is_none();
        let is_anything = ["type", "oneOf", "allOf", "properties"].iter().all(|key| target.get(key).is_none());
        return html! {
            a href={ "#record-" (name) } { (if is_anything { ANYTHING } else { name }) }
            @if is_simple { ": " (kind(document, target)) }
        };
    }
    let choices = list(&schema["oneOf"]);
    html! {
        @for (index, choice) in choices.iter().enumerate() {
            @if index > 0 { " or " }
            (kind(document, choice))
        }
        (names(schema))
        @if schema.get("items").is_some() { " of " (kind(document, &schema["items"])) }
        @if schema["additionalProperties"].is_object() { ", each value " (kind(document, &schema["additionalProperties"])) }
        (bounds(schema))
        @for (index, value) in list(&schema["enum"]).iter().enumerate() {
            @if index == 0 { ": " } @else { ", " }
            code { (text(value)) }
        }
        // A record without a name of its own.
        @if schema.get("properties").is_some() && schema["type"] == "object" { (fields(document, schema)) }
    }
}

fn names(schema: &Value) -> String {
    let word = |kind: &Value| match text(kind) {
        "array" => "list".to_owned(),
        kind => kind.to_owned(),
    };
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(word).collect::<Vec<_>>().join(" or "),
        Value::Null if ["oneOf", "allOf", "anyOf"].iter().all(|key| schema.get(key).is_none()) => ANYTHING.to_owned(),
        kind => word(kind),
    }
}

fn bounds(schema: &Value) -> Markup {
    let between = |least: &str, most: &str, unit: &str| match (schema[least].as_f64(), schema[most].as_f64()) {
        (None, None) => None,
        (Some(least), None) if least == 0.0 && unit.is_empty() => Some("at least 0".to_owned()),
        (Some(least), None) => Some(format!("at least {least}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
    };
    let lengths = [
        between("minimum", "maximum", ""),
        between("minLength", "maxLength", " characters"),
        between("minItems", "maxItems", " entries"),
        schema["multipleOf"].as_f64().map(|of| format!("a multiple of {of}")),
    ];
    let format = schema["format"].as_str().filter(|format| !FORMATS_OF_STORAGE.contains(format));
    html! {
        @if let Some(format) = format { " (" (format) ")" }
        @for length in lengths.into_iter().flatten() { ", " (length) }
        @if let Some(pattern) = schema["pattern"].as_str() { ", " code { (pattern) } }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(schema: &Value) -> String {
        let api = json!({ "components": { "schemas": {
            "Seconds": { "type": "integer", "format": "int64", "minimum": 3, "maximum": 300 },
            "Record": { "type": "object", "properties": {} },
            "Json": { "description": "Kept as it was written." },
        } } });
        let html = kind(&Document::new(&api), schema).into_string();
        let mut text = String::new();
        let mut rest = html.as_str();
        while let Some((before, tag)) = rest.split_once('<') {
            text.push_str(before);
            rest = tag.split_once('>').map_or("", |(_, rest)| rest);
        }
        text + rest
    }

    #[test]
    fn a_type_is_said_in_words_with_its_bounds() {
        for (schema, text) in [
            (json!({ "$ref": "#/components/schemas/Record" }), "Record"),
            (json!({ "$ref": "#/components/schemas/Json" }), "any JSON"),
            (
                json!({ "oneOf": [{ "$ref": "#/components/schemas/Seconds" }, { "type": "null" }] }),
                "Seconds: integer, 3 to 300 or null",
            ),
            (json!({ "type": "string", "maxLength": 256 }), "string, at most 256 characters"),
            (json!({ "type": ["boolean", "null"] }), "boolean or null"),
            (json!({ "type": "integer", "format": "int64", "minimum": 0 }), "integer, at least 0"),
            (json!({ "type": "string", "format": "date-time" }), "string (date-time)"),
            (
                json!({ "type": "array", "items": { "type": "string" }, "maxItems": 50 }),
                "list of string, at most 50 entries",
            ),
            (json!({ "type": "string", "enum": ["allow", "skip"] }), "string: allow, skip"),
            (json!({ "type": "object", "additionalProperties": { "type": "string" } }), "object, each value string"),
            (
                json!({ "type": "integer", "multipleOf": 60, "minimum": 60, "maximum": 600 }),
                "integer, 60 to 600, a multiple of 60",
            ),
            (json!({ "description": "Whatever." }), "any JSON"),
        ] {
            assert_eq!(shown(&schema), text, "{schema}");
        }
    }

    #[test]
    fn a_default_stands_apart_from_what_a_field_means() {
        let split = |text| split_default(text);
        assert_eq!(split("In MB. Default: 128."), (Some("Default: 128."), "In MB. ".to_owned()));
        assert_eq!(split("Default: `a.b`. And so on."), (Some("Default: `a.b`."), "And so on.".to_owned()));
        assert_eq!(split("Nothing."), (None, "Nothing.".to_owned()));
        let api = json!({});
        let schema = json!({ "type": "integer", "default": 3 });
        let html = value(&Document::new(&api), "count", "query", false, &schema, "How many.").into_string();
        assert!(html.contains("optional") && html.contains("Default: <code>3</code>."), "{html}");
    }

    #[test]
    fn a_field_that_may_be_null_says_what_it_means() {
        let field = json!({ "oneOf": [{ "type": "string", "description": "Its name." }, { "type": "null" }] });
        assert_eq!(about(&field), "Its name.");
    }
}
