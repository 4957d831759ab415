//! The tables of `template.yaml` equal those that the store creates itself.

use std::{collections::BTreeMap, sync::Arc};

use aws_sdk_dynamodb::{
    Client,
    types::{KeySchemaElement, Projection},
};
use serde_json::{Value, json};
use tasklane::{
    aws::operator::EXPIRING_TABLES,
    local::database,
    ports::{SystemChance, SystemClock},
    store::{Store, StoreConfig},
};

use super::{resources, template};

const PREFIX: &str = "tasklane";

#[tokio::test]
async fn the_tables_of_the_template_equal_those_of_the_store() {
    let connection = database::memory();
    let store = Store::new(connection.clone(), StoreConfig::new(PREFIX), Arc::new(SystemClock), &SystemChance);
    store.create_tables().await.unwrap();
    let mut made = BTreeMap::new();
    for (name, _) in store.tables() {
        let shape = described(connection.client(), &name).await;
        made.insert(name, shape);
    }
    assert_eq!(in_template(), made, "left: template.yaml, right: src/store/schema.rs");
}

#[test]
fn tables_outlive_the_stack_and_accidental_deletions() {
    for (name, table) in resources(&template(), "AWS::DynamoDB::Table") {
        // But not a first deployment that failed: its tables would block the second one.
        assert_eq!(table["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
        assert_eq!(table["UpdateReplacePolicy"], "Retain", "{name}");
        let recovery = &table["Properties"]["PointInTimeRecoverySpecification"];
        assert_eq!(recovery["PointInTimeRecoveryEnabled"], true, "{name}");
    }
}

/// Otherwise `tasklane doctor` would not see that a restored table has lost its setting.
#[test]
fn the_doctor_knows_which_tables_rows_expire() {
    let tables = resources(&template(), "AWS::DynamoDB::Table");
    let expiring = tables.values().filter(|table| !table["Properties"]["TimeToLiveSpecification"].is_null());
    let mut names: Vec<_> =
        expiring.map(|table| table["Properties"]["TableName"]["Fn::Sub"].as_str().unwrap().to_owned()).collect();
    names.sort();
    let mut known: Vec<_> = EXPIRING_TABLES.iter().map(|table| format!("${{Prefix}}-{table}")).collect();
    known.sort();
    assert_eq!(names, known);
}

/// The shapes of the template's tables, by their names in a stack with this prefix.
fn in_template() -> BTreeMap<String, Value> {
    let tables = resources(&template(), "AWS::DynamoDB::Table");
    let shape = |table: &Value| {
        let properties = &table["Properties"];
        let name = properties["TableName"]["Fn::Sub"].as_str().unwrap().replace("${Prefix}", PREFIX);
        let attributes = properties["AttributeDefinitions"].as_array().unwrap().iter();
        let attributes: BTreeMap<_, _> =
            attributes.map(|it| (it["AttributeName"].as_str().unwrap(), &it["AttributeType"])).collect();
        let indexes = properties["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
        let indexes: BTreeMap<_, _> = indexes
            .map(|index| {
                let projection = &index["Projection"];
                let others = projection["NonKeyAttributes"].as_array().cloned().unwrap_or_default();
                let shape = json!({
                    "keys": index["KeySchema"],
                    "projects": projection["ProjectionType"],
                    "others": sorted(others),
                });
                (index["IndexName"].as_str().unwrap(), shape)
            })
            .collect();
        let ttl = &properties["TimeToLiveSpecification"];
        assert_ne!(ttl["Enabled"], false, "{name}: the TTL is not enabled");
        let shape = json!({
            "billing": properties["BillingMode"],
            "keys": properties["KeySchema"],
            "attributes": attributes,
            "indexes": indexes,
            "expires by": ttl["AttributeName"],
        });
        (name, shape)
    };
    tables.values().map(shape).collect()
}

async fn described(client: &Client, name: &str) -> Value {
    let table = client.describe_table().table_name(name).send().await.unwrap().table.unwrap();
    let attributes: BTreeMap<_, _> =
        table.attribute_definitions().iter().map(|it| (it.attribute_name(), it.attribute_type().as_str())).collect();
    let indexes: BTreeMap<_, _> = table
        .global_secondary_indexes()
        .iter()
        .map(|index| {
            let projection = index.projection().unwrap();
            let shape = json!({
                "keys": keys(index.key_schema()),
                "projects": projection.projection_type().unwrap().as_str(),
                "others": others(projection),
            });
            (index.index_name().unwrap(), shape)
        })
        .collect();
    let ttl = client.describe_time_to_live().table_name(name).send().await.unwrap().time_to_live_description;
    json!({
        "billing": table.billing_mode_summary().unwrap().billing_mode().unwrap().as_str(),
        "keys": keys(table.key_schema()),
        "attributes": attributes,
        "indexes": indexes,
        "expires by": ttl.and_then(|ttl| ttl.attribute_name),
    })
}

fn keys(schema: &[KeySchemaElement]) -> Value {
    schema
        .iter()
        .map(|key| json!({ "AttributeName": key.attribute_name(), "KeyType": key.key_type().as_str() }))
        .collect()
}

fn others(projection: &Projection) -> Value {
    sorted(projection.non_key_attributes().iter().map(|name| json!(name)).collect())
}

fn sorted(mut names: Vec<Value>) -> Value {
    names.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    Value::Array(names)
}
