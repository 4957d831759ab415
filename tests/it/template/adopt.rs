//! `infra/adopt`: a new stack takes over what a removed one has left.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::{Map, Value, json};

use super::{template, yaml};
use crate::support::{command::Ended, project::repository};

#[test]
fn everything_that_outlives_its_stack_can_be_adopted_as_it_is() {
    Ended::of(Command::new(repository().join("infra/adopt")).args(["jobs", "1234-abcd"])).expect(0);
    let made = |name: &str| fs::read_to_string(repository().join("target/adopt").join(name)).unwrap();
    let (all, part) = (template(), yaml::read(&made("template.yaml")));

    let all_resources = all["Resources"].as_object().unwrap().clone();
    let outlives = |resource: &Value| resource["DeletionPolicy"] == "RetainExceptOnCreate";
    let outliving: Map<_, _> = all_resources.into_iter().filter(|(_, resource)| outlives(resource)).collect();
    assert_eq!(part["Resources"], Value::Object(outliving.clone()));
    // CloudFormation refuses a template that refers to a parameter that it does not have.
    let parameters = ["Prefix", "KeyRotation"].map(|name| (name.to_owned(), all["Parameters"][name].clone()));
    assert_eq!(part["Parameters"], Value::Object(parameters.into_iter().collect()));

    let listed: Vec<Value> = serde_json::from_str(&made("resources.json")).unwrap();
    let listed: BTreeMap<_, _> =
        listed.iter().map(|it| (it["LogicalResourceId"].as_str().unwrap(), &it["ResourceIdentifier"])).collect();
    assert_eq!(listed.len(), outliving.len());
    for (name, resource) in &outliving {
        let identifier = match resource["Properties"]["TableName"]["Fn::Sub"].as_str() {
            Some(table) => json!({ "TableName": table.replace("${Prefix}", "jobs") }),
            None => json!({ "KeyId": "1234-abcd" }),
        };
        assert_eq!(listed[name.as_str()], &identifier, "{name}");
    }
}
