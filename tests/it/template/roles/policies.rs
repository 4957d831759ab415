//! The permissions of the roles in `template.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Actions, each with its resources.
pub type Grants = BTreeMap<String, BTreeSet<String>>;

/// The actions of a role with their resources, as the template writes them.
pub fn of_role(template: &Value, role: &str) -> Grants {
    let resources = &template["Resources"];
    let properties = &resources[role]["Properties"];
    let mut grants = Grants::new();
    for policy in properties["Policies"].as_array().into_iter().flatten() {
        add(&mut grants, &policy["PolicyDocument"]);
    }
    for managed in properties["ManagedPolicyArns"].as_array().into_iter().flatten() {
        // Any other policy is a parameter, which the operator sets.
        if let Some(name) = managed["Ref"].as_str() {
            add(&mut grants, &resources[name]["Properties"]["PolicyDocument"]);
        }
    }
    grants
}

fn add(grants: &mut Grants, document: &Value) {
    for statement in document["Statement"].as_array().unwrap() {
        let statement = match statement.get("Fn::If") {
            // A statement under a condition is treated as granted.
            Some(either) => {
                assert_eq!(either[2], serde_json::json!({ "Ref": "AWS::NoValue" }), "a statement with an alternative");
                &either[1]
            }
            None => statement,
        };
        assert_eq!(statement["Effect"], "Allow");
        for action in texts(&statement["Action"]) {
            let resources =
                statement["Resource"].as_array().cloned().unwrap_or_else(|| vec![statement["Resource"].clone()]);
            grants.entry(action).or_default().extend(resources.iter().map(resource));
        }
    }
}

fn texts(one_or_more: &Value) -> Vec<String> {
    match one_or_more {
        Value::String(text) => vec![text.clone()],
        Value::Array(texts) => texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect(),
        other => panic!("{other} is not an action"),
    }
}

/// A resource as people write it: `WakeupQueue`, `${CodeBucket}/code/*`, `table/${Prefix}-*`.
fn resource(resource: &Value) -> String {
    const ACCOUNT: &str = "${AWS::Region}:${AWS::AccountId}:";
    if let Some(attribute) = resource["Fn::GetAtt"].as_array() {
        assert_eq!(attribute[1], "Arn");
        return attribute[0].as_str().unwrap().to_owned();
    }
    if let Some(text) = resource["Fn::Sub"].as_str() {
        return text.split_once(ACCOUNT).map_or(text, |(_, own)| own).replace(".Arn}", "}");
    }
    resource.as_str().unwrap_or_else(|| panic!("{resource} is not a resource")).to_owned()
}
