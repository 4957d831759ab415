//! The tables that `create_tables` creates. `template.yaml` defines the same ones on AWS.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
        ScalarAttributeType, TableStatus, TimeToLiveSpecification,
    },
};

use super::{StoreError, error::failed, row::EXPIRES, table::Table};

const ACTION: &str = "create the tables";

/// The shape of a table. Its key consists of the strings `pk` and `sk`.
pub(super) struct Shape {
    pub(super) table: Table,
    pub(super) indexes: &'static [Index],
    /// Whether rows with the attribute `expires` are deleted when they expire.
    pub(super) ttl: bool,
}

/// A global secondary index with two strings as its key.
pub(super) struct Index {
    name: &'static str,
    partition: &'static str,
    sort: &'static str,
    /// The attributes in it besides the keys.
    projected: &'static [&'static str],
}

/// Tasks by lane. A claim needs the Function, a promotion the queue and the priority, and a restarted runner finds its
/// own Tasks.
pub(super) const TASK_LANES: Index =
    Index { name: "lane", partition: "lane", sort: "laneKey", projected: &["function", "queue", "priority", "runner"] };
/// Schedules by their next occurrence.
pub(super) const SCHEDULE_LANES: Index = Index { name: "lane", partition: "lane", sort: "laneKey", projected: &[] };
/// Records by their Function, then by id.
pub(super) const FUNCTION: Index = Index { name: "function", partition: "function", sort: "sk", projected: &[] };

impl Index {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }
}

/// Creates the table if it does not exist, and waits until it can be used.
pub(super) async fn ensure(shape: &Shape) -> Result<(), StoreError> {
    let (client, name) = (shape.table.client(), &**shape.table.name());
    let mut attributes = vec!["pk", "sk"];
    for index in shape.indexes {
        attributes.extend([index.partition, index.sort]);
    }
    attributes.sort_unstable();
    attributes.dedup();
    let mut request = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(keys("pk", "sk")?));
    for attribute in attributes {
        let definition = AttributeDefinition::builder()
            .attribute_name(attribute)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .map_err(|error| StoreError::unavailable(ACTION, error))?;
        request = request.attribute_definitions(definition);
    }
    for index in shape.indexes {
        request = request.global_secondary_indexes(to_index(index)?);
    }
    match request.send().await {
        Ok(_) => {}
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {}
        Err(error) => return Err(failed(ACTION, &error)),
    }
    wait_until_active(client, name).await?;
    if shape.ttl { turn_ttl_on(client, name).await } else { Ok(()) }
}

async fn wait_until_active(client: &Client, name: &str) -> Result<(), StoreError> {
    const TRIES: u32 = 120;
    for tries in 0..TRIES {
        let answer = client.describe_table().table_name(name).send().await.map_err(|error| failed(ACTION, &error))?;
        if answer.table.and_then(|table| table.table_status) == Some(TableStatus::Active) {
            return Ok(());
        }
        if tries + 1 < TRIES {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Err(StoreError::unavailable(ACTION, format!("the table {name} did not become active within a minute")))
}

async fn turn_ttl_on(client: &Client, name: &str) -> Result<(), StoreError> {
    let answer =
        client.describe_time_to_live().table_name(name).send().await.map_err(|error| failed(ACTION, &error))?;
    let attribute = answer.time_to_live_description.and_then(|ttl| ttl.attribute_name);
    if attribute.as_deref() == Some(EXPIRES) {
        return Ok(());
    }
    let specification = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name(EXPIRES)
        .build()
        .map_err(|error| StoreError::unavailable(ACTION, error))?;
    let request = client.update_time_to_live().table_name(name).time_to_live_specification(specification);
    request.send().await.map_err(|error| failed(ACTION, &error))?;
    Ok(())
}

fn to_index(index: &Index) -> Result<GlobalSecondaryIndex, StoreError> {
    let projection = match index.projected {
        [] => Projection::builder().projection_type(ProjectionType::KeysOnly),
        attributes => Projection::builder()
            .projection_type(ProjectionType::Include)
            .set_non_key_attributes(Some(attributes.iter().map(|name| (*name).to_owned()).collect())),
    };
    GlobalSecondaryIndex::builder()
        .index_name(index.name)
        .set_key_schema(Some(keys(index.partition, index.sort)?))
        .projection(projection.build())
        .build()
        .map_err(|error| StoreError::unavailable(ACTION, error))
}

fn keys(partition: &str, sort: &str) -> Result<Vec<KeySchemaElement>, StoreError> {
    [(partition, KeyType::Hash), (sort, KeyType::Range)]
        .into_iter()
        .map(|(name, kind)| KeySchemaElement::builder().attribute_name(name).key_type(kind).build())
        .collect::<Result<_, _>>()
        .map_err(|error| StoreError::unavailable(ACTION, error))
}
