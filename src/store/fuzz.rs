//! Fuzzes the reading of rows that another version, another tool or a fault left in the tables.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value as Json;

use super::{
    QueueLane, StoreError, accounts, api_requests, credentials, days, functions, holders,
    list::public,
    row::{Attributes, Row},
    schedules, shifts, slots,
    tasks::{DataPlace, queue, row as task},
};

/// The content of environments and sealed secrets in the corpus. No error may quote it.
const SECRET: &str = "c2VhbGVkIHNlY3JldA==";

/// Reads the input as two lines: the kind of row, and the row in DynamoDB's JSON.
///
/// A row is either read, or yields an error that names the table. A Task that was read is written as a row that reads
/// the same, so that an older row survives all changes; and its public form is JSON.
pub fn rows(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((kind, json)) = text.split_once('\n') else { return };
    let Ok(Json::Object(json)) = serde_json::from_str::<Json>(json) else { return };
    let hidden = only_secrets_have_the_secret(kind, &json);
    let check_error = |error: &StoreError| check_error(hidden, error);
    let attributes: Attributes =
        json.iter().filter_map(|(name, value)| Some((name.clone(), attribute(value, 0)?))).collect();
    let table: Arc<str> = Arc::from("fuzz-table");
    let projected = Row::projected(&table, attributes.clone());
    let _ = queue::candidate(&QueueLane::Shared, &projected).map_err(|error| check_error(&error));
    let Ok(row) = Row::read(&table, attributes).map_err(|error| check_error(&error)) else { return };
    let error = match kind {
        "task" => read_task(&table, &row).err(),
        "function" => functions::read(&row).err(),
        "schedule" => schedules::row::read(&row).and_then(|read| public(&row, &read.schedule)).err(),
        "api-request" => api_requests::read(&row).and_then(|read| public(&row, &read)).err(),
        "credential" => {
            credentials::read(&row).map(|read| assert!(!hidden || !format!("{read:?}").contains(SECRET))).err()
        }
        "role" => accounts::read_role(&row).map(|role| role.permissions.granted()).err(),
        "account" => {
            accounts::read_account(&row).map(|read| assert!(!hidden || !format!("{read:?}").contains(SECRET))).err()
        }
        "slots" => holders::read::<slots::Held>(&row).err(),
        "slot-part" => slots::PartRow::read(&row).err(),
        "shifts" => holders::read::<shifts::LongShift>(&row).err(),
        "day" => days::read_day(&row).map(|read| read.partitions().count()).err(),
        _ => None,
    };
    error.iter().for_each(check_error);
}

fn read_task(table: &Arc<str>, row: &Row) -> Result<(), StoreError> {
    let read = task::read(row)?;
    public(row, &read.task)?;
    let written = task::of_task("2026-01-01#0", &read.task, read.queue, DataPlace::Inside).into_attributes();
    let again = Row::read(table, written).and_then(|row| task::read(&row));
    match again {
        Ok(again) => assert_eq!((again.task, again.queue), (read.task, read.queue)),
        Err(error) => panic!("{:?} was read, and what is written of it cannot be: {error}", read.task),
    }
    Ok(())
}

/// Whether the secret is only where rows of this kind keep secrets: names may be quoted in errors.
fn only_secrets_have_the_secret(kind: &str, row: &serde_json::Map<String, Json>) -> bool {
    let count = |value: &Json| value.to_string().matches(SECRET).count();
    let in_secrets: usize = match kind {
        "function" => {
            let record = row.get("record").and_then(|record| record["S"].as_str());
            let Some(record) = record.and_then(|text| serde_json::from_str::<Json>(text).ok()) else { return false };
            let values = record["environment"].as_object().into_iter().flat_map(|variables| variables.values());
            values.map(count).sum()
        }
        "account" => row.get("password").map(count).into_iter().sum(),
        "credential" => ["consumerSecret", "tokenSecret"].iter().filter_map(|name| row.get(*name)).map(count).sum(),
        _ => return false,
    };
    let everywhere: usize = row.values().map(count).sum();
    in_secrets == everywhere
}

fn check_error(hidden: bool, error: &StoreError) {
    match error {
        StoreError::Corrupt { table, why, .. } => {
            assert_eq!(table, "fuzz-table");
            assert!(!hidden || !why.contains(SECRET), "it quotes a secret: {error}");
        }
        StoreError::Unavailable { .. }
        | StoreError::Throttled { .. }
        | StoreError::Contended { .. }
        | StoreError::TooLarge { .. }
        | StoreError::QueryBudget { .. } => panic!("a row that was read ends in: {error}"),
    }
}

/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html>
fn attribute(value: &Json, depth: usize) -> Option<AttributeValue> {
    if depth > 32 {
        return None;
    }
    let (kind, value) = value.as_object()?.iter().next()?;
    let bytes = |value: &Json| BASE64_STANDARD.decode(value.as_str()?).ok().map(Blob::new);
    let texts = || value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
    Some(match kind.as_str() {
        "S" => AttributeValue::S(value.as_str()?.to_owned()),
        "N" => AttributeValue::N(value.as_str()?.to_owned()),
        "B" => AttributeValue::B(bytes(value)?),
        "BOOL" => AttributeValue::Bool(value.as_bool()?),
        "NULL" => AttributeValue::Null(true),
        "SS" => AttributeValue::Ss(texts()?),
        "NS" => AttributeValue::Ns(texts()?),
        "L" => AttributeValue::L(value.as_array()?.iter().filter_map(|value| attribute(value, depth + 1)).collect()),
        "M" => {
            let fields = value.as_object()?.iter();
            let fields = fields.filter_map(|(name, value)| Some((name.clone(), attribute(value, depth + 1)?)));
            AttributeValue::M(fields.collect::<HashMap<_, _>>())
        }
        _ => return None,
    })
}
