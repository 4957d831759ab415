//! Requests to DynamoDB and its responses, as JSON: what they concern, and changes to them.

use serde_json::{Value, json};

use crate::row::PREFIX;

/// Whether this write gives a Task that status.
pub fn sets_status(part: &Value, status: &str) -> bool {
    value(part, ":set_status") == Some(status)
}

/// Changes each row of the ledger of slots that this writes.
pub fn each_ledger_row(operation: &str, body: &mut Value, mut with: impl FnMut(&mut Value)) {
    each_part(operation, body, |part| {
        if part["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("slots:")) {
            with(part);
        }
    });
}

/// Changes who holds what in a row of the ledger.
pub fn rewrite_holders(part: &mut Value, rewrite: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let holders = part["Item"]["holders"]["S"].as_str().unwrap_or_default();
    let Ok(Value::Object(mut holders)) = serde_json::from_str(holders) else { return };
    rewrite(&mut holders);
    part["Item"]["holders"]["S"] = json!(Value::Object(holders).to_string());
}

/// Whether this writes or removes a page of the register of runs.
pub fn writes_register(body: &Value) -> bool {
    let of = |part: &Value| part["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("runs#"));
    of(&body["Item"]) || of(&body["Key"])
}

/// Whether the row is the gate of a flow key.
pub fn is_gate(item: &Value) -> bool {
    item["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("flow:"))
}

pub fn reads_function(operation: &str, body: &Value) -> bool {
    operation == "GetItem" && body["TableName"] == format!("{PREFIX}-functions").as_str()
}

/// Whether this is a query of a lane whose name begins like this.
pub fn is_query_of(body: &Value, lane: &str) -> bool {
    value(body, ":partition").is_some_and(|partition| partition.starts_with(lane))
}

/// A string among the values of its expressions.
pub fn value<'a>(part: &'a Value, name: &str) -> Option<&'a str> {
    part["ExpressionAttributeValues"][name]["S"].as_str()
}

/// A number, as DynamoDB writes it.
pub fn number(value: &Value) -> Option<i64> {
    value["N"].as_str()?.parse().ok()
}

/// Changes each part of a transaction, or the only part of another write.
pub fn each_part(operation: &str, body: &mut Value, mut with: impl FnMut(&mut Value)) {
    if operation != "TransactWriteItems" {
        return with(body);
    }
    for part in body["TransactItems"].as_array_mut().into_iter().flatten() {
        for (_, part) in part.as_object_mut().into_iter().flatten() {
            with(part);
        }
    }
}

/// Removes the rows of partitions with this prefix from what a transaction puts.
pub fn drop_puts(operation: &str, body: &mut Value, prefix: &str) {
    if operation != "TransactWriteItems" {
        return;
    }
    let is_dropped = |part: &Value| part["Put"]["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with(prefix));
    if let Some(parts) = body["TransactItems"].as_array_mut() {
        parts.retain(|part| !is_dropped(part));
    }
}

/// Removes an event from those that are to be published when a Task ends.
pub fn forget_event(operation: &str, body: &mut Value, event: &str) {
    each_part(operation, body, |part| {
        let Some(text) = value(part, ":set_unpublished") else { return };
        let mut events: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
        events.retain(|other| other != event);
        part["ExpressionAttributeValues"][":set_unpublished"]["S"] = json!(Value::Array(events).to_string());
    });
}

/// Removes the condition, and the names and values that only the condition uses: DynamoDB refuses unused ones.
pub fn drop_condition(part: &mut Value) {
    let Some(part) = part.as_object_mut() else { return };
    part.remove("ConditionExpression");
    let update = part.get("UpdateExpression").and_then(Value::as_str).unwrap_or_default().to_owned();
    for map in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
        if let Some(names) = part.get_mut(map).and_then(Value::as_object_mut) {
            names.retain(|name, _| update.split([' ', ',', '=']).any(|word| word == name));
        }
        if part.get(map).and_then(Value::as_object).is_some_and(serde_json::Map::is_empty) {
            part.remove(map);
        }
    }
}

/// Moves a time, and the key in a lane that is sorted by it.
pub fn shift(of: &mut Value, time: &str, key: &str, by: i64) {
    let Some(millis) = number(&of[time]) else { return };
    of[time]["N"] = json!((millis + by).to_string());
    let id = of[key]["S"].as_str().and_then(|key| key.split_once('.')).map(|(_, id)| id.to_owned());
    if let Some(id) = id {
        of[key]["S"] = json!(format!("{:015}.{id}", millis + by));
    }
}

/// Changes the Function in a response.
pub fn rewrite_record(answer: &mut Vec<u8>, rewrite: impl FnOnce(&mut Value)) {
    let mut whole: Value = serde_json::from_slice(answer).unwrap_or_default();
    let Some(record) = whole["Item"]["record"]["S"].as_str() else { return };
    let mut record: Value = serde_json::from_str(record).unwrap_or_default();
    rewrite(&mut record);
    whole["Item"]["record"]["S"] = json!(record.to_string());
    *answer = whole.to_string().into_bytes();
}

/// Replaces text in the Schedules of a response. Their records are strings, so that quotation marks are escaped.
pub fn rewrite_schedules(body: &Value, answer: &mut Vec<u8>, from: &str, to: &str) {
    let table = format!("{PREFIX}-schedules");
    if body["TableName"] == table.as_str() || body["RequestItems"][&table].is_object() {
        *answer = String::from_utf8_lossy(answer).replace(from, to).into_bytes();
    }
}
