//! Requests and answers as DynamoDB's API has them over HTTP.
//!
//! The SDK can write requests and read answers; the other way round is here. A request with a field that is not listed is none of
//! this engine's.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::{
        batch_get_item::{BatchGetItemInput, BatchGetItemOutput},
        delete_item::{DeleteItemInput, DeleteItemOutput},
        get_item::{GetItemInput, GetItemOutput},
        put_item::{PutItemInput, PutItemOutput},
        query::{QueryInput, QueryOutput},
        transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput},
        update_item::{UpdateItemInput, UpdateItemOutput},
    },
    types::{CancellationReason, Delete, KeysAndAttributes, Put, TransactWriteItem, Update},
};
use serde::Deserialize;

use super::{
    Operation,
    item::{Attributes, Item, write},
};

/// An operation that arrives over the wire.
pub(in super::super) trait Wire: Operation {
    /// `None` if the request has something that this engine does not know.
    fn read(body: &[u8]) -> Option<Self>
    where
        Self: Sized;

    /// The body of the answer.
    fn write(answer: &Self::Answer) -> Option<Vec<u8>>;
}

/// An operation with a body of this shape.
trait Body: for<'de> Deserialize<'de> {
    type Input;

    fn input(self) -> Option<Self::Input>;
}

fn read<B: Body>(body: &[u8]) -> Option<B::Input> {
    serde_json::from_slice::<B>(body).ok()?.input()
}

/// Finishes what has a condition, with the fields that its body has for it.
macro_rules! conditional {
    ($body:expr, $builder:expr) => {
        $builder
            .set_condition_expression($body.condition_expression)
            .set_expression_attribute_names($body.expression_attribute_names)
            .set_expression_attribute_values(attributes($body.expression_attribute_values))
            .set_return_values_on_condition_check_failure(
                $body.return_values_on_condition_check_failure.as_deref().map(Into::into),
            )
            .build()
            .ok()
    };
}

fn attributes(item: Option<Item>) -> Option<Attributes> {
    item.map(|Item(item)| item)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetBody {
    table_name: String,
    key: Item,
    consistent_read: Option<bool>,
}

impl Body for GetBody {
    type Input = GetItemInput;

    fn input(self) -> Option<GetItemInput> {
        let input = GetItemInput::builder().table_name(self.table_name).set_key(Some(self.key.0));
        input.set_consistent_read(self.consistent_read).build().ok()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BatchGetBody {
    request_items: HashMap<String, KeysBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeysBody {
    keys: Vec<Item>,
    consistent_read: Option<bool>,
}

impl Body for BatchGetBody {
    type Input = BatchGetItemInput;

    fn input(self) -> Option<BatchGetItemInput> {
        let mut input = BatchGetItemInput::builder();
        for (table, wanted) in self.request_items {
            let keys = wanted.keys.into_iter().map(|Item(key)| key).collect();
            let keys = KeysAndAttributes::builder().set_keys(Some(keys)).set_consistent_read(wanted.consistent_read);
            input = input.request_items(table, keys.build().ok()?);
        }
        input.build().ok()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct QueryBody {
    table_name: String,
    index_name: Option<String>,
    key_condition_expression: Option<String>,
    filter_expression: Option<String>,
    expression_attribute_names: Option<HashMap<String, String>>,
    expression_attribute_values: Option<Item>,
    consistent_read: Option<bool>,
    scan_index_forward: Option<bool>,
    limit: Option<i32>,
    select: Option<String>,
    exclusive_start_key: Option<Item>,
}

impl Body for QueryBody {
    type Input = QueryInput;

    fn input(self) -> Option<QueryInput> {
        QueryInput::builder()
            .table_name(self.table_name)
            .set_index_name(self.index_name)
            .set_key_condition_expression(self.key_condition_expression)
            .set_filter_expression(self.filter_expression)
            .set_expression_attribute_names(self.expression_attribute_names)
            .set_expression_attribute_values(attributes(self.expression_attribute_values))
            .set_consistent_read(self.consistent_read)
            .set_scan_index_forward(self.scan_index_forward)
            .set_limit(self.limit)
            .set_select(self.select.as_deref().map(Into::into))
            .set_exclusive_start_key(attributes(self.exclusive_start_key))
            .build()
            .ok()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutBody {
    table_name: String,
    item: Item,
    condition_expression: Option<String>,
    expression_attribute_names: Option<HashMap<String, String>>,
    expression_attribute_values: Option<Item>,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
}

impl Body for PutBody {
    type Input = PutItemInput;

    fn input(self) -> Option<PutItemInput> {
        let input = PutItemInput::builder().table_name(self.table_name).set_item(Some(self.item.0));
        let returned = self.return_values.as_deref().map(Into::into);
        conditional!(self, input.set_return_values(returned))
    }
}

impl PutBody {
    /// As a part of a transaction.
    fn part(self) -> Option<Put> {
        let none = self.return_values.is_none();
        let part = Put::builder().table_name(self.table_name).set_item(Some(self.item.0));
        conditional!(self, part).filter(|_| none)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UpdateBody {
    table_name: String,
    key: Item,
    update_expression: String,
    condition_expression: Option<String>,
    expression_attribute_names: Option<HashMap<String, String>>,
    expression_attribute_values: Option<Item>,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
}

impl Body for UpdateBody {
    type Input = UpdateItemInput;

    fn input(self) -> Option<UpdateItemInput> {
        let input = UpdateItemInput::builder()
            .table_name(self.table_name)
            .set_key(Some(self.key.0))
            .update_expression(self.update_expression);
        let returned = self.return_values.as_deref().map(Into::into);
        conditional!(self, input.set_return_values(returned))
    }
}

impl UpdateBody {
    /// As a part of a transaction.
    fn part(self) -> Option<Update> {
        let none = self.return_values.is_none();
        let part = Update::builder()
            .table_name(self.table_name)
            .set_key(Some(self.key.0))
            .update_expression(self.update_expression);
        conditional!(self, part).filter(|_| none)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteBody {
    table_name: String,
    key: Item,
    condition_expression: Option<String>,
    expression_attribute_names: Option<HashMap<String, String>>,
    expression_attribute_values: Option<Item>,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
}

impl Body for DeleteBody {
    type Input = DeleteItemInput;

    fn input(self) -> Option<DeleteItemInput> {
        let input = DeleteItemInput::builder().table_name(self.table_name).set_key(Some(self.key.0));
        let returned = self.return_values.as_deref().map(Into::into);
        conditional!(self, input.set_return_values(returned))
    }
}

impl DeleteBody {
    /// As a part of a transaction.
    fn part(self) -> Option<Delete> {
        let none = self.return_values.is_none();
        let part = Delete::builder().table_name(self.table_name).set_key(Some(self.key.0));
        conditional!(self, part).filter(|_| none)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TransactBody {
    transact_items: Vec<PartBody>,
    client_request_token: Option<String>,
}

#[derive(Deserialize)]
enum PartBody {
    Put(PutBody),
    Update(UpdateBody),
    Delete(DeleteBody),
}

impl Body for TransactBody {
    type Input = TransactWriteItemsInput;

    fn input(self) -> Option<TransactWriteItemsInput> {
        let mut input = TransactWriteItemsInput::builder().set_client_request_token(self.client_request_token);
        for part in self.transact_items {
            let item = TransactWriteItem::builder();
            input = input.transact_items(match part {
                PartBody::Put(put) => item.put(put.part()?).build(),
                PartBody::Update(update) => item.update(update.part()?).build(),
                PartBody::Delete(delete) => item.delete(delete.part()?).build(),
            });
        }
        input.build().ok()
    }
}

impl Wire for GetItemInput {
    fn read(body: &[u8]) -> Option<Self> {
        read::<GetBody>(body)
    }

    fn write(answer: &GetItemOutput) -> Option<Vec<u8>> {
        with_item("Item", answer.item.as_ref())
    }
}

impl Wire for BatchGetItemInput {
    fn read(body: &[u8]) -> Option<Self> {
        read::<BatchGetBody>(body)
    }

    fn write(answer: &BatchGetItemOutput) -> Option<Vec<u8>> {
        let mut json = b"{\"Responses\":{".to_vec();
        for (index, (table, items)) in answer.responses.iter().flatten().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            serde_json::to_writer(&mut json, table).ok()?;
            json.push(b':');
            list(&mut json, items)?;
        }
        json.extend(b"},\"UnprocessedKeys\":{}}");
        Some(json)
    }
}

impl Wire for QueryInput {
    fn read(body: &[u8]) -> Option<Self> {
        read::<QueryBody>(body)
    }

    fn write(answer: &QueryOutput) -> Option<Vec<u8>> {
        let mut json = format!("{{\"Count\":{},\"ScannedCount\":{}", answer.count, answer.scanned_count).into_bytes();
        if let Some(items) = &answer.items {
            json.extend(b",\"Items\":");
            list(&mut json, items)?;
        }
        if let Some(key) = &answer.last_evaluated_key {
            json.extend(b",\"LastEvaluatedKey\":");
            write(&mut json, key)?;
        }
        json.push(b'}');
        Some(json)
    }
}

impl Wire for PutItemInput {
    fn read(body: &[u8]) -> Option<Self> {
        read::<PutBody>(body)
    }

    fn write(_: &PutItemOutput) -> Option<Vec<u8>> {
        with_item("Attributes", None)
    }
}

impl Wire for UpdateItemInput {
    fn read(body: &[u8]) -> Option<Self> {
        read::<UpdateBody>(body)
    }

    fn write(answer: &UpdateItemOutput) -> Option<Vec<u8>> {
        with_item("Attributes", answer.attributes.as_ref())
    }
}

impl Wire for DeleteItemInput {
    fn read(body: &[u8]) -> Option<Self> {
        read::<DeleteBody>(body)
    }

    fn write(answer: &DeleteItemOutput) -> Option<Vec<u8>> {
        with_item("Attributes", answer.attributes.as_ref())
    }
}

impl Wire for TransactWriteItemsInput {
    fn read(body: &[u8]) -> Option<Self> {
        read::<TransactBody>(body)
    }

    fn write(_: &TransactWriteItemsOutput) -> Option<Vec<u8>> {
        with_item("Attributes", None)
    }
}

fn with_item(name: &str, item: Option<&Attributes>) -> Option<Vec<u8>> {
    let mut json = b"{".to_vec();
    if let Some(item) = item {
        json.extend(format!("\"{name}\":").into_bytes());
        write(&mut json, item)?;
    }
    json.push(b'}');
    Some(json)
}

fn list(json: &mut Vec<u8>, items: &[Attributes]) -> Option<()> {
    json.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write(json, item)?;
    }
    json.push(b']');
    Some(())
}

/// The body of the error for a condition that was not met.
pub(in super::super) fn refused(item: Option<&Attributes>) -> Option<Vec<u8>> {
    let mut json = b"{\"__type\":\"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException\",\
                     \"message\":\"The conditional request failed\""
        .to_vec();
    if let Some(item) = item {
        json.extend(b",\"Item\":");
        write(&mut json, item)?;
    }
    json.push(b'}');
    Some(json)
}

/// The body of the error for a transaction with such conditions.
pub(in super::super) fn canceled(reasons: &[CancellationReason]) -> Option<Vec<u8>> {
    let codes: Vec<_> = reasons.iter().filter_map(CancellationReason::code).collect();
    let mut json = format!(
        "{{\"__type\":\"com.amazonaws.dynamodb.v20120810#TransactionCanceledException\",\"Message\":\"Transaction \
         cancelled, please refer cancellation reasons for specific reasons [{}]\",\"CancellationReasons\":[",
        codes.join(", ")
    )
    .into_bytes();
    for (index, reason) in reasons.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend(b"{\"Code\":");
        serde_json::to_writer(&mut json, &reason.code).ok()?;
        if let Some(message) = &reason.message {
            json.extend(b",\"Message\":");
            serde_json::to_writer(&mut json, message).ok()?;
        }
        if let Some(item) = &reason.item {
            json.extend(b",\"Item\":");
            write(&mut json, item)?;
        }
        json.push(b'}');
    }
    json.extend(b"]}");
    Some(json)
}
