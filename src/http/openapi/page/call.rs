//! What the script needs to know of an operation so that it can be tried.

use serde_json::{Value, json};

use super::{
    document::{Document, Operation},
    example,
    json::{list, text},
};

/// Operations besides DELETE that end or undo something, or that do it to many things at once.
const ASKED_ABOUT: [&str; 7] = [
    "cancelTask",
    "createBulk",
    "disableFunction",
    "removeRolePermissions",
    "removeUserRoles",
    "rollBackFunction",
    "setExecutionCredentials",
];

/// The description as JSON.
pub fn described(document: &Document<'_>, group: &[Operation<'_>]) -> String {
    let Some(operation) = group.first().copied() else { return String::new() };
    let parameters: Vec<_> = list(&operation.json["parameters"]).iter().map(|one| parameter(document, one)).collect();
    let body = operation.body().map(|(kind, _)| {
        let example = example::body(document, operation).map(|body| format!("{body:#}")).unwrap_or_default();
        json!({ "kind": kind, "example": example })
    });
    let methods: Vec<_> = group.iter().map(|operation| operation.method.to_uppercase()).collect();
    json!({
        "path": operation.path,
        "methods": methods,
        "parameters": parameters,
        "body": body,
        "asks": ASKED_ABOUT.contains(&operation.id()),
    })
    .to_string()
}

fn parameter(document: &Document<'_>, parameter: &Value) -> Value {
    let schema = document.resolve(&parameter["schema"]);
    let example = parameter.get("example").or_else(|| schema.get("example")).cloned().unwrap_or_default();
    json!({
        "name": parameter["name"],
        "in": parameter["in"],
        "required": parameter["required"] == true,
        "type": text(&schema["type"]),
        "least": schema["minimum"],
        "most": schema["maximum"],
        "example": example,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_before_it_is_sent_exists() {
        let api = json!(crate::api_document());
        let document = Document::new(&api);
        for id in ASKED_ABOUT {
            assert!(document.operations().any(|operation| operation.id() == id), "there is no operation {id}");
        }
    }

    #[test]
    fn a_call_is_described_with_its_parameters_and_its_body() {
        let api = json!(crate::api_document());
        let document = Document::new(&api);
        let of = |id: &str| {
            let operation = document.operations().find(|operation| operation.id() == id).unwrap();
            serde_json::from_str::<Value>(&described(&document, &[operation])).unwrap()
        };
        let create = of("createTask");
        assert_eq!((&create["methods"], &create["asks"]), (&json!(["POST"]), &json!(false)));
        let body = serde_json::from_str::<Value>(create["body"]["example"].as_str().unwrap()).unwrap();
        assert_eq!(body["functionName"], "invoices");
        let wait = &of("getTask")["parameters"][1];
        assert_eq!((&wait["name"], &wait["in"], &wait["most"]), (&json!("wait"), &json!("query"), &json!(25)));
        assert_eq!(of("cancelTask")["asks"], true);
    }
}
