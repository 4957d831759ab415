//! `template.yaml`, compared with the code that it deploys.

mod adopt;
mod alarms;
mod bill;
mod dispatcher;
mod doctor;
mod roles;
mod tables;
mod ticker;
mod yaml;

use std::{fs, path::Path};

use serde_json::{Map, Value};

/// The root of the source tree.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the source tree, by its path from the root.
fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// `template.yaml` as CloudFormation's JSON.
fn template() -> Value {
    yaml::read(&text_of("template.yaml"))
}

/// The resources of one type, by their logical names.
fn resources<'a>(template: &'a Value, kind: &str) -> Map<String, Value> {
    let all: &'a Map<String, Value> = template["Resources"].as_object().unwrap();
    all.iter().filter(|(_, resource)| resource["Type"] == kind).map(|(name, it)| (name.clone(), it.clone())).collect()
}
